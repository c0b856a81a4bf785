"""Who lives where, and why."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db import Error, connections

from ..display import display_url
from ..moves.gate import look_up
from ..topology import Database, Topology
from .probing import Probe

__all__ = ["Entry", "list_databases"]


@dataclass(frozen=True)
class Moving:
    """The move of the apps of a database: from the alias ``source``, as ``variable`` says.

    ``phase`` is where it is, ``""`` if it has not begun, and ``None`` if nobody has asked.
    """

    source: str
    variable: str
    phase: str | None = None

    def __str__(self) -> str:
        if self.phase == "finalized":
            return f"Moved from: {self.source}. Remove {self.variable}"
        where = "" if self.phase is None else f" ({self.phase or 'not begun'})"
        return f"Moving from: {self.source}{where}"


@dataclass(frozen=True)
class Entry:
    """A database of the project, safe to show; ``probe`` is there if it was looked at.

    ``move`` is there if its apps are moved to it.
    """

    database: Database
    engine: str
    url: str
    probe: Probe | None = None
    move: Moving | None = None

    @property
    def source(self) -> str:
        """The source in words."""
        kind, name = self.database.source_kind, self.database.source_name
        if kind == "environment":
            default = self.database.alias == "default"
            return f"{'Default' if default else 'Environment variable'} ({name})"
        return f"Default ({name} in the settings)" if kind == "argument" else name

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as ``--format json`` shows it."""
        entry: dict[str, Any] = {
            "alias": self.database.alias,
            "apps": sorted(self.database.labels),
            "engine": self.engine,
            "url": self.url,
            "source": {"kind": self.database.source_kind, "name": self.database.source_name},
            "canonical_alias": self.database.canonical_alias,
            "status": self.probe and str(self.probe.status),
        }
        if self.move is not None:
            entry["move"] = asdict(self.move)
        if self.probe is not None:
            entry["server_version"] = self.probe.server_version
            entry["pending_migrations"] = list(self.probe.pending_migrations)
            entry["error"] = self.probe.error
        return entry


def list_databases(topology: Topology, probes: Mapping[str, Probe] | None = None) -> list[Entry]:
    """Return an entry for each alias, sorted by alias with the default last.

    ``probes`` are what was found, by canonical alias. Without them no database is contacted; with
    them it is asked how far moves are.
    """
    found = probes or {}
    return [
        Entry(
            database,
            connections.settings[database.alias]["ENGINE"],
            display_url(connections.settings[database.alias], topology.base_dir),
            found.get(database.canonical_alias),
            _moving(topology, database, is_asked=probes is not None),
        )
        for database in sorted(
            topology.databases.values(), key=lambda item: (item.alias == "default", item.alias)
        )
    ]


def _moving(topology: Topology, database: Database, *, is_asked: bool) -> Moving | None:
    move = next(
        (topology.moves[label] for label in database.labels if label in topology.moves), None
    )
    if move is None:
        return None
    moving = Moving(move.source, move.variable)
    if not is_asked:
        return moving
    try:
        return replace(moving, phase=look_up(move).phase)
    except Error:
        # The status of the source says why.
        return moving
