"""Reading and writing the rows of moved tables, between any two engines, value by value."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from .keys import Key, among, batches, between, column_field, key_texts, quoted, read_key
from .kinds import VALUE_ERRORS, Kind, kind_of
from .tables import MovedTable

__all__ = ["delete_keys", "read_rows", "write_rows"]

# So many rows are held in memory at once.
_ROWS = 500


@dataclass(frozen=True)
class Column:
    """A column that is carried; the kind is that of ``field``."""

    name: str
    field: Any
    kind: Kind

    def parse(self, value: Any, giver: BaseDatabaseWrapper) -> Any:
        """Return the plain value of what the giver's driver gave; see ``Kind``."""
        return None if value is None else self.kind.parse(value, self.field, giver)

    def write(self, value: Any, taker: BaseDatabaseWrapper) -> Any:
        """Return what the taker's driver takes for a plain value."""
        return None if value is None else self.kind.write(value, self.field, taker)


def columns_of(table: MovedTable) -> list[Column]:
    """Return the columns of ``table`` with their kinds.

    Raises ``MoveError`` for a column that only one kind of engine has.
    """
    found = []
    for name in table.columns:
        model_field = column_field(table, name)
        kind = model_field and kind_of(model_field)
        if not kind:
            raise MoveError(
                f"The values of {f'{table.name}.{name}'!r} can only be moved as they are."
            )
        found.append(Column(name, model_field, kind))
    return found


def read_rows(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    *,
    lower: Key | None = None,
    upper: Key | None = None,
    keys: Iterable[Key] | None = None,
) -> Iterator[list[Any]]:
    """Yield the rows behind ``lower`` up to ``upper``, or those with ``keys``, in their order.

    The values are plain: equal in Python exactly if they are the same, whatever engine they are
    read from (moments are in UTC; JSON is a ``JsonValue``; NaN is never equal). They are streamed,
    so on MySQL the connection is taken until the last of them.
    Raises ``MoveError`` for a value that is none of its column's kind.
    """
    columns = columns_of(table)
    for key, stored in raw_rows(table, giver, columns, lower=lower, upper=upper, keys=keys):
        row = []
        for column, value in zip(columns, stored, strict=True):
            try:
                row.append(column.parse(value, giver))
            except VALUE_ERRORS:
                raise MoveError(
                    f"{named(table, column.name, key)} cannot be read as {column.kind.name}."
                ) from None
        yield row


def raw_rows(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    columns: Sequence[Column],
    *,
    lower: Key | None = None,
    upper: Key | None = None,
    keys: Iterable[Key] | None = None,
    name: str | None = None,
) -> Iterator[tuple[Key, Sequence[Any]]]:
    """Yield each row as the driver gives it, with its key; see ``read_rows()``.

    ``name`` is that of another table with the same columns.
    """
    conditions = [between(table, giver, lower, upper)]
    if keys is not None:
        conditions = [among(table, giver, batch) for batch in batches(table, giver, keys)]
    [source] = quoted(giver, [name or table.name])
    texts = key_texts(table, giver)
    wanted = [
        column.kind.expression(quoted_name, giver)
        for column, quoted_name in zip(
            columns, quoted(giver, (c.name for c in columns)), strict=True
        )
    ]
    order = ", ".join(quoted(giver, table.key, source))
    for condition, parameters in conditions:
        statement = f"SELECT {', '.join([*texts, *wanted])} FROM {source} WHERE {condition}"  # noqa: S608
        if order:
            statement += f" ORDER BY {order}"
        for row in _streamed(giver, statement, parameters):
            yield read_key(row[: len(texts)]), row[len(texts) :]


def write_rows(table: MovedTable, taker: BaseDatabaseWrapper, rows: Iterable[Sequence[Any]]) -> int:
    """Insert ``rows``, as ``read_rows()`` gives them, and return how many they were.

    No signal is sent, and no default or ``pre_save`` is asked.
    """
    columns = columns_of(table)
    return insert(
        table.name,
        columns,
        taker,
        ([c.write(v, taker) for c, v in zip(columns, row, strict=True)] for row in rows),
    )


def insert(
    name: str,
    columns: Sequence[Column],
    taker: BaseDatabaseWrapper,
    rows: Iterable[Sequence[Any]],
) -> int:
    """Insert rows of what the taker's driver takes into the table ``name``."""
    [target] = quoted(taker, [name])
    names = ", ".join(quoted(taker, (column.name for column in columns)))
    count = 0
    with taker.cursor() as cursor:
        if taker.vendor == "postgresql":
            statement = f"COPY {target} ({names}) FROM STDIN"
            with taker.wrap_database_errors, cursor.cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
                    count += 1
            return count
        places = ", ".join(["%s"] * len(columns))
        statement = f"INSERT INTO {target} ({names}) VALUES ({places})"  # noqa: S608
        remaining = iter(rows)
        while batch := list(islice(remaining, _ROWS)):
            cursor.executemany(statement, batch)
            count += len(batch)
    return count


def delete_keys(table: MovedTable, taker: BaseDatabaseWrapper, keys: Iterable[Key]) -> None:
    """Delete the rows with ``keys``, which are texts of the taker (see ``keys.translated()``)."""
    [target] = quoted(taker, [table.name])
    with transaction.atomic(using=taker.alias), taker.cursor() as cursor:
        for batch in batches(table, taker, keys):
            condition, parameters = among(table, taker, batch)
            cursor.execute(f"DELETE FROM {target} WHERE {condition}", parameters)  # noqa: S608


def named(table: MovedTable, column: str, key: Key) -> str:
    """Return how messages name a value: by table, column and key, and never by itself."""
    if not key:
        return f"A value of {f'{table.name}.{column}'!r}"
    return f"The value of {f'{table.name}.{column}'!r} in the row with the key {', '.join(key)!r}"


def _streamed(
    giver: BaseDatabaseWrapper, statement: str, parameters: Sequence[Any]
) -> Iterator[Sequence[Any]]:
    """Yield the rows of a query; no more than some hundred are in memory at once."""
    with _streaming_cursor(giver) as cursor:
        cursor.execute(statement, parameters)
        while rows := cursor.fetchmany(_ROWS):
            yield from rows


def _streaming_cursor(giver: BaseDatabaseWrapper) -> Any:
    if giver.vendor != "mysql":
        return giver.chunked_cursor()
    # The usual one holds all rows in the client.
    driver: Any = giver.Database  # type: ignore[attr-defined]
    giver.ensure_connection()
    with giver.wrap_database_errors:
        return closing(giver.connection.cursor(driver.cursors.SSCursor))
