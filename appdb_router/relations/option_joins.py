"""Options of models and of the admin by which a query would join tables of two databases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import F, Model
from django.db.models.expressions import OrderBy

from .auditing import joined_on_the_way
from .homes import Home, home_of

# What an option has: the look-up, what it stands for if that does not show, and the model joined.
_Found = tuple[str, str, type[Model] | None]


@dataclass(frozen=True)
class OptionJoin:
    """The look-up ``path`` in an ``option`` of ``model``, with the model ``target`` on its way.

    ``owner`` is the class that has the option, and ``because`` what the path stands for.
    """

    owner: type
    model: type[Model]
    option: str
    path: str
    target: type[Model]
    because: str = ""

    def __str__(self) -> str:
        return f"{self.option} of {self.model._meta.label} has {self.path!r}{self.because}"


def ordering_joins(home: Home = home_of) -> Iterator[OptionJoin]:
    """Yield what models are ordered by, unless a query says otherwise, in another database."""
    for model in apps.get_models():
        for item in model._meta.ordering or ():
            path, because, target = _sorted_by(model, item, home)
            if target:
                yield OptionJoin(model, model, "Meta.ordering", path, target, because)


def admin_joins(home: Home = home_of) -> Iterator[OptionJoin]:
    """Yield what the admins of all sites search, sort or filter by in another database."""
    for admin in _admins():
        for option, (path, because, target) in _options(admin, home):
            if target:
                name = f"{option} of the admin"
                yield OptionJoin(type(admin), admin.model, name, path, target, because)


def column_joins(home: Home = home_of) -> Iterator[OptionJoin]:
    """Yield the columns of the admins that would be sorted in another database, if clicked."""
    for admin in _admins():
        sortable = admin.list_display if admin.sortable_by is None else admin.sortable_by
        for item in admin.list_display:
            order = _order_of(admin, item) if item in sortable else None
            path, because, target = _sorted_by(admin.model, order, home)
            if target:
                name = "list_display of the admin"
                yield OptionJoin(type(admin), admin.model, name, path, target, because)


def _admins() -> Iterator[Any]:
    if apps.is_installed("django.contrib.admin"):
        from django.contrib.admin.sites import all_sites

        for site in all_sites:
            yield from site._registry.values()


def _options(admin: Any, home: Home) -> Iterator[tuple[str, _Found]]:
    model = admin.model
    for path in admin.search_fields:
        name = path.lstrip("^=@")
        yield "search_fields", (name, "", joined_on_the_way(model, name, home))
    for item in admin.ordering or ():
        yield "ordering", _sorted_by(model, item, home)
    if path := admin.date_hierarchy:
        yield "date_hierarchy", (path, "", joined_on_the_way(model, path, home))
    for item in admin.list_filter:
        yield "list_filter", _filtered_by(model, item, home)


def _filtered_by(model: type[Model], item: Any, home: Home) -> _Found:
    from django.contrib.admin import RelatedOnlyFieldListFilter

    path, kind = item if isinstance(item, tuple | list) else (item, object)
    if not isinstance(path, str):
        # A filter with a query of its own.
        return "", "", None
    if issubclass(kind, RelatedOnlyFieldListFilter):
        # Its choices are those that a subquery finds.
        found = _related(model, path)
        target = found if found and home(found) != home(model) else None
        return path, " with RelatedOnlyFieldListFilter", target
    return path, "", joined_on_the_way(model, path, home)


def _sorted_by(model: type[Model], item: Any, home: Home) -> _Found:
    """Return what an entry of an ordering sorts by."""
    expression = item.expression if isinstance(item, OrderBy) else item
    if isinstance(expression, F):
        name: str = vars(expression)["name"]
        return name, "", joined_on_the_way(model, name, home)
    if not isinstance(item, str):
        return "", "", None
    path = item.lstrip("-+")
    if target := joined_on_the_way(model, path, home):
        return path, "", target
    related = _related(model, path)
    if related is None or not related._meta.ordering or home(related) == home(model):
        return path, "", None
    # Sorting by a relation is sorting as its target is, by more than its key.
    return path, f", and so Meta.ordering of {related._meta.label}", related


def _related(model: type[Model], path: str) -> Any:
    """Return the model that the relation at the end of ``path`` leads to, if there is one."""
    current: Any = model
    for name in path.split("__"):
        fields = {field.name: field for field in current._meta.get_fields()} if current else {}
        # Only by its name: ``rider_id`` and ``pk`` are columns.
        current = getattr(fields.get(name), "related_model", None)
    return current


def _order_of(admin: Any, item: Any) -> Any:
    """Return what a column of ``list_display`` is sorted by, as Django's change list does."""
    if not isinstance(item, str):
        return getattr(item, "admin_order_field", None)
    if _is_field(admin.model, item):
        return item
    found: Callable[..., Any] | property | None
    found = getattr(admin, item, None) or getattr(admin.model, item, None)
    if isinstance(found, property):
        found = found.fget
    return getattr(found, "admin_order_field", item if found is None else None)


def _is_field(model: type[Model], name: str) -> bool:
    return any(name in {field.name, field.attname} for field in model._meta.fields)
