"""How many connections the configuration may open, and how many the servers allow."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..async_pools import max_size, pool_limit
from ..display import SERVER_OPTIONS, display_server
from ..topology import get_topology
from .asking import TIMEOUT, ask_all, no_answer
from .limits import VENDORS, Answer, Identity, ask, count_open, unasked

__all__ = [
    "Budget",
    "Demand",
    "Limit",
    "ServerBudget",
    "Verdict",
    "connection_budget",
    "with_open_connections",
]


class Verdict(StrEnum):
    """How what may be opened compares with what is allowed."""

    FINE = "fine"
    # During a release, old and new processes run side by side.
    ABOVE_HALF = "above half"
    TOO_MANY = "too many"
    # What counts is how many the pooler allows, and opens itself.
    POOLER = "behind a pooler"


@dataclass(frozen=True)
class Demand:
    """How many connections to the database of ``alias`` may be open at a time.

    ``per_process`` are Django's own; ``async_per_process`` come on top of them if asynchronous
    sessions are used. The other two are those of all processes.
    """

    alias: str
    per_process: int
    async_per_process: int
    connections: int
    async_connections: int


@dataclass(frozen=True)
class Limit:
    """How many connections are allowed, and how many that count against it may be opened.

    ``kind`` is ``"server"``, ``"role"`` or ``"database"``, and ``name`` that of the role or the
    database. ``with_async`` are ``connections`` and those of asynchronous sessions.
    """

    kind: str
    name: str
    maximum: int
    connections: int
    with_async: int
    verdict: Verdict
    verdict_with_async: Verdict

    @property
    def is_excessive(self) -> bool:
        """Whether more than half of what is allowed may be opened."""
        return self.verdict in (Verdict.ABOVE_HALF, Verdict.TOO_MANY)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" if self.name else self.kind


@dataclass(frozen=True)
class ServerBudget:
    """What may be opened to one server, and what it allows.

    ``addresses`` are those that the settings have for it, ``errors`` says by alias why it could not
    be asked, and ``open_now`` is ``None`` where it was not, or does not tell.
    """

    addresses: tuple[str, ...]
    demands: tuple[Demand, ...]
    limits: tuple[Limit, ...]
    errors: dict[str, str]
    is_pooler: bool
    open_now: int | None = None

    def describe(self, limit: Limit) -> str:
        """Return what may be opened and what is allowed, as a sentence."""
        which = f" for the {limit}" if limit.name else ""
        return (
            f"The configuration may open {limit.connections} connections{which} to"
            f" {', '.join(self.addresses)}, which allows {limit.maximum}."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the budget as ``db_list --format json`` shows it."""
        return {
            "addresses": list(self.addresses),
            "databases": [asdict(demand) for demand in self.demands],
            "limits": [asdict(limit) for limit in self.limits],
            "is_pooler": self.is_pooler,
            "open_now": self.open_now,
            "errors": self.errors,
        }


@dataclass(frozen=True)
class Budget:
    """The connections that ``workers`` processes with ``threads`` threads each may open.

    ``not_counted`` says by alias why a database is not part of it.
    """

    workers: int
    threads: int
    servers: tuple[ServerBudget, ...]
    not_counted: dict[str, str]

    def of(self, aliases: Collection[str]) -> "Budget":
        """Return the budget of the servers that hold ``aliases``, and of nothing else."""
        return replace(
            self,
            servers=tuple(
                server
                for server in self.servers
                if any(demand.alias in aliases for demand in server.demands)
            ),
            not_counted={
                alias: reason for alias, reason in self.not_counted.items() if alias in aliases
            },
        )

    def problems(self) -> list[str]:
        """Return what is wrong, as sentences: servers that were not asked, or allow too little."""
        found = []
        errors = [alias for server in self.servers for alias in server.errors]
        if errors:
            found.append(f"The limits of {', '.join(errors)} could not be asked.")
        return found + [
            server.describe(limit)
            for server in self.servers
            for limit in server.limits
            if limit.verdict is Verdict.TOO_MANY
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the budget as ``db_list --format json`` shows it."""
        return {
            "workers": self.workers,
            "threads": self.threads,
            "servers": [server.as_dict() for server in self.servers],
            "not_counted": self.not_counted,
        }


def connection_budget(
    workers: int, threads: int, *, asked: Collection[str] | None = None, timeout: int = TIMEOUT
) -> Budget:
    """Return what the configuration may open, and what the servers allow.

    A shared alias opens nothing: queries use its canonical one. The servers of all aliases are
    asked, or of those in ``asked``; the others count by their address. ``timeout`` bounds
    connecting, in seconds.
    """
    canonical = get_topology().canonical_aliases
    aliases = sorted(
        (alias for alias in connections.settings if canonical.get(alias, alias) == alias),
        key=lambda alias: (alias == "default", alias),
    )
    not_counted = {alias: reason for alias in aliases if (reason := _reason_not_to_count(alias))}
    answers = {alias: unasked(alias) for alias in aliases if alias not in not_counted}
    chosen = set(answers)
    if asked is not None:
        chosen &= {canonical.get(alias, alias) for alias in asked}
    found = ask_all(partial(ask, timeout=timeout), chosen, timeout=timeout, silent=None)
    for alias, answer in found.items():
        answers[alias] = answer or unasked(alias, no_answer(timeout))
    demands = {alias: _demand(alias, workers, threads) for alias in answers}
    servers = [
        _server([demands[alias] for alias in group], answers) for group in _by_server(answers)
    ]
    return Budget(workers, threads, tuple(servers), not_counted)


def with_open_connections(budget: Budget, *, timeout: int = TIMEOUT) -> Budget:
    """Return ``budget`` with the number of connections that each server has open now.

    It asks each server once more: while all are asked for their limits, that would count too.
    """
    witnesses = [
        next((demand.alias for demand in server.demands if demand.alias not in server.errors), "")
        for server in budget.servers
    ]
    look = partial(count_open, timeout=timeout)
    found = ask_all(look, filter(None, witnesses), timeout=timeout, silent=None)
    servers = zip(budget.servers, witnesses, strict=True)
    return replace(
        budget,
        servers=tuple(replace(server, open_now=found.get(alias)) for server, alias in servers),
    )


def _reason_not_to_count(alias: str) -> str:
    connection = _wrapper(alias)
    if connection is None or connection.vendor in VENDORS:
        return ""
    if connection.vendor == "sqlite":
        return "SQLite has no server"
    return f"nothing is known of the connections of {connection.settings_dict['ENGINE']!r}"


def _demand(alias: str, workers: int, threads: int) -> Demand:
    # Django has one pool for all threads of a process, and else a connection for each of them.
    pool = connections.settings[alias]["OPTIONS"].get("pool")
    own = max_size(pool if isinstance(pool, dict) else {}) if pool else threads
    connection = _wrapper(alias)
    # Sessions are those of apps.
    topology = get_topology()
    is_routed = any(alias in topology.aliases_of(label) for label in topology.routes)
    sessions = pool_limit(connection) if connection is not None and is_routed else 0
    return Demand(alias, own, sessions, own * workers, sessions * workers)


def _wrapper(alias: str) -> BaseDatabaseWrapper | None:
    """Return Django's connection, not opened; ``None`` without a driver, which asking reports."""
    try:
        return connections[alias]
    except ImproperlyConfigured:
        return None


def _by_server(answers: Mapping[str, Answer]) -> Iterable[list[str]]:
    """Return the aliases of each server: by what it says of itself, or else by its address."""
    identities = {
        _address(alias): answer.identity for alias, answer in answers.items() if answer.identity
    }
    groups: dict[Identity, list[str]] = {}
    for alias in answers:
        address = _address(alias)
        groups.setdefault(identities.get(address, address), []).append(alias)
    return groups.values()


def _address(alias: str) -> Identity:
    setting = connections.settings[alias]
    names = (setting["OPTIONS"].get(name) for name in SERVER_OPTIONS)
    return (setting["ENGINE"], setting["HOST"], str(setting["PORT"]), *names)


def _server(demands: list[Demand], answers: Mapping[str, Answer]) -> ServerBudget:
    members = {demand.alias: answers[demand.alias] for demand in demands}
    is_pooler = any(answer.is_pooler for answer in members.values())
    maxima = {
        (kind, answer.names[kind]): maximum
        for answer in members.values()
        for kind, maximum in answer.limits.items()
    }
    limits = [
        _limit(
            kind,
            name,
            maximum,
            [demand for demand in demands if members[demand.alias].names[kind] == name],
            is_pooler=is_pooler,
        )
        for (kind, name), maximum in maxima.items()
    ]
    # The server's own first.
    limits.sort(key=lambda limit: (limit.kind != "server", limit.kind, limit.name))
    return ServerBudget(
        addresses=tuple(dict.fromkeys(display_server(connections.settings[a]) for a in members)),
        demands=tuple(demands),
        limits=tuple(limits),
        errors={alias: answer.error for alias, answer in members.items() if answer.error},
        is_pooler=is_pooler,
    )


def _limit(kind: str, name: str, maximum: int, demands: list[Demand], *, is_pooler: bool) -> Limit:
    own = sum(demand.connections for demand in demands)
    both = own + sum(demand.async_connections for demand in demands)
    verdicts = (Verdict.POOLER if is_pooler else judge(number, maximum) for number in (own, both))
    return Limit(kind, name, maximum, own, both, *verdicts)


def judge(number: int, maximum: int) -> Verdict:
    if number > maximum:
        return Verdict.TOO_MANY
    return Verdict.ABOVE_HALF if 2 * number > maximum else Verdict.FINE
