"""Fixtures: real database servers, names and roles that clean up after themselves, projects."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
from collections.abc import Callable, Generator, Iterator
from compileall import compile_dir
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.embedded import Cluster
from tests.support.pgbouncer import find_pgbouncer, running_pgbouncer
from tests.support.project import REPOSITORY, Project
from tests.support.servers import (
    MYSQL_VARIABLE,
    POSTGIS_VARIABLE,
    POSTGRES_VARIABLES,
    Server,
    fragile_postgres,
    named_servers,
    postgres_in_environment,
)
from tests.support.silence import Link, can_be_silent, far_postgres

# How long an example takes says more of the machine than of the code. New examples are looked for
# on developers' machines: in CI, a change is judged by the same examples as the change before.
settings.register_profile(
    "appdb_router", database=None, deadline=None, derandomize="CI" in os.environ
)
settings.load_profile("appdb_router")

# A shell starts its background jobs with Ctrl-C ignored, and processes under test would inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATABASE_FIXTURES = {"far_server", "mariadb", "pgbouncer", "postgis", "postgres", "postgres_2"}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the servers once, before the workers of a parallel run are started."""
    config = session.config
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    # A run that is told to terminate ends as after Ctrl-C, so that its servers are stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # As where it is installed. Each of the many processes would compile it anew: they write none.
    compile_dir(REPOSITORY / "appdb_router", quiet=1)
    servers = ExitStack()
    config.add_cleanup(servers.close)
    servers.enter_context(postgres_in_environment())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped database test into a failure on CI, where every server must be there."""
    report = yield
    uses_database = DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    if uses_database and _skipped_on_ci(report):
        report.outcome = "failed"
        report.longrepr = f"a database test was skipped on CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped module into a failure on CI: it may hold database tests."""
    report = yield
    if _skipped_on_ci(report):
        report.outcome = "failed"
        report.longrepr = f"a module was skipped on CI: {report.longrepr}"
    return report


def _skipped_on_ci(report: pytest.TestReport | pytest.CollectReport) -> bool:
    # An expected failure is reported as skipped too; that one is fine.
    return bool(os.environ.get("CI")) and report.skipped and not hasattr(report, "wasxfail")


@pytest.fixture(scope="session")
def postgres() -> Server:
    return Server.from_url(os.environ[POSTGRES_VARIABLES[0]])


@pytest.fixture(scope="session")
def postgres_2() -> Server:
    return Server.from_url(os.environ[POSTGRES_VARIABLES[1]])


@pytest.fixture(scope="session")
def fragile_server() -> Iterator[tuple[Server, Cluster]]:
    with fragile_postgres() as found:
        yield found


@pytest.fixture
def far_server() -> Iterator[tuple[Server, Link]]:
    """A PostgreSQL server behind a network that can go silent."""
    if not can_be_silent():
        pytest.skip("only root makes a network that goes silent")
    with far_postgres() as found:
        yield found


@pytest.fixture
def fragile(fragile_server: tuple[Server, Cluster]) -> Iterator[tuple[Server, Cluster]]:
    """A PostgreSQL server that a test may kill and freeze; the next test finds it running."""
    yield fragile_server
    cluster = fragile_server[1]
    if cluster.is_there():
        cluster.thaw()
    else:
        cluster.start()


@pytest.fixture(scope="session")
def logical_cluster() -> Iterator[tuple[Server, Cluster]]:
    settings = {
        "wal_level": "logical",
        # What was acknowledged is there after a crash.
        "synchronous_commit": "on",
        # A slot that is made waits for its transactions too.
        "autovacuum": "off",
    }
    with fragile_postgres(settings) as found:
        yield found


@pytest.fixture
def logical(logical_cluster: tuple[Server, Cluster]) -> Iterator[Server]:
    """A PostgreSQL server with `wal_level=logical`, which a test may kill."""
    yield logical_cluster[0]
    if not logical_cluster[1].is_there():
        logical_cluster[1].start()


@pytest.fixture(scope="session")
def mariadb() -> Server:
    return _named_server(MYSQL_VARIABLE)


@pytest.fixture(scope="session")
def postgis() -> Server:
    return _named_server(POSTGIS_VARIABLE)


def _named_server(variable: str) -> Server:
    url = os.environ.get(variable)
    if not url:
        pytest.skip(f"{variable} is not set")
    return Server.from_url(url)


@pytest.fixture
def pgbouncer(postgres: Server, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A starter of PgBouncers in front of `postgres`: `pgbouncer(mode="session")`."""
    if find_pgbouncer() is None:
        pytest.skip("pgbouncer is not installed")
    with ExitStack() as running:
        yield lambda **options: running.enter_context(
            running_pgbouncer(postgres, tmp_path, **options)
        )


@pytest.fixture(scope="session")
def unique(worker_id: str, testrun_uid: str) -> Callable[[str], str]:
    """A maker of names that no other worker, and no other run on the same server, uses."""
    numbers = itertools.count(1)

    def make(suffix: str) -> str:
        return f"appdb_{testrun_uid[:6]}_{worker_id}_{next(numbers)}_{suffix}"

    return make


@dataclass(frozen=True)
class Role:
    """A login role on a server."""

    name: str
    password: str


@pytest.fixture
def role(unique: Callable[[str], str]) -> Iterator[Callable[..., Role]]:
    """A maker of login roles: `role(server, createdb=True)`; they are dropped after the test."""
    made: list[tuple[Server, Role]] = []

    def make(server: Server, *, password: str | None = None, createdb: bool = False) -> Role:
        new = Role(unique("role"), password or secrets.token_hex(12))
        server.create_role(new.name, new.password, createdb=createdb)
        made.append((server, new))
        return new

    yield make
    for server, old in made:
        server.drop_role(old.name)


@pytest.fixture
def database_name(
    unique: Callable[[str], str],
    role: Callable[..., Role],  # set up first, so that owners are dropped after their databases
) -> Iterator[Callable[[str], str]]:
    """A maker of names: databases with one in theirs, as in `test_…`, are dropped at the end."""
    made: set[str] = set()

    def make(suffix: str) -> str:
        name = unique(suffix)
        made.add(name)
        return name

    yield make
    for server in named_servers() if made else ():
        for found in server.databases():
            if any(name in found for name in made):
                server.drop(found)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)
