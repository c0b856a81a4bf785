"""What it would mean to give apps databases of their own, before anyone does."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.apps import apps

from ..relations.homes import OWN_LABEL, is_everywhere
from ..topology import Topology, label_of
from .asking import TIMEOUT
from .budget import Budget, connection_budget
from .planned_budget import with_planned
from .reaching import Reach, Statement
from .splitting import Crossing, Split
from .tying import Tie
from .weighing import Weight, weigh_all

__all__ = ["Part", "Plan", "plan_split"]


@dataclass(frozen=True)
class Part:
    """The apps ``labels``, which have, or would have, the database ``alias`` of their own.

    ``source`` is the alias that they are on now. ``weight`` is what there is to move, which is
    nothing if they have it.
    """

    alias: str
    labels: tuple[str, ...]
    source: str
    weight: Weight

    @property
    def is_there(self) -> bool:
        """Whether the apps have this database already."""
        return self.alias == self.source

    def as_dict(self) -> dict[str, Any]:
        """Return the part as ``db_plan --format json`` shows it."""
        return {
            "alias": self.alias,
            "apps": list(self.labels),
            "source": self.source,
            "is_there": self.is_there,
            **self.weight.as_dict(),
        }


@dataclass(frozen=True)
class Plan:
    """What splitting apps off would mean.

    ``routes`` has the alias of each app behind the split. By the label of an app,
    ``generic_foreign_keys`` are those in another database than the content types, and
    ``admin_options`` those that could not work. ``statements`` are raw SQL whose tables would be
    elsewhere, and ``unread`` is raw SQL that the source does not tell in full; ``unreadable`` are
    modules that are none of Python. ``together`` is the value for ``build_databases`` that keeps
    tied apps in one database.
    """

    routes: Mapping[str, str]
    parts: tuple[Part, ...]
    crossings: tuple[Crossing, ...]
    generic_foreign_keys: Mapping[str, list[str]]
    admin_options: Mapping[str, list[str]]
    statements: tuple[Statement, ...]
    unread: tuple[Statement, ...]
    unreadable: tuple[str, ...]
    reaches: tuple[Reach, ...]
    ties: tuple[Tie, ...]
    together: Mapping[str, list[str]]
    budget: Budget

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as ``db_plan --format json`` shows it."""
        return {
            "databases": [part.as_dict() for part in self.parts],
            "relations": [asdict(item) for item in self.crossings],
            "generic_foreign_keys": dict(self.generic_foreign_keys),
            "admin_options": dict(self.admin_options),
            "statements": [item.as_dict() for item in self.statements],
            "unread": [f"{item.path}:{item.line}" for item in self.unread],
            "unreadable": list(self.unreadable),
            "migrations": [item.as_dict() for item in self.reaches],
            "ties": [item.as_dict() for item in self.ties],
            "together": dict(self.together),
            "connections": self.budget.as_dict(),
        }


def plan_split(
    topology: Topology,
    labels: Collection[str] = (),
    *,
    workers: int = 1,
    threads: int = 1,
    timeout: int = TIMEOUT,
) -> Plan:
    """Return what it would mean if each app of ``labels``, with its group, had its own database.

    Without labels these are the apps of the project that are on the default. Databases are asked
    for rows, bytes and limits, and nothing is changed; ``timeout`` bounds connecting, in seconds.

    Raises ``UnknownLabelError`` if no such app is installed.
    """
    groups = sorted({topology.group_of(label) for label in labels or _on_default(topology)})
    split = Split(topology, groups)
    parts = _parts(topology, groups, timeout)
    sources = {part.alias: part.source for part in parts if not part.is_there}
    used = set(sources.values())
    budget = connection_budget(workers, threads, asked=used, timeout=timeout)
    return Plan(
        routes=split.routes,
        parts=parts,
        crossings=split.crossings,
        generic_foreign_keys=split.generic_foreign_keys,
        admin_options=split.admin_options,
        statements=split.statements,
        unread=split.unread,
        unreadable=split.unreadable,
        reaches=split.reaches,
        ties=split.ties,
        together=split.together,
        budget=with_planned(budget.of(used), sources),
    )


def _on_default(topology: Topology) -> list[str]:
    return [
        label
        for label in topology.local_labels
        if topology.routes[label] == "default" and label != OWN_LABEL
    ]


def _parts(
    topology: Topology, groups: Collection[tuple[str, ...]], timeout: int
) -> tuple[Part, ...]:
    tables = _tables()
    sources = {group: topology.alias_of(group[0]) for group in groups}
    wanted: dict[str, set[str]] = {}
    for group, source in sources.items():
        if source != group[0]:
            wanted.setdefault(source, set()).update(*(tables.get(label, ()) for label in group))
    weights = weigh_all(wanted, timeout=timeout)
    return tuple(
        Part(
            group[0],
            group,
            source,
            Weight()
            if source == group[0]
            else weights[source].of({name for label in group for name in tables.get(label, ())}),
        )
        for group, source in sources.items()
    )


def _tables() -> dict[str, set[str]]:
    """Return the tables of each app."""
    found: dict[str, set[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy and not is_everywhere(model):
            found.setdefault(label_of(model), set()).add(model._meta.db_table)
    return found
