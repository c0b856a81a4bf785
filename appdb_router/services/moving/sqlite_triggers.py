"""The triggers of a move on SQLite: one for each row that a statement changes."""

from collections.abc import Iterable, Iterator
from math import ceil

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import RowChange
from ...moves.refusal import MARKER
from .keys import quoted
from .passing import PASSING_TABLE, passes
from .tables import MovedTable
from .trigger_texts import EVENTS, literal, object_name, queue_columns, queue_values

_TRIGGER = """
CREATE TRIGGER {name} {moment} {event} ON {table} FOR EACH ROW WHEN NOT {passes}
BEGIN
    {action};
END
"""
_FOUND = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s"
# The triggers that still need it, of whichever move.
_PASSING = "SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND sql LIKE %s LIMIT 1"


class SQLiteTriggers:
    """Makes and drops the triggers through ``connection``, one table at a time."""

    def __init__(self, connection: BaseDatabaseWrapper, lock_wait: float) -> None:  # noqa: ARG002
        # There is one lock, and the connection knows how long it waits for it.
        self._connection = connection

    def capture(self, table: MovedTable, label: str, token: str) -> None:
        """Let each write to ``table`` add its key to the queue."""
        if not table.key:
            return
        queue = quoted(self._connection, [RowChange._meta.db_table])[0]
        into = f"INSERT INTO {queue} ({queue_columns(self._connection)})"
        old, new = (queue_values(table, self._connection, label, row) for row in ("OLD", "NEW"))
        actions = {
            ("AFTER", "INSERT"): f"{into} VALUES ({new})",
            ("AFTER", "UPDATE"): f"{into} SELECT {old} UNION SELECT {new}",
            ("AFTER", "DELETE"): f"{into} VALUES ({old})",
        }
        if replaced := self._replaced(table, label):
            actions["BEFORE", "INSERT"] = f"{into} {replaced}"
            same = " AND ".join(
                f"{name} IS OLD.{column}"
                for name, column in zip(
                    quoted(self._connection, table.key, *quoted(self._connection, [table.name])),
                    quoted(self._connection, table.key),
                    strict=True,
                )
            )
            actions["BEFORE", "UPDATE"] = f"{into} {replaced} AND NOT ({same})"
        self._make("capture", table, label, token, actions)

    def refuse(self, table: MovedTable, label: str, token: str, reason: str) -> None:
        """Let each write to ``table`` fail with ``reason``."""
        action = f"SELECT RAISE(ABORT, {literal(MARKER + reason, self._connection)})"
        self._make("refuse", table, label, token, {("BEFORE", event): action for event in EVENTS})

    def drop(self, purpose: str, table: MovedTable, label: str) -> None:
        """Drop the triggers of ``table`` that ``capture`` or ``refuse`` made, if there are any."""
        with transaction.atomic(using=self._connection.alias):
            self._drop_triggers(purpose, table, label)
            with self._connection.cursor() as cursor:
                cursor.execute(_PASSING, [f"%{PASSING_TABLE}%"])
                if cursor.fetchone() is None:
                    [passing] = quoted(self._connection, [PASSING_TABLE])
                    cursor.execute(f"DROP TABLE IF EXISTS {passing}")

    def are_refused(self, table: MovedTable, label: str) -> bool:
        """Tell whether every write to a row of ``table`` meets a trigger."""
        wanted = {self._name("refuse", "BEFORE", event, table, label) for event in EVENTS}
        with self._connection.cursor() as cursor:
            cursor.execute(_FOUND, [table.name])
            return wanted <= {name for (name,) in cursor.fetchall()}

    def lock(self, tables: Iterable[MovedTable], timeout: float) -> None:  # noqa: ARG002
        """Take the one lock for writing that the file has, within ``timeout`` seconds."""
        queue = quoted(self._connection, [RowChange._meta.db_table])[0]
        with self._connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout")
            [before] = cursor.fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {ceil(timeout * 1000):d}")
            try:
                # Whoever deletes holds the lock, also if there is nothing to delete.
                cursor.execute(f"DELETE FROM {queue} WHERE 1 = 0")  # noqa: S608
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {before:d}")

    def _replaced(self, table: MovedTable, label: str) -> str:
        """Return the query for the rows that ``INSERT OR REPLACE`` would take away.

        No trigger is told of those, unless the session has ``recursive_triggers``.
        """
        [name] = quoted(self._connection, [table.name])
        values = queue_values(table, self._connection, label, name)
        conditions = [
            " AND ".join(f"{name}.{column} = NEW.{column}" for column in columns)
            for columns in self._unique_columns(table)
        ]
        if not conditions:
            return ""
        return f"SELECT {values} FROM {name} WHERE (({') OR ('.join(conditions)}))"  # noqa: S608

    def _unique_columns(self, table: MovedTable) -> Iterator[list[str]]:
        [name] = quoted(self._connection, [table.name])
        with self._connection.cursor() as cursor:
            cursor.execute(f"PRAGMA index_list({name})")
            found = [row[1] for row in cursor.fetchall() if row[2] and row[3] != "pk"]
            for index in found:
                cursor.execute(f"PRAGMA index_info({quoted(self._connection, [index])[0]})")
                names = [row[2] for row in cursor.fetchall()]
                # An expression has no name; rows that agree in the rest are more than enough.
                yield quoted(self._connection, filter(None, names))

    def _make(
        self,
        purpose: str,
        table: MovedTable,
        label: str,
        token: str,
        actions: dict[tuple[str, str], str],
    ) -> None:
        with transaction.atomic(using=self._connection.alias):
            [passing] = quoted(self._connection, [PASSING_TABLE])
            self._execute(f"CREATE TABLE IF NOT EXISTS {passing} (token text NOT NULL)")
            self._drop_triggers(purpose, table, label)
            for (moment, event), action in actions.items():
                self._execute(
                    _TRIGGER.format(
                        name=self._name(purpose, moment, event, table, label),
                        moment=moment,
                        event=event,
                        table=quoted(self._connection, [table.name])[0],
                        passes=passes(token, self._connection),
                        action=action,
                    )
                )

    def _drop_triggers(self, purpose: str, table: MovedTable, label: str) -> None:
        for moment, event in _all_events():
            name = self._name(purpose, moment, event, table, label)
            self._execute(f"DROP TRIGGER IF EXISTS {name}")

    def _name(self, purpose: str, moment: str, event: str, table: MovedTable, label: str) -> str:
        return object_name(f"{purpose}_{moment}_{event}".lower(), label, table.name)

    def _execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)


def _all_events() -> Iterator[tuple[str, str]]:
    for event in EVENTS:
        yield "BEFORE", event
        yield "AFTER", event
