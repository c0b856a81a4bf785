"""Options of the admin by which a query would have to join tables of two databases."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db.models import Model

from .auditing import joined_on_the_way
from .homes import Home, home_of


@dataclass(frozen=True)
class AdminJoin:
    """The look-up ``path`` in an ``option`` of ``admin``, with the model ``target`` on its way."""

    admin: Any
    option: str
    path: str
    target: type[Model]

    @property
    def model(self) -> type[Model]:
        """The model of the admin."""
        model: type[Model] = self.admin.model
        return model

    def __str__(self) -> str:
        return f"{self.option} of the admin of {self.model._meta.label} has {self.path!r}"


def admin_joins(home: Home = home_of) -> Iterator[AdminJoin]:
    """Yield what the admins of all sites search, sort or filter by in another database."""
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.sites import all_sites

    for site in all_sites:
        for admin in site._registry.values():
            for option, path in _paths(admin):
                if target := joined_on_the_way(admin.model, path, home):
                    yield AdminJoin(admin, option, path, target)


def _paths(admin: Any) -> Iterator[tuple[str, str]]:
    """Yield the look-ups of an admin's options that a query would have to follow."""
    for path in admin.search_fields:
        yield "search_fields", path.lstrip("^=@")
    ordering = admin.ordering if admin.ordering is not None else admin.model._meta.ordering
    for path in ordering:
        if isinstance(path, str):
            yield "ordering", path.lstrip("-+")
    if admin.date_hierarchy:
        yield "date_hierarchy", admin.date_hierarchy
    for item in admin.list_filter:
        if isinstance(item, str):
            yield "list_filter", item
