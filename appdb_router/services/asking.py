"""Asking several databases at the same time, one of which may never answer."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TypeVar

Answer = TypeVar("Answer")

# Seconds to wait for a server that does not answer.
TIMEOUT = 5


class _Watch:
    """Since when a thread has been waiting for a server; ``None`` while it has work of its own."""

    since: float | None = None

    def waited(self) -> float:
        """Return the seconds of the present wait."""
        since = self.since
        return 0.0 if since is None else monotonic() - since


_watch: ContextVar[_Watch] = ContextVar("appdb_router_watch")


def ask_all(
    ask: Callable[[str], Answer], aliases: Iterable[str], *, timeout: int, silent: Answer
) -> dict[str, Answer]:
    """Return what ``ask`` says of each alias.

    A server that accepts a connection, or a query, and then says nothing is given up after twice
    ``timeout`` seconds, where the driver alone might wait for ever: its answer is ``silent``. What
    counts is one wait inside of ``waiting_for_a_server``, not what this process does before and
    after, with all databases at once and perhaps on a busy machine. Raises what ``ask`` raises.
    """
    limit = 2 * timeout
    left = {alias: _Watch() for alias in aliases}
    found = dict.fromkeys(left, silent)
    answers: SimpleQueue[tuple[str, Answer | Exception]] = SimpleQueue()

    def look(alias: str, watch: _Watch) -> None:
        _watch.set(watch)
        try:
            answers.put((alias, ask(alias)))
        except Exception as error:  # noqa: BLE001  Raised again where somebody can see it.
            answers.put((alias, error))

    for item in left.items():
        # Daemons: a thread that hangs in a driver must not keep the process from ending.
        Thread(target=look, args=item, daemon=True).start()
    while left:
        longest = max(watch.waited() for watch in left.values())
        try:
            alias, result = answers.get(timeout=max(0.0, limit - longest))
        except Empty:
            left = {alias: watch for alias, watch in left.items() if watch.waited() < limit}
            continue
        if isinstance(result, Exception):
            raise result
        found[alias] = result
        left.pop(alias, None)
    return found


@contextmanager
def waiting_for_a_server() -> Iterator[None]:
    """Count the time inside as one wait of ``ask_all``, in its threads."""
    watch = _watch.get(None)
    if watch is None or watch.since is not None:
        yield
        return
    watch.since = monotonic()
    try:
        yield
    finally:
        watch.since = None


def no_answer(timeout: int) -> str:
    """Return the error of a server that stayed silent."""
    return f"no answer within {2 * timeout} seconds"
