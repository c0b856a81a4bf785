"""Limits for the statements of migrations."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import psycopg
import pytest

from tests.support.project import Project
from tests.support.servers import Server

INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.CharField(max_length=20)),
            ],
        ),
    ]
"""

ADD_FIELD = """
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("blog", "0001_initial")]
    operations = [migrations.AddField("note", "more", models.IntegerField(null=True))]
"""

SQL = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("blog", "0001_initial")]
    operations = [migrations.RunSQL("{statement}")]
"""

WAITED = (
    " Another session holds a lock on what the migration changes. Wait until it is done, or end it,"
    " and run db_init again; or give a longer --lock-wait."
)
TOOK_LONG = " If the statement needs more time, give a longer --statement-timeout, or none."


@pytest.fixture
def blog(project: Project) -> Project:
    # Without models, whose content types would have to be on the core alias first.
    project.app("blog", migrations={"0001_initial": INITIAL})
    return project


def init(project: Project, *arguments: str) -> str | None:
    """Initialise the database of ``blog`` and return its error."""
    result = project.manage("db_init", "--app=blog", "--format=json", *arguments, check=False)
    error: str | None = json.loads(result.stdout)["databases"][0]["error"]
    assert result.returncode == (1 if error else 0)
    return error


@contextmanager
def in_use_on_postgresql(server: Server, name: str) -> Iterator[None]:
    """Read the table in a transaction, as a long report does."""
    connection = psycopg.connect(host=server.host, port=server.port, user=server.user, dbname=name)
    with closing(connection):
        connection.execute("SELECT * FROM blog_note")
        yield


@contextmanager
def in_use_on_mysql(server: Server, name: str) -> Iterator[None]:
    with server._cursor(name) as cursor:
        cursor.execute("LOCK TABLES blog_note READ")
        yield


@pytest.mark.parametrize(
    ("engine", "in_use", "fact"),
    [
        (
            "postgres",
            in_use_on_postgresql,
            "OperationalError in blog.0002_more: canceling statement due to lock",
        ),
        (
            "mariadb",
            in_use_on_mysql,
            "OperationalError in blog.0002_more: (1205, 'Lock wait timeout exceeded;",
        ),
    ],
)
def test_lock_wait(
    blog: Project,
    engine: str,
    in_use: Callable[[Server, str], AbstractContextManager[None]],
    fact: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    server, name = request.getfixturevalue(engine), database_name("blog")
    blog.env["BLOG_DATABASE_URL"] = server.url(name)
    assert init(blog) is None
    blog.write("blog/migrations/0002_more.py", ADD_FIELD)

    with in_use(server, name):
        error = init(blog, "--lock-wait=0.3")

    assert error is not None
    assert error.startswith(fact)
    assert error.endswith(WAITED)
    assert init(blog, "--lock-wait=30") is None


def test_lock_wait_on_sqlite(blog: Project) -> None:
    blog.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"
    assert init(blog) is None
    blog.write("blog/migrations/0002_more.py", ADD_FIELD)

    with closing(sqlite3.connect(blog.root / "blog.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        error = init(blog, "--lock-wait=0.1")

    assert error == f"OperationalError: database is locked{WAITED}"


@pytest.mark.parametrize(
    ("engine", "statement", "fact"),
    [
        (
            "postgres",
            "SELECT pg_sleep(60)",
            "OperationalError in blog.0002_slow: canceling statement due to stat",
        ),
        (
            "mariadb",
            "SELECT SLEEP(60)",
            "OperationalError in blog.0002_slow: (1969, 'Query execution was interrup",
        ),
    ],
)
def test_statement_timeout(
    blog: Project,
    engine: str,
    statement: str,
    fact: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    blog.env["BLOG_DATABASE_URL"] = request.getfixturevalue(engine).url(database_name("blog"))
    assert init(blog, "--statement-timeout=10") is None
    blog.write("blog/migrations/0002_slow.py", SQL.format(statement=statement))

    error = init(blog, "--statement-timeout=0.5")

    assert error is not None
    assert error.startswith(fact)
    assert error.endswith(TOOK_LONG)


def test_sqlite_has_no_limit_for_statements(blog: Project) -> None:
    blog.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"

    assert init(blog, "--statement-timeout=5") == (
        "SQLite has nothing that --statement-timeout could set. Leave it out."
    )


def test_the_limits_outlast_a_connection(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """They are set again when a migration closes its connection, and nowhere else."""
    name = database_name("main")
    project.env["DATABASE_URL"] = postgres.url(name)
    postgres.execute(f"CREATE DATABASE {name}")
    result = project.python(
        """
        from django.db import connections
        from appdb_router.services.migration_session import migration_session
        from appdb_router.services.timeouts import Timeouts

        def show():
            with connections["default"].cursor() as cursor:
                cursor.execute("SHOW lock_timeout")
                before = cursor.fetchone()[0]
                cursor.execute("SHOW statement_timeout")
                print(before, *cursor.fetchone())

        with migration_session("default", Timeouts(lock_wait=2, statement=1.5)):
            show()
            connections["default"].close()
            show()
        show()
        """
    )

    assert result.stdout == "2s 1500ms\n2s 1500ms\n0 0\n"


@pytest.mark.parametrize("text", ["0", "0.0", "-1", "nan", "inf", "soon"])
def test_what_is_no_limit(project: Project, text: str) -> None:
    result = project.manage("db_init", f"--lock-wait={text}", check=False)

    assert result.returncode == 2
    assert f"{text!r} is not a number of seconds above 0" in result.stderr
