"""Whether the taker can hold every value exactly, tried before anything is written to its tables.

Predicting what each engine does with each value would be guessing: the rows are written to a
temporary table of the taker's with the same types, and read back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .dangling import dangling
from .keys import Key, next_boundary
from .kinds import VALUE_ERRORS
from .rows import Column, columns_of, named, raw_rows
from .settling import settle
from .tables import MovedTable
from .trials import trial_tables

# Rows that are tried at once, and sentences about one table.
_ROWS = 1000
_MOST = 20


def find_misfits(
    tables: Iterable[MovedTable],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    *,
    report: Callable[[str, int], None],
) -> list[str]:
    """Return a sentence for each value of the giver that the taker cannot hold exactly.

    Sentences name table, column and key, never the value; of each table the first ones. Between
    two databases of one kind of engine nothing is read. ``report`` is told the rows of each table
    that were looked at since it was called last.
    """
    if giver.vendor == taker.vendor:
        return []
    for connection in (giver, taker):
        settle(connection)
    wanted = list(tables)
    names = {table.name for table in wanted}
    found = []
    for table in wanted:
        found += _misfits(table, giver, taker, report)
        found += dangling(table, giver, names)
    return found


def _misfits(
    table: MovedTable,
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
    report: Callable[[str, int], None],
) -> list[str]:
    found: list[str] = []
    columns = columns_of(table)
    with trial_tables(table, columns, taker) as trials:
        for batch in _batches(table, giver, columns):
            rows, before = [], len(found)
            for key, stored in batch:
                row, misfits = _parsed(table, columns, key, stored, giver)
                found += misfits
                if not misfits:
                    rows.append((key, row))
            for trial in trials:
                # What has passed one trial goes to the next.
                if len(found) == before:
                    found += trial.try_rows(rows)
            report(table.name, len(batch))
            if len(found) >= _MOST:
                return [*found[:_MOST], f"There may be more in {table.name!r}."]
    return found


def _parsed(
    table: MovedTable,
    columns: Sequence[Column],
    key: Key,
    stored: Sequence[Any],
    giver: BaseDatabaseWrapper,
) -> tuple[list[Any], list[str]]:
    row, misfits = [], []
    for column, value in zip(columns, stored, strict=True):
        try:
            row.append(column.parse(value, giver))
        except VALUE_ERRORS:
            kind = column.kind.name
            misfits.append(f"{named(table, column.name, key)} is none that {kind} can have.")
    return row, misfits


def _batches(
    table: MovedTable, giver: BaseDatabaseWrapper, columns: Sequence[Column]
) -> Iterator[list[tuple[Key, Sequence[Any]]]]:
    """Yield the rows of the giver, some hundred at a time."""
    lower: Key | None = None
    while table.key:
        upper = next_boundary(table, giver, lower, _ROWS)
        yield list(raw_rows(table, giver, columns, lower=lower, upper=upper))
        if upper is None:
            return
        lower = upper
    rows = raw_rows(table, giver, columns)
    while batch := list(islice(rows, _ROWS)):
        yield batch
