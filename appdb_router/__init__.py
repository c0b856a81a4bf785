"""One database per Django app, safely."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aliases import alias_for
    from .databases import build_databases
    from .env_file import read_env

__all__ = ["alias_for", "build_databases", "read_env"]

_MODULES = {"alias_for": "aliases", "build_databases": "databases", "read_env": "env_file"}


def __getattr__(name: str) -> Any:
    # Looked up when it is asked for: ``alias_for`` reads the settings, and this package is imported
    # while they load; and pytest imports it in projects that have nothing to do with it.
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
