"""Opening databases: one connection to a server for all of them, and one to each for its work."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

NOTE = "class Note(models.Model):\n    text = models.CharField(max_length=20)\n"
Names = Callable[[str], str]

COUNT = """
import psycopg

connect, names = psycopg.connect, []

def counted(**parameters):
    names.append(parameters["dbname"])
    return connect(**parameters)

psycopg.connect = counted
"""
RUN = """
import sys
from django.core.management import call_command

call_command("db_init", "--all-apps", "--jobs=1", verbosity=0)
print(*sorted(names))
"""


@pytest.fixture
def names(project: Project, postgres: Server, database_name: Names) -> dict[str, str]:
    """The names of the databases of three apps, which are missing."""
    found = {label: database_name(label) for label in ("main", "blog", "shop")}
    for label in ("blog", "shop"):
        project.app(label, models=NOTE)
    project.makemigrations("blog", "shop")
    for label, name in found.items():
        variable = "DATABASE_URL" if label == "main" else f"{label.upper()}_DATABASE_URL"
        project.env[variable] = postgres.url(name)
    return found


def test_how_often_is_connected(project: Project, names: dict[str, str]) -> None:
    """To each database once, to the server once, and to the core database for content types."""
    first = project.python(COUNT + RUN).stdout
    second = project.python(COUNT + RUN).stdout

    assert first.split() == sorted([*names.values(), names["main"], "postgres"])
    assert second.split() == sorted([*names.values(), "postgres"])


def test_without_the_usual_maintenance_database(
    project: Project, names: dict[str, str], postgres: Server, role: Callable[..., Any]
) -> None:
    """The other one is the template of new databases, and nobody may stay in there."""
    keeper = role(postgres)
    script = """
    from contextlib import closing
    from appdb_router.services import connecting
    from appdb_router.services.servers import Servers

    connecting._MAINTENANCE_DATABASES = ("no_such_database", "template1")
    with closing(Servers()) as servers:
        print(sorted(servers.missing(["default", "blog", "shop"])))
        for server in servers._servers.values():
            print(server._connection)
    """
    for variable, url in project.env.items():
        project.env[variable] = url.replace("postgres@", f"{keeper.name}:{keeper.password}@")

    assert project.python(script).stdout == "['blog', 'default', 'shop']\nNone\n"


def test_a_server_that_cannot_be_asked(project: Project, names: dict[str, str]) -> None:
    project.env["BLOG_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/blog"
    project.env["SHOP_DATABASE_URL"] = "sqlite:///shop.sqlite3"

    result = project.manage("db_init", "--all-apps", "--format=json", check=False)

    status = {item["alias"]: item["status"] for item in json.loads(result.stdout)["databases"]}
    assert status == {"default": "ready", "blog": "failed", "shop": "ready"}


def test_a_connection_that_was_idle_is_opened_again(
    project: Project, names: dict[str, str]
) -> None:
    script = """
from appdb_router.services import opening, servers

opening.FRESH_SECONDS = servers.FRESH_SECONDS = -1
"""

    found = project.python(COUNT + script + RUN).stdout.split()

    assert found.count(names["blog"]) == found.count(names["shop"]) == 2


@pytest.mark.parametrize("core", ["ready", "missing", "empty"])
def test_finished_apps_whose_core_is_not_looked_at(project: Project, core: str) -> None:
    """Content types are asked for in a core database that is not initialised as well."""
    project.app("blog", models=NOTE)
    project.makemigrations("blog")
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"
    project.manage("db_init", "--all-apps")
    if core != "ready":
        (project.root / "db.sqlite3").unlink()
    if core == "empty":
        (project.root / "db.sqlite3").touch()

    result = project.python(
        """
        from appdb_router.services.finishing import find_finished
        print(*find_finished(["blog"]))
        """
    )

    assert result.stdout == ("blog\n" if core == "ready" else "\n")


def test_migrations_that_cannot_be_imported(project: Project) -> None:
    project.app("blog", models=NOTE, migrations={"__init__": "raise ImportError('broken')\n"})

    result = project.manage("db_init", check=False)

    assert "broken" in result.stdout + result.stderr


def test_a_last_look_that_fails_is_taken_again(project: Project, names: dict[str, str]) -> None:
    script = """
from django.db import Error
from appdb_router.services import working

def fail(connection):
    raise Error

working.look_at = fail
"""

    found = project.python(COUNT + script + RUN).stdout.split()

    assert found.count(names["blog"]) == 2
