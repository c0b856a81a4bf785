"""The words for a query that would have to join two databases, with the rewrite for this query.

Names of models, fields and look-ups are shown, values never.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Field, ForeignKey, Model
from django.db.models.expressions import Col

from ..exceptions import CrossingQueryError
from .homes import home_of, is_reverse

_ELLIPSIS = "…"


def join_error(query: Any, name: str, model: type[Model]) -> CrossingQueryError:
    """Return why the table that ``query`` calls ``name``, that of ``model``, cannot be joined."""
    name, model = _behind_the_table_between(query, name, model)
    path = _path(query, name)
    root = query.model
    behind = _names_behind(query, name)
    filters = _filters(query, name, behind)
    text = (
        f"{root._meta.label} in the database {home_of(root)!r} cannot be joined with"
        f" {model._meta.label} in {home_of(model)!r}, as {_asked(path, filters)} asks."
    )
    if filters:
        text += f" {_two_steps(query, name, model, filters)}"
    if not filters or _is_used_besides(query, behind):
        text += (
            f" For values or for sorting, take {root.__name__}.objects.select_related({path!r}) or"
            f" prefetch_related({path!r}), and read or sort {path} in Python."
        )
    return CrossingQueryError(text, (root._meta.label, model._meta.label))


def subquery_error(query: Any, name: str, model: type[Model]) -> CrossingQueryError:
    """Return why ``query``, which begins with the table of ``model``, cannot be part of another."""
    filters = _filters(query, name, {name})
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


def _two_steps(query: Any, name: str, model: Any, filters: list[str]) -> str:
    """Say how to ask for what ``model`` has first, and for the rows of the query then."""
    root = query.model
    if (steps := _steps(query, name, model, filters)) is None:
        return (
            f"Ask {model.__name__} for itself, and pass the keys that it tells to"
            f" {root.__name__}.objects.filter(pk__in=…)."
        )
    first, second = steps
    return (
        f"Ask in two steps: ids = fetch_ids({first}); {root.__name__}.objects.filter({second}=ids)"
        " (from appdb_router.two_steps import fetch_ids)."
    )


def _steps(query: Any, name: str, model: Any, filters: list[str]) -> tuple[str, str] | None:
    """Return what is asked first, and the look-up of the second step, if they can be known.

    That must not lead to another database again, so what refers to this one from there is asked
    for the keys of this one.
    """
    source = query.alias_map[name]
    relation = source.join_field
    asked = _called(model.__name__, filters)
    if model._meta.auto_created:
        # Only the table between, which knows the keys of both sides.
        between = _called(_name_of_between(relation.field), filters)
        return f"{between}, {relation.field.name!r}", _near(query, name, "pk")
    if isinstance(relation, ForeignKey) and home_of(relation.model) == home_of(query.model):
        return f"{asked}{_other_key(relation)}", f"{_path(query, name)}__in"
    if isinstance(relation, ForeignKey):
        # The table between is over there too.
        there = _back(_many_to_many(query.alias_map[source.parent_alias].join_field))
        return f"{asked}, {there!r}", _near(query, source.parent_alias, "pk")
    back: Any = getattr(relation, "field", None)
    if isinstance(back, ForeignKey):
        return f"{asked}, {back.name!r}", _near(query, name, _key_of(back))
    if hasattr(back, "object_id_field_name"):
        asked = _called(model.__name__, [back.content_type_field_name, *filters])
        return f"{asked}, {back.object_id_field_name!r}", _near(query, name, "pk")
    return None


def _name_of_between(back: Any) -> str:
    relation = _many_to_many(back.remote_field)
    field = relation if isinstance(relation, Field) else relation.field
    return f"{field.model.__name__}.{field.name}.through"


def _back(relation: Any) -> str:
    """Return the name of a many-to-many relation on its other side."""
    name: str = relation.remote_field.name
    return name


def _near(query: Any, name: str, key: str) -> str:
    """Return the look-up by the column ``key`` of what the table called ``name`` is joined to."""
    parent = query.alias_map[name].parent_alias
    return "__".join(filter(None, [_path(query, parent), f"{key}__in"]))


def _key_of(key: Any) -> str:
    """Return the name of the field that a foreign key refers to."""
    target = key.target_field
    return "pk" if target.primary_key else target.name


def _other_key(key: Any) -> str:
    """Return the second argument of ``fetch_ids`` for what a foreign key refers to."""
    name = _key_of(key)
    return "" if name == "pk" else f", {name!r}"


def _path(query: Any, name: str, since: str | None = None) -> str:
    """Return the look-up that leads to the table called ``name``, from that called ``since``.

    By default it begins at the model of ``query``.
    """
    fields: list[Any] = []
    source = query.alias_map[name]
    while name != since and (join_field := getattr(source, "join_field", None)) is not None:
        fields.insert(0, join_field)
        name = source.parent_alias
        source = query.alias_map[name]
    names: list[str] = []
    while fields:
        # Two joins are one step of a many-to-many relation, whose table between has no name.
        step = _many_to_many(fields[0])
        names.append((step or _named(fields[0])).name)
        fields = fields[2 if step else 1 :]
    return "__".join(names)


def _named(relation: Any) -> Any:
    """Return what a look-up calls a relation: a generic one, or one like it, by its field."""
    if is_reverse(relation) and not (relation.field.many_to_one or relation.field.one_to_one):
        return relation.field
    return relation


def _many_to_many(first: Any) -> Any:
    """Return the relation whose table between is that of ``first``, if it leads to one."""
    if not is_reverse(first) or not first.related_model._meta.auto_created:
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


def _asked(path: str, filters: Iterable[str]) -> str:
    """Return in words what of the query needs the join."""
    names = sorted({f"{path}__{lookup}" for lookup in filters})
    return f"filter({', '.join(f'{name}={_ELLIPSIS}' for name in names)})" if names else repr(path)


def _called(model: str, lookups: Iterable[str]) -> str:
    arguments = ", ".join(f"{lookup}={_ELLIPSIS}" for lookup in lookups)
    return f"{model}.objects.filter({arguments})"


def _filters(query: Any, name: str, tables: set[str]) -> list[str]:
    """Return the look-ups on columns of ``tables``, as keywords for that called ``name``."""
    found = []
    for lookup in _lookups(query.where):
        column: Any = getattr(lookup, "lhs", None)
        while not isinstance(column, Col) and hasattr(column, "lhs"):
            column = column.lhs
        if isinstance(column, Col) and column.alias in tables:
            kind = lookup.lookup_name
            steps = [_path(query, column.alias, name), column.target.name]
            found.append("__".join([*filter(None, steps), *([kind] if kind != "exact" else [])]))
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
