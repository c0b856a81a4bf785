"""What the settings say to the run time: what ``build_databases`` left, and ``APPDB_ROUTER``."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from .exceptions import ConfigurationError, choices

METADATA = "APPDB_ROUTER"
SETTING = "APPDB_ROUTER"

_OPTIONS = {"CIRCUIT_BREAKER", "THREADS", "TRANSACTION_GUARD", "WORKERS"}
_CIRCUIT_BREAKER = {"FAILURES", "MAX_OPEN_SECONDS", "OPEN_SECONDS"}
_REACTIONS = ("off", "warn", "raise")
# Read by gunicorn and uvicorn.
_WORKERS_VARIABLE = "WEB_CONCURRENCY"


def database_metadata() -> dict[str, dict[str, Any]]:
    """Return the metadata by alias, for the aliases that ``build_databases`` made.

    Raises ``ConfigurationError`` if ``settings.DATABASES`` was written by hand: routing by a guess
    would be worse than none.
    """
    databases = settings.DATABASES
    found = {alias: entry[METADATA] for alias, entry in databases.items() if METADATA in entry}
    if "default" not in found:
        raise ConfigurationError(
            "settings.DATABASES was not made by appdb_router.build_databases(), so nobody knows"
            " which app lives where. Build it in the settings module, in those of tests too."
        )
    return found


def rehearsed_aliases() -> list[str] | None:
    """Return the aliases that ``APPDB_REHEARSE`` names, ``None`` where nothing is rehearsed.

    Raises ``ConfigurationError`` if ``settings.DATABASES`` was written by hand.
    """
    found: list[str] | None = database_metadata()["default"].get("project", {}).get("rehearsed")
    return found


def direct_setting(setting: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what differs in an entry of ``DATABASES`` for its direct URL, if it has one."""
    direct: Mapping[str, Any] | None = setting.get(METADATA, {}).get("direct")
    return direct


@dataclass(frozen=True)
class CircuitOptions:
    """When the circuit of a database opens, and for how long."""

    failures: int = 5
    open_seconds: float = 1
    max_open_seconds: float = 10


def worker_count() -> int:
    """Return how many processes serve the project.

    That is ``WORKERS`` in ``settings.APPDB_ROUTER``, or else the environment variable
    ``WEB_CONCURRENCY``, or else 1. Raises ``ConfigurationError`` unless it is a whole number from 1
    up.
    """
    text = os.environ.get(_WORKERS_VARIABLE, "").strip()
    options = _options()
    if "WORKERS" in options or not text:
        return _count(options, "WORKERS")
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ConfigurationError(
            f"The environment variable {_WORKERS_VARIABLE} is {text!r}. Make it a whole number from"
            f' 1 up, or set {SETTING} = {{"WORKERS": ...}}.'
        )
    return int(text)


def thread_count() -> int:
    """Return how many threads of each worker use databases: ``THREADS``, or else 1.

    Raises ``ConfigurationError`` unless it is a whole number from 1 up.
    """
    return _count(_options(), "THREADS")


def circuit_options() -> CircuitOptions | None:
    """Return what ``CIRCUIT_BREAKER`` in ``settings.APPDB_ROUTER`` says; ``None`` is off.

    Raises ``ConfigurationError`` for an unknown key or a wrong value.
    """
    where = f"{SETTING}['CIRCUIT_BREAKER']"
    given, defaults = _options().get("CIRCUIT_BREAKER"), CircuitOptions()
    if given is None:
        return None
    options = _checked(given, _CIRCUIT_BREAKER, where)
    failures = _count(options, "FAILURES", defaults.failures, where)
    first = _seconds(options, "OPEN_SECONDS", defaults.open_seconds, where)
    longest = max(first, defaults.max_open_seconds)
    longest = _seconds(options, "MAX_OPEN_SECONDS", longest, where)
    if longest < first:
        raise ConfigurationError(
            f"{where}: MAX_OPEN_SECONDS is {longest!r}, less than OPEN_SECONDS, which is {first!r}."
            " Make it at least as long."
        )
    return CircuitOptions(failures, first, longest)


def guard_reaction() -> str | None:
    """Return ``"warn"`` or ``"raise"`` if ``TRANSACTION_GUARD`` says so; ``None`` is off.

    A rehearsal looks for such writes, whatever the setting says. Raises ``ConfigurationError`` for
    another value.
    """
    reaction = _options().get("TRANSACTION_GUARD", "off")
    if reaction not in _REACTIONS:
        raise ConfigurationError(
            f"{SETTING}['TRANSACTION_GUARD'] is {reaction!r}. Make it one of {choices(_REACTIONS)}."
        )
    if rehearsed_aliases() is not None:
        return "raise"
    return None if reaction == "off" else reaction


def _options() -> dict[str, Any]:
    return _checked(getattr(settings, SETTING, {}), _OPTIONS, SETTING)


def _checked(options: Any, names: set[str], where: str) -> dict[str, Any]:
    """Return ``options``, which is a dict with no other keys than ``names``."""
    if not isinstance(options, dict):
        raise ConfigurationError(f"{where} is {options!r}. Make it a dict.")
    if unknown := options.keys() - names:
        raise ConfigurationError(
            f"{where} has no {choices(unknown)}. The keys are {choices(names)}."
        )
    return options


def _count(options: dict[str, Any], name: str, default: int = 1, where: str = SETTING) -> int:
    value = options.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(
            f"{where}[{name!r}] is {value!r}. Make it a whole number from 1 up."
        )
    return value


def _seconds(options: dict[str, Any], name: str, default: float, where: str) -> float:
    value = options.get(name, default)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return value
    raise ConfigurationError(
        f"{where}[{name!r}] is {value!r}. Make it a number of seconds above 0."
    )
