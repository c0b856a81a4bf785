"""An app's rows go to its own database, and the app with them.

Each step may be done again: a process that was killed is followed by one that begins at the first
step, and finds most of it done.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from django.db.models import Sum

from ...exceptions import MoveError
from ...models import MovedChunk
from .copying import Copied, copy_table
from .filling import has_rows
from .following import catch_up, follow_all, follow_whole, settle, shorten, verify
from .journal import TARGET, Phase
from .listening import keep_up, listen, opened_slot, stop_listening
from .parts import disable_triggers, enable_triggers, put_parts_back, take_parts_away
from .reading_back import reading_back
from .running import Run
from .sequences import set_sequences
from .staying import drop_staying_constraints, staying_constraints
from .tables import MovedTable
from .triggers import accept_writes, capture_changes, lock_for_writing


def move_forward(run: Run) -> None:
    """Copy, follow, verify, and change over; the app is at the target afterwards.

    Raises ``MoveError``; the app stays at its source then.
    """
    if run.options.is_late:
        _bar(run)
    with opened_slot(run), _reading_back(run):
        if run.options.offline:
            _close(run)
        else:
            listen(run)
        _copy(run)
        _complete(run)
        if not run.options.offline:
            catch_up(run)
        verify(run)
        _change_over(run)
    finish_forward(run)


@contextmanager
def _reading_back(run: Run) -> Iterator[None]:
    """Have the chunks read back in this block, if that is how they are verified."""
    if not run.copying.digest:
        yield
        return
    with reading_back(run.databases.source, run.databases.target) as run.reading:
        yield
    run.reading = None


def finish_forward(run: Run) -> None:
    """Clean up at the source, when the app has left it."""
    stop_listening(run)
    if run.options.is_late:
        run.patiently(accept_writes, run.databases.target, "Letting the app write")
    run.enter(Phase.MOVED)


def _bar(run: Run) -> None:
    """Keep the app, which lives in the target already, from writing there until it is filled."""
    run.refuse(run.databases.target, refusal(run))
    target = run.databases.target
    filled = [table.name for table in run.tables if has_rows(table.name, target)]
    if filled and "copying" not in run.journal.row.details:
        run.patiently(accept_writes, run.databases.target, "Letting the app write")
        raise MoveError(
            f"{', '.join(filled)} in {target.alias!r} got rows in this moment. Rows that were"
            " left behind can be fetched into empty tables only.",
            exit_code=11,
        )


def _close(run: Run) -> None:
    """Refuse the app's writes, before the first row is copied."""
    run.journal.close()
    try:
        run.refuse(run.databases.source, refusal(run))
    except BaseException:
        run.journal.open()
        raise


def _copy(run: Run) -> None:
    run.enter(Phase.COPYING, copying=True)
    source, target = run.databases.source, run.databases.target
    away = partial(take_parts_away, run.tables, target, run.token)
    run.retry(away, target, "Taking indexes and constraints away")
    # A process that was killed may have enabled them.
    disable_triggers(run.tables, target, run.token)
    for table in run.keyed:
        copy_table(
            table,
            source,
            target,
            run.token,
            run.copying,
            report=_counted(run, table),
            stop=run.stop,
            reading=run.reading,
        )


def _counted(run: Run, table: MovedTable) -> Callable[[Copied], None]:
    """Return what tells the reporter of a chunk, with all that was copied of the table before."""
    chunks = MovedChunk.objects.using(run.databases.target.alias)
    done = chunks.filter(token=run.token, table=table.name)
    sums = done.aggregate(rows=Sum("rows", default=0), bytes=Sum("bytes", default=0))

    def report(copied: Copied) -> None:
        sums["rows"] += copied.rows
        sums["bytes"] += copied.bytes
        run.reporter.copied(replace(copied, **sums))
        keep_up(run)

    return report


def _complete(run: Run) -> None:
    """Make the indexes and constraints of the target.

    Rows that were copied one after the other may break them, such as two that got the same unique
    value one after the other, until all that was written meanwhile was followed at once.
    """
    run.enter(Phase.INDEXING)
    if run.reading:
        run.reading.begin()
    put_back = partial(
        put_parts_back, run.tables, run.databases.target, run.token,
        report=partial(_made, run), alone=lambda: not run.is_reading_back,
    )  # fmt: skip
    put_back(only_keys=True)
    follow_whole(run)
    put_back()


def _made(run: Run, table: str, name: str) -> None:
    run.made(table, name)
    keep_up(run)


def _change_over(run: Run) -> None:
    """Let the app live in the target.

    From now on what it writes there is noted, for the way back.
    """
    source, target = run.databases.source, run.databases.target
    if not run.options.is_late:
        run.patiently(capture_changes, target, "Noting writes", run.token)
    run.enter(Phase.CUTTING_OVER)
    # Before they are dropped: not every server takes that back.
    if "constraints" not in run.journal.row.details:
        run.journal.note(constraints=staying_constraints(run.tables, source))
    shorten(run)
    follow_all(run)
    run.retry(partial(_flip, run), source, "Changing over")


def _flip(run: Run) -> None:
    """Change over in one transaction of the source, which its server undoes if this one is killed.

    On an engine that commits DDL by itself, writes have been refused since the beginning, and the
    last statement decides.
    """
    source, target = run.databases.source, run.databases.target
    with run.journal.together():
        if source.vendor == "postgresql":
            _lock(run)
        settle(run)
        set_sequences(run.tables, source, target)
        enable_triggers(run.tables, target, run.token)
        drop_staying_constraints(run.journal.row.details["constraints"], source)
        # Also where they were refused before: SQLite has made tables anew.
        run.refuse(source, refusal(run))
        run.journal.flip(TARGET, Phase.CUTTING_OVER)


def _lock(run: Run) -> None:
    """Take all locks at once, of which a later one might meet a transaction that waits for these.

    So a deadlock is over by the time that this side waits, see ``MoveOptions.lock_wait``, rather
    than found by the server, which might end the other transaction.
    """
    source = run.databases.source
    constraints = run.journal.row.details["constraints"]
    # As the server has quoted them.
    names = sorted({item[side] for item in constraints for side in ("table", "references")})
    if names:
        with source.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
    lock_for_writing(run.tables, source, timeout=run.lock_wait)


def refusal(run: Run) -> str:
    """Return what a write to tables without the truth is told, before the change and after it."""
    row = run.journal.row
    return (
        f"the app {run.label!r} moves, or has moved, from {row.source!r} to {row.target!r}:"
        f" see 'manage.py db_move {run.label} --status'"
    )
