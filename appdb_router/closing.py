"""Closing connections and pools: all of them, or those of databases that nobody uses any more."""

from collections.abc import Iterable
from threading import Lock
from time import monotonic, sleep
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .async_pools import close_pools, drain_pools
from .connection_handler import OpenConnectionHandler

_POLL_SECONDS = 0.01


def close_all() -> None:
    """Close this thread's connections, and every pool of the process."""
    connections.close_all()
    with _closing_pools:
        for alias in connections.settings:
            if connection := _pooled(alias):
                connection.close_pool()
    close_pools()


def close_everywhere(handler: OpenConnectionHandler, aliases: Iterable[str]) -> None:
    """Close what this process has open of ``aliases``, to which nothing is routed.

    A thread's connection can be closed by that thread alone: it is made to look too old, so that
    it goes at the end of the request. Whoever waits for a connection of a pool still gets it, and
    who has one keeps it until it is given back.
    """
    for alias in aliases:
        own = [item for item in handler.all(initialized_only=True) if item.alias == alias]
        for connection in own:
            connection.close()
        for connection in handler.made():
            if connection.alias == alias and connection not in own:
                connection.close_at = 0.0
        _drain_pool(alias)
        drain_pools(alias)
        handler.discard(alias)


def _drain_pool(alias: str) -> None:
    with _closing_pools:
        pooled = _pooled(alias)
        # Out of Django's sight first: who comes now gets another one.
        pool = pooled._connection_pools.pop(alias) if pooled else None
    if pool is not None:
        # With the server down psycopg counts those, too, whose time is over.
        deadline = monotonic() + pool.timeout
        while pool.get_stats().get("requests_waiting") and monotonic() < deadline:
            sleep(_POLL_SECONDS)
        pool.close()


_closing_pools = Lock()


def _pooled(alias: str) -> Any:
    """Return a connection of ``alias`` if Django has a pool for it.

    Django keeps pools by alias, for all threads, and makes a missing one when asked to close it.
    """
    if not connections.settings[alias]["OPTIONS"].get("pool"):
        return None
    connection: BaseDatabaseWrapper = connections[alias]
    return connection if alias in getattr(connection, "_connection_pools", ()) else None
