"""Transactions by app: blocks on one or several databases, and what runs when they commit."""

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ContextDecorator, ExitStack
from functools import wraps
from inspect import isasyncgenfunction, isgeneratorfunction
from types import TracebackType
from typing import Any, TypeGuard, TypeVar

from asgiref.sync import iscoroutinefunction
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.utils.asyncio import async_unsafe

from .aliases import alias_for
from .blocks import is_in_block
from .topology import label_for
from .transaction_guard import allowed

__all__ = ["Atomic", "allow_writes", "atomic", "on_all_commits", "on_commit"]

_FunctionT = TypeVar("_FunctionT", bound=Callable[..., Any])

logger = logging.getLogger(__name__)


def atomic(
    *targets: str | type[Model] | Model, savepoint: bool = True, durable: bool = False
) -> "Atomic":
    """Return Django's ``atomic`` for the databases of labels, models or instances.

    It is a decorator and a context manager. Several databases are entered in the order of their
    aliases, each physical database once, and committed in the reverse order. An exception that
    leaves the block rolls all of them back; a commit that fails leaves what was committed before
    it. ``savepoint`` and ``durable`` count for each database as in Django.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed, and ``TypeError``
    if there is no target or one is something else.
    """
    return Atomic(_labels("atomic", targets), savepoint=savepoint, durable=durable)


class Atomic(ContextDecorator):
    """What ``atomic()`` returns: like Django's, it can be used again, nested and by many threads.

    It asks for the databases whenever it is entered. As a decorator it refuses coroutine functions
    and generators with a ``TypeError``: their code runs when the block is over. Django up to 6.1
    has no asynchronous ``atomic``.
    """

    def __init__(self, labels: Collection[str], *, savepoint: bool, durable: bool) -> None:
        self._labels = labels
        self._savepoint = savepoint
        self._durable = durable
        # As connections are: an instance that decorates a function is entered by every thread.
        self._threads = threading.local()

    def __call__(self, func: _FunctionT) -> _FunctionT:
        """Return ``func`` with each call in a block of its own."""
        kinds = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)
        if any(is_kind(func) for is_kind in kinds):
            name = getattr(func, "__qualname__", func)
            raise TypeError(
                f"atomic() cannot decorate {name!r}: a coroutine or generator runs"
                " after the call. Put what belongs together into a synchronous function, and await"
                " sync_to_async(function)()."
            )
        return super().__call__(func)

    def __enter__(self) -> None:
        while True:
            aliases = self._aliases()
            with self._entered(aliases) as blocks:
                # If one of the apps has another database since: nothing was done here yet.
                if aliases == self._aliases():
                    self._open().append(blocks.pop_all())
                    return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open().pop().__exit__(kind, error, traceback)

    def _aliases(self) -> list[str]:
        return sorted({alias_for(label) for label in self._labels})

    def _entered(self, aliases: Collection[str]) -> ExitStack:
        with ExitStack() as blocks:
            for alias in aliases:
                block = transaction.atomic(str(alias), self._savepoint, self._durable)
                blocks.enter_context(block)
            return blocks.pop_all()

    def _open(self) -> list[ExitStack]:
        """Return what this thread has entered and not left, the innermost last."""
        blocks: list[ExitStack] = vars(self._threads).setdefault("blocks", [])
        return blocks


@async_unsafe("on_commit() belongs to a thread's connection. Call it where the transaction is.")
def on_commit(
    func: Callable[[], object], *targets: str | type[Model] | Model, robust: bool = False
) -> None:
    """Call ``func`` when the open transactions of the targets' databases have committed.

    A database without an open transaction counts as committed; if none has one, ``func`` is called
    at once. It is never called if one of them is rolled back, be it to a savepoint. With one
    database this is Django's ``on_commit``, and ``robust`` is as there.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed, and ``TypeError``
    if ``func`` cannot be called, there is no target, or one is something else.
    """
    _check_callable("on_commit", func)
    aliases = dict.fromkeys(alias_for(label) for label in _labels("on_commit", targets))
    _after_commits([connections[alias] for alias in aliases], func, robust)


@async_unsafe("on_all_commits() belongs to a thread. Call it where the transactions are.")
def on_all_commits(func: Callable[[], object], *, robust: bool = False) -> None:
    """Call ``func`` once, when every transaction that this thread has open now has committed.

    It is called behind the last commit, in whatever order the blocks end, and never if one of them
    is rolled back, be it to a savepoint, or loses its connection. With no transaction open it is
    called at once. The blocks that a ``TestCase`` has around its tests do not count.

    An exception of ``func`` leaves the block that was the last to commit, and undoes nothing; with
    ``robust`` it is logged instead.

    Raises ``TypeError`` if ``func`` cannot be called, and ``TransactionManagementError`` if a
    connection has autocommit switched off by hand.
    """
    _check_callable("on_all_commits", func)
    initialised = connections.all(initialized_only=True)
    found = [connection for connection in initialised if _is_in_transaction(connection)]
    if found:
        _after_commits(found, func, robust)
    elif robust:
        _call_robustly(func)
    else:
        func()


def allow_writes(*targets: str | type[Model] | Model, reason: str) -> AbstractContextManager[None]:
    """Return a block in which ``TRANSACTION_GUARD`` accepts writes to the targets' databases.

    It changes nothing else: those writes are not rolled back with the transaction around them.
    ``reason`` is for the reader, and for the log at level ``DEBUG`` when it is made use of.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed, ``TypeError`` if
    there is no target or one is something else, and ``ValueError`` if the reason is empty.
    """
    labels = _labels("allow_writes", targets)
    if not reason.strip():
        raise ValueError("allow_writes() needs a reason: say why the write may stay alone.")
    return allowed(reason, {alias_for(label) for label in labels})


def _labels(name: str, targets: Collection[object]) -> list[str]:
    """Return the labels of what was passed to the function ``name``; all of them are known."""
    labels = [label_for(target) for target in targets if _is_target(target)]
    if not labels or len(labels) < len(targets):
        wrong = [repr(target) for target in targets if not _is_target(target)]
        raise TypeError(
            f"{name}() got {', '.join(wrong) or 'no target'}. Pass an app's label, a model or an"
            " instance of a model, as alias_for() takes it."
        )
    for label in labels:
        alias_for(label)
    return labels


def _is_target(target: object) -> TypeGuard[str | type[Model] | Model]:
    # ``isinstance`` sees through lazy objects, such as ``request.user``.
    if isinstance(target, type):
        return issubclass(target, Model)
    return isinstance(target, str | Model)


def _check_callable(name: str, func: object) -> None:
    if not callable(func):
        raise TypeError(f"{name}()'s callback is {func!r}. Make it a callable.")


def _is_in_transaction(connection: BaseDatabaseWrapper) -> bool:
    if connection.in_atomic_block:
        return is_in_block(connection)
    # Without autocommit nobody knows, and Django's ``on_commit`` refuses.
    return connection.connection is not None and not connection.autocommit


def _after_commits(
    found: Collection[BaseDatabaseWrapper], func: Callable[[], object], robust: bool
) -> None:
    """Call ``func`` when the transactions of all connections have committed.

    Django keeps the callbacks of a connection and drops those of what is rolled back, or lost with
    the connection. So each connection gets a callback that ticks its alias off.
    """
    if len(found) == 1:
        [connection] = found
        connection.on_commit(func, robust)
        return
    waiting = {connection.alias for connection in found}
    for connection in found:
        connection.on_commit(_ticking(waiting, connection.alias, func), robust)


def _ticking(waiting: set[str], alias: str, func: Callable[[], object]) -> Callable[[], None]:
    # Django and its tests show the callback by its name: that of ``func``.
    @wraps(func)
    def tick() -> None:
        # A test that captures callbacks may run one twice.
        if alias in waiting:
            waiting.remove(alias)
            if not waiting:
                func()

    return tick


def _call_robustly(func: Callable[[], object]) -> None:
    try:
        func()
    except Exception:
        logger.exception("Error calling %r in on_all_commits().", func)
