"""Temporary tables of the taker's, in which rows are tried before they are written for good."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import Error, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Key, quoted
from .kinds import VALUE_ERRORS, Kind, kind_of
from .rows import Column, insert, named
from .settling import is_about_server
from .tables import MovedTable

_TYPES = "appdb_router_types"
_UNIQUE = "appdb_router_unique"
_NUMBER = "appdb_router_number"

Row = tuple[Key, list[Any]]

# Two texts that differ here may be one there: by case, accents or blanks at the end.
_COLLATED = """
    SELECT 1 FROM information_schema.statistics s
    JOIN information_schema.columns c USING (table_schema, table_name, column_name)
    WHERE s.table_schema = DATABASE() AND s.table_name = %s AND s.non_unique = 0
      AND c.collation_name IS NOT NULL LIMIT 1
"""


@contextmanager
def trial_tables(
    table: MovedTable, columns: Sequence[Column], taker: BaseDatabaseWrapper
) -> Iterator[list["Trial"]]:
    """Give the trials that rows of ``table`` have to pass, and drop their tables."""
    trials: list[Trial] = [TypeTrial(table, columns, taker)]
    if taker.vendor == "mysql" and _has_collated_key(taker, table.name):
        trials.append(UniqueTrial(table, columns, taker))
    with ExitStack() as stack:
        for trial in trials:
            stack.enter_context(trial.standing())
        yield trials


class Trial(ABC):
    """Rows are written to a temporary table; what is refused or changed is named."""

    name = ""

    def __init__(
        self, table: MovedTable, columns: Sequence[Column], taker: BaseDatabaseWrapper
    ) -> None:
        self.table = table
        self.columns = columns
        self.taker = taker

    @contextmanager
    def standing(self) -> Iterator[None]:
        """Make the temporary table, and drop it."""
        [name] = quoted(self.taker, [self.name])
        temporary = "TEMP" if self.taker.vendor == "sqlite" else "TEMPORARY"
        self._run(f"CREATE {temporary} TABLE {name} {self.definition()}")
        try:
            yield
        finally:
            drop = "DROP TEMPORARY" if self.taker.vendor == "mysql" else "DROP"
            # With the session that made it, it is gone already.
            self._run(f"{drop} TABLE IF EXISTS {name}")

    @abstractmethod
    def definition(self) -> str:
        """Return what follows the name in the statement that makes the table."""

    @abstractmethod
    def attempt(self, rows: Sequence[Row]) -> list[str]:
        """Write ``rows``, and return what is wrong with those that were written."""

    @abstractmethod
    def refused(self, key: Key, row: list[Any]) -> list[str]:
        """Return what is wrong with a row that the server refuses."""

    def try_rows(self, rows: Sequence[Row]) -> list[str]:
        """Return a sentence for each value of ``rows`` that does not pass."""
        if not rows:
            return []
        try:
            with transaction.atomic(using=self.taker.alias):
                return self.attempt(rows)
        except (Error, *VALUE_ERRORS) as error:
            if isinstance(error, Error) and is_about_server(error):
                raise
        if len(rows) == 1:
            return self.refused(*rows[0])
        middle = len(rows) // 2
        return [*self.try_rows(rows[:middle]), *self.try_rows(rows[middle:])]

    def write(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
        """Insert ``rows``, of plain values, into the temporary table."""
        written = [
            [column.write(value, self.taker) for column, value in zip(columns, row, strict=True)]
            for row in rows
        ]
        insert(self.name, columns, self.taker, written)

    def _run(self, statement: str) -> list[Any]:
        with self.taker.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


class TypeTrial(Trial):
    """A table with the same types and no constraints: every value must come back as it was."""

    name = _TYPES

    def __init__(
        self, table: MovedTable, columns: Sequence[Column], taker: BaseDatabaseWrapper
    ) -> None:
        super().__init__(table, columns, taker)
        field = models.IntegerField()
        kind = kind_of(field)
        assert isinstance(kind, Kind)  # noqa: S101  One of Django's own.
        self._number = Column(_NUMBER, field, kind)

    def definition(self) -> str:
        """Select nothing; joined like this, no column is ``NOT NULL``."""
        [number, name] = quoted(self.taker, [_NUMBER, self.table.name])
        columns = ", ".join(quoted(self.taker, (c.name for c in self.columns), name))
        return (
            f"AS SELECT 0 AS {number}, {columns} FROM (SELECT 1 AS one) one"  # noqa: S608
            f" LEFT JOIN {name} ON 1 = 0 WHERE 1 = 0"
        )

    def attempt(self, rows: Sequence[Row]) -> list[str]:
        """Write ``rows``, read them back, compare, and delete them."""
        columns = [self._number, *self.columns]
        self.write(columns, [[number, *row] for number, (_, row) in enumerate(rows)])
        [name, number] = quoted(self.taker, [self.name, _NUMBER])
        wanted = ", ".join(
            column.kind.expression(text, self.taker)
            for column, text in zip(
                self.columns, quoted(self.taker, (c.name for c in self.columns)), strict=True
            )
        )
        found = self._run(f"SELECT {wanted} FROM {name} ORDER BY {number}")  # noqa: S608
        self._run(f"DELETE FROM {name}")  # noqa: S608
        return [
            self._sentence(column, key)
            for (key, row), back in zip(rows, found, strict=True)
            for column, value, stored in zip(self.columns, row, back, strict=True)
            if not self._is_same(column, value, stored)
        ]

    def refused(self, key: Key, row: list[Any]) -> list[str]:
        """Write one value after the other, to see which it is."""
        guilty = []
        for column, value in zip(self.columns, row, strict=True):
            try:
                with transaction.atomic(using=self.taker.alias):
                    self.write([self._number, column], [[0, value]])
                    self._run(f"DELETE FROM {quoted(self.taker, [self.name])[0]}")  # noqa: S608
            except (Error, *VALUE_ERRORS):
                guilty.append(self._sentence(column, key))
        return guilty or [f"The row of {self.table.name!r} with the key {key!r} does not fit."]

    def _is_same(self, column: Column, value: Any, stored: Any) -> bool:
        try:
            return bool(column.parse(stored, self.taker) == value)
        except VALUE_ERRORS:
            return False

    def _sentence(self, column: Column, key: Key) -> str:
        what = named(self.table, column.name, key)
        return f"{what} cannot be held exactly by {self.taker.alias!r} ({self.taker.vendor})."


class UniqueTrial(Trial):
    """A copy of the table: values that were different must not become equal."""

    name = _UNIQUE

    def definition(self) -> str:
        """Take columns and indexes of the table."""
        return f"LIKE {quoted(self.taker, [self.table.name])[0]}"

    def attempt(self, rows: Sequence[Row]) -> list[str]:
        """Write ``rows``, which stay."""
        self.write(self.columns, [row for _, row in rows])
        return []

    def refused(self, key: Key, row: list[Any]) -> list[str]:  # noqa: ARG002
        """Name the row: which other it is equal to, the server does not say."""
        return [
            f"The row of {self.table.name!r} with the key {', '.join(key)!r} breaks a constraint of"
            f" {self.taker.alias!r}; texts that differ there by case or accents alone are equal."
        ]


def _has_collated_key(taker: BaseDatabaseWrapper, name: str) -> bool:
    with taker.cursor() as cursor:
        cursor.execute(_COLLATED, [name])
        return cursor.fetchone() is not None
