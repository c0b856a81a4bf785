"""Doing several things at once, each after those that it waits for."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Result = TypeVar("Result")


def run_in_order(
    names: Sequence[str],
    work: Callable[[str], Result],
    *,
    after: Mapping[str, Collection[str]],
    jobs: int,
    stop: Event,
) -> Iterator[Result]:
    """Call ``work`` with each name, and yield the results as they come.

    ``after`` gives the names that a name waits for, whatever their results; those that are not in
    ``names`` do not count. Up to ``jobs`` are worked at in as many threads; a single one in the
    thread of the caller. Once ``stop`` is set nothing more is begun. Raises what ``work`` raises,
    and ``graphlib.CycleError`` if names wait for each other.
    """
    order = TopologicalSorter(
        {name: [other for other in after.get(name, ()) if other in names] for name in names}
    )
    order.prepare()
    finished: SimpleQueue[tuple[str, Result | BaseException]] = SimpleQueue()

    def run(name: str) -> None:
        try:
            finished.put((name, work(name)))
        except BaseException as error:  # noqa: BLE001  Raised again where somebody can see it.
            finished.put((name, error))

    ready: list[str] = []
    running = 0
    while order.is_active():
        ready = sorted([*ready, *order.get_ready()], key=names.index)
        while ready and running < jobs and not stop.is_set():
            running += 1
            _begin(run, ready.pop(0), in_thread=jobs > 1)
        if not running:
            return
        name, result = finished.get()
        running -= 1
        order.done(name)
        if isinstance(result, BaseException):
            raise result
        yield result


def _begin(run: Callable[[str], None], name: str, *, in_thread: bool) -> None:
    if in_thread:
        # A daemon: who stops at once does not wait for what a server is busy with.
        Thread(target=run, args=(name,), daemon=True).start()
    else:
        run(name)
