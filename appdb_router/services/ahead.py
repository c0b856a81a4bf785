"""Doing things a little before they are asked for."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from threading import Event, Lock, Semaphore, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Ahead(Generic[Result]):
    """Calls ``work`` with each of ``names`` in a thread, until ``stop`` is set.

    ``room`` is how many results may wait for being taken. ``drop`` is called with those that nobody
    takes, and ``ended`` when nothing more is done ahead.
    """

    def __init__(
        self,
        work: Callable[[str], Result],
        names: Iterable[str],
        *,
        stop: Event,
        room: int,
        drop: Callable[[Result], object] = bool,
        ended: Callable[[], object] = bool,
    ) -> None:
        self._work, self._stop, self._drop, self._ended = work, stop, drop, ended
        self._waiting = deque(names)
        self._begun: dict[str, Future[Result]] = {}
        self._room, self._lock = Semaphore(room), Lock()
        if self._waiting:
            # A daemon: who stops at once does not wait for what a server is busy with.
            Thread(target=self._run, daemon=True).start()

    def take(self, name: str) -> Result:
        """Return the result for ``name``, or raise its error.

        What was not begun, or failed, is done now: meanwhile it may be possible.
        """
        with self._lock:
            if name in self._waiting:
                self._waiting.remove(name)
            begun = self._begun.pop(name, None)
        if begun is None:
            return self._work(name)
        try:
            error = begun.exception()
        finally:
            self._room.release()
        return self._work(name) if error else begun.result()

    def close(self) -> None:
        """Begin nothing more, and drop what was not taken."""
        with self._lock:
            self._waiting.clear()
            left = list(self._begun.values())
            self._begun.clear()
        self._room.release()
        for future in left:
            future.add_done_callback(self._drop_result)

    def _run(self) -> None:
        while begun := self._begin():
            name, future = begun
            try:
                future.set_result(self._work(name))
            except Exception as error:  # noqa: BLE001  Done again where somebody can see it.
                future.set_exception(error)
        self._ended()

    def _begin(self) -> tuple[str, Future[Result]] | None:
        self._room.acquire()
        with self._lock:
            if self._stop.is_set() or not self._waiting:
                return None
            name = self._waiting.popleft()
            future = self._begun[name] = Future()
            return name, future

    def _drop_result(self, future: Future[Result]) -> None:
        if future.exception() is None:
            self._drop(future.result())
