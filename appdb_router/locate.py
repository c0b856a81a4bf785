"""Finding modules and their source without importing anything."""

import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source
from pathlib import Path
from pkgutil import get_importer

# Path and text.
Source = tuple[str, str]


class Locator:
    """Finds modules level by level, and remembers what it found.

    ``importlib.util.find_spec("a.b")`` imports ``a``; while settings load that may run an app's
    package before Django is ready for it. The finders themselves import nothing.
    """

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}
        self._listings: dict[str, list[str]] = {}

    def find(self, name: str) -> ModuleSpec | None:
        """Return the spec of the module ``name``, or ``None`` if there is no such module."""
        if name not in self._specs:
            self._specs[name] = self._find(name)
        return self._specs[name]

    def _find(self, name: str) -> ModuleSpec | None:
        path: list[str] | None = None
        parent, _, tail = name.rpartition(".")
        if not tail.isidentifier():
            return None
        if parent:
            spec = self.find(parent)
            if spec is None or spec.submodule_search_locations is None:
                return None
            path = locations(spec)
        try:
            found = (finder.find_spec(name, path) for finder in sys.meta_path)
            return next(filter(None, found), None)
        except KeyError:
            # The path of a namespace package inside another package is made from that of its
            # parent in sys.modules, where it is not yet.
            return _namespace(name, path or [])

    def source(self, name: str) -> Source | None:
        """Return path and source of the module ``name``, or ``None`` if it has no source.

        Raises ``SyntaxError`` or ``UnicodeDecodeError`` for a text that cannot be decoded, and
        ``OSError`` or ``ImportError`` for a file that cannot be read.
        """
        package, _, tail = name.rpartition(".")
        place = self._plain_folder(package)
        if place is not None:
            found = [file for file in self._listing(place) if file.partition(".")[0] == tail]
            if not found:
                return None
            if found == [f"{tail}.py"]:
                return _read(f"{place}{os.sep}{tail}.py")
        spec = self.find(name)
        get_source = getattr(spec and spec.loader, "get_source", None)
        text = get_source(name) if get_source else None
        return None if spec is None or text is None else (str(spec.origin), text)

    def _plain_folder(self, package: str) -> str | None:
        """Return the folder of a package that is one folder of files, as nearly all are.

        There a look into the folder tells what the finders would, at a fifth of the price: each of
        them looks up every file again, for every module asked for.
        """
        spec = self.find(package) if package else None
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        return folder(spec) if spec.submodule_search_locations else None

    def _listing(self, place: str) -> list[str]:
        if place not in self._listings:
            self._listings[place] = os.listdir(place)  # noqa: PTH208  A third of the time.
        return self._listings[place]


def _read(path: str) -> Source:
    with open(path, "rb") as file:  # noqa: PTH123  Half of the time, once for each app.
        data = file.read()
    # Looking for the encoding takes longer than reading, and few files have a line for it.
    return path, decode_source(data) if b"coding" in data else data.decode().removeprefix("\ufeff")


def _namespace(name: str, path: list[str]) -> ModuleSpec:
    """Return the spec of the namespace package ``name``, whose portions lie in ``path``."""
    finders = filter(None, map(get_importer, path))
    portions = filter(None, (finder.find_spec(name) for finder in finders))
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [place for part in portions for place in locations(part)]
    return spec


def locations(spec: ModuleSpec) -> list[str]:
    """Return the folders of the package that ``spec`` describes."""
    return list(spec.submodule_search_locations or ())


def folder(spec: ModuleSpec) -> str | None:
    """Return the folder in which the module lives, or ``None`` if it lives in no folder."""
    for location in locations(spec):
        return location
    return str(Path(spec.origin).parent) if spec.has_location and spec.origin else None
