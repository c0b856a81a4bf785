"""The PostgreSQL servers of a run: one connection to each for what concerns all its databases."""

from collections.abc import Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from time import monotonic
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from .connecting import MAINTENANCE_DATABASE, maintenance_connection, setting_of, vendor_of

_NAMES = """
    SELECT pg_backend_pid(), ARRAY(
        SELECT datname::text FROM pg_database WHERE datname::text = ANY(%s::text[])
    )
"""
# What is idle for longer may be closed by whatever is between here and the server.
FRESH_SECONDS = 10
_OF_SERVER = ("ENGINE", "HOST", "PORT", "USER", "PASSWORD", "OPTIONS")


class Servers:
    """Maintenance connections, one to each server, by the direct URLs where there are any.

    They are opened when they are needed, and any thread may use them, one after the other.
    """

    def __init__(self) -> None:
        self._servers: dict[Hashable, _Server] = {}
        self._lock = Lock()

    def connection(self, alias: str) -> Any:
        """Return a context with the connection to the server of ``alias``.

        It raises ``django.db.Error`` if the server lets nobody in.
        """
        return self._of(alias).connection(alias)

    def missing(self, aliases: Iterable[str]) -> set[str]:
        """Return those of ``aliases`` whose databases are certainly not there, by one query each.

        Of other engines, of a server that cannot be asked, and behind a pooler, which has names of
        its own, nothing is certain.
        """
        by_server: dict[_Server, dict[str, str]] = {}
        for alias in aliases:
            name = str(setting_of(alias, direct=True)["NAME"])
            # Without a name, the driver finds one in places of its own.
            if vendor_of(alias) == "postgresql" and name:
                by_server.setdefault(self._of(alias), {})[alias] = name
        return {
            alias
            for server, names in by_server.items()
            for alias in names.keys() - _present(server, names)
        }

    def close(self) -> None:
        """Close the connections."""
        for server in self._servers.values():
            server.close()

    def _of(self, alias: str) -> "_Server":
        setting = setting_of(alias, direct=True)
        key = repr([setting[name] for name in _OF_SERVER])
        with self._lock:
            return self._servers.setdefault(key, _Server())


class _Server:
    def __init__(self) -> None:
        self._lock, self._stack = Lock(), ExitStack()
        self._connection: BaseDatabaseWrapper | None = None
        self._used = monotonic()

    @contextmanager
    def connection(self, alias: str) -> Iterator[BaseDatabaseWrapper]:
        with self._lock:
            if monotonic() - self._used > FRESH_SECONDS:
                self._close()
            if self._connection is None:
                context = maintenance_connection(alias, direct=True)
                self._connection = self._stack.enter_context(context)
                self._connection.inc_thread_sharing()
            is_kept = False
            try:
                yield self._connection
                # Nobody could copy the template as long as it is in use.
                is_kept = self._connection.settings_dict["NAME"] == MAINTENANCE_DATABASE
            finally:
                self._used = monotonic()
                if not is_kept:
                    self._close()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._connection = None
        self._stack.close()


def _present(server: _Server, names: dict[str, str]) -> set[str]:
    """Return the aliases of ``names`` whose databases may be there."""
    try:
        with server.connection(next(iter(names))) as connection, connection.cursor() as cursor:
            cursor.execute(_NAMES, [sorted(names.values())])
            process, found = cursor.fetchone()
            # A pooler has to invent the process that it greets its clients with.
            if connection.connection.info.backend_pid != process:
                return set(names)
    except Error:
        return set(names)
    return {alias for alias, name in names.items() if name in found}
