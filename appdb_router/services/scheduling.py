"""Doing several things at once, each after those that it waits for."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from queue import SimpleQueue
from threading import Event, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


def run_in_order(
    names: Sequence[str],
    work: Callable[[str], Result],
    *,
    after: Mapping[str, Collection[str]],
    jobs: int,
    stop: Event,
    leave: Callable[[], object] = bool,
) -> Iterator[Result]:
    """Call ``work`` with each name, and yield the results as they come.

    ``after`` gives the names that a name waits for, whatever their results; those that are not in
    ``names`` do not count. Up to ``jobs`` are worked at in as many threads, each of which calls
    ``leave`` when there is no more for it to do; a single one in the thread of the caller, without.
    Once ``stop`` is set nothing more is begun. Raises what ``work`` raises, and
    ``graphlib.CycleError`` if names wait for each other.
    """
    order = TopologicalSorter(
        {name: [other for other in after.get(name, ()) if other in names] for name in names}
    )
    order.prepare()
    team = _Team(work, jobs, leave)
    ready: list[str] = []
    running = 0
    try:
        while order.is_active():
            ready = sorted([*ready, *order.get_ready()], key=names.index)
            while ready and running < jobs and not stop.is_set():
                running += 1
                team.begin(ready.pop(0), running)
            if not running:
                break
            name, result = team.finished.get()
            running -= 1
            order.done(name)
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        team.dismiss(is_idle=not running)


class _Team(Generic[Result]):
    """Threads that call ``work``, or the caller's own if there is to be but one."""

    def __init__(
        self, work: Callable[[str], Result], size: int, leave: Callable[[], object]
    ) -> None:
        self._work, self._size, self._leave = work, size, leave
        self._threads: list[Thread] = []
        self._todo: SimpleQueue[str | None] = SimpleQueue()
        self.finished: SimpleQueue[tuple[str, Result | BaseException]] = SimpleQueue()

    def begin(self, name: str, running: int) -> None:
        """Have ``work`` called with ``name``, as one of ``running`` at this moment."""
        if self._size == 1:
            self._run(name)
            return
        self._todo.put(name)
        if running > len(self._threads):
            # A daemon: who stops at once does not wait for what a server is busy with.
            self._threads.append(Thread(target=self._serve, daemon=True))
            self._threads[-1].start()

    def dismiss(self, *, is_idle: bool) -> None:
        """Have the threads leave, and if nothing is being done, wait until they have."""
        for _ in self._threads:
            self._todo.put(None)
        if is_idle:
            for thread in self._threads:
                thread.join()

    def _serve(self) -> None:
        while (name := self._todo.get()) is not None:
            self._run(name)
        self._leave()

    def _run(self, name: str) -> None:
        try:
            self.finished.put((name, self._work(name)))
        except BaseException as error:  # noqa: BLE001  Raised again where somebody can see it.
            self.finished.put((name, error))
