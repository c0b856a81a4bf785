"""Primary keys as texts: how statements name, order and bound the rows of a moved table.

A key is a tuple of texts, one for each of ``MovedTable.key``. Conditions are SQL for
``cursor.execute()`` with their parameters.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from .tables import MovedTable

Key = tuple[str, ...]
Condition = tuple[str, list[Any]]

# A statement with more keys than this takes longer to plan than it saves.
_MOST_KEYS = 1000
# Whole numbers have the same order on every engine.
WHOLE_NUMBERS = frozenset(
    {
        "AutoField",
        "BigAutoField",
        "BigIntegerField",
        "IntegerField",
        "PositiveBigIntegerField",
        "PositiveIntegerField",
        "PositiveSmallIntegerField",
        "SmallAutoField",
        "SmallIntegerField",
    }
)
_INTEGERS = WHOLE_NUMBERS | {"BooleanField", "DurationField"}


def quoted(connection: BaseDatabaseWrapper, names: Iterable[str], row: str = "") -> list[str]:
    """Return each of ``names`` as a quoted identifier.

    ``row`` is what a column belongs to (a table's alias, ``NEW`` or ``OLD``), as it is.
    """
    prefix = f"{row}." if row else ""
    return [prefix + connection.ops.quote_name(name) for name in names]


def column_type(table: MovedTable, column: str) -> str:
    """Return the internal type of the field of ``column``: of a relation, that of its target.

    It is empty for a column that no field knows.
    """
    field: Any = column_field(table, column)
    return "" if field is None else str(field.get_internal_type())


def column_field(table: MovedTable, column: str) -> Any:
    """Return the field whose values ``column`` holds: for a relation, the one it refers to."""
    fields: Any = table.model._meta.local_concrete_fields
    field = next((field for field in fields if field.column == column), None)
    while field is not None and field.remote_field:
        field = field.target_field
    return field


def key_texts(table: MovedTable, connection: BaseDatabaseWrapper, row: str = "") -> list[str]:
    """Return the expressions that give the key of a row as texts, in the order of the key.

    They are those of this engine, for queries and for triggers (``row``: see ``quoted()``), and
    give back the same row in whatever session they are used: on PostgreSQL dates are written in
    ISO's form whatever ``DateStyle`` is.
    """
    columns = quoted(connection, table.key, row)
    if connection.vendor == "mysql":
        return [f"CAST({column} AS CHAR)" for column in columns]
    if connection.vendor == "sqlite":
        return [f"CAST({column} AS TEXT)" for column in columns]
    return [
        f"(to_json({column}) #>> '{{}}')"
        if column_type(table, name) in {"DateField", "DateTimeField"}
        else f"{column}::text"
        for name, column in zip(table.key, columns, strict=True)
    ]


def read_key(row: Sequence[Any]) -> Key:
    """Return the key in ``row``, which is what ``key_texts()`` selected."""
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in row)


def between(
    table: MovedTable, connection: BaseDatabaseWrapper, lower: Key | None, upper: Key | None
) -> Condition:
    """Return the condition for the rows behind ``lower``, up to and with ``upper``.

    ``None`` is no bound. The order is that of the columns in this database, with their collations.
    """
    conditions, parameters = [], []
    for comparison, key in ((">", lower), ("<=", upper)):
        if key is not None:
            condition, found = _compared(table, connection, comparison, key)
            conditions.append(condition)
            parameters += found
    return " AND ".join(conditions) or "1 = 1", parameters


def among(table: MovedTable, connection: BaseDatabaseWrapper, keys: Iterable[Key]) -> Condition:
    """Return the condition for the rows that have one of ``keys``; see ``batches()``."""
    wanted = sorted(keys)
    if not wanted:
        return "1 = 0", []
    parameters = [value for key in wanted for value in _parameters(table, connection, key)]
    if len(table.key) == 1:
        places = ", ".join(["%s"] * len(wanted))
        return f"{quoted(connection, table.key)[0]} IN ({places})", parameters
    place = f"({', '.join(['%s'] * len(table.key))})"
    # SQLite compares rows with a list of rows only if it is a query.
    values = "VALUES " if connection.vendor == "sqlite" else ""
    places = ", ".join([place] * len(wanted))
    return f"({', '.join(quoted(connection, table.key))}) IN ({values}{places})", parameters


def batches(
    table: MovedTable, connection: BaseDatabaseWrapper, keys: Iterable[Key]
) -> Iterator[list[Key]]:
    """Yield ``keys`` in the order of their texts, as many at a time as one statement takes."""
    most = connection.features.max_query_params or _MOST_KEYS
    size = max(1, min(_MOST_KEYS, most // len(table.key)))
    wanted = sorted(keys)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def next_boundary(
    table: MovedTable, connection: BaseDatabaseWrapper, lower: Key | None, rows: int
) -> Key | None:
    """Return the key of the row that is the ``rows``-th behind ``lower``.

    ``None``: there are fewer, so a chunk that begins at ``lower`` has no upper bound.
    """
    condition, parameters = between(table, connection, lower, None)
    [name] = quoted(connection, [table.name])
    # The plain name of a column may be that of its text, which is in another order.
    order = ", ".join(quoted(connection, table.key, name))
    statement = (
        f"SELECT {', '.join(key_texts(table, connection))} FROM {name} WHERE {condition}"  # noqa: S608
        f" ORDER BY {order} LIMIT 1 OFFSET {rows - 1:d}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = cursor.fetchone()
    return None if found is None else read_key(found)


def translated(
    table: MovedTable,
    keys: Iterable[Key],
    giver: BaseDatabaseWrapper,
    taker: BaseDatabaseWrapper,
) -> list[Key]:
    """Return ``keys``, which are texts of the giver, as the taker writes them, in their order."""
    if giver.vendor == taker.vendor:
        return list(keys)
    types = [column_type(table, column) for column in table.key]
    return [
        tuple(_translate(text, kind, giver, taker) for text, kind in zip(key, types, strict=True))
        for key in keys
    ]


def _translate(text: str, kind: str, giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper) -> str:
    if kind == "UUIDField":
        value = uuid.UUID(text)
        return str(value) if taker.features.has_native_uuid_field else value.hex
    if kind == "BooleanField":
        is_true = text in {"1", "true"}
        return ("false", "true")[is_true] if taker.vendor == "postgresql" else str(int(is_true))
    if kind == "DateTimeField":
        moment: Any = parse_datetime(text)
        if giver.timezone and timezone.is_naive(moment):
            moment = timezone.make_aware(moment, giver.timezone)
        if taker.timezone and taker.vendor != "postgresql":
            moment = timezone.make_naive(moment, taker.timezone)
        return str(moment)
    return text


def _compared(
    table: MovedTable, connection: BaseDatabaseWrapper, comparison: str, key: Key
) -> Condition:
    columns = quoted(connection, table.key)
    parameters = _parameters(table, connection, key)
    if len(columns) == 1:
        return f"{columns[0]} {comparison} %s", parameters
    if connection.vendor != "mysql":
        places = ", ".join(["%s"] * len(columns))
        return f"({', '.join(columns)}) {comparison} ({places})", parameters
    # MySQL reads the whole table for a comparison of rows, and a part of the index for this.
    steps, needed = [], [parameters[0]]
    for number, column in enumerate(columns):
        last = comparison if number == len(columns) - 1 else comparison[0]
        equal = [f"{before} = %s" for before in columns[:number]]
        steps.append(f"({' AND '.join([*equal, f'{column} {last} %s'])})")
        needed += parameters[: number + 1]
    return f"({columns[0]} {comparison[0]}= %s AND ({' OR '.join(steps)}))", needed


def _parameters(table: MovedTable, connection: BaseDatabaseWrapper, key: Key) -> list[Any]:
    """Return what stands for ``key`` in a statement.

    A text without a type becomes what it is compared with, on PostgreSQL and SQLite; MySQL would
    compare it with an integer as two floating-point numbers.
    """
    if connection.vendor != "mysql":
        return list(key)
    return [
        int(text) if column_type(table, column) in _INTEGERS else text
        for column, text in zip(table.key, key, strict=True)
    ]
