"""Asking servers how many connections they allow, and how many are open."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from .connecting import describe_error, separate_connection

# A role's and a database's limit do not hold for superusers. Before PostgreSQL 16 nothing but the
# superusers' part is reserved.
_POSTGRESQL = """
    SELECT pg_backend_pid(), session_user, current_database(),
           current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true), '0')::int,
           CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END,
           CASE WHEN rolsuper THEN -1 ELSE datconnlimit END
      FROM pg_roles, pg_database
     WHERE rolname = session_user AND datname = current_database()
"""
# A copy of a data directory and a standby have the identifier of the original.
_POSTGRESQL_IDENTITY = """
    SELECT system_identifier, pg_postmaster_start_time() FROM pg_control_system()
"""
# Of other roles' sessions an ordinary role does not see the type.
_POSTGRESQL_OPEN = """
    SELECT count(*) - 1 FROM pg_stat_activity
     WHERE coalesce(backend_type = 'client backend', usesysid IS NOT NULL AND datid IS NOT NULL)
"""
_MYSQL = """
    SELECT substring_index(current_user(), '@', 1), database(),
           @@global.max_connections, @@session.max_user_connections
"""
# MariaDB's is made of the network card's address, which containers on two machines may share.
_MYSQL_IDENTITY = "SELECT @@{variable}, @@hostname"
_MYSQL_OPEN = "SHOW GLOBAL STATUS LIKE 'Threads_connected'"


Identity: TypeAlias = tuple[Hashable, ...]


@dataclass(frozen=True)
class Answer:
    """What a server says of itself to an alias, or why it says nothing.

    ``names`` are those of the ``"role"`` and the ``"database"``, and ``limits`` the most
    connections that these and the whole ``"server"`` are allowed, where there is a limit.
    ``identity`` is equal for two addresses of one server, and ``None`` where it does not tell.
    ``is_pooler``: what answered is a pooler, and the limits are those of the server behind it.
    """

    names: dict[str, str]
    limits: dict[str, int] = field(default_factory=dict)
    identity: Identity | None = None
    is_pooler: bool = False
    error: str | None = None


def unasked(alias: str, error: str | None = None) -> Answer:
    """Return what the settings alone say of ``alias``."""
    setting = connections.settings[alias]
    return Answer(_names(setting["USER"] or "", str(setting["NAME"] or "")), error=error)


def ask(alias: str, *, timeout: int) -> Answer:
    """Ask the server of ``alias`` for its limits; ``timeout`` bounds connecting, in seconds."""
    try:
        with separate_connection(alias, timeout=timeout) as connection:
            return _ASK[connection.vendor](connection)
    except (Error, ImproperlyConfigured, OSError) as error:
        return unasked(alias, describe_error(error, alias))


def count_open(alias: str, *, timeout: int) -> int | None:
    """Return how many connections the server of ``alias`` has open, without that of this look.

    ``None`` if it cannot be asked.
    """
    try:
        with separate_connection(alias, timeout=timeout) as connection:
            if connection.vendor == "postgresql":
                return int(_row(connection, _POSTGRESQL_OPEN)[0])
            return int(_row(connection, _MYSQL_OPEN)[1]) - 1
    except (Error, ImproperlyConfigured, OSError):
        return None


def _ask_postgresql(connection: BaseDatabaseWrapper) -> Answer:
    pid, role, database, *limits = _row(connection, _POSTGRESQL)
    # A pooler hands out process ids of its own.
    is_pooler = pid != connection.connection.info.backend_pid
    identity = None if is_pooler else _identity(connection, _POSTGRESQL_IDENTITY)
    return Answer(_names(role, database), _limits(limits), identity, is_pooler)


def _ask_mysql(connection: BaseDatabaseWrapper) -> Answer:
    role, database, *limits = _row(connection, _MYSQL)
    variable = "server_uid" if connection.mysql_is_mariadb else "server_uuid"  # type: ignore[attr-defined]
    identity = _identity(connection, _MYSQL_IDENTITY.format(variable=variable))
    return Answer(_names(role, database), _limits(limits), identity)


_ASK: dict[str, Callable[[BaseDatabaseWrapper], Answer]] = {
    "postgresql": _ask_postgresql,
    "mysql": _ask_mysql,
}
VENDORS = frozenset(_ASK)


def _identity(connection: BaseDatabaseWrapper, query: str) -> Identity | None:
    try:
        return (connection.vendor, *_row(connection, query))
    except Error:
        # Not everybody may know it, and not every version has it.
        return None


def _row(connection: BaseDatabaseWrapper, query: str) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def _names(role: str, database: str) -> dict[str, str]:
    return {"server": "", "role": role, "database": database}


def _limits(limits: list[int]) -> dict[str, int]:
    # No limit is -1 for PostgreSQL, which lets nobody in with a limit of 0, and 0 for MySQL.
    kinds = zip(("server", "role", "database"), limits, strict=False)
    return {kind: limit for kind, limit in kinds if limit > 0}
