"""Asking for an app's database by the app: its URL, its source, its connection."""

import atexit
import os
from contextlib import suppress
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model
from django.utils.asyncio import async_unsafe

from . import closing
from .aliases import alias_for
from .display import display_url
from .registering import Registration, register_database, unregister_database
from .revealing import revealed_url
from .topology import Database, get_topology

__all__ = [
    "AppDatabase",
    "Registration",
    "close_all",
    "discover_all_app_databases",
    "discover_app_database",
    "get_connection",
    "get_database_url",
    "register_database",
    "unregister_database",
]


@dataclass(frozen=True)
class AppDatabase:
    """Where an app lives, and why; safe to show.

    ``alias`` is the one that the app or its group has, or ``"default"``; ``canonical_alias`` is
    the one that its queries use, see ``alias_for``. ``source_kind`` is ``"environment"``,
    ``"database.py"``, ``"argument"``, ``"rehearsal"`` or ``"registered"``, and ``source_name`` the
    variable, file or function.
    """

    label: str
    alias: str
    canonical_alias: str
    url: str
    source_kind: str
    source_name: str


def get_database_url(label: str, *, reveal_password: bool = False) -> str:
    """Return the URL of the database of the app ``label``, in a test run of the test database.

    While the app is moved, it is the one where it is at home now. By default it is shown as
    ``db_list`` does it: without password and options. With
    ``reveal_password`` it is complete: as the value of ``<LABEL>_DATABASE_URL`` it makes the same
    database again. Never log that one.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed, and
    ``ConfigurationError`` if no URL can name the backend.
    """
    database = _home_of(label)
    return revealed_url(connections.settings[database.alias]) if reveal_password else _url(database)


def discover_app_database(label: str) -> AppDatabase:
    """Return where the app ``label`` lives, and why.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed: falling back to
    the default would hide a slip of the pen.
    """
    database = _home_of(label)
    return _app_database(label, database, _url(database))


def discover_all_app_databases() -> dict[str, AppDatabase]:
    """Return where each installed app lives, by label."""
    found = {}
    for database in get_topology().databases.values():
        url = _url(database)
        found.update({label: _app_database(label, database, url) for label in database.labels})
    found.update({label: discover_app_database(label) for label in get_topology().moves})
    return dict(sorted(found.items()))


def get_connection(target: str | type[Model] | Model) -> BaseDatabaseWrapper:
    """Return this thread's connection for an app's label, a model, or an instance of a model.

    It is Django's own, opened by its first query, and the one that the app's models use: it takes
    part in their transactions.

    Raises ``UnknownLabelError``, a ``LookupError``, if no such app is installed.
    """
    return connections[alias_for(target)]


@async_unsafe("close_all() would block the event loop. Use 'await aclose_all()' in a coroutine.")
def close_all() -> None:
    """Close what is open: this thread's connections, and every pool of the process.

    Open transactions of this thread are rolled back. A connection of a pool that another thread
    or task uses is closed when it is given back. Everything opens again when it is next used. It
    is called when the process exits, too.
    """
    closing.close_all()


def _home_of(label: str) -> Database:
    """Return the alias of the app ``label``; that of an app in a move is where it is at home."""
    topology = get_topology()
    database = topology.database_of(label)
    if label not in topology.moves:
        return database
    alias = alias_for(label)
    return database if alias == database.canonical_alias else topology.databases[alias]


def _url(database: Database) -> str:
    return display_url(connections.settings[database.alias], get_topology().base_dir)


def _app_database(label: str, database: Database, url: str) -> AppDatabase:
    return AppDatabase(
        label,
        database.alias,
        database.canonical_alias,
        url,
        database.source_kind,
        database.source_name,
    )


def _close_at_exit(pid: int) -> None:
    # A child that was forked has copies of its parent's connections: closing them would end those.
    if os.getpid() == pid:
        # Whatever is wrong with a connection now, nobody can act on it.
        with suppress(Exception):
            close_all()


atexit.register(_close_at_exit, os.getpid())
