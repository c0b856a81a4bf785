"""The installed apps: label, place, and what their ``database.py`` says."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .database_module import DatabaseModule, names_in, read_database_module
from .exceptions import ConfigurationError, DatabaseModuleError, suggestion
from .labels import InstalledApp, LabelReader
from .locate import Locator, folder
from .naming import variable_of

# Where installers put packages: a virtual environment often stands inside the project.
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class App:
    """An installed app; ``is_local`` if its code is the project's own, under ``base_dir``."""

    label: str
    is_local: bool
    module: DatabaseModule | None
    untrusted: str | None

    @property
    def variable(self) -> str:
        """The environment variable that may hold this app's URL."""
        return variable_of(self.label)


def discover_apps(
    installed_apps: Iterable[str],
    *,
    base_dir: Path,
    trust: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> dict[str, App]:
    """Return the apps by label, in the order of ``INSTALLED_APPS``, without importing them.

    ``trust`` names packages outside ``base_dir`` whose ``database.py`` may be run; ``labels`` gives
    the labels of entries that compute theirs. Raises ``ConfigurationError``.
    """
    if isinstance(installed_apps, str) or isinstance(trust, str):
        raise ConfigurationError("INSTALLED_APPS and trust are sequences of strings, not strings.")
    locator = Locator()
    known = labels or {}
    reader = LabelReader(locator, known)
    found = [reader.read(entry) for entry in installed_apps]
    _check_labels(found)
    _check_entries("labels", known, [app.entry for app in found])
    _check_entries("trust", trust, [app.name for app in found])
    tree = _Tree(base_dir)
    return {app.label: _discover(app, locator, tree, trust) for app in found}


def _check_labels(apps: Sequence[InstalledApp]) -> None:
    seen: dict[str, InstalledApp] = {}
    for app in apps:
        # Upper case: two labels that differ in case alone would share one variable.
        other = seen.setdefault(app.label.upper(), app)
        if other is not app:
            raise ConfigurationError(
                f"Application labels aren't unique: {other.entry!r} has the label"
                f" {other.label!r}, and {app.entry!r} has {app.label!r}. Set another 'label' in"
                " one of the AppConfigs."
            )
        if app.label == "default":
            raise ConfigurationError(
                f"{app.entry!r} has the label 'default', which is Django's name of the default"
                " database. Set another 'label' in its AppConfig."
            )


def _check_entries(argument: str, given: Iterable[str], valid: list[str]) -> None:
    for name in given:
        if name not in valid:
            raise ConfigurationError(
                f"{argument}= names {name!r}, which is not installed."
                + suggestion(name, valid, "choices")
            )


def _discover(app: InstalledApp, locator: Locator, tree: "_Tree", trust: Sequence[str]) -> App:
    spec = locator.find(app.name)
    if spec is None:
        raise ConfigurationError(
            f"The AppConfig of {app.entry!r} names the package {app.name!r}, which is not on"
            " sys.path. Correct its 'name'."
        )
    is_local = app.name != __package__ and folder(spec) in tree
    module_name = f"{app.name}.database"
    if not spec.submodule_search_locations:
        return App(app.label, is_local, None, None)
    module, untrusted = _look_at(locator, module_name, run=is_local or app.name in trust)
    return App(app.label, is_local, module, untrusted)


class _Tree:
    """The folders of the project's own code: those under ``base_dir``, installed packages apart."""

    def __init__(self, base_dir: Path) -> None:
        self._parents: dict[str, str] = {}
        self._root = _with_separator(os.path.realpath(base_dir))

    def __contains__(self, place: str | None) -> bool:
        real = "" if place is None else _with_separator(self._real(place))
        if not real.startswith(self._root):
            return False
        return _PACKAGE_FOLDERS.isdisjoint(real[len(self._root) :].split(os.sep))  # noqa: PTH206

    def _real(self, place: str) -> str:
        """Resolve ``place``; many apps have one parent, which is resolved once."""
        parent, name = os.path.split(place)
        # os.path: as Path objects this would be the slowest part of finding an app.
        if os.path.islink(place) or not name:  # noqa: PTH114
            return os.path.realpath(place)
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        return os.path.join(self._parents[parent], name)  # noqa: PTH118


def _with_separator(path: str) -> str:
    return os.path.normcase(path).rstrip(os.sep) + os.sep


def _look_at(locator: Locator, name: str, *, run: bool) -> tuple[DatabaseModule | None, str | None]:
    """Return what the ``database.py`` says, or its path if it is not trusted to say it."""
    try:
        source = locator.source(name)
    except (ImportError, OSError, SyntaxError, ValueError) as error:
        if not run:
            return None, None
        raise DatabaseModuleError(f"The module {name!r} cannot be read: {error}.") from None
    if source is None:
        return None, None
    try:
        ours = names_in(*source)
    except DatabaseModuleError:
        if run:
            raise
        return None, None
    if not ours:
        return None, None
    return (read_database_module(*source), None) if run else (None, source[0])
