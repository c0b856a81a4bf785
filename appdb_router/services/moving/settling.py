"""How a session of a move is set up, so that values go through it as they are."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from threading import Thread
from typing import Any

from django.db import Error, InterfaceError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from ...exceptions import MoveError
from ..connecting import separate_connection

# Everything that a value's text depends on. Without the sixth, policies would leave rows out
# silently; with it, the server says that they would.
_POSTGRESQL = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "row_security": "off",
    "xmloption": "content",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
}
# A server whose client is gone behind a network that has gone silent would keep the locks of the
# session for hours.
_KEEPALIVES = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
# The same on this side. The last one is in milliseconds, the others in seconds.
_ALIVE = {
    "postgresql": {
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 4,
        "tcp_user_timeout": 30_000,
    }
}

# Seconds to wait for a server that does not even end a statement when it is told to.
_FAREWELL = 10

# A zero is a value like others, and rows come in any order. A table's rows may be copied for hours.
_MYSQL = (
    "SET SESSION foreign_key_checks = 0, SESSION sql_mode ="
    " CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'),"
    " SESSION net_write_timeout = 3600"
)


# Too many connections, shutting down, gone while waiting for a lock, interrupted.
_MYSQL_SERVER = frozenset({1040, 1053, 1077, 1080, 1205, 1213, 1317, 1927})


def session(
    alias: str, *, timeout: int | None = None
) -> AbstractContextManager[BaseDatabaseWrapper]:
    """Give a connection of a move's own, past any pooler; see ``separate_connection()``."""
    return separate_connection(alias, direct=True, timeout=timeout, usual=_ALIVE)


def are_postgresql(*connections: BaseDatabaseWrapper) -> bool:
    """Tell whether all of ``connections`` are to PostgreSQL servers, which share more than SQL."""
    return all(connection.vendor == "postgresql" for connection in connections)


def settle(connection: BaseDatabaseWrapper) -> None:
    """Set up the session of ``connection``, one of the move's own, for reading and writing rows.

    Foreign keys are not checked row by row on MySQL and SQLite (there: outside of transactions).
    On PostgreSQL they are taken away, or checked when the transaction ends.
    """
    if connection.vendor == "postgresql":
        apply_settings(connection, _POSTGRESQL)
    elif connection.vendor == "mysql":
        with connection.cursor() as cursor:
            cursor.execute(_MYSQL)
    elif not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA foreign_keys = OFF")


def end_when_alone(connection: BaseDatabaseWrapper) -> None:
    """Have the server of ``connection`` end its session soon after it has lost this process."""
    if connection.vendor == "postgresql":
        apply_settings(connection, _KEEPALIVES)


def end_thread(thread: Thread, reader: BaseDatabaseWrapper | None) -> None:
    """Wait for ``thread``, which ends by itself once the statement of ``reader`` has; cancel it."""
    if reader is not None:
        # The thread may have gone on, or be gone, in this moment.
        with suppress(Exception):
            reader.connection.cancel()
    thread.join(_FAREWELL)


def apply_settings(connection: BaseDatabaseWrapper, settings: Mapping[str, str]) -> None:
    """Set what ``settings`` say for the session of ``connection``, on PostgreSQL."""
    calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
    parameters = [text for pair in settings.items() for text in pair]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {calls}", parameters)


def driver_of(connection: Any) -> Any:
    """Return the module of the driver, which type checkers do not know of."""
    return connection.Database


def is_slow_driver() -> bool:
    """Tell whether psycopg runs without its C implementation, about half as fast."""
    try:
        from psycopg import pq
    except ImportError:
        return False
    return pq.__impl__ == "python"


def safe_error(error: BaseException) -> str:
    """Return what ``error`` says without the values that servers put into their messages."""
    cause: Any = error.__cause__ or error
    parts = [type(error).__name__]
    if code := getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None):
        parts.append(str(code))
    elif cause.args and isinstance(cause.args[0], int):
        parts.append(str(cause.args[0]))
    about = getattr(cause, "diag", None)
    for noun in ("table", "column", "constraint"):
        if found := getattr(about, f"{noun}_name", None):
            parts.append(f"{noun} {found!r}")
    return ", ".join(parts)


def is_about_server(error: Error) -> bool:
    """Tell whether ``error`` is about the connection or the server, and not about rows."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = error.args[0] if error.args else None
    # MySQL's errors of the client begin at 2000; what it says of values has lower numbers.
    return not isinstance(code, int) or code >= 2000 or code in _MYSQL_SERVER


def refusal(what: str, error: Exception) -> MoveError:
    """Return the error that tells of a server's refusal, or the driver's, to do ``what``."""
    return MoveError(f"{what}: {safe_error(error)}.")
