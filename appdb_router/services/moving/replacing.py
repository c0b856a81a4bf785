"""Replacing rows of a PostgreSQL database by those of another, as they are."""

from collections.abc import Iterable, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Condition, Key, quoted
from .queueing import Written
from .raw_copying import copy_statements, filled, transfer
from .tables import MovedTable
from .trigger_texts import object_name

__all__ = ["having", "replace_rows"]

# Those of the tables to which others refer in a way that acts, or complains, at once: by deleting
# a row to insert it again, others that nobody wrote to would go with it.
_REFERRED = """
    SELECT name FROM unnest(%s::text[], %s::text[]) AS moved (name, quoted)
    WHERE EXISTS (
        SELECT FROM pg_constraint
        WHERE contype = 'f' AND confrelid = to_regclass(quoted)
              AND (confdeltype IN ('c', 'n', 'd') OR NOT condeferrable)
    )
"""
_TYPES = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attname = ANY(%s)
"""


def replace_rows(
    found: Sequence[tuple[MovedTable, Written]],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
) -> int:
    """Make the rows that were written the same on both sides, and return how many there are.

    ``found`` has parents before children. It runs inside of a transaction on the taker, at whose
    end constraints are checked as far as they can wait.
    """
    _execute(taker, "SET CONSTRAINTS ALL DEFERRED")
    referred = _referred([table for table, _ in found], taker)
    parts: list[_Replaced | _Merged] = []
    for table, written in found:
        kind = _Merged if table.name in referred else _Replaced
        parts.append(kind(table, written, giver, taker))
    rows = sum(part.prepare() for part in parts)
    for part in reversed(parts):
        part.delete()
    return rows + sum(part.insert() for part in parts)


def having(table: MovedTable, connection: BaseDatabaseWrapper, keys: Iterable[Key]) -> Condition:
    """Return the condition for the rows with ``keys``, however many those are."""
    columns = list(zip(*keys, strict=True)) or [()] * len(table.key)
    with connection.cursor() as cursor:
        cursor.execute(_TYPES, [*quoted(connection, [table.name]), list(table.key)])
        types = dict(cursor.fetchall())
    names = [f"key_{number}" for number, _ in enumerate(columns)]
    casts = (f"{name}::{types[column]}" for name, column in zip(names, table.key, strict=True))
    arrays = ", ".join(["%s::text[]"] * len(columns))
    return (
        f"({', '.join(quoted(connection, table.key))}) IN (SELECT {', '.join(casts)}"  # noqa: S608
        f" FROM unnest({arrays}) AS keys ({', '.join(names)}))",
        [list(column) for column in columns],
    )


class _Replaced:
    """The rows of a table are deleted, and copied anew."""

    def __init__(
        self,
        table: MovedTable,
        written: Written,
        giver: BaseDatabaseWrapper,
        taker: BaseDatabaseWrapper,
    ) -> None:
        self._table, self._giver, self._taker = table, giver, taker
        self._keys = None if written.is_whole else written.keys

    def prepare(self) -> int:
        """Return how many rows were copied already."""
        return 0

    def delete(self) -> None:
        """Delete what is no longer there."""
        condition = filled(self._taker, self._written(self._taker))
        self._run(f"DELETE FROM {self._name} WHERE {condition}")

    def insert(self) -> int:
        """Write what is there, and return how many rows were copied for that."""
        return self._copy(self._table.name)

    @property
    def _name(self) -> str:
        return quoted(self._taker, [self._table.name])[0]

    def _written(self, connection: BaseDatabaseWrapper) -> Condition:
        """Return the condition for the rows that were written."""
        return ("true", []) if self._keys is None else having(self._table, connection, self._keys)

    def _copy(self, into: str) -> int:
        condition = self._written(self._giver)
        statements = copy_statements(self._table, self._giver, self._taker, condition, into)
        return transfer(self._giver, self._taker, *statements).rows

    def _run(self, statement: str) -> None:
        with self._taker.cursor() as cursor:
            cursor.execute(statement)


class _Merged(_Replaced):
    """Rows that are still there are updated where they are, so that nothing follows them."""

    def prepare(self) -> int:
        """Copy the rows beside their table."""
        columns = ", ".join(quoted(self._taker, self._table.columns))
        self._run(
            f"CREATE TEMPORARY TABLE {self._staged} ON COMMIT DROP"
            f" AS SELECT {columns} FROM {self._name} WITH NO DATA"
        )
        return self._copy(self._staging)

    def delete(self) -> None:
        """Delete the rows that the giver has no more."""
        condition = filled(self._taker, self._written(self._taker))
        self._run(
            f"DELETE FROM {self._name} AS old WHERE {condition}"
            f" AND NOT EXISTS (SELECT FROM {self._staged} AS new WHERE {self._same})"
        )

    def insert(self) -> int:
        """Update the rows that the taker has, and insert the others."""
        columns = quoted(self._taker, self._table.columns)
        keys = quoted(self._taker, self._table.key)
        others = [column for column in columns if column not in keys]
        if others:
            values = ", ".join(f"{column} = new.{column}" for column in others)
            self._run(
                f"UPDATE {self._name} AS old SET {values} FROM {self._staged} AS new"
                f" WHERE {self._same}"
            )
        self._run(
            f"INSERT INTO {self._name} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"
            f" SELECT {', '.join(columns)} FROM {self._staged} AS new"
            f" WHERE NOT EXISTS (SELECT FROM {self._name} AS old WHERE {self._same})"
        )
        return 0

    @property
    def _staging(self) -> str:
        return object_name("rows", self._table.label, self._table.name)

    @property
    def _staged(self) -> str:
        return quoted(self._taker, [self._staging])[0]

    @property
    def _same(self) -> str:
        return " AND ".join(
            f"old.{column} = new.{column}" for column in quoted(self._taker, self._table.key)
        )


def _referred(tables: Sequence[MovedTable], taker: BaseDatabaseWrapper) -> set[str]:
    names = [table.name for table in tables]
    with taker.cursor() as cursor:
        cursor.execute(_REFERRED, [names, quoted(taker, names)])
        return {name for (name,) in cursor.fetchall()}


def _execute(taker: BaseDatabaseWrapper, statement: str) -> None:
    with taker.cursor() as cursor:
        cursor.execute(statement)
