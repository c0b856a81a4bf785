"""A block of code in one transaction of an app's database, synchronous or asynchronous."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from .aliases import aalias_for, alias_for
from .async_pools import aclose_all, async_connection
from .outages import DatabaseUnavailableError, unavailable
from .topology import get_topology, label_for

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    _AsyncBlock = AbstractAsyncContextManager[AsyncConnection[Any]]

__all__ = ["AppSession", "aclose_all", "get_app_session"]

# Stands for the block of a session until there is one.
_ENTERING = object()


def get_app_session(target: str | type[Model] | Model) -> "AppSession":
    """Return a session for an app's label, a model, or an instance of a model.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed.
    """
    return AppSession(label_for(target))


class AppSession:
    """A transaction on the database of the app ``label``: committed, or rolled back on an error.

    ``with`` gives Django's connection of this thread, in an ``atomic()`` block: nested in another
    one it is a savepoint, and models take part in it.

    ``async with`` gives a ``psycopg.AsyncConnection`` out of a pool, as a connection of its own:
    it does not see what Django's connection has not committed, such as the rows of a ``TestCase``.
    It raises ``DatabaseOperationError`` if the app's database is not PostgreSQL with psycopg 3, or
    psycopg_pool is missing.

    Both raise ``DatabaseUnavailableError``, which is also Django's ``OperationalError``, if the
    database gives no connection.

    A session can be used again, but not while it is in use.
    """

    __slots__ = ("_block", "_label")

    def __init__(self, label: str) -> None:
        self._label = label
        # A label that nobody has is an error here, not in the block.
        alias_for(label)
        self._block: Any = None

    def __enter__(self) -> BaseDatabaseWrapper:
        self._check_free()
        while True:
            alias = alias_for(self._label)
            with ExitStack() as blocks:
                block = self._entered(alias)
                blocks.push(block.__exit__)
                # If the app has another database since: nothing was done here yet.
                if alias == alias_for(self._label):
                    blocks.pop_all()
                    self._block = block
                    return connections[alias]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        block.__exit__(kind, error, traceback)

    async def __aenter__(self) -> "AsyncConnection[Any]":
        self._check_free()
        # Noted before the first wait, so that no other task can enter meanwhile.
        self._block = _ENTERING
        try:
            self._block, connection = await self._aentered()
        except BaseException:
            self._block = None
            raise
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        await block.__aexit__(kind, error, traceback)

    async def _aentered(self) -> "tuple[_AsyncBlock, AsyncConnection[Any]]":
        while True:
            alias = await aalias_for(self._label)
            async with AsyncExitStack() as blocks:
                block = async_connection(alias, self._label)
                connection = await blocks.enter_async_context(block)
                # If the app has moved since: nothing was done here yet. Of a registration that was
                # undone the pool goes on for those who waited.
                is_moving = self._label in get_topology().moves
                if not is_moving or alias == await aalias_for(self._label):
                    blocks.pop_all()
                    return block, connection

    def _entered(self, alias: str) -> Any:
        connection = connections[alias]
        # The block would connect too, with an error that names no app. Inside of another block the
        # connection is there, or was lost, which is for the block to say.
        if not connection.in_atomic_block:
            try:
                connection.ensure_connection()
            except DatabaseUnavailableError:
                raise
            except (InterfaceError, OperationalError) as error:
                raise unavailable(alias, self._label, error) from error
        # A plain text: if the app moves now, this is for __enter__ to say.
        block = transaction.atomic(using=str(alias))
        block.__enter__()
        return block

    def _check_free(self) -> None:
        if self._block is not None:
            raise RuntimeError(
                f"This session of {self._label!r} is in use. Call get_app_session() for each block."
            )
