"""Waiting for locks in short turns, so that a statement that waits does not stop everybody else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from time import monotonic
from typing import Any, TypeVar

from django.db import DatabaseError, Error
from django.db.backends.base.base import BaseDatabaseWrapper
from tenacity import RetryError, Retrying, retry_if_exception, stop_after_delay, stop_any
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set
from tenacity.wait import wait_random

from ...exceptions import MoveError

# lock_not_available, deadlock_detected, and object_in_use: a replication slot that the session of a
# process that was killed is still reading. MySQL's lock wait timeout and deadlock.
_LOCK_CODES = {"55P03", "40P01", "55006", 1205, 1213}
_LOCKED_FILE = "database is locked"
# Seconds between two turns, in which those who came after are served.
_PAUSE = (0.05, 0.3)
_LONG_TURN = 1.5

_SHORT = {
    "postgresql": ("SET lock_timeout = {milliseconds}", "RESET lock_timeout"),
    "mysql": ("SET lock_wait_timeout = {seconds}", "SET lock_wait_timeout = DEFAULT"),
}
Result = TypeVar("Result")


def with_patience(
    work: Callable[[], Result],
    connection: BaseDatabaseWrapper,
    *,
    turn: float,
    total: float,
    stop: Event,
    what: str,
    needs: str = "",
) -> Result:
    """Return what ``work`` returns, which is begun again while it waits for a lock in vain.

    A turn waits ``turn`` seconds for a lock, all together ``total``; see ``turn_after``. Raises
    ``MoveError``, with ``what`` it was about, when the time is over or ``stop`` is set; ``needs``
    says what for, if it is no lock on the tables.
    """
    begun = monotonic()

    def attempt() -> Result:
        with _short_waits(connection, turn_after(monotonic() - begun, turn, total)):
            return work()

    retrying = Retrying(
        retry=retry_if_exception(is_lock_failure),
        stop=stop_any(stop_after_delay(total), stop_when_event_set(stop)),
        wait=wait_random(*_PAUSE),
        sleep=sleep_using_event(stop),
    )
    try:
        return retrying(attempt)
    except RetryError:
        if stop.is_set():
            raise stopped() from None
        needs = needs or f"a lock on the tables in {connection.alias!r}, which others have held"
        raise MoveError(
            f"{what} needs {needs} for {total:g} seconds: a transaction that stays open, or a long"
            " query. Nothing was changed. End it, and go on with --resume; --cut-over-timeout waits"
            " longer.",
            exit_code=13,
        ) from None


def turn_after(seconds: float, turn: float, total: float) -> float:
    """Return how long a turn waits that begins after ``seconds`` of ``total``.

    When half of the time is over it is longer: PostgreSQL ends an autovacuum that is in the way,
    but only when somebody has waited for it for a second (``deadlock_timeout``).
    """
    return turn if seconds < total / 2 else max(turn, _LONG_TURN)


def stopped(message: str = "Stopped. Go on with --resume.") -> MoveError:
    """Return the error of what was told to stop."""
    return MoveError(message, exit_code=130)


def is_lock_failure(error: BaseException) -> bool:
    """Tell whether a statement was given up because somebody else held a lock."""
    if not isinstance(error, DatabaseError):
        return False
    cause: Any = error.__cause__
    code = getattr(cause, "sqlstate", None) or next(iter(getattr(cause, "args", ())), None)
    return code in _LOCK_CODES or _LOCKED_FILE in str(error)


@contextmanager
def _short_waits(connection: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
    if connection.vendor not in _SHORT:
        # SQLite waits as long as its connection's ``timeout`` says.
        yield
        return
    begin, end = _SHORT[connection.vendor]
    limit = begin.format(milliseconds=round(seconds * 1000), seconds=max(1, round(seconds)))
    with connection.cursor() as cursor:
        cursor.execute(limit)
    try:
        yield
    finally:
        # The work may have failed because the server is gone.
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute(end)
