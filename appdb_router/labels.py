"""The labels of the installed apps, read from their source as Django will compute them.

``django.apps.AppConfig.create`` imports the apps; while settings load that is not possible yet. So
its rules are applied to the text of each ``apps.py``, and ``AppConfig.ready`` compares the result
with the real registry.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .exceptions import ConfigurationError, suggestion
from .locate import Locator

_APP_CONFIGS = {("django.apps", "AppConfig"), ("django.apps.config", "AppConfig")}
_DEEPEST = 20
_ATTRIBUTES = ("name", "label", "default")
# Beside them: the class derives from AppConfig (true), or is AppConfig itself (false).
_IS_CONFIG = "AppConfig"

# The statements that most modules consist of: none holds others that run in the same scope.
_FLAT = (
    *(ast.Assign, ast.AnnAssign, ast.Expr, ast.Import, ast.ImportFrom),
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef),
)
_STATIC = (str, bool, type(None))


@dataclass(frozen=True)
class InstalledApp:
    """An entry of ``INSTALLED_APPS``: its label and the dotted name of its package."""

    entry: str
    label: str
    name: str


@dataclass(frozen=True)
class _Computed:
    """A class attribute whose value only running the code would tell."""

    line: int


_Value = str | bool | None | _Computed
_Attributes = dict[str, _Value]
_Origin = tuple[str, str]


@dataclass(frozen=True)
class _Class:
    """A class: for each base its plain name, if it has one, and where it was imported from."""

    bases: list[tuple[str | None, _Origin | None]]
    attributes: _Attributes


class LabelReader:
    """Reads labels; one instance serves one list of apps and parses each module once."""

    def __init__(self, locator: Locator, known: Mapping[str, str]) -> None:
        self._locator = locator
        self._known = known
        self._modules: dict[str, _Module | None] = {}

    def read(self, entry: str) -> InstalledApp:
        """Return label and package of ``entry``, an item of ``INSTALLED_APPS``.

        Raises ``ConfigurationError`` if the app cannot be located or its label is computed.
        """
        module_name, _, class_name = entry.rpartition(".")
        if self._locator.find(entry) is not None:
            attributes = self._default_config(entry)
        elif module_name and (module := self._module(module_name)):
            attributes = self._config(module, class_name)
            if attributes is None:
                raise _no_class(entry, module)
        else:
            raise ConfigurationError(
                f"INSTALLED_APPS names {entry!r}, and no such package or AppConfig is on sys.path."
            )
        if attributes is None:
            return InstalledApp(entry, self._known.get(entry, entry.rpartition(".")[2]), entry)
        return self._installed(entry, attributes)

    def _installed(self, entry: str, attributes: _Attributes) -> InstalledApp:
        name = self._static(entry, "name", attributes.get("name"))
        if name is None:
            raise ConfigurationError(
                f"The AppConfig of {entry!r} in INSTALLED_APPS has no 'name'. Set it to the dotted"
                " path of the app's package."
            )
        if entry in self._known:
            return InstalledApp(entry, self._known[entry], name)
        label = self._static(entry, "label", attributes.get("label"))
        return InstalledApp(entry, label or name.rpartition(".")[2], name)

    def _static(self, entry: str, attribute: str, value: _Value) -> str | None:
        if isinstance(value, _Computed):
            raise ConfigurationError(
                f"The AppConfig of {entry!r} computes its {attribute!r} (line {value.line}), so it"
                " cannot be known while settings load. Write a string, or pass"
                f" labels={{{entry!r}: '...'}} to build_databases() if it is the label."
            )
        return value if isinstance(value, str) else None

    def _default_config(self, entry: str) -> _Attributes | None:
        """Return the AppConfig that Django picks for an entry that names a package."""
        module = self._module(f"{entry}.apps")
        if module is None:
            return None
        found = (self._config(module, name) for name in sorted(module.candidates()))
        configs = [item for item in found if item is not None and item.get("default", True)]
        if len(configs) != 1:
            configs = [item for item in configs if item.get("default")]
        if len(configs) > 1:
            raise ConfigurationError(f"{entry}.apps declares more than one default AppConfig.")
        return configs[0] if configs else None

    def _config(self, module: "_Module", name: str) -> _Attributes | None:
        """Return the attributes of the class ``name``, or ``None`` if it is not an AppConfig."""
        attributes = self._attributes(module, name, 0)
        return attributes if attributes.get(_IS_CONFIG) else None

    def _attributes(self, module: "_Module", name: str, depth: int) -> _Attributes:
        """Return the attributes of the class ``name``; none if there is no such class."""
        if name not in module.classes:
            return self._imported(module.imports.get(name), depth)
        found: _Attributes = {}
        # Circles of names would never end: of modules that import each other, of redefinitions.
        bases = module.classes[name].bases if depth < _DEEPEST else []
        for base, origin in reversed(bases):
            if base is not None and base in module.classes and base != name:
                found |= self._attributes(module, base, depth + 1)
            else:
                found |= self._imported(origin, depth)
        if _IS_CONFIG in found:
            found[_IS_CONFIG] = True
        return found | module.classes[name].attributes

    def _imported(self, origin: _Origin | None, depth: int) -> _Attributes:
        if origin in _APP_CONFIGS:
            return {_IS_CONFIG: False}
        module = self._module(origin[0]) if origin and depth < _DEEPEST else None
        return self._attributes(module, origin[1], depth + 1) if origin and module else {}

    def _module(self, name: str) -> "_Module | None":
        if name not in self._modules:
            self._modules[name] = self._parse(name)
        return self._modules[name]

    def _parse(self, name: str) -> "_Module | None":
        try:
            found = self._locator.source(name)
            if found is None:
                return None
            path, text = found
            plain = _PLAIN.fullmatch(text)
            if plain:
                return _plain_module(name, plain)
            tree = ast.parse(text, path)
            return _TreeReader(name, tree, is_package=path.endswith("__init__.py")).module
        except (ImportError, OSError, SyntaxError, ValueError) as error:
            raise ConfigurationError(f"The module {name!r} cannot be read: {error}.") from None


@dataclass
class _Module:
    """What the text of a module says of its classes."""

    name: str
    imports: dict[str, _Origin]
    classes: dict[str, _Class]

    def candidates(self) -> set[str]:
        """Return names of the module that may be an AppConfig; classes begin with a capital."""
        return {*self.classes, *(name for name in self.imports if name[:1].isupper())}


# An apps.py as ``startapp`` writes it, from its first character to its last: most of them are, and
# reading one this way takes a quarter of the time.
_PLAIN = re.compile(
    r"from django\.apps import AppConfig\n+class ([A-Z]\w*)\(AppConfig\):\n"
    r"((?:\n| {4}\w+ = (?:\"[^\"\\\n]*\"|'[^'\\\n]*'|True|False)(?:\n|\Z))+)"
)
_PLAIN_ATTRIBUTE = re.compile(rf" {{4}}({'|'.join(_ATTRIBUTES)}) = (.*)")


def _plain_module(name: str, plain: re.Match[str]) -> _Module:
    app_config = ("django.apps", "AppConfig")
    attributes: _Attributes = {
        key: value == "True" if value in {"True", "False"} else value[1:-1]
        for key, value in _PLAIN_ATTRIBUTE.findall(plain[2])
    }
    config = _Class([("AppConfig", app_config)], attributes)
    return _Module(name, {"AppConfig": app_config}, {plain[1]: config})


class _TreeReader:
    """Makes ``module`` of a syntax tree, and keeps nothing of the tree.

    With a thousand of them the garbage collector would take a tenth of the time.
    """

    def __init__(self, name: str, tree: ast.Module, *, is_package: bool) -> None:
        self._imports: dict[str, _Origin] = {}
        self._package = name if is_package else name.rpartition(".")[0]
        self._constants: _Attributes = {"__name__": name, "__package__": self._package}
        nodes: dict[str, ast.ClassDef] = {}
        for node in statements(tree.body):
            if isinstance(node, ast.ClassDef):
                nodes[node.name] = node
            else:
                self._read(node)
        classes = {name: self._class(node) for name, node in nodes.items()}
        self.module = _Module(name, self._imports, classes)

    def _read(self, node: ast.stmt) -> None:
        if isinstance(node, ast.ImportFrom):
            source = self._absolute(node)
            for alias in node.names:
                self._imports[alias.asname or alias.name] = (source, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                self._imports[alias.asname or alias.name] = (alias.name, "")
        else:
            for target, value in assignments(node):
                self._constants[target] = self._value(value)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self._package.split(".")
        base = parents[: len(parents) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])

    def _class(self, node: ast.ClassDef) -> _Class:
        bases = [
            (base.id if isinstance(base, ast.Name) else None, self._origin(base))
            for base in node.bases
        ]
        found = (pair for item in statements(node.body) for pair in assignments(item))
        return _Class(
            bases, {name: self._value(value) for name, value in found if name in _ATTRIBUTES}
        )

    def _origin(self, node: ast.expr) -> _Origin | None:
        """Return module and name that the expression ``node`` refers to."""
        if isinstance(node, ast.Name):
            return self._imports.get(node.id)
        if isinstance(node, ast.Attribute):
            imported = self._imports.get(ast.unparse(node.value))
            return imported and (".".join(filter(None, imported)), node.attr)
        return None

    def _value(self, node: ast.expr) -> _Value:
        if isinstance(node, ast.Constant) and isinstance(node.value, _STATIC):
            return node.value
        if isinstance(node, ast.Name) and node.id in self._constants:
            return self._constants[node.id]
        return _Computed(node.lineno)


def _no_class(entry: str, module: _Module) -> ConfigurationError:
    name = entry.rpartition(".")[2]
    return ConfigurationError(
        f"INSTALLED_APPS names {entry!r}, but {module.name!r} has no AppConfig {name!r}."
        + suggestion(name, module.classes, "classes")
    )


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that may run in the scope of ``body``, nested blocks included."""
    for node in body:
        yield node
        if isinstance(node, _FLAT):
            continue
        for name in ("body", "orelse", "handlers", "finalbody", "cases"):
            if name != "body" or not _is_for_types_only(node):
                yield from statements(getattr(node, name, ()))


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def assignments(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield name and value of each assignment that ``node`` makes.

    The value of a name in a tuple is that of the whole tuple.
    """
    if isinstance(node, ast.Assign):
        for target in node.targets:
            for part in (target,) if isinstance(target, ast.Name) else ast.walk(target):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    yield part.id, node.value
    elif isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
        yield node.target.id, node.value
