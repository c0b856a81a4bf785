"""Limits for the statements of migrations, so that one that waits does not stop everybody else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ..exceptions import DatabaseOperationError

__all__ = ["Timeouts"]

_LOCK_WAIT_CODES = {"55P03", 1205}
_STATEMENT_CODES = {"57014", 1969}


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds; ``None`` leaves the server's.

    ``lock_wait`` is how long a statement may wait for a lock, ``statement`` how long it may take.
    """

    lock_wait: float | None = None
    statement: float | None = None

    @contextmanager
    def applied(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Set the limits in the session of ``connection``, and again if it connects again.

        Raises ``DatabaseOperationError`` for a limit that its server does not have.
        """
        statements = [*self._statements(connection)]

        def configure(**sent: Any) -> None:
            if sent["connection"] is connection:
                with connection.cursor() as cursor:
                    for statement in statements:
                        cursor.execute(statement)

        configure(connection=connection)
        connection_created.connect(configure, weak=False)
        try:
            yield
        finally:
            connection_created.disconnect(configure)

    def _statements(self, connection: BaseDatabaseWrapper) -> Iterator[str]:
        """Yield what sets the limits: most count in milliseconds, MySQL's in seconds."""
        known = _STATEMENTS.get(_server(connection), {})
        for option, seconds in (
            ("--lock-wait", self.lock_wait),
            ("--statement-timeout", self.statement),
        ):
            if seconds is None:
                continue
            if option not in known:
                raise DatabaseOperationError(
                    f"{connection.display_name} has nothing that {option} could set. Leave it out."
                )
            yield known[option].format(
                seconds=seconds, whole=ceil(seconds), milliseconds=ceil(seconds * 1000)
            )


_LOCK_WAIT_ON_MYSQL = "SET SESSION lock_wait_timeout = {whole}, innodb_lock_wait_timeout = {whole}"
_STATEMENTS = {
    "postgresql": {
        "--lock-wait": "SET lock_timeout = {milliseconds}",
        "--statement-timeout": "SET statement_timeout = {milliseconds}",
    },
    "mariadb": {
        "--lock-wait": _LOCK_WAIT_ON_MYSQL,
        "--statement-timeout": "SET SESSION max_statement_time = {seconds}",
    },
    # Its max_execution_time counts for SELECT alone.
    "mysql": {"--lock-wait": _LOCK_WAIT_ON_MYSQL},
    "sqlite": {"--lock-wait": "PRAGMA busy_timeout = {milliseconds}"},
}


def _server(connection: BaseDatabaseWrapper) -> str:
    is_mariadb = connection.vendor == "mysql" and getattr(connection, "mysql_is_mariadb", False)
    return "mariadb" if is_mariadb else connection.vendor


def remedy(error: BaseException) -> str:
    """Return a sentence on what to do about ``error`` if a limit was reached, else nothing."""
    if not isinstance(error, Error):
        return ""
    code = getattr(error.__cause__, "sqlstate", None) or next(iter(error.args), None)
    if code in _LOCK_WAIT_CODES or str(error) == "database is locked":
        return (
            " Another session holds a lock on what the migration changes. Wait until it is done,"
            " or end it, and run db_init again; or give a longer --lock-wait."
        )
    if code in _STATEMENT_CODES:
        return " If the statement needs more time, give a longer --statement-timeout, or none."
    return ""
