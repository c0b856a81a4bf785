"""Finding the databases that are as the code needs them, without any lock and without waiting."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event

from django.db import connections

from ..topology import get_topology
from .connecting import separate_connection, standing_in
from .content_types import core_for, labels_on, missing_labels
from .loading import names_on_disk
from .looking import Look, look_at
from .migrating import is_recorded
from .probing import is_in_memory, is_missing_file
from .recording import recorded
from .scheduling import run_in_order

# Looking is waiting for the server. More at once would take the connections of many processes that
# start at the same moment.
_AT_ONCE = 4


@dataclass(frozen=True)
class _Found:
    """What was found: ``look`` is ``None`` unless the database has all that is routed there.

    ``lacking`` are the apps without content types, if this is where these are.
    """

    alias: str
    look: Look | None = None
    lacking: frozenset[str] | None = None


def find_finished(aliases: Sequence[str]) -> dict[str, Look]:
    """Return those of ``aliases`` that are up to date and verified, with what was seen there.

    Whatever is wrong with a database, it is not finished.
    """
    typed = {alias: labels_on(alias) for alias in aliases if core_for(alias)}
    try:
        # Threads would read them twice.
        names_on_disk()
    except Exception:  # noqa: BLE001  Doing the work says what is wrong.
        return {}
    examine = partial(_examine, labels={label for labels in typed.values() for label in labels})
    found = list(run_in_order(aliases, examine, after={}, jobs=_AT_ONCE, stop=Event()))
    looks = {item.alias: item.look for item in found if item.look}
    lacking = next((item.lacking for item in found if item.lacking is not None), None)
    if lacking is None and any(alias in typed for alias in looks):
        lacking = _ask_core({label for alias in looks for label in typed.get(alias, ())})
    return {
        alias: looks[alias]
        for alias in aliases
        if alias in looks and not (lacking and lacking.intersection(typed.get(alias, ())))
    }


def _examine(alias: str, labels: Collection[str]) -> _Found:
    try:
        if is_missing_file(connections[alias]) or is_in_memory(connections[alias]):
            return _Found(alias)
        # Not from a pool, which waits for its timeout if there is no such database.
        with separate_connection(alias, direct=True) as connection, standing_in(connection):
            if not is_recorded(alias, recorded(alias)):
                return _Found(alias)
            look = look_at(connection)
            is_core = alias == get_topology().core_alias
            lacking = frozenset(missing_labels(alias, labels)) if is_core else None
            return _Found(alias, None if look.lacking else look, lacking)
    except Exception:  # noqa: BLE001  Doing the work says what is wrong.
        return _Found(alias)


def _ask_core(labels: Collection[str]) -> frozenset[str]:
    """Return those of ``labels`` without content types; all, if they cannot be asked for."""
    core = str(get_topology().core_alias)
    try:
        # Asking would create it.
        if not is_missing_file(connections[core]):
            return frozenset(missing_labels(core, labels))
    except Exception:  # noqa: BLE001, S110  Doing the work says what is wrong.
        pass
    return frozenset(labels)
