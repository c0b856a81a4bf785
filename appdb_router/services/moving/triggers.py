"""What a move does to the tables that it moves: noting what is written, and refusing to.

The triggers stay when the process ends, and act on raw SQL and on other programs as well.
"""

from collections.abc import Callable, Iterable

from django.db.backends.base.base import BaseDatabaseWrapper

from .mysql_triggers import MySQLTriggers
from .postgresql_triggers import PostgresTriggers
from .sqlite_triggers import SQLiteTriggers
from .tables import MovedTable

# Seconds that a statement waits for open transactions; writers who come later wait behind it.
LOCK_WAIT = 0.1

_Triggers = PostgresTriggers | MySQLTriggers | SQLiteTriggers

_TRIGGERS: dict[str, Callable[[BaseDatabaseWrapper, float], _Triggers]] = {
    "postgresql": PostgresTriggers,
    "mysql": MySQLTriggers,
    "sqlite": SQLiteTriggers,
}


def capture_changes(
    tables: Iterable[MovedTable],
    connection: BaseDatabaseWrapper,
    label: str,
    token: str,
    *,
    lock_wait: float = LOCK_WAIT,
) -> None:
    """Let every write to ``tables`` add the keys of its rows to the queue of ``label``.

    The writer's transaction adds them, so they are there if and only if the write is. Tables
    without a key are left out. What is there already stays as it is, so it can be done again; the
    tables get their triggers one after the other. For ``lock_wait`` seconds it waits for open
    transactions that wrote to a table.

    Raises ``OperationalError`` if that was not long enough, and ``MoveError`` if the server does
    not let the user make triggers.
    """
    triggers = _triggers(connection, lock_wait)
    for table in tables:
        triggers.capture(table, label, token)


def stop_capturing(
    tables: Iterable[MovedTable],
    connection: BaseDatabaseWrapper,
    label: str,
    *,
    lock_wait: float = LOCK_WAIT,
) -> None:
    """Drop what ``capture_changes()`` made; tables and triggers that are gone are no error."""
    triggers = _triggers(connection, lock_wait)
    for table in tables:
        triggers.drop("capture", table, label)


def refuse_writes(
    tables: Iterable[MovedTable],
    connection: BaseDatabaseWrapper,
    label: str,
    token: str,
    reason: str,
    *,
    lock_wait: float = LOCK_WAIT,
) -> None:
    """Let every write to ``tables`` fail with ``reason``, for whoever tries.

    It waits and raises as ``capture_changes()``. When it returns, no open transaction has written
    to them. On MySQL ``TRUNCATE`` is not refused, and ``reason`` is cut to 128 characters less the
    marker.
    """
    triggers = _triggers(connection, lock_wait)
    for table in tables:
        triggers.refuse(table, label, token, reason)


def accept_writes(
    tables: Iterable[MovedTable],
    connection: BaseDatabaseWrapper,
    label: str,
    *,
    lock_wait: float = LOCK_WAIT,
) -> None:
    """Drop what ``refuse_writes()`` made; tables and triggers that are gone are no error."""
    triggers = _triggers(connection, lock_wait)
    for table in tables:
        triggers.drop("refuse", table, label)


def are_refused(tables: Iterable[MovedTable], connection: BaseDatabaseWrapper, label: str) -> bool:
    """Tell whether writes to all of ``tables`` are refused, by what the server has."""
    triggers = _triggers(connection, LOCK_WAIT)
    return all(triggers.are_refused(table, label) for table in tables)


def lock_for_writing(
    tables: Iterable[MovedTable], connection: BaseDatabaseWrapper, *, timeout: float
) -> None:
    """Let nobody else write to ``tables`` until the end of the open transaction.

    It waits for each of them until the transactions that have written to it are over, all in all
    ``timeout`` seconds. On MySQL it does nothing: there ``refuse_writes()`` waits for them.

    Raises ``OperationalError`` if that was not long enough.
    """
    _triggers(connection, timeout).lock(tables, timeout)


def _triggers(connection: BaseDatabaseWrapper, lock_wait: float) -> _Triggers:
    return _TRIGGERS[connection.vendor](connection, lock_wait)
