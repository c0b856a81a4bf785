"""Taking away what a move leaves behind: before it begins again, and when it is over."""

from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ...models import MovedChunk, MovedTableState, RowChange
from .filling import empty
from .journal import Phase, forget
from .listening import stop_listening
from .parts import enable_triggers, put_parts_back
from .running import Run
from .triggers import accept_writes, are_refused, stop_capturing


def clear(run: Run) -> None:
    """Undo all that a try has done, which did not change over: the target is empty afterwards."""
    source, target = run.databases.source, run.databases.target
    stop_listening(run)
    run.patiently(stop_capturing, target, "Cleaning up")
    for connection in (source, target):
        run.patiently(accept_writes, connection, "Cleaning up")
    run.journal.open()
    empty(run.tables, target, run.token)
    put_parts_back(run.tables, target, run.token, report=run.made)
    enable_triggers(run.tables, target, run.token)
    forget(source, target, run.journal.row)


def finalize(run: Run) -> None:
    """Drop the tables that the app has left, and what was needed for the way back.

    Raises ``MoveError`` unless the app has changed over, and its old tables refuse writes.
    """
    source, target = run.databases.source, run.databases.target
    if run.journal.phase is not Phase.FINALIZING:
        if not are_refused(run.tables, source, run.label):
            raise MoveError(
                f"The tables of {run.label!r} in {source.alias!r} accept writes, so somebody may"
                " have written there since. Nothing was dropped. Move back with --rollback, or"
                " look with 'manage.py db_compare'.",
                exit_code=12,
            )
        run.enter(Phase.FINALIZING)
    stop_listening(run)
    run.patiently(stop_capturing, target, "Cleaning up")
    forget(source, target, run.journal.row)
    _drop(run)
    run.enter(Phase.FINALIZED)
    for connection in (source, target):
        _drop_journals(connection)


def _drop(run: Run) -> None:
    """Drop the old tables, those that refer to others first.

    What else depends on them, such as a view, stops this: nobody has asked to drop that.
    """
    source = run.databases.source
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
    # Their functions are left.
    run.patiently(accept_writes, source, "Cleaning up")


def _drop_journals(connection: BaseDatabaseWrapper) -> None:
    """Drop the tables that moves write to, unless another move uses them."""
    there = set(connection.introspection.table_names())
    with connection.schema_editor() as editor:
        for model in (RowChange, MovedChunk, MovedTableState):
            is_there = model._meta.db_table in there
            if is_there and not model.objects.using(connection.alias).exists():
                editor.delete_model(model)
