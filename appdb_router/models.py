"""What has to be written down beside the data of each database."""

from __future__ import annotations

from typing import ClassVar

from django.apps.registry import Apps
from django.db import models

from .fields import JSONTextField

# The models of the tables that a move makes in its two databases, and that go with it. As that of
# ``django_migrations`` they belong to no app: no migration makes their tables, or looks at them.
_of_moves = Apps()


class PendingDeletion(models.Model):
    """Rows of this database that are gone, and the relations by which others belonged to them.

    ``values`` is what ``relations``, each ``app.Model.field``, referred to. It is written in the
    transaction that deletes the rows, and goes when the other databases have followed.
    """

    id = models.BigAutoField(primary_key=True)
    values = JSONTextField()
    relations = JSONTextField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:  # noqa: D106
        db_table = "appdb_router_pending_deletion"
        # Nobody edits it, so there is nothing to permit.
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return f"{len(self.values)} rows deleted, for {', '.join(self.relations)}"


class Move(models.Model):
    """The move of an app's data, written down in the database that the rows come from.

    ``home`` says which of the two databases has the truth now, and ``gate`` whether the app may
    write: ``open``, ``waiting`` (for a moment, so writers wait) or ``closed`` (until the move is
    over, so writers are told). ``token`` tells this move's own writes from those of others, and
    this try from earlier ones. ``details`` is what has to be undone on the way back.
    """

    label = models.CharField(max_length=100, primary_key=True)
    labels = JSONTextField()
    source = models.CharField(max_length=100)
    target = models.CharField(max_length=100)
    token = models.CharField(max_length=32)
    home = models.CharField(max_length=10)
    gate = models.CharField(max_length=10)
    flips = models.PositiveIntegerField(default=0)
    phase = models.CharField(max_length=20)
    options = JSONTextField()
    details = JSONTextField()
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[Move]] = models.Manager()

    class Meta:  # noqa: D106
        apps = _of_moves
        db_table = "appdb_router_move"
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return f"{self.label}: {self.phase}, at home in {getattr(self, self.home)}"


class MovedTableState(models.Model):
    """How far the copy of a table has come, written down in the database that it goes to.

    It is written in the transactions that write the rows, so it is never ahead of them or behind.
    ``parts`` are the indexes and constraints that were taken away to be made after the rows.
    """

    id = models.BigAutoField(primary_key=True)
    token = models.CharField(max_length=32)
    table = models.CharField(max_length=255)
    parts = JSONTextField()
    is_copied = models.BooleanField(default=False)

    objects: ClassVar[models.Manager[MovedTableState]] = models.Manager()

    class Meta:  # noqa: D106
        apps = _of_moves
        db_table = "appdb_router_moved_table"
        default_permissions: ClassVar[tuple[str, ...]] = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint("token", "table", name="appdb_router_moved_table_once")
        ]

    def __str__(self) -> str:
        return f"{self.table}: {'copied' if self.is_copied else 'being copied'}"


class MovedChunk(models.Model):
    """Rows of a table that were copied together: those behind ``lower``, up to ``upper``.

    Both are keys as lists of texts; ``None`` is no bound. ``digest`` is the SHA-256 of what was
    sent, where that is asked for.
    """

    id = models.BigAutoField(primary_key=True)
    token = models.CharField(max_length=32)
    table = models.CharField(max_length=255)
    number = models.PositiveIntegerField()
    lower = JSONTextField()
    upper = JSONTextField()
    rows = models.BigIntegerField()
    bytes = models.BigIntegerField()
    digest = models.CharField(max_length=64, blank=True)

    objects: ClassVar[models.Manager[MovedChunk]] = models.Manager()

    class Meta:  # noqa: D106
        apps = _of_moves
        db_table = "appdb_router_moved_chunk"
        default_permissions: ClassVar[tuple[str, ...]] = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "token", "table", "number", name="appdb_router_moved_chunk_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.number}: {self.rows} rows"


class RowChange(models.Model):
    """A row that was written while its table is moved; a trigger notes it with the write.

    ``key`` is the primary key as a list of texts, in the order of its columns; ``None`` stands for
    all rows (``TRUNCATE``). The rows of this table are the triggers', in no particular order.
    """

    id = models.BigAutoField(primary_key=True)
    label = models.CharField(max_length=100)
    table = models.CharField(max_length=255)
    key = models.TextField(null=True)  # noqa: DJ001  None is not the empty key.

    objects: ClassVar[models.Manager[RowChange]] = models.Manager()

    class Meta:  # noqa: D106
        apps = _of_moves
        db_table = "appdb_router_row_change"
        default_permissions: ClassVar[tuple[str, ...]] = ()

    def __str__(self) -> str:
        return f"{self.table} {self.key or '*'}"
