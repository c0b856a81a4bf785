"""What a migration leaves behind where nothing rolls it back, and what is said about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

INITIAL = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.CharField(max_length=20)),
                ("old", models.IntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            "Elsewhere",
            [("id", models.BigAutoField(primary_key=True))],
            options={"managed": False},
        ),
    ]
"""

CHANGES = """
import os, signal
from django.db import migrations, models

def end(apps, schema_editor):
    {end}

class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("blog", "0001_initial")]
    operations = [
        migrations.AddField("note", "more", models.IntegerField(null=True)),
        migrations.RemoveField("note", "old"),
        migrations.CreateModel(
            "Tag",
            [("id", models.BigAutoField(primary_key=True)), ("n", models.IntegerField())],
        ),
        migrations.RunPython(end, migrations.RunPython.noop),
        migrations.AddIndex("note", models.Index(fields=["more"], name="note_more")),
        migrations.CreateModel("Last", [("id", models.BigAutoField(primary_key=True))]),
    ]
"""

KILL = "os.kill(os.getpid(), signal.SIGKILL)"
FAIL = "raise ValueError('no')"

IN_PART = (
    " blog.0002_changes is applied in part, but not recorded: done: column blog_note.more, column"
    " blog_note.old removed, table blog_tag; not done: index note_more, table blog_last. Either"
    " complete it by hand, its data too, and record it with 'migrate blog 0002_changes --fake"
    " --database blog', or undo by hand what is done. Then run db_init again."
)


def blog(project: Project, url: str) -> None:
    project.app("blog", migrations={"0001_initial": INITIAL})
    project.env["BLOG_DATABASE_URL"] = url
    project.manage("db_init", "--app=blog")


def init(project: Project) -> dict[str, Any]:
    result = project.manage("db_init", "--app=blog", "--format=json", check=False)
    outcome: dict[str, Any] = json.loads(result.stdout)["databases"][0]
    return outcome


@pytest.mark.parametrize(
    ("engine", "atomic"), [("postgres", False), ("mariadb", True), ("mariadb", False)]
)
def test_failed_in_the_middle(
    project: Project,
    engine: str,
    atomic: bool,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    blog(project, request.getfixturevalue(engine).url(database_name("blog")))
    project.write("blog/migrations/0002_changes.py", CHANGES.format(end=FAIL, atomic=atomic))

    assert init(project)["error"] == f"ValueError in blog.0002_changes: no{IN_PART}"


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
def test_killed_in_the_middle(
    project: Project,
    engine: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    """The next run names what is there; done as it says, the one after that finishes."""
    server, name = request.getfixturevalue(engine), database_name("blog")
    blog(project, server.url(name))
    changes = CHANGES.format(end=KILL, atomic=False)
    project.write("blog/migrations/0002_changes.py", changes)
    assert project.manage("db_init", "--app=blog", check=False).returncode == -9
    project.write("blog/migrations/0002_changes.py", changes.replace(KILL, "pass"))

    error = init(project)["error"]
    server.execute("CREATE INDEX note_more ON blog_note (more)", database=name)
    server.execute("CREATE TABLE blog_last (id bigint PRIMARY KEY)", database=name)
    after = init(project)["error"]
    project.manage("migrate", "blog", "0002_changes", "--fake", "--database=blog", "--verbosity=0")

    assert error.endswith(IN_PART)
    assert "blog.0002_changes is applied already, but not recorded: done: column" in after
    assert "; not done: nothing. Either" in after
    assert init(project)["error"] is None


def test_what_was_rolled_back_is_not_spoken_of(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    blog(project, postgres.url(database_name("blog")))
    project.write("blog/migrations/0002_changes.py", CHANGES.format(end=FAIL, atomic=True))

    assert init(project)["error"] == "ValueError in blog.0002_changes: no"


def test_an_invalid_index(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """CREATE INDEX CONCURRENTLY that fails leaves an index that nobody can use."""
    name = database_name("blog")
    blog(project, postgres.url(name))
    postgres.execute("INSERT INTO blog_note VALUES (1, 'x', 1), (2, 'x', 1)", database=name)
    project.write(
        "blog/migrations/0002_index.py",
        """
        from django.db import migrations, models

        class Migration(migrations.Migration):
            atomic = False
            dependencies = [("blog", "0001_initial")]
            operations = [
                migrations.SeparateDatabaseAndState(
                    [
                        migrations.RunSQL(
                            "CREATE UNIQUE INDEX CONCURRENTLY note_text ON blog_note (text)"
                        )
                    ],
                    [
                        migrations.AddConstraint(
                            "note",
                            models.UniqueConstraint(fields=["text"], name="note_text"),
                        )
                    ],
                )
            ]
        """,
    )

    error = init(project)["error"]

    assert error.startswith("IntegrityError in blog.0002_index: could not create unique index")
    assert (
        "done: index note_text; not done: nothing; invalid, to be dropped: note_text. Either"
    ) in error


def test_a_server_that_is_gone_is_not_asked(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("blog")
    blog(project, postgres.url(name))
    project.write(
        "blog/migrations/0002_gone.py",
        f"""
        from django.db import migrations

        def rename(apps, schema_editor):
            import psycopg
            with psycopg.connect({postgres.url("postgres")!r}, autocommit=True) as connection:
                connection.execute("ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            raise ValueError("no")

        class Migration(migrations.Migration):
            dependencies = [("blog", "0001_initial")]
            operations = [migrations.RunPython(rename)]
        """,
    )

    assert init(project)["error"] == "ValueError in blog.0002_gone: no"
