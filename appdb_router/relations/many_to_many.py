"""Many-to-many relations whose two sides live in different databases: two queries, no join.

The table between them lives with one side. From the other side Django's own code works, since
nothing it joins is elsewhere; from this side the identifiers are read first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import NotSupportedError
from django.db.models import Expression, Field, Model, QuerySet

from .homes import asked_home_of, at_home, home_of


class LinkedValues(Expression):
    """The values by which one object is linked, read when the query that has them is compiled.

    Prefetching makes a queryset for each object and evaluates none of them; read earlier, each
    would cost a query.
    """

    def __init__(self, source: "Field[Any, Any]", target: "Field[Any, Any]", value: Any) -> None:
        super().__init__()
        self.source = source
        self.target = target
        self.value = value

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:  # noqa: ARG002
        """Return the values in brackets, as the right side of ``IN``."""
        links = _links(self.source, self.target).filter(**{self.source.name: self.value})
        values = set(links.values_list(self.target.attname, flat=True))
        if not values:
            raise EmptyResultSet
        field: Any = self.target
        params = tuple(field.get_db_prep_value(value, connection) for value in values)
        return f"({', '.join(['%s'] * len(params))})", params


def _links(source: "Field[Any, Any]", target: "Field[Any, Any]") -> "QuerySet[Any]":
    """Return the rows of the table between that have a target, on its own database."""
    through: Any = source.model
    rows: QuerySet[Any] = through._base_manager.using(asked_home_of(through))
    return rows.filter(**{f"{target.name}__isnull": False})


def many_to_many_manager(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what replaces ``create_forward_many_to_many_manager``."""

    def replacement(superclass: Any, rel: Any, reverse: bool) -> Any:
        manager = original(superclass, rel, reverse)
        return type(manager.__name__, (_CrossingManager, manager), {"_superclass": superclass})

    return replacement


class _CrossingManager:
    """What a related manager does differently where its relation crosses.

    It stands in front of a class that Django makes for each relation, hence the ``Any``.
    """

    model: type[Model]
    through: type[Model]
    instance: Model
    source_field: Any
    target_field: Any
    prefetch_cache_name: str
    related_val: tuple[Any, ...]
    _db: str | None
    _superclass: Any

    @property
    def _is_away(self) -> bool:
        """Whether the objects are in another database than the table between."""
        return asked_home_of(self.model) != asked_home_of(self.through)

    def _at_home(self, alias: str | None) -> str | None:
        """Return where to look for the objects when Django says ``alias``.

        It says the alias of the table between, or that of the instance.
        """
        homes = {home_of(item) for item in (self.model, self.through, self.instance.__class__)}
        return alias if len(homes) == 1 else at_home(self.model, alias)

    @property
    def _target_name(self) -> str:
        name: str = self.target_field.target_field.attname
        return name

    def using(self, alias: str | None) -> Any:
        """Return the related objects, from the database that has them."""
        stock: Any = super()
        return stock.using(self._at_home(alias))

    def db_manager(self, using: str | None = None, hints: Any = None) -> Any:
        """Return a manager for the database that has the objects."""
        stock: Any = super()
        return stock.db_manager(self._at_home(using), hints)

    def _apply_rel_filters(self, queryset: Any) -> Any:
        stock: Any = super()
        if not self._is_away:
            return stock._apply_rel_filters(queryset)
        queryset._add_hints(instance=self.instance)
        if self._db:
            queryset = queryset.using(self._at_home(self._db))
        if mode := getattr(self.instance._state, "fetch_mode", None):
            queryset = queryset.fetch_mode(mode)
        values = LinkedValues(self.source_field, self.target_field, self.related_val[0])
        queryset._defer_next_filter = True
        return queryset.filter(**{f"{self._target_name}__in": values})

    @property
    def constrained_target(self) -> Any:
        """The table between, where it may be counted in place of the objects: not across."""
        stock: Any = super()
        return None if self._is_away else stock.constrained_target

    def _build_remove_filters(self, removed_vals: Any) -> Any:
        stock: Any = super()
        # One without filters means all, and nobody asks for it.
        has_filters = getattr(removed_vals, "_has_filters", bool)()
        if self._is_away and has_filters:
            objects = removed_vals.using(asked_home_of(self.model))
            removed_vals = list(objects.values_list(self._target_name, flat=True))
        return stock._build_remove_filters(removed_vals)

    def get_prefetch_querysets(
        self, instances: list[Model], querysets: list[Any] | None = None
    ) -> tuple[Any, ...]:
        """Return the objects of all ``instances``, and how they belong to them."""
        stock: Any = super()
        if not self._is_away:
            found: tuple[Any, ...] = stock.get_prefetch_querysets(instances, querysets)
            return found
        queryset = querysets[0] if querysets else self._superclass.get_queryset(self)
        if queryset.query.is_sliced:
            raise NotSupportedError(
                f"The queryset that prefetches {self.prefetch_cache_name!r} has a limit, which"
                f" would be one for each object: {self.model._meta.label} and the table between"
                " live in different databases. Take the slice in Python."
            )
        queryset._add_hints(instance=instances[0])
        queryset = queryset.using(self._at_home(queryset._db or self._db))
        owners = self._owners(instances)
        queryset = queryset.filter(**{f"{self._target_name}__in": list(owners)})
        queryset._iterable_class = _repeating(queryset._iterable_class, self._target_name, owners)
        value_of = self.source_field.get_foreign_related_value
        return queryset, _owner_of, value_of, False, self.prefetch_cache_name, False

    def _owners(self, instances: Iterable[Model]) -> dict[Any, list[tuple[Any, ...]]]:
        """Return by the value of each object the values of the instances that it belongs to."""
        links = _links(self.source_field, self.target_field)
        links = links.filter(**{f"{self.source_field.name}__in": instances})
        owners: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
        names = (self.source_field.attname, self.target_field.attname)
        for source, target in links.values_list(*names):
            owners[target].append((source,))
        return owners


def _owner_of(found: Any) -> tuple[Any, ...]:
    owner: tuple[Any, ...] = found._appdb_router_owner
    return owner


def _repeating(iterable_class: Any, attname: str, owners: dict[Any, list[tuple[Any, ...]]]) -> Any:
    """Return a class that yields an object for each owner, as a join would."""

    def __iter__(self: Any) -> Iterator[Any]:  # noqa: N807  It becomes the method.
        for found in iterable_class.__iter__(self):
            first, *others = owners[getattr(found, attname)]
            copies = [_copy_for(found, owner) for owner in others]
            found._appdb_router_owner = first
            yield found
            yield from copies

    return type(iterable_class.__name__, (iterable_class,), {"__iter__": __iter__})


def _copy_for(found: Any, owner: tuple[Any, ...]) -> Any:
    names = [field.attname for field in found._meta.concrete_fields]
    loaded = [name for name in names if name in found.__dict__]
    copied = found.__class__.from_db(
        found._state.db, loaded, [found.__dict__[name] for name in loaded]
    )
    # What select_related and annotations added.
    copied.__dict__.update(
        {name: value for name, value in found.__dict__.items() if name not in (*names, "_state")}
    )
    copied._state.fields_cache.update(found._state.fields_cache)
    copied._appdb_router_owner = owner
    return copied
