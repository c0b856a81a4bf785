"""Showing a database to people: its address, never its password."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

_SCHEMES = {
    "django.db.backends.postgresql": "postgresql",
    "django.contrib.gis.db.backends.postgis": "postgis",
    "django.db.backends.mysql": "mysql",
    "django.contrib.gis.db.backends.mysql": "mysqlgis",
    "django.db.backends.sqlite3": "sqlite",
    "django.contrib.gis.db.backends.spatialite": "spatialite",
    "django.db.backends.oracle": "oracle",
    "django.contrib.gis.db.backends.oracle": "oraclegis",
    "django_cockroachdb": "cockroach",
}
_SEARCH_PATH = re.compile(r"search_path=[^\s\\]+")
_FILES = {"sqlite", "spatialite"}
# Other ways to say which server it is than by host and port.
SERVER_OPTIONS = ("service", "unix_socket", "read_default_file")


def display_url(config: Mapping[str, Any], base_dir: Path) -> str:
    """Return a URL for the entry ``config`` of ``DATABASES`` that is safe to show.

    The password is three asterisks, and of the options only those that say which place it is are
    shown (``search_path``, ``service``). SQLite files under ``base_dir`` are relative to it.
    """
    scheme = _SCHEMES.get(config["ENGINE"], config["ENGINE"])
    name = str(config["NAME"] or "")
    if scheme in _FILES:
        return f"{scheme}:///{_path(name, base_dir)}"
    user = quote(config.get("USER") or "", safe="")
    if config.get("PASSWORD"):
        user += ":***"
    return f"{scheme}://{user}{'@' if user else ''}{_address(config)}/{name}{_place(config)}"


def display_server(config: Mapping[str, Any]) -> str:
    """Return the address of the server of the entry ``config``, safe to show.

    Where a file of the driver has it, that is the name of the file or of a section in it.
    """
    options = config["OPTIONS"]
    places = [f"{name}={options[name]}" for name in SERVER_OPTIONS if name in options]
    return " ".join(filter(None, [_address(config), *places])) or "no address given"


def _path(name: str, base_dir: Path) -> str:
    if not Path(name).is_absolute():
        return name
    relative = os.path.relpath(name, base_dir)
    return name if relative.startswith(os.pardir) else Path(relative).as_posix()


def _address(config: Mapping[str, Any]) -> str:
    """Return hosts with ports, as a URL writes them."""
    hosts = str(config.get("HOST") or "").split(",")
    ports = str(config.get("PORT") or "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    return ",".join(
        _host(host) + (f":{port}" if port else "") for host, port in zip(hosts, ports, strict=False)
    )


def _host(host: str) -> str:
    if host.startswith("/"):
        return quote(host, safe="")
    return f"[{host}]" if ":" in host else host


def _place(config: Mapping[str, Any]) -> str:
    """Return the options that say which place it is, and nothing else of them."""
    options = config.get("OPTIONS", {})
    shown = [f"service={options['service']}"] if "service" in options else []
    shown += _SEARCH_PATH.findall(str(options.get("options", "")))
    return "?" * bool(shown) + "&".join(shown)
