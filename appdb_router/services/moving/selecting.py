"""Naming many rows of a PostgreSQL database by their keys."""

from collections.abc import Iterable
from functools import partial

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Condition, Key, quoted
from .remembering import remembered
from .tables import MovedTable

_TYPES = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attname = ANY(%s)
"""


def having(table: MovedTable, connection: BaseDatabaseWrapper, keys: Iterable[Key]) -> Condition:
    """Return the condition for the rows with ``keys``, however many those are."""
    columns = list(zip(*keys, strict=True)) or [()] * len(table.key)
    types = remembered(connection, ("types", table), partial(_types, table, connection))
    names = [f"key_{number}" for number, _ in enumerate(columns)]
    casts = (f"{name}::{types[column]}" for name, column in zip(names, table.key, strict=True))
    arrays = ", ".join(["%s::text[]"] * len(columns))
    return (
        f"({', '.join(quoted(connection, table.key))}) IN (SELECT {', '.join(casts)}"  # noqa: S608
        f" FROM unnest({arrays}) AS keys ({', '.join(names)}))",
        [list(column) for column in columns],
    )


def _types(table: MovedTable, connection: BaseDatabaseWrapper) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(_TYPES, [*quoted(connection, [table.name]), list(table.key)])
        return dict(cursor.fetchall())
