"""Foreign keys into another database in migrations: columns without constraints, by any command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.relations.conftest import Tied
from tests.support import crossing
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

CONSTRAINTS = """
import json
from django.db import connections

def constraints(alias, table):
    connection = connections[alias]
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, table)
    columns = {item["columns"][0] for item in found.values() if len(item["columns"]) == 1}
    return {
        column: [
            any(i["index"] or i["unique"] for i in found.values() if i["columns"] == [column]),
            any(i["foreign_key"] for i in found.values() if i["columns"] == [column]),
        ]
        for column in columns
    }
"""


def constraints(project: Project, alias: str, table: str) -> dict[str, Any]:
    """Return for each column of a table whether it has an index, and whether a foreign key."""
    result = project.python(f"{CONSTRAINTS}\nprint(json.dumps(constraints({alias!r}, {table!r})))")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_crossing_key_is_an_indexed_column(tied: Tied) -> None:
    found = constraints(tied.project, "blog", "blog_post")
    between = constraints(tied.project, "blog", "blog_post_readers")

    assert found["author_id"] == [True, False]
    assert found["editor_id"] == [True, False]
    assert between["person_id"] == [True, False]
    assert between["post_id"][1] is True
    assert constraints(tied.project, "blog", "blog_comment")["post_id"][1] is True


def test_there_is_nothing_to_make(tied: Tied) -> None:
    result = tied.project.manage("makemigrations", "--check", "--dry-run")

    assert result.stdout == "No changes detected\n"


def test_sqlmigrate_shows_what_is_done(on_postgres: Tied) -> None:
    sql = on_postgres.project.manage("sqlmigrate", "blog", "0001", "--database=blog").stdout

    assert "people_person" not in sql
    assert "REFERENCES" in sql
    assert '"author_id" bigint NOT NULL' in sql


CHANGES = {
    "people": {
        "0002_change": """
            from django.db import migrations, models

            class Migration(migrations.Migration):
                dependencies = [("people", "0001_initial"), ("blog", "0001_initial")]
                operations = [
                    migrations.AlterField("person", "name", models.CharField(
                        max_length=90, unique=True)),
                    migrations.RenameModel("Person", "Human"),
                    migrations.AlterField("human", "id", models.IntegerField(primary_key=True)),
                ]
        """
    },
    "blog": {
        "0002_change": """
            from django.db import migrations, models

            class Migration(migrations.Migration):
                dependencies = [("blog", "0001_initial"), ("people", "0002_change")]
                operations = [
                    migrations.AddField("post", "checker", models.ForeignKey(
                        "people.Human", models.CASCADE, null=True, related_name="checked")),
                    migrations.AlterField("post", "author", models.ForeignKey(
                        "people.Human", models.CASCADE, null=True, related_name="posts")),
                    migrations.RenameModel("Comment", "Remark"),
                    migrations.AddField("profile", "friends", models.ManyToManyField(
                        "people.Human", related_name="friends_of")),
                    migrations.RemoveField("note", "left"),
                ]
        """
    },
}


@pytest.mark.parametrize("engine", ["sqlite", "postgres", "mariadb"])
@pytest.mark.parametrize("order", [("people", "blog"), ("blog", "people")])
def test_changes_of_both_sides(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    engine: str,
    order: tuple[str, str],
) -> None:
    crossing.write(project, places(project, request, database_name, engine))
    project.manage("db_init", "--all-apps", "--verbosity=0")
    write(project, CHANGES)

    for label in order:
        project.manage("migrate", "--database", label, "--verbosity=0")

    changed = constraints(project, "blog", "blog_post")
    assert changed["checker_id"] == [True, False]
    assert changed["author_id"] == [True, False]
    assert constraints(project, "blog", "blog_profile_friends")["human_id"] == [True, False]
    assert constraints(project, "blog", "blog_remark")["post_id"][1] is True
    assert "left_id" not in constraints(project, "blog", "blog_note")
    assert "id" in constraints(project, "people", "people_human")


ARCHIVE = """
DATABASES["archive"] = {
    "ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "archive.sqlite3",
}
DATABASE_ROUTERS.insert(0, "archiving.Router")
"""
ROUTER = """
class Router:
    def allow_migrate(self, db, label, **hints):
        return db == "archive" or None
"""


def test_a_database_that_was_added_by_hand(project: Project) -> None:
    crossing.write(
        project, crossing.urls(lambda label: f"sqlite:///{project.root / label}.sqlite3")
    )
    project.settings_extra = ARCHIVE
    project.write("archiving.py", ROUTER)
    write(project, CHANGES)

    project.manage("migrate", "--database=archive", "--verbosity=0")

    # All its tables are together, so it is altered, and has constraints, as Django does it.
    changed = constraints(project, "archive", "blog_post")
    assert changed["checker_id"] == [True, True]
    assert changed["author_id"] == [True, True]
    assert "left_id" not in constraints(project, "archive", "blog_note")


def places(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    engine: str,
) -> dict[str, str]:
    """Return where the databases of the labels are to be."""
    if engine == "sqlite":
        return crossing.urls(lambda label: f"sqlite:///{project.root / label}.sqlite3")
    server: Server = request.getfixturevalue(engine)
    return crossing.urls(lambda label: server.url(database_name(label)))


def write(project: Project, migrations: Mapping[str, Mapping[str, str]]) -> None:
    for label, modules in migrations.items():
        for name, text in modules.items():
            project.write(f"{label}/migrations/{name}.py", text)


def test_apps_without_migrations(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    crossing.write(project, crossing.urls(lambda label: postgres.url(database_name(label))))
    for label in ("blog", "people"):
        for path in (project.root / label / "migrations").glob("*.py"):
            path.unlink()
        (project.root / label / "migrations").rmdir()

    project.manage("db_init", "--all-apps", "--verbosity=0")

    assert constraints(project, "blog", "blog_post")["author_id"] == [True, False]
    assert constraints(project, "blog", "blog_comment")["post_id"][1] is True


def test_in_one_database_the_constraint_is_made(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    one, other = postgres.url(database_name("one")), postgres.url(database_name("other"))
    crossing.write(project, {"default": other, "people": one, "blog": one})
    project.manage("db_init", "--all-apps", "--verbosity=0")

    found = ask(
        project,
        CONSTRAINTS
        + "@fact('post')\ndef _():\n    return constraints('blog', 'blog_post')\n"
        + "@fact('tag')\ndef _():\n    return constraints('blog', 'blog_tag')\n",
    )

    assert found["post"]["author_id"] == [True, True]
    assert found["tag"]["content_type_id"] == [True, False]


IMPOSSIBLE = """
    from django.db import migrations, models

    class Migration(migrations.Migration):
        dependencies = [("people", "0001_initial"), ("blog", "0001_initial")]
        operations = [
            migrations.CreateModel(
                "Writer",
                [("person_ptr", models.OneToOneField(
                    "people.Person", models.CASCADE, parent_link=True, auto_created=True,
                    primary_key=True, serialize=False))],
                bases=("people.person",),
            )
        ]
"""


def test_a_parent_in_another_database_is_refused(on_postgres: Tied) -> None:
    path = on_postgres.project.write("blog/migrations/0002_writer.py", IMPOSSIBLE)
    try:
        result = on_postgres.project.manage("migrate", "--database=blog", check=False)
    finally:
        path.unlink()

    assert result.stderr.splitlines()[-1] == (
        "appdb_router.exceptions.DatabaseOperationError: Relations from 'blog' into another"
        " database that cannot work: blog.Writer.person_ptr to people.Person in 'people'"
        " (blog.0002_writer). Neither can a model have its parent there, nor can a database delete"
        " what belongs to another's rows. Keep both apps in one database, with together= of"
        " build_databases()."
    )
