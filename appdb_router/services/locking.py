"""A lock by physical database, so that two processes do not migrate it at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1
from threading import Event
from time import monotonic, sleep
from typing import Protocol
from zlib import crc32

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError
from .file_lock import FileLock

# Any number will do, as long as every version of this package uses the same one.
_ADVISORY_KEY = 0x6170706462
_POLL_SECONDS = 0.1
# Seconds: the statement of a process that was killed goes on, and with it the session's lock.
_MOVE_PATIENCE = 10


class _Lock(Protocol):
    """A lock that ends with its session or process, however that ends."""

    def take(self) -> bool:
        """Try to take the lock, without waiting."""

    def give(self) -> bool:
        """Give the lock back, and tell whether it was held until now."""


@contextmanager
def move_lock(connection: BaseDatabaseWrapper, label: str) -> Iterator[None]:
    """Hold the lock for moving the app ``label`` out of the database of ``connection``.

    As that for migrating, its session holds it. Raises ``DatabaseOperationError`` if another
    process moves the app.
    """
    lock = _LOCKS[connection.vendor](connection, f"move:{label}")
    deadline = monotonic() + _MOVE_PATIENCE
    while not lock.take():
        if monotonic() > deadline:
            raise DatabaseOperationError(
                f"Another process moves {label!r} out of {connection.alias!r}. Wait for it, or end"
                " it and go on with --resume."
            )
        sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.give()


@contextmanager
def migration_lock(
    connection: BaseDatabaseWrapper, *, timeout: float, stop: Event | None = None
) -> Iterator[None]:
    """Hold the lock for migrating the physical database behind ``connection``.

    On a server the session of ``connection`` holds it, and the migrations are to run in that
    session: a statement of a process that was killed goes on there, and until it ends nobody else
    gets the lock. SQLite has a lock file. Engines without such a lock are not locked.

    Raises ``DatabaseOperationError`` if another process holds it for longer than ``timeout``
    seconds, if ``stop`` is set meanwhile, and if the lock turns out not to have been held.
    """
    if connection.vendor not in _LOCKS:
        yield
        return
    lock = _LOCKS[connection.vendor](connection, "")
    _wait_for(lock, timeout, stop or Event())
    try:
        yield
    except BaseException:
        lock.give()
        raise
    if not lock.give():
        raise DatabaseOperationError(
            "The lock for migrating was not held to the end: the session that held it was closed,"
            " or a pooler gave it to somebody else. Make sure that nothing else was migrating the"
            " database meanwhile, and run it again."
        )


def _wait_for(lock: _Lock, timeout: float, stop: Event) -> None:
    deadline = monotonic() + timeout
    # Polled: a session that waits in pg_advisory_lock() holds a snapshot, for which CREATE INDEX
    # CONCURRENTLY of the lock's holder would wait in turn.
    while not lock.take():
        if monotonic() > deadline:
            raise DatabaseOperationError(
                f"Another process has been migrating the database for {timeout:g} seconds."
                " Wait for it, or give a longer --lock-timeout."
            )
        if stop.wait(_POLL_SECONDS):
            raise DatabaseOperationError("Stopped while another process migrated the database.")


@dataclass(frozen=True)
class _ServerLock:
    """A lock of the session of ``connection``, by the queries that take it and give it back."""

    connection: BaseDatabaseWrapper
    taking: str
    giving: str

    def take(self) -> bool:
        """Try to take the lock, without waiting."""
        with self.connection.cursor() as cursor:
            cursor.execute(self.taking)
            return bool(cursor.fetchone()[0])

    def give(self) -> bool:
        """Give the lock back, and tell whether it was held until now."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(self.giving)
                return bool(cursor.fetchone()[0])
        except Error:
            return False


def _advisory_lock(connection: BaseDatabaseWrapper, purpose: str) -> _ServerLock:
    # 32 bits of the purpose above those of the key.
    key = _ADVISORY_KEY ^ (crc32(purpose.encode()) << 31)
    return _ServerLock(
        connection, f"SELECT pg_try_advisory_lock({key})", f"SELECT pg_advisory_unlock({key})"
    )


def _named_lock(connection: BaseDatabaseWrapper, purpose: str) -> _ServerLock:
    # MySQL's locks are the server's, and their names have at most 64 characters.
    what = sha1(purpose.encode(), usedforsecurity=False).hexdigest() if purpose else ""
    name = f"CONCAT('appdb_router:', SHA1(CONCAT(DATABASE(), '{what}')))"
    return _ServerLock(connection, f"SELECT GET_LOCK({name}, 0)", f"SELECT RELEASE_LOCK({name})")


def _file_lock(connection: BaseDatabaseWrapper, purpose: str) -> FileLock:
    return FileLock(connection, f".{purpose.replace(':', '-')}" if purpose else "")


_LOCKS: dict[str, Callable[[BaseDatabaseWrapper, str], _Lock]] = {
    "postgresql": _advisory_lock,
    "mysql": _named_lock,
    "sqlite": _file_lock,
}
