"""``db_list``: which app lives in which database, and why."""

import json
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import thread_count, worker_count
from ...exceptions import UnknownLabelError
from ...services.asking import TIMEOUT
from ...services.budget import Budget, connection_budget, with_open_connections
from ...services.initialising import count
from ...services.listing import Entry, list_databases
from ...services.probing import Status, probe_all
from ...terminal import Terminal
from ...topology import Topology, get_topology
from ..budget_text import write_budget


class Command(BaseCommand):
    """Lists the databases."""

    help = "Shows which database each app has, and where that is decided."
    # Some checks of Django open every database; this command must work with all of them down.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("--app", metavar="LABEL", help="Show only the database of this app.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Connect to each database, and exit with 1 if one is not ready.",
        )
        parser.add_argument(
            "--connections",
            action="store_true",
            help="Ask each server how many connections it allows, and exit with 1 if the"
            " configuration may open more.",
        )
        parser.add_argument(
            "--workers",
            type=_whole_number,
            metavar="N",
            help="How many processes --connections counts. Default is WORKERS in the setting"
            " APPDB_ROUTER, or else the environment variable WEB_CONCURRENCY, or else 1.",
        )
        parser.add_argument(
            "--threads",
            type=_whole_number,
            metavar="N",
            help="How many threads of each process --connections counts. Default is THREADS in the"
            " setting APPDB_ROUTER, or else 1.",
        )
        parser.add_argument(
            "--timeout",
            type=int,
            default=TIMEOUT,
            metavar="SECONDS",
            help="How long --check and --connections wait for a connection."
            " Default is %(default)s.",
        )
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="Default is %(default)s."
        )

    def handle(
        self,
        *,
        app: str | None,
        check: bool,
        connections: bool,
        workers: int | None,
        threads: int | None,
        timeout: int,
        format: str,
        **_options: Any,
    ) -> None:
        """Write the list, and fail if something that was asked for is not as it should be."""
        topology = get_topology()
        shown = self._shown(topology, app)
        canonical = {topology.databases[alias].canonical_alias for alias in shown}
        probes = probe_all(sorted(canonical), timeout=timeout) if check else None
        entries = [
            entry for entry in list_databases(topology, probes) if entry.database.alias in shown
        ]
        budget = None
        if connections:
            budget = connection_budget(
                workers or worker_count(), threads or thread_count(), timeout=timeout
            )
            if app is not None:
                budget = budget.of(canonical)
            budget = with_open_connections(budget, timeout=timeout)
        self._write(entries, budget, topology, app, format)
        problems = _not_ready(entries) + (budget.problems() if budget else [])
        if problems:
            raise CommandError(" ".join(problems), returncode=1)

    def _write(
        self,
        entries: list[Entry],
        budget: Budget | None,
        topology: Topology,
        app: str | None,
        format: str,
    ) -> None:
        if format == "json":
            document: dict[str, Any] = {"databases": [entry.as_dict() for entry in entries]}
            if budget:
                document["connections"] = budget.as_dict()
            self.stdout.write(json.dumps(document, indent=2))
            return
        terminal = Terminal(self.stdout)
        _Listing(terminal, topology, app).write(entries)
        if budget:
            write_budget(terminal, budget)

    def _shown(self, topology: Topology, app: str | None) -> set[str]:
        if app is None:
            return set(topology.databases)
        try:
            return {topology.database_of(app).alias}
        except UnknownLabelError as error:
            raise CommandError(str(error), returncode=2) from None


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def _not_ready(entries: list[Entry]) -> list[str]:
    names = [entry.database.alias for entry in entries if entry.probe and not entry.probe.is_ready]
    if not names:
        return []
    return [
        f"{count(names, 'database')} not ready: {', '.join(names)}. 'manage.py db_init' creates and"
        " migrates what can be reached."
    ]


class _Listing:
    """The list as text."""

    def __init__(self, terminal: Terminal, topology: Topology, app: str | None) -> None:
        self._write = terminal.write
        self._topology = topology
        self._app = app

    def write(self, entries: list[Entry]) -> None:
        self._write("📊 Discovered Databases:")
        for entry in entries:
            if entry.database.alias == "default":
                self._write_default(entry)
            else:
                self._write_own(entry)

    def _write_own(self, entry: Entry) -> None:
        labels = entry.database.labels
        self._write_block(entry.database.alias, entry, labels if len(labels) > 1 else ())

    def _write_default(self, entry: Entry) -> None:
        """Write each of the project's own apps on the default, and the other apps in one line."""
        labels = [label for label in entry.database.labels if self._app in (None, label)]
        own = sorted(label for label in labels if label in self._topology.local_labels)
        if self._app is not None:
            own = labels
        for label in own:
            self._write_block(label, entry)
        others = sorted(set(labels) - set(own))
        if others or not labels:
            names = ", ".join(others) or "no apps"
            self._write(f"\n🔹 default ({names}): {entry.url}")
            if not own:
                self._write_details(entry)

    def _write_block(self, title: str, entry: Entry, labels: tuple[str, ...] = ()) -> None:
        self._write(f"\n🔹 {title}")
        self._write(f"   URL: {entry.url}")
        if labels:
            self._write(f"   Apps: {', '.join(sorted(labels))}")
        self._write(f"   Source: {entry.source}")
        self._write_details(entry)

    def _write_details(self, entry: Entry) -> None:
        if entry.database.is_shared:
            self._write(f"   Same database as: {entry.database.canonical_alias}")
        if entry.move is not None:
            self._write(f"   {entry.move}")
        if entry.probe is None:
            return
        status = str(entry.probe.status)
        if entry.probe.status is Status.REACHABLE:
            status += f", {entry.probe.server_version}"
        elif entry.probe.error:
            status += f": {entry.probe.error}"
        self._write(f"   Status: {status}")
        if entry.probe.pending_migrations:
            self._write(f"   Pending: {count(entry.probe.pending_migrations, 'migration')}")
