"""Test runs with `APPDB_REHEARSE`, with Django's runner and with pytest, on real servers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.suite import FUNCTIONS, SERVICES, TESTS, line, write
from tests.support.project import Project, describe
from tests.support.servers import Server

JOIN = (
    "driver.Trip in the database 'driver' cannot be joined with riders.Rider in 'default', as"
    " filter(rider__name=…) asks. Ask in two steps: ids ="
    " fetch_ids(Rider.objects.filter(name=…)); Trip.objects.filter(rider__in=ids) (from"
    " appdb_router.two_steps import fetch_ids)."
)
SUBQUERY = (
    "A subquery on driver.Trip in the database 'driver' is part of a query on another. Ask it"
    " first, and hand over its result: ids = fetch_ids(Trip.objects.filter(name=…)) (from"
    " appdb_router.two_steps import fetch_ids), or list(…) of the values that are needed."
)
SQL = (
    "SQL for 'default' names the table 'driver_trip' of driver.Trip, which is in 'driver'. Ask"
    " connections[alias_for('driver')] for its part, and put both together in Python."
)
JOIN_LINE = line(SERVICES, "# the join")
SQL_LINE = line(SERVICES, "# the SQL")
WRITE_LINE = line(SERVICES, "# the write")
BLOCK_LINE = line(SERVICES, "@transaction.atomic")
SUBQUERY_LINE = JOIN_LINE + 4


def write_message(root: Path) -> str:
    path = root / "driver" / "services.py"
    return (
        f"driver.Trip is written to 'driver' at {path}:{WRITE_LINE}, inside atomic() on 'default'"
        f" ({path}:{BLOCK_LINE}). If that is rolled back, this write stays. Name both apps in one"
        " appdb_router.transaction.atomic(), write when it has committed, with on_commit(), or"
        " allow it: allow_writes('driver', reason=...)."
    )


def expected(root: Path, named: Callable[[str], str], *joins: str) -> dict[str, Any]:
    """Return the report; `named` gives the name of a test, `joins` are more tests that join."""
    tests = ("Queries.test_join", "Queries.test_the_join_again", "Queries.test_what_is_caught")
    places = [
        ("join", ("driver.Trip", "riders.Rider"), ("driver", "default"), JOIN_LINE, JOIN),
        ("join", ("riders.Rider", "driver.Trip"), ("default", "driver"), SUBQUERY_LINE, SUBQUERY),
        ("write", (None, "driver.Trip"), ("default", "driver"), WRITE_LINE, write_message(root)),
        ("sql", (None, "driver.Trip"), ("default", "driver"), SQL_LINE, SQL),
    ]
    found = [sorted([*map(named, tests), *joins])] + [
        [named(name)] for name in ("Queries.test_subquery", "Writes.test_write", "Queries.test_sql")
    ]
    return {
        "rehearsed": ["driver"],
        "findings": [
            {
                "kind": kind,
                "models": list(models),
                "databases": list(aliases),
                "places": [
                    {
                        "file": "driver/services.py",
                        "line": where,
                        # One test asks twice, and one class when it is set up.
                        "count": 5 + max(0, len(joins) - 1) if message is JOIN else 1,
                        "tests": tests_of_it,
                        "message": message,
                    }
                ],
            }
            for (kind, models, aliases, where, message), tests_of_it in zip(
                places, found, strict=True
            )
        ],
        "failures": [
            {
                "error": "AssertionError",
                "file": "driver/tests.py",
                "line": line(TESTS, "# the other failure"),
                "tests": [named("Queries.test_number_of_queries")],
            }
        ],
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("rehearsal") / "project"
    folder.mkdir()
    return write(Project(folder))


@pytest.fixture
def rehearsing(written: Project) -> Iterator[Project]:
    written.env = {"APPDB_REHEARSE": "driver"}
    written.settings_extra = ""
    yield written
    written.env = {}


def report_of(project: Project) -> dict[str, Any]:
    path = project.root / "report.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return found


def run_tests(project: Project, *args: str) -> subprocess.CompletedProcess[str]:
    report = "--appdb-report=json:report.json"
    result = project.manage("test", "driver", report, *args, check=False, timeout=120)
    assert result.returncode == 1, describe(result)
    return result


def run_pytest(
    project: Project, *args: str, plugin: bool = True, check: bool = True
) -> subprocess.CompletedProcess[str]:
    plugins = ["-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:appdb_router"]
    plugins += ["-p", "appdb_router.pytest_plugin"] if plugin else []
    return project.module("pytest", *plugins, *args, check=check, timeout=120)


def test_the_suite_passes_as_it_is(written: Project) -> None:
    result = written.manage("test", "driver")

    assert "Ran 14 tests" in result.stderr
    assert "rehearse" not in result.stdout


TEXT = """
Queries that join or combine tables across databases (CrossingQueryError):
  driver.Trip ('driver') and riders.Rider ('default')
    driver/services.py:{join_line}, 5 times in 3 tests
      {join}
  riders.Rider ('default') and driver.Trip ('driver')
    driver/services.py:{subquery_line}, 1 time in 1 test
      {subquery}

Writes that the open transaction does not cover (UncoveredWriteError):
  atomic() on 'default' and driver.Trip ('driver')
    driver/services.py:{write_line}, 1 time in 1 test
      {write}

SQL that names tables of another database:
  SQL on 'default' and driver.Trip ('driver')
    driver/services.py:{sql_line}, 1 time in 1 test
      {sql}

Other failures; run the tests without APPDB_REHEARSE to see which are old:
  AssertionError, driver/tests.py:{other_line}
    driver.tests.Queries.test_number_of_queries

Lines that break with databases of their own for driver: 4. Other failures: 1.

The report is in report.json.
"""


def test_djangos_runner(rehearsing: Project) -> None:
    result = run_tests(rehearsing, "-v0")

    assert result.stdout == TEXT.format(
        join=JOIN,
        subquery=SUBQUERY,
        sql=SQL,
        write=write_message(rehearsing.root),
        join_line=JOIN_LINE,
        subquery_line=SUBQUERY_LINE,
        write_line=WRITE_LINE,
        sql_line=SQL_LINE,
        other_line=line(TESTS, "# the other failure"),
    )
    assert report_of(rehearsing) == expected(rehearsing.root, "driver.tests.{}".format)
    # Those that break, and no other.
    assert "FAILED (failures=1, errors=7)" in result.stderr


def test_djangos_runner_in_parallel(rehearsing: Project) -> None:
    run_tests(rehearsing, "--parallel=2")

    assert report_of(rehearsing) == expected(rehearsing.root, "driver.tests.{}".format)


def test_the_document_on_the_terminal(rehearsing: Project) -> None:
    arguments = ("driver.tests.Fixtures", "driver.tests.Committed", "driver.tests.Simple")

    result = rehearsing.manage("test", *arguments, "-v0", "--appdb-report=json")

    assert json.loads(result.stdout) == {"rehearsed": ["driver"], "findings": [], "failures": []}
    assert "Ran 4 tests" in result.stderr


def by_node(name: str) -> str:
    return f"driver/tests.py::{name.replace('.', '::')}"


FILES = ("driver/tests.py", "driver/functions.py", "--appdb-report=json:report.json")
FUNCTION = "driver/functions.py::{}".format


def check_pytest(project: Project, result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 1, describe(result)
    # A class that cannot be set up is an error of its test.
    joins = [*map(FUNCTION, ["test_join", "test_expected"]), by_node("Broken.test_never")]
    document = expected(project.root, by_node, *joins)
    shown = {
        "error": "AssertionError",
        "file": "driver/functions.py",
        "line": line(FUNCTIONS, "# shown"),
        "tests": [FUNCTION("test_shown")],
    }
    document["failures"].insert(0, shown)
    assert report_of(project) == document
    assert "Lines that break with databases of their own for driver: 4." in result.stdout


def test_pytest(rehearsing: Project) -> None:
    check_pytest(rehearsing, run_pytest(rehearsing, *FILES, check=False))


def test_pytest_in_parallel(rehearsing: Project) -> None:
    check_pytest(rehearsing, run_pytest(rehearsing, *FILES, "-n2", check=False))


@pytest.mark.parametrize("server", ["postgres", "mariadb"])
def test_a_server(
    rehearsing: Project,
    server: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    found: Server = request.getfixturevalue(server)
    name = database_name("main")
    before = found.databases()
    rehearsing.env["DATABASE_URL"] = found.url(name)

    result = run_tests(rehearsing, "-v2")

    assert report_of(rehearsing) == expected(rehearsing.root, "driver.tests.{}".format)
    assert f"Creating test database for alias 'driver' ('test_{name}_driver')" in result.stderr
    # Nothing but test databases was made, and none is left.
    assert {item for item in found.databases() - before if name in item} == set()
