"""Direct URLs, and poolers: a real PgBouncer stands in front of the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

SECRET = "s3cr3t-direct"
NOTE = "class Note(models.Model):\n    text = models.CharField(max_length=20)\n"
SHARED = (
    "The {which} of 'default' leads through a pooler in transaction mode, such as PgBouncer: a"
    " session of the server is shared with other clients, so that it can hold no lock. {remedy}"
    " DATABASE_DIRECT_URL, the URL that goes to the server itself."
)
ELSEWHERE = (
    "The direct URL of 'default' leads to another database than its usual URL. Correct one of"
    " them; nothing was changed in either."
)

Starter = Callable[..., Server]
Names = Callable[[str], str]


def init(project: Project, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = project.manage("db_init", "--format=json", *arguments, check=False)
    assert SECRET not in result.stdout + result.stderr
    return result.returncode, json.loads(result.stdout)["databases"][0]


@pytest.mark.parametrize("round_robin", [False, True])
def test_a_pooler_in_transaction_mode_is_recognised(
    project: Project,
    postgres: Server,
    pgbouncer: Starter,
    database_name: Names,
    round_robin: bool,
) -> None:
    pooler = pgbouncer(round_robin=round_robin)
    name = database_name("main")
    postgres.execute(f"CREATE DATABASE {name}")
    project.env["DATABASE_URL"] = pooler.url(name)

    code, outcome = init(project)

    assert code == 1
    assert outcome["error"] == SHARED.format(which="URL", remedy="Set")
    assert postgres.tables(name) == set()


def test_a_direct_url_that_is_a_poolers(
    project: Project, postgres: Server, pgbouncer: Starter, database_name: Names
) -> None:
    pooler = pgbouncer()
    name = database_name("main")
    postgres.execute(f"CREATE DATABASE {name}")
    project.env["DATABASE_URL"] = postgres.url(name)
    project.env["DATABASE_DIRECT_URL"] = pooler.url(name)

    code, outcome = init(project)

    assert (code, outcome["error"]) == (1, SHARED.format(which="direct URL", remedy="Correct"))


def test_a_pooler_in_session_mode_will_do(
    project: Project, postgres: Server, pgbouncer: Starter, database_name: Names
) -> None:
    pooler = pgbouncer(mode="session")
    name = database_name("main")
    project.env["DATABASE_URL"] = pooler.url(name)

    assert init(project)[0] == 0
    assert "auth_user" in postgres.tables(name)


def test_past_the_pooler(
    project: Project,
    postgres: Server,
    pgbouncer: Starter,
    database_name: Names,
    role: Callable[..., Any],
) -> None:
    """Creating, locking and migrating go to the server, as another user; queries do not."""
    owner = role(postgres, createdb=True, password=SECRET)
    name = database_name("blog")
    pooler = pgbouncer(databases={"by_another_name": name})
    project.app("blog", models=NOTE)
    project.makemigrations("blog")
    # The core alias, where the content types of all apps are.
    project.manage("db_init")
    project.env = {
        "BLOG_DATABASE_URL": pooler.url("by_another_name"),
        "BLOG_DATABASE_DIRECT_URL": postgres.url(name, user=owner.name, password=SECRET),
    }

    missing = project.manage("db_init", "--discover", "--app=blog").stdout
    first = init(project, "--app=blog")
    second = init(project, "--app=blog")
    query = project.python(
        """
        from django.db import connection, connections
        from blog.models import Note
        from appdb_router.services.connecting import separate_connection

        Note.objects.create(text="x")
        with connections["blog"].cursor() as cursor:
            cursor.execute("SELECT current_user")
            print(*cursor.fetchone(), connections["blog"].settings_dict["PORT"])
        """
    )

    assert missing.endswith("blog: would be created and migrated\n")
    assert first[1] == {
        "alias": "blog",
        "status": "ready",
        "created": True,
        "applied_migrations": ["appdb_router.0001_initial", "blog.0001_initial"],
        "error": None,
    }
    assert second[1] == {**first[1], "created": False, "applied_migrations": []}
    owned = "SELECT tableowner FROM pg_tables WHERE tablename = 'blog_note'"
    assert postgres.fetch(owned, database=name) == [(owner.name,)]
    assert query.stdout == f"postgres {pooler.port}\n"


def test_the_usual_connection_is_back_afterwards(
    project: Project, postgres: Server, database_name: Names
) -> None:
    name = database_name("main")
    project.env["DATABASE_URL"] = postgres.url(name)
    project.env["DATABASE_DIRECT_URL"] = postgres.url(name, application_name="direct")

    result = project.python(
        """
        from django.db import connections
        from appdb_router.services.initialising import initialise_one

        usual = connections["default"]
        print(initialise_one("default").error)
        print(connections["default"] is usual)
        with usual.cursor() as cursor:
            cursor.execute("SHOW application_name")
            print(*cursor.fetchone())
        """
    )

    assert result.stdout == "None\nTrue\n\n"


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
@pytest.mark.parametrize("is_there", [True, False])
def test_another_database(
    project: Project,
    engine: str,
    is_there: bool,
    request: pytest.FixtureRequest,
    database_name: Names,
) -> None:
    server = request.getfixturevalue(engine)
    usual, direct = database_name("usual"), database_name("direct")
    project.env = {"DATABASE_URL": server.url(usual), "DATABASE_DIRECT_URL": server.url(direct)}
    server.execute(f"CREATE DATABASE {usual}")
    if is_there:
        server.execute(f"CREATE DATABASE {direct}")

    code, outcome = init(project)

    assert (code, outcome["error"]) == (1, ELSEWHERE)
    assert (direct in server.databases()) is is_there
    assert server.tables(usual) == set()


def test_another_server(
    project: Project, postgres: Server, postgres_2: Server, database_name: Names
) -> None:
    """Two servers may have databases of one name, as production and its copy do."""
    name = database_name("main")
    for server in (postgres, postgres_2):
        server.execute(f"CREATE DATABASE {name}")
    project.env["DATABASE_URL"] = postgres.url(name)
    project.env["DATABASE_DIRECT_URL"] = postgres_2.url(name)

    code, outcome = init(project, "--no-migrate")

    assert (code, outcome["error"]) == (1, ELSEWHERE)


def test_on_mariadb(project: Project, mariadb: Server, database_name: Names) -> None:
    name = database_name("main")
    project.env["DATABASE_URL"] = mariadb.url(name)
    project.env["DATABASE_DIRECT_URL"] = mariadb.url(name, host="localhost")

    code, outcome = init(project)

    assert (code, outcome["error"]) == (0, None)


def test_schemas(project: Project, postgres: Server, database_name: Names) -> None:
    name = database_name("main")
    usual, other = (postgres.url(name, currentSchema=schema) for schema in ("mine", "other"))
    project.env = {"DATABASE_URL": usual, "DATABASE_DIRECT_URL": other}

    _, outcome = init(project)
    assert outcome["error"] == (
        "The direct URL of 'default' makes tables in the schema 'other', and the usual one looks"
        " for them in None. Give both the same currentSchema."
    )
    assert postgres.tables(name) == set()
    project.env["DATABASE_DIRECT_URL"] = usual
    assert init(project)[1]["error"] is None


def test_the_password_is_masked(
    project: Project, postgres: Server, database_name: Names, role: Callable[..., Any]
) -> None:
    owner = role(postgres, createdb=True, password=SECRET)
    name = database_name("main")
    project.app(
        "blog",
        migrations={
            "0001_initial": """
                from django.db import migrations

                def fail(apps, schema_editor):
                    raise ValueError(schema_editor.connection.settings_dict["PASSWORD"])

                class Migration(migrations.Migration):
                    operations = [migrations.RunPython(fail)]
            """
        },
    )
    project.env["DATABASE_URL"] = postgres.url(name)
    project.env["DATABASE_DIRECT_URL"] = postgres.url(name, user=owner.name, password=SECRET)

    _, outcome = init(project)

    assert outcome["error"] == "ValueError in blog.0001_initial: ***"
