"""Rows of a PostgreSQL database that refer to others, by constraints that do not wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .keys import Key, key_texts, quoted, read_key
from .queueing import Written
from .selecting import having
from .tables import MovedTable

# Those that act on the rows that refer, or complain, as soon as a row is deleted.
_REFERENCES = """
    WITH moved AS (
        SELECT name, to_regclass(quoted) AS oid
        FROM unnest(%s::text[], %s::text[]) AS given (name, quoted)
    )
    SELECT child.name, parent.name,
           ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY AS k (number, place)
                 JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY place),
           ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY AS k (number, place)
                 JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY place)
    FROM pg_constraint
    JOIN moved AS child ON child.oid = conrelid JOIN moved AS parent ON parent.oid = confrelid
    WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR NOT condeferrable)
"""


@dataclass(frozen=True)
class _Reference:
    child: str
    parent: str
    columns: list[str]
    referred: list[str]


class References:
    """The constraints among ``tables``, by name, that act at once when a row is deleted."""

    def __init__(self, tables: Mapping[str, MovedTable], connection: BaseDatabaseWrapper) -> None:
        self._tables, self._connection = tables, connection
        with connection.cursor() as cursor:
            cursor.execute(_REFERENCES, [[*tables], quoted(connection, tables)])
            self._found = [_Reference(*row) for row in cursor.fetchall()]

    @property
    def parents(self) -> set[str]:
        """The tables that others, or they themselves, refer to in this way."""
        return {reference.parent for reference in self._found}

    def take_along(self, written: dict[str, Written]) -> None:
        """Add to ``written`` all rows that refer to those in it, and those that refer to them."""
        new = {name: set(rows.keys) for name, rows in written.items()}
        while new:
            newer: dict[str, set[Key]] = {}
            for reference in self._found:
                keys = self._referring(reference, new.get(reference.parent, set()), written)
                rows = written.setdefault(reference.child, Written())
                newer.setdefault(reference.child, set()).update(keys - rows.keys)
                rows.keys |= keys
            new = {name: keys for name, keys in newer.items() if keys}

    def _referring(
        self, reference: _Reference, keys: set[Key], written: Mapping[str, Written]
    ) -> set[Key]:
        parent, child = self._tables[reference.parent], self._tables[reference.child]
        parameters: list[Any] = []
        if parent.name in written and written[parent.name].is_whole:
            condition = "true"
        elif keys:
            condition, parameters = having(parent, self._connection, keys)
        else:
            return set()
        [mine, theirs] = quoted(self._connection, [child.name, parent.name])
        columns = ", ".join(quoted(self._connection, reference.columns))
        referred = ", ".join(quoted(self._connection, reference.referred))
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(key_texts(child, self._connection))} FROM {mine}"  # noqa: S608
                f" WHERE ({columns}) IN (SELECT {referred} FROM {theirs} WHERE {condition})",
                parameters,
            )
            return {read_key(row) for row in cursor.fetchall()}
