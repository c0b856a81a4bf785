"""A block of code in one transaction of an app's database, synchronous or asynchronous."""

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from .async_pools import aclose_all, async_connection
from .outages import DatabaseUnavailableError, unavailable
from .topology import alias_for, label_for

if TYPE_CHECKING:
    from psycopg import AsyncConnection

__all__ = ["AppSession", "aclose_all", "get_app_session"]


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
        alias = alias_for(self._label)
        block = self._entered(alias)
        while alias != (now := alias_for(self._label)):
            # Somebody has registered another database since. Nothing was done here yet.
            block.__exit__(None, None, None)
            alias, block = now, self._entered(now)
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
        block: AbstractAsyncContextManager[AsyncConnection[Any]]
        # Noted before the first wait, so that no other task can enter meanwhile.
        self._block = block = async_connection(alias_for(self._label), self._label)
        try:
            return await block.__aenter__()
        except BaseException:
            self._block = None
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        await block.__aexit__(kind, error, traceback)

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
        block = transaction.atomic(using=alias)
        block.__enter__()
        return block

    def _check_free(self) -> None:
        if self._block is not None:
            raise RuntimeError(
                f"This session of {self._label!r} is in use. Call get_app_session() for each block."
            )
