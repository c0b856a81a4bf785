"""``db_init --repair``: false records are taken back, and nothing else is touched."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from appdb_router.services.guarding import changed_names
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

NOTE = """
class Note(models.Model):
    text = models.CharField(max_length=20)


class Mark(models.Model):
    note = models.ForeignKey(Note, models.CASCADE)
"""
PAGE = """
class Page(models.Model):
    note = models.ForeignKey("blog.Note", models.DO_NOTHING, null=True, db_constraint=False)
"""

# Its migrations and those of press take turns: blog 1, press 1, blog 2, press 2.
FILL = """
from django.db import migrations


def fill(apps, schema_editor):
    Note = apps.get_model("blog", "Note")
    Note.objects.using(schema_editor.connection.alias).create(text="filled")


class Migration(migrations.Migration):
    atomic = {atomic}
    dependencies = [("blog", "0001_initial"), ("press", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop), {more}]
"""
SECOND = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("press", "0001_initial"), ("blog", "0002_fill")]
    operations = [migrations.AddField("Page", "size", models.IntegerField(default=1))]
"""

HISTORY = """
    from django.db import connections
    from django.db.migrations.loader import MigrationLoader

    connection = connections["default"]

    def run(*statements):
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows():
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations ORDER BY app, name")
            return [".".join(row) for row in cursor.fetchall()]

    def tables():
        return sorted(connection.introspection.table_names())

    def check_history():
        MigrationLoader(connection).check_consistent_history(connection)
"""
# What every database has.
OWN, TABLE = "appdb_router.0001_initial", "appdb_router_pending_deletion"
ALL = [OWN, "blog.0001_initial", "blog.0002_fill", "press.0001_initial", "press.0002_more"]


def write_apps(project: Project, *, atomic: bool = True, more: str = "") -> None:
    project.installed_apps = ["appdb_router"]
    project.app("blog", models=NOTE)
    project.app("press", models=PAGE)
    project.makemigrations("blog", "press")
    project.write("press/models.py", "from django.db import models\n\n" + PAGE)
    with (project.root / "press/models.py").open("a") as models:
        models.write("    size = models.IntegerField(default=1)\n")
    project.write("blog/migrations/0002_fill.py", FILL.format(atomic=atomic, more=more))
    project.write("press/migrations/0002_more.py", SECOND)


@pytest.fixture(params=["postgres", "postgres, not atomic", "mariadb", "sqlite"])
def lost(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Project:
    """A database whose tables of the blog are gone, and on whose records others depend."""
    write_apps(project, atomic="not atomic" not in request.param)
    if request.param != "sqlite":
        server = request.getfixturevalue(request.param.split(",")[0])
        project.env["DATABASE_URL"] = server.url(database_name("main"))
    project.manage("db_init")
    lose(project)
    return project


def lose(project: Project) -> None:
    code = """
    run("INSERT INTO press_page (size) VALUES (7)", "DROP TABLE blog_mark", "DROP TABLE blog_note")
    """
    ask(project, HISTORY + code)


def state(project: Project) -> dict[str, Any]:
    return ask(
        project,
        HISTORY
        + """
    fact("history")(check_history)
    fact("rows")(rows)
    fact("tables")(tables)

    @fact("content")
    def _():
        from blog.models import Note
        from press.models import Page
        return [
            list(Note.objects.values_list("text", flat=True)),
            list(Page.objects.values_list("size", flat=True)),
        ]
    """,
    )


def test_dependents_keep_their_tables_and_records(lost: Project) -> None:
    shown = lost.manage("db_init", "--discover", "--repair")
    before = state(lost)
    result = lost.manage("db_init", "--repair", "--noinput")

    plan = (
        "default: take back the records of 'blog' (0001_initial, 0002_fill) and migrate again,"
        " which makes the tables blog_mark, blog_note; these run code of their own again:"
        " 0002_fill\n"
    )
    assert shown.stdout == f"default: has no pending migrations\n{plan}"
    assert before["tables"] == [TABLE, "django_migrations", "press_page"]
    assert result.stdout == (
        f"{plan}default: already there, 2 migrations applied\n1 database ready.\n"
    )
    assert state(lost) == {
        "history": None,
        "rows": ALL,
        "tables": [TABLE, "blog_mark", "blog_note", "django_migrations", "press_page"],
        "content": [["filled"], [7]],
    }


KILLED = """
    import os, signal
    from django.db.backends.signals import connection_created
    from appdb_router.services.initialising import Options, initialise_one

    def repair(limit=None):
        count = 0

        def execute(execute, sql, params, many, context):
            nonlocal count
            # Between two statements that only read nothing changes.
            count += not str(sql).lstrip().startswith(("SELECT", "SHOW", "PRAGMA"))
            if count == limit:
                os.kill(os.getpid(), signal.SIGKILL)
            return execute(sql, params, many, context)

        def watch(connection, **kwargs):
            connection.execute_wrappers.append(execute)

        connection.close()
        if limit:
            # Migrations run in a session of their own.
            connection_created.connect(watch, weak=False)
        return initialise_one("default", Options(repair={"default": {"blog"}} if limit else {}))

    def survive(limit):
        child = os.fork()
        if not child:
            repair(limit)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        connection.close()
        check_history()
        outcome = repair()
        if outcome.error and "recorded as migrated" in outcome.error:
            # Killed before anything was committed: the repair begins anew.
            outcome = initialise_one("default", Options(repair={"default": {"blog"}}))
        if outcome.error:
            # The server cannot undo DDL: what the killed migration made is removed by hand.
            assert "exist" in outcome.error, outcome
            with connection.constraint_checks_disabled():
                run("DROP TABLE IF EXISTS blog_mark", "DROP TABLE IF EXISTS blog_note")
            outcome = repair()
            halves.append(limit)
        assert not outcome.error, (limit, outcome)
        assert rows() == ROWS, (limit, rows())
        assert tables() == TABLES, (limit, tables())
        return status == 0

    halves = []
    OWN, TABLE = "appdb_router.0001_initial", "appdb_router_pending_deletion"
    ROWS = [OWN, "blog.0001_initial", "blog.0002_fill", "press.0001_initial", "press.0002_more"]
    TABLES = [TABLE, "blog_mark", "blog_note", "django_migrations", "press_page"]

    @fact("kills")
    def _():
        for limit in range(1, 500):
            if survive(limit):
                return limit > 10
            run("DROP TABLE blog_mark", "DROP TABLE blog_note")

    @fact("halves")
    def _():
        return len(halves)
"""


@pytest.mark.slow
def test_killed_at_every_statement(lost: Project) -> None:
    """The history is consistent at every moment, and the next run finishes the job."""
    found = ask(lost, HISTORY + KILLED)

    assert found["kills"] is True
    if "mysql" not in lost.env.get("DATABASE_URL", ""):
        assert found["halves"] == 0


def test_it_asks_first(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """The routing changed: the records of the blog were made where it did not live."""
    write_apps(project)
    main, other = database_name("main"), database_name("other")
    project.env["DATABASE_URL"] = postgres.url(main)
    project.env["PRESS_DATABASE_URL"] = postgres.url(other)
    project.manage("db_init", "--all-apps")
    project.env["BLOG_DATABASE_URL"] = project.env.pop("PRESS_DATABASE_URL")
    arguments = ("db_init", "--app=blog", "--repair")

    no = project.manage(*arguments, input="n\n", check=False)
    nobody = project.manage(*arguments, check=False)
    document = project.manage(*arguments, "--format=json", check=False)
    empty = project.manage(*arguments, "--no-migrate", check=False)
    tables = postgres.tables(other)
    yes = project.manage(*arguments, "--allow-empty", input="y\n", check=False)

    assert no.stdout == nobody.stdout
    assert no.stdout.endswith("run code of their own again: 0002_fill\nRepair? [y/N] ")
    assert no.returncode == nobody.returncode == 1
    assert no.stderr == "CommandError: Nothing was changed. '--noinput' repairs without asking.\n"
    assert (document.returncode, empty.returncode) == (2, 2)
    assert tables == {TABLE, "django_migrations", "press_page"}
    assert "[y/N] blog: already there, 2 migrations applied\n" in yes.stdout
    # The migration that fills the table ran again, so that the table is not empty.
    assert (
        "blog: leftover: 'blog' has rows here and stale ones in 'default': blog_note" in yes.stdout
    )
    assert postgres.tables(other) == {*tables, "blog_note", "blog_mark"}


def test_what_is_partly_there_is_not_repaired(lost: Project) -> None:
    ask(lost, HISTORY + '\n    run("CREATE TABLE blog_note (id int, text varchar(20))")\n')

    result = lost.manage("db_init", "--repair", "--noinput", check=False)

    text = (
        "'blog' is recorded as migrated (0001_initial to 0002_fill), but lacks the table"
        " blog_mark. Here there is blog_note, so this cannot be repaired: restore what is missing."
    )
    assert result.returncode == 3
    assert result.stdout == (f"default: cannot be repaired: {text}\ndefault: failed: {text}\n")


def test_no_table_that_exists_is_altered(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """A migration of the app that changes another app's table stops the repair."""
    name = database_name("main")
    sql = "CREATE INDEX more ON press_page (id); ALTER TABLE press_page ADD extra int"
    write_apps(project, more=f"migrations.RunSQL({sql!r})")
    project.env["DATABASE_URL"] = postgres.url(name)
    project.manage("db_init")
    postgres.execute("ALTER TABLE press_page DROP extra; DROP INDEX more", database=name)
    lose(project)
    before = state(project)

    result = project.manage("db_init", "--repair", "--noinput", check=False)

    assert result.returncode == 1
    assert result.stdout.splitlines()[1] == (
        "default: failed: Repairing stopped at blog.0002_fill: This would change 'press_page',"
        " which exists: a repair only makes what is missing. The statement was: " + sql
    )
    assert state(project) == before


def test_a_migration_on_top_of_false_records(project: Project) -> None:
    write_apps(project)
    project.manage("db_init")
    lose(project)
    with (project.root / "blog/models.py").open("a") as models:
        models.write("\n\nNote.add_to_class('more', models.IntegerField(null=True))\n")
    project.makemigrations("blog")

    failed = project.manage("db_init", check=False)
    repaired = project.manage("db_init", "--repair", "--noinput")

    assert failed.returncode == 3
    assert failed.stdout.startswith(
        "default: failed: 'blog' is recorded as migrated (0001_initial to 0002_fill), but lacks"
    )
    assert "already there, 3 migrations applied" in repaired.stdout


def test_databases_that_need_no_repair(project: Project) -> None:
    """One that is not there yet, and one that cannot be asked."""
    write_apps(project)
    project.env["PRESS_DATABASE_URL"] = "sqlite:///press.sqlite3"
    project.env["BLOG_DATABASE_URL"] = "postgresql://127.0.0.1:1/x"
    arguments = ("--all-apps", "--repair", "--noinput", "--format=json")

    result = project.manage("db_init", *arguments, check=False)

    states = {item["alias"]: item["status"] for item in json.loads(result.stdout)["databases"]}
    assert result.returncode == 1
    # What "press" has needs the migrations of "blog".
    assert states == {"default": "ready", "blog": "failed", "press": "failed"}


def test_squashed_migrations(project: Project) -> None:
    write_apps(project)
    project.write(
        "blog/migrations/0001_squashed_0002.py",
        """
        from django.db import migrations, models

        class Migration(migrations.Migration):
            initial = True
            replaces = [("blog", "0001_initial"), ("blog", "0002_fill")]
            operations = [
                migrations.CreateModel(
                    "Note",
                    [
                        ("id", models.BigAutoField(primary_key=True)),
                        ("text", models.CharField(max_length=20)),
                    ],
                ),
                migrations.CreateModel(
                    "Mark",
                    [
                        ("id", models.BigAutoField(primary_key=True)),
                        ("note", models.ForeignKey("blog.note", models.CASCADE)),
                    ],
                ),
            ]
        """,
    )
    project.write(
        "blog/migrations/0002_fill.py",
        FILL.format(atomic=True, more="").replace(', ("press", "0001_initial")', ""),
    )
    project.manage("db_init")
    lose(project)

    project.manage("db_init", "--repair", "--noinput")

    after = state(project)
    assert after["history"] is None
    assert after["rows"] == sorted([*ALL, "blog.0001_squashed_0002"])
    assert "blog_mark" in after["tables"]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ('ALTER TABLE "a" ADD CONSTRAINT "c" FOREIGN KEY ("b") REFERENCES "b" ("id")', ["a"]),
        ('alter table only a."B""c" drop column x', ['B"c']),
        ("DROP TABLE IF EXISTS `a`.`b``c` CASCADE", ["b`c"]),
        ("CREATE UNIQUE INDEX IF NOT EXISTS x\nON ONLY a (b)", ["a"]),
        ('CREATE INDEX CONCURRENTLY "x" ON "a" ("b")', ["a"]),
        ("DROP INDEX CONCURRENTLY IF EXISTS x", ["x"]),
        ("DROP INDEX `x` ON `a`", ["a"]),
        ("RENAME TABLE a TO b; TRUNCATE c; TRUNCATE TABLE d", ["a", "c", "d"]),
        ("ALTER SEQUENCE s RESTART; DROP MATERIALIZED VIEW v", ["s", "v"]),
        ('CREATE TABLE "a" ("drop" int)', []),
        ("INSERT INTO a SELECT * FROM b", []),
    ],
)
def test_the_names_that_a_statement_changes(sql: str, names: list[str]) -> None:
    assert list(changed_names(sql)) == names
