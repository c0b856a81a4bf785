"""``db_plan``: what splitting apps off would mean."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import thread_count, worker_count
from ...exceptions import UnknownLabelError
from ...services.asking import TIMEOUT
from ...services.drawing import as_dot, as_mermaid
from ...services.planning import plan_split
from ...terminal import Terminal
from ...topology import get_topology
from ..plan_text import write_plan

_DRAWINGS = {"mermaid": as_mermaid, "dot": as_dot}


class Command(BaseCommand):
    """Looks ahead at a split."""

    help = "Shows what it would mean to give apps databases of their own, and changes nothing."
    # Some checks of Django open every database; this command must work with all of them down.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the arguments."""
        parser.add_argument(
            "labels",
            nargs="*",
            metavar="LABEL",
            help="Apps to split off. Default: every app under base_dir that is on the default.",
        )
        parser.add_argument(
            "--timeout",
            type=int,
            default=TIMEOUT,
            metavar="SECONDS",
            help="How long to wait for a connection. Default is %(default)s.",
        )
        parser.add_argument(
            "--format",
            choices=("text", "json", *_DRAWINGS),
            default="text",
            help="Default is %(default)s.",
        )

    def handle(self, *, labels: list[str], timeout: int, format: str, **_options: Any) -> None:
        """Write the plan."""
        try:
            plan = plan_split(
                get_topology(),
                labels,
                workers=worker_count(),
                threads=thread_count(),
                timeout=timeout,
            )
        except UnknownLabelError as error:
            raise CommandError(str(error), returncode=2) from None
        if format == "json":
            self.stdout.write(json.dumps(plan.as_dict(), indent=2))
        elif format in _DRAWINGS:
            self.stdout.write(_DRAWINGS[format](plan), ending="")
        else:
            write_plan(Terminal(self.stdout), plan)
