"""Pools of asynchronous psycopg connections: one for each event loop and physical database."""

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Mapping,
)
from concurrent.futures import wait
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .circuit_handler import connecting
from .exceptions import DatabaseOperationError
from .outages import unavailable

if TYPE_CHECKING:
    # The driver is there only where a database needs it.
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

    Connection = AsyncConnection[Any]
    Pool = AsyncConnectionPool[Connection]

# As ENGINE_OPTIONS has it: none is held, since a project has as many pools as databases.
_DEFAULT_SIZES = {"min_size": 0, "max_size": 4, "reconnect_timeout": 5}
_PSYCOPG_MIN_SIZE = 4
# What OPTIONS["pool"] may hold beside these is made for synchronous connections.
_SIZES = {
    "max_idle",
    "max_lifetime",
    "max_size",
    "max_waiting",
    "min_size",
    "num_workers",
    "reconnect_timeout",
    "timeout",
}
# Seconds that a thread waits for the event loop of another; psycopg gives its workers five.
_PATIENCE = 6
_POLL_SECONDS = 0.01

_ATTRIBUTE = "_appdb_router_pools"


class _LoopPools:
    """The pools of one event loop, by alias.

    The loop holds this object, and nobody else does, so that both go together. Even a weak mapping
    by loops would keep them for ever, because the tasks of a pool refer to their loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pid = os.getpid()
        self._is_closed = False
        self.closer = self._close_at_shutdown()
        self._end = loop.create_future()
        self._keeper = loop.create_task(self._close_at_end(), name="appdb_router.async_pools")
        self._pools: dict[str, Pool] = {}
        self._connections: WeakSet[Connection] = WeakSet()

    async def open(self, alias: str, label: str) -> "Pool":
        """Return the pool of ``alias``, open; it is made at the first call."""
        pool = self._pools.get(alias)
        if pool is None:
            pool = self._pools[alias] = _make_pool(alias, label, self._connections)
        if pool.closed:
            await pool.open()
        return pool

    async def drain(self, alias: str) -> None:
        """Close the pool of ``alias`` when everybody who waits for a connection has got one."""
        pool = self._pools.pop(alias, None)
        if pool is not None:
            # With the server down psycopg counts those, too, whose time is over.
            deadline = monotonic() + pool.timeout
            while pool.get_stats().get("requests_waiting") and monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
            await pool.close()

    async def aclose(self) -> None:
        """Close all pools, for good; connections in use are closed when they are given back."""
        self._is_closed = True
        self._detach()
        if not self._end.done():
            self._end.set_result(None)
        await asyncio.wait([self._keeper])

    def drop(self, *aliases: str) -> None:
        """Let go of pools of a loop that does not run: libpq closes what nobody refers to."""
        for alias in aliases or tuple(self._pools):
            self._pools.pop(alias, None)

    def _detach(self) -> None:
        # Whoever needs a pool from now on, such as a task that cleans up, gets a new one.
        if vars(self.loop).get(_ATTRIBUTE) is self:
            delattr(self.loop, _ATTRIBUTE)

    async def _close_at_end(self) -> None:
        # asyncio.run() and its like end by cancelling every task and waiting for them. A worker
        # that connects at that moment takes no notice; it has to be stopped by its pool.
        with suppress(asyncio.CancelledError):
            await self._end
        self._detach()
        if self.pid == os.getpid():
            closing = (pool.close() for pool in self._pools.values())
            # With its workers cancelled, a pool raises that.
            await asyncio.gather(*closing, return_exceptions=True)

    async def _close_at_shutdown(self) -> AsyncGenerator[None, None]:
        # Then they tell every asynchronous generator that the loop ends. Pools whose workers were
        # cancelled have left their connections open.
        try:
            yield
        finally:
            if not self._is_closed and self.pid == os.getpid():
                await self.aclose()
                for connection in list(self._connections):
                    await connection.close()


_all: "WeakSet[_LoopPools]" = WeakSet()
_lock = Lock()


@asynccontextmanager
async def async_connection(alias: str, label: str) -> "AsyncIterator[Connection]":
    """Give a connection of the pool of ``alias`` in a transaction; errors name ``label``.

    Raises ``DatabaseOperationError`` if there can be no pool, and ``DatabaseUnavailableError`` if
    the pool gives no connection.
    """
    pool = await (await _running_pools()).open(alias, label)
    async with AsyncExitStack() as stack:
        connection = await _checked_out(stack, pool, alias, label)
        # Somebody may have changed it, and a pool gives back what it got.
        if connection.autocommit:
            await connection.set_autocommit(False)
        row_factory = connection.row_factory
        try:
            yield connection
        finally:
            connection.row_factory = row_factory


async def _checked_out(stack: AsyncExitStack, pool: "Pool", alias: str, label: str) -> "Connection":
    """Return a connection of ``pool``, which gets it back when ``stack`` closes."""
    from psycopg_pool import PoolTimeout, TooManyRequests

    try:
        with connecting(alias, (PoolTimeout,)):
            return await stack.enter_async_context(pool.connection())
    except (PoolTimeout, TooManyRequests) as error:
        raise unavailable(alias, label, error) from error


async def aclose_all() -> None:
    """Close every pool of the running event loop; the next session opens a new one.

    Connections in use are closed when they are given back; who waits for one gets psycopg's
    ``PoolClosed``. Pools close by themselves when ``asyncio.run()`` ends: this is for a loop that
    goes on, such as one that outlives a test database.
    """
    await (await _running_pools()).aclose()


def close_pools() -> None:
    """Close the pools of every event loop of this process, from synchronous code."""
    _in_every_loop(_LoopPools.aclose, _LoopPools.drop)


def drain_pools(alias: str) -> None:
    """Close the pools of ``alias`` in every event loop, from synchronous code.

    Who waits for a connection still gets it; connections in use are closed when given back.
    """
    _in_every_loop(lambda pools: pools.drain(alias), lambda pools: pools.drop(alias))


def _in_every_loop(
    close: Callable[[_LoopPools], Coroutine[Any, Any, None]], drop: Callable[[_LoopPools], None]
) -> None:
    with _lock:
        # Those of a parent process are its own: closing them here would end its connections.
        found = [pools for pools in _all if pools.pid == os.getpid()]
    closing = []
    for pools in found:
        if pools.loop.is_running():
            closing.append(asyncio.run_coroutine_threadsafe(close(pools), pools.loop))
        else:
            drop(pools)
    wait(closing, _PATIENCE)


async def _running_pools() -> _LoopPools:
    loop = asyncio.get_running_loop()
    pools: _LoopPools | None = vars(loop).get(_ATTRIBUTE)
    if pools is None or pools.pid != os.getpid():
        pools = vars(loop)[_ATTRIBUTE] = _LoopPools(loop)
        with _lock:
            _all.add(pools)
        # A generator counts as started, and is told of the end, from its first step on.
        await anext(pools.closer)
    return pools


def _make_pool(alias: str, label: str, made: "WeakSet[Connection]") -> "Pool":
    """Return a pool of ``alias``, not yet open, that adds its connections to ``made``."""
    connection = connections[alias]
    _check_driver(connection, label)
    try:
        from psycopg_pool import AsyncConnectionPool
    except ImportError:
        raise DatabaseOperationError(
            f"The database of the app {label!r} cannot be used asynchronously: psycopg_pool is not"
            ' installed. Install "psycopg[pool]".'
        ) from None
    parameters = {**connection.get_connection_params(), "autocommit": False}
    # Django's is a class of synchronous cursors.
    del parameters["cursor_factory"]
    has_checks = connection.settings_dict["CONN_HEALTH_CHECKS"]
    return AsyncConnectionPool(
        name=f"appdb_router.{alias}",
        kwargs=parameters,
        open=False,
        configure=_configuration(connection, made),
        check=AsyncConnectionPool.check_connection if has_checks else None,
        **_sizes(connection.settings_dict),
    )


def pool_limit(connection: BaseDatabaseWrapper) -> int:
    """Return how many connections the pool of an event loop may hold; 0 if there can be none."""
    if not _is_psycopg(connection) or find_spec("psycopg_pool") is None:
        return 0
    return max_size(_sizes(connection.settings_dict))


def max_size(sizes: Mapping[str, Any]) -> int:
    """Return the most connections that a pool of psycopg with the arguments ``sizes`` holds."""
    size: int | None = sizes.get("max_size")
    # Without a maximum psycopg keeps the minimum all the time.
    return sizes.get("min_size", _PSYCOPG_MIN_SIZE) if size is None else size


def _sizes(setting: Mapping[str, Any]) -> Mapping[str, Any]:
    sizes = setting["OPTIONS"].get("pool")
    if not isinstance(sizes, dict):
        return _DEFAULT_SIZES
    return {name: value for name, value in sizes.items() if name in _SIZES}


def _check_driver(connection: BaseDatabaseWrapper, label: str) -> None:
    """Refuse what is not psycopg 3: its like on another engine is not known here."""
    if not _is_psycopg(connection):
        raise DatabaseOperationError(
            f"The database of the app {label!r} cannot be used asynchronously: its engine is"
            f" {connection.settings_dict['ENGINE']!r}, not PostgreSQL with psycopg 3. Use 'with' in"
            " a function that asgiref.sync.sync_to_async() runs."
        )


def _is_psycopg(connection: BaseDatabaseWrapper) -> bool:
    driver = getattr(connection, "Database", None)
    return getattr(driver, "__name__", None) == "psycopg"


def _configuration(
    connection: BaseDatabaseWrapper, made: "WeakSet[Connection]"
) -> "Callable[[Connection], Awaitable[None]]":
    """Return what makes a new connection like those of Django."""
    options = connection.settings_dict["OPTIONS"]
    parameters = {"TimeZone": connection.timezone_name, "role": options.get("assume_role")}
    isolation_level = options.get("isolation_level")

    async def configure(new: "Connection") -> None:
        made.add(new)
        if isolation_level is not None:
            await new.set_isolation_level(isolation_level)
        for name, value in parameters.items():
            if value and new.info.parameter_status(name) != value:
                await new.execute("SELECT set_config(%s, %s, false)", (name, value))
        await new.commit()

    return configure
