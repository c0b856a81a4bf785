"""Merging what a URL says with the tuning beside it in ``database.py``."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from .database_url import ParsedUrl
from .engines import Family, family_of, family_of_option
from .exceptions import ConfigurationError
from .pools import read_pool, read_query


def tune(parsed: ParsedUrl, tuning: Mapping[str, Any], *, name: str, path: str) -> list[str]:
    """Complete ``parsed.config`` in place; what the URL says beats ``tuning``.

    ``name`` and ``path`` say in messages where the URL and the tuning stand. Returns the names of
    pool settings without effect, because the engine has no pool that Django knows by them. Raises
    ``ConfigurationError`` if options belong to another engine or contradict each other.
    """
    config, family = parsed.config, parsed.family
    rest = deepcopy(dict(tuning)) if tuning else {}
    options = rest.pop("OPTIONS", {})
    _check_options(config.get("OPTIONS", {}), family, name)
    _check_options(options, family, path)
    _check_engine(rest.pop("ENGINE", None), parsed, path)
    config["OPTIONS"] = {**options, **config.get("OPTIONS", {})}
    ignored = _add_pool(parsed, rest, name=name, path=path)
    for key, value in rest.items():
        config.setdefault(key, value)
    _check_pool(config, f"{name} with {path}" if tuning else name)
    if family.connect_timeout and "service" not in config["OPTIONS"]:
        config["OPTIONS"].setdefault("connect_timeout", family.connect_timeout)
    return ignored


def _check_options(options: Mapping[str, Any], family: Family, where: str) -> None:
    for name in options:
        other = family_of_option(name)
        if other is not None and name not in family.options and family.options:
            raise ConfigurationError(
                f"{where}: the option {name!r} is one of {other.name}, and the database is of"
                f" {family.name}. Remove the option, or use a URL of {other.name}."
            )


def _check_engine(engine: str | None, parsed: ParsedUrl, path: str) -> None:
    """Put a backend of the tuning in the place of the URL's, if it can serve the same server."""
    if engine is None:
        return
    family = family_of(engine)
    if family is not None and family is not parsed.family:
        raise ConfigurationError(
            f"{path}: ENGINE is {engine!r}, a backend of {family.name}, and the URL is of"
            f" {parsed.family.name}. Remove ENGINE, or use a URL of {family.name}."
        )
    parsed.config["ENGINE"] = engine


def _add_pool(parsed: ParsedUrl, rest: dict[str, Any], *, name: str, path: str) -> list[str]:
    """Move pool settings from URL and ``rest`` to where Django reads them."""
    from_module, from_url = rest.pop("ENGINE_OPTIONS", {}), read_query(parsed.pool, name)
    if not (from_module or from_url):
        return []
    where = " with ".join(place for place, used in ((name, from_url), (path, from_module)) if used)
    if "pool_pre_ping" in from_module and "CONN_HEALTH_CHECKS" in rest:
        raise ConfigurationError(
            f"{path}: pool_pre_ping and CONN_HEALTH_CHECKS are the same. Keep one."
        )
    pool, health_checks = read_pool({**from_module, **from_url}, where)
    if health_checks is not None:
        parsed.config.setdefault("CONN_HEALTH_CHECKS", health_checks)
    if pool is None:
        return []
    if not parsed.family.libpq:
        return sorted({*from_module, *from_url} - {"pool_pre_ping"})
    if "pool" in parsed.config["OPTIONS"]:
        raise ConfigurationError(f"{where}: OPTIONS has a 'pool' of its own. Keep one.")
    parsed.config["OPTIONS"]["pool"] = pool
    return []


def _check_pool(config: dict[str, Any], where: str) -> None:
    """Keep pool and persistent connections apart, which Django refuses at the first query."""
    if not config["OPTIONS"].get("pool"):
        return
    if config.get("CONN_MAX_AGE", 0) != 0:
        raise ConfigurationError(
            f"{where}: CONN_MAX_AGE is {config['CONN_MAX_AGE']!r}, and a pool needs 0: the pool"
            " keeps the connections. Remove one of them."
        )
    config["CONN_MAX_AGE"] = 0
