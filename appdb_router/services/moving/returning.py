"""The way back: the app lives in its source again, with all that was written since."""

from functools import partial

from django.db import transaction

from .following import catch_up, follow_all, settle, shorten, verify
from .forward import refusal
from .journal import SOURCE, Phase
from .listening import stop_listening
from .parts import disable_triggers, enable_triggers
from .running import Run
from .sequences import set_sequences
from .staying import add_staying_constraints, validate_staying_constraints
from .triggers import accept_writes, are_refused, lock_for_writing, stop_capturing


def move_back(run: Run) -> None:
    """Follow what was written at the target, verify, and change over to the source.

    Raises ``MoveError``; the app stays at the target then.
    """
    source, target = run.databases.source, run.databases.target
    # In one: the phases in between are those of the way there, and who goes on has to know.
    run.enter(Phase.RETURNING, returning=True)
    # A process that was killed when the app had just changed over has left that.
    stop_listening(run)
    disable_triggers(run.tables, source, run.token)
    if not are_refused(run.tables, target, run.label):
        catch_up(run)
        verify(run)
        run.enter(Phase.RETURNING)
        shorten(run)
        follow_all(run)
        run.retry(partial(_leave, run), target, "Changing over")
    else:
        # Killed between the two databases. Nobody could write since.
        verify(run)
        settle(run)
    run.retry(partial(_arrive, run), source, "Changing over")
    finish_back(run)


def finish_back(run: Run) -> None:
    """Add the constraints that were dropped, check them, and clean up at the target."""
    source, target = run.databases.source, run.databases.target
    constraints = run.journal.row.details.get("constraints", [])
    # Not with the flip: as long as that waits for a lock, nobody can write anywhere.
    add = partial(add_staying_constraints, constraints, source)
    run.retry(add, source, "Adding constraints")
    validate_staying_constraints(constraints, source)
    run.patiently(stop_capturing, target, "Cleaning up")
    run.enter(Phase.RETURNED)


def _leave(run: Run) -> None:
    """Refuse writes at the target when the source has all of them.

    On an engine that commits DDL by itself, first they are refused, and allowed again if what was
    written until then cannot be followed.
    """
    target = run.databases.target
    if not target.features.can_rollback_ddl:
        _leave_at_once(run)
        return
    with transaction.atomic(using=target.alias):
        lock_for_writing(run.tables, target, timeout=run.lock_wait)
        settle(run)
        run.refuse(target, refusal(run))


def _leave_at_once(run: Run) -> None:
    target = run.databases.target
    run.refuse(target, refusal(run))
    try:
        settle(run)
    except BaseException:
        run.patiently(accept_writes, target, "Letting the app write")
        raise


def _arrive(run: Run) -> None:
    """Let the app live in the source, in one transaction where DDL can be part of it."""
    source, target = run.databases.source, run.databases.target
    with run.journal.together():
        set_sequences(run.tables, target, source)
        enable_triggers(run.tables, source, run.token)
        accept_writes(run.tables, source, run.label)
        run.journal.flip(SOURCE, Phase.RETURNING)
