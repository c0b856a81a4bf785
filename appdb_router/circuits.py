"""The circuit of a database: it opens when connecting fails again and again, for a growing time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from time import monotonic

from django.db import connections
from pybreaker import STATE_CLOSED, STATE_HALF_OPEN, STATE_OPEN, CircuitBreaker

from .conf import CircuitOptions
from .masking import masked_error
from .outages import CircuitOpenError, describe, labels_at

logger = logging.getLogger(__name__)

try:
    from psycopg_pool import PoolClosed, TooManyRequests
except ImportError:
    # Without psycopg_pool nobody raises them.
    _REFUSALS: tuple[type[Exception], ...] = ()
else:
    # A pool raises them without asking the server.
    _REFUSALS = (PoolClosed, TooManyRequests)


class Circuit:
    """The circuit of one physical database, for all threads and event loops of the process.

    pybreaker counts and keeps the state. It is not asked to call what connects: it holds its lock
    for the time of a call, so connections would be made one after the other, and with a dead server
    everybody would wait for whoever tries it; and it has no ``await`` of asyncio.
    """

    def __init__(self, alias: str, options: CircuitOptions) -> None:
        self._alias = alias
        self._options = options
        self._breaker = CircuitBreaker(
            fail_max=options.failures,
            reset_timeout=options.open_seconds,
            name=alias,
            throw_new_error_on_trip=False,
        )
        self._lock = Lock()
        self._next_try = 0.0
        self._reason = ""

    @contextmanager
    def connecting(self, failures: tuple[type[Exception], ...]) -> Iterator[None]:
        """Let a block connect, and learn from it; an exception of ``failures`` counts.

        Other exceptions, that of a cancelled task among them, say nothing of the server. Raises
        ``CircuitOpenError`` at once while the circuit is open.
        """
        is_trial = self._admit()
        try:
            yield
        except BaseException as error:
            if isinstance(error, failures) and not isinstance(error, _REFUSALS):
                self._fail(error, is_trial=is_trial)
            elif is_trial and self._breaker.current_state == STATE_HALF_OPEN:
                # The next caller tries instead.
                self._breaker.open()
            raise
        self._succeed()

    def _admit(self) -> bool:
        """Return whether the caller is the one that tries a server which was down."""
        with self._lock:
            state, wait = self._breaker.current_state, max(0.0, self._next_try - monotonic())
            is_trial = state == STATE_OPEN and not wait
            if is_trial:
                self._breaker.half_open()
        if is_trial or state == STATE_CLOSED:
            return is_trial
        raise self._error(wait)

    def _fail(self, error: BaseException, *, is_trial: bool) -> None:
        reason = masked_error(error, connections.settings[self._alias])
        with self._lock:
            state = self._breaker.current_state
            if state == STATE_OPEN or (state == STATE_HALF_OPEN and not is_trial):
                # It began before the circuit opened, and tells nothing new.
                return
            if state == STATE_HALF_OPEN:
                longest = self._options.max_open_seconds
                self._breaker.reset_timeout = min(2 * self._breaker.reset_timeout, longest)
            self._reason = reason
            with suppress(_CountedError):
                self._breaker.call(_raise)
            if self._breaker.current_state == STATE_CLOSED:
                return
            wait = self._breaker.reset_timeout
            self._next_try = monotonic() + wait
        logger.warning("%s", self._error(wait))

    def _succeed(self) -> None:
        with self._lock:
            was_open = self._breaker.current_state != STATE_CLOSED
            self._breaker.reset_timeout = self._options.open_seconds
            self._breaker.close()
        if was_open:
            logger.info("%s answers again.", describe(self._alias, labels_at(self._alias)))

    def _error(self, wait: float) -> CircuitOpenError:
        labels = labels_at(self._alias)
        when = f"The next try is in {wait:.1f} seconds." if wait else "It is being tried again."
        return CircuitOpenError(
            f"{describe(self._alias, labels)} is down, and is left alone for now. {when}"
            f" The last error: {self._reason}",
            self._alias,
            labels,
            wait,
        )


class _CountedError(Exception):
    """What pybreaker counts; the real error is left as it is."""


def _raise() -> None:
    raise _CountedError
