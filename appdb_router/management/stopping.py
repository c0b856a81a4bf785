"""Ending in order on Ctrl-C and SIGTERM."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, current_thread, main_thread
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"Stopping after what is being worked at. Once more to stop at once.\n"


@dataclass
class Stop:
    """Whether to stop: ``event`` is set by the first signal, whose number is ``signal``."""

    event: Event = field(default_factory=Event)
    signal: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that was told to stop, as shells have it."""
        return None if self.signal is None else 128 + self.signal


@contextmanager
def stopping_on_signals() -> Iterator[Stop]:
    """Let the first SIGINT or SIGTERM in this block set an event, and the next one do its usual.

    Only the main thread gets signals; elsewhere the event is never set.
    """
    stop = Stop()
    if current_thread() is not main_thread():
        yield stop
        return
    usual = {number: signal.getsignal(number) for number in _SIGNALS}

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.signal = number
        stop.event.set()
        restore()
        # Not print(): a signal may come in the middle of another one.
        os.write(2, _NOTICE)

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    for number in _SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
