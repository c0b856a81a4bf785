"""The package's executor against Django's own: the same schema, the same rows, from any state."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support import odd_project
from tests.support.project import Project
from tests.support.servers import Server

# Runs in the project. A database is emptied rather than made anew, which is many times faster.
PROGRAM = """
import io, json, sys
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db import router
from appdb_router.services.migrating import migrate
from tests.support.dumps import dump

ARGUMENTS = dict(run_syncdb=True, interactive=False, verbosity=0)

def empty(alias):
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
            return
        quote = connection.ops.quote_name
        with connection.constraint_checks_disabled():
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f"DROP TABLE {quote(table)}")

def forget_modules():
    '''Django's RenameField changes the fields of other migrations, and the next run sees that.'''
    for name in [name for name in sys.modules if ".migrations." in name]:
        if not name.startswith("django."):
            del sys.modules[name]

def prepare(alias, count):
    '''Let Django apply the first migrations of its plan.'''
    empty(alias)
    forget_modules()
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if count:
        MigrationRecorder(connections[alias]).ensure_schema()
        MigrationRecorder(connections[alias]).record_applied("gone", "0001_initial")
        executor.migrate(None, plan=plan[:count])
    return plan

def stock(alias):
    forget_modules()
    call_command("migrate", database=alias, **ARGUMENTS)

def shown(alias):
    out = io.StringIO()
    call_command("showmigrations", database=alias, format="plan", stdout=out)
    return out.getvalue()

def differences(alias, count):
    prepare(alias, count)
    stock(alias)
    expected = dump(connections[alias])
    prepare(alias, count)
    migrate(alias)
    found = dump(connections[alias])
    wrong = {key: [expected.get(key), found.get(key)]
             for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)}
    if not count:
        again, others = migrate(alias), shown(alias)
        stock(alias)
        if again or "[ ]" in others or dump(connections[alias]) != found:
            wrong["again"] = [again, others]
    return wrong

def counts(alias):
    '''Nothing, all but one, and each place in front of something that happens here.'''
    plan = prepare(alias, 0)
    here = {number for number, (migration, _) in enumerate(plan)
            if router.allow_migrate(alias, migration.app_label)}
    return sorted({0, len(plan) - 1, *here})

aliases, from_every_state = %(aliases)r, %(every)r
for alias in aliases:
    empty(alias)
for alias in aliases:
    stock(alias)
result = {}
for alias in aliases:
    for count in counts(alias) if alias in from_every_state else [0]:
        if wrong := differences(alias, count):
            result[f"{alias} from {count}"] = wrong
    # The next ones may read this one.
    empty(alias)
    stock(alias)
print("RESULT" + json.dumps(result, default=str, indent=1))
"""


def compare(project: Project, aliases: list[str], every: Sequence[str] = ()) -> dict[str, Any]:
    """Return what differs, by alias and by the number of migrations that Django had applied.

    They are migrated from nothing, and those in `every` from each state in between as well.
    """
    result = project.python(PROGRAM % {"aliases": aliases, "every": every}, timeout=110)
    found: dict[str, Any] = json.loads(result.stdout.partition("RESULT")[2])
    return found


@pytest.fixture
def url(
    request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Callable[[str, str], str]:
    """A maker of the URLs of new databases."""

    def make(engine: str, label: str) -> str:
        if engine == "sqlite":
            return f"sqlite:///{label}.sqlite3"
        server = request.getfixturevalue(engine)
        name = database_name(label)
        server.execute(f"CREATE DATABASE {server.quote(name)}")
        made: str = server.url(name)
        return made

    return make


@pytest.mark.slow
def test_a_database_for_each_app(
    project: Project, postgres: Server, url: Callable[[str, str], str]
) -> None:
    odd_project.write(project)
    project.env = {"DATABASE_URL": url("postgres", "main")} | {
        f"{name.upper()}_DATABASE_URL": url("postgres", name) for name in odd_project.LABELS
    }

    assert compare(project, ["default", *odd_project.LABELS], ["base", "zoo"]) == {}


@pytest.mark.parametrize("engine", ["postgres", "mariadb", "sqlite"])
def test_most_apps_in_one_database(
    project: Project, engine: str, request: pytest.FixtureRequest, url: Callable[[str, str], str]
) -> None:
    if engine != "sqlite":
        request.getfixturevalue(engine)
    odd_project.write(project)
    project.env = {"DATABASE_URL": url(engine, "main"), "ZOO_DATABASE_URL": url(engine, "zoo")}

    assert compare(project, ["default", "zoo"]) == {}


def test_the_plain_way(project: Project) -> None:
    odd_project.write(project)

    first = project.manage("db_init", "--executor=django", "--verbosity=2").stdout
    second = project.manage("db_init", "--executor=django").stdout

    assert "Applying zoo.0005_not_atomic... OK" in first
    assert second.endswith("Nothing had to be done.\n")
