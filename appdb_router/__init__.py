"""One database per Django app, safely."""

from typing import TYPE_CHECKING, Any

from .databases import build_databases
from .env_file import read_env

if TYPE_CHECKING:
    from .aliases import alias_for

__all__ = ["alias_for", "build_databases", "read_env"]


def __getattr__(name: str) -> Any:
    # ``alias_for`` reads the settings, and this package is imported while they load.
    if name == "alias_for":
        from .aliases import alias_for

        return alias_for
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
