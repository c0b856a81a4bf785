"""``db_init``: creating, migrating, verifying, and saying so."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

SECRET = "s3cr3t-pass"
# The migration of this package itself, which every database has.
OWN = "appdb_router.0001_initial"
OF_ALL = {"appdb_router_pending_deletion", "django_migrations"}
NOTE = "class Note(models.Model):\n    text = models.CharField(max_length=20)\n"

FAILING = """
from django.db import migrations

def fail(apps, schema_editor):
    raise ValueError("no such luck: " + schema_editor.connection.settings_dict["PASSWORD"])

class Migration(migrations.Migration):
    dependencies = [("blog", "0001_initial")]
    operations = [migrations.RunPython(fail, migrations.RunPython.noop)]
"""

SLOW = """
import time
from django.db import migrations, models

def add_row(apps, schema_editor):
    Note = apps.get_model("blog", "Note")
    Note.objects.using(schema_editor.connection.alias).create(text="once")
    time.sleep({seconds})

class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.CharField(max_length=20)),
            ],
        ),
        migrations.RunPython(add_row, migrations.RunPython.noop),
    ]
"""


@pytest.fixture
def names(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> dict[str, str]:
    """Database names for a project with three databases to be made on PostgreSQL."""
    names = {label: database_name(label) for label in ("main", "auth", "blog")}
    project.app("blog", models=NOTE)
    # Before there are other databases: makemigrations would open them all.
    project.makemigrations("blog")
    project.env = {
        "DATABASE_URL": postgres.url(names["main"]),
        "AUTH_DATABASE_URL": postgres.url(names["auth"]),
        "BLOG_DATABASE_URL": postgres.url(names["blog"]),
    }
    return names


def init_core(project: Project) -> None:
    """Initialise the database of content types, which the others need."""
    project.manage("db_init", "--app", "contenttypes", "--verbosity=0")


def init(project: Project, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run ``db_init`` and return its exit code, the outcomes by alias, and stderr."""
    result = project.manage("db_init", "--format=json", *arguments, check=False)
    outcomes = {item["alias"]: item for item in json.loads(result.stdout)["databases"]}
    return result.returncode, outcomes, result.stderr


def test_all_apps_and_again(project: Project, postgres: Server, names: dict[str, str]) -> None:
    first = project.manage("db_init", "--all-apps", "--jobs=1")
    second = project.manage("db_init", "--all-apps")

    assert first.stdout == (
        "auth: created, 15 migrations applied\n"
        "default: created, 2 migrations applied\n"
        "blog: created, 2 migrations applied\n"
        "3 databases ready.\n"
    )
    assert second.stdout == (
        "auth: already there, nothing to migrate\n"
        "default: already there, nothing to migrate\n"
        "blog: already there, nothing to migrate\n"
        "3 databases ready. Nothing had to be done.\n"
    )
    assert first.stderr == second.stderr == ""
    assert postgres.tables(names["blog"]) == {"blog_note", *OF_ALL}
    assert postgres.tables(names["main"]) == {"django_session", *OF_ALL}
    assert {"auth_user", "django_content_type"} <= postgres.tables(names["auth"])
    assert project.manage("db_list", "--check").returncode == 0


def test_receivers_that_query_by_the_alias_of_a_new_connection(
    project: Project, names: dict[str, str]
) -> None:
    """``django.contrib.postgres`` asks for types: of the same connection, if it has a database."""
    project.installed_apps.append("django.contrib.postgres")

    first = project.manage("db_init", "--all-apps")
    separate = project.python(
        """
        from django.db import connections
        from appdb_router.services.connecting import separate_connection

        with separate_connection("blog") as connection:
            connection.ensure_connection()
        print(connections["blog"].connection)
        """
    )

    assert first.stdout.endswith("3 databases ready.\n")
    assert separate.stdout == "None\n"


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        ((), ["auth", "main"]),
        (("--app", "sessions"), ["auth", "main"]),
        (("--app", "blog"), ["auth", "blog"]),
        (("--app", "contenttypes"), ["auth"]),
        (("--app", "blog", "--app", "auth"), ["auth", "blog"]),
        (("--all-apps", "--no-migrate"), ["auth", "blog", "main"]),
    ],
)
def test_which_databases(
    project: Project,
    postgres: Server,
    names: dict[str, str],
    arguments: tuple[str, ...],
    made: list[str],
) -> None:
    if "auth" in made and "contenttypes" not in arguments:
        init_core(project)
    project.manage("db_init", *arguments)

    there = postgres.databases()
    assert sorted(key for key, name in names.items() if name in there) == made
    if "--no-migrate" in arguments:
        assert postgres.tables(names["blog"]) == set()


def test_discover_touches_nothing(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    postgres.execute(f"CREATE DATABASE {names['main']}")
    project.manage("db_init", "--app", "blog", "--app", "auth")
    postgres.drop(names["auth"])

    result = project.manage("db_init", "--discover", "--all-apps")
    document = json.loads(project.manage("db_init", "--discover", "--format=json").stdout)

    assert result.stdout == (
        "auth: would be created and migrated\ndefault: would get 2 migrations\n"
        "blog: has no pending migrations\n"
    )
    assert document["databases"][0]["alias"] == "default"
    assert document["databases"][0]["status"] == "reachable"
    assert document["databases"][0]["pending_migrations"] == [OWN, "sessions.0001_initial"]
    assert names["auth"] not in postgres.databases()
    assert postgres.tables(names["main"]) == set()


def test_discover_fails_for_what_it_cannot_see(project: Project) -> None:
    project.env["DATABASE_URL"] = f"postgresql://u:{SECRET}@127.0.0.1:1/x"

    result = project.manage("db_init", "--discover", check=False)

    assert result.returncode == 1
    assert result.stdout.startswith("default: cannot be reached: connection")
    assert result.stderr == "CommandError: 1 of 1 database failed: default.\n"


def test_discover_does_not_create_a_file(project: Project) -> None:
    assert project.manage("db_init", "--discover").stdout == (
        "default: would be created and migrated\n"
    )
    assert not (project.root / "db.sqlite3").exists()


def test_json(project: Project, names: dict[str, str]) -> None:
    init_core(project)
    code, outcomes, stderr = init(project, "--app", "blog", "--verbosity=2")

    assert (code, stderr) == (0, "")
    assert outcomes == {
        "blog": {
            "alias": "blog",
            "status": "ready",
            "created": True,
            "applied_migrations": [OWN, "blog.0001_initial"],
            "error": None,
        }
    }


def test_verbosity(project: Project) -> None:
    assert project.manage("db_init", "--verbosity=0").stdout == ""
    (project.root / "db.sqlite3").unlink()
    assert "Applying auth.0001_initial... OK (" in project.manage("db_init", "--verbosity=2").stdout


def test_an_unknown_label(project: Project) -> None:
    result = project.manage("db_init", "--app", "auht", check=False)

    assert result.returncode == 2
    assert result.stderr == (
        "CommandError: No installed app has the label 'auht'. Did you mean 'auth'?\n"
    )


def test_one_failure_does_not_stop_the_others(
    project: Project,
    postgres: Server,
    names: dict[str, str],
    role: Callable[..., Any],
) -> None:
    owner = role(postgres, createdb=True, password=SECRET)
    project.write("blog/migrations/0002_fail.py", FAILING)
    project.env["SESSIONS_DATABASE_URL"] = f"postgresql://u:{SECRET}@127.0.0.1:1/x"
    project.env["BLOG_DATABASE_URL"] = postgres.url(names["blog"], user=owner.name, password=SECRET)

    result = project.manage("db_init", "--all-apps", "--jobs=1", check=False)

    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "auth: created, 15 migrations applied"
    assert lines[1] == "default: created, 1 migration applied"
    assert lines[2].startswith("sessions: failed: The database cannot be reached: connection")
    assert lines[3] == "blog: created, but failed: ValueError in blog.0002_fail: no such luck: ***"
    assert result.stderr == "CommandError: 2 of 4 databases failed: sessions, blog.\n"


@pytest.mark.parametrize("name", ['we"ird-Näme', "With Capitals", "semi;colon%s"])
def test_names_are_quoted(
    project: Project, postgres: Server, database_name: Callable[[str], str], name: str
) -> None:
    full = database_name(name)
    project.env["DATABASE_URL"] = postgres.url(full)

    project.manage("db_init")

    assert full in postgres.databases()


def test_owner_and_encoding(
    project: Project, postgres: Server, names: dict[str, str], role: Callable[..., Any]
) -> None:
    del project.env["AUTH_DATABASE_URL"]
    owner = role(postgres)

    project.manage("db_init", "--owner", owner.name, "--encoding", "SQL_ASCII")

    found = postgres.fetch(
        "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database"
        f" WHERE datname = '{names['main']}'"
    )
    assert found == [(owner.name, "SQL_ASCII")]


def test_a_bad_encoding(project: Project, names: dict[str, str]) -> None:
    code, outcomes, _ = init(project, "--encoding", "UTF8'; DROP")

    assert code == 1
    assert outcomes["default"]["error"] == '"UTF8\'; DROP" is not the name of an encoding.'


def test_no_right_to_create(
    project: Project, postgres: Server, names: dict[str, str], role: Callable[..., Any]
) -> None:
    guest = role(postgres)
    project.env["DATABASE_URL"] = postgres.url(
        names["main"], user=guest.name, password=guest.password
    )

    code, outcomes, _ = init(project)

    assert code == 1
    assert outcomes["default"]["error"] == (
        "The database cannot be created: permission denied to create database. Somebody with the"
        f' right to do so can run: CREATE DATABASE "{names["main"]}";'
    )


def test_a_wrong_password(project: Project, postgres_2: Server, role: Callable[..., Any]) -> None:
    guest = role(postgres_2)
    project.env["DATABASE_URL"] = postgres_2.url("postgres", user=guest.name, password=SECRET)

    code, outcomes, stderr = init(project)

    assert code == 1
    assert "password authentication failed" in outcomes["default"]["error"]
    assert SECRET not in json.dumps(outcomes) + stderr


def test_without_the_database_called_postgres(
    project: Project, postgres_2: Server, names: dict[str, str], role: Callable[..., Any]
) -> None:
    """A role that may not enter the usual maintenance database uses the other one."""
    del project.env["AUTH_DATABASE_URL"]
    owner = role(postgres_2, createdb=True)
    postgres_2.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    try:
        project.env["DATABASE_URL"] = postgres_2.url(
            names["main"], user=owner.name, password=owner.password
        )
        project.manage("db_init")
    finally:
        postgres_2.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")

    assert names["main"] in postgres_2.databases()


def test_a_schema_of_its_own(project: Project, postgres: Server, names: dict[str, str]) -> None:
    """Two URLs for one database that differ in their schema are two places."""
    project.env["BLOG_DATABASE_URL"] = postgres.url(names["main"], currentSchema='blog"s')
    project.env["AUTH_DATABASE_URL"] = ""

    first = project.manage("db_init", "--all-apps")
    second = project.manage("db_init", "--all-apps")

    assert first.stdout.endswith("2 databases ready.\n")
    assert second.stdout.endswith("Nothing had to be done.\n")
    schemas = postgres.fetch(
        "SELECT schemaname FROM pg_tables WHERE tablename = 'blog_note'", database=names["main"]
    )
    assert schemas == [('blog"s',)]


def test_no_right_to_create_the_schema(
    project: Project, postgres: Server, names: dict[str, str], role: Callable[..., Any]
) -> None:
    del project.env["AUTH_DATABASE_URL"]
    guest = role(postgres)
    postgres.execute(f"CREATE DATABASE {names['main']}")
    project.env["DATABASE_URL"] = postgres.url(
        names["main"], user=guest.name, password=guest.password, currentSchema="mine"
    )

    _, outcomes, _ = init(project)

    assert outcomes["default"]["error"] == (
        f"The database cannot be created: permission denied for database {names['main']}."
        ' Somebody with the right to do so can run: CREATE SCHEMA IF NOT EXISTS "mine";'
    )


def test_a_socket(
    project: Project, postgres_2: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("socket")
    project.env["DATABASE_URL"] = postgres_2.url(name, host=postgres_2.socket_dir)

    project.manage("db_init")

    assert "auth_user" in postgres_2.tables(name)


def test_several_hosts(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("hosts")
    user, _, location = postgres.url(name).rpartition("@")
    project.env["DATABASE_URL"] = f"{user}@127.0.0.1:1,{location}?target_session_attrs=read-write"

    project.manage("db_init")

    assert "auth_user" in postgres.tables(name)


def test_with_a_pool(project: Project, postgres: Server, names: dict[str, str]) -> None:
    for variable in project.env:
        project.env[variable] += "?pool_size=2&pool_timeout=20"

    assert project.manage("db_init", "--all-apps").stdout.endswith("3 databases ready.\n")
    assert project.manage("db_list", "--check").returncode == 0


def test_sqlite_folders(project: Project) -> None:
    project.env["DATABASE_URL"] = "sqlite:///var/data/main.sqlite3"

    assert project.manage("db_init").stdout.startswith("default: created, 16 migrations applied")
    assert (project.root / "var/data/main.sqlite3").is_file()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("manage.py/main.sqlite3", "File exists"),
        ("/proc/appdb/main.sqlite3", "No such file or directory"),
    ],
)
def test_an_sqlite_folder_that_cannot_be_written(project: Project, path: str, reason: str) -> None:
    project.env["DATABASE_URL"] = f"sqlite:///{path}"

    _, outcomes, _ = init(project)

    assert outcomes["default"]["error"] == (
        f"{str(project.root / path)!r} cannot be created: {reason}. Make its folder writable for"
        " this user, or name another path."
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_sqlite_folder_without_write_permission(project: Project) -> None:
    folder = project.root / "locked"
    folder.mkdir(mode=0o500)
    project.env["DATABASE_URL"] = "sqlite:///locked/main.sqlite3"

    _, outcomes, _ = init(project)

    assert "Permission denied" in outcomes["default"]["error"]


def test_an_sqlite_path_that_is_a_folder(project: Project) -> None:
    (project.root / "data").mkdir()
    project.env["DATABASE_URL"] = "sqlite:///data"

    code, outcomes, _ = init(project)

    assert code == 1
    assert "unable to open database file" in outcomes["default"]["error"]


def test_a_database_in_memory(project: Project) -> None:
    project.env["DATABASE_URL"] = "sqlite://:memory:"

    _, outcomes, _ = init(project)

    assert outcomes["default"]["error"] == (
        "The database lives in memory and is gone when this command ends. Name a file, or leave it"
        " to the test runner."
    )


OTHER_ENGINE = """
from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    vendor = "acme"
    display_name = "Acme"

    def get_new_connection(self, conn_params):
        if self.settings_dict["HOST"] == "down":
            raise self.Database.OperationalError("nobody there")
        return super().get_new_connection(conn_params)
"""


def other_engine(project: Project, host: str) -> None:
    project.write("acme/__init__.py", "")
    project.write("acme/base.py", OTHER_ENGINE)
    folder = project.app("blog", models=NOTE)
    project.makemigrations("blog")
    setting = {"ENGINE": "acme", "NAME": str(project.root / "acme.db"), "HOST": host}
    project.write(folder / "database.py", f"DATABASE = {setting!r}\n")


def test_another_engine_is_migrated(project: Project) -> None:
    other_engine(project, "up")

    init_core(project)
    code, outcomes, _ = init(project, "--app", "blog")

    assert (code, outcomes["blog"]["error"]) == (0, None)
    assert outcomes["blog"]["applied_migrations"] == [OWN, "blog.0001_initial"]


def test_another_engine_is_not_guessed_at(project: Project) -> None:
    other_engine(project, "down")

    code, outcomes, _ = init(project, "--app", "blog")

    assert code == 1
    assert outcomes["blog"]["error"] == (
        "The database cannot be reached: nobody there. If it is missing, create it by hand: 'acme'"
        " databases are not created here."
    )


def test_an_app_without_migrations(project: Project) -> None:
    folder = project.app("blog", models=NOTE)
    (folder / "migrations" / "__init__.py").unlink()
    (folder / "migrations").rmdir()
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"

    assert "blog: would be created" in project.manage("db_init", "--discover", "--app=blog").stdout
    project.manage("db_init", "--all-apps")
    assert (
        "blog: has no pending migrations"
        in project.manage("db_init", "--discover", "--app=blog").stdout
    )
    (project.root / "blog.sqlite3").unlink()
    project.manage("migrate", "--database=blog", "--verbosity=0")
    pending = json.loads(project.manage("db_list", "--check", "--format=json", check=False).stdout)
    assert pending["databases"][0]["pending_migrations"] == ["blog (without migrations)"]


def test_tables_that_are_recorded_but_missing(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    """The app lived elsewhere when its migrations were recorded here."""
    blog = project.env.pop("BLOG_DATABASE_URL")
    project.env["SESSIONS_DATABASE_URL"] = blog
    project.manage("db_init", "--all-apps")
    project.env["BLOG_DATABASE_URL"] = blog

    code, outcomes, _ = init(project, "--app", "blog")

    assert code == 3
    assert outcomes["sessions"]["error"] == (
        "'blog' is recorded as migrated (0001_initial), but lacks the table blog_note. In 'default'"
        " there is blog_note. It was recorded while the app lived in another database, or its"
        " tables were removed. 'db_init --repair' takes the records back and migrates again."
    )
    project.manage("migrate", "blog", "zero", "--fake", "--database", "blog", "--verbosity=0")
    code, outcomes, _ = init(project, "--app", "blog")
    assert (code, outcomes["sessions"]["applied_migrations"]) == (0, ["blog.0001_initial"])


def test_views_and_names_with_a_schema_count_as_tables(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    del project.env["AUTH_DATABASE_URL"]
    project.app(
        "extra",
        models="""
            class Seen(models.Model):
                class Meta:
                    db_table = 'aside"."seen'
        """,
        migrations={
            "0001_initial": """
                from django.db import migrations, models

                class Migration(migrations.Migration):
                    initial = True
                    operations = [
                        migrations.RunSQL(
                            'CREATE SCHEMA aside; CREATE VIEW aside.seen AS SELECT 1 AS id',
                            state_operations=[
                                migrations.CreateModel(
                                    "Seen",
                                    [("id", models.BigAutoField(primary_key=True))],
                                    options={"db_table": 'aside"."seen'},
                                )
                            ],
                        )
                    ]
            """
        },
    )

    code, outcomes, _ = init(project)

    assert (code, outcomes["default"]["error"]) == (0, None)


def test_a_router_that_hides_pending_migrations_is_noticed(project: Project) -> None:
    """Nothing is called ready on the word of the command that migrated it."""
    project.app("blog", models=NOTE)
    project.makemigrations("blog")
    project.write(
        "blog/management/commands/migrate.py",
        """
        from django.core.management.base import BaseCommand

        class Command(BaseCommand):
            def add_arguments(self, parser):
                parser.add_argument("--database")
                parser.add_argument("--run-syncdb", action="store_true")
                parser.add_argument("--noinput", action="store_false", dest="interactive")

            def handle(self, **options):
                pass
        """,
    )
    project.write("blog/management/__init__.py", "")
    project.write("blog/management/commands/__init__.py", "")

    _, outcomes, _ = init(project)

    assert outcomes["default"]["error"].startswith(f"After migrating, still pending: {OWN}, auth")


def test_two_processes_at_once(project: Project, postgres: Server, names: dict[str, str]) -> None:
    project.write("blog/migrations/0001_initial.py", SLOW.format(seconds=1))

    processes = [project.popen("db_init", "--all-apps") for _ in range(3)]
    results = [process.communicate(timeout=110) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], results
    for name in names.values():
        doubles = postgres.fetch(
            "SELECT app, name FROM django_migrations GROUP BY app, name HAVING count(*) > 1",
            database=name,
        )
        assert doubles == []
    assert postgres.fetch("SELECT text FROM blog_note", database=names["blog"]) == [("once",)]
    done = "".join(out for out, _ in results)
    assert done.count("2 migrations applied") == 2
    assert done.count("15 migrations applied") == 1


def test_another_process_that_takes_too_long(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    project.write("blog/migrations/0001_initial.py", SLOW.format(seconds=30))
    init_core(project)
    slow = project.popen("db_init", "--app", "blog")
    try:
        wait_for(lambda: is_migrating(postgres, names["blog"]))

        code, outcomes, _ = init(project, "--app", "blog", "--lock-timeout", "0.5")
    finally:
        slow.kill()
        slow.communicate()

    assert code == 1
    assert outcomes["blog"]["error"] == (
        "Another process has been migrating the database for 0.5 seconds. Wait for it, or give a"
        " longer --lock-timeout."
    )


@pytest.mark.parametrize("after", [0.0, 0.5])
def test_killed_while_migrating(
    project: Project, postgres: Server, names: dict[str, str], after: float
) -> None:
    migration = project.root / "blog/migrations/0001_initial.py"
    migration.write_text(SLOW.format(seconds=30))
    init_core(project)
    process = project.popen("db_init", "--app", "blog")
    wait_for(lambda: is_migrating(postgres, names["blog"]))
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    migration.write_text(SLOW.format(seconds=0))

    code, outcomes, _ = init(project, "--app", "blog")

    assert (code, outcomes["blog"]["error"]) == (0, None)
    assert postgres.fetch("SELECT text FROM blog_note", database=names["blog"]) == [("once",)]


def is_migrating(server: Server, name: str) -> bool:
    """Whether a migration has begun and waits inside its transaction."""
    return bool(
        server.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
            f" AND datname = '{name}'"
        )
    )


def wait_for(condition: Callable[[], bool], seconds: float = 50) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_mariadb(project: Project, mariadb: Server, database_name: Callable[[str], str]) -> None:
    main, blog = database_name("main"), database_name("we`ird")
    project.app("blog", models=NOTE)
    project.makemigrations("blog")
    project.env = {"DATABASE_URL": mariadb.url(main), "BLOG_DATABASE_URL": mariadb.url(blog)}

    first = project.manage("db_init", "--all-apps")
    second = project.manage("db_init", "--all-apps")

    assert first.stdout == (
        "default: created, 16 migrations applied\n"
        "blog: created, 2 migrations applied\n"
        "2 databases ready.\n"
    )
    assert second.stdout.endswith("Nothing had to be done.\n")
    assert mariadb.tables(blog) == {"blog_note", *OF_ALL}
    assert project.manage("db_list", "--check").returncode == 0
    assert (
        init(project, "--owner=somebody")[0] == 0
    )  # It is there already, so its owner is not asked.


def test_mariadb_creating(
    project: Project, mariadb: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("main")
    project.env = {"DATABASE_URL": mariadb.url(name)}

    _, refused, _ = init(project, "--owner=somebody")
    _, unknown, _ = init(project, "--encoding=klingon")
    project.manage("db_init", "--encoding=latin1", "--no-migrate")

    assert refused["default"]["error"] == (
        "A database of the engine 'mysql' has no owner. Leave it out."
    )
    assert unknown["default"]["error"].startswith("The database cannot be created: (1115,")
    found = mariadb.fetch(
        "SELECT default_character_set_name FROM information_schema.schemata"
        f" WHERE schema_name = '{name}'"
    )
    assert found == [("latin1",)]


def test_two_processes_at_once_on_mariadb(
    project: Project, mariadb: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("blog")
    project.app("blog", migrations={"0001_initial": SLOW.format(seconds=1)}, models=NOTE)
    project.env = {"BLOG_DATABASE_URL": mariadb.url(name)}

    init_core(project)
    processes = [project.popen("db_init", "--app", "blog") for _ in range(2)]
    results = [process.communicate(timeout=110) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], results
    assert mariadb.fetch("SELECT text FROM blog_note", database=name) == [("once",)]


def test_progress_goes_to_a_terminal_only(project: Project, tmp_path: Path) -> None:
    """With a terminal as stderr a spinner runs there, and stdout has the plain lines."""
    program = """
        import os, pty, subprocess, sys
        leader, follower = pty.openpty()
        process = subprocess.run(
            [sys.executable, "-W", "error", "manage.py", "db_init"],
            stderr=follower, stdout=subprocess.PIPE, text=True, check=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        )
        os.close(follower)
        shown = os.read(leader, 65536).decode()
        assert "default: creating and migrating" in shown, shown
        print(process.stdout, end="")
    """

    result = project.python(program, setup=False)

    assert result.stdout == "default: created, 16 migrations applied\n1 database ready.\n"


@pytest.mark.parametrize("engine", ["postgres", "mariadb", "sqlite"])
def test_losing_the_race_to_create(
    project: Project,
    engine: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    url = "sqlite:///race.sqlite3"
    if engine != "sqlite":
        url = request.getfixturevalue(engine).url(database_name("race"))
    project.env["DATABASE_URL"] = url

    result = project.python(
        """
        from appdb_router.services.creating import create_database
        print(create_database("default"), create_database("default"))
        """
    )

    assert result.stdout == "True False\n"


def test_a_database_that_is_there_but_closed(
    project: Project, postgres_2: Server, names: dict[str, str], role: Callable[..., Any]
) -> None:
    guest = role(postgres_2)
    postgres_2.execute(f"CREATE DATABASE {names['main']}")
    postgres_2.execute(f"REVOKE CONNECT ON DATABASE {names['main']} FROM PUBLIC")
    project.env["DATABASE_URL"] = postgres_2.url(
        names["main"], user=guest.name, password=guest.password
    )

    _, outcomes, _ = init(project)

    assert "permission denied for database" in outcomes["default"]["error"]


def test_from_python(project: Project) -> None:
    """What the command does, Python can call."""
    project.app("blog", models=NOTE)
    project.makemigrations("blog")
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"

    result = project.python(
        """
        from appdb_router.services.initialising import initialise, targets
        from appdb_router.topology import get_topology

        for outcome in initialise(targets(get_topology(), ["blog", "auth"])):
            print(outcome.alias, outcome.created, len(outcome.applied), outcome.error)
        for outcome in initialise(targets(get_topology(), ["blog", "auth"]), after={}):
            print(outcome.alias, outcome.is_unchanged)
        """
    )

    assert result.stdout == ("default False 16 None\nblog True 2 None\ndefault True\nblog True\n")


def test_an_engine_that_cannot_be_loaded_does_not_stop_the_others(project: Project) -> None:
    setting = {"ENGINE": "acme.backend", "NAME": "x"}
    project.app("blog", files={"database.py": f"DATABASE = {setting!r}\n"})
    project.env["SESSIONS_DATABASE_URL"] = "sqlite:///sessions.sqlite3"
    project.installed_apps.insert(1, project.installed_apps.pop())

    code, outcomes, _ = init(project, "--all-apps")

    assert code == 1
    assert {alias: item["status"] for alias, item in outcomes.items()} == {
        "default": "ready",
        "blog": "failed",
        "sessions": "ready",
    }
    assert outcomes["blog"]["error"].startswith(
        "ImproperlyConfigured: 'acme.backend' isn't an available database backend"
    )


def test_a_process_of_its_own_ends_without_collecting_garbage(project: Project) -> None:
    result = project.python(
        """
        import gc
        from django.core.management import call_command, execute_from_command_line

        before = gc.get_freeze_count()
        call_command("db_init", verbosity=0)
        print(gc.get_freeze_count() <= before)
        execute_from_command_line(["manage.py", "db_init", "--verbosity=0"])
        print(gc.get_freeze_count() > before)
        """
    )

    assert result.stdout == "True\nTrue\n"
