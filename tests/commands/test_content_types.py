"""Content types and permissions of apps in other databases than theirs."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.support.odd_project import ID, migration
from tests.support.project import Project
from tests.support.servers import Server

CREATE = migration(f'operations = [migrations.CreateModel("Note", [{ID}])]')
RENAME = migration(
    """
dependencies = [("blog", "0001_initial")]
operations = [migrations.RenameModel("Note", "Draft"), migrations.RenameModel("Draft", "Post")]
"""
)
SWAP = migration(
    f"""
dependencies = [("blog", "0002_rename")]
operations = [
    migrations.CreateModel("Other", [{ID}]),
    migrations.RenameModel("Post", "Kept"),
    migrations.RenameModel("Other", "Post"),
    migrations.RenameModel("Kept", "Other"),
]
"""
)
NOTE = "class Note(models.Model):\n    pass\n"
POST = "class Post(models.Model):\n    pass\n"
BOTH = POST + "class Other(models.Model):\n    pass\n"


@pytest.fixture
def names(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> dict[str, str]:
    """A project whose core is the default, with an app in another database."""
    names = {label: database_name(label) for label in ("main", "blog")}
    for name in names.values():
        postgres.execute(f"CREATE DATABASE {name}")
    project.app("blog", models=NOTE, migrations={"0001_initial": CREATE})
    project.env = {
        "DATABASE_URL": postgres.url(names["main"]),
        "BLOG_DATABASE_URL": postgres.url(names["blog"]),
    }
    return names


def content_types(server: Server, names: dict[str, str]) -> dict[str, int]:
    """Return the content types of the blog and how many permissions each has."""
    rows = server.fetch(
        "SELECT model, t.id, count(p.id) FROM django_content_type t LEFT JOIN auth_permission p"
        " ON p.content_type_id = t.id WHERE app_label = 'blog' GROUP BY 1, 2",
        database=names["main"],
    )
    assert all(count for _, _, count in rows)
    return {model: number for model, number, _ in rows}


def change(project: Project, models: str, **migrations: str) -> None:
    project.write("blog/models.py", f"from django.db import models\n\n{models}")
    for name, text in migrations.items():
        project.write(f"blog/migrations/{name}.py", text)


def test_one_app_alone(project: Project, postgres: Server, names: dict[str, str]) -> None:
    refused = project.manage("db_init", "--app", "blog", check=False)
    project.manage("migrate", "--verbosity=0")
    postgres.execute("DELETE FROM auth_permission", database=names["main"])
    postgres.execute("DELETE FROM django_content_type", database=names["main"])
    shown = project.manage("db_init", "--app", "blog", "--discover")
    done = project.manage("db_init", "--app", "blog")
    again = project.manage("db_init", "--app", "blog", "--verbosity=0")

    assert refused.returncode == 1
    assert (
        "blog: failed: The database 'default', which holds the content types and permissions of"
        " all apps, is not initialised. Initialise it first, with 'db_init --app contenttypes', or"
        " all with 'db_init --all-apps'."
    ) in refused.stdout
    announced = (
        "New content types and permissions of blog are written to the database 'default', where"
        " those of all apps are.\n"
    )
    assert shown.stdout.startswith(announced)
    assert (
        done.stdout == f"{announced}blog: already there, 2 migrations applied\n1 database ready.\n"
    )
    assert content_types(postgres, names).keys() == {"note"}
    assert again.stdout == ""


def test_written_when_only_they_are_missing(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    project.manage("db_init", "--all-apps")
    postgres.execute("DELETE FROM auth_permission", database=names["main"])

    project.manage("db_init", "--app", "blog")

    assert content_types(postgres, names).keys() == {"note"}


@pytest.mark.parametrize("command", ["db_init", "migrate"])
@pytest.mark.parametrize("order", ["default blog", "blog default", "blog"])
def test_renaming_keeps_them(
    project: Project, postgres: Server, names: dict[str, str], command: str, order: str
) -> None:
    project.manage("db_init", "--all-apps")
    before = content_types(postgres, names)
    change(project, BOTH, **{"0002_rename": RENAME, "0003_swap": SWAP})

    for alias in order.split():
        if command == "migrate":
            project.manage("migrate", "--database", alias)
        else:
            project.manage("db_init", "--app", "auth" if alias == "default" else alias)
    after = content_types(postgres, names) if command == "db_init" else None
    project.manage("db_init", "--all-apps")

    found = content_types(postgres, names)
    assert found.keys() == {"other", "post"}
    assert found["other"] == before["note"]
    assert after in (None, found)
    rows = postgres.fetch(
        "SELECT name FROM django_migrations WHERE app = 'blog' ORDER BY id", database=names["main"]
    )
    assert rows == [("0001_initial",), ("0002_rename",), ("0003_swap",)]


def test_killed_between_the_two_databases(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    """The content types are committed before the app's own database, which is then not changed."""
    project.manage("db_init", "--all-apps")
    before = content_types(postgres, names)
    change(project, BOTH, **{"0002_rename": RENAME, "0003_swap": SWAP})
    program = """
        import os, signal
        from appdb_router.services import renaming
        from appdb_router.services.migrating import migrate

        record = renaming._record_on_core

        def record_and_die(alias, key):
            record(alias, key)
            os.kill(os.getpid(), signal.SIGKILL)

        renaming._record_on_core = record_and_die
        migrate("blog")
    """

    killed = project.python(program, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert "blog_note" in postgres.tables(names["blog"])
    assert content_types(postgres, names) == {"post": before["note"]}
    project.manage("db_init", "--all-apps")

    assert {"blog_post", "blog_other"} <= postgres.tables(names["blog"])
    assert content_types(postgres, names)["other"] == before["note"]


def test_renaming_back(project: Project, postgres: Server, names: dict[str, str]) -> None:
    project.manage("db_init", "--all-apps")
    before = content_types(postgres, names)
    change(project, POST, **{"0002_rename": RENAME})
    project.manage("db_init", "--all-apps")

    for alias in ("blog", "default"):
        project.manage("migrate", "blog", "0001", "--database", alias, "--verbosity=0")

    assert content_types(postgres, names)["note"] == before["note"]


def test_renaming_before_the_core_is_there(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    change(project, POST, **{"0002_rename": RENAME})

    project.manage("migrate", "--database", "blog", "--verbosity=0")
    project.manage("migrate", "--verbosity=0")

    assert content_types(postgres, names).keys() == {"post"}


def test_renaming_while_the_core_lacks_what_is_depended_on(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    project.manage("db_init", "--all-apps")
    late = RENAME.replace(
        '("blog", "0001_initial")', '("blog", "0001_initial"), ("late", "0001_initial")'
    )
    project.app("late", migrations={"0001_initial": migration("operations = []")})
    change(project, POST, **{"0002_rename": late})

    result = project.manage("migrate", "--database", "blog", "--verbosity=0", check=False)

    assert (
        "blog.0002_rename renames a model whose content type is in the database 'default', which"
        " lacks late.0001_initial. Migrate 'default' first."
    ) in result.stderr
    assert "blog_note" in postgres.tables(names["blog"])


def test_a_stale_content_type_in_the_way(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    project.manage("db_init", "--all-apps")
    before = content_types(postgres, names)
    postgres.execute(
        "INSERT INTO django_content_type (app_label, model) VALUES ('blog', 'post')",
        database=names["main"],
    )
    change(project, POST, **{"0002_rename": RENAME})

    project.manage("migrate", "--database", "blog", "--verbosity=0")

    rows = postgres.fetch(
        "SELECT model FROM django_content_type WHERE app_label = 'blog' AND model != 'post'",
        database=names["main"],
    )
    assert rows == [("draft",)]
    assert before


def test_renaming_while_the_core_is_gone(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    """Its tables were lost: there is nothing to rename, and that is found out elsewhere."""
    project.manage("db_init", "--all-apps")
    postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database=names["main"])
    change(project, POST, **{"0002_rename": RENAME})

    project.manage("migrate", "--database", "blog", "--verbosity=0")

    assert "blog_post" in postgres.tables(names["blog"])


def test_renaming_without_permissions(project: Project) -> None:
    project.installed_apps = ["appdb_router", "django.contrib.contenttypes"]
    project.app("blog", models=NOTE, migrations={"0001_initial": CREATE})
    project.env = {"BLOG_DATABASE_URL": "sqlite:///blog.sqlite3"}
    project.settings_extra = "MIDDLEWARE = []\nTEMPLATES = []\n"
    project.manage("db_init", "--all-apps")
    change(project, POST, **{"0002_rename": RENAME})

    project.manage("migrate", "--database", "blog", "--verbosity=0")

    with closing(sqlite3.connect(project.root / "db.sqlite3")) as database:
        query = "SELECT model FROM django_content_type WHERE app_label = 'blog'"
        assert database.execute(query).fetchall() == [("post",)]


def test_a_core_that_is_no_file_yet(project: Project) -> None:
    """Asking whether it is initialised does not create it."""
    project.app("blog", models=NOTE, migrations={"0001_initial": CREATE})
    project.env = {"BLOG_DATABASE_URL": "sqlite:///blog.sqlite3"}

    result = project.manage("db_init", "--app", "blog", check=False)

    assert "The database 'default', which holds the content types" in result.stdout
    assert not (project.root / "db.sqlite3").exists()


def test_an_app_without_models_lacks_no_content_types(project: Project) -> None:
    result = project.python(
        """
        from django.core.management import call_command
        from django.db.migrations.state import ProjectState
        from appdb_router.services.content_types import missing_labels

        call_command("migrate", verbosity=0)
        print(missing_labels("default", ["messages"], ProjectState().apps))
        """
    )

    assert result.stdout == "[]\n"


def test_without_content_types(project: Project) -> None:
    project.installed_apps = ["appdb_router"]
    project.app("blog", models=NOTE, migrations={"0001_initial": CREATE})
    project.env = {"BLOG_DATABASE_URL": "sqlite:///blog.sqlite3"}
    project.settings_extra = "MIDDLEWARE = []\nTEMPLATES = []\n"

    result = project.manage("db_init", "--app", "blog")

    assert result.stdout == "blog: created, 2 migrations applied\n1 database ready.\n"
