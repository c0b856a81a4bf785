"""Looking at databases without changing anything: are they there, and what is pending?"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, router
from django.db.backends.base.base import BaseDatabaseWrapper

from .asking import TIMEOUT, ask_all, no_answer
from .connecting import (
    describe_error,
    maintenance_connection,
    separate_connection,
    standing_in,
)
from .loading import SharedLoader

__all__ = ["Probe", "Status", "probe", "probe_all"]

_MYSQL_UNKNOWN_DATABASE = 1049


class Status(StrEnum):
    """What a look at a database found: ``REACHABLE``, ``MISSING`` or ``UNREACHABLE``."""

    REACHABLE = "reachable"
    MISSING = "missing"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class Probe:
    """The state of a database: ``error`` says why it is not reachable."""

    status: Status
    server_version: str | None = None
    pending_migrations: tuple[str, ...] = ()
    error: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the database is there and has all migrations."""
        return self.status is Status.REACHABLE and not self.pending_migrations


def probe(
    alias: str, *, timeout: int = TIMEOUT, look_inside: bool = True, direct: bool = False
) -> Probe:
    """Look at the database of ``alias``; ``timeout`` bounds connecting, in seconds.

    With ``direct`` it is looked at through its direct URL, if it has one. Unless ``look_inside``,
    only whether it is there is asked, not its migrations.
    """
    try:
        with separate_connection(alias, direct=direct, timeout=timeout) as connection:
            found = reach(connection, timeout=timeout, direct=direct)
            if found.status is not Status.REACHABLE:
                return found
            pending = pending_migrations(connection) if look_inside else ()
            return Probe(Status.REACHABLE, _server_version(connection), tuple(pending))
    except (Error, ImproperlyConfigured, OSError) as error:
        return Probe(Status.UNREACHABLE, error=describe_error(error, alias))


def reach(
    connection: BaseDatabaseWrapper, *, timeout: int = TIMEOUT, direct: bool = False
) -> Probe:
    """Open ``connection`` if its database is there, and tell whether it is.

    ``direct`` says whether it takes the direct URL.
    """
    try:
        if is_missing_file(connection):
            return Probe(Status.MISSING)
        return _connect(connection, timeout, direct=direct) or Probe(Status.REACHABLE)
    except (Error, ImproperlyConfigured, OSError) as error:
        return Probe(Status.UNREACHABLE, error=describe_error(error, connection.alias))


def probe_all(
    aliases: Iterable[str], *, timeout: int = TIMEOUT, direct: bool = False
) -> dict[str, Probe]:
    """Look at several databases at the same time, with ``direct`` through their direct URLs.

    A server that accepts a connection and then says nothing is given up after twice ``timeout``
    seconds, where the driver alone might wait for ever. Raises what is not a database's fault, such
    as a migration that cannot be imported.
    """
    silent = Probe(Status.UNREACHABLE, error=no_answer(timeout))
    ask = partial(probe, timeout=timeout, direct=direct)
    return ask_all(ask, aliases, timeout=timeout, silent=silent)


def pending_migrations(connection: BaseDatabaseWrapper) -> list[str]:
    """Return what ``migrate --run-syncdb`` would do to the tables behind ``connection``.

    These are migrations (``app.name``), and apps without migrations whose tables are missing. What
    Django would only record, because the app lives elsewhere, does not count.
    """
    with standing_in(connection):
        loader = SharedLoader(connection)
    alias = connection.alias
    names = [
        f"{migration.app_label}.{migration.name}"
        for migration in loader.pending()
        if router.allow_migrate(alias, migration.app_label)
    ]
    missing = missing_tables_of(loader.unmigrated_apps, connection)
    names += (f"{label} (without migrations)" for label in missing)
    return names


def missing_tables_of(labels: Iterable[str], connection: BaseDatabaseWrapper) -> list[str]:
    """Return, sorted, those of ``labels``, apps without migrations, whose tables are missing."""
    wanted: dict[str, set[str]] = {}
    for label in sorted(labels):
        models = router.get_migratable_models(apps.get_app_config(label), connection.alias)
        tables = {model._meta.db_table for model in models if model._meta.can_migrate(connection)}
        if tables:
            wanted[label] = tables
    if not wanted:
        return []
    convert = connection.introspection.identifier_converter
    present = set(connection.introspection.table_names())
    return [label for label in wanted if not present.issuperset(map(convert, wanted[label]))]


def is_in_memory(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the database lives in this process only."""
    if connection.vendor != "sqlite":
        return False
    name = str(connection.settings_dict["NAME"])
    return name == ":memory:" or (name.startswith("file:") and "memory" in name)


def is_missing_file(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether connecting would create the file of an SQLite database."""
    name = str(connection.settings_dict["NAME"])
    is_file = connection.vendor == "sqlite" and not is_in_memory(connection)
    return is_file and not name.startswith("file:") and not Path(name).exists()


def _connect(connection: BaseDatabaseWrapper, timeout: int, *, direct: bool) -> Probe | None:
    """Open ``connection``, or tell a database that is missing from a server that refuses."""
    error = _try_to_open(connection)
    if connection.vendor == "mysql" and error and error.args[:1] == (_MYSQL_UNKNOWN_DATABASE,):
        return Probe(Status.MISSING)
    if connection.vendor == "postgresql" and error:
        if _is_missing_on_postgresql(connection, timeout, direct=direct):
            return Probe(Status.MISSING)
        # Another process may have created it since the first try.
        error = _try_to_open(connection)
    if error is None:
        return None
    return Probe(Status.UNREACHABLE, error=describe_error(error, connection.alias))


def _try_to_open(connection: BaseDatabaseWrapper) -> Error | None:
    try:
        connection.ensure_connection()
    except Error as error:
        return error
    return None


def _is_missing_on_postgresql(
    connection: BaseDatabaseWrapper, timeout: int, *, direct: bool
) -> bool:
    """Ask the server: the message is in its language, and libpq gives no code."""
    try:
        with (
            maintenance_connection(connection.alias, direct=direct, timeout=timeout) as maintenance,
            maintenance.cursor() as cursor,
        ):
            name = connection.settings_dict["NAME"]
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return cursor.fetchone() is None
    except Error:
        return False


def _server_version(connection: BaseDatabaseWrapper) -> str:
    version = connection.get_database_version()
    return f"{connection.display_name} {'.'.join(map(str, version))}"
