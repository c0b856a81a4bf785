"""From the text of a database URL to the entries of a Django database setting.

dj-database-url has the register of schemes, with their backends and what their options need; the
text is taken apart here, because a wrong guess there (an unquoted ``#`` or ``/`` in a password, a
second host) silently means another server.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote

import dj_database_url

from .engines import Family, family_of
from .exceptions import DatabaseUrlError, choices
from .pools import QUERY_NAMES as POOL_NAMES

# Spellings in wide use that dj-database-url does not register itself.
_SCHEME_ALIASES = {"mariadb": "mysql", "cockroachdb": "cockroach", "sqlite3": "sqlite"}

_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}
_BOOLEAN_SETTINGS = {
    "conn_health_checks",
    "disable_server_side_cursors",
    "atomic_requests",
}
# Drivers would take these from OPTIONS as well; Django wants them as settings of their own.
_HOISTED = {
    "host": "HOST",
    "port": "PORT",
    "user": "USER",
    "password": "PASSWORD",
    "dbname": "NAME",
}

_NOTHING = dict.fromkeys(("NAME", "USER", "PASSWORD", "HOST", "PORT"), "")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+._-]*)://(.*)", re.DOTALL)
_NOT_ASCII = re.compile("%[89A-Fa-f]")
_AUTHORITY_END = re.compile("[/?#]")
_CONTROL = re.compile(r"[\x00-\x1f]")
_HOST = re.compile(r"(\[.*\]|[^:\[\]]*)(?::(.*))?")
_HOST_NAME = re.compile(r"[\w.-]*|[/@].*", re.DOTALL)


@dataclass
class ParsedUrl:
    """A database setting as far as its URL tells it.

    ``config`` has entries of Django's ``DATABASES``; ``pool`` the pool settings by the names of
    ``ENGINE_OPTIONS``.
    """

    config: dict[str, Any]
    family: Family
    pool: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Parts:
    """The four parts of a URL, still quoted."""

    name: str
    url: str
    scheme: str
    authority: str
    path: str
    query: str

    @cached_property
    def engine(self) -> dj_database_url.Engine:
        """What is registered for the scheme."""
        scheme = _SCHEME_ALIASES.get(self.scheme, self.scheme)
        engine = dj_database_url.ENGINE_SCHEMES.get(scheme)
        if engine is None:
            _, plus, driver = scheme.partition("+")
            remedy = f" Leave '+{driver}' away: Django has no drivers in its URLs." if plus else ""
            self.fail(
                f"the scheme {self.scheme!r} is unknown. Choose from"
                f" {choices({*dj_database_url.ENGINE_SCHEMES, *_SCHEME_ALIASES})}, or add one with"
                f" dj_database_url.register().{remedy}"
            )
        return engine

    @cached_property
    def family(self) -> Family:
        """The family of the scheme's backend."""
        return family_of(self.engine.backend) or Family(self.engine.backend)

    def fail(self, fact: str) -> NoReturn:
        """Raise ``DatabaseUrlError`` with ``fact``, and the URL without its secrets."""
        raise DatabaseUrlError(f"{self.name}: {fact} The URL is {mask_url(self.url)!r}.") from None


def parse_database_url(url: str, *, name: str, base_dir: Path) -> ParsedUrl:
    """Parse ``url``, which messages call ``name``; SQLite paths are relative to ``base_dir``.

    Raises ``DatabaseUrlError`` rather than guess what an ambiguous URL means.
    """
    parts = _split(url, name)
    own, query = _split_query(parts) if parts.query else ({}, {})
    if parts.family.is_sqlite:
        parsed = _parse_sqlite(parts, query, base_dir)
    else:
        parsed = _parse_server(parts, own, query)
    if own:
        _take_django_settings(parts, own, parsed)
        parsed.pool = {key: own[key] for key in POOL_NAMES & own.keys()}
    return parsed


def mask_url(url: str) -> str:
    """Return ``url`` without password and without the values of its query, however broken it is."""
    match = _URL.fullmatch(url)
    if not match:
        return "***"
    scheme, rest = match.groups()
    userinfo, at, location = rest.rpartition("@")
    if any(char in userinfo for char in "/?#"):
        return f"{scheme}://***"
    user, colon, _ = userinfo.partition(":")
    location = re.sub(r"#.*", "#***", location, flags=re.DOTALL)
    address, mark, query = location.partition("?")
    query = re.sub(r"(^|&)(?>([^=&]*=)?)[^&]+", r"\1\2***", query)
    authority, slash, path = address.partition("/")
    if not at and re.search(r":(?!\d{1,5}(?:,|$))", authority):
        # What stands where a port should be is the password of a URL cut short.
        return f"{scheme}://{authority.partition(':')[0]}:***"
    return f"{scheme}://{user}{colon and ':***'}{at}{authority}{slash}{path}{mark}{query}"


def _split(url: str, name: str) -> _Parts:
    """Split ``url`` into its parts, refusing what other parsers would silently misread."""
    match = _URL.fullmatch(url)
    if not match:
        raise DatabaseUrlError(
            f"{name}: the value is not a URL: it does not begin with a scheme, such as"
            " postgresql://."
        )
    scheme, rest = match.groups()
    scheme = scheme.lower()
    authority = _AUTHORITY_END.split(rest, maxsplit=1)[0]
    end = len(authority)
    path, _, query = rest[end:].partition("?")
    parts = _Parts(name, url, scheme, authority, path, query)
    if url != url.strip() or _CONTROL.search(url):
        parts.fail("there is white space around the URL or a control character in it.")
    if "#" in rest:
        parts.fail("there is an unquoted '#' in it. Write %23.")
    if _NOT_ASCII.search(rest):
        try:
            unquote(rest, errors="strict")
        except UnicodeDecodeError:
            parts.fail(
                "the bytes quoted in it are not UTF-8. Write a '%' that quotes nothing as %25."
            )
    if "@" in rest[end:] and not parts.family.is_sqlite:
        parts.fail(
            "there is an '@' behind the first '/' or '?', so the password probably holds an"
            " unquoted character. In user, password and name write / as %2F, ? as %3F, # as %23,"
            " @ as %40; in the query write @ as %40."
        )
    return parts


def _split_query(parts: _Parts) -> tuple[dict[str, str], dict[str, str]]:
    """Return the query's parameters: those read here, and those for dj-database-url."""
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        parts.fail("the query is not of the form name=value&name=value. Write a '?' as %3F.")
    own: dict[str, str] = {}
    rest: dict[str, str] = {}
    for key, value in pairs:
        if not value:
            parts.fail(f"the parameter {key!r} is empty.")
        if key in own or key in rest:
            parts.fail(f"the parameter {key!r} is given twice.")
        mine = key in POOL_NAMES or key in _BOOLEAN_SETTINGS or key == "conn_max_age"
        hoisted = key in _HOISTED and parts.family.needs_name
        (own if mine or hoisted else rest)[key] = value
    if "currentSchema" in rest and "options" in rest:
        parts.fail("'currentSchema' and 'options' exclude each other: put the search_path there.")
    return own, rest


def _parse_sqlite(parts: _Parts, query: dict[str, str], base_dir: Path) -> ParsedUrl:
    if parts.authority and not (parts.authority == ":memory:" and not parts.path):
        parts.fail(
            "an SQLite URL has three slashes before a relative path and four before an absolute"
            f" one: write {parts.scheme}:///path or {parts.scheme}:////path."
        )
    name = unquote(parts.path[1:]) or ":memory:"
    if name != ":memory:" and not name.startswith("file:"):
        name = str(base_dir / name)
    config = _finished(parts, {"NAME": name}, query)
    options = config["OPTIONS"]
    if isinstance(options.get("timeout"), str):
        options["timeout"] = _number(parts, "timeout", options["timeout"])
    return ParsedUrl(config, parts.family)


def _number(parts: _Parts, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        parts.fail(f"the parameter {key!r} is not a number.")


def _parse_server(parts: _Parts, own: dict[str, str], query: dict[str, str]) -> ParsedUrl:
    family = parts.family
    userinfo, _, location = parts.authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    hosts = [_host_and_port(parts, item) for item in location.split(",")]
    if len(hosts) > 1 and not family.libpq:
        parts.fail(f"it names {len(hosts)} hosts, and {family.name} takes one.")
    name = parts.path[1:]
    if "/" in name and family.needs_name:
        parts.fail("the database name holds an unquoted '/'. Write %2F.")
    config: dict[str, Any] = {
        "NAME": unquote(name),
        "USER": unquote(user),
        "PASSWORD": unquote(password),
        "HOST": ",".join([host for host, _ in hosts]),
        "PORT": _join_ports([port for _, port in hosts], family),
    }
    for key in _HOISTED.keys() & own.keys():
        _hoist(parts, config, key, own.pop(key))
    config = _finished(parts, config, query)
    _require_name(parts, config, family)
    return ParsedUrl(config, family)


def _host_and_port(parts: _Parts, text: str) -> tuple[str, str]:
    """Return host (unquoted, IPv6 without brackets) and port of one item of the host list."""
    match = _HOST.fullmatch(text)
    host, port = (unquote(match[1]), match[2]) if match else ("[", None)
    if host.startswith("["):
        host = _ipv6_address(parts, host)
    elif not _HOST_NAME.fullmatch(host):
        parts.fail("the host holds a character that no host name has.")
    if port is not None:
        _check_port(parts, port)
    return host, port or ""


def _ipv6_address(parts: _Parts, host: str) -> str:
    try:
        ip_address(host[1:-1])
    except ValueError:
        parts.fail("the host is not valid. Write an IPv6 address in brackets: [::1]:5432.")
    return host[1:-1]


def _check_port(parts: _Parts, port: str) -> None:
    if not (re.fullmatch("[0-9]{1,5}", port) and 0 < int(port) < 65536):
        # The text is not shown: in a URL that lacks its host it is the password.
        parts.fail(
            "the port is not a number from 1 to 65535. A ':' in the user name is written %3A."
        )


def _join_ports(ports: list[str], family: Family) -> str:
    """Return the ports as libpq wants them: none, one for all, or as many as hosts."""
    if not any(ports):
        return ""
    return ",".join(port or family.port for port in ports)


def _finished(parts: _Parts, config: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """Return ``config`` with backend and options, as the scheme's registration completes them."""
    options: dict[str, Any] = {key: _option(value) for key, value in query.items()}
    finished: Any = {"ENGINE": parts.engine.backend, **_NOTHING, **config, "OPTIONS": options}
    parts.engine.postprocess(finished)
    # What dj-database-url does for some schemes of a family only.
    if parts.family.libpq and "currentSchema" in options:
        options["options"] = f"-c search_path={options.pop('currentSchema')}"
    if parts.family.name == "mysql" and "ssl-ca" in options:
        authority = options.pop("ssl-ca")
        is_connector = parts.engine.backend.startswith("mysql.connector.")
        options |= {"ssl_ca": authority} if is_connector else {"ssl": {"ca": authority}}
    return dict(finished)


def _option(value: str) -> str | int | bool:
    """Return an option's value as dj-database-url reads it."""
    if value.isdecimal():
        return int(value)
    return {"true": True, "false": False}.get(value.lower(), value)


def _hoist(parts: _Parts, config: dict[str, Any], key: str, value: str) -> None:
    setting = _HOISTED[key]
    if config[setting]:
        parts.fail(f"{key!r} stands in the query and in front of it. Write it once.")
    if key == "port":
        for port in value.split(","):
            _check_port(parts, port)
    config[setting] = value


def _require_name(parts: _Parts, config: dict[str, Any], family: Family) -> None:
    if not config["NAME"] and family.must_be_named(config["OPTIONS"]):
        parts.fail(f"it has no database name. Write {parts.scheme}://host/NAME.")


def _take_django_settings(parts: _Parts, own: dict[str, str], parsed: ParsedUrl) -> None:
    """Move parameters that are settings of Django from ``own`` to the database setting."""
    for key in _BOOLEAN_SETTINGS & own.keys():
        parsed.config[key.upper()] = _boolean(parts, key, own.pop(key))
    if "conn_max_age" in own:
        value = own.pop("conn_max_age")
        seconds = re.fullmatch("[0-9]{1,9}", value)
        if not seconds and value.lower() != "none":
            parts.fail("'conn_max_age' is a number of seconds, or 'none' for no limit.")
        parsed.config["CONN_MAX_AGE"] = int(value) if seconds else None


def _boolean(parts: _Parts, key: str, value: str) -> bool:
    if value.lower() not in _TRUE | _FALSE:
        parts.fail(f"the parameter {key!r} is neither 'true' nor 'false'.")
    return value.lower() in _TRUE
