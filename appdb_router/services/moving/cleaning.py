"""Taking away what a move leaves behind: before it begins again, and when it is over."""

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ...models import MovedChunk, MovedTableState, RowChange
from .journal import Phase, forget, forget_changes
from .parts import put_parts_back
from .running import Run
from .tables import MovedTable
from .triggers import accept_writes, are_refused, passing, stop_capturing


def clear(run: Run) -> None:
    """Undo all that a try has done, which did not change over: the target is empty afterwards."""
    source, target = run.sides.source, run.sides.target
    for connection in (source, target):
        stop_capturing(run.tables, connection, run.label)
        accept_writes(run.tables, connection, run.label)
    run.journal.open()
    with passing(target, run.token):
        empty(run.tables, target)
        put_parts_back(run.tables, target, run.token, report=run.reporter.copied)
    forget(target, run.token)
    forget_changes((source, target), run.label)


def empty(tables: tuple[MovedTable, ...], connection: BaseDatabaseWrapper) -> None:
    """Delete all rows of ``tables``, in one transaction."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            names = ", ".join(connection.ops.quote_name(table.name) for table in tables)
            cursor.execute(f"TRUNCATE {names}")
            return
        with connection.constraint_checks_disabled():
            for table in reversed(tables):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table.name)}")  # noqa: S608


def finalize(run: Run) -> None:
    """Drop the tables that the app has left, and what was needed for the way back.

    Raises ``MoveError`` unless the app has changed over, and its old tables refuse writes.
    """
    source, target = run.sides.source, run.sides.target
    if run.journal.phase is not Phase.FINALIZING:
        if not are_refused(run.tables, source, run.label):
            raise MoveError(
                f"The tables of {run.label!r} in {source.alias!r} accept writes, so somebody may"
                " have written there since. Nothing was dropped. Move back with --rollback, or"
                " look with 'manage.py db_compare'.",
                exit_code=12,
            )
        run.enter(Phase.FINALIZING)
    stop_capturing(run.tables, target, run.label)
    forget_changes((source, target), run.label)
    forget(target, run.token)
    _drop(run)
    run.enter(Phase.FINALIZED)
    for connection in (source, target):
        _drop_journals(connection)


def _drop(run: Run) -> None:
    """Drop the old tables, those that refer to others first.

    What else depends on them, such as a view, stops this: nobody has asked to drop that.
    """
    source = run.sides.source
    there = set(source.introspection.table_names())
    names = [source.ops.quote_name(table.name) for table in run.tables if table.name in there]
    if source.vendor == "postgresql":
        if names:
            with source.cursor() as cursor:
                cursor.execute(f"DROP TABLE {', '.join(names)}")
    else:
        with source.constraint_checks_disabled(), source.cursor() as cursor:
            for name in reversed(names):
                cursor.execute(f"DROP TABLE {name}")
    stop_capturing(run.tables, source, run.label)
    accept_writes(run.tables, source, run.label)


def _drop_journals(connection: BaseDatabaseWrapper) -> None:
    """Drop the tables that moves write to, unless another move uses them."""
    there = set(connection.introspection.table_names())
    with connection.schema_editor() as editor:
        for model in (RowChange, MovedChunk, MovedTableState):
            is_there = model._meta.db_table in there
            if is_there and not model.objects.using(connection.alias).exists():
                editor.delete_model(model)
