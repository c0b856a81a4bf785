"""``db_check``: whether every database is in the state that the code needs."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...exceptions import UnknownLabelError
from ...services.asking import TIMEOUT
from ...services.checking import Report, check
from ...services.initialising import count
from ...terminal import Terminal
from ...topology import get_topology


class Command(BaseCommand):
    """Checks the databases."""

    help = "Compares each database with what the code needs, and changes nothing."
    # Some checks of Django open every database; this command must work with all of them down.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--app",
            action="append",
            default=[],
            metavar="LABEL",
            help="Only what concerns this app; may be given several times. Default: every app.",
        )
        parser.add_argument(
            "--timeout",
            type=int,
            default=TIMEOUT,
            metavar="SECONDS",
            help="How long to wait for a connection. Default is %(default)s.",
        )
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="Default is %(default)s."
        )

    def handle(self, *, app: list[str], timeout: int, format: str, **_options: Any) -> None:
        """Write what was found, and exit with the code of its gravest cause."""
        try:
            report = check(get_topology(), app, timeout=timeout)
        except UnknownLabelError as error:
            raise CommandError(str(error), returncode=2) from None
        if format == "json":
            self._write_json(report)
        else:
            self._write_text(report)
        found = report.all_findings()
        if found:
            raise CommandError(f"{count(found, 'finding')}.", returncode=report.exit_code)

    def _write_json(self, report: Report) -> None:
        document = {
            "databases": list(report.findings),
            "findings": [item.as_dict() for item in report.all_findings()],
        }
        self.stdout.write(json.dumps(document, indent=2))

    def _write_text(self, report: Report) -> None:
        terminal = Terminal(self.stdout)
        for alias, items in report.findings.items():
            if not items:
                terminal.write(f"{alias}: {self.style.SUCCESS('ok')}")
            for item in items:
                terminal.write(f"{alias}: {self.style.ERROR(item.kind)}: {item.message}")
