"""Whether tables have rows, and emptying them."""

from collections.abc import Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..catalogs import standing_tables
from .passing import passing
from .tables import MovedTable


def has_rows(table: str, connection: BaseDatabaseWrapper) -> bool:
    """Tell whether ``table`` is there and has a row."""
    if not standing_tables(connection, [table]):
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608
        return cursor.fetchone() is not None


def empty(tables: Sequence[MovedTable], connection: BaseDatabaseWrapper, token: str) -> None:
    """Delete all rows of ``tables``, in one transaction; triggers of a move let that pass."""
    names = [connection.ops.quote_name(table.name) for table in tables]
    with (
        connection.constraint_checks_disabled(),
        transaction.atomic(using=connection.alias),
        passing(connection, token),
        connection.cursor() as cursor,
    ):
        if connection.vendor == "postgresql":
            cursor.execute(f"TRUNCATE {', '.join(names)}")
        else:
            for name in reversed(names):
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608
