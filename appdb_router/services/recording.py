"""The rows of ``django_migrations``, many at a time."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.utils.timezone import now

from ..relations.homes import OWN_LABEL
from .loading import Key

# A note is a row of this package's own label: Django pays no attention to one without a file.
UNFINISHED = "unfinished"

# PostgreSQL's code.
_UNDEFINED_TABLE = "42P01"

_FROM_JSON = """
    SELECT item ->> 0, item ->> 1, (item ->> 2)::timestamptz
    FROM json_array_elements(%s::json) WITH ORDINALITY AS rows (item, number) ORDER BY number
"""

# Some versions of SQLite take 999 parameters.
_AT_ONCE = 300


class BufferingRecorder(MigrationRecorder):
    """Django's recorder, which keeps what was applied until ``flush`` writes it with one query."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self._rows: list[tuple[str, str, datetime]] = []

    def ensure_schema(self) -> None:
        """Make the table if it is missing, and ask for it no more."""
        super().ensure_schema()
        self._has_table = True

    def record_applied(self, app: str, name: str) -> None:
        """Keep a row."""
        self._rows.append((app, name, now()))

    def flush(self) -> None:
        """Write the rows."""
        rows, self._rows = self._rows, []
        for start in range(0, len(rows), _AT_ONCE):
            self._insert(rows[start : start + _AT_ONCE])

    def _insert(self, rows: list[tuple[str, str, datetime]]) -> None:
        """Insert ``rows`` in a fraction of the time that it takes to make models of them."""
        meta: Any = self.Migration._meta
        quote = self.connection.ops.quote_name
        fields = [meta.get_field(name) for name in ("app", "name", "applied")]
        columns = ", ".join(quote(field.column) for field in fields)
        if self.connection.vendor == "postgresql":
            # One parameter: the driver takes longer for hundreds than the server for the rows.
            source, parameters = _FROM_JSON, [json.dumps(rows, default=str)]
        else:
            source = f"VALUES {', '.join(['(%s, %s, %s)'] * len(rows))}"
            parameters = [
                field.get_db_prep_save(value, self.connection)
                for row in rows
                for field, value in zip(fields, row, strict=True)
            ]
        with self.connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {quote(meta.db_table)} ({columns}) {source}", parameters)

    def discard(self) -> None:
        """Forget the rows, after a transaction was rolled back."""
        self._rows = []

    def note(self, text: str) -> None:
        """Leave a note in the database for the next run, should this one die."""
        self.ensure_schema()
        self._insert([(OWN_LABEL, text, now())])

    def take_back(self, text: str) -> None:
        """Remove a note."""
        # Not with the manager: collecting what hangs on a row takes longer than deleting it.
        notes = self.migration_qs.filter(app=OWN_LABEL, name=text)
        notes._raw_delete(self.connection.alias)


def recorded(alias: str) -> set[Key]:
    """Return the migrations that are recorded on ``alias``, with one query.

    There are none if the table is missing.
    """
    connection = connections[alias]
    table = connection.ops.quote_name(MigrationRecorder.Migration._meta.db_table)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT app, name FROM {table}")  # noqa: S608  Django's own name.
            return set(cursor.fetchall())
    except Error as error:
        if _tells_that_nothing_is_there(error) or not MigrationRecorder(connection).has_table():
            return set()
        raise


def _tells_that_nothing_is_there(error: Error) -> bool:
    """Tell whether PostgreSQL, with one table in the query, knows no such table."""
    return getattr(error.__cause__, "sqlstate", None) == _UNDEFINED_TABLE


def is_unfinished(rows: Collection[Key]) -> bool:
    """Tell whether a run that ended early left a note in ``rows``."""
    return (OWN_LABEL, UNFINISHED) in rows
