"""Which apps are so tied that they should go together."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from django.conf import settings
from django.db.models import Model

from ..relations.auditing import CrossingRelation
from ..relations.option_joins import OptionJoin
from ..topology import Topology, label_of
from .reaching import Statement

__all__ = ["Tie"]

# So many relations are a model in two halves.
MANY_RELATIONS = 5


@dataclass(frozen=True)
class Tie:
    """Two apps, or groups by their leaders, that should go together, and why."""

    labels: tuple[str, str]
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the tie as ``db_plan --format json`` shows it."""
        return {"labels": list(self.labels), "reasons": list(self.reasons)}


def find_ties(
    topology: Topology,
    relations: Collection[CrossingRelation],
    joins: Iterable[OptionJoin],
    statements: Iterable[Statement],
) -> tuple[Tie, ...]:
    """Return the apps that are tied, by what would cross in ``topology``.

    Two are if a relation between them cannot work; if each has a relation to the other; or, unless
    one of them is with the users, if the admin of one would join the other, if raw SQL brings their
    tables together, or if there are ``MANY_RELATIONS`` between them.
    """
    reasons = _Reasons(topology)
    for relation in relations:
        if relation.obstacle:
            for model in relation.models:
                reason = f"{relation} cannot work"
                reasons.add(label_of(relation.source), label_of(model), reason, with_users=True)
    for join in joins:
        reasons.add(label_of(join.model), label_of(join.target), str(join))
    for statement in statements:
        for label, other in combinations(sorted(statement.labels), 2):
            reasons.add(label, other, f"{statement.path}:{statement.line} joins their tables")
    _add_by_number(reasons, relations, topology)
    return reasons.ties()


class _Reasons:
    """Why apps are tied, by the two leaders; one database has no ties."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, label: str, other: str, reason: str, *, with_users: bool = False) -> None:
        """Add ``reason``, which counts between any app and the users only ``with_users``.

        Every app refers to them, in its admin too, and all would have to live in one database.
        """
        if self._topology.alias_of(label) == self._topology.alias_of(other):
            return
        first, second = sorted(self._topology.group_of(item)[0] for item in (label, other))
        if with_users or self._topology.core_label not in (first, second):
            found = self._found.setdefault((first, second), [])
            if reason not in found:
                found.append(reason)

    def ties(self) -> tuple[Tie, ...]:
        return tuple(Tie(pair, tuple(found)) for pair, found in sorted(self._found.items()))


def _add_by_number(
    reasons: _Reasons, relations: Iterable[CrossingRelation], topology: Topology
) -> None:
    def leader(model: type[Model]) -> str:
        return topology.group_of(label_of(model))[0]

    numbers = Counter((leader(item.source), leader(item.target)) for item in relations)
    for (source, target), number in list(numbers.items()):
        if numbers[target, source]:
            reasons.add(source, target, "each has relations to the other", with_users=True)
        both = number + numbers[target, source]
        if both >= MANY_RELATIONS:
            reasons.add(source, target, f"{both} relations between them")


def together(topology: Topology, ties: Iterable[Tie]) -> dict[str, list[str]]:
    """Return the value of ``together=`` with which tied apps share a database.

    It has the groups that there are already, too.
    """
    leaders = {label: topology.group_of(label)[0] for label in topology.routes}
    for tie in ties:
        first, second = (leaders[label] for label in tie.labels)
        # The group of the users cannot have another leader.
        leader, other = (first, second) if second != topology.core_label else (second, first)
        leaders = {label: leader if found == other else found for label, found in leaders.items()}
    groups: dict[str, list[str]] = {}
    for label, leader in leaders.items():
        if label != leader and label not in _core(topology):
            groups.setdefault(leader, []).append(label)
    return {leader: sorted(groups[leader]) for leader in sorted(groups)}


def _core(topology: Topology) -> set[str]:
    """Return the labels that are with the users without being told to."""
    if topology.core_label is None:
        return set()
    user_label = settings.AUTH_USER_MODEL.partition(".")[0]
    return {"auth", "contenttypes", "admin", user_label}
