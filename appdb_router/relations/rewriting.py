"""The words for a query that would have to join two databases, with the rewrite for this query.

Names of models, fields and look-ups are shown, values never.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Field, Model
from django.db.models.expressions import Col

from ..exceptions import CrossingQueryError
from .homes import home_of

_ELLIPSIS = "…"


def join_error(query: Any, name: str, model: type[Model]) -> CrossingQueryError:
    """Return why the table that ``query`` calls ``name``, that of ``model``, cannot be joined."""
    name, model = _behind_the_table_between(query, name, model)
    path = _path(query, name)
    root = query.model
    behind = _names_behind(query, name)
    text = (
        f"{root._meta.label} in the database {home_of(root)!r} cannot be joined with"
        f" {model._meta.label} in {home_of(model)!r}, as {_asked(path, query, behind)} asks."
    )
    filters = _filters(query.where, behind)
    if filters:
        first, second = _two_steps(query, name, model, filters)
        text += (
            f" Ask in two steps: ids = fetch_ids({first}); {root.__name__}.objects.filter({second})"
            " (from appdb_router.two_steps import fetch_ids)."
        )
    if not filters or _is_used_besides(query, behind):
        text += (
            f" For values or for sorting, take {root.__name__}.objects.select_related({path!r}) or"
            f" prefetch_related({path!r}), and read or sort {path} in Python."
        )
    return CrossingQueryError(text, (root._meta.label, model._meta.label))


def subquery_error(query: Any, name: str, model: type[Model]) -> CrossingQueryError:
    """Return why ``query``, which begins with the table of ``model``, cannot be part of another."""
    filters = _filters(query.where, {name})
    text = (
        f"A subquery on {model._meta.label} in the database {home_of(model)!r} is part of a query"
        " on another. Ask it first, and hand over its result:"
        f" ids = fetch_ids({_called(model.__name__, filters)})"
        " (from appdb_router.two_steps import fetch_ids), or list(…) of the values that are needed."
    )
    return CrossingQueryError(text, (model._meta.label,))


def _behind_the_table_between(query: Any, name: str, model: type[Model]) -> tuple[str, type[Model]]:
    """Return the far side of a many-to-many relation, where the query asks for more than keys."""
    if model._meta.auto_created:
        for other, source in query.alias_map.items():
            if query.alias_refcount.get(other) and getattr(source, "parent_alias", None) == name:
                return other, source.join_field.related_model
    return name, model


def _two_steps(query: Any, name: str, model: Any, filters: list[str]) -> tuple[str, str]:
    """Return what is asked first, and the filter of the second step."""
    if not model._meta.auto_created:
        return _called(model.__name__, filters), f"{_path(query, name)}__in=ids"
    # Only the table between, which knows the keys of both sides.
    back = query.alias_map[name].join_field.field
    relation = _many_to_many(back.remote_field)
    field = relation if isinstance(relation, Field) else relation.field
    between = f"{field.model.__name__}.{field.name}.through"
    return f"{_called(between, filters)}, {back.name!r}", "pk__in=ids"


def _path(query: Any, name: str) -> str:
    """Return the look-up that leads from the model of ``query`` to the table called ``name``."""
    fields: list[Any] = []
    source = query.alias_map[name]
    while (join_field := getattr(source, "join_field", None)) is not None:
        fields.insert(0, join_field)
        source = query.alias_map[source.parent_alias]
    names: list[str] = []
    while fields:
        # Two joins are one step of a many-to-many relation, whose table between has no name.
        step = _many_to_many(fields[0])
        names.append((step or fields[0]).name)
        fields = fields[2 if step else 1 :]
    return "__".join(names)


def _many_to_many(first: Any) -> Any:
    """Return the relation whose table between is that of ``first``, if it leads to one."""
    if first.concrete or not first.related_model._meta.auto_created:
        return None
    through = first.related_model
    relations = first.model._meta.get_fields(include_hidden=True)
    # The reverse side keeps the table itself, the field keeps it on its remote_field.
    return next(
        item
        for item in relations
        if item.many_to_many
        and (item if hasattr(item, "through") else item.remote_field).through is through
    )


def _names_behind(query: Any, name: str) -> set[str]:
    """Return what ``query`` calls the table ``name`` and those that are joined to it."""
    found = {name}
    # A table comes behind the one that it is joined to.
    for other, source in query.alias_map.items():
        if getattr(source, "parent_alias", None) in found:
            found.add(other)
    return found


def _asked(path: str, query: Any, behind: set[str]) -> str:
    """Return in words what of the query needs the join."""
    names = sorted({f"{path}__{lookup}" for lookup in _filters(query.where, behind)})
    return f"filter({', '.join(f'{name}={_ELLIPSIS}' for name in names)})" if names else repr(path)


def _called(model: str, lookups: Iterable[str]) -> str:
    arguments = ", ".join(f"{lookup}={_ELLIPSIS}" for lookup in lookups)
    return f"{model}.objects.filter({arguments})"


def _filters(where: Any, tables: set[str]) -> list[str]:
    """Return the look-ups on columns of ``tables``, as keywords of ``filter()``."""
    found = []
    for lookup in _lookups(where):
        column: Any = getattr(lookup, "lhs", None)
        while not isinstance(column, Col) and hasattr(column, "lhs"):
            column = column.lhs
        if isinstance(column, Col) and column.alias in tables:
            name = column.target.name
            kind = lookup.lookup_name
            found.append(name if kind == "exact" else f"{name}__{kind}")
    return list(dict.fromkeys(found))


def _lookups(node: Any) -> Iterator[Any]:
    for child in node.children:
        if hasattr(child, "children"):
            yield from _lookups(child)
        else:
            yield child


def _is_used_besides(query: Any, tables: set[str]) -> bool:
    """Tell whether the query also selects a column of ``tables``, or may sort by one."""
    selected = any(getattr(column, "alias", None) in tables for column in query.select)
    return selected or bool(query.order_by)
