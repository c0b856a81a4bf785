"""Rows that refer to rows which are not there, as SQLite and MySQL may have them."""

from collections.abc import Collection
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import quoted
from .tables import MovedTable

__all__ = ["dangling"]


def dangling(table: MovedTable, giver: BaseDatabaseWrapper, names: Collection[str]) -> list[str]:
    """Return a sentence for each relation of ``table`` within ``names`` that dangles.

    The taker would refuse its constraint when all rows are there.
    """
    found = []
    fields: Any = table.model._meta.local_concrete_fields
    for field in fields:
        if not field.remote_field or not getattr(field, "db_constraint", False):
            continue
        target = field.target_field
        parent = target.model._meta.db_table
        if parent in names and _dangles(giver, table.name, field.column, parent, target.column):
            found.append(
                f"Rows of {table.name!r} refer by {field.column!r} to rows of {parent!r} that are"
                " not there."
            )
    return found


def _dangles(giver: BaseDatabaseWrapper, child: str, column: str, parent: str, key: str) -> bool:
    [child_table, parent_table] = quoted(giver, [child, parent])
    [mine] = quoted(giver, [column], "child")
    [theirs] = quoted(giver, [key], "parent")
    with giver.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {child_table} child LEFT JOIN {parent_table} parent"  # noqa: S608
            f" ON {theirs} = {mine} WHERE {mine} IS NOT NULL AND {theirs} IS NULL LIMIT 1"
        )
        return cursor.fetchone() is not None
