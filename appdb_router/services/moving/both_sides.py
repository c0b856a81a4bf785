"""Asking the two databases of a comparison at the same time."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from .patience import stopped
from .server_side import ServerSide, comparable
from .settling import are_postgresql
from .tables import MovedTable
from .totals import ClientSide, Side

Answer = TypeVar("Answer")

# Seconds after which a wish to stop is noticed.
_PAUSE = 0.2


class BothSides:
    """The two connections, each asked from a thread of its own."""

    def __init__(
        self,
        giver: BaseDatabaseWrapper,
        taker: BaseDatabaseWrapper,
        pool: ThreadPoolExecutor,
        stop: Event,
    ) -> None:
        self.giver, self.taker = giver, taker
        self._pool, self._stop = pool, stop

    @property
    def are_servers(self) -> bool:
        """Whether both can sum up their rows, with the same result for the same rows."""
        return are_postgresql(self.giver, self.taker)

    def ask(
        self, table: MovedTable, question: Callable[[Side, bool], Answer]
    ) -> tuple[Answer, Answer]:
        """Return what both sides of ``table`` say; ``question`` is told whether it is the giver.

        If one of them fails, or it is time to stop, the other is not waited for.
        """
        kind = ServerSide if self.are_servers else ClientSide
        sides: list[Side] = [kind(table, self.giver), kind(table, self.taker)]
        futures = [self._pool.submit(question, side, side is sides[0]) for side in sides]
        failed: BaseException | None = None
        unfinished = set(futures)
        while unfinished:
            done, unfinished = wait(futures, _PAUSE, FIRST_EXCEPTION)
            failed = failed or next(filter(None, (item.exception() for item in done)), None)
            if unfinished and (failed or self._stop.is_set()):
                for side in sides:
                    side.cancel()
        if self._stop.is_set():
            raise stopped("The comparison was stopped before its end.")
        if failed:
            raise failed
        return futures[0].result(), futures[1].result()


@contextmanager
def both_sides(
    giver: BaseDatabaseWrapper, taker: BaseDatabaseWrapper, stop: Event
) -> Iterator[BothSides]:
    """Give in this block what asks both, and ends as soon as ``stop`` is set."""
    with ExitStack() as stack:
        for connection in (giver, taker):
            connection.ensure_connection()
            stack.enter_context(comparable(connection))
            connection.inc_thread_sharing()
            stack.callback(connection.dec_thread_sharing)
        pool = stack.enter_context(ThreadPoolExecutor(2))
        yield BothSides(giver, taker, pool, stop)
