"""Whether the tables of two databases can hold the same rows, looked at before anything moves."""

from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from .columns import StoredColumn, StoredTable, column_named, stored_table
from .keys import column_field
from .kinds import kind_of
from .settling import are_postgresql
from .tables import MovedTable

# Keys are written down as texts, and these have no text that finds the row again.
_WITHOUT_TEXT = {"BinaryField", "DecimalField", "FloatField"}


def column_problems(
    tables: Iterable[MovedTable], source: BaseDatabaseWrapper, target: BaseDatabaseWrapper
) -> list[str]:
    """Return why rows of ``tables`` cannot go from one database to the other, each a sentence.

    Tables or columns that one of them lacks, other types, partitioned tables, values that only
    one kind of engine has. Values that are too long or too large: see ``find_misfits()``.
    """
    return [problem for table in tables for problem in _problems(table, source, target)]


def _problems(
    table: MovedTable, source: BaseDatabaseWrapper, target: BaseDatabaseWrapper
) -> Iterator[str]:
    found = {}
    for connection in (source, target):
        stored = stored_table(connection, table.name)
        place = f"{table.name!r} in {connection.alias!r}"
        if stored is None:
            yield f"There is no table {place}."
        elif stored.obstacle:
            yield f"The table {place} {stored.obstacle}, and such tables are not moved."
        else:
            found[connection.alias] = stored
            if stored.triggers and connection.vendor != "postgresql":
                yield (
                    f"The table {place} has triggers that would change what is copied:"
                    f" {', '.join(map(repr, stored.triggers))}. Drop them until the move is over."
                )
    if len(found) == 2:
        yield from _differences(table, source, target, found)
        if source.vendor != "postgresql" or target.vendor != "postgresql":
            yield from _without_kind(table, source, target)


def _differences(
    table: MovedTable,
    source: BaseDatabaseWrapper,
    target: BaseDatabaseWrapper,
    found: dict[str, StoredTable],
) -> Iterator[str]:
    ours, theirs = found[source.alias], found[target.alias]
    for name in table.columns:
        mine = column_named(source, ours, name)
        other = column_named(target, theirs, name)
        label = f"{table.name}.{name}"
        for column, alias in ((mine, source.alias), (other, target.alias)):
            if column is None:
                yield f"There is no column {label!r} in {alias!r}."
        if mine and other:
            yield from _compared(label, mine, other, source, target)
    for column in theirs.columns.values():
        if not column.is_generated and column_named(source, ours, column.name) is None:
            yield (
                f"The column {f'{table.name}.{column.name}'!r} is in {target.alias!r}"
                f" and not in {source.alias!r}."
            )


def _compared(
    label: str,
    mine: StoredColumn,
    other: StoredColumn,
    source: BaseDatabaseWrapper,
    target: BaseDatabaseWrapper,
) -> Iterator[str]:
    if other.is_generated:
        yield f"The column {label!r} is computed in {target.alias!r}, and not in {source.alias!r}."
    if mine.is_nullable and not other.is_nullable:
        yield f"The column {label!r} may be NULL in {source.alias!r}, and not in {target.alias!r}."
    is_postgresql = are_postgresql(source, target)
    if is_postgresql and mine.type != other.type:
        yield (
            f"The column {label!r} has the type {mine.type!r} in {source.alias!r},"
            f" and {other.type!r} in {target.alias!r}."
        )


def _without_kind(
    table: MovedTable, source: BaseDatabaseWrapper, target: BaseDatabaseWrapper
) -> Iterator[str]:
    """Yield the columns whose values nothing here carries between these engines."""
    for name in table.columns:
        label = f"{table.name}.{name}"
        field = column_field(table, name)
        if field is None:
            yield f"No field of {table.model.__name__} knows the column {label!r}."
            continue
        kind = kind_of(field)
        if kind is None:
            yield (
                f"Values of {type(field).__name__}, as in {label!r}, cannot go from"
                f" {source.vendor} to {target.vendor}."
            )
        elif name in table.key and kind.name in _WITHOUT_TEXT:
            yield f"Rows cannot be told apart by {label!r}: it is a {type(field).__name__}."
