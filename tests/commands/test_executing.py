"""How migrations are applied: killed, failing, refused, and seen by others."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.odd_project import ID, migration
from tests.support.project import Project
from tests.support.servers import Server

# What every database has.
OWN = "appdb_router.0001_initial"
OF_ALL = {"appdb_router_pending_deletion", "django_migrations"}
NOTE = "class Note(models.Model):\n    pass\n"
CREATE = migration(f'operations = [migrations.CreateModel("Note", [{ID}])]')
# Works, is killed or fails, as the project's environment says.
STEP = """
def step(apps, editor):
    import os, signal
    if os.environ.get("STEP") == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("STEP") == "fail":
        raise ValueError("no such luck")
"""


def step(*, atomic: bool) -> str:
    return migration(
        f"""
atomic = {atomic}
dependencies = [("blog", "0001_initial")]
operations = [migrations.CreateModel("Step", [{ID}]), migrations.RunPython(step)]
""",
        before=STEP,
    )


@pytest.fixture
def blog(project: Project, postgres: Server, database_name: Callable[[str], str]) -> str:
    """A project with a blog on PostgreSQL; gives the database's name."""
    project.installed_apps = ["appdb_router"]
    project.settings_extra = "MIDDLEWARE = []\nTEMPLATES = []\n"
    project.app("blog", models=NOTE, migrations={"0001_initial": CREATE})
    name = database_name("blog")
    project.env = {"BLOG_DATABASE_URL": postgres.url(name)}
    return name


def init(project: Project, *arguments: str) -> dict[str, Any]:
    result = project.manage("db_init", "--app=blog", "--format=json", *arguments, check=False)
    found: dict[str, Any] = json.loads(result.stdout)["databases"][0]
    return found


def test_failing_where_nothing_can_be_rolled_back(
    project: Project, postgres: Server, blog: str
) -> None:
    project.write("blog/migrations/0002_step.py", step(atomic=False))
    project.env["STEP"] = "fail"
    failed = init(project)["error"]
    del project.env["STEP"]
    postgres.execute("DROP TABLE blog_step", database=blog)

    assert failed.startswith("ValueError in blog.0002_step: no such luck")
    assert init(project)["applied_migrations"] == ["blog.0002_step"]


@pytest.mark.parametrize("how", ["kill", "fail"])
def test_an_atomic_migration_is_rolled_back(
    project: Project, postgres: Server, blog: str, how: str
) -> None:
    project.write("blog/migrations/0002_step.py", step(atomic=True))
    project.env["STEP"] = how
    project.manage("db_init", "--app=blog", check=False)
    del project.env["STEP"]

    assert "blog_step" not in postgres.tables(blog)
    assert init(project)["applied_migrations"] == ["blog.0002_step"]
    assert notes(postgres, blog) == []


def test_killed_in_front_of_the_signals(project: Project, postgres: Server, blog: str) -> None:
    """The next run sends them, although all migrations are applied."""
    project.write(
        "blog/apps.py",
        """
        import os, signal
        from django.apps import AppConfig
        from django.db.models.signals import post_migrate

        def fill(using, **kwargs):
            if os.environ.get("STEP"):
                os.kill(os.getpid(), signal.SIGKILL)
            print("signal for", using)

        class Config(AppConfig):
            name = "blog"

            def ready(self):
                post_migrate.connect(fill, sender=self)
        """,
    )
    project.env["STEP"] = "kill"
    killed = project.manage("db_init", "--app=blog", check=False)
    del project.env["STEP"]

    second = project.manage("db_init", "--app=blog")
    third = project.manage("db_init", "--app=blog")

    assert killed.returncode == -signal.SIGKILL
    assert "signal for blog" in second.stdout
    assert "signal for blog" not in third.stdout
    assert notes(postgres, blog) == []


def notes(server: Server, name: str) -> list[tuple[str]]:
    return server.fetch(
        "SELECT name FROM django_migrations WHERE app = 'appdb_router' AND name !~ '^[0-9]'",
        database=name,
    )


def test_receivers_are_told_what_django_tells_them(
    project: Project, postgres: Server, blog: str
) -> None:
    project.installed_apps.append("django.contrib.contenttypes")
    project.app("plain", models="class Row(models.Model):\n    pass\n")
    (project.root / "plain/migrations/__init__.py").unlink()
    (project.root / "plain/migrations").rmdir()
    project.app("link", models=NOTE, migrations={"0001_initial": CREATE})
    program = """
        import io
        from django.core.management import call_command
        from django.db import connections
        from django.db.models.signals import post_migrate, pre_migrate
        from appdb_router.services.migrating import migrate

        told = []

        def note(signal, app_config, apps, plan, stdout, sender, **kwargs):
            models = apps.get_models(include_auto_created=True)
            labels = sorted(model._meta.label for model in models)
            told.append([signal is pre_migrate, app_config.label, sender.label, labels, str(plan),
                         hasattr(stdout, "write"), sorted(kwargs.items())])

        pre_migrate.connect(note)
        post_migrate.connect(note)
        call_command("migrate", database="default", verbosity=0)
        told.clear()
        for again in range(2):
            call_command(
                "migrate", database="blog", verbosity=0, interactive=False, run_syncdb=True)
        expected = told[:]
        told.clear()
        with connections["blog"].cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
        migrate("blog", stdout=io.StringIO())
        count = len(told)
        from django.db.migrations.recorder import MigrationRecorder
        MigrationRecorder(connections["blog"]).record_applied("appdb_router", "unfinished")
        migrate("blog")
        assert told == expected, (told, expected)
        assert count * 2 == len(told) and count
        migrate("blog")
        assert told == expected
    """
    postgres.execute(f"CREATE DATABASE {blog}")

    project.python(program)


def test_one_query_shows_that_there_is_nothing_to_do(project: Project, blog: str) -> None:
    project.manage("db_init", "--all-apps")

    result = project.python(
        """
        import sys
        from django.db import connections
        from appdb_router.services.migrating import is_up_to_date

        asked = []

        def note(execute, sql, *rest):
            asked.append(sql)
            return execute(sql, *rest)

        connections["blog"].ensure_connection()
        with connections["blog"].execute_wrapper(note):
            print(is_up_to_date("blog"), *asked)
        print("blog.migrations.0001_initial" in sys.modules)
        """
    )

    assert result.stdout == 'True SELECT app, name FROM "django_migrations"\nFalse\n'


def test_what_is_read_from_disk_follows_the_settings(project: Project, blog: str) -> None:
    result = project.python(
        """
        from django.test import override_settings
        from appdb_router.services.executing import DeclaredModels, WholeStateNeeded
        from appdb_router.services.loading import names_on_disk

        print(len(names_on_disk()[0]))
        with override_settings(MIGRATION_MODULES={"blog": None}):
            print(len(names_on_disk()[0]))
        with override_settings(USE_TZ=False):
            print(len(names_on_disk()[0]))
        declared = DeclaredModels(None, {"shop"})
        for ask in (lambda: declared.get_models(), lambda: declared.get_model("shop.Item")):
            try:
                ask()
            except WholeStateNeeded:
                print("all models are needed")
        """
    )

    assert result.stdout == "2\n1\n2\n" + 2 * "all models are needed\n"


@pytest.mark.parametrize("module", ["None", '"blog.other"', '"nowhere.at.all"', '"blog.models"'])
def test_migration_modules(project: Project, blog: str, module: str) -> None:
    project.write("blog/other/__init__.py", "")
    project.write("blog/other/0001_other.py", CREATE)
    project.settings_extra += f"MIGRATION_MODULES = {{'blog': {module}}}\n"

    first = init(project)
    second = init(project)

    expected = {
        "None": (None, [OWN]),
        '"blog.other"': (None, [OWN, "blog.0001_other"]),
        '"nowhere.at.all"': ("ModuleNotFoundError: No module named 'nowhere'", []),
        '"blog.models"': (None, [OWN]),
    }
    assert (first["error"], first["applied_migrations"]) == expected[module]
    assert (second["error"], second["applied_migrations"]) == (expected[module][0], [])


def test_another_router_has_a_say(project: Project, postgres: Server, blog: str) -> None:
    """What it allows cannot be known, so Django does the work in its own way."""
    project.write(
        "routers.py",
        """
        class Router:
            def allow_migrate(self, db, app_label, model_name=None, **hints):
                return False if model_name == "hidden" else None
        """,
    )
    project.settings_extra += "DATABASE_ROUTERS.insert(0, 'routers.Router')\n"
    hidden = CREATE.replace(
        'migrations.CreateModel("Note"',
        f'migrations.CreateModel("Hidden", [{ID}]), migrations.CreateModel("Note"',
    )
    project.write("blog/migrations/0001_initial.py", hidden)

    found = init(project)

    assert found["applied_migrations"] == [OWN, "blog.0001_initial"]
    assert postgres.tables(blog) == {"blog_note", *OF_ALL}


def test_tables_that_are_there_already(project: Project, postgres: Server, blog: str) -> None:
    init(project)
    postgres.execute("DELETE FROM django_migrations WHERE app = 'blog'", database=blog)

    refused = init(project)
    project.manage("migrate", "--fake-initial", "--database=blog", "--verbosity=0")
    accepted = init(project)

    assert refused["error"].startswith(
        'ProgrammingError in blog.0001_initial: relation "blog_note" already exists'
    )
    assert (accepted["error"], accepted["applied_migrations"]) == (None, [])


def test_conflicts(project: Project, blog: str) -> None:
    for name in ("0002_one", "0002_other"):
        text = migration('dependencies = [("blog", "0001_initial")]')
        project.write(f"blog/migrations/{name}.py", text)

    assert init(project)["error"].startswith(
        "CommandError: Conflicting migrations detected; multiple leaf nodes in the migration graph:"
        " (0002_one, 0002_other in blog)."
    )


def test_an_inconsistent_history(project: Project, postgres: Server, blog: str) -> None:
    project.write("blog/migrations/0002_step.py", step(atomic=True))
    init(project)
    postgres.execute("DELETE FROM django_migrations WHERE name = '0001_initial'", database=blog)

    assert init(project)["error"].startswith(
        "InconsistentMigrationHistory: Migration blog.0002_step"
    )


def test_a_migration_that_does_as_it_likes(project: Project, postgres: Server, blog: str) -> None:
    """Its class may do anything anywhere, so it is run with all models, on every database."""
    text = (
        CREATE
        + """
    def apply(self, project_state, schema_editor, collect_sql=False):
        schema_editor.execute("CREATE TABLE own (id integer)")
        return super().apply(project_state, schema_editor, collect_sql)
"""
    )
    project.app("free", models=NOTE, migrations={"0001_initial": text})

    assert init(project)["error"] is None
    assert postgres.tables(blog) == {"blog_note", "own", *OF_ALL}


def test_notes_that_cannot_be_read(project: Project, postgres: Server, blog: str) -> None:
    """Not being allowed to read the records is not the same as having none."""
    init(project)
    postgres.execute("ALTER TABLE django_migrations RENAME TO hidden", database=blog)
    postgres.execute("CREATE TABLE django_migrations (id integer)", database=blog)

    assert 'column "app" does not exist' in init(project)["error"]


def test_an_operation_with_parts_that_does_more(
    project: Project, postgres: Server, blog: str
) -> None:
    more = migration(
        'dependencies = [("blog", "0001_initial")]\noperations = [More()]',
        before="""
class More(migrations.SeparateDatabaseAndState):
    def database_forwards(self, app_label, editor, from_state, to_state):
        editor.execute("CREATE TABLE more (id integer)")
""",
    )
    project.write("blog/migrations/0002_more.py", more)

    assert init(project)["error"] is None
    assert "more" in postgres.tables(blog)


WALKED = """
    from django.core.management import call_command
    from django.db.migrations.operations import CreateModel

    walked = set()
    usual = CreateModel.database_forwards

    def watched(self, label, *arguments):
        walked.add(label)
        usual(self, label, *arguments)

    CreateModel.database_forwards = watched
    call_command({command}, verbosity=0)
    print(*sorted(walked))
"""


@pytest.mark.parametrize(
    ("command", "labels"),
    [
        ('"migrate", database="blog"', "appdb_router blog shop"),
        ('"db_init", app=["blog"]', "appdb_router blog"),
    ],
    ids=["migrate", "db_init"],
)
def test_fact_10_operations_of_other_apps(
    project: Project, postgres: Server, blog: str, command: str, labels: str
) -> None:
    """Django asks each operation of the project, where only some concern the database."""
    project.app("shop", models=NOTE, migrations={"0001_initial": CREATE})
    postgres.execute(f"CREATE DATABASE {blog}")

    walked = project.python(WALKED.format(command=command))

    assert walked.stdout.split() == labels.split()
    assert postgres.tables(blog) == {"blog_note", *OF_ALL}
