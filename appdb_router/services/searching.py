"""Finding raw SQL, and migrations that ask for models, in the source of an app."""

import ast
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Model

from ..topology import label_of
from .literals import Literals
from .statements import UNKNOWN

# Which arguments hold SQL, by place and by name.
_ARGUMENTS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "raw": ((0,), ("raw_query",)),
    "extra": ((0, 1, 3), ("select", "where", "tables", "order_by")),
    "execute": ((0,), ("sql", "query")),
    "executemany": ((0,), ("sql", "query")),
    "RawSQL": ((0,), ("sql",)),
    "RunSQL": ((0, 1), ("sql", "reverse_sql")),
}
# Methods of these names have other objects too; these receivers make it certain that it is SQL.
_CERTAIN = ("cursor", "objects", "manager", "queryset", "schema_editor")
_FUNCTIONS = {"RawSQL", "RunSQL"}
_FOREIGN_FOLDERS = {"node_modules", "site-packages", "__pycache__"}


@dataclass(frozen=True)
class Asked:
    """Whose database is asked: that of the app ``label``, or ``alias``."""

    label: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class Found:
    """A call in an app's source.

    ``kind`` is the name of what is called, ``text`` the SQL as far as the source tells, and
    ``asked`` says whose database is asked, as far as that is told. ``is_certain`` tells raw SQL
    from a method that may only have such a name.
    """

    path: Path
    line: int
    kind: str
    text: str
    asked: Asked | None = None
    is_certain: bool = True


def source_files(folder: Path, others: Collection[Path]) -> Iterator[Path]:
    """Yield the modules below ``folder``, without those of the apps in the folders ``others``."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _FOREIGN_FOLDERS
            and here / name not in others
            and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(files) if name.endswith(".py"))


def find_calls(
    path: Path, models: Mapping[str, type[Model]], *, is_migration: bool
) -> Iterator[Found]:
    """Yield the raw SQL in a module, and the models that a migration asks for.

    ``models`` are those that a name in the module means. Raises ``SyntaxError`` or
    ``ValueError`` if the module is none.
    """
    tree = ast.parse(path.read_bytes())
    tables = {name: model._meta.db_table for name, model in models.items()}
    receivers = _Receivers(tree, models)
    for call, literals in _calls(tree, Literals(tree, tables)):
        name = _name(call.func)
        if name == "get_model" and is_migration and call.args:
            text = ".".join(map(literals.text, call.args[:2]))
            yield Found(path, call.lineno, name, text)
        elif name in _ARGUMENTS and (arguments := _sql_arguments(call, name)):
            yield Found(
                path,
                call.lineno,
                name,
                "\n;\n".join(_without_parameters(argument, literals) for argument in arguments),
                asked=receivers.asked(call.func),
                is_certain=receivers.is_certain(call.func, name),
            )


def _calls(node: ast.AST, literals: Literals) -> Iterator[tuple[ast.Call, Literals]]:
    """Yield each call with the literals of the scope that it is in."""
    for child in ast.iter_child_nodes(node):
        inner = literals
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = literals.inside(child)
        elif isinstance(child, ast.Call):
            yield child, literals
        yield from _calls(child, inner)


def _name(function: ast.expr) -> str:
    match function:
        case ast.Attribute(attr=name):
            return name
        case ast.Name(id=name) if name in _FUNCTIONS:
            return name
    return ""


def _sql_arguments(call: ast.Call, name: str) -> list[ast.expr]:
    places, names = _ARGUMENTS[name]
    by_place = [item for number, item in enumerate(call.args) if number in places]
    return by_place + [item.value for item in call.keywords if item.arg in names]


def _without_parameters(argument: ast.expr, literals: Literals) -> str:
    """Return the SQL of an argument, which may be a list of statements with their parameters."""
    if not isinstance(argument, ast.List):
        return literals.text(argument)
    items: Iterable[ast.expr] = (
        item.elts[0] if isinstance(item, ast.Tuple) and item.elts else item
        for item in argument.elts
    )
    return "\n;\n".join(map(literals.text, items))


def is_whole(text: str) -> bool:
    """Tell whether all of ``text`` was found in the source."""
    return UNKNOWN not in text


class _Receivers:
    """What the methods in a module belong to: models, and cursors by the names they are given."""

    def __init__(self, tree: ast.Module, models: Mapping[str, type[Model]]) -> None:
        self._models = models
        self._has_connection = _imports_connection(tree)
        self._cursors: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            match node:
                case (
                    ast.withitem(context_expr=value, optional_vars=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name)], value=value)
                ) if _makes_cursor(value):
                    self._cursors.setdefault(name, []).append(value)

    def asked(self, function: ast.expr) -> Asked | None:
        """Return whose database a method asks: one answer, or none."""
        places = {
            self._place(node)
            for made in self._cursors.get(_root(function), [function])
            for node in ast.walk(made)
        } - {None}
        return places.pop() if len(places) == 1 else None

    def is_certain(self, function: ast.expr, name: str) -> bool:
        """Tell whether it is SQL that a function or method of this name is given."""
        owner = ast.unparse(function).lower().rpartition(".")[0]
        return (
            name in _FUNCTIONS
            or _root(function) in self._cursors
            or any(word in owner for word in _CERTAIN)
        )

    def _place(self, node: ast.AST) -> Asked | None:
        match node:
            case ast.Call(func=ast.Name(id="alias_for"), args=[ast.Constant(value=str(label))]):
                return Asked(label=label)
            case ast.Subscript(
                value=ast.Name(id="connections"), slice=ast.Constant(value=str(alias))
            ):
                return Asked(alias=alias)
            case ast.Name(id="connection") if self._has_connection:
                return Asked(alias="default")
            case ast.Name(id=name) if name in self._models:
                return Asked(label=label_of(self._models[name]))
        return None


def _makes_cursor(value: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "cursor" for node in ast.walk(value)
    )


def _root(function: ast.expr) -> str:
    """Return the name at the root of ``Trip.objects.using(…).raw``."""
    node: ast.expr = function
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _imports_connection(tree: ast.Module) -> bool:
    """Tell whether ``connection`` is Django's, which is that of the default database."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "django.db"
        and any(alias.name == "connection" for alias in node.names)
        for node in ast.walk(tree)
    )
