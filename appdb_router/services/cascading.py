"""Carrying out the deletions that other databases still have to follow, wherever they are noted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import Error

from ..relations.pending import carry_out, pending_on
from .connecting import describe_error

__all__ = ["Cascaded", "cascade"]


@dataclass
class Cascaded:
    """What became of the notes in the database of ``alias``.

    ``done`` counts those that were carried out; ``errors`` says for each of the others why not.
    """

    alias: str
    done: int = 0
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as ``--format json`` shows it."""
        return {"alias": self.alias, "done": self.done, "errors": self.errors}


def cascade(aliases: Iterable[str]) -> list[Cascaded]:
    """Carry out all that is noted in the databases ``aliases``, and what follows from that there.

    A database that cannot be asked and a deletion that fails do not stop the others; the note of
    such a deletion stays.
    """
    found = [Cascaded(alias) for alias in aliases]
    tried: set[tuple[str, int]] = set()
    # What one database does may leave notes in another that was asked already.
    while new := [(item, key) for item in found for key in _untried(item, tried)]:
        for item, key in new:
            tried.add((item.alias, key))
            _try(item, key)
    return found


def _untried(item: Cascaded, tried: set[tuple[str, int]]) -> list[int]:
    try:
        return [key for key in pending_on(item.alias) if (item.alias, key) not in tried]
    except Error as error:
        _note_error(item, error)
        return []


def _try(item: Cascaded, key: int) -> None:
    """Carry out one note: another that breaks the transaction would take it along."""
    try:
        followed = carry_out(item.alias, key)
    except Error as error:
        _note_error(item, error)
        return
    item.done += followed.done
    for failure in followed.errors:
        _note_error(item, failure)


def _note_error(item: Cascaded, error: Exception) -> None:
    text = f"{type(error).__name__}: {describe_error(error, item.alias)}"
    if text not in item.errors:
        item.errors.append(text)
