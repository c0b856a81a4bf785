"""The rows of ``django_migrations``, many at a time."""

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
        values = ", ".join(["(%s, %s, %s)"] * len(rows))
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES {values}",  # noqa: S608
                [
                    field.get_db_prep_save(value, self.connection)
                    for row in rows
                    for field, value in zip(fields, row, strict=True)
                ],
            )

    def discard(self) -> None:
        """Forget the rows, after a transaction was rolled back."""
        self._rows = []

    def note(self, text: str) -> None:
        """Leave a note in the database for the next run, should this one die."""
        self.ensure_schema()
        self.migration_qs.create(app=OWN_LABEL, name=text)

    def take_back(self, text: str) -> None:
        """Remove a note."""
        self.record_unapplied(OWN_LABEL, text)


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
    except Error:
        if MigrationRecorder(connection).has_table():
            raise
        return set()


def is_unfinished(rows: Collection[Key]) -> bool:
    """Tell whether a run that ended early left a note in ``rows``."""
    return (OWN_LABEL, UNFINISHED) in rows
