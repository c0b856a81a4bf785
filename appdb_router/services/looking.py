"""One look at each database of the project, and what the looks say when laid side by side."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from .asking import ask_all, no_answer
from .catalogs import (
    SequenceState,
    Standing,
    count_rows,
    identity,
    invalid_indexes,
    sequences,
    standing_tables,
)
from .connecting import describe_error, separate_connection
from .inspecting import Gap, NeededTable, lacking_labels, needed_tables, table_names
from .probing import Status, is_missing_file, probe

# Seconds. Longer than for connecting: the maximum of a column without an index takes its time.
_PATIENCE = 60


@dataclass(frozen=True)
class Look:
    """What was seen in the database of ``alias``; nothing was changed.

    ``needed`` are the tables that belong there, ``lacking`` the apps that lack some of them, or of
    their columns. ``strangers`` are tables that belong elsewhere and
    have rows here, with their number; ``None`` if they cannot be counted. ``error`` says why
    nothing was seen.
    """

    alias: str
    status: Status = Status.REACHABLE
    error: str | None = None
    identity: tuple[Any, ...] | None = None
    needed: tuple[NeededTable, ...] = ()
    lacking: frozenset[str] = frozenset()
    strangers: Mapping[str, int | None] | None = None
    sequences: tuple[SequenceState, ...] = ()
    invalid_indexes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Leftover:
    """Tables of the app ``label`` with rows in ``where``, where no query of the app goes.

    ``rows`` are their numbers by table. ``is_all`` tells that the app has no rows in them in
    ``alias``, its own database: they were left behind.
    """

    label: str
    alias: str
    where: str
    rows: Mapping[str, int | None]
    is_all: bool


def look_at_all(aliases: Iterable[str]) -> dict[str, Look]:
    """Look at several databases at the same time, and return the looks by alias."""
    silent = Look("", Status.UNREACHABLE, no_answer(_PATIENCE))
    looks = ask_all(_look, aliases, timeout=_PATIENCE, silent=silent)
    return {alias: replace(look, alias=alias) for alias, look in looks.items()}


def same_places(looks: Mapping[str, Look]) -> list[list[str]]:
    """Return the groups of aliases whose server says that they are one and the same database."""
    places: dict[tuple[Any, ...], list[str]] = {}
    for alias, look in looks.items():
        if look.identity is not None:
            places.setdefault(look.identity, []).append(alias)
    return [aliases for aliases in places.values() if len(aliases) > 1]


def find_leftovers(looks: Mapping[str, Look], labels: Collection[str]) -> Iterator[Leftover]:
    """Yield the tables of the apps ``labels`` that have rows in a database of other apps."""
    for alias, look in looks.items():
        for label in sorted({table.label for table in look.needed} & set(labels)):
            mine = {table.name for table in look.needed if table.label == label}
            for where, other in looks.items():
                found = {name: n for name, n in (other.strangers or {}).items() if name in mine}
                if found and (other.identity is None or other.identity != look.identity):
                    yield from _sorted_out(label, alias, where, found)


def tables_elsewhere(gap: Gap, alias: str, others: Iterable[str]) -> dict[str, list[str]]:
    """Return in which of ``others`` the missing tables of ``gap`` stand, by alias.

    A database that cannot be asked is left out.
    """
    found = {}
    for other in others:
        try:
            with separate_connection(other) as connection:
                if other != alias and not is_missing_file(connection):
                    found[other] = sorted(standing_tables(connection, gap.tables))
        except (Error, ImproperlyConfigured):
            continue
    return found


def look_at(connection: BaseDatabaseWrapper) -> Look:
    """Look at the database behind ``connection``. Raises ``django.db.Error``."""
    needed = tuple(needed_tables(connection))
    mine = {table.name for table in needed}
    standing = standing_tables(connection, mine | table_names())
    strangers = {
        name: number
        for name, item in standing.items()
        if name not in mine and item.is_own and (number := _count(connection, name)) != 0
    }
    return Look(
        connection.alias,
        identity=identity(connection),
        needed=needed,
        lacking=lacking_labels(connection, needed, standing),
        strangers=strangers,
        sequences=tuple(sequences(connection, mine)),
        invalid_indexes=tuple(invalid_indexes(connection, mine)),
    )


def _look(alias: str) -> Look:
    try:
        with separate_connection(alias) as connection:
            if is_missing_file(connection):
                return Look(alias, Status.MISSING)
            return look_at(connection)
    except (Error, ImproperlyConfigured, OSError) as error:
        status = probe(alias, look_inside=False).status
        if status is Status.MISSING:
            return Look(alias, status)
        return Look(alias, Status.UNREACHABLE, describe_error(error, alias))


def _count(connection: BaseDatabaseWrapper, table: str) -> int | None:
    try:
        return count_rows(connection, table)
    except Error:
        return None


def _sorted_out(
    label: str, alias: str, where: str, found: Mapping[str, int | None]
) -> Iterator[Leftover]:
    """Tell the tables that are empty where they belong from those that have rows in both places."""
    with separate_connection(alias) as connection:
        there: dict[str, Standing] = standing_tables(connection, found)
        used = {name for name in there if _count(connection, name) != 0}
    for names, is_all in ((found.keys() - used, True), (found.keys() & used, False)):
        if names:
            yield Leftover(
                label, alias, where, {name: found[name] for name in sorted(names)}, is_all
            )
