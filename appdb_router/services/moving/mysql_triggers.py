"""The triggers of a move on MySQL and MariaDB: one for each row that a statement changes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import ceil

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ...models import RowChange
from ...moves.refusal import MARKER
from .keys import quoted
from .passing import passes
from .tables import MovedTable
from .trigger_texts import EVENTS, literal, object_name, queue_columns, queue_values

_TRIGGER = """
CREATE TRIGGER {name} {moment} {event} ON {table} FOR EACH ROW
BEGIN
    IF NOT ({passes}) THEN
        {action};
    END IF;
END
"""
_FOUND = """
    SELECT trigger_name, action_statement FROM information_schema.triggers
    WHERE trigger_schema = DATABASE() AND event_object_table = %s
"""
# What a signal has room for.
_LONGEST_MESSAGE = 128
_MAY_NOT_MAKE_TRIGGERS = 1419


class MySQLTriggers:
    """Makes and drops the triggers through ``connection``, one table at a time.

    Each statement is committed by itself.
    """

    def __init__(self, connection: BaseDatabaseWrapper, lock_wait: float) -> None:
        self._connection, self._lock_wait = connection, lock_wait

    def capture(self, table: MovedTable, label: str, token: str) -> None:
        """Let each write to ``table`` add its key to the queue; ``TRUNCATE`` meets no trigger."""
        if not table.key:
            return
        queue = quoted(self._connection, [RowChange._meta.db_table])[0]
        into = f"INSERT INTO {queue} ({queue_columns(self._connection)})"
        old, new = (queue_values(table, self._connection, label, row) for row in ("OLD", "NEW"))
        actions = {
            "INSERT": f"{into} VALUES ({new})",
            "UPDATE": f"{into} SELECT {old} UNION SELECT {new}",
            "DELETE": f"{into} VALUES ({old})",
        }
        self._make("capture", "AFTER", table, label, token, actions)

    def refuse(self, table: MovedTable, label: str, token: str, reason: str) -> None:
        """Let each write to ``table`` fail with ``reason``, cut to the 128 characters there are."""
        message = MARKER + reason
        if len(message) > _LONGEST_MESSAGE:
            message = message[: _LONGEST_MESSAGE - 1] + "…"
        text = literal(message, self._connection)
        action = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {text}"
        self._make("refuse", "BEFORE", table, label, token, dict.fromkeys(EVENTS, action))

    def drop(self, purpose: str, table: MovedTable, label: str) -> None:
        """Drop the triggers of ``table`` that ``capture`` or ``refuse`` made, if there are any."""
        found = self._found(table)
        with self._waiting(self._lock_wait):
            for _, name in self._triggers(purpose, table, label):
                if name in found:
                    self._execute(f"DROP TRIGGER IF EXISTS {name}")

    def are_refused(self, table: MovedTable, label: str) -> bool:
        """Tell whether every write to a row of ``table`` meets a trigger."""
        return {name for _, name in self._triggers("refuse", table, label)} <= (
            self._found(table).keys()
        )

    def lock(self, tables: Iterable[MovedTable], timeout: float) -> None:
        """Do nothing: there is no lock that a transaction could take on a table."""

    def _make(
        self,
        purpose: str,
        moment: str,
        table: MovedTable,
        label: str,
        token: str,
        actions: dict[str, str],
    ) -> None:
        found = self._found(table)
        for event, name in self._triggers(purpose, table, label):
            statement = _TRIGGER.format(
                name=name,
                moment=moment,
                event=event,
                table=quoted(self._connection, [table.name])[0],
                passes=passes(token, self._connection),
                action=actions[event],
            )
            body = statement[statement.index("BEGIN") :].strip()
            if found.get(name, "").strip() == body:
                continue
            with self._waiting(self._lock_wait):
                self._execute(f"DROP TRIGGER IF EXISTS {name}")
                self._execute(statement)

    def _found(self, table: MovedTable) -> dict[str, str]:
        with self._connection.cursor() as cursor:
            cursor.execute(_FOUND, [table.name])
            return dict(cursor.fetchall())

    def _triggers(self, purpose: str, table: MovedTable, label: str) -> Iterator[tuple[str, str]]:
        for event in EVENTS:
            yield event, object_name(f"{purpose}_{event.lower()}", label, table.name)

    @contextmanager
    def _waiting(self, seconds: float) -> Iterator[None]:
        """Bound in this block how long a statement waits for writers, in whole seconds."""
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT @@lock_wait_timeout")
            [before] = cursor.fetchone()
            cursor.execute("SET lock_wait_timeout = %s", [max(1, ceil(seconds))])
            try:
                yield
            finally:
                cursor.execute("SET lock_wait_timeout = %s", [before])

    def _execute(self, statement: str) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
        except OperationalError as error:
            # Only a server that writes a binary log says so.
            if error.args[0] == _MAY_NOT_MAKE_TRIGGERS:  # pragma: no cover
                raise MoveError(
                    f"The server of {self._connection.alias!r} lets nobody but an administrator"
                    " make triggers, since it writes a binary log. Set"
                    " log_bin_trust_function_creators = 1 there while the move runs, or let a user"
                    " with SUPER run it."
                ) from error
            raise
