"""Connections outside of Django's own, for looking at a database and for administering it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections
from django.db.backends.base.base import NO_DB_ALIAS, BaseDatabaseWrapper
from django.db.utils import load_backend

from ..conf import direct_setting
from ..masking import masked_error
from .asking import waiting_for_a_server

# PostgreSQL has at least one of them, and a role may be kept out of the first.
MAINTENANCE_DATABASE = "postgres"
_MAINTENANCE_DATABASES = (MAINTENANCE_DATABASE, "template1")


def has_direct_url(alias: str) -> bool:
    """Tell whether a direct URL was given for ``alias``."""
    return direct_setting(connections.settings[alias]) is not None


def setting_of(alias: str, *, direct: bool = False) -> dict[str, Any]:
    """Return the setting of ``alias``; with ``direct`` that of its direct URL, if it has one."""
    setting = connections.settings[alias]
    return {**setting, **((direct and direct_setting(setting)) or {})}


def vendor_of(alias: str) -> str | None:
    """Return the kind of engine of ``alias``, or ``None`` if its driver cannot be loaded."""
    try:
        return connections[alias].vendor
    except (ImportError, ImproperlyConfigured):
        return None


@contextmanager
def separate_connection(
    alias: str,
    *,
    direct: bool = False,
    name: str | None = None,
    timeout: int | None = None,
    usual: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Iterator[BaseDatabaseWrapper]:
    """Give a connection to the server of ``alias`` that nobody else uses, and close it.

    It comes from no pool, so that it neither waits for one nor fills it; with ``direct`` it takes
    the direct URL, if there is one. ``name`` is the database to connect to instead of that of
    ``alias``, and then the connection has no alias, as those that Django makes for this purpose;
    ``timeout`` bounds connecting, in seconds, where the driver can; ``usual`` are options by vendor
    where the settings have no others. The connection is opened at its first use.
    """
    # Kept open however long it is idle: what a session holds must not be lost in between.
    config = {**setting_of(alias, direct=direct), "AUTOCOMMIT": True, "CONN_MAX_AGE": None}
    options = config["OPTIONS"] = {**config["OPTIONS"]}
    options.pop("pool", None)
    if name is not None:
        config["NAME"] = name
    if timeout is not None and "connect_timeout" in options:
        options["connect_timeout"] = min(timeout, int(options["connect_timeout"]))
    wrapper = load_backend(config["ENGINE"]).DatabaseWrapper
    config["OPTIONS"] = {**usual.get(wrapper.vendor, {}), **options}
    # By name: PostGIS looks for it among the keyword arguments.
    connection = wrapper(config, alias=alias if name is None else NO_DB_ALIAS)
    connection.connect = partial(_connect, connection, has_alias=name is None)
    connection.execute_wrappers.append(_execute)
    try:
        yield connection
    finally:
        connection.close()


def _connect(connection: BaseDatabaseWrapper, *, has_alias: bool) -> None:
    """Open ``connection`` so that receivers of ``connection_created`` meet it by its alias.

    That of ``django.contrib.postgres`` queries by the alias, and would open the usual connection.
    """
    with waiting_for_a_server(), standing_in(connection) if has_alias else nullcontext():
        type(connection).connect(connection)


def _execute(execute: Callable[..., Any], *arguments: Any) -> Any:
    """Let a query of a separate connection count as waiting."""
    with waiting_for_a_server():
        return execute(*arguments)


@contextmanager
def standing_in(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Make ``connection`` the one that this thread's queries by its alias use.

    The recorder of migrations is handed a connection and then queries by the alias of it.
    """
    usual = connections[connection.alias]
    connections[connection.alias] = connection
    try:
        yield
    finally:
        connections[connection.alias] = usual


@contextmanager
def maintenance_connection(
    alias: str, *, direct: bool = False, timeout: int | None = None
) -> Iterator[Any]:
    """Give an open PostgreSQL connection to the server of ``alias``, whatever databases it has.

    With ``direct`` it takes the direct URL, if there is one.
    Raises ``django.db.Error`` if the server lets nobody in.
    """
    first, second = _MAINTENANCE_DATABASES
    with separate_connection(alias, direct=direct, name=first, timeout=timeout) as connection:
        if _opens(connection):
            yield connection
            return
    with separate_connection(alias, direct=direct, name=second, timeout=timeout) as connection:
        connection.ensure_connection()
        yield connection


def _opens(connection: BaseDatabaseWrapper) -> bool:
    try:
        connection.ensure_connection()
    except Error:
        return False
    return True


def describe_error(error: BaseException, alias: str) -> str:
    """Return the message of ``error`` on one line, without the passwords of ``alias``."""
    return masked_error(error, connections.settings[alias])
