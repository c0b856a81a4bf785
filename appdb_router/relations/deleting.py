"""Deleting objects that objects in other databases belong to.

Two databases cannot commit together. So what is asked of the others is written down beside the
deleted rows, in their transaction, and done when that has committed: killed at any moment, either
the row is there with all that belongs to it, or the note is. Only what forbids the deletion is
asked before.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.db import transaction
from django.db.models import DO_NOTHING, PROTECT, RESTRICT, Model, QuerySet
from django.db.models.deletion import get_candidate_relations_to_delete

from ..topology import get_topology, label_of
from .homes import PerTopology, canonical, home_of, is_at_home, related_home
from .pending import carry_out_soon, note

# What is settled before anything is deleted, or is not settled at all.
_ASKED_BEFORE = {DO_NOTHING, PROTECT, RESTRICT}


def related_objects(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``Collector.related_objects``: a query where the model lives."""

    def replacement(
        self: Any, related_model: type[Model], related_fields: Any, objs: Any
    ) -> "QuerySet[Any]":
        found: QuerySet[Any] = original(self, related_model, related_fields, objs)
        parent = related_fields[0].remote_field.model
        if _only_home(parent) == canonical(self.using) or _is_copy(self):
            return found
        home = related_home(related_model, objs, self.using)
        # using() copies the query, which takes a while.
        return found if home == self.using else found.using(home)

    return replacement


def delete(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``Collector.delete``."""

    def replacement(self: Any) -> Any:
        if _stays_here(self) or _is_copy(self):
            return original(self)
        elsewhere = _set_aside(self)
        notes = _notes(self)
        if not notes:
            return original(self)
        with transaction.atomic(using=self.using, savepoint=False):
            _, by_model = original(self)
            keys = [key for values, names in notes for key in note(self.using, values, names)]
        carry_out_soon(self.using, keys)
        counted = Counter(by_model) + elsewhere
        return counted.total(), dict(counted)

    return replacement


def _find_only_home(model: type[Model]) -> str | None:
    """Return where all is that a deletion of ``model`` can reach, or ``None`` if that may vary."""
    moves, home = get_topology().moves, home_of(model)
    found, left = {model}, [model]
    while left:
        model = left.pop()
        if home_of(model) != home or label_of(model) in moves:
            return None
        candidates: Iterable[Any] = get_candidate_relations_to_delete(model._meta)
        reached = {related.related_model for related in candidates} | {*model._meta.parents}
        reached |= {
            field.related_model for field in model._meta.private_fields if _has_objects(field)
        }
        left += reached - found
        found |= reached
    return home


_only_home = PerTopology(_find_only_home)


def _stays_here(collector: Any) -> bool:
    """Tell whether nothing of what is deleted can have anything in another database."""
    here = canonical(collector.using)
    return all(_only_home(model) == here for model in collector.data) and all(
        _only_home(queryset.model) == here for queryset in collector.fast_deletes
    )


def _has_objects(field: Any) -> bool:
    """Tell whether a deletion follows ``field``, as a generic relation."""
    return hasattr(field, "bulk_related_objects")


def _is_copy(collector: Any) -> bool:
    """Tell whether ``delete(using=…)`` names another database than the instance came from.

    What belongs to such a row stands beside it, if anywhere.
    """
    origin = collector.origin
    alias = origin._state.db if isinstance(origin, Model) else None
    return alias is not None and canonical(alias) != canonical(collector.using)


def _set_aside(collector: Any) -> Counter[str]:
    """Take from ``collector`` what is in other databases, and return how much by model."""
    here = canonical(collector.using)
    counted: Counter[str] = Counter()
    for model, instances in list(collector.data.items()):
        if instances and _database_of(instances, here) != here:
            counted[model._meta.label] += len(instances)
            del collector.data[model]
    fast: dict[type[Model], QuerySet[Any]] = {}
    for queryset in [item for item in collector.fast_deletes if canonical(item.db) != here]:
        collector.fast_deletes.remove(queryset)
        # Together: a row may be reached in two ways, and is deleted once.
        model = queryset.model
        fast[model] = fast[model] | queryset if model in fast else queryset
    counted.update({model._meta.label: found.count() for model, found in fast.items()})
    for key, groups in list(collector.field_updates.items()):
        collector.field_updates[key] = [item for item in groups if _database_of(item, here) == here]
        if not collector.field_updates[key]:
            del collector.field_updates[key]
    if counted:
        left = set(collector.data)
        for model, needed in collector.dependencies.items():
            collector.dependencies[model] = {item for item in needed if item in left}
    return +counted


def _database_of(objects: Any, here: str) -> str:
    """Return the alias that stands for the database of ``objects``, all of one model.

    What was never loaded is here: that it is deleted is all that is known of it.
    """
    if isinstance(objects, QuerySet):
        return canonical(objects.db)
    first = next(iter(objects), None)
    alias = first._state.db if first is not None else None
    return here if alias is None else canonical(alias)


def _notes(collector: Any) -> list[tuple[list[Any], list[str]]]:
    """Return what is deleted here, by its values, each with the relations of other databases."""
    found = []
    for model, instances in collector.data.items():
        here = [instance for instance in instances if is_at_home(instance)]
        if not here:
            continue
        names: dict[str, list[str]] = {}
        for name, attname, owner in _relations_away(model):
            # Of a child that keeps its parents, what belongs to the parents stays.
            if owner is model or collector.data.get(owner):
                names.setdefault(attname, []).append(name)
        for attname, relations in names.items():
            found.append((list({getattr(instance, attname) for instance in here}), relations))
    return found


def _find_relations_away(model: type[Model]) -> list[tuple[str, str, Any]]:
    """Return the relations of other databases with ``model`` that a deletion has to follow.

    Each by its name, the attribute that is referred to, and the model that has it.
    """
    home = home_of(model)
    found = []
    candidates: Iterable[Any] = get_candidate_relations_to_delete(model._meta)
    for related in candidates:
        field = related.field
        on_delete = field.remote_field.on_delete
        if home_of(field.model) != home and on_delete not in _ASKED_BEFORE:
            (target,) = field.foreign_related_fields
            found.append((str(field), target.attname, related.model._meta.concrete_model))
    for relation in model._meta.private_fields:
        if _has_objects(relation) and home_of(relation.related_model) != home:
            concrete = model._meta.concrete_model
            found.append((f"{model._meta.label}.{relation.name}", model._meta.pk.attname, concrete))
    return found


_relations_away = PerTopology(_find_relations_away)
