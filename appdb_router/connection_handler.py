"""A connection handler that knows what is open, where Django's own asks for every alias.

The receivers of Django's request signals, ``reset_queries`` and ``close_old_connections``, call
``connections.all(initialized_only=True)``, and so do ``close_all()`` and task queues. Only that
method changes: all who call it stay as they are, and connected as they are.
"""

import threading
from collections.abc import Iterator
from typing import Any, cast
from weakref import WeakSet

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler


class OpenConnectionHandler(ConnectionHandler):
    """Django's handler, with a note for each thread of the aliases that it has connections of.

    Connections never leave their thread. Within it they belong to the thread or to an async
    context, and the note is for all of these together: it may name too many aliases, never too
    few, and Django's own storage is asked for each.
    """

    # Django's attribute, which its stubs do not have.
    _connections: Any
    _notes: threading.local
    _noted_storage: object = None
    _earlier_threads: frozenset[threading.Thread] = frozenset()
    _made: WeakSet[BaseDatabaseWrapper]
    _lock: threading.Lock
    _withdrawn: frozenset[str] = frozenset()

    def create_connection(self, alias: str) -> BaseDatabaseWrapper:
        """Create a connection, which Django is about to store, and note its alias."""
        connection = super().create_connection(alias)
        self._note(alias)
        with self._lock:
            self._made.add(connection)
        return connection

    def __setitem__(self, key: str, value: BaseDatabaseWrapper) -> None:
        """Store a connection and note its alias."""
        super().__setitem__(key, value)
        self._note(key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the declared aliases, without those that were withdrawn."""
        return (alias for alias in self.settings if alias not in self._withdrawn)

    def declare(self, alias: str, config: dict[str, Any]) -> None:
        """Add an alias, with the defaults of Django."""
        self.configure_settings({DEFAULT_DB_ALIAS: self.settings[DEFAULT_DB_ALIAS], alias: config})
        # A new dictionary: other threads may be walking through this one.
        self.settings = {**self.settings, alias: config}

    def withdraw(self, alias: str) -> None:
        """Take an alias out of what Django's commands walk through.

        A thread that was told to use it a moment ago still can.
        """
        self._withdrawn |= {alias}

    def remove(self, alias: str) -> None:
        """Take an alias away for good."""
        self.settings = {key: value for key, value in self.settings.items() if key != alias}
        self._withdrawn -= {alias}

    def discard(self, alias: str) -> None:
        """Forget this thread's connection of an alias that was withdrawn."""
        if alias in self._withdrawn and hasattr(self._connections, alias):
            del self[alias]

    def made(self) -> list[BaseDatabaseWrapper]:
        """Return the connections of every thread that are there."""
        with self._lock:
            return list(self._made)

    def all(self, initialized_only: bool = False) -> list[BaseDatabaseWrapper]:
        """Return all connections, or those that are there, as Django does and in its order."""
        if not initialized_only:
            return list(super().all())
        declared, storage = self.settings, self._connections
        if self._is_in_doubt():
            return [getattr(storage, alias) for alias in declared if hasattr(storage, alias)]
        return [
            connection
            for alias in self._noted()
            if alias in declared and (connection := getattr(storage, alias, None)) is not None
        ]

    def start(self) -> None:
        """Note what this thread has open already; what other threads have, nobody can see."""
        # Without settings nothing was opened, and reading them here would be early.
        if "settings" in vars(self):
            self._note(*(alias for alias in self.settings if hasattr(self._connections, alias)))
        self._earlier_threads = frozenset(threading.enumerate()) - {threading.current_thread()}
        self._noted_storage = self._connections

    def _is_in_doubt(self) -> bool:
        """Return whether there may be a connection here that was never noted."""
        return self._connections is not self._noted_storage or (
            bool(self._earlier_threads) and threading.current_thread() in self._earlier_threads
        )

    def _noted(self) -> tuple[str, ...]:
        aliases: tuple[str, ...] = getattr(self._notes, "aliases", ())
        return aliases

    def _note(self, *added: str) -> None:
        """Add aliases to the thread's note, and put it into the order that the settings have now.

        What is neither declared nor stored here is dropped, or aliases that come and go, as those
        of tenants do, would pile up.
        """
        noted = dict.fromkeys((*self._noted(), *added))
        declared, storage = self.settings, self._connections
        undeclared = (alias for alias in noted if alias not in declared and hasattr(storage, alias))
        self._notes.aliases = (*filter(noted.__contains__, declared), *undeclared)


def install(handler: ConnectionHandler = connections) -> None:
    """Turn Django's handler into one that knows what is open.

    Everybody holds the handler itself, so it cannot be replaced; and Python looks ``__setitem__``
    up in the class, so an attribute of the instance would not do. A handler that is of another
    class already stays as it is: it is this one, or it belongs to another library.
    """
    if type(handler) is ConnectionHandler:
        ours = cast(OpenConnectionHandler, handler)
        # Before the class: other threads may be at work with the handler.
        ours._notes = threading.local()
        ours._made, ours._lock = WeakSet(), threading.Lock()
        handler.__class__ = OpenConnectionHandler
        ours.start()
