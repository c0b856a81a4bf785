"""What triggers are not told of, looked for before anybody relies on them."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .tables import MovedTable

__all__ = ["capture_problems"]

_ACTIONS = """
    SELECT table_name, constraint_name, delete_rule, update_rule
    FROM information_schema.referential_constraints
    WHERE constraint_schema = DATABASE() AND table_name IN ({})
    ORDER BY 1, 2
"""
_QUIET = {"NO ACTION", "RESTRICT"}


def capture_problems(tables: Iterable[MovedTable], connection: BaseDatabaseWrapper) -> list[str]:
    """Return why writes to ``tables`` would not all be noted in this database, each a sentence.

    On MySQL and MariaDB no trigger is told of what a foreign key does to rows by itself. The other
    engines tell.
    """
    if connection.vendor != "mysql":
        return []
    return list(_actions([table.name for table in tables], connection))


def _actions(names: list[str], connection: BaseDatabaseWrapper) -> Iterator[str]:
    for table, constraint, *rules in _fetch(names, connection):
        acts = " and ".join(
            f"ON {event} {rule}"
            for event, rule in zip(("DELETE", "UPDATE"), rules, strict=True)
            if rule not in _QUIET
        )
        if acts:
            yield (
                f"The foreign key {constraint!r} of {table!r} in {connection.alias!r} changes rows"
                f" by itself ({acts}), and no trigger is told. Drop it until the move is finalized,"
                " or make it RESTRICT and leave this to on_delete in the model."
            )


def _fetch(names: list[str], connection: BaseDatabaseWrapper) -> list[tuple[Any, ...]]:
    if not names:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_ACTIONS.format(", ".join(["%s"] * len(names))), names)
        return list(cursor.fetchall())
