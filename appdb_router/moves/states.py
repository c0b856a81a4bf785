"""Reading how far a move is, from the row that the source has of it."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..topology import AppMove

_TABLE = "appdb_router_move"
# In a transaction of PostgreSQL an error would be its end.
_EXISTS = {
    "postgresql": "SELECT to_regclass(%s) IS NOT NULL",
    "mysql": (
        "SELECT COUNT(*) FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name = %s"
    ),
    "sqlite": "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = %s",
}
_STATE = f"SELECT home, gate, flips, phase FROM {_TABLE} WHERE label = %s"  # noqa: S608
# The aliases whose databases had the table when they were last asked.
_with_table: set[str] = set()


@dataclass(frozen=True)
class MoveState:
    """What the row says, see ``models.Move``; without one the move has not begun."""

    home: str = "source"
    gate: str = "open"
    flips: int = 0
    phase: str = ""

    @property
    def has_begun(self) -> bool:
        """Whether ``db_move`` was ever run."""
        return bool(self.phase)

    @property
    def is_finalized(self) -> bool:
        """Whether there is no way back any more."""
        return self.phase == "finalized"

    def alias_in(self, move: AppMove) -> str:
        """Return the alias where the apps of ``move`` are at home."""
        return move.target if self.home == "target" else move.source


NOT_BEGUN = MoveState()


def read_state(move: AppMove) -> MoveState:
    """Return how far ``move`` is, by this thread's connection of the source.

    In a coroutine, which may not use that, it is a connection of its own, and the event loop waits.
    Raises the ``django.db.Error`` of the source. In a run of tests nothing has begun.
    """
    if is_test_run():
        return NOT_BEGUN
    try:
        return _ask(connections[move.source], move.leader)
    except SynchronousOnlyOperation:
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(_ask_once, move).result()


def is_test_run() -> bool:
    """Tell whether this process runs tests, of which the databases are new.

    They are asked while test modules are imported, too, when there are none yet.
    """
    utilities = sys.modules.get("django.test.utils")
    has_begun = hasattr(getattr(utilities, "_TestState", None), "saved_data")
    return has_begun or "pytest_django.plugin" in sys.modules


def _ask_once(move: AppMove) -> MoveState:
    with closing(connections[move.source]) as connection:
        return _ask(connection, move.leader)


def _ask(connection: BaseDatabaseWrapper, label: str) -> MoveState:
    # A connection that was idle for long may be dead, or the table gone; a new one knows.
    may_be_stale = connection.connection is not None and connection.autocommit
    try:
        return _read(connection, label)
    except Error:
        if connection.in_atomic_block or not may_be_stale:
            raise
        _with_table.discard(connection.alias)
        connection.close()
        return _read(connection, label)


def _read(connection: BaseDatabaseWrapper, label: str) -> MoveState:
    """Read the row by the driver alone: it is none of the project's queries."""
    if _is_missing_file(connection):
        return NOT_BEGUN
    connection.ensure_connection()
    with connection.wrap_database_errors, closing(connection.create_cursor()) as cursor:
        if connection.alias not in _with_table:
            if not _has_table(connection, cursor):
                return NOT_BEGUN
            _with_table.add(connection.alias)
        cursor.execute(_STATE, [label])
        row = cursor.fetchone()
    return MoveState(*row) if row else NOT_BEGUN


def _is_missing_file(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether asking would create the file of an SQLite database."""
    if connection.vendor != "sqlite" or connection.connection is not None:
        return False
    name = str(connection.settings_dict["NAME"])
    return not name.startswith((":memory:", "file:")) and not Path(name).exists()


def _has_table(connection: BaseDatabaseWrapper, cursor: Any) -> bool:
    if connection.vendor not in _EXISTS:
        return _TABLE in connection.introspection.table_names(cursor)
    cursor.execute(_EXISTS[connection.vendor], [_TABLE])
    return bool(cursor.fetchone()[0])
