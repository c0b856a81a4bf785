"""Pool settings by the names that people know, mapped to Django's pool of psycopg."""

from collections.abc import Mapping
from typing import Any

from .exceptions import ConfigurationError, choices

# Arguments of psycopg_pool.ConnectionPool. ``check`` is missing: Django sets it itself, from
# CONN_HEALTH_CHECKS, and a second one is a TypeError.
_COUNTS = {"min_size": 0, "max_size": 1, "max_waiting": 0, "num_workers": 1}
_SECONDS = {"timeout", "max_lifetime", "max_idle", "reconnect_timeout"}
_NATIVE = _COUNTS.keys() | _SECONDS

# SQLAlchemy's names, which the plans and settings of many projects already use.
_KNOWN = {"pool_size": 1, "max_overflow": 0}
_RENAMED = {"pool_timeout": "timeout", "pool_recycle": "max_lifetime"}

# psycopg holds four connections from the start (min_size), in every process. Here four is the most
# and none is held, since a project has as many pools as databases.
_DEFAULT_MAX_SIZE = 4
# For five minutes psycopg doubles its pauses between attempts to connect, so it may notice minutes
# late that a server is back. Once it gives up, the next request begins anew.
_RECONNECT_TIMEOUT = 5

# No arguments of a pool: the first asks for one, tuned or not.
_SWITCHES = {"pool", "pool_pre_ping"}

ENGINE_OPTION_NAMES = frozenset({*_KNOWN, *_RENAMED, *_SWITCHES, *_NATIVE})
# In a URL psycopg's own names carry a prefix: a bare ``timeout`` is an option of SQLite.
QUERY_NAMES = frozenset({*_KNOWN, *_RENAMED, *_SWITCHES, *("pool_" + name for name in _NATIVE)})

Pool = dict[str, int | float]


def read_pool(options: Mapping[str, Any], where: str) -> tuple[Pool | None, bool | None]:
    """Return the arguments of the pool and the value of ``CONN_HEALTH_CHECKS``.

    ``options`` is the ``ENGINE_OPTIONS`` that ``where`` holds. The first is ``None`` if no pool is
    asked for, the second if nothing is said of it. Raises ``ConfigurationError`` for an unknown
    name, a value of the wrong type, or two names for one thing.
    """
    unknown = options.keys() - ENGINE_OPTION_NAMES
    if unknown:
        raise ConfigurationError(
            f"{where}: ENGINE_OPTIONS has no {choices(unknown)}."
            f" The names are {choices(ENGINE_OPTION_NAMES)}."
        )
    health_checks = options.get("pool_pre_ping")
    if health_checks is not None and not isinstance(health_checks, bool):
        raise ConfigurationError(f"{where}: pool_pre_ping is True or False.")
    if options.get("pool", True) is not True:
        raise ConfigurationError(
            f"{where}: 'pool' is True or left out. A pool is tuned by"
            f" {choices(ENGINE_OPTION_NAMES - _SWITCHES)}."
        )
    pool: Pool = {"min_size": 0, "reconnect_timeout": _RECONNECT_TIMEOUT}
    for name in sorted(options.keys() - {*_SWITCHES, *_KNOWN}):
        argument = _RENAMED.get(name, name)
        if name in _RENAMED and argument in options:
            raise ConfigurationError(f"{where}: {name!r} and {argument!r} are the same. Keep one.")
        pool[argument] = _value(argument, options[name], where)
    pool |= _max_size(options, where)
    if pool.setdefault("max_size", max(_DEFAULT_MAX_SIZE, pool["min_size"])) < pool["min_size"]:
        raise ConfigurationError(f"{where}: min_size is larger than max_size.")
    asked_for = options.keys() - {"pool_pre_ping"}
    return (pool if asked_for else None), health_checks


def read_query(parameters: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return the pool parameters of a URL as ``ENGINE_OPTIONS``, numbers and booleans read."""
    options: dict[str, Any] = {}
    for key, text in parameters.items():
        name = key if key in ENGINE_OPTION_NAMES else key.removeprefix("pool_")
        options[name] = _value_of(text)
    if options.get("pool", True) is not True:
        raise ConfigurationError(
            f"{where}: the parameter 'pool' is 'true' or left out. A pool is tuned by"
            f" {choices(QUERY_NAMES - _SWITCHES)}."
        )
    return options


def _value_of(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _max_size(options: Mapping[str, Any], where: str) -> Pool:
    """Return ``max_size`` as the sum of SQLAlchemy's two settings, if they are used."""
    if not options.keys() & _KNOWN.keys():
        return {}
    if "pool_size" not in options:
        raise ConfigurationError(f"{where}: max_overflow needs pool_size beside it.")
    if "max_size" in options:
        raise ConfigurationError(
            f"{where}: pool_size and max_size exclude each other: max_size is pool_size +"
            " max_overflow."
        )
    return {
        "max_size": sum(
            _count(name, options.get(name, 0), least, where) for name, least in _KNOWN.items()
        )
    }


def _value(argument: str, value: Any, where: str) -> int | float:
    if argument in _COUNTS:
        return _count(argument, value, _COUNTS[argument], where)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ConfigurationError(f"{where}: {argument} is a number of seconds above 0.")
    return value


def _count(name: str, value: Any, least: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(f"{where}: {name} is a whole number from {least} up.")
    return value
