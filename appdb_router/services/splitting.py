"""What would cross if apps were split off, as models, admins and source tell."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.apps import apps
from django.db.models import Model

from ..relations.auditing import CrossingRelation, crossing_relations, generic_foreign_keys
from ..relations.homes import home_of, homes_in
from ..relations.option_joins import admin_joins, ordering_joins
from ..topology import Database, Topology, label_of
from .reaching import display_path, reaches, read_source, statements
from .tying import find_ties, together

__all__ = ["Crossing"]

# What a relation across loses, and what is done instead.
_CONSEQUENCES = {
    "foreign key": (
        "its constraint, and joins",
        "a plain column with an index; select_related asks both databases, and deleting follows"
        " into the other one after its commit",
    ),
    "many-to-many": (
        "a constraint, and the join",
        "the rows of the table between are read first, then the objects",
    ),
}


@dataclass(frozen=True)
class Crossing:
    """The relation ``name`` of the app ``label`` to the model ``target`` in another database.

    ``kind`` is ``"foreign key"``, a one-to-one included, or ``"many-to-many"``. ``obstacle`` says
    why it cannot work, and is ``None`` if it does: it loses ``lost``, and ``instead`` is done.
    ``is_new`` is false if it crosses already.
    """

    label: str
    name: str
    kind: str
    target: str
    target_label: str
    obstacle: str | None
    lost: str
    instead: str
    is_new: bool


class Split:
    """What crosses because the ``groups`` of labels are split off from ``before``.

    The attributes are those of a ``Plan``.
    """

    def __init__(self, before: Topology, groups: Collection[tuple[str, ...]]) -> None:
        topology = before
        for group in groups:
            if before.alias_of(group[0]) != group[0]:
                topology = topology.with_database(Database(group[0], group, "plan", "", group[0]))
        self.routes = topology.routes
        self._home = homes_in(topology)
        self._aliases = {group[0] for group in groups}
        self._read_models()
        self._read_source(topology, {label for group in groups for label in group})
        self.ties = find_ties(topology, self._relations, self._joins, self.statements)
        self.together = together(before, self.ties) if self.ties else {}

    def _read_models(self) -> None:
        relations = crossing_relations(home=self._home)
        self._relations = [item for item in relations if self._divides(item.models)]
        joins = (*admin_joins(self._home), *ordering_joins(self._home))
        self._joins = [item for item in joins if self._divides((item.model, item.target))]
        self.crossings = tuple(map(_crossing, self._relations))
        self.admin_options = _by_label((label_of(item.model), str(item)) for item in self._joins)
        self.generic_foreign_keys = _by_label(
            (label_of(model), f"{model._meta.label}.{name}")
            for model, name in generic_foreign_keys(self._home)
            if self._divides((model, apps.get_model("contenttypes", "ContentType")))
        )

    def _read_source(self, topology: Topology, labels: Collection[str]) -> None:
        source = read_source({*topology.local_labels, *labels})
        found = list(statements(source, topology))
        self.statements = tuple(item for item in found if self._concerns(item.aliases))
        self.unread = tuple(item for item in found if not item.is_whole)
        self.unreadable = tuple(display_path(path, topology) for path in source.unreadable)
        self.reaches = tuple(
            item
            for item in reaches(source, topology)
            if self._concerns(self.routes.get(label) for label in (item.label, item.target))
        )

    def _divides(self, models: Iterable[type[Model]]) -> bool:
        return self._concerns(map(self._home, models))

    def _concerns(self, aliases: Iterable[str | None]) -> bool:
        """Tell whether ``aliases`` are several, and one of them is that of a group."""
        found = set(aliases)
        return len(found) > 1 and not found.isdisjoint(self._aliases)


def _crossing(relation: CrossingRelation) -> Crossing:
    kind = "many-to-many" if relation.field.many_to_many else "foreign key"
    return Crossing(
        label_of(relation.source),
        f"{relation.source._meta.label}.{relation.field.name}",
        kind,
        relation.target._meta.label,
        label_of(relation.target),
        relation.obstacle,
        *_CONSEQUENCES[kind],
        is_new=len(set(map(home_of, relation.models))) == 1,
    )


def _by_label(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for label, text in pairs:
        found.setdefault(label, []).append(text)
    return {label: sorted(found[label]) for label in sorted(found)}
