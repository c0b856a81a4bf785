"""Learning what is written at the source: from triggers, or from a replication slot."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ..asking import TIMEOUT
from .decoding import Slot, drop_slot
from .patience import with_patience
from .running import Run
from .settling import end_when_alone, session
from .triggers import capture_changes, stop_capturing

# Seconds after which a slot is read between two chunks, so that the server need not keep its log.
_PAUSE = 5


@contextmanager
def opened_slot(run: Run) -> Iterator[None]:
    """Have a connection for the replication slot in this block, if the move uses one."""
    if not run.options.replication:
        yield
        return
    with session(run.databases.source.alias, timeout=TIMEOUT) as own:
        end_when_alone(own)
        run.slot = Slot(own, run.label, run.tables)
        try:
            yield
        finally:
            run.slot = None


def listen(run: Run) -> None:
    """Have each write noted from now on, before the first row is copied.

    Raises ``MoveError`` if that was begun, and the replication slot has gone since.
    """
    if run.slot is None:
        run.patiently(capture_changes, run.databases.source, "Noting writes", run.token)
    elif "slot" in run.journal.row.details:
        # The session of a process that was killed may still be reading it.
        run.retry(run.slot.read, run.slot.connection, "Reading the replication slot")
    else:
        _make(run, run.slot)
        run.journal.note(slot=run.slot.name)


def hear(run: Run, *, forget: bool = True) -> None:
    """Have all that was written until now in the queue; triggers have put it there already.

    For ``forget`` see ``Slot.read()``.
    """
    if run.slot:
        run.slot.read(forget=forget)


def keep_up(run: Run) -> None:
    """Read the replication slot, unless that was a moment ago."""
    if run.slot and run.slot.age > _PAUSE:
        hear(run)


def stop_listening(run: Run) -> None:
    """Take away what notes writes at the source."""
    source = run.databases.source
    run.patiently(stop_capturing, source, "Cleaning up")
    if source.vendor == "postgresql":
        run.retry(partial(drop_slot, source, run.label), source, "Dropping the replication slot")


def _make(run: Run, slot: Slot) -> None:
    """Make the slot, which nobody waits for, while it waits for others: it can be patient."""
    with_patience(
        slot.make,
        slot.connection,
        turn=run.options.cut_over_timeout / 2,
        total=run.options.cut_over_timeout,
        stop=run.stop,
        what="Making the replication slot",
        needs=f"a moment after all transactions that write in any database of the server of"
        f" {slot.connection.alias!r}, which has not come",
    )
