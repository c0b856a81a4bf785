"""An app's ``database.py``: looked at first, and executed only if it is ours."""

import ast
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from .exceptions import DatabaseModuleError, choices
from .labels import statements

SOURCE_NAMES = frozenset({"DATABASE_URL", "DATABASE"})
TUNING_TYPES: dict[str, tuple[type, ...]] = {
    "ENGINE_OPTIONS": (dict,),
    "OPTIONS": (dict,),
    "TEST": (dict,),
    "ENGINE": (str,),
    "CONN_MAX_AGE": (int, type(None)),
    "CONN_HEALTH_CHECKS": (bool,),
    "DISABLE_SERVER_SIDE_CURSORS": (bool,),
    "ATOMIC_REQUESTS": (bool,),
    "AUTOCOMMIT": (bool,),
    "TIME_ZONE": (str, type(None)),
}
_TYPES = {"DATABASE_URL": (str, type(None)), "DATABASE": (dict,), **TUNING_TYPES}
_DATABASE_TYPES: dict[str, tuple[type, ...]] = {
    "NAME": (str, Path, type(None)),
    "USER": (str, type(None)),
    "PASSWORD": (str, type(None)),
    "HOST": (str, type(None)),
    "PORT": (str, int, type(None)),
    **TUNING_TYPES,
}
DATABASE_KEYS = frozenset(_DATABASE_TYPES.keys() - {"ENGINE_OPTIONS"})

# A cause may quote a URL that the module was reading; where it ends, only its author knows.
_URL = re.compile(r"://.+", re.DOTALL)


@dataclass(frozen=True)
class DatabaseModule:
    """What the ``database.py`` at ``path`` says; ``url`` and ``database`` exclude each other."""

    path: str
    url: str | None = None
    database: dict[str, Any] | None = None
    tuning: dict[str, Any] = field(default_factory=dict)


def names_in(path: str, text: str) -> set[str]:
    """Return which names of ours the module assigns at top level, without running it.

    Raises ``DatabaseModuleError`` for a syntax error, and for ``import *``: whether that brings a
    database with it, only running it would tell.
    """
    tree = _parse(path, text)
    found = set(_stored(tree))
    for node in statements(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*":
                    _fail(path, node.lineno, "'import *' hides whether it names a database.")
                found.add(alias.asname or alias.name)
    return found & _TYPES.keys()


def _stored(node: ast.AST) -> Iterator[str]:
    """Yield the names that the code in the scope of ``node`` assigns, in whatever way."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _stored(child)


def read_database_module(path: str, text: str) -> DatabaseModule:
    """Run the module, by its location, and return what it says.

    The app's packages are not imported. Raises ``DatabaseModuleError`` with file, line and cause
    for whatever goes wrong, never falls back to another source.
    """
    tree = _parse(path, text)
    _refuse_what_cannot_work(path, tree)
    namespace = _run(path, _compile(path, tree))
    values = {name: namespace[name] for name in _TYPES if name in namespace}
    for name, value in values.items():
        _check_type(path, name, value, _TYPES[name])
    url, database = values.pop("DATABASE_URL", None), values.pop("DATABASE", None)
    if url and database is not None:
        _fail(path, 0, "DATABASE_URL and DATABASE exclude each other. Keep one.")
    if database is not None:
        _check_database(path, database, values)
    return DatabaseModule(path, url or None, database, values)


def check_tuning(where: str, tuning: Mapping[str, Any]) -> None:
    """Raise ``DatabaseModuleError`` if ``tuning`` is not what a ``database.py`` may hold of it."""
    unknown = tuning.keys() - TUNING_TYPES.keys()
    if unknown:
        _fail(
            where, 0, f"there is no option {choices(unknown)}. Choose from {choices(TUNING_TYPES)}."
        )
    for name, value in tuning.items():
        _check_type(where, name, value, TUNING_TYPES[name])


def _parse(path: str, text: str) -> ast.Module:
    try:
        return ast.parse(text, path)
    except SyntaxError as error:
        _fail(path, error.lineno or 0, f"SyntaxError: {error.msg}")


def _compile(path: str, tree: ast.Module) -> CodeType:
    try:
        return compile(tree, path, "exec", dont_inherit=True)
    except SyntaxError as error:  # Such as a 'return' outside of a function.
        _fail(path, error.lineno or 0, f"SyntaxError: {error.msg}")


def _refuse_what_cannot_work(path: str, tree: ast.Module) -> None:
    """Name the imports that fail, or worse, half work while settings load."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = {alias.name for alias in node.names}
        module = node.module if isinstance(node, ast.ImportFrom) else None
        if isinstance(node, ast.ImportFrom) and node.level:
            _fail(
                path,
                node.lineno,
                "it is run without its package, so a relative import cannot work. Import by the"
                " absolute name, or write the values here.",
            )
        if "django.conf" in {module, *names} or (module == "django" and "conf" in names):
            _fail(
                path,
                node.lineno,
                "django.conf.settings is not ready: it is being built from this file. Read"
                " os.environ, or write the values here.",
            )


def _run(path: str, code: CodeType) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "database", "__file__": path}
    settings_before = _settings_are_loaded()
    try:
        exec(code, namespace)  # noqa: S102  The project's own file, named in the documentation.
    except (Exception, SystemExit) as error:  # noqa: BLE001  Whatever it is, it is the cause.
        # ``from None``: the traceback would show the file's lines, and a URL in them.
        cause = _URL.sub("://***", f"{type(error).__name__}: {error}")
        _fail(path, _line_of(error, path), cause)
    if _settings_are_loaded() and not settings_before:
        _fail(
            path,
            0,
            "something that it imports reads django.conf.settings, which is being built from this"
            " file and so is incomplete for the whole process. Import less here.",
        )
    return namespace


def _settings_are_loaded() -> bool:
    """Tell whether somebody has made Django's settings object load the settings module."""
    conf = sys.modules.get("django.conf")
    return conf is not None and bool(conf.settings.configured)


def _line_of(error: BaseException, path: str) -> int:
    lines = [
        frame.lineno or 0
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    ]
    return lines[-1] if lines else 0


def _check_type(path: str, name: str, value: object, types: tuple[type, ...]) -> None:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        expected = " or ".join(kind.__name__ for kind in types).replace("NoneType", "None")
        _fail(path, 0, f"{name} is of type {type(value).__name__}, and must be {expected}.")


def _check_database(path: str, database: dict[str, Any], tuning: dict[str, Any]) -> None:
    unknown = database.keys() - DATABASE_KEYS
    if unknown:
        keys = choices(map(str, unknown))
        _fail(path, 0, f"DATABASE has no key {keys}. The keys are {choices(DATABASE_KEYS)}.")
    if not isinstance(database.get("ENGINE"), str):
        _fail(path, 0, "DATABASE needs an 'ENGINE', such as 'django.db.backends.postgresql'.")
    for name, value in database.items():
        _check_type(path, name, value, _DATABASE_TYPES[name])
    twice = database.keys() & tuning.keys()
    if twice:
        _fail(path, 0, f"{choices(twice)} stand in DATABASE and beside it. Keep one.")


def _fail(path: str, line: int, cause: str) -> NoReturn:
    where = f"{path}, line {line}" if line else path
    raise DatabaseModuleError(f"{where}: {cause}") from None
