"""Which physical database a setting points at, judged by the setting alone."""

import ipaddress
import os
import re
from collections.abc import Mapping
from typing import Any

from .engines import Family

Identity = tuple[object, ...]

_SEARCH_PATH = re.compile(r"search_path\s*=\s*((?:\\.|\S)+)")


def physical_identity(config: Mapping[str, Any], family: Family, alias: str) -> Identity:
    """Return a key that is equal for two settings if they point at one physical database.

    It is made of engine family, hosts, ports, name and ``search_path``; of the resolved path for
    SQLite. Spellings of this machine and of the default port are one. A database in memory belongs
    to its alias alone.
    """
    if family.is_sqlite:
        name = str(config["NAME"])
        in_memory = name == ":memory:" or name.startswith("file:")
        return ("sqlite", alias, name) if in_memory else ("sqlite", os.path.realpath(name))
    options = config.get("OPTIONS", {})
    # A socket or an options file in OPTIONS is another way to name the server.
    server = tuple(options.get(key) for key in ("service", "unix_socket", "read_default_file"))
    return (family.name, _servers(config, family), server, config["NAME"], search_path(options))


def search_path(options: Mapping[str, Any]) -> str:
    """Return the schemas that ``OPTIONS["options"]`` puts into PostgreSQL's ``search_path``."""
    if "options" not in options:
        return ""
    match = _SEARCH_PATH.search(str(options["options"]))
    schemas = re.sub(r"\\(.)|[\"']", r"\1", match[1]) if match else ""
    return ",".join(schema.strip() for schema in schemas.split(","))


def _servers(config: Mapping[str, Any], family: Family) -> tuple[tuple[str, str], ...]:
    """Return hosts with their ports; their order says whom to ask first, not who they are."""
    hosts = str(config.get("HOST") or "").split(",")
    ports = str(config.get("PORT") or family.port).split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    pairs = zip(hosts, (port or family.port for port in ports), strict=False)
    return tuple(sorted({(_host(host), port) for host, port in pairs}))


def _host(host: str) -> str:
    if host.startswith(("/", "@")):
        return host.rstrip("/")
    host = host.lower().rstrip(".")
    if host in {"", "localhost", "localhost.localdomain"}:
        return "localhost"
    if ":" not in host and not host[-1].isdigit():
        # The usual name, at a tenth of the price of finding that it is no address.
        return host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return "localhost" if address.is_loopback else str(address)
