"""Keeping statements away from the tables that are there already."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError

_NAME = r"""(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\w+)"""
_CHANGE = re.compile(
    rf"""
    \b(?:
        DROP \s+ INDEX \s+ {_NAME} \s+ ON
        | (?:ALTER|DROP) \s+ (?:TABLE|INDEX|SEQUENCE|VIEW|MATERIALIZED\s+VIEW)
        | TRUNCATE (?:\s+TABLE)?
        | RENAME \s+ TABLE
        | CREATE \s+ (?:\w+\s+)? INDEX \b [^;(]*? \s ON
    )
    \s+ (?:CONCURRENTLY\s+|IF\s+EXISTS\s+|ONLY\s+)*
    (?P<name>{_NAME}(?:\.{_NAME})*)
    """,
    re.IGNORECASE | re.VERBOSE,
)

_RELATIONS = {
    "postgresql": "SELECT relname FROM pg_class WHERE pg_table_is_visible(oid)",
    "sqlite": "SELECT name FROM sqlite_master",
}


@contextmanager
def existing_tables_kept(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Refuse each statement that would alter or drop a table or index that exists already.

    Writing rows is allowed. What a function of the server does cannot be seen. Raises
    ``DatabaseOperationError``.
    """
    existing = _relations(connection)

    def refuse(
        execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        for name in changed_names(str(sql)):
            if name.lower() in existing:
                raise DatabaseOperationError(
                    f"This would change {name!r}, which exists: a repair only makes what is"
                    f" missing. The statement was: {' '.join(str(sql).split())}"
                )
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def changed_names(sql: str) -> Iterator[str]:
    """Yield the names of the tables and indexes that ``sql`` alters or drops, without schemas."""
    for found in _CHANGE.finditer(sql):
        last = re.findall(_NAME, found["name"])[-1]
        mark = last[0]
        yield last[1:-1].replace(mark * 2, mark) if mark in '"`' else last


def _relations(connection: BaseDatabaseWrapper) -> Collection[str]:
    with connection.cursor() as cursor:
        if connection.vendor in _RELATIONS:
            cursor.execute(_RELATIONS[connection.vendor])
            return {name.lower() for (name,) in cursor.fetchall()}
        tables = connection.introspection.table_names(cursor, include_views=True)
        return {name.lower() for name in tables}
