"""The way back: the app lives in its source again, with all that was written since."""

from functools import partial

from django.db import transaction

from .copying import copy_whole
from .following import catch_up, follow_all, settle, shorten, verify
from .journal import SOURCE, Phase
from .running import Run
from .sequences import set_sequences
from .staying import add_staying_constraints, validate_staying_constraints
from .triggers import (
    accept_writes,
    are_refused,
    lock_for_writing,
    passing,
    refuse_writes,
    stop_capturing,
)


def move_back(run: Run) -> None:
    """Follow what was written at the target, verify, and change over to the source.

    Raises ``MoveError``; the app stays at the target then.
    """
    run.enter(Phase.RETURNING)
    # The phases in between are those of the way there.
    run.journal.note(returning=True)
    with passing(run.sides.source, run.token):
        if not are_refused(run.tables, run.sides.target, run.label):
            catch_up(run)
            verify(run)
            run.enter(Phase.RETURNING)
            shorten(run)
            follow_all(run)
            run.patiently(partial(_leave, run), run.sides.target, "Changing over")
        else:
            # Killed between the two databases. Nobody could write since.
            verify(run)
            _bring(run)
        run.patiently(partial(_arrive, run), run.sides.source, "Changing over")
    finish_back(run)


def finish_back(run: Run) -> None:
    """Add the constraints that were dropped, check them, and clean up at the target."""
    source, target = run.sides.source, run.sides.target
    constraints = run.journal.row.details.get("constraints", [])
    # Not with the flip: as long as that waits for a lock, nobody can write anywhere.
    add = partial(add_staying_constraints, constraints, source)
    run.patiently(add, source, "Adding constraints")
    validate_staying_constraints(constraints, source)
    stop_capturing(run.tables, target, run.label)
    run.enter(Phase.RETURNED)


def _leave(run: Run) -> None:
    """Refuse writes at the target when the source has all of them.

    On an engine that commits DDL by itself, first they are refused, and allowed again if what was
    written until then cannot be followed.
    """
    target = run.sides.target
    reason = f"the app {run.label!r} goes back to the database {run.journal.row.source!r}"
    refuse = partial(refuse_writes, run.tables, target, run.label, run.token, reason)
    with transaction.atomic(using=target.alias):
        if target.features.can_rollback_ddl:
            lock_for_writing(run.tables, target, timeout=run.options.lock_wait)
            _bring(run)
            refuse()
            return
    refuse()
    try:
        _bring(run)
    except BaseException:
        accept_writes(run.tables, target, run.label)
        raise


def _bring(run: Run) -> None:
    source, target = run.sides.source, run.sides.target
    settle(run)
    for table in run.keyless:
        copy_whole(table, target, source, run.token)


def _arrive(run: Run) -> None:
    """Let the app live in the source, in one transaction where DDL can be part of it."""
    source, target = run.sides.source, run.sides.target
    with run.journal.together():
        set_sequences(run.tables, target, source)
        accept_writes(run.tables, source, run.label)
        run.journal.flip(SOURCE, Phase.RETURNING)
