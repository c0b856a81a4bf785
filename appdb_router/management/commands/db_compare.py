"""``db_compare``: whether an app's rows are the same in two databases."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...exceptions import DatabaseOperationError, MoveError, UnknownLabelError
from ...services.asking import TIMEOUT
from ...services.initialising import count
from ...services.moving.comparing import Difference
from ...services.moving.comparison import Comparison, compare_app
from ...terminal import Terminal
from ..stopping import Stop, stopping_on_signals

_FAILED, _USAGE, _DIFFERENT = 1, 2, 10


class Command(BaseCommand):
    """Compares the rows of an app in two databases."""

    help = "Compares all rows of an app in two databases, such as those of its move."
    # Some checks of Django open every database; this command must work with others down.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("label", help="The label of the app; its group is compared with it.")
        parser.add_argument(
            "--from",
            dest="source",
            metavar="ALIAS",
            help="One of the databases. Default is the source of the app's move, or else the"
            " database that it lives in.",
        )
        parser.add_argument(
            "--to",
            dest="target",
            metavar="ALIAS",
            help="The other one. Default is the target of the app's move, or else the database"
            " that it lives in.",
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

    def handle(
        self,
        *,
        label: str,
        source: str | None,
        target: str | None,
        timeout: int,
        format: str,
        **_options: Any,
    ) -> None:
        """Write what was found, and exit with a code for the cause."""
        stop = Stop()
        try:
            with stopping_on_signals() as stop:
                found = compare_app(label, source, target, timeout=timeout, stop=stop.event)
        except UnknownLabelError as error:
            raise CommandError(str(error), returncode=_USAGE) from None
        except DatabaseOperationError as error:
            code = error.exit_code if isinstance(error, MoveError) else _FAILED
            raise CommandError(str(error), returncode=stop.exit_code or code) from None
        if format == "json":
            self.stdout.write(json.dumps(found.as_dict(), indent=2))
        else:
            self._write_text(found)
        different = {item.table for item in found.differences}
        if different:
            message = f"{count(different, 'table')} not the same."
            raise CommandError(message, returncode=_DIFFERENT)

    def _write_text(self, found: Comparison) -> None:
        terminal = Terminal(self.stdout)
        for table, rows in found.rows.items():
            differences = found.differences_of(table)
            if not differences:
                noun = "row" if rows == 1 else "rows"
                terminal.write(f"{table}: {self.style.SUCCESS('the same')}, {rows} {noun}")
                continue
            terminal.write(f"{table}: {self.style.ERROR('not the same')}")
            for item in differences:
                terminal.write(f"  {_described(item, found)}")


def _described(item: Difference, found: Comparison) -> str:
    """Return where rows differ: the range, how many there are, and the first keys."""
    bounds = [f"behind {_text(item.lower)}"] if item.lower else []
    bounds += [f"up to {_text(item.upper)}"] if item.upper else []
    where = " ".join(bounds) or "all rows"
    keys = "; ".join(map(_text, item.keys)) + ("; and more" if item.is_cut else "")
    return f"{where}: {item.giver_rows} in {found.source}, {item.taker_rows} in {found.target}" + (
        f"; keys {keys}" if keys else ""
    )


def _text(key: tuple[str, ...]) -> str:
    return ", ".join(key)
