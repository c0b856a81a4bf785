"""The connections of databases that are not there yet."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from .budget import Budget, Demand, Limit, ServerBudget, Verdict, judge
from .limits import unasked


def with_planned(budget: Budget, planned: Mapping[str, str]) -> Budget:
    """Return ``budget`` with new databases, each on the server and with the settings of another.

    ``planned`` has that other alias for each new one. Where nothing is counted, as for SQLite,
    nothing is added.
    """
    return replace(budget, servers=tuple(_extended(server, planned) for server in budget.servers))


def _extended(server: ServerBudget, planned: Mapping[str, str]) -> ServerBudget:
    present = {demand.alias: demand for demand in server.demands}
    added = {
        alias: replace(present[source], alias=alias)
        for alias, source in planned.items()
        if source in present
    }
    return replace(
        server,
        demands=(*server.demands, *added.values()),
        limits=tuple(
            _raised(limit, [added[alias] for alias in added if _counts(limit, planned[alias])])
            for limit in server.limits
        ),
    )


def _counts(limit: Limit, source: str) -> bool:
    """Tell whether a database beside ``source`` has a share in ``limit``: a new one has no own."""
    return limit.kind != "database" and unasked(source).names[limit.kind] == limit.name


def _raised(limit: Limit, demands: Collection[Demand]) -> Limit:
    own = sum(demand.connections for demand in demands)
    both = own + sum(demand.async_connections for demand in demands)
    raised = replace(limit, connections=limit.connections + own, with_async=limit.with_async + both)
    if limit.verdict is Verdict.POOLER:
        return raised
    return replace(
        raised,
        verdict=judge(raised.connections, limit.maximum),
        verdict_with_async=judge(raised.with_async, limit.maximum),
    )
