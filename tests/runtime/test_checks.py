"""System checks: one test an id, and that each is bound."""

import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import REPOSITORY, Project
from tests.support.servers import Server

ROUTER = 'DATABASE_ROUTERS = ["other.Router"]'


def messages(project: Project, *arguments: str) -> dict[str, str]:
    """Return what ``check`` says, by id."""
    result = project.manage("check", "--fail-level=CRITICAL", *arguments)
    found = re.findall(r"\((appdb_router\.\w+)\) (.*\n.*HINT: .*)", result.stderr)
    return {identifier: " ".join(text.split()) for identifier, text in found}


def test_a_project_as_in_the_readme_has_none(project: Project) -> None:
    assert messages(project) == {}


@pytest.mark.parametrize("routers", ["[]", '["other.Router"]', "[__import__('other').Router()]"])
def test_e001_no_router(project: Project, routers: str) -> None:
    project.write("other.py", "class Router:\n    pass\n")
    project.settings_extra = f"DATABASE_ROUTERS = {routers}"

    assert messages(project) == {
        "appdb_router.E001": "DATABASE_ROUTERS has no AppDatabaseRouter, so every query goes to the"
        " default database. HINT: Add 'appdb_router.routers.AppDatabaseRouter' to DATABASE_ROUTERS."
    }


def test_e001_accepts_a_subclass(project: Project) -> None:
    project.write(
        "other.py",
        "from appdb_router.routers import AppDatabaseRouter\n\n"
        "class Router(AppDatabaseRouter):\n    pass\n",
    )
    project.settings_extra = ROUTER

    assert messages(project) == {}


def test_e002_shadowed_commands(project: Project) -> None:
    project.installed_apps.remove("appdb_router")
    project.installed_apps.append("appdb_router")

    result = project.manage("check", "--fail-level=CRITICAL")

    assert (
        "(appdb_router.E002) The command 'createsuperuser' of"
        " 'django.contrib.auth.management.commands.createsuperuser' is used, which works on the"
        " default database.\n\tHINT: Put 'appdb_router' before 'django.contrib.auth' in"
        " INSTALLED_APPS, or derive the command from that in"
        " appdb_router.management.commands.createsuperuser.\n"
    ) in result.stderr
    assert "(appdb_router.E002) The command 'changepassword'" in result.stderr


def test_e002_accepts_a_derived_command(project: Project) -> None:
    folder = project.app("blog")
    project.write(folder / "management/__init__.py", "")
    project.write(folder / "management/commands/__init__.py", "")
    project.write(
        folder / "management/commands/createsuperuser.py",
        "from appdb_router.management.commands.createsuperuser import Command\n",
    )
    project.installed_apps.insert(0, project.installed_apps.pop())

    assert messages(project) == {}


def test_e002_without_users(project: Project) -> None:
    project.installed_apps = ["appdb_router", "django.contrib.messages"]

    assert messages(project) == {}


def test_w001_a_variable_of_nobody(project: Project) -> None:
    project.env["WAREHOUSE_DATABASE_URL"] = "postgresql://u:s3cr3t@h/n"

    assert messages(project) == {
        "appdb_router.W001": "The environment variable 'WAREHOUSE_DATABASE_URL' belongs to no"
        " installed app. HINT: If it is another service's, pass"
        " ignore=('WAREHOUSE_DATABASE_URL',) to build_databases(); if not, correct its name or"
        " install the app."
    }


def test_w002_tuning_of_an_app_on_the_default(project: Project) -> None:
    project.app("blog", files={"database.py": "CONN_MAX_AGE = 60\n"})

    assert messages(project) == {
        "appdb_router.W002": "blog/database.py tunes the database of 'blog', which has none of its"
        " own. HINT: Give the app a database, or remove the tuning: it is not applied to the"
        " default, which all apps share. Tune that in the query of DATABASE_URL."
    }


def test_w003_an_engine_without_a_pool(project: Project) -> None:
    tuning = 'ENGINE_OPTIONS = {"pool_size": 5, "pool_recycle": 60, "pool_pre_ping": True}\n'
    project.app("blog", files={"database.py": tuning})
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"

    assert messages(project) == {
        "appdb_router.W003": "pool_recycle, pool_size of the database 'blog' have no effect:"
        " 'django.db.backends.sqlite3' has no pool. HINT: Remove them, or set OPTIONS as the engine"
        " wants them."
    }


def test_w004_somebody_elses_database_module(project: Project) -> None:
    elsewhere = project.root.parent / "elsewhere"
    project.app(
        "blog", path=elsewhere, files={"database.py": 'DATABASE_URL = "sqlite:///blog.sqlite3"\n'}
    )

    assert messages(project) == {
        "appdb_router.W004": f"{elsewhere}/blog/database.py names a database for 'blog', and was"
        " not run: it lies outside of the project. HINT: If it is meant for this, pass"
        ' trust=("the app\'s package",) to build_databases().'
    }


def test_w005_the_debug_page(project: Project) -> None:
    project.settings_extra = "del DEFAULT_EXCEPTION_REPORTER_FILTER"

    assert messages(project) == {
        "appdb_router.W005": "Django's debug page and error mails can show the passwords of"
        " databases: in environment variables, and in the frames of a failed connection. HINT: Set"
        " DEFAULT_EXCEPTION_REPORTER_FILTER = 'appdb_router.debug.ExceptionReporterFilter'."
    }


@pytest.fixture
def crowded(
    project: Project,
    postgres: Server,
    database_name: Callable[[str], str],
    role: Callable[..., Any],
) -> Project:
    """Two apps whose role may have 10 connections, and one whose server is down."""
    user = role(postgres, password="s3cr3t-pass")
    postgres.execute(f"ALTER ROLE {user.name} CONNECTION LIMIT 10")
    for label in ("blog", "shop"):
        project.app(label)
        name = database_name(label)
        postgres.execute(f"CREATE DATABASE {name}")
        project.env[f"{label.upper()}_DATABASE_URL"] = postgres.url(
            name, user=user.name, password=user.password
        )
    project.app("dead")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    project.env["DEAD_DATABASE_URL"] = f"postgresql://u:s3cr3t-pass@127.0.0.1:{port}/dead"
    return project


def test_w006_more_than_half_of_what_a_server_allows(crowded: Project, postgres: Server) -> None:
    crowded.settings_extra = 'APPDB_ROUTER = {"WORKERS": 3}'
    user = crowded.env["BLOG_DATABASE_URL"].partition("://")[2].partition(":")[0]

    assert messages(crowded) == {}
    # Both databases count, though one of them is looked at, and nothing else is.
    assert messages(crowded, "--database=blog") == {
        "appdb_router.W006": f"The configuration may open 6 connections for the role {user!r} to"
        f" 127.0.0.1:{postgres.port}, which allows 10. Above half, a release can fail while old and"
        " new processes run side by side. HINT: Make pools smaller, run fewer workers or threads,"
        " or raise the limit. 'manage.py db_list --connections' shows each database. WORKERS is 3"
        " and THREADS is 1 in APPDB_ROUTER or by default."
    }
    assert "(appdb_router.W006)" in crowded.manage("migrate", "--plan", "--database=shop").stderr
    # Exactly half is no more than half.
    crowded.settings_extra = "DATABASES['blog']['OPTIONS']['pool'] = {'max_size': 4}"
    assert messages(crowded, "--database=shop", "--database=default") == {}


def test_w007_a_server_that_cannot_be_asked(crowded: Project) -> None:
    found = messages(crowded, "--database=dead", "--database=shop")

    assert found.keys() == {"appdb_router.W007"}
    assert found["appdb_router.W007"].startswith(
        "The server of 'dead' could not be asked how many connections it allows: connection"
    )
    assert found["appdb_router.W007"].endswith(
        " HINT: Run 'manage.py check --database dead' when it answers."
    )
    assert "s3cr3t" not in found["appdb_router.W007"]


def test_every_id_has_a_test() -> None:
    source = (REPOSITORY / "appdb_router/checks.py").read_text(encoding="utf-8")
    ids = re.findall(r"appdb_router\.([EW]\d{3})", source)

    assert len(ids) == len(set(ids)), "one id for two checks"
    for identifier in ids:
        assert any(name.startswith(f"test_{identifier.lower()}_") for name in globals()), identifier
