"""``select_related`` over a relation into another database: one more query for the whole result.

Django loads related objects by a join. The part of each path that is here still is; at the first
step into another database the rest is loaded by a query there, as ``prefetch_related`` does.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Prefetch, QuerySet, prefetch_related_objects

from .homes import is_crossing, is_reverse

# What Django calls ``query.select_related``: the names asked for, or all that cannot be null.
Requested = dict[str, Any] | bool


@dataclass(frozen=True)
class Crossing:
    """The first step of a path that leads into another database, and what is asked of its target.

    ``path`` has the names of attributes, ``lookup`` those of look-ups; the two differ for a reverse
    relation. ``depth`` is how far Django would go on where nothing is named.
    """

    path: str
    lookup: str
    target: type[Model]
    requested: Requested
    depth: int

    def prefetch(self, query: Any) -> "Prefetch[Any]":
        """Return what loads the target, and from there on what is at its side, for ``query``."""
        queryset: QuerySet[Any] = self.target._base_manager.all()
        queryset.query.select_related = self.requested
        queryset.query.max_depth = self.depth
        names, is_deferred = query.deferred_loading
        prefix = f"{self.lookup}__"
        below = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        if below:
            queryset = queryset.defer(*below) if is_deferred else queryset.only(*below)
        return Prefetch(self.path, queryset)


def crossings_of(query: Any) -> list[Crossing]:
    """Return where the paths of ``query.select_related``, which has some, leave the database."""
    return list(_crossings(query.model, query.select_related, query.max_depth, "", ""))


def _crossings(
    model: type[Model], requested: Requested, depth: int, path: str, lookup: str
) -> Iterator[Crossing]:
    for relation, below in _steps(model, requested, depth):
        here = path + (relation.get_accessor_name() if is_reverse(relation) else relation.name)
        name = lookup + relation.name
        target = relation.related_model
        if is_crossing(relation):
            yield Crossing(here, name, target, below, depth - 1)
        elif below:
            yield from _crossings(target, below, depth - 1, f"{here}__", f"{name}__")


def _steps(model: type[Model], requested: Requested, depth: int) -> Iterator[tuple[Any, Requested]]:
    """Yield the relations that Django follows from ``model``, and what is asked behind each."""
    if isinstance(requested, dict):
        for name, below in requested.items():
            relation = _relation(model, name)
            if relation is not None:
                yield relation, below
    else:
        for field in model._meta.fields:
            # As Django decides it where nothing is named.
            if field.remote_field and not field.remote_field.parent_link and not field.null:
                yield field, depth > 1


def _relation(model: type[Model], name: str) -> Any:
    """Return the relation to one object; filtered relations and errors are Django's to handle."""
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    leads_to_one = field.is_relation and (field.many_to_one or field.one_to_one)
    # A generic foreign key has no related model.
    return field if leads_to_one and field.related_model else None


def model_iterable(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return what replaces ``ModelIterable.__iter__``."""

    def replacement(self: Any) -> Iterator[Any]:
        query = self.queryset.query
        # Asked for every query of objects, so no call where nothing is selected.
        crossings = crossings_of(query) if query.select_related else ()
        rows = original(self)
        if not crossings:
            return rows
        prefetches = [crossing.prefetch(query) for crossing in crossings]
        return _with_related(rows, prefetches, self.chunk_size if self.chunked_fetch else None)

    return replacement


def _with_related(
    rows: Iterator[Any], prefetches: Iterable["Prefetch[Any]"], size: int | None
) -> Iterator[Any]:
    while batch := list(islice(rows, size)):
        prefetch_related_objects(batch, *prefetches)
        yield from batch


def descend(original: Callable[..., bool]) -> Callable[..., bool]:
    """Return what replaces ``select_related_descend``: no join into another database."""

    def replacement(field: Any, *args: Any, **kwargs: Any) -> bool:
        return original(field, *args, **kwargs) and not is_crossing(field)

    return replacement


def related_selections(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``SQLCompiler.get_related_selections``.

    A reverse relation that is not descended would be an unknown name there.
    """

    def replacement(
        self: Any,
        select: Any,
        select_mask: Any,
        opts: Any = None,
        root_alias: Any = None,
        cur_depth: int = 1,
        requested: Any = None,
        restricted: Any = None,
    ) -> Any:
        if requested is None and isinstance(self.query.select_related, dict):
            requested, restricted = self.query.select_related, True
        if requested:
            model = (opts or self.query.get_meta()).model
            requested = {
                name: below for name, below in requested.items() if not _is_away(model, name)
            }
        return original(
            self, select, select_mask, opts, root_alias, cur_depth, requested, restricted
        )

    return replacement


def _is_away(model: type[Model], name: str) -> bool:
    relation = _relation(model, name)
    return relation is not None and is_reverse(relation) and is_crossing(relation)
