"""Asking several databases at the same time, one of which may never answer."""

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar

Answer = TypeVar("Answer")

# Seconds to wait for a server that does not answer.
TIMEOUT = 5


def ask_all(
    ask: Callable[[str], Answer], aliases: Iterable[str], *, timeout: int, silent: Answer
) -> dict[str, Answer]:
    """Return what ``ask`` says of each alias.

    A server that accepts a connection and then says nothing is given up after twice ``timeout``
    seconds, where the driver alone might wait for ever: its answer is ``silent``. Raises what
    ``ask`` raises.
    """
    waiting = list(aliases)
    found: dict[str, Answer] = {}
    answers: SimpleQueue[tuple[str, Answer | Exception]] = SimpleQueue()

    def look(alias: str) -> None:
        try:
            answers.put((alias, ask(alias)))
        except Exception as error:  # noqa: BLE001  Raised again where somebody can see it.
            answers.put((alias, error))

    for alias in waiting:
        # Daemons: a thread that hangs in a driver must not keep the process from ending.
        threading.Thread(target=look, args=(alias,), daemon=True).start()
    deadline = monotonic() + 2 * timeout
    while len(found) < len(waiting):
        try:
            alias, result = answers.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            break
        if isinstance(result, Exception):
            raise result
        found[alias] = result
    return {alias: found.get(alias, silent) for alias in waiting}


def no_answer(timeout: int) -> str:
    """Return the error of a server that stayed silent."""
    return f"no answer within {2 * timeout} seconds"
