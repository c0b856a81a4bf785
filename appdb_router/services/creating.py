"""Creating a database that is missing."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..exceptions import DatabaseOperationError
from .connecting import (
    describe_error,
    has_direct_url,
    maintenance_connection,
    separate_connection,
    setting_of,
)
from .identity import check_same_database, different_databases
from .probing import Probe, Status, probe

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
    created = False
    found = probe(alias, look_inside=False, direct=True)
    if found.status is Status.MISSING:
        _refuse_second(alias)
        created = create_database(alias, options)
        found = _look(alias, direct=True)
    _require_reachable(alias, found, "")
    if has_direct_url(alias):
        usual = _look(alias) if created else probe(alias, look_inside=False)
        _require_reachable(alias, usual, " by its usual URL")
        check_same_database(alias)
    return created


def _look(alias: str, *, direct: bool = False) -> Probe:
    """Look at a new database, until it is there for poolers as well."""
    deadline = monotonic() + _PATIENCE
    found = probe(alias, look_inside=False, direct=direct)
    # Whether PgBouncer has the old answer still is a matter of its timing, which no test controls.
    while found.status is not Status.REACHABLE and monotonic() < deadline:  # pragma: no cover
        sleep(_POLL_SECONDS)
        found = probe(alias, look_inside=False, direct=direct)
    return found


def _require_reachable(alias: str, found: Probe, how: str) -> None:
    if found.status is not Status.REACHABLE:
        raise DatabaseOperationError(
            f"The database cannot be reached{how}: {found.error or found.status}.{_by_hand(alias)}"
        )


def _refuse_second(alias: str) -> None:
    """Refuse to create what a direct URL names if the usual URL leads to a database already."""
    if has_direct_url(alias) and probe(alias, look_inside=False).status is Status.REACHABLE:
        raise different_databases(alias)


def create_database(alias: str, options: CreateOptions = CreateOptions()) -> bool:
    """Create the database of ``alias``; return ``False`` if somebody else has done it already.

    Raises ``DatabaseOperationError``.
    """
    vendor = connections[alias].vendor
    if options.owner and vendor != "postgresql":
        raise DatabaseOperationError(
            f"A database of the engine {vendor!r} has no owner. Leave it out."
        )
    return _CREATORS[vendor](alias, str(setting_of(alias, direct=True)["NAME"]), options)


def _create_on_postgresql(alias: str, name: str, options: CreateOptions) -> bool:
    statement = f"CREATE DATABASE {_quoted(name)}"
    if options.owner:
        statement += f" OWNER {_quoted(options.owner)}"
    if options.encoding:
        # template1 may have another encoding; template0 fits all.
        statement += f" ENCODING '{_encoding(options)}' TEMPLATE template0"
    try:
        with maintenance_connection(alias, direct=True) as connection:
            _execute(connection, statement)
    except Error as error:
        code = getattr(error.__cause__, "sqlstate", None)
        if code in _POSTGRESQL_EXISTS:
            return False
        raise _refused(alias, error, statement) from None
    return True


def _create_on_mysql(alias: str, name: str, options: CreateOptions) -> bool:
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


def _create_file(alias: str, name: str, options: CreateOptions) -> bool:  # noqa: ARG001
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
