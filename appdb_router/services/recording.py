"""The rows of ``django_migrations``, many at a time."""

from collections.abc import Collection
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from ..relations.homes import OWN_LABEL
from .loading import Key

# A note is a row of this package's own label: Django pays no attention to one without a file.
UNFINISHED = "unfinished"


class BufferingRecorder(MigrationRecorder):
    """Django's recorder, which keeps what was applied until ``flush`` writes it with one query."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(connection)
        self._rows: list[Any] = []

    def record_applied(self, app: str, name: str) -> None:
        """Keep a row."""
        self._rows.append(self.Migration(app=app, name=name))

    def flush(self) -> None:
        """Write the rows."""
        rows, self._rows = self._rows, []
        if rows:
            self.migration_qs.bulk_create(rows)

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
