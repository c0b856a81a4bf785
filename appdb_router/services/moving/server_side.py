"""What the rows of a table come to, as a PostgreSQL server itself computes it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from .columns import stored_table
from .keys import Condition, Key, between, key_texts, quoted, read_key
from .remembering import remembered
from .selecting import having
from .settling import apply_settings, settle
from .tables import MovedTable
from .totals import Part, Total

# Beside what a session of a move has anyway: what the text of a value depends on.
_SETTINGS = {"TimeZone": "UTC", "lc_monetary": "C"}

_COLLATED = """
    SELECT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attname = ANY(%s) AND attcollation <> 0
    )
"""


class ServerSide:
    """Lets the server sum up its rows; only where two sums differ are rows looked at by key.

    The sum is of a fast hash. The digest of a row is a cryptographic one of its text in UTF-8,
    whatever the encodings of the two databases are.
    """

    def __init__(self, table: MovedTable, connection: BaseDatabaseWrapper) -> None:
        self._table, self.connection = table, connection
        [self._name] = quoted(connection, [table.name])
        columns = remembered(
            connection, ("columns", table), partial(_all_columns, table, connection)
        )
        self._row = f"ROW({', '.join(quoted(connection, columns))})::text"
        self._keys = key_texts(table, connection)

    def total(self, part: Part) -> Total:
        """Return what the rows of ``part`` come to."""
        # Where there is no key to look more closely by, the sum has to be the last word.
        hashed = _hash(self._row) if self._table.key else _hash(_hex(_digest(self._row)))
        [found] = self._select(f"count(*), coalesce(sum({hashed}::numeric), 0)", self._where(part))
        return Total(*found)

    def totals(self, count: int) -> Mapping[int, Total]:
        """Return what each of ``count`` buckets comes to, of those that have rows."""
        found = self._select(
            f"{self._bucket(count)}, count(*), sum({_hash(self._row)}::numeric)",
            self._where(Part()),
            "GROUP BY 1",
        )
        return {bucket: Total(rows, total) for bucket, rows, total in found}

    def rows(self, part: Part) -> dict[Key, bytes]:
        """Return a digest of each row of ``part``."""
        return self._digests(self._where(part))

    def rows_with(self, keys: Iterable[Key]) -> dict[Key, bytes]:
        """Return a digest of each row that has one of ``keys``."""
        return self._digests(having(self._table, self.connection, keys))

    def cancel(self) -> None:
        """Let what another thread has asked for end with an error."""
        self.connection.connection.cancel()

    def _digests(self, condition: Condition) -> dict[Key, bytes]:
        found = self._select(", ".join([*self._keys, _digest(self._row)]), condition)
        return {read_key(row[:-1]): bytes(row[-1]) for row in found}

    def _where(self, part: Part) -> Condition:
        condition, parameters = between(self._table, self.connection, part.lower, part.upper)
        if part.buckets:
            condition += f" AND {self._bucket(part.count)} = ANY(%s)"
            parameters = [*parameters, list(part.buckets)]
        return condition, parameters

    def _bucket(self, count: int) -> str:
        # Its bits but that of the sign, of a text that is the same in all encodings.
        key = _hash(_hex(f"convert_to(ROW({', '.join(self._keys)})::text, 'UTF8')"))
        return f"(({key} & 9223372036854775807) %% {count:d})"

    def _select(self, what: str, condition: Condition, more: str = "") -> list[tuple[Any, ...]]:
        where, parameters = condition
        statement = f"SELECT {what} FROM {self._name} WHERE {where} {more}"  # noqa: S608
        with self.connection.cursor() as cursor:
            # With parameters, also if there are none: a percent sign is written twice.
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())


def is_collated(table: MovedTable, connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the order of the keys of ``table`` depends on a collation."""
    with connection.cursor() as cursor:
        cursor.execute(_COLLATED, [*quoted(connection, [table.name]), list(table.key)])
        return bool(cursor.fetchone()[0])


@contextmanager
def comparable(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let the same values have the same text in this block, on every server."""
    settle(connection)
    if connection.vendor != "postgresql":
        yield
        return
    before = _set(connection, _SETTINGS)
    try:
        yield
    finally:
        # A transaction that failed, or a connection that is gone, has them no more.
        with suppress(Error):
            _set(connection, before)


def _set(connection: BaseDatabaseWrapper, settings: Mapping[str, str]) -> dict[str, str]:
    """Set what ``settings`` say, and return what was set before."""
    getting = ", ".join(["current_setting(%s)"] * len(settings))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {getting}", list(settings))
        before = dict(zip(settings, cursor.fetchone(), strict=True))
    apply_settings(connection, settings)
    return before


def _all_columns(table: MovedTable, connection: BaseDatabaseWrapper) -> list[str]:
    """Return the columns, with those that the server computes, in an order that both share."""
    stored = stored_table(connection, table.name)
    columns = stored.columns.values() if stored else ()
    return [*table.columns, *sorted(column.name for column in columns if column.is_generated)]


def _hash(text: str) -> str:
    return f"hashtextextended({text}, 0)"


def _digest(text: str) -> str:
    return f"sha256(convert_to({text}, 'UTF8'))"


def _hex(data: str) -> str:
    return f"encode({data}, 'hex')"
