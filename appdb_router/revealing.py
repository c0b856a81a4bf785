"""Writing a database setting as the URL that ``build_databases`` would read it from."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import dj_database_url

from .exceptions import ConfigurationError, choices

_FILES = {"sqlite", "spatialite"}
_SWITCHES = ("CONN_HEALTH_CHECKS", "DISABLE_SERVER_SIDE_CURSORS", "ATOMIC_REQUESTS")


def revealed_url(config: Mapping[str, Any]) -> str:
    """Return a URL for the entry ``config`` of ``DATABASES`` that makes the same entry again.

    It holds what a URL can say: neither ``AUTOCOMMIT``, ``TIME_ZONE`` and ``TEST`` nor an option
    whose value is no text, number or boolean. Raises ``ConfigurationError`` for a backend that no
    scheme stands for.
    """
    scheme, name = _scheme(config["ENGINE"]), str(config["NAME"] or "")
    location = _quoted(name, safe="/") if scheme in _FILES else _quoted(name)
    address = "" if scheme in _FILES else f"{_credentials(config)}{_hosts(config)}"
    parameters = "&".join(
        f"{_quoted(key)}={_quoted(text)}" for key, text in _parameters(config) if text
    )
    return f"{scheme}://{address}/{location}{'?' * bool(parameters)}{parameters}"


def _scheme(engine: str) -> str:
    """Return the scheme of ``engine``; of several the one named as the backend is."""
    registered = dj_database_url.ENGINE_SCHEMES.items()
    schemes = [scheme for scheme, item in registered if item.backend == engine]
    if not schemes:
        backends = choices({item.backend for _, item in registered})
        raise ConfigurationError(
            f"No URL can name the backend {engine!r}. Those with a scheme are {backends}. Add one"
            " with dj_database_url.register(), or read settings.DATABASES."
        )
    return min(schemes, key=lambda scheme: not engine.endswith(f".{scheme}"))


def _credentials(config: Mapping[str, Any]) -> str:
    user, password = config["USER"] or "", config["PASSWORD"] or ""
    secret = f":{_quoted(password)}" if password else ""
    return f"{_quoted(user)}{secret}@" if user or secret else ""


def _hosts(config: Mapping[str, Any]) -> str:
    """Return hosts and ports as the authority has them, if there is a port for each host."""
    hosts, ports = _host_list(config)
    if len(ports) != len(hosts):
        ports = [""] * len(hosts)
    pairs = zip(hosts, ports, strict=True)
    return ",".join(_host(host) + (f":{port}" if port else "") for host, port in pairs)


def _host_list(config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    return str(config["HOST"] or "").split(","), str(config["PORT"] or "").split(",")


def _host(host: str) -> str:
    is_address = ":" in host and not host.startswith(("/", "@"))
    return f"[{host}]" if is_address else _quoted(host)


def _parameters(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the query; a value without text is to be left out."""
    hosts, ports = _host_list(config)
    if len(ports) != len(hosts):
        # One port for several hosts.
        yield "port", config["PORT"] and str(config["PORT"])
    max_age = config["CONN_MAX_AGE"]
    if max_age != 0:
        yield "conn_max_age", "none" if max_age is None else str(max_age)
    for name in _SWITCHES:
        yield name.lower(), "true" if config[name] else ""
    for name, value in config["OPTIONS"].items():
        if name == "pool":
            yield from _pool(value)
        elif name == "ssl" and isinstance(value, Mapping) and value.keys() == {"ca"}:
            yield "ssl-ca", _text(value["ca"])
        else:
            yield name, _text(value)


def _pool(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield f"pool_{name}", _text(item)
    else:
        yield "pool", "true" if value else ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # The value, where an enumeration would show its name.
        return str(int(value))
    return str(value) if isinstance(value, str | float) else ""


def _quoted(text: str, safe: str = "") -> str:
    return quote(text, safe=safe)
