"""The look at the finished databases that ends an initialisation."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..topology import Topology
from .checking import Finding, Kind, examine
from .initialising import Outcome
from .looking import Look

__all__ = ["conclude"]


def conclude(
    topology: Topology, outcomes: Iterable[Outcome], *, allow_empty: bool = False
) -> tuple[list[Outcome], list[Finding]]:
    """Return ``outcomes`` as they are after a last look, and what that look found.

    It completes the verification of each migrated database with what only several databases
    together show: rows of an app that were left behind in another one, unless ``allow_empty``, and
    two names for one database. What else was found makes no outcome an error.
    """
    results = {item.alias: item for item in outcomes}
    ready = {alias for alias, item in results.items() if not item.error}
    labels = {label for label, alias in topology.routes.items() if alias in ready}
    # A database that failed is not looked at again: its outcome says what is wrong.
    others = [item.alias for item in topology.canonical_databases()]
    aliases = [alias for alias in others if alias in ready or alias not in results]
    found = [
        finding
        for finding in examine(aliases, labels, _known(results.values()))
        if not (allow_empty and finding.kind is Kind.LEFT_BEHIND)
    ]
    for finding in found:
        if finding.alias in ready and not finding.kind.is_warning:
            earlier = results[finding.alias]
            results[finding.alias] = replace(
                earlier,
                error=" ".join(filter(None, (earlier.error, finding.message))),
                exit_code=min(earlier.exit_code or finding.kind.exit_code, finding.kind.exit_code),
            )
    return list(results.values()), found


def _known(outcomes: Collection[Outcome]) -> dict[str, Look]:
    """Return the looks that are still good.

    What was seen before the first database was migrated is not: migrations may write elsewhere.
    """
    nothing_done = all(item.is_unchanged for item in outcomes)
    return {
        item.alias: item.look
        for item in outcomes
        if item.look and (nothing_done or not item.is_unchanged)
    }
