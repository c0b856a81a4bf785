"""What the rows of a table come to, in one of the two databases that are compared."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from hashlib import sha256
from threading import Event
from typing import Any, NamedTuple, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from .keys import Key
from .rows import keyed_rows
from .tables import MovedTable

# More digits than any number has.
_EXACT = Context(prec=1_000_000)
_MOST = 1 << 64


class Total(NamedTuple):
    """How many rows there are, and a sum of what they hold that is the same in any order."""

    rows: int
    sum: int


@dataclass(frozen=True)
class Part:
    """Rows of a table: those behind ``lower`` up to ``upper``, or some of ``count`` buckets.

    The bucket of a row is a number that its key comes to, so it depends on no order. No ``buckets``
    are all of them.
    """

    lower: Key | None = None
    upper: Key | None = None
    buckets: tuple[int, ...] = ()
    count: int = 1


class Side(Protocol):
    """A table in one of the databases."""

    connection: BaseDatabaseWrapper

    def total(self, part: Part) -> Total:
        """Return what the rows of ``part`` come to."""

    def totals(self, count: int) -> Mapping[int, Total]:
        """Return what each of ``count`` buckets comes to, of those that have rows."""

    def rows(self, part: Part) -> dict[Key, bytes]:
        """Return a digest of each row of ``part``."""

    def rows_with(self, keys: Iterable[Key]) -> dict[Key, bytes]:
        """Return a digest of each row that has one of ``keys``."""

    def cancel(self) -> None:
        """Let what another thread has asked for end with an error."""


class ClientSide:
    """Reads the rows, and compares their values as Django's fields mean them."""

    def __init__(self, table: MovedTable, connection: BaseDatabaseWrapper) -> None:
        self._table, self.connection = table, connection
        self._cancelled = Event()
        self._key = [table.columns.index(column) for column in table.key]

    def total(self, part: Part) -> Total:
        """Return what the rows of ``part`` come to."""
        return _sum(_digest(row) for _, row in self._read(part))

    def totals(self, count: int) -> Mapping[int, Total]:
        """Return what each of ``count`` buckets comes to, of those that have rows."""
        found: dict[int, Total] = defaultdict(lambda: Total(0, 0))
        for _, row in self._read(Part()):
            bucket = self._number(row) % count
            before = found[bucket]
            found[bucket] = Total(before.rows + 1, (before.sum + _number(_digest(row))) % _MOST)
        return found

    def rows(self, part: Part) -> dict[Key, bytes]:
        """Return a digest of each row of ``part``."""
        return {key: _digest(row) for key, row in self._read(part)}

    def rows_with(self, keys: Iterable[Key]) -> dict[Key, bytes]:
        """Return a digest of each row that has one of ``keys``."""
        found = keyed_rows(self._table, self.connection, keys=keys)
        return {key: _digest(row) for key, row in found}

    def cancel(self) -> None:
        """Let what another thread has asked for end with an error."""
        self._cancelled.set()

    def _read(self, part: Part) -> Iterator[tuple[Key, list[Any]]]:
        found = keyed_rows(self._table, self.connection, lower=part.lower, upper=part.upper)
        for key, row in found:
            if self._cancelled.is_set():
                raise MoveError("The comparison was stopped.")
            if not part.buckets or self._number(row) % part.count in part.buckets:
                yield key, row

    def _number(self, row: list[Any]) -> int:
        return _number(_digest([row[place] for place in self._key]))


def _sum(digests: Iterable[bytes]) -> Total:
    rows = total = 0
    for digest in digests:
        rows += 1
        total = (total + _number(digest)) % _MOST
    return Total(rows, total)


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "big")


def _digest(row: list[Any]) -> bytes:
    """Return a digest that is the same for the same values, whichever engine they come from."""
    text = "\0".join(map(_written, row))
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _written(value: Any) -> str:
    # A text cannot be taken for anything else, since it has quotes; nor can it hold the separator.
    if isinstance(value, Decimal):
        return str(value.normalize(_EXACT)) if value else "0"
    return repr(value)
