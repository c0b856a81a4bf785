"""A lock file beside an SQLite database."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError

if sys.platform != "win32":  # pragma: no branch  The tests run on POSIX systems.
    import fcntl

SUFFIX = ".appdb-lock"


class FileLock:
    """An exclusive lock on ``<database>.appdb-lock``, which is made and removed as needed.

    ``purpose`` goes between the two parts of the name, for another lock of the same database.

    The kernel releases it when the process ends, so a file that was left behind keeps nobody out.
    On a network file system it holds between machines if that file system's locks do; where it has
    none, taking the lock fails. On Windows nothing is locked.
    """

    def __init__(self, connection: BaseDatabaseWrapper, purpose: str = "") -> None:
        name = str(connection.settings_dict["NAME"])
        if name.startswith("file:"):
            name = unquote(urlsplit(name).path)
        # Resolved: two names of one file are one database.
        self._path = Path(os.path.realpath(name) + purpose + SUFFIX)
        self._file = -1

    def take(self) -> bool:
        """Try to take the lock, without waiting.

        Raises ``DatabaseOperationError`` if there can be no such file, or no lock on it.
        """
        if sys.platform == "win32":  # pragma: no cover  The tests run on POSIX systems.
            return True
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DatabaseOperationError(
                f"The lock file {str(self._path)!r} cannot be opened: {error.strerror}. Make it and"
                " its folder writable for this user."
            ) from None
        if self._is_locked() and self._is_in_place():
            return True
        os.close(self._file)
        return False

    def give(self) -> bool:
        """Give the lock back, and tell whether it was held until now."""
        if sys.platform == "win32":  # pragma: no cover  The tests run on POSIX systems.
            return True
        was_held = self._is_in_place()
        if was_held:
            # Before it is released: whoever has the file open meanwhile sees that it is gone.
            with suppress(OSError):
                self._path.unlink()
        os.close(self._file)
        return was_held

    def _is_locked(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            os.close(self._file)
            raise DatabaseOperationError(
                f"{str(self._path)!r} cannot be locked: {error.strerror}. SQLite needs a file"
                " system with locks, too: put the database on a local disk."
            ) from None
        return True

    def _is_in_place(self) -> bool:
        """Tell whether the locked file still is the one that others would open."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._file))
