"""``db_cascade``: carry out deletions that other databases still have to follow."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...relations.dangling import Dangling, find_dangling
from ...services.cascading import Cascaded, cascade
from ...services.initialising import count
from ...terminal import Terminal
from ...topology import get_topology
from ..numbers import seconds
from ..stopping import stopping_on_signals

_FAILED, _DANGLING = 1, 3


class Command(BaseCommand):
    """Carries out what was left by a crash, or finds rows that refer to nothing."""

    help = (
        "Deletes in other databases what belonged to rows that are gone, where a crash came"
        " between the two."
    )
    # Some checks of Django open every database; this command must work with one of them down.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--watch", action="store_true", help="Go on until Ctrl-C or SIGTERM.")
        which.add_argument(
            "--scan",
            action="store_true",
            help="Then read all relations between databases, and name the rows that refer to"
            " nothing. Changes no more.",
        )
        parser.add_argument(
            "--interval",
            type=seconds,
            default=5.0,
            metavar="SECONDS",
            help="How often --watch looks. Default is %(default)g.",
        )
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="Default is %(default)s."
        )

    def handle(
        self, *, watch: bool, scan: bool, interval: float, format: str, **_options: Any
    ) -> None:
        """Carry out what is noted; exit with 1 if something failed, with 3 if a row dangles."""
        if watch:
            self._watch(interval, format)
            return
        results = self._cascade()
        dangling = list(find_dangling()) if scan else []
        if format == "json":
            self._write_json(results, dangling)
        else:
            self._write_text(results)
            self._write_dangling(dangling, was_asked=scan)
        if failed := [item.alias for item in results if item.errors]:
            raise CommandError(
                f"{count(failed, 'database')} with failures: {', '.join(failed)}.",
                returncode=_FAILED,
            )
        if dangling:
            raise CommandError(
                f"{count(dangling, 'relation')} with dangling rows.", returncode=_DANGLING
            )

    def _cascade(self) -> list[Cascaded]:
        return cascade(item.alias for item in get_topology().canonical_databases())

    def _watch(self, interval: float, format: str) -> None:
        with stopping_on_signals() as stop:
            while True:
                results = [item for item in self._cascade() if item.done or item.errors]
                if format == "json":
                    # One document a line, as long as it runs.
                    for item in results:
                        self.stdout.write(json.dumps(item.as_dict()))
                else:
                    self._write_text(results)
                self.stdout.flush()
                if stop.event.wait(interval):
                    return

    def _write_json(self, results: list[Cascaded], dangling: list[Dangling]) -> None:
        document = {
            "databases": [item.as_dict() for item in results],
            "dangling": [item.as_dict() for item in dangling],
        }
        self.stdout.write(json.dumps(document, indent=2))

    def _write_text(self, results: list[Cascaded]) -> None:
        terminal = Terminal(self.stdout)
        for item in results:
            done = (
                f"{count(range(item.done), 'deletion')} followed" if item.done else "nothing left"
            )
            if item.done or not item.errors:
                terminal.write(f"{item.alias}: {self.style.SUCCESS(done)}")
            for error in item.errors:
                terminal.write(f"{item.alias}: {self.style.ERROR('failed')}: {error}")

    def _write_dangling(self, dangling: list[Dangling], *, was_asked: bool) -> None:
        terminal = Terminal(self.stdout)
        for item in dangling:
            keys = ", ".join(map(repr, item.keys))
            more = ", …" if item.rows > len(item.keys) else ""
            terminal.write(
                f"{item.alias}: {self.style.ERROR('dangling')}: {count(range(item.rows), 'row')} of"
                f" {item.relation} ({keys}{more})"
            )
        if was_asked and not dangling:
            terminal.write("Every relation between databases refers to a row.")
