"""System checks: relations that cross, with what is lost, and those that cannot work."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from .relations.auditing import (
    CrossingRelation,
    by_app,
    crossing_relations,
    generic_foreign_keys,
)
from .relations.homes import home_of
from .relations.option_joins import admin_joins, column_joins, ordering_joins
from .topology import label_of

_TOGETHER = "Keep the apps in one database, with together= of build_databases()"


@register(Tags.models)
def check_crossing(**_kwargs: Any) -> list[CheckMessage]:
    """W008 and E003: relations into another database, one message an app."""
    found: list[CheckMessage] = []
    for label, relations in by_app(crossing_relations()).items():
        if working := [item for item in relations if not item.obstacle]:
            found.append(_warning(label, working))
        found += [_error(item) for item in relations if item.obstacle]
    return found


@register(Tags.models)
def check_generic(**_kwargs: Any) -> list[CheckMessage]:
    """W009: generic foreign keys in another database than content types."""
    found: dict[str, list[str]] = {}
    for model, name in generic_foreign_keys():
        found.setdefault(label_of(model), []).append(f"{model._meta.label}.{name}")
    return [
        Warning(
            f"Generic foreign keys of {label!r} are in another database than the content types:"
            f" {', '.join(names)}. No database checks them.",
            hint="Content types and objects are looked up where they live. A filter across, such"
            " as content_type__model=…, cannot work: filter by content_type.",
            obj=apps.get_app_config(label),
            id="appdb_router.W009",
        )
        for label, names in found.items()
    ]


@register(Tags.admin)
def check_admin(**_kwargs: Any) -> list[CheckMessage]:
    """E004: the admin would search, sort or filter by a column of another database."""
    return [
        Error(
            f"{join}, a column in another database, and no query can join the two.",
            hint="Leave it out, search for the other objects in their own admin, or override"
            f" get_search_results() or get_queryset() with fetch_ids(). {_TOGETHER}.",
            obj=join.owner,
            id="appdb_router.E004",
        )
        for join in admin_joins()
    ]


@register(Tags.models)
def check_ordering(**_kwargs: Any) -> list[CheckMessage]:
    """E005: a model is ordered by a column of another database, wherever it is asked for."""
    return [
        Error(
            f"{join}, a column in another database, so every query fails that is not sorted"
            " otherwise.",
            hint="Order by a column of this database, such as that of the relation itself, or sort"
            f" in Python. {_TOGETHER}.",
            obj=join.owner,
            id="appdb_router.E005",
        )
        for join in ordering_joins()
    ]


@register(Tags.admin)
def check_columns(**_kwargs: Any) -> list[CheckMessage]:
    """W010: a column of the admin would be sorted in another database."""
    return [
        Warning(
            f"{join}, a column in another database, by which no query can sort when the column is"
            " clicked.",
            hint="Leave it out of sortable_by, or give it a column of this database to sort by,"
            " with @admin.display(ordering=…).",
            obj=join.owner,
            id="appdb_router.W010",
        )
        for join in column_joins()
    ]


def _warning(label: str, relations: list[CrossingRelation]) -> CheckMessage:
    targets = sorted({home_of(item.target) for item in relations})
    return Warning(
        f"Relations of {label!r} lead to other databases ({', '.join(map(repr, targets))}), which"
        f" check no foreign key: {'; '.join(sorted(map(str, relations)))}.",
        hint="Reading, writing and deleting work across, joins do not; 'manage.py db_cascade"
        f" --scan' finds rows that refer to nothing. {_TOGETHER}, if you need joins.",
        obj=apps.get_app_config(label),
        id="appdb_router.W008",
    )


def _error(relation: CrossingRelation) -> CheckMessage:
    return Error(
        f"{relation}, from {home_of(relation.source)!r} to {home_of(relation.target)!r}, cannot"
        f" work: {relation.obstacle}.",
        hint=f"{_TOGETHER}.",
        obj=relation.field,
        id="appdb_router.E003",
    )
