"""The triggers of a move on PostgreSQL: one for each kind of statement, whatever it changes."""

from collections.abc import Iterable, Iterator
from time import monotonic

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import RowChange
from ...moves.refusal import MARKER, REFUSED_SQLSTATE
from .keys import quoted
from .passing import passes
from .tables import MovedTable
from .trigger_texts import EVENTS, literal, object_name, queue_columns, queue_values

# What a statement changed, as the trigger sees it.
_REFERENCING = {
    "INSERT": "REFERENCING NEW TABLE AS new_rows",
    "UPDATE": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "REFERENCING OLD TABLE AS old_rows",
    "TRUNCATE": "",
}

# An update may change the key itself.
_CAPTURE = """
BEGIN
    IF {passes} THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO {queue} ({columns}) SELECT {new} FROM new_rows;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO {queue} ({columns})
            SELECT {old} FROM old_rows UNION SELECT {new} FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO {queue} ({columns}) SELECT {old} FROM old_rows;
    ELSE
        INSERT INTO {queue} ({columns}) VALUES ({all});
    END IF;
    RETURN NULL;
END
"""

_REFUSE = """
BEGIN
    IF {passes} THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = {message},
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME;
END
"""

# The writer needs no rights on the queue, and cannot put a table of his own in its place. Nor does
# it depend on his session how a key is written.
_FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 3 SET bytea_output = 'hex' SET IntervalStyle = 'postgres'
AS $appdb_router${body}$appdb_router$
"""
_TRIGGER = """
CREATE OR REPLACE TRIGGER {name} {moment} {event} ON {table} {referencing}
FOR EACH STATEMENT EXECUTE FUNCTION {function}()
"""

_QUEUE = """
    SELECT format('%%I.%%I', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE pg_class.oid = %s::regclass
"""
_FOUND = """
    SELECT tgname, tgenabled::text, prosrc
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE tgrelid = to_regclass(%s) AND tgname = ANY(%s)
"""
_TIMEOUT = "SELECT set_config('lock_timeout', %s, true)"
_FIRES_ALWAYS = "A"


class PostgresTriggers:
    """Makes and drops the triggers through ``connection``, one table at a time."""

    def __init__(self, connection: BaseDatabaseWrapper, lock_wait: float) -> None:
        self._connection, self._lock_wait = connection, lock_wait

    def capture(self, table: MovedTable, label: str, token: str) -> None:
        """Let each write to ``table`` add its keys to the queue."""
        # A table without a key is copied as a whole.
        if table.key:
            body = self._capture_body(table, label, token)
            self._make("capture", "AFTER", table, label, body)

    def refuse(self, table: MovedTable, label: str, token: str, reason: str) -> None:
        """Let each write to ``table`` fail with ``reason``."""
        message = literal(MARKER + reason, self._connection)
        body = _REFUSE.format(
            passes=passes(token, self._connection), code=REFUSED_SQLSTATE, message=message
        )
        self._make("refuse", "BEFORE", table, label, body)

    def drop(self, purpose: str, table: MovedTable, label: str) -> None:
        """Drop the triggers of ``table`` that ``capture`` or ``refuse`` made, if there are any."""
        with transaction.atomic(using=self._connection.alias):
            if self._found(purpose, table, label):
                self._lock([table], self._lock_wait, "ACCESS EXCLUSIVE")
            [name] = quoted(self._connection, [table.name])
            for _, trigger in self._triggers(purpose, table, label):
                self._execute(f"DROP TRIGGER IF EXISTS {trigger} ON {name}")
            self._execute(f"DROP FUNCTION IF EXISTS {object_name(purpose, label, table.name)}()")

    def are_refused(self, table: MovedTable, label: str) -> bool:
        """Tell whether every kind of write to ``table`` meets a trigger that is switched on."""
        wanted = {name for _, name in self._triggers("refuse", table, label)}
        return wanted == {
            name for name, fires, _ in self._found("refuse", table, label) if fires == _FIRES_ALWAYS
        }

    def lock(self, tables: Iterable[MovedTable], timeout: float) -> None:
        """Lock ``tables`` for writing, within ``timeout`` seconds, in the open transaction."""
        self._lock(tables, timeout, "SHARE ROW EXCLUSIVE")

    def _lock(self, tables: Iterable[MovedTable], timeout: float, mode: str) -> None:
        deadline = monotonic() + timeout
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            [before] = cursor.fetchone()
            for name in quoted(self._connection, (table.name for table in tables)):
                milliseconds = max(1, round((deadline - monotonic()) * 1000))
                cursor.execute(_TIMEOUT, [f"{milliseconds}ms"])
                cursor.execute(f"LOCK TABLE ONLY {name} IN {mode} MODE")
            cursor.execute(_TIMEOUT, [before])

    def _capture_body(self, table: MovedTable, label: str, token: str) -> str:
        with self._connection.cursor() as cursor:
            cursor.execute(_QUEUE, quoted(self._connection, [RowChange._meta.db_table]))
            [queue] = cursor.fetchone()
        old, new, all_rows = (
            queue_values(table, self._connection, label, row)
            for row in ("old_rows", "new_rows", None)
        )
        return _CAPTURE.format(
            passes=passes(token, self._connection),
            queue=queue,
            columns=queue_columns(self._connection),
            **{"old": old, "new": new, "all": all_rows},
        )

    def _make(
        self,
        purpose: str,
        moment: str,
        table: MovedTable,
        label: str,
        body: str,
    ) -> None:
        triggers = dict(self._triggers(purpose, table, label))
        wanted = {(name, _FIRES_ALWAYS, body) for name in triggers.values()}
        if wanted == set(self._found(purpose, table, label)):
            return
        function = object_name(purpose, label, table.name)
        [name] = quoted(self._connection, [table.name])
        with transaction.atomic(using=self._connection.alias):
            self.lock([table], self._lock_wait)
            self._execute(_FUNCTION.format(name=function, body=body))
            for event, trigger in triggers.items():
                self._execute(
                    _TRIGGER.format(
                        name=trigger,
                        moment=moment,
                        event=event,
                        table=name,
                        referencing=_REFERENCING[event] if moment == "AFTER" else "",
                        function=function,
                    )
                )
                # Also in sessions that replay the writes of another server.
                self._execute(f"ALTER TABLE {name} ENABLE ALWAYS TRIGGER {trigger}")

    def _found(self, purpose: str, table: MovedTable, label: str) -> list[tuple[str, str, str]]:
        names = [name for _, name in self._triggers(purpose, table, label)]
        with self._connection.cursor() as cursor:
            cursor.execute(_FOUND, [*quoted(self._connection, [table.name]), names])
            return list(map(tuple, cursor.fetchall()))

    def _triggers(self, purpose: str, table: MovedTable, label: str) -> Iterator[tuple[str, str]]:
        for event in (*EVENTS, "TRUNCATE"):
            yield event, object_name(f"{purpose}_{event.lower()}", label, table.name)

    def _execute(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
