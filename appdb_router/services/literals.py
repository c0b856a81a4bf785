"""The texts that expressions of a module stand for, as far as its source tells; nothing is run."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from .statements import UNKNOWN

# Between texts of which one or the other holds, or which are statements of their own.
_APART = "\n;\n"

_PERCENT = re.compile(r"%(?:\(\w+\))?[sdr]")
_BRACES = re.compile(r"\{(\w*)[^{}]*\}")
_UNCHANGED = {"strip", "lstrip", "rstrip", "replace", "encode"}

_Values = dict[str, list[tuple[ast.expr, bool]]]
_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Literals:
    """The texts of the expressions in one scope of a module.

    ``tables`` has the tables of models by the models' names, for ``Trip._meta.db_table``. What
    cannot be told from the source is ``UNKNOWN`` in the text.
    """

    def __init__(
        self, scope: _Scope, tables: Mapping[str, str], outer: "Literals | None" = None
    ) -> None:
        self._tables = tables
        self._outer = outer
        self._parameters = _parameters(scope)
        self._values = _assigned(_nodes_of(scope))
        self._attributes: _Values = outer._attributes if outer else _class_attributes(scope)
        self._open: set[str] = set()

    def inside(self, scope: _Scope) -> "Literals":
        """Return the literals of a function in this scope."""
        return Literals(scope, self._tables, self)

    def text(self, node: ast.expr) -> str:
        """Return the text that ``node`` stands for."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=parts):
                return "".join(map(self.text, parts))
            case ast.FormattedValue(value=value) | ast.NamedExpr(value=value):
                return self.text(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.text(left) + self.text(right)
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return self._filled(_PERCENT, self.text(left), _items(right), {})
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return _APART.join(map(self.text, items))
            case ast.Dict(values=items) | ast.BoolOp(values=items):
                return _APART.join(map(self.text, items))
            case ast.IfExp(body=body, orelse=other):
                return self.text(body) + _APART + self.text(other)
            case ast.Call():
                return self._of_call(node)
            case ast.Name(id=name):
                return self._of_name(name)
            case ast.Attribute():
                return self._of_attribute(node)
        return UNKNOWN

    def _of_name(self, name: str) -> str:
        if name in self._values:
            return self._joined(name, self._values[name])
        if name in self._parameters or self._outer is None:
            return UNKNOWN
        return self._outer._of_name(name)

    def _of_attribute(self, node: ast.Attribute) -> str:
        match node:
            case ast.Attribute(
                value=ast.Attribute(value=ast.Name(id=model), attr="_meta"), attr="db_table"
            ):
                return self._tables.get(model, UNKNOWN)
            case ast.Attribute(attr="noop"):
                return ""
        found = self._attributes.get(node.attr)
        return self._joined(f".{node.attr}", found) if found else UNKNOWN

    def _joined(self, name: str, values: Iterable[tuple[ast.expr, bool]]) -> str:
        if name in self._open:
            # ``sql = sql + …``: what was assigned before is beside it.
            return UNKNOWN if name in self._parameters else ""
        self._open.add(name)
        try:
            text = ""
            for value, is_added in values:
                text += ("" if is_added else _APART) + self.text(value)
            return text.removeprefix(_APART)
        finally:
            self._open.discard(name)

    def _of_call(self, node: ast.Call) -> str:
        match node.func:
            case ast.Attribute(value=base, attr="format"):
                names = {word.arg: word.value for word in node.keywords if word.arg}
                return self._filled(_BRACES, self.text(base), node.args, names)
            case ast.Attribute(value=base, attr="join") if len(node.args) == 1:
                return self.text(base).join(map(self.text, _items(node.args[0])))
            case ast.Attribute(value=base, attr=name) if name in _UNCHANGED:
                return self.text(base)
        # Such as dedent(), quote_name() and those of psycopg's module ``sql``.
        return self.text(node.args[0]) if len(node.args) == 1 else UNKNOWN

    def _filled(
        self,
        mark: re.Pattern[str],
        text: str,
        values: Sequence[ast.expr],
        names: Mapping[str, ast.expr],
    ) -> str:
        """Return ``text`` with the ``values`` where the marks are, in turn or by name."""
        waiting = iter(values)

        def value(found: re.Match[str]) -> str:
            name = found[1] if mark.groups else ""
            node = names.get(name) if name and not name.isdigit() else next(waiting, None)
            return UNKNOWN if node is None else self.text(node)

        return mark.sub(value, text)


def _items(node: ast.expr) -> Sequence[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List) else [node]


def _nodes_of(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module or function, without those of the functions and classes in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            yield child
            yield from _nodes_of(child)


def _parameters(scope: _Scope) -> set[str]:
    if isinstance(scope, ast.Module):
        return set()
    return {node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg)}


def _class_attributes(scope: ast.AST) -> _Values:
    classes = (node for node in ast.walk(scope) if isinstance(node, ast.ClassDef))
    return _assigned(node for found in classes for node in _nodes_of(found))


def _assigned(nodes: Iterable[ast.AST]) -> _Values:
    """Return what is assigned to each name, in order, and whether it is added to what was there."""
    found: _Values = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    for name, part in _pairs(target, value):
                        found.setdefault(name, []).append((part, False))
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found.setdefault(name, []).append((value, False))
            case ast.For(target=ast.Name(id=name), iter=ast.List() | ast.Tuple() as items):
                found.setdefault(name, []).extend((item, False) for item in items.elts)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                found.setdefault(name, []).append((value, False))
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                found.setdefault(name, []).append((value, True))
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for item, part in zip_longest(target.elts, value.elts):
            if isinstance(item, ast.Name) and part is not None:
                yield item.id, part
