"""An app's rows go to its own database, and the app with them.

Each step may be done again: a process that was killed is followed by one that begins at the first
step, and finds most of it done.
"""

from functools import partial

from .copying import copy_table, copy_whole
from .following import catch_up, follow_all, settle, shorten, verify
from .journal import TARGET, Phase
from .parts import put_parts_back, take_parts_away
from .running import Run
from .sequences import set_sequences
from .staying import drop_staying_constraints, staying_constraints
from .triggers import (
    are_refused,
    capture_changes,
    lock_for_writing,
    passing,
    refuse_writes,
    stop_capturing,
)


def move_forward(run: Run) -> None:
    """Copy, follow, verify, and change over; the app is at the target afterwards.

    Raises ``MoveError``; the app stays at its source then.
    """
    with passing(run.sides.target, run.token):
        if run.options.offline:
            _close(run)
        else:
            _listen(run)
        _copy(run)
        run.enter(Phase.INDEXING)
        put_parts_back(run.tables, run.sides.target, run.token, report=run.reporter.copied)
        if not run.options.offline:
            # Unique indexes are there by now, and the queue may hold all that came meanwhile.
            catch_up(run)
        verify(run)
        _change_over(run)
    finish_forward(run)


def finish_forward(run: Run) -> None:
    """Clean up at the source, when the app has left it."""
    source = run.sides.source
    run.patiently(partial(stop_capturing, run.tables, source, run.label), source, "Cleaning up")
    run.enter(Phase.MOVED)


def _close(run: Run) -> None:
    """Refuse the app's writes, before the first row is copied."""
    run.journal.close()
    try:
        run.patiently(partial(_refuse, run), run.sides.source, "Refusing writes")
    except BaseException:
        run.journal.open()
        raise


def _refuse(run: Run) -> None:
    source = run.sides.source
    if not are_refused(run.tables, source, run.label):
        refuse_writes(run.tables, source, run.label, run.token, refusal(run))


def _listen(run: Run) -> None:
    """Have each write noted, before the first row is copied."""
    source = run.sides.source
    listen = partial(capture_changes, run.tables, source, run.label, run.token)
    run.patiently(listen, source, "Noting writes")


def _copy(run: Run) -> None:
    run.enter(Phase.COPYING)
    source, target = run.sides.source, run.sides.target
    take_parts_away(run.tables, target, run.token)
    for table in run.keyed:
        copy_table(
            table,
            source,
            target,
            run.token,
            run.options.copying,
            report=run.reporter.copied,
            stop=run.stop,
        )


def _change_over(run: Run) -> None:
    """Let the app live in the target.

    From now on what it writes there is noted, for the way back.
    """
    source, target = run.sides.source, run.sides.target
    capture_changes(run.tables, target, run.label, run.token)
    run.enter(Phase.CUTTING_OVER)
    # Before they are dropped: not every server takes that back.
    if "constraints" not in run.journal.row.details:
        run.journal.note(constraints=staying_constraints(run.tables, source))
    shorten(run)
    follow_all(run)
    run.patiently(partial(_flip, run), source, "Changing over")


def _flip(run: Run) -> None:
    """Change over in one transaction of the source, which its server undoes if this one is killed.

    On an engine that commits DDL by itself, writes have been refused since the beginning, and the
    last statement decides.
    """
    source, target = run.sides.source, run.sides.target
    with run.journal.together():
        if source.vendor == "postgresql":
            _lock(run)
        settle(run)
        for table in run.keyless:
            copy_whole(table, source, target, run.token)
        set_sequences(run.tables, source, target)
        drop_staying_constraints(run.journal.row.details["constraints"], source)
        # Also where they were refused before: SQLite has made tables anew.
        _refuse(run)
        run.journal.flip(TARGET, Phase.CUTTING_OVER)


def _lock(run: Run) -> None:
    """Take all locks at once, of which a later one might meet a transaction that waits for these.

    So a deadlock is found by the time that this side waits, see ``MoveOptions.lock_wait``, rather
    than by the server, which might end the other transaction.
    """
    source = run.sides.source
    constraints = run.journal.row.details["constraints"]
    names = sorted({item[side] for item in constraints for side in ("table", "referred")})
    if names:
        quoted = ", ".join(map(source.ops.quote_name, names))
        with source.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE")
    lock_for_writing(run.tables, source, timeout=run.options.lock_wait)


def refusal(run: Run) -> str:
    """Return what a write at the source is told, while the app moves and afterwards."""
    row = run.journal.row
    return (
        f"the app {run.label!r} moves or has moved to the database {row.target!r}, and this table"
        f" takes no more writes. 'manage.py db_move {run.label} --status' tells"
    )
