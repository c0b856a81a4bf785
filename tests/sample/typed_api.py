"""What a type checker knows of the public API: checked, and never run.

Repositories have a module of their own beside this one.
"""

import re
from argparse import ArgumentParser
from collections.abc import Collection, ItemsView, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, assert_type
from unittest import TestSuite

from django.core.exceptions import FieldError
from django.db import OperationalError, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest
from psycopg import AsyncConnection

from appdb_router import alias_for, build_databases, read_env
from appdb_router.debug import ExceptionReporterFilter
from appdb_router.detection import get_current_app
from appdb_router.exceptions import (
    ConfigurationError,
    CrossingQueryError,
    DatabaseModuleError,
    DatabaseOperationError,
    DatabaseUrlError,
    EnvFileError,
    MissingTablesError,
    RegistrationError,
    TooManyRowsError,
    UnknownLabelError,
)
from appdb_router.moves.errors import MoveClosedError, MoveStraddledError
from appdb_router.outages import CircuitOpenError, DatabaseUnavailableError
from appdb_router.registry import (
    AppDatabase,
    Registration,
    close_all,
    discover_all_app_databases,
    discover_app_database,
    get_connection,
    get_database_url,
    register_database,
    unregister_database,
)
from appdb_router.rehearsal.runner import RehearsalRunner
from appdb_router.routers import AppDatabaseRouter
from appdb_router.running import declare_test_run
from appdb_router.services.budget import (
    Budget,
    Demand,
    Limit,
    ServerBudget,
    Verdict,
    connection_budget,
    with_open_connections,
)
from appdb_router.services.cascading import Cascaded, cascade
from appdb_router.services.checking import Finding, Kind, Report, check
from appdb_router.services.concluding import conclude
from appdb_router.services.content_types import written_elsewhere
from appdb_router.services.creating import CreateOptions, create_database, ensure_database
from appdb_router.services.drawing import as_dot, as_mermaid
from appdb_router.services.initialising import (
    Options,
    Outcome,
    initialise,
    initialise_one,
    plan,
    targets,
)
from appdb_router.services.inspecting import Gap
from appdb_router.services.listing import Entry, list_databases
from appdb_router.services.migrating import Executor, is_up_to_date, migrate
from appdb_router.services.planning import Part, Plan, plan_split
from appdb_router.services.probing import Probe, Status, probe, probe_all
from appdb_router.services.reaching import Reach, Statement
from appdb_router.services.repairing import Repair, plan_repairs, repair
from appdb_router.services.splitting import Crossing
from appdb_router.services.timeouts import Timeouts
from appdb_router.services.tying import Tie
from appdb_router.services.verifying import verify
from appdb_router.services.weighing import Precision, TableSize, Weight
from appdb_router.sessions import AppSession, aclose_all, get_app_session
from appdb_router.testing import assert_num_queries, databases_for
from appdb_router.topology import AppMove, Database, Topology, get_topology
from appdb_router.transaction import Atomic, allow_writes, atomic, on_all_commits, on_commit
from appdb_router.two_steps import fetch_ids
from appdb_router.uncovered import (
    OpenBlock,
    UncoveredWrite,
    UncoveredWriteError,
    UncoveredWriteWarning,
)
from apps.auth.models import User
from apps.driver.models import Trip


def of_settings(environment: dict[str, str]) -> None:
    read_env(Path(".env"), environment)
    databases = build_databases(
        ["appdb_router", "apps.driver"],
        base_dir=Path.cwd(),
        default="sqlite:///db.sqlite3",
        auth_user_model="accounts.User",
        together={"billing": ("invoices",)},
        required="all",
        trust=["drivers"],
        ignore=("OTHER_DATABASE_URL",),
        labels={"apps.driver": "driver"},
        env=environment,
    )
    assert_type(databases, dict[str, dict[str, Any]])


def of_aliases(trip: Trip) -> None:
    assert_type(alias_for("driver"), str)
    assert_type(alias_for(Trip), str)
    assert_type(alias_for(trip), str)


def of_registry(trip: Trip) -> None:
    found = discover_app_database("driver")
    assert_type(found, AppDatabase)
    assert_type((found.label, found.alias, found.canonical_alias), tuple[str, str, str])
    assert_type((found.url, found.source_kind, found.source_name), tuple[str, str, str])
    assert_type(discover_all_app_databases(), dict[str, AppDatabase])
    assert_type(get_database_url("driver", reveal_password=True), str)
    assert_type(get_connection(trip), BaseDatabaseWrapper)
    close_all()


def of_registrations() -> None:
    with register_database("driver", "sqlite:///rehearsal.sqlite3", CONN_MAX_AGE=60) as found:
        assert_type(found, Registration)
        assert_type((found.label, found.alias), tuple[str, str])
        assert_type(found.labels, tuple[str, ...])
    unregister_database("driver")


def of_sessions() -> None:
    assert_type(get_app_session(Trip), AppSession)
    with get_app_session("driver") as connection:
        assert_type(connection, BaseDatabaseWrapper)


async def of_asynchronous_sessions(trip: Trip) -> None:
    async with get_app_session(trip) as connection:
        assert_type(connection, AsyncConnection[Any])
    await aclose_all()


@atomic("driver", savepoint=False)
def of_decorated(trip: Trip) -> int:
    return trip.pk


def of_transactions(trip: Trip) -> None:
    assert_type(atomic(Trip, trip, "auth", durable=True), Atomic)
    with atomic(Trip), allow_writes("auth", reason="a counter"):
        on_commit(trip.save, trip, "auth", robust=True)
        on_all_commits(trip.save, robust=True)
    assert_type(of_decorated(trip), int)


def of_uncovered_writes(error: UncoveredWriteError, warning: UncoveredWriteWarning) -> None:
    raised: RuntimeError = error
    warned: RuntimeWarning = warning
    assert_type((error.write, warning.write), tuple[UncoveredWrite, UncoveredWrite])
    write = error.write
    assert_type((write.model, write.alias), tuple[str, str])
    assert_type((write.filename, write.line), tuple[str, int])
    assert_type(write.blocks, tuple[OpenBlock, ...])
    assert_type([(block.alias, block.place) for block in write.blocks], list[tuple[str, str]])
    raise raised from warned


def of_files() -> None:
    assert_type(get_current_app(), str | None)
    assert_type(get_current_app(Path("manage.py")), str | None)


def of_routing(router: AppDatabaseRouter, trip: Trip, user: User) -> None:
    assert_type(router, AppDatabaseRouter)
    assert_type(router.db_for_read(Trip), str | None)
    assert_type(router.db_for_write(Trip, instance=trip), str | None)
    assert_type(router.allow_relation(trip, user), bool | None)
    assert_type(router.allow_migrate("default", "driver", model_name="trip"), bool)
    AppDatabaseRouter(get_topology())
    assert_type(get_topology().routed_aliases, frozenset[str])


def of_the_debug_filter(request: HttpRequest, frame: FrameType) -> None:
    shown = ExceptionReporterFilter()
    assert_type(shown.hidden_settings, re.Pattern[str])
    assert_type(shown.get_traceback_frame_variables(request, frame), ItemsView[str, Any])
    shown.cleanse_setting("DATABASE_URL", "sqlite://")


def of_errors() -> None:
    of_settings: list[ConfigurationError] = [
        DatabaseModuleError("why"),
        DatabaseUrlError("why"),
        EnvFileError("why"),
    ]
    of_a_label: LookupError = UnknownLabelError("drivr", ["driver"])
    of_a_registration: RuntimeError = RegistrationError("why")
    of_a_query: FieldError = CrossingQueryError("why")
    of_rows: ValueError = TooManyRowsError("why")
    of_a_database: DatabaseOperationError = MissingTablesError("why")
    raise DatabaseOperationError(
        of_settings, of_a_label, of_a_registration, of_a_query, of_rows, of_a_database
    )


def of_topology() -> None:
    topology = get_topology()
    assert_type(topology, Topology)
    assert_type(topology.databases, dict[str, Database])
    assert_type(topology.routes, Mapping[str, str])
    assert_type(topology.canonical_aliases, dict[str | None, str])
    assert_type((topology.core_label, topology.core_alias), tuple[str | None, str | None])
    assert_type(topology.canonical_of("driver"), str)
    assert_type(topology.groups, tuple[tuple[str, ...], ...])
    assert_type(topology.group_of("driver"), tuple[str, ...])
    assert_type(topology.base_dir, Path)
    assert_type(topology.local_labels, tuple[str, ...])
    assert_type(topology.findings, tuple[dict[str, Any], ...])
    assert_type(topology.alias_of("driver"), str)
    assert_type(topology.canonical_databases(), list[Database])
    assert_type(Topology.from_metadata({"default": {}}), Topology)
    database = topology.database_of("driver")
    assert_type(database, Database)
    assert_type(topology.with_database(database), Topology)
    assert_type((database.alias, database.canonical_alias), tuple[str, str])
    assert_type((database.source_kind, database.source_name), tuple[str, str])
    assert_type(database.labels, tuple[str, ...])
    assert_type(database.is_shared, bool)


def of_moves(straddled: MoveStraddledError, closed: MoveClosedError) -> None:
    topology = get_topology()
    assert_type(topology.moves, Mapping[str, AppMove])
    assert_type(topology.aliases_of("driver"), tuple[str, ...])
    assert_type(topology.has_tables("driver", "default"), bool)
    move = topology.moves["driver"]
    assert_type((move.leader, move.variable), tuple[str, str])
    assert_type((move.labels, move.aliases), tuple[tuple[str, ...], tuple[str, ...]])
    assert_type((move.source, move.target, move.is_finalized), tuple[str, str, bool])
    assert_type(topology.with_home(move, move.target, is_finalized=True), Topology)
    both: list[OperationalError] = [straddled, closed]
    assert both
    assert_type((straddled.label, closed.label), tuple[str, str])


def of_outages(error: CircuitOpenError) -> None:
    of_a_database: DatabaseUnavailableError = error
    of_django: OperationalError = of_a_database
    of_a_session: DatabaseOperationError = of_a_database
    assert_type((error.alias, error.labels), tuple[str, tuple[str, ...]])
    assert_type(error.retry_after, float)
    raise of_django from of_a_session


def of_initialising() -> None:
    options = Options(create=CreateOptions(owner="app", encoding="UTF8"), migrate=True)
    assert_type(options.create, CreateOptions)
    assert_type((options.create.owner, options.create.encoding), tuple[str | None, str | None])
    assert_type((options.migrate, options.lock_timeout), tuple[bool, float])
    assert_type(options.verbosity, int)
    assert_type(options.repair, Mapping[str, Collection[str]])
    assert_type((options.executor, options.timeouts), tuple[Executor, Timeouts])
    assert_type([Executor.APPS, Executor.DJANGO], list[Executor])
    databases = targets(get_topology(), ["driver"], all_apps=False)
    assert_type(databases, list[Database])
    assert_type(plan(databases), dict[str, Probe])
    assert_type(initialise(databases, options, started=print), Iterator[Outcome])
    outcome = initialise_one("default", options)
    assert_type(outcome, Outcome)
    assert_type((outcome.alias, outcome.error), tuple[str, str | None])
    assert_type((outcome.created, outcome.is_unchanged), tuple[bool, bool])
    assert_type((outcome.applied, outcome.exit_code), tuple[tuple[str, ...], int])
    assert_type((outcome.waits, outcome.is_further, outcome.output), tuple[bool, bool, str])
    assert_type(outcome.look is None, bool)
    assert_type(outcome.behind(outcome), Outcome)
    concluded = conclude(get_topology(), [outcome], allow_empty=True)
    assert_type(concluded, tuple[list[Outcome], list[Finding]])
    assert_type(written_elsewhere(get_topology(), databases), str | None)


def of_creating_and_migrating(options: Options) -> None:
    assert_type(ensure_database("driver"), bool)
    assert_type(create_database("driver", CreateOptions()), bool)
    assert_type(migrate("driver", verbosity=1, stdout=options.stdout), tuple[str, ...])
    verify("driver")
    assert_type(is_up_to_date("driver"), bool)
    limits = Timeouts(lock_wait=1.5, statement=30)
    assert_type((limits.lock_wait, limits.statement), tuple[float | None, float | None])
    with limits.applied(get_connection("driver")):
        pass


def of_relations() -> None:
    assert_type(fetch_ids(get_trips(), "pk", limit=10), list[Any])
    [cascaded] = cascade(["driver"])
    assert_type(cascaded, Cascaded)
    assert_type((cascaded.alias, cascaded.done), tuple[str, int])
    assert_type((cascaded.errors, cascaded.as_dict()), tuple[list[str], dict[str, Any]])


def get_trips() -> "models.QuerySet[models.Model]":
    raise NotImplementedError


def of_checking_and_repairing() -> None:
    report = check(get_topology(), ["driver"], timeout=2)
    assert_type(report, Report)
    assert_type(report.findings, Mapping[str, tuple[Finding, ...]])
    assert_type((report.all_findings(), report.exit_code), tuple[list[Finding], int])
    for finding in report.all_findings():
        assert_type((finding.alias, finding.label), tuple[str, str | None])
        assert_type((finding.items, finding.message), tuple[tuple[str, ...], str])
        assert_type(finding.as_dict(), dict[str, Any])
        assert_type((finding.kind.exit_code, finding.kind.is_warning), tuple[int, bool])
    grave = [Kind.UNREACHABLE, Kind.RECORDED, Kind.MISSING, Kind.LEFT_BEHIND, Kind.SAME_DATABASE]
    assert_type([*grave, Kind.PENDING, Kind.LEFTOVER, Kind.SEQUENCE, Kind.INDEX], list[Kind])
    for item in plan_repairs(["driver"]):
        assert_type(item, Repair)
        assert_type((item.alias, item.gap, item.refusal), tuple[str, Gap, str | None])
        assert_type((item.data_migrations, item.gap.label), tuple[tuple[str, ...], str])
        assert_type((item.gap.tables, item.gap.columns), tuple[tuple[str, ...], tuple[str, ...]])
        assert_type((item.gap.present, item.gap.is_whole), tuple[tuple[str, ...], bool])
        assert_type(item.gap.migrations, tuple[str, ...])
    assert_type(repair("driver", {"driver"}), tuple[str, ...])
    assert_type(Options(repair={"driver": {"driver"}}).repair, Mapping[str, Collection[str]])


def of_probing_and_listing() -> None:
    found = probe("driver", timeout=2, look_inside=False)
    assert_type(found, Probe)
    assert_type((found.server_version, found.error), tuple[str | None, str | None])
    assert_type(found.pending_migrations, tuple[str, ...])
    assert_type(found.is_ready, bool)
    assert_type(found.status, Status)
    assert_type([Status.REACHABLE, Status.MISSING, Status.UNREACHABLE], list[Status])
    states = probe_all(["default", "driver"], timeout=2)
    assert_type(states, dict[str, Probe])
    for entry in list_databases(get_topology(), states):
        assert_type(entry, Entry)
        assert_type(entry.database, Database)
        if entry.move:
            assert_type((entry.move.source, entry.move.variable), tuple[str, str])
            assert_type(entry.move.phase, str | None)
        assert_type((entry.engine, entry.url, entry.source), tuple[str, str, str])
        assert_type(entry.probe, Probe | None)
        assert_type(entry.as_dict(), dict[str, Any])


def of_counting_connections() -> None:
    budget = with_open_connections(connection_budget(workers=4, threads=2), timeout=2)
    assert_type(budget, Budget)
    assert_type(budget.of(["driver"]), Budget)
    assert_type((budget.workers, budget.threads), tuple[int, int])
    assert_type(budget.not_counted, dict[str, str])
    assert_type(budget.problems(), list[str])
    assert_type(budget.as_dict(), dict[str, Any])
    assert_type(budget.servers, tuple[ServerBudget, ...])
    for server in budget.servers:
        assert_type((server.addresses, server.errors), tuple[tuple[str, ...], dict[str, str]])
        assert_type((server.is_pooler, server.open_now), tuple[bool, int | None])
        for demand in server.demands:
            of_demand(demand)
        for limit in server.limits:
            assert_type(server.describe(limit), str)
            of_limit(limit)


def of_demand(demand: Demand) -> None:
    assert_type((demand.alias, demand.per_process), tuple[str, int])
    assert_type((demand.async_per_process, demand.async_connections), tuple[int, int])
    assert_type(demand.connections, int)


def of_limit(limit: Limit) -> None:
    assert_type((limit.kind, limit.name), tuple[str, str])
    assert_type((limit.maximum, limit.connections, limit.with_async), tuple[int, int, int])
    assert_type((limit.verdict, limit.verdict_with_async), tuple[Verdict, Verdict])
    assert_type(limit.is_excessive, bool)
    verdicts = [Verdict.FINE, Verdict.ABOVE_HALF, Verdict.TOO_MANY, Verdict.POOLER]
    assert_type(verdicts, list[Verdict])


def of_planning() -> None:
    plan = plan_split(get_topology(), ["driver"], workers=4, threads=2, timeout=2)
    assert_type(plan, Plan)
    assert_type((plan.parts, plan.crossings), tuple[tuple[Part, ...], tuple[Crossing, ...]])
    assert_type(plan.routes, Mapping[str, str])
    assert_type(plan.generic_foreign_keys, Mapping[str, list[str]])
    assert_type(plan.admin_options, Mapping[str, list[str]])
    assert_type(plan.statements, tuple[Statement, ...])
    assert_type((plan.unread, plan.unreadable), tuple[tuple[Statement, ...], tuple[str, ...]])
    assert_type((plan.reaches, plan.ties), tuple[tuple[Reach, ...], tuple[Tie, ...]])
    assert_type((plan.together, plan.budget), tuple[Mapping[str, list[str]], Budget])
    assert_type((as_mermaid(plan), as_dot(plan)), tuple[str, str])
    assert_type(plan.as_dict(), dict[str, Any])
    for part in plan.parts:
        assert_type((part.alias, part.source), tuple[str, str])
        assert_type((part.labels, part.is_there), tuple[tuple[str, ...], bool])
        assert_type(part.as_dict(), dict[str, Any])
        of_weight(part.weight)
    for tie in plan.ties:
        assert_type((tie.labels, tie.reasons), tuple[tuple[str, str], tuple[str, ...]])
        assert_type(tie.as_dict(), dict[str, Any])
    for crossing in plan.crossings:
        assert_type((crossing.label, crossing.name, crossing.kind), tuple[str, str, str])
        assert_type((crossing.target, crossing.target_label), tuple[str, str])
        assert_type((crossing.obstacle, crossing.is_new), tuple[str | None, bool])
        assert_type((crossing.lost, crossing.instead), tuple[str, str])


def of_weight(weight: Weight) -> None:
    assert_type((weight.rows, weight.bytes), tuple[int, int | None])
    assert_type((weight.is_exact, weight.error), tuple[bool, str | None])
    assert_type((weight.missing, weight.of(["trip"])), tuple[tuple[str, ...], Weight])
    assert_type(weight.as_dict(), dict[str, Any])
    for size in weight.tables:
        assert_type(size, TableSize)
        assert_type((size.table, size.rows, size.bytes), tuple[str, int | None, int | None])
        assert_type(size.precision, Precision)
    precisions = [Precision.COUNTED, Precision.ESTIMATED, Precision.AT_LEAST]
    assert_type(precisions, list[Precision])


def of_reaching(statement: Statement, reach: Reach) -> None:
    assert_type((statement.label, statement.path, statement.line), tuple[str, str, int])
    assert_type((statement.kind, statement.alias), tuple[str, str])
    assert_type(statement.tables, Mapping[str, tuple[str, str]])
    assert_type((statement.aliases, statement.labels), tuple[set[str], set[str]])
    assert_type((statement.is_whole, statement.as_dict()), tuple[bool, dict[str, Any]])
    assert_type((reach.label, reach.migration, reach.target), tuple[str, str, str])
    assert_type((reach.asks_for, reach.is_dependency), tuple[str, bool])
    assert_type((reach.path, reach.line), tuple[str | None, int | None])
    assert_type(reach.as_dict(), dict[str, Any])


def of_tests(error: CrossingQueryError) -> None:
    declare_test_run()
    assert_type(databases_for(Trip, "accounts"), set[str])
    with assert_num_queries({Trip: 1, "accounts": 0}) as nothing:
        assert_type(nothing, None)
    assert_type(error.models, tuple[str, ...])


class Runner(RehearsalRunner):
    def get_databases(self, suite: TestSuite) -> Any:
        return super().get_databases(suite)

    def get_resultclass(self) -> Any:
        return super().get_resultclass()

    def run_checks(self, databases: Any) -> None:
        super().run_checks(databases)

    def suite_result(self, suite: TestSuite, result: Any, **kwargs: Any) -> int:
        return super().suite_result(suite, result, **kwargs)

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        super().add_arguments(parser)


def of_mistakes(model: type[models.Model]) -> None:
    # Each ignored error must be there: an ignore without one is an error itself.
    alias_for(1)  # type: ignore[arg-type]
    get_app_session(None)  # type: ignore[arg-type]
    get_database_url(model)  # type: ignore[arg-type]
    atomic(of_files)  # type: ignore[arg-type]
    get_database_url("driver", True)  # type: ignore[call-arg]
    build_databases(["apps.driver"])  # type: ignore[call-arg]
