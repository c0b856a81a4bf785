"""Whether tables hold the same rows in two databases, and if not, which rows differ."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event

from django.db.backends.base.base import BaseDatabaseWrapper

from .both_sides import BothSides, both_sides
from .keys import WHOLE_NUMBERS, Key, column_type, next_boundary, translated
from .server_side import is_collated
from .tables import MovedTable
from .totals import Part, Total

__all__ = ["Difference"]

Range = tuple[Key | None, Key | None]

# Where the keys have no order in common, rows are compared in so many parts of a chunk; and so
# many of those are looked at more closely at once.
_PARTS = 100


@dataclass(frozen=True)
class Compared:
    """Rows of a table that were compared, as many as the first database has of them."""

    table: str
    rows: int


@dataclass(frozen=True)
class Difference:
    """A range of keys in which the rows of ``table`` differ, behind ``lower`` up to ``upper``.

    ``keys`` are the first rows that differ, or that one side lacks; ``is_cut`` if there are more.
    A table without a key has none. Keys are texts as the giver writes them; ``giver_rows`` and
    ``taker_rows`` are how many rows of the range the two sides have.
    """

    table: str
    lower: Key | None
    upper: Key | None
    keys: tuple[Key, ...]
    giver_rows: int
    taker_rows: int
    is_cut: bool = False


def compare_tables(
    tables: Iterable[MovedTable],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    *,
    chunk_rows: int = 50_000,
    ranges: Mapping[str, Sequence[Range]] | None = None,
    keys_limit: int = 10,
    report: Callable[[Compared], None] = lambda _: None,
    stop: Event | None = None,
) -> Iterator[Difference]:
    """Yield the ranges of keys in which ``tables`` differ, all columns and all rows compared.

    PostgreSQL servers sum up their rows themselves, both at the same time; otherwise the rows are
    read, and values compared as the fields mean them, without generated columns. About
    ``chunk_rows`` rows make a range; a table whose keys have no common order in the two databases
    is one, whatever its size, and so is one without a key. ``ranges``, by the name of the table,
    are the only ones to look at; of each ``keys_limit`` keys are named.

    A row that is written in between may look different: compare its key again, with
    ``differing_keys()``. Raises ``MoveError`` when ``stop`` is set, and for a value that is none of
    its column's kind.
    """
    with both_sides(giver, taker, stop or Event()) as both:
        for table in tables:
            if ranges is None or table.name in ranges:
                wanted = None if ranges is None else ranges[table.name]
                comparison = _Comparison(table, both, chunk_rows, keys_limit, report)
                yield from comparison.differences(wanted)


def differing_keys(
    table: MovedTable,
    keys: Iterable[Key],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    *,
    stop: Event | None = None,
) -> set[Key]:
    """Return those of ``keys`` whose rows differ, or are on one side only.

    They are texts as the giver writes them. All of their rows are compared at once.
    """
    wanted = list(keys)
    theirs = translated(table, wanted, giver, taker)
    with both_sides(giver, taker, stop or Event()) as both:
        ours, others = both.ask(
            table, lambda side, is_giver: side.rows_with(wanted if is_giver else theirs)
        )
    return _differing(table, ours, others, both)


class _Comparison:
    """Compares one table."""

    def __init__(
        self,
        table: MovedTable,
        both: BothSides,
        chunk_rows: int,
        keys_limit: int,
        report: Callable[[Compared], None],
    ) -> None:
        self._table, self._both = table, both
        self._chunk_rows, self._keys_limit, self._report = chunk_rows, keys_limit, report

    def differences(self, ranges: Iterable[Range] | None) -> Iterator[Difference]:
        """Yield what differs in ``ranges``, or anywhere."""
        if self._has_order():
            for lower, upper in self._fresh() if ranges is None else ranges:
                yield from self._compare(Part(lower, upper))
        else:
            yield from self._compare_whole()

    def _has_order(self) -> bool:
        """Tell whether the keys have the same order on both sides, with any collations."""
        table, both = self._table, self._both
        if not table.key:
            return False
        if both.are_servers:
            return not (is_collated(table, both.giver) or is_collated(table, both.taker))
        return all(column_type(table, column) in WHOLE_NUMBERS for column in table.key)

    def _fresh(self) -> Iterator[Range]:
        lower = None
        for upper in self._boundaries(self._both.giver, None):
            yield lower, upper
            lower = upper
        yield lower, None

    def _boundaries(self, connection: BaseDatabaseWrapper, lower: Key | None) -> Iterator[Key]:
        """Yield the key of each so many rows behind ``lower`` that ``connection`` has."""
        giver, table = self._both.giver, self._table
        found = lower and translated(table, [lower], giver, connection)[0]
        while found := next_boundary(table, connection, found, self._chunk_rows):
            yield translated(table, [found], connection, giver)[0]

    def _compare(self, part: Part, *, is_first: bool = True) -> Iterator[Difference]:
        ours, theirs = self._totals(part)
        if is_first:
            self._report(Compared(self._table.name, ours.rows))
        if ours == theirs:
            return
        if max(ours.rows, theirs.rows) > 2 * self._chunk_rows:
            for piece in self._split(part, ours, theirs):
                yield from self._compare(piece, is_first=False)
        elif keys := self._differing(part):
            yield self._difference(part, keys, ours, theirs)

    def _split(self, part: Part, ours: Total, theirs: Total) -> Iterator[Part]:
        """Yield ranges of which none has too many rows of the side that has more of them."""
        giver, taker = self._both.giver, self._both.taker
        connection = giver if ours.rows >= theirs.rows else taker
        lower = part.lower
        number = max(ours.rows, theirs.rows) // self._chunk_rows
        for upper in islice(self._boundaries(connection, lower), number):
            yield Part(lower, upper)
            lower = upper
        yield Part(lower, part.upper)

    def _compare_whole(self) -> Iterator[Difference]:
        ours, theirs = self._totals(Part())
        self._report(Compared(self._table.name, ours.rows))
        if ours == theirs:
            return
        if not self._table.key:
            yield self._difference(Part(), set(), ours, theirs)
            return
        count = max(ours.rows, theirs.rows) * _PARTS // self._chunk_rows + 1
        our_parts, their_parts = self._both.ask(self._table, lambda side, _: side.totals(count))
        suspects = sorted(
            number
            for number in our_parts.keys() | their_parts.keys()
            if our_parts.get(number) != their_parts.get(number)
        )
        keys: set[Key] = set()
        for start in range(0, len(suspects), _PARTS):
            keys |= self._differing(
                Part(buckets=tuple(suspects[start : start + _PARTS]), count=count)
            )
            if len(keys) > self._keys_limit:
                break
        if keys:
            yield self._difference(Part(), keys, ours, theirs)

    def _totals(self, part: Part) -> tuple[Total, Total]:
        theirs = self._theirs(part)
        return self._both.ask(
            self._table, lambda side, is_giver: side.total(part if is_giver else theirs)
        )

    def _differing(self, part: Part) -> set[Key]:
        theirs = self._theirs(part)
        found = self._both.ask(
            self._table, lambda side, is_giver: side.rows(part if is_giver else theirs)
        )
        return _differing(self._table, *found, self._both)

    def _theirs(self, part: Part) -> Part:
        """Return ``part`` with its bounds as the taker writes them."""
        bounds = [
            key and translated(self._table, [key], self._both.giver, self._both.taker)[0]
            for key in (part.lower, part.upper)
        ]
        return replace(part, lower=bounds[0], upper=bounds[1])

    def _difference(self, part: Part, keys: set[Key], ours: Total, theirs: Total) -> Difference:
        return Difference(
            self._table.name,
            part.lower,
            part.upper,
            tuple(sorted(keys, key=_as_numbers)[: self._keys_limit]),
            ours.rows,
            theirs.rows,
            is_cut=len(keys) > self._keys_limit,
        )


def _differing(
    table: MovedTable, ours: Mapping[Key, bytes], theirs: Mapping[Key, bytes], both: BothSides
) -> set[Key]:
    """Return the keys of rows that are not on both sides, or not the same there."""
    names = translated(table, theirs, both.taker, both.giver)
    others = dict(zip(names, theirs.values(), strict=True))
    return {key for key in ours.keys() | others.keys() if ours.get(key) != others.get(key)}


def _as_numbers(key: Key) -> list[tuple[int, str]]:
    """Return what sorts keys so that 9 comes before 10."""
    return [(len(text) if text.isdecimal() else 0, text) for text in key]
