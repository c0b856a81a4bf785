"""Who lives where, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connections

from ..display import display_url
from ..topology import Database, Topology
from .probing import Probe

__all__ = ["Entry", "list_databases"]


@dataclass(frozen=True)
class Entry:
    """A database of the project, safe to show; ``probe`` is there if it was looked at."""

    database: Database
    engine: str
    url: str
    probe: Probe | None = None

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
        if self.probe is not None:
            entry["server_version"] = self.probe.server_version
            entry["pending_migrations"] = list(self.probe.pending_migrations)
            entry["error"] = self.probe.error
        return entry


def list_databases(topology: Topology, probes: Mapping[str, Probe] | None = None) -> list[Entry]:
    """Return an entry for each alias, sorted by alias with the default last.

    ``probes`` are what was found, by canonical alias. No database is contacted here.
    """
    found = probes or {}
    return [
        Entry(
            database,
            connections.settings[database.alias]["ENGINE"],
            display_url(connections.settings[database.alias], topology.base_dir),
            found.get(database.canonical_alias),
        )
        for database in sorted(
            topology.databases.values(), key=lambda item: (item.alias == "default", item.alias)
        )
    ]
