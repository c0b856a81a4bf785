"""``db_init``: create, migrate and verify databases."""

import gc
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...exceptions import UnknownLabelError
from ...services.checking import Finding
from ...services.concluding import conclude
from ...services.content_types import written_elsewhere
from ...services.creating import CreateOptions
from ...services.initialising import (
    Options,
    Outcome,
    count,
    describe_plan,
    initialise,
    plan,
    targets,
)
from ...services.migrating import Executor
from ...services.probing import Status
from ...services.timeouts import Timeouts
from ...terminal import Terminal, progress
from ...topology import Database, get_topology
from ..confirming import confirmed_repairs
from ..numbers import positive, seconds
from ..stopping import stopping_on_signals

# More keep two cores of this process and the server no busier.
_JOBS = 3
_DOING = "creating and migrating"
_Work = Callable[..., Iterator[Outcome]]


class Command(BaseCommand):
    """Initialises databases."""

    help = "Creates the database of an app if it is missing, migrates it, and verifies its tables."
    # Some checks of Django open every database, and those that are to be created are not there.
    requires_system_checks = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command as the one of this process."""
        # What is loaded by now stays, so it need not be looked through for garbage each time.
        gc.freeze()
        try:
            super().run_from_argv(argv)
        finally:
            # Before it ends, Python looks for garbage among all that is not frozen, several times:
            # a fifth of the time that it takes to find nothing to do.
            gc.freeze()

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--app",
            action="append",
            default=[],
            metavar="LABEL",
            help="The database of this app; may be given several times."
            " Default: the default database.",
        )
        which.add_argument("--all-apps", action="store_true", help="Every database, core first.")
        parser.add_argument(
            "--discover", action="store_true", help="Show what would be done, and change nothing."
        )
        parser.add_argument(
            "--no-migrate", action="store_false", dest="migrate", help="Create, but do not migrate."
        )
        parser.add_argument(
            "--repair",
            action="store_true",
            help="Take back false records of an app whose tables are all missing, and migrate it.",
        )
        parser.add_argument(
            "--noinput",
            action="store_false",
            dest="interactive",
            help="Repair without asking.",
        )
        parser.add_argument(
            "--allow-empty",
            action="store_true",
            help="Accept that rows of an app were left behind in another database.",
        )
        parser.add_argument(
            "--owner", metavar="ROLE", help="The owner of databases created on PostgreSQL."
        )
        parser.add_argument(
            "--encoding", help="The encoding of databases created on a server, such as UTF8."
        )
        parser.add_argument(
            "--jobs",
            type=positive,
            default=_JOBS,
            metavar="NUMBER",
            help="How many databases are worked on at once. Default is %(default)d.",
        )
        parser.add_argument(
            "--lock-timeout",
            type=float,
            default=Options.lock_timeout,
            metavar="SECONDS",
            help="How long to wait for another process that migrates. Default is %(default)g.",
        )
        parser.add_argument(
            "--executor",
            type=Executor,
            choices=list(Executor),
            default=Executor.APPS,
            help="Who applies migrations: 'apps' applies those of the apps that live in a database"
            " and records the others, 'django' is Django's own migrate. Default is %(default)s.",
        )
        parser.add_argument(
            "--lock-wait",
            type=seconds,
            metavar="SECONDS",
            help="How long a statement of a migration may wait for a lock, such as that of a long"
            " query on its table. Default is the server's.",
        )
        parser.add_argument(
            "--statement-timeout",
            type=seconds,
            metavar="SECONDS",
            help="How long a statement of a migration may take. Default is the server's.",
        )
        parser.add_argument(
            "--format", choices=("text", "json"), default="text", help="Default is %(default)s."
        )

    def handle(
        self, *, app: list[str], all_apps: bool, discover: bool, format: str, **options: Any
    ) -> None:
        """Initialise the databases asked for, and fail if one of them is not ready."""
        try:
            databases = targets(get_topology(), app, all_apps=all_apps)
        except UnknownLabelError as error:
            raise CommandError(str(error), returncode=2) from None
        if options["repair"] and not discover:
            self._refuse_combinations(format, options)
        if discover:
            self._discover(databases, format, repair=options["repair"])
        else:
            self._initialise(databases, format, options)

    def _refuse_combinations(self, format: str, options: dict[str, Any]) -> None:
        if not options["migrate"]:
            raise CommandError("--repair migrates: leave out --no-migrate.", returncode=2)
        if format == "json" and options["interactive"]:
            raise CommandError("--repair with --format json needs --noinput.", returncode=2)

    def _discover(self, databases: list[Database], format: str, *, repair: bool) -> None:
        found = plan(databases)
        if format == "json":
            self._write_json(
                {"alias": alias, "status": str(item.status), "error": item.error}
                | {"pending_migrations": list(item.pending_migrations)}
                for alias, item in found.items()
            )
        else:
            terminal = Terminal(self.stdout)
            self._announce(databases)
            for alias, item in found.items():
                terminal.write(f"{alias}: {describe_plan(item)}")
            if repair:
                confirmed_repairs(found, terminal, interactive=False)
        self._fail_for(
            [alias for alias, item in found.items() if item.status is Status.UNREACHABLE],
            len(found),
        )

    def _initialise(self, databases: list[Database], format: str, options: dict[str, Any]) -> None:
        is_text, verbosity = format == "text", options["verbosity"]
        repair = {}
        if options["repair"]:
            repair = confirmed_repairs(
                [database.alias for database in databases],
                Terminal(self.stdout) if is_text else None,
                interactive=options["interactive"],
            )
        todo = Options(
            create=CreateOptions(options["owner"], options["encoding"]),
            migrate=options["migrate"],
            lock_timeout=options["lock_timeout"],
            executor=options["executor"],
            timeouts=Timeouts(options["lock_wait"], options["statement_timeout"]),
            repair=repair,
            verbosity=verbosity if is_text and verbosity > 1 else 0,
            stdout=options.get("stdout"),
        )
        if is_text and verbosity > 0 and todo.migrate:
            self._announce(databases)
        with stopping_on_signals() as stop:
            work = partial(initialise, databases, todo, jobs=options["jobs"], stop=stop.event)
            if is_text:
                outcomes = self._in_text(work, verbosity, migrated=todo.migrate)
            else:
                outcomes = self._in_silence(work, databases)
        findings: list[Finding] = []
        if todo.migrate:
            allow_empty = options["allow_empty"]
            outcomes, findings = conclude(get_topology(), outcomes, allow_empty=allow_empty)
        self._report(outcomes, findings, format, verbosity)
        failed = [item for item in outcomes if item.error]
        code = min((item.exit_code for item in failed), default=0)
        names = [item.alias for item in failed]
        self._fail_for(names, len(outcomes), returncode=stop.exit_code or code)
        if is_text and verbosity > 0:
            nothing = " Nothing had to be done." if all(o.is_unchanged for o in outcomes) else ""
            Terminal(self.stdout).write(f"{count(outcomes, 'database')} ready.{nothing}")

    def _in_text(self, work: _Work, verbosity: int, *, migrated: bool) -> list[Outcome]:
        """Do the work, and write a line for each database when it is done."""
        outcomes = []
        terminal = Terminal(self.stdout)
        lines = progress(shown=verbosity == 1)
        with lines.running():
            for outcome in work(started=lambda name: lines.begin(name, f"{name}: {_DOING}")):
                outcomes.append(outcome)
                if verbosity > 0:
                    with lines.without(outcome.alias):
                        self.stdout.write(outcome.output, ending="")
                        terminal.write(self._line(outcome, migrated=migrated))
                        # A pipe would keep it until the last database is done.
                        self.stdout.flush()
        return outcomes

    def _in_silence(self, work: _Work, databases: list[Database]) -> list[Outcome]:
        """Do the work and return the outcomes in the order of ``databases``."""
        # A migration may well print something, which is no part of a document.
        with redirect_stdout(sys.stderr):
            outcomes = list(work())
        order = [database.alias for database in databases]
        return sorted(outcomes, key=lambda item: order.index(item.alias))

    def _report(
        self, outcomes: list[Outcome], findings: list[Finding], format: str, verbosity: int
    ) -> None:
        """Write one document about everything, or the lines that end the text."""
        if format == "json":
            self._write_json(
                (
                    {"alias": item.alias, "status": "failed" if item.error else "ready"}
                    | {"created": item.created, "applied_migrations": list(item.applied)}
                    | {"error": item.error}
                    for item in outcomes
                ),
                findings,
            )
        elif verbosity > 0:
            terminal = Terminal(self.stdout)
            for item in findings:
                style = self.style.WARNING if item.kind.is_warning else self.style.ERROR
                terminal.write(f"{item.alias}: {style(item.kind)}: {item.message}")

    def _announce(self, databases: list[Database]) -> None:
        if text := written_elsewhere(get_topology(), databases):
            Terminal(self.stdout).write(text)

    def _line(self, outcome: Outcome, *, migrated: bool) -> str:
        if outcome.error:
            created = "created, but " if outcome.created else ""
            return f"{outcome.alias}: {created}{self.style.ERROR('failed')}: {outcome.error}"
        done = ["created" if outcome.created else "already there"]
        if outcome.applied:
            done.append(f"{count(outcome.applied, 'migration')} applied")
        elif migrated:
            done.append("nothing to migrate")
        return f"{outcome.alias}: {self.style.SUCCESS(', '.join(done))}"

    def _write_json(
        self, databases: Iterator[dict[str, Any]], findings: Iterable[Finding] | None = None
    ) -> None:
        document = {"databases": list(databases)}
        if findings is not None:
            document["findings"] = [finding.as_dict() for finding in findings]
        self.stdout.write(json.dumps(document, indent=2))

    def _fail_for(self, names: list[str], total: int, *, returncode: int = 1) -> None:
        if names:
            raise CommandError(
                f"{len(names)} of {count(range(total), 'database')} failed: {', '.join(names)}.",
                returncode=returncode,
            )
