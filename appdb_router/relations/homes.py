"""Where models live, and which relations lead from one physical database to another."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from django.db.models import Model
from django.db.models.fields.related import RelatedField
from django.db.models.fields.reverse_related import ForeignObjectRel

from ..moves.gate import current_alias, seen_alias, seen_homes
from ..topology import Topology, get_topology, label_of

# Its own tables are needed beside the data of every physical database.
OWN_LABEL = "appdb_router"

# Tells the canonical alias of the database that has the table of a model.
Home = Callable[[type[Model]], str]


def home_of(model: type[Model]) -> str:
    """Return the canonical alias of the database that has the table of ``model``.

    What belongs to no installed app, such as a model of a removed app in an old migration, lives on
    the default. An app in a move is where this process, or the open transaction, has seen it last.
    """
    return seen_alias(label_of(model))


def asked_home_of(model: type[Model]) -> str:
    """Return what ``home_of`` does, for a query that is about to be sent.

    The source of an app in a move is asked, as the router does it.
    """
    move = get_topology().moves.get(label_of(model))
    return home_of(model) if move is None or move.is_finalized else current_alias(move)


def homes_in(topology: Topology) -> Home:
    """Return what ``home_of`` would be if ``topology`` were in effect."""
    return lambda model: topology.routes.get(label_of(model), "default")


def is_everywhere(model: type[Model]) -> bool:
    """Tell whether ``model`` is this package's own, with a table in every database."""
    return label_of(model) == OWN_LABEL


def canonical(alias: str) -> str:
    """Return the alias that stands for the physical database of ``alias``."""
    return get_topology().canonical_of(alias)


def is_routed(alias: str) -> bool:
    """Tell whether ``alias`` is one of this package's, rather than added to DATABASES by hand."""
    return alias in get_topology().canonical_aliases


def at_home(model: type[Model], alias: str | None) -> str | None:
    """Return ``alias``, or the home of ``model`` if ``alias`` is another routed database."""
    if alias is None or not is_routed(alias):
        return alias
    home = asked_home_of(model)
    return alias if canonical(alias) == home else home


def is_at_home(instance: Model) -> bool:
    """Tell whether ``instance`` was loaded from the database that its model lives in.

    One that was loaded before its app has moved is at home in the other one, too.
    """
    alias = instance._state.db
    if alias is None or not is_routed(alias):
        return True
    return get_topology().has_tables(label_of(instance.__class__), alias)


def related_home(related_model: type[Model], objects: Any, using: str) -> str:
    """Return where those of ``related_model`` are that belong to ``objects``, found on ``using``.

    What belongs to rows that stand in a database which is not theirs, stands there too.
    """
    first = next(iter(objects), None)
    if first is not None and not is_at_home(first):
        return using
    return at_home(related_model, using) or using


class PerTopology:
    """A function of a model, computed once as long as no other topology takes effect."""

    def __init__(self, function: Callable[[type[Model]], Any]) -> None:
        self._function = function
        self._known: tuple[Topology | None, tuple[str, ...], WeakKeyDictionary[type[Model], Any]]
        self._known = (None, (), WeakKeyDictionary())

    def __call__(self, model: type[Model]) -> Any:
        """Return what the function returns for ``model``."""
        topology, (known_topology, known_homes, known) = get_topology(), self._known
        homes = seen_homes() if topology.moves else ()
        if topology is not known_topology or homes != known_homes:
            # Weak: the models that migrations make up for each state come and go.
            known = WeakKeyDictionary()
            self._known = (topology, homes, known)
        try:
            return known[model]
        except KeyError:
            return known.setdefault(model, self._function(model))


def is_reverse(relation: Any) -> bool:
    """Tell whether ``relation`` is declared by the model that it leads to.

    That it has no column says less: a ``ForeignObject`` has none either.
    """
    return isinstance(relation, ForeignObjectRel)


def is_crossing(field: Any) -> bool:
    """Tell whether a relation, forward or reverse, leads to a model in another database.

    It is for a query on ``field.model``, of which the router has asked where that is.
    """
    return home_of(field.model) != asked_home_of_other(field.model, field.related_model)


def asked_home_of_other(model: type[Model], other: type[Model]) -> str:
    """Return where ``other`` lives, for a query on ``model``, of which that is known."""
    moves = get_topology().moves
    is_known = moves.get(label_of(model)) is moves.get(label_of(other))
    return home_of(other) if is_known else asked_home_of(other)


# Asked at each assignment across databases, and the fields of a model do not change. Bounded: the
# models that migrations make up for each state would stay for ever.
@lru_cache(maxsize=4096)
def are_related(left: type[Model], right: type[Model]) -> bool:
    """Tell whether a field of one of the two models, a proxy's included, points at the other."""
    return _points_at(left, right) or _points_at(right, left)


def _points_at(source: type[Model], target: type[Model]) -> bool:
    fields = (*source._meta.concrete_fields, *source._meta.many_to_many)
    return any(isinstance(field, RelatedField) and _leads_to(field, target) for field in fields)


def _leads_to(field: Any, target: type[Model]) -> bool:
    related = field.related_model._meta.concrete_model or field.related_model
    return issubclass(target, related)
