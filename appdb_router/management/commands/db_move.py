"""``db_move``: move an app's data to its own database, and back."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...exceptions import DatabaseOperationError, MoveError, UnknownLabelError
from ...services.moving.moving import (
    Step,
    finalize_move,
    move,
    move_status,
    plan_move,
    roll_back,
)
from ...services.moving.route import MoveRoute, route_of
from ...services.moving.running import MoveOptions, Verification
from ...services.moving.status import MoveStatus
from ...terminal import Terminal
from ..move_progress import Lines, reporter
from ..move_text import plan_lines, status_lines
from ..numbers import byte_count, positive, seconds
from ..stopping import Stop, stopping_on_signals

_FAILED, _USAGE, _IN_THE_WAY = 1, 2, 11
_DEFAULTS = MoveOptions()


class Command(BaseCommand):
    """Moves the rows of an app, and the app with them."""

    help = (
        "Moves an app's data from one database to another, while the app goes on where PostgreSQL"
        " is the source: copies, follows what is written, verifies, and changes over."
    )
    # Some checks of Django open every database; this command must work with others down.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("label", help="The label of the app; its group moves with it.")
        what = parser.add_mutually_exclusive_group()
        for name, text in (
            ("plan", "Show what would move, and what stands in the way. Changes nothing."),
            ("status", "Show how far the move is. Changes nothing."),
            ("resume", "Go on where a process was stopped or killed."),
            ("restart", "Begin again, and empty the app's tables in the target first."),
            ("rollback", "Bring the app back, with all that was written since."),
            ("finalize", "Drop the old tables. There is no way back then."),
        ):
            what.add_argument(f"--{name}", action="store_const", const=name, dest="what", help=text)
        parser.add_argument(
            "--from",
            dest="source",
            metavar="ALIAS",
            help="Fetch rows that were left behind in this database by an app that lives in its own"
            " already. Default is what the variable <LABEL>_DATABASE_MOVE_FROM says.",
        )
        parser.add_argument(
            "--to",
            dest="target",
            metavar="ALIAS",
            help="Where the app moves to. Default, and only choice, is what its settings say; an"
            " error if they say something else.",
        )
        parser.add_argument(
            "--offline",
            action="store_true",
            default=None,
            help="Refuse the app's writes from the beginning. Always so unless the source is"
            " PostgreSQL.",
        )
        parser.add_argument(
            "--replication",
            action="store_true",
            default=None,
            help="Learn what is written meanwhile from a replication slot of PostgreSQL instead of"
            " triggers. The server needs wal_level=logical.",
        )
        parser.add_argument(
            "--verify",
            type=Verification,
            choices=list(Verification),
            help="How rows are compared: 'checksum' computes sums in both databases, 'stream'"
            f" hashes what is sent and reads it back. Default is {_DEFAULTS.verify}.",
        )
        parser.add_argument(
            "--chunk-rows",
            type=positive,
            metavar="NUMBER",
            help=f"How many rows a transaction copies. Default is {_DEFAULTS.chunk_rows}.",
        )
        parser.add_argument(
            "--rate-limit",
            type=byte_count,
            metavar="BYTES",
            help="How many bytes are copied in a second at most, such as 15MB, which is 15000000."
            " Default is no limit.",
        )
        parser.add_argument(
            "--max-lag",
            type=positive,
            metavar="NUMBER",
            help="With how many changes still to follow the app may change over. Default is"
            f" {_DEFAULTS.max_lag}.",
        )
        parser.add_argument(
            "--lock-wait",
            type=seconds,
            metavar="SECONDS",
            help="How long a statement waits for a lock, and others behind it, before it gives up"
            f" and tries again. Default is {_DEFAULTS.lock_wait:g}.",
        )
        parser.add_argument(
            "--cut-over-timeout",
            type=seconds,
            metavar="SECONDS",
            help="How long changing over is tried while other transactions are open. Default is"
            f" {_DEFAULTS.cut_over_timeout:g}.",
        )
        parser.add_argument(
            "--empty-target",
            action="store_true",
            help="Delete rows that stand in the app's tables in the target, such as those that"
            " migrations made.",
        )
        parser.add_argument(
            "--noinput",
            action="store_false",
            dest="interactive",
            help="Do not ask for the app's name before something is deleted.",
        )
        parser.add_argument(
            "--format",
            choices=("text", "json"),
            default="text",
            help="With json, each event is a line. Default is %(default)s.",
        )

    def handle(self, *, label: str, what: str | None, format: str, **options: Any) -> None:
        """Do what is asked for; exit with a code for the cause if it cannot be done."""
        stop = Stop()
        try:
            route = route_of(label, options["source"], options["target"])
            with stopping_on_signals() as stop:
                self._do(route, what, format, options, stop)
        except UnknownLabelError as error:
            raise CommandError(str(error), returncode=_USAGE) from None
        except MoveError as error:
            raise CommandError(str(error), returncode=stop.exit_code or error.exit_code) from None
        except DatabaseOperationError as error:
            raise CommandError(str(error), returncode=_FAILED) from None

    def _do(
        self, route: MoveRoute, what: str | None, format: str, options: dict[str, Any], stop: Stop
    ) -> None:
        if what == "plan":
            self._plan(route, format, options)
        elif what == "status":
            self._write_status(move_status(route), format)
        else:
            self._confirm(route, what, format, options)
            with reporter(self.stdout, format).running() as shown:
                status = self._work(route, what, options, shown, stop)
            self._write_status(status, format)

    def _work(
        self,
        route: MoveRoute,
        what: str | None,
        options: dict[str, Any],
        shown: Lines,
        stop: Stop,
    ) -> MoveStatus:
        if what == "rollback":
            return roll_back(route, shown, stop=stop.event)
        if what == "finalize":
            return finalize_move(route, shown, stop=stop.event)
        step = Step(what == "resume", what == "restart", options["empty_target"])
        return move(route, _given(options), step, shown, stop=stop.event)

    def _plan(self, route: MoveRoute, format: str, options: dict[str, Any]) -> None:
        plan = plan_move(route, MoveOptions(**_given(options)))
        if format == "json":
            self.stdout.write(json.dumps(plan.as_dict(), indent=2))
        else:
            terminal = Terminal(self.stdout)
            for line in plan_lines(plan):
                terminal.write(line)
        if plan.failures:
            raise CommandError(f"{route.label!r} cannot be moved yet.", returncode=_IN_THE_WAY)

    def _write_status(self, status: MoveStatus, format: str) -> None:
        if format == "json":
            self.stdout.write(json.dumps({"event": "status", **status.as_dict()}))
            return
        terminal = Terminal(self.stdout)
        for line in status_lines(status):
            terminal.write(line)

    def _confirm(
        self, route: MoveRoute, what: str | None, format: str, options: dict[str, Any]
    ) -> None:
        """Ask for the app's name where rows or tables are going to be deleted."""
        deletes = {
            "finalize": f"The tables of {', '.join(route.labels)} in {route.source!r} are dropped,"
            " and there is no way back then.",
            "restart": f"The rows of {', '.join(route.labels)} in {route.target!r} are deleted.",
        }
        if options["empty_target"]:
            deletes[what or ""] = deletes["restart"]
        question = deletes.get(what or "")
        if not question or not options["interactive"]:
            return
        if format == "json":
            raise CommandError(f"--{what} with --format json needs --noinput.", returncode=_USAGE)
        self.stdout.write(question)
        if _answer(f"Type {route.label} to go on: ") != route.label:
            raise CommandError("Nothing was changed.", returncode=_FAILED)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the move that the command line names."""
    return {name: options[name] for name in _DEFAULTS.as_dict() if options.get(name) is not None}


def _answer(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""
