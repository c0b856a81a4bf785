"""Creating a database that is missing."""

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError
from .asking import TIMEOUT
from .connecting import (
    describe_error,
    has_direct_url,
    separate_connection,
    setting_of,
)
from .identity import check_same_database, different_databases
from .probing import Probe, Status, probe, reach
from .servers import Servers

__all__ = ["CreateOptions", "create_database", "ensure_database"]

# Losers of a race between two CREATE DATABASE get the unique violation, not the first code.
_POSTGRESQL_EXISTS = {"42P04", "23505"}
_MYSQL_EXISTS = 1007
_POSTGRESQL_DENIED = "42501"
_MYSQL_DENIED = {1044, 1045, 1227}
# Seconds: PgBouncer asks for a database that was missing again after 15.
_PATIENCE = 20
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class CreateOptions:
    """How to create a database; ``owner`` is PostgreSQL's, ``encoding`` a name of the server's."""

    owner: str | None = None
    encoding: str | None = None


def ensure_database(alias: str, options: CreateOptions = CreateOptions()) -> bool:
    """Create the database of ``alias`` if it is missing, and tell whether it was.

    That it is there afterwards is verified by connecting. Raises ``DatabaseOperationError`` with
    the reason, and with the statement to hand to somebody who has the right to create databases.
    """
    with connection_to(alias) as connection:
        return ensure_open(connection, partial(create_database, options=options))


def connection_to(alias: str) -> AbstractContextManager[BaseDatabaseWrapper]:
    """Give a connection for ``ensure_open``."""
    return separate_connection(alias, direct=True, timeout=TIMEOUT)


def ensure_open(
    connection: BaseDatabaseWrapper, create: Callable[[str], bool], *, is_missing: bool = False
) -> bool:
    """Open ``connection``, for which ``create`` is called if there is no such database.

    It was made by ``connection_to``; ``is_missing`` tells that the database is known not to be
    there. Returns what ``create`` did. Raises ``DatabaseOperationError``.
    """
    alias, created = connection.alias, False
    found = Probe(Status.MISSING) if is_missing else reach(connection, direct=True)
    if found.status is Status.MISSING:
        _refuse_second(alias)
        created = create(alias)
        found = _patiently(partial(reach, connection, direct=True))
    _require_reachable(alias, found, "")
    if has_direct_url(alias):
        look = partial(probe, alias, look_inside=False)
        _require_reachable(alias, _patiently(look) if created else look(), " by its usual URL")
        check_same_database(alias)
    return created


def _patiently(look: Callable[[], Probe]) -> Probe:
    """Look at a new database, until it is there for poolers as well."""
    deadline = monotonic() + _PATIENCE
    found = look()
    # Whether PgBouncer has the old answer still is a matter of its timing, which no test controls.
    while found.status is not Status.REACHABLE and monotonic() < deadline:  # pragma: no cover
        sleep(_POLL_SECONDS)
        found = look()
    return found


def _require_reachable(alias: str, found: Probe, how: str) -> None:
    if found.status is not Status.REACHABLE:
        raise _unreachable(alias, found.error or found.status, how)


def _unreachable(alias: str, reason: str, how: str = "") -> DatabaseOperationError:
    return DatabaseOperationError(
        f"The database cannot be reached{how}: {reason}.{_by_hand(alias)}"
    )


def _refuse_second(alias: str) -> None:
    """Refuse to create what a direct URL names if the usual URL leads to a database already."""
    if has_direct_url(alias) and probe(alias, look_inside=False).status is Status.REACHABLE:
        raise different_databases(alias)


def create_database(
    alias: str, options: CreateOptions = CreateOptions(), *, servers: Servers | None = None
) -> bool:
    """Create the database of ``alias``; return ``False`` if somebody else has done it already.

    ``servers`` have a connection for it, perhaps. Raises ``DatabaseOperationError``.
    """
    vendor = connections[alias].vendor
    if options.owner and vendor != "postgresql":
        raise DatabaseOperationError(
            f"A database of the engine {vendor!r} has no owner. Leave it out."
        )
    name = str(setting_of(alias, direct=True)["NAME"])
    create = partial(_CREATORS[vendor], alias, name, options)
    if servers is not None:
        return create(servers)
    with closing(Servers()) as own:
        return create(own)


def _create_on_postgresql(alias: str, name: str, options: CreateOptions, servers: Servers) -> bool:
    statement = f"CREATE DATABASE {_quoted(name)}"
    if options.owner:
        statement += f" OWNER {_quoted(options.owner)}"
    if options.encoding:
        # template1 may have another encoding; template0 fits all.
        statement += f" ENCODING '{_encoding(options)}' TEMPLATE template0"
    try:
        with servers.connection(alias) as connection:
            _execute(connection, statement)
    except Error as error:
        code = getattr(error.__cause__, "sqlstate", None)
        if code in _POSTGRESQL_EXISTS:
            return False
        raise _refused(alias, error, statement) from None
    return True


def _create_on_mysql(
    alias: str,
    name: str,
    options: CreateOptions,
    servers: Servers,  # noqa: ARG001
) -> bool:
    encoding = _encoding(options) if options.encoding else "utf8mb4"
    statement = f"CREATE DATABASE {_quoted(name, '`')} CHARACTER SET {encoding}"
    try:
        with separate_connection(alias, direct=True, name="") as connection:
            _execute(connection, statement)
    except Error as error:
        if error.args[:1] == (_MYSQL_EXISTS,):
            return False
        raise _refused(alias, error, statement) from None
    return True


def _create_file(
    alias: str,  # noqa: ARG001
    name: str,
    options: CreateOptions,  # noqa: ARG001
    servers: Servers,  # noqa: ARG001
) -> bool:
    path = Path(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL: of two processes one has created the file.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o644))
    except OSError as error:
        if path.is_file():
            return False
        raise DatabaseOperationError(
            f"{str(path)!r} cannot be created: {error.strerror}. Make its folder writable for this"
            " user, or name another path."
        ) from None
    return True


_CREATORS = {
    "postgresql": _create_on_postgresql,
    "mysql": _create_on_mysql,
    "sqlite": _create_file,
}


def _by_hand(alias: str) -> str:
    """Return a hint for the engines whose databases only their own tools can create."""
    vendor = connections[alias].vendor
    if vendor in _CREATORS:
        return ""
    return f" If it is missing, create it by hand: {vendor!r} databases are not created here."


def ensure_schema(alias: str) -> None:
    """Create the schema that the URL of ``alias`` names, if it names one that is missing.

    Without it tables land in the next schema of the ``search_path``, or nowhere. Raises
    ``DatabaseOperationError``.
    """
    # Django's connection: while a database is being initialised, it is the one for that.
    connection = connections[alias]
    if "search_path" not in str(connection.settings_dict["OPTIONS"].get("options", "")):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT (current_schemas(false))[1], current_setting('search_path')")
        present, search_path = cursor.fetchone()
        wanted = search_path.split(",")[0].strip().strip('"')
        if wanted in {present, "$user"}:
            return
        statement = f"CREATE SCHEMA IF NOT EXISTS {_quoted(wanted)}"
        try:
            cursor.execute(statement)
        except Error as error:
            raise _refused(alias, error, statement) from None


def _execute(connection: BaseDatabaseWrapper, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _quoted(name: str, mark: str = '"') -> str:
    return mark + name.replace(mark, mark * 2) + mark


def _encoding(options: CreateOptions) -> str:
    encoding = options.encoding or ""
    if not re.fullmatch(r"[A-Za-z0-9_-]+", encoding):
        raise DatabaseOperationError(f"{encoding!r} is not the name of an encoding.")
    return encoding


def _refused(alias: str, error: Error, statement: str) -> DatabaseOperationError:
    lacks_right = getattr(
        error.__cause__, "sqlstate", None
    ) == _POSTGRESQL_DENIED or not _MYSQL_DENIED.isdisjoint(error.args[:1])
    reason = describe_error(error, alias).rstrip(".")
    remedy = "Somebody with the right to do so can run" if lacks_right else "The statement was"
    return DatabaseOperationError(
        f"The database cannot be created: {reason}. {remedy}: {statement};"
    )
