"""Finding the app that a file belongs to."""

import os
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

from django.apps import apps
from django.core.signals import setting_changed

__all__ = ["get_current_app"]


def get_current_app(path: str | os.PathLike[str] | None = None) -> str | None:
    """Return the label of the installed app that a file belongs to, or ``None`` outside of all.

    Of nested apps the innermost counts. The path as it is written decides; where that leads to no
    app, the path with its symbolic links resolved. The file need not exist, and may be inside a zip
    archive that is imported from.

    Without ``path`` the file is that of the caller: the module whose code calls this function, one
    frame up. In a helper that is the helper's module; pass ``__file__`` to mean another. Code
    without a file, as in a shell, belongs to no app.

    Raises ``AppRegistryNotReady`` while the apps are still being loaded.
    """
    if path is None:
        # Not ``co_filename``: in a zip of compiled modules that names the machine that built it.
        path = sys._getframe(1).f_globals.get("__file__")
        if path is None:
            return None
    # Absolute before the cache: what a relative path means changes with the working directory.
    return _label_of(Path(path).absolute())


@lru_cache(maxsize=4096)
def _label_of(path: Path) -> str | None:
    labels = _labels_by_folder()
    folders = (folder for spelt in _spellings(path) for folder in (spelt, *spelt.parents))
    return next((labels[folder] for folder in folders if folder in labels), None)


@cache
def _labels_by_folder() -> dict[Path, str]:
    configs = [(Path(config.path).absolute(), config.label) for config in apps.get_app_configs()]
    resolved = {spelt: label for path, label in configs for spelt in _spellings(path)}
    # Last, so that a link from one app's folder to another's takes no folder from its app.
    return resolved | dict(configs)


def _spellings(path: Path) -> Iterator[Path]:
    """Yield an absolute path as it is written, and with its links resolved."""
    # Behind a link, ".." leads elsewhere than the text says.
    if ".." not in path.parts:
        yield path
    # Not ``Path.resolve``, which before Python 3.13 raises on a circle of links.
    yield Path(os.path.realpath(path))


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "INSTALLED_APPS":
        _labels_by_folder.cache_clear()
        _label_of.cache_clear()


setting_changed.connect(_forget)
