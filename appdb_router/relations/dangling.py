"""Searching a project for rows that refer to rows of another database which are not there."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.apps import apps

from .auditing import crossing_relations
from .homes import asked_home_of

_BATCH = 1000
_SHOWN = 5


@dataclass(frozen=True)
class Dangling:
    """``rows`` of a relation's model refer to nothing; ``keys`` are the first of their own keys."""

    relation: str
    alias: str
    rows: int
    keys: tuple[Any, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as ``--format json`` shows it."""
        keys = [str(key) for key in self.keys]
        return {"relation": self.relation, "alias": self.alias, "rows": self.rows, "keys": keys}


def find_dangling() -> Iterator[Dangling]:
    """Yield the crossing relations that have rows which refer to nothing, reading every row's key.

    Nothing is changed.
    """
    for relation in crossing_relations(apps.get_models(include_auto_created=True)):
        if not relation.field.many_to_many and not relation.obstacle:
            found = _search(relation.field)
            if found.rows:
                yield found


def _search(field: Any) -> Dangling:
    alias = asked_home_of(field.model)
    rows = field.model._base_manager.using(alias).exclude(**{f"{field.name}__isnull": True})
    referred = rows.order_by().values_list(field.attname, flat=True).distinct()
    values = iter(referred.iterator(chunk_size=_BATCH))
    count = 0
    keys: list[Any] = []
    while batch := list(islice(values, _BATCH)):
        if missing := _missing(field, batch):
            orphans = rows.filter(**{f"{field.name}__in": missing})
            count += orphans.count()
            keys += orphans.order_by("pk").values_list("pk", flat=True)[: _SHOWN - len(keys)]
    return Dangling(str(field), alias, count, tuple(keys))


def _missing(field: Any, values: list[Any]) -> list[Any]:
    model, target = field.related_model, field.target_field
    found = model._base_manager.using(asked_home_of(model)).filter(**{f"{target.name}__in": values})
    there = set(found.values_list(target.attname, flat=True))
    return [value for value in values if value not in there]
