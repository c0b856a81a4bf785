"""What a move has written down of itself: its row in the source, and the tables for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from ...models import Move, MovedChunk, MovedTableState, RowChange

__all__ = ["Phase"]

SOURCE, TARGET = "source", "target"
OPEN, CLOSED = "open", "closed"

_CHANGING = ("home", "gate", "flips", "phase", "options", "details")
_AT_SOURCE: tuple[type[Model], ...] = (Move, MovedTableState, RowChange)
_AT_TARGET: tuple[type[Model], ...] = (MovedTableState, MovedChunk, RowChange)


class Phase(StrEnum):
    """What a move is doing, or what it did last."""

    PREPARING = "preparing"
    COPYING = "copying"
    INDEXING = "indexing"
    CATCHING_UP = "catching_up"
    VERIFYING = "verifying"
    CUTTING_OVER = "cutting_over"
    MOVED = "moved"
    RETURNING = "returning"
    RETURNED = "returned"
    FINALIZING = "finalizing"
    FINALIZED = "finalized"

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of the move but its row."""
        return self in {Phase.RETURNED, Phase.FINALIZED}


@dataclass
class Journal:
    """The row of a move, which is saved as soon as it changes.

    Whoever holds it has made the source's connection the one of its alias, see ``standing_in``.
    """

    source: BaseDatabaseWrapper
    row: Move

    @property
    def phase(self) -> Phase:
        """What the move is doing, or did last."""
        return Phase(self.row.phase)

    @property
    def is_flipped(self) -> bool:
        """Whether the app lives in the target now."""
        return bool(self.row.home == TARGET)

    def enter(self, phase: Phase, **details: Any) -> None:
        """Write down that ``phase`` has begun, and ``details`` in the same moment."""
        self.change(phase=phase, details={**self.row.details, **details})

    def flip(self, home: str, phase: Phase) -> None:
        """Write down that the app lives in ``home`` from now on, and may write there."""
        self.change(home=home, gate=OPEN, phase=phase, flips=self.row.flips + 1)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make what happens at the source in this block one transaction, the row included."""
        before = {name: getattr(self.row, name) for name in _CHANGING}
        if self.source.vendor == "sqlite":
            # Its schema editor insists, and inside of a transaction it is too late.
            self.source.disable_constraint_checking()
        try:
            with transaction.atomic(using=self.source.alias):
                yield
        except BaseException:
            for name, value in before.items():
                setattr(self.row, name, value)
            raise

    def open(self) -> None:
        """Write down that the app may write again."""
        self.change(gate=OPEN)

    def close(self) -> None:
        """Write down that the app's writes are refused until the move is over."""
        self.change(gate=CLOSED)

    def note(self, **details: Any) -> None:
        """Add to what is to be known later."""
        self.change(details={**self.row.details, **details})

    def change(self, **values: Any) -> None:
        """Set fields of the row, in the transaction that is open."""
        for name, value in values.items():
            setattr(self.row, name, value)
        self.row.save(using=self.source.alias, update_fields=[*values, "updated"])


def read_journal(source: BaseDatabaseWrapper, label: str) -> Journal | None:
    """Return the row of the move of ``label``'s group, if one was ever begun."""
    if Move._meta.db_table not in source.introspection.table_names():
        return None
    row = Move.objects.using(source.alias).filter(pk=label).first()
    return Journal(source, row) if row else None


def begin_journal(
    source: BaseDatabaseWrapper, values: Mapping[str, Any], options: Mapping[str, Any]
) -> Journal:
    """Write down that a move has begun, in place of the one before; ``values`` are its fields.

    Processes know by the number of flips which of two states is the later one, so that goes on.
    """
    fields = {"gate": OPEN, **values, "phase": Phase.PREPARING}
    row = Move(**fields, options=dict(options), details={})
    with transaction.atomic(using=source.alias):
        Move.objects.using(source.alias).filter(pk=row.pk)._raw_delete(source.alias)
        row.save(using=source.alias, force_insert=True)
    return Journal(source, row)


def make_tables(source: BaseDatabaseWrapper, target: BaseDatabaseWrapper) -> None:
    """Make the tables in which a move writes things down, where they are missing."""
    for connection, models in ((source, _AT_SOURCE), (target, _AT_TARGET)):
        there = set(connection.introspection.table_names())
        with connection.schema_editor() as editor:
            for model in models:
                if model._meta.db_table not in there:
                    editor.create_model(model)


def forget(source: BaseDatabaseWrapper, target: BaseDatabaseWrapper, row: Move) -> None:
    """Remove what was written down of the copy, and the changes that nobody is going to follow."""
    for connection, models in ((source, _AT_SOURCE), (target, _AT_TARGET)):
        for model in models:
            if model is not Move:
                which = {"label": row.label} if model is RowChange else {"token": row.token}
                rows: Any = model._default_manager.using(connection.alias).filter(**which)
                rows._raw_delete(connection.alias)
