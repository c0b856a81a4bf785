"""A logical replication slot: the server itself tells which rows were written, from its log.

It takes the place of triggers at a PostgreSQL source. What it tells goes to the same queue, in the
same form. As long as the slot is there the server keeps its log from where it was read last.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ...models import RowChange
from ..connecting import standing_in
from .keys import quoted
from .pgoutput import ChangeReader, RawKey
from .settling import settle
from .tables import MovedTable
from .trigger_texts import object_name, queue_columns, queue_values

# Messages that one step reads: each row that was written is one, and each transaction has two more.
MOST_MESSAGES = 500_000
# Messages that are in memory at once.
_BATCH = 2000
# From this version on, a publication can leave out all columns but those of the key.
_HAS_COLUMN_LISTS = 150000
_OWN_KEY = "d"

# What a key is called by its type, so that its text can be read as a value again.
_TABLES = """
    SELECT c.oid::bigint, c.relreplident::text,
           (SELECT array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY k.place)
            FROM unnest(%s::text[]) WITH ORDINALITY AS k (name, place)
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = k.name)
    FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
_STATE = """
    SELECT coalesce(wal_status, ''), pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
    FROM pg_replication_slots WHERE slot_name = %s
"""
_PUBLISHED = """
    SELECT count(*) FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
    WHERE p.pubname = %s AND r.prrelid = ANY(%s)
      AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
"""
# PostgreSQL 16 has it, and lets superusers call it, and whom they grant it to.
_MAY_LOG = """
    SELECT count(*) > 0 FROM pg_proc
    WHERE proname = 'pg_log_standby_snapshot' AND pronamespace = 'pg_catalog'::regnamespace
      AND has_function_privilege(oid, 'EXECUTE')
"""
_PEEK = """
    DECLARE appdb_router_written NO SCROLL CURSOR FOR
    SELECT lsn::text, data FROM pg_logical_slot_peek_binary_changes(
        %s, %s::pg_lsn, %s, 'proto_version', '1', 'publication_names', %s)
"""


@dataclass(frozen=True)
class SlotState:
    """What the server says of a slot: whether it ``is_lost``, and how many bytes of log it keeps.

    The number of bytes is ``None`` for a slot that is lost: it keeps nothing.
    """

    is_lost: bool
    bytes: int | None


def slot_name(connection: BaseDatabaseWrapper, label: str) -> str:
    """Return the name of the slot for moving ``label``, and of its publication.

    Slots belong to the whole server, so the name of the database is in it.
    """
    return object_name("slot", label, str(connection.settings_dict["NAME"]))


def slot_state(connection: BaseDatabaseWrapper, label: str) -> SlotState | None:
    """Return the state of the slot for moving ``label``, or ``None`` if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [slot_name(connection, label)])
        found = cursor.fetchone()
    return found and SlotState(found[0] == "lost", found[1])


def drop_slot(connection: BaseDatabaseWrapper, label: str) -> None:
    """Drop the slot for moving ``label`` and its publication; that they are gone is no error."""
    name = slot_name(connection, label)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = %s",
            [name],
        )
        cursor.execute(f"DROP PUBLICATION IF EXISTS {name}")


class Slot:
    """The slot for moving ``tables`` of ``label``, by a connection that does nothing else.

    It is read while the move's other connection has a transaction open that locks the tables.
    """

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        label: str,
        tables: Iterable[MovedTable],
        *,
        most_messages: int = MOST_MESSAGES,
    ) -> None:
        self.connection, self._label = connection, label
        self._tables = tuple(table for table in tables if table.key)
        self._most = most_messages
        self.name = slot_name(connection, label)
        self.read_at = monotonic()
        settle(connection)
        # What the slot is told to forget must be in the queue for good. Its reader is local.
        self._execute("SET synchronous_commit = local")

    @property
    def age(self) -> float:
        """For how many seconds it has not been read."""
        return monotonic() - self.read_at

    def make(self) -> None:
        """Make the slot, and before it the publication, which says what it tells.

        It waits until every transaction is over that has written anything on the server. What
        is there already is of an attempt that did not come to its end, and is made anew.
        """
        drop_slot(self.connection, self._label)
        found = self._found.values()
        named = ", ".join(self._published(item) for item in found)
        self._execute(
            f"CREATE PUBLICATION {self.name} {'FOR TABLE ' if named else ''}{named}"
            " WITH (publish = 'insert, update, delete, truncate')"
        )
        self._execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", self.name)

    def read(self, *, forget: bool = True) -> None:
        """Put the keys of all rows into the queue that were written until now.

        That includes every transaction that has committed, also if it did not wait for its log to
        be written. With ``forget`` the server need not keep that part of its log any longer. Killed
        in between, or without ``forget``, the same keys come once more.

        Raises ``MoveError`` if the slot or its publication is gone, or was given up by the server.
        """
        self._check()
        if forget and self._may_log:
            # The server begins to read where it last logged which transactions are open: every 15
            # seconds, unless it is told to. Each reading would go over all that was written since.
            self._execute("SELECT pg_log_standby_snapshot()")
        end, is_whole = self._flushed(), False
        while not is_whole:
            reached, is_whole = self._note_until(end)
            if forget or not is_whole:
                self._execute(
                    "SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", self.name, reached
                )
        self.read_at = monotonic()

    def _check(self) -> None:
        state = slot_state(self.connection, self._label)
        with self.connection.cursor() as cursor:
            cursor.execute(_PUBLISHED, [self.name, list(self._found)])
            [published] = cursor.fetchone()
        if state is None or state.is_lost or published < len(self._found):
            what = "has kept too much of the log, and was given up by the server"
            if state is None or not state.is_lost:
                what = "or its publication is gone, or was changed"
            raise MoveError(
                f"The replication slot {self.name!r} in {self.connection.alias!r} {what}, so"
                " nobody knows what was written since. Begin again with --restart.",
                exit_code=12,
            )

    def _flushed(self) -> str:
        """Return a place in the log behind all that has committed, which is written by now.

        Decoding ends where the log is not written, and a transaction with ``synchronous_commit``
        off is visible before. So one that does wait comes after it.
        """
        with self._transaction():
            self._execute("SELECT pg_logical_emit_message(true, 'appdb_router', '')")
        [[place]] = self._execute("SELECT pg_current_wal_flush_lsn()::text")
        return str(place)

    def _note_until(self, end: str) -> tuple[str, bool]:
        """Put keys into the queue, and return how far that came, and whether that is the end."""
        count, reached = 0, end
        reader = ChangeReader({number: item.table.key for number, item in self._found.items()})
        with self._transaction():
            self._execute(_PEEK, self.name, end, self._most, self.name)
            while messages := self._execute(f"FETCH {_BATCH} FROM appdb_router_written"):
                count += len(messages)
                reached = messages[-1][0]
                self._note({change for _, data in messages for change in reader.read(bytes(data))})
        # Behind the end of the last transaction there was nothing for this slot.
        return (end, True) if count < self._most else (reached, False)

    def _note(self, changes: Iterable[tuple[int, RawKey | None]]) -> None:
        by_table: dict[int, list[RawKey | None]] = {}
        for number, key in changes:
            by_table.setdefault(number, []).append(key)
        for number, keys in by_table.items():
            found = self._found[number]
            if None in keys:
                self._execute(self._inserting(found.table, None))
            if wanted := [key for key in keys if key]:
                self._insert(found, wanted)

    def _insert(self, found: "_Found", keys: list[RawKey]) -> None:
        """Insert keys as the triggers write them: values cast to text, not as their types write."""
        columns = quoted(self.connection, found.table.key)
        names = [f"key_{place}" for place, _ in enumerate(columns)]
        values = ", ".join(
            f"{name}::{kind} AS {column}"
            for name, kind, column in zip(names, found.types, columns, strict=True)
        )
        statement = f"{self._inserting(found.table, 'written')} FROM (SELECT {values} FROM unnest("  # noqa: S608
        arrays = ", ".join(["%s::text[]"] * len(columns))
        self._execute(
            statement.replace("%", "%%") + f"{arrays}) AS given ({', '.join(names)})) AS written",
            *(list(column) for column in zip(*keys, strict=True)),
        )

    def _inserting(self, table: MovedTable, row: str | None) -> str:
        queue = quoted(self.connection, [RowChange._meta.db_table])[0]
        values = queue_values(table, self.connection, self._label, row)
        return f"INSERT INTO {queue} ({queue_columns(self.connection)}) SELECT {values}"

    @cached_property
    def _may_log(self) -> bool:
        [[may_log]] = self._execute(_MAY_LOG)
        return bool(may_log)

    @cached_property
    def _found(self) -> Mapping[int, "_Found"]:
        """The tables that the slot tells of, by their number."""
        found = {}
        for table in self._tables:
            [name] = quoted(self.connection, [table.name])
            [[number, identity, types]] = self._execute(_TABLES, list(table.key), name)
            found[number] = _Found(table, identity, tuple(types))
        return found

    def _published(self, found: "_Found") -> str:
        """Return the table as the publication names it, without columns that nobody needs."""
        [name] = quoted(self.connection, [found.table.name])
        version: int = self.connection.pg_version  # type: ignore[attr-defined]
        if version < _HAS_COLUMN_LISTS or found.identity != _OWN_KEY:
            return f"ONLY {name}"
        return f"ONLY {name} ({', '.join(quoted(self.connection, found.table.key))})"

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with standing_in(self.connection), transaction.atomic(using=self.connection.alias):
            yield

    def _execute(self, statement: str, *parameters: Any) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True)
class _Found:
    """A table as the server has it: by what it tells rows apart, and the types of its key."""

    table: MovedTable
    identity: str
    types: tuple[str, ...]
