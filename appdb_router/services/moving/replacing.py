"""Replacing rows of a PostgreSQL database by those of another, as they are."""

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Condition, quoted
from .queueing import Written
from .raw_copying import copy_statements, filled, transfer
from .referring import References
from .selecting import having
from .tables import MovedTable
from .trigger_texts import object_name

_FIXED = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attidentity = 'a'"


def replace_rows(
    tables: Mapping[str, MovedTable],
    written: dict[str, Written],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    *,
    take_along: bool,
) -> int:
    """Make the rows that were written the same on both sides, and return how many there are.

    ``tables`` has parents before children. It runs inside of a transaction on the taker, at whose
    end constraints are checked as far as they can wait. Rows are deleted and inserted; those to
    which others refer by constraints that do not wait are updated where they are. Two of these
    cannot exchange a unique value: with ``take_along`` they are deleted, too, and ``written`` is
    told of the rows that go with them.
    """
    with taker.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    references = References(tables, taker)
    if take_along:
        references.take_along(written)
    merged = set() if take_along else references.parents
    parts = [
        (_Merged if name in merged else _Replaced)(table, written[name], giver, taker)
        for name, table in tables.items()
        if name in written
    ]
    rows = sum(part.prepare() for part in parts)
    for part in reversed(parts):
        part.delete()
    return rows + sum(part.insert() for part in parts)


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
        self._run(f"DELETE FROM {self._name} WHERE {condition}")  # noqa: S608

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
            f"CREATE TEMPORARY TABLE {self._staged} ON COMMIT DROP"  # noqa: S608
            f" AS SELECT {columns} FROM {self._name} WITH NO DATA"
        )
        return self._copy(self._staging)

    def delete(self) -> None:
        """Delete the rows that the giver has no more."""
        condition = filled(self._taker, self._written(self._taker))
        self._run(
            f"DELETE FROM {self._name} AS old WHERE {condition}"  # noqa: S608
            f" AND NOT EXISTS (SELECT FROM {self._staged} AS new WHERE {self._same})"
        )

    def insert(self) -> int:
        """Update the rows that the taker has, and insert the others."""
        columns = quoted(self._taker, self._table.columns)
        keys = quoted(self._taker, self._table.key)
        others = [column for column in columns if column not in {*keys, *self._fixed()}]
        if others:
            values = ", ".join(f"{column} = new.{column}" for column in others)
            self._run(
                f"UPDATE {self._name} AS old SET {values} FROM {self._staged} AS new"  # noqa: S608
                f" WHERE {self._same}"
            )
        self._run(
            f"INSERT INTO {self._name} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"  # noqa: S608
            f" SELECT {', '.join(columns)} FROM {self._staged} AS new"
            f" WHERE NOT EXISTS (SELECT FROM {self._name} AS old WHERE {self._same})"
        )
        return 0

    def _fixed(self) -> list[str]:
        """Return the columns that the server lets nobody update: it counted them itself."""
        with self._taker.cursor() as cursor:
            cursor.execute(_FIXED, quoted(self._taker, [self._table.name]))
            return quoted(self._taker, (name for (name,) in cursor.fetchall()))

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
