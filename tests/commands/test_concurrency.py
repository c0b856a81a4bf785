"""``db_init`` by several processes, in several threads, and told to stop."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from threading import Thread
from typing import Any

import psycopg
import pytest

from appdb_router.services.locking import _ADVISORY_KEY
from tests.support.project import Project
from tests.support.servers import Server

SLOW = """
import pathlib, sys, time
from django.db import migrations, models

def add_row(apps, schema_editor):
    Note = apps.get_model("blog", "Note")
    Note.objects.using(schema_editor.connection.alias).create(text="once")
    print("from a migration")
    sys.stdout.flush()
    pathlib.Path("inside").touch()
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
    slow_blog(project, seconds=0)
    project.env = {
        "DATABASE_URL": postgres.url(names["main"]),
        "AUTH_DATABASE_URL": postgres.url(names["auth"]),
        "BLOG_DATABASE_URL": postgres.url(names["blog"]),
    }
    return names


def slow_blog(project: Project, *, seconds: float) -> None:
    """Install the app ``blog``, whose migration takes its time and marks that it has begun.

    It has no models, whose content types would have to be on the core alias first.
    """
    if "blog" not in project.installed_apps:
        project.app("blog")
    project.write("blog/migrations/0001_initial.py", SLOW.format(seconds=seconds))


def outcomes(text: str) -> dict[str, dict[str, Any]]:
    return {item["alias"]: item for item in json.loads(text)["databases"]}


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def locked(server: Server, name: str) -> Iterator[None]:
    """Hold the lock of a database, as another process that migrates it would."""
    connection = psycopg.connect(
        host=server.host, port=server.port, user=server.user, dbname=name, autocommit=True
    )
    with closing(connection):
        connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_KEY])
        yield


def waits_for_the_lock(server: Server, name: str) -> bool:
    """Whether a session has asked for the lock in vain."""
    return bool(
        server.fetch(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'idle'"
            f" AND query LIKE 'SELECT pg_try_advisory_lock%' AND datname = '{name}'"
        )
    )


WAITING = """
import pathlib, time
from django.db import migrations, models

def wait(apps, schema_editor):
    pathlib.Path("inside").touch()
    while not pathlib.Path("go on").exists():
        time.sleep(0.02)

class Migration(migrations.Migration):
    operations = [
        migrations.CreateModel(
            "Note",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("text", models.CharField(max_length=20)),
            ],
        ),
        migrations.RunPython(wait, migrations.RunPython.noop),
    ]
"""


@pytest.mark.parametrize(
    ("command", "waits", "codes"),
    [
        # Stock Django: both have read that nothing is applied, and one fails at what the other did.
        (["migrate", "blog", "--database=blog"], "wait_event_type = 'Lock'", {0, 1}),
        (["db_init", "--app=blog"], "query LIKE 'SELECT pg_try_advisory_lock%'", {0}),
    ],
    ids=["migrate", "db_init"],
)
def test_fact_9_two_deploys_at_once(
    project: Project,
    postgres: Server,
    names: dict[str, str],
    command: list[str],
    waits: str,
    codes: set[int],
) -> None:
    project.manage("db_init", "--app=blog", "--no-migrate")
    project.write("blog/migrations/0001_initial.py", WAITING)
    of_here = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{names['blog']}' AND state"

    with project.popen(*command) as first:
        wait_for((project.root / "inside").exists)
        with project.popen(*command) as second:
            # Of db_init, the one that has the lock is in a transaction now.
            state = "= 'idle'" if codes == {0} else "= 'active'"
            wait_for(lambda: postgres.fetch(f"{of_here} {state} AND {waits}"))
            (project.root / "go on").touch()
            results = [process.communicate(timeout=110) for process in (first, second)]

    assert {first.returncode, second.returncode} == codes, results
    assert ("already exists" in str(results) or "duplicate key" in str(results)) is (1 in codes)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["postgres", "mariadb", "sqlite"])
def test_processes_at_once(
    project: Project,
    engine: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    slow_blog(project, seconds=0.3)
    url = "sqlite:///blog.sqlite3"
    if engine != "sqlite":
        url = request.getfixturevalue(engine).url(database_name("blog"))
    project.env = {"BLOG_DATABASE_URL": url}

    processes = [project.popen("db_init", "--app", "blog") for _ in range(3)]
    results = [process.communicate(timeout=110) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], results
    assert "".join(out for out, _ in results).count("from a migration") == 1
    assert not [*project.root.glob("*.appdb-lock")]


def test_a_lock_file_that_was_left_behind_keeps_nobody_out(project: Project) -> None:
    slow_blog(project, seconds=30)
    project.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"
    process = project.popen("db_init", "--app", "blog")
    wait_for((project.root / "inside").exists)
    lock_file = project.root / "blog.sqlite3.appdb-lock"

    waiting = project.manage("db_init", "--app=blog", "--lock-timeout=0.2", check=False)
    process.kill()
    process.communicate()
    assert lock_file.exists()
    slow_blog(project, seconds=0)
    result = project.manage("db_init", "--app", "blog")

    assert waiting.returncode == 1
    assert "Another process has been migrating the database for 0.2 seconds." in waiting.stdout
    assert "blog: already there, 1 migration applied\n" in result.stdout
    assert not lock_file.exists()


def test_a_statement_that_outlives_its_process(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    """The server goes on with what a killed process had sent, and keeps its lock meanwhile."""
    slow = "from django.db import migrations\n\nclass Migration(migrations.Migration):\n" + (
        '    dependencies = [("blog", "0001_initial")]\n'
        '    operations = [migrations.RunSQL("SELECT pg_sleep(600)")]\n'
    )
    path = project.write("blog/migrations/0002_slow.py", slow)
    sleeping = (
        "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
        f" AND datname = '{names['blog']}'"
    )
    process = project.popen("db_init", "--app=blog")
    wait_for(lambda: postgres.fetch(f"SELECT 1 {sleeping}"))
    process.kill()
    process.communicate()

    early = project.manage("db_init", "--app=blog", "--lock-timeout=0.2", check=False)
    postgres.execute(f"SELECT pg_terminate_backend(pid) {sleeping}")
    path.write_text(slow.replace("600", "0"))
    later = project.manage("db_init", "--app=blog")

    assert "Another process has been migrating the database for 0.2 seconds." in early.stdout
    assert "migration applied" in later.stdout


def test_two_names_of_one_file_have_one_lock(project: Project) -> None:
    result = project.python(
        """
        import os
        from appdb_router.services.connecting import separate_connection
        from appdb_router.services.file_lock import FileLock

        os.symlink("db.sqlite3", "other")
        os.mkdir("sub")
        names = ["db.sqlite3", os.path.abspath("sub/../db.sqlite3"), "other", "file:db.sqlite3?a=b"]
        with separate_connection("default") as connection:
            locks = []
            for name in names:
                connection.settings_dict["NAME"] = name
                locks.append(FileLock(connection))
        print(locks[0].take(), [lock.take() for lock in locks[1:]], locks[0].give())
        for lock in locks:
            print(lock.take(), lock.give(), end=" ")
        """
    )

    assert result.stdout == f"True {[False] * 3} True\n" + "True True " * 4


def test_a_file_that_is_removed_while_somebody_waits(project: Project) -> None:
    """Whoever opened the old file does not take it for the lock."""
    result = project.python(
        """
        import os
        from appdb_router.services.connecting import separate_connection
        from appdb_router.services.file_lock import FileLock

        with separate_connection("default") as connection:
            first, second, third = (FileLock(connection) for _ in range(3))
        print(first.take())
        os.rename(first._path, "old")
        print(second.take(), first.give(), third.take(), second.give(), os.path.exists("old"))
        """
    )

    assert result.stdout == "True\nTrue False False True True\n"


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (
            "os.mkdir('db.sqlite3.appdb-lock')",
            "The lock file '{path}' cannot be opened: Is a directory. Make it and its folder"
            " writable for this user.",
        ),
        (
            # The tests' file systems have locks.
            "def refuse(*_): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))\n"
            "fcntl.flock = refuse",
            "'{path}' cannot be locked: No locks available. SQLite needs a file system with locks,"
            " too: put the database on a local disk.",
        ),
    ],
)
def test_a_file_that_cannot_be_locked(project: Project, prepare: str, error: str) -> None:
    project.settings_extra = f"import errno, fcntl, os\n{prepare}\n"

    result = project.manage("db_init", "--format=json", check=False)

    path = project.root / "db.sqlite3.appdb-lock"
    assert result.returncode == 1
    assert outcomes(result.stdout)["default"]["error"] == error.format(path=path)


@pytest.mark.parametrize(
    ("engine", "action"),
    [
        ("postgres", "connection.cursor().execute('SELECT pg_advisory_unlock_all()')"),
        ("postgres", "connection.close()"),
        ("postgres", "connection.connection.close()"),
        ("mariadb", "connection.close()"),
        ("sqlite", "Path('db.sqlite3.appdb-lock').unlink()"),
    ],
)
def test_the_lock_is_verified_to_the_end(
    project: Project,
    engine: str,
    action: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    """A migration that loses the lock, as by closing its connection, is not called a success."""
    if engine != "sqlite":
        url = request.getfixturevalue(engine).url(database_name("main"))
        project.env["DATABASE_URL"] = url
    project.manage("db_init", "--no-migrate")

    result = project.python(
        f"""
        from pathlib import Path

        from appdb_router.exceptions import DatabaseOperationError
        from appdb_router.services.connecting import separate_connection
        from appdb_router.services.locking import migration_lock

        try:
            with (
                separate_connection("default") as connection,
                migration_lock(connection, timeout=1),
            ):
                {action}
        except DatabaseOperationError as error:
            print(error)
        """
    )

    assert result.stdout == (
        "The lock for migrating was not held to the end: the session that held it was closed, or a"
        " pooler gave it to somebody else. Make sure that nothing else was migrating the database"
        " meanwhile, and run it again.\n"
    )


def test_jobs(project: Project, postgres: Server, names: dict[str, str]) -> None:
    """A database that has to wait does not keep the others waiting; the core is first and alone."""
    postgres.execute(f"CREATE DATABASE {names['main']}")
    with project.popen("db_init", "--all-apps", "--jobs=2", "--verbosity=2") as process:
        assert process.stdout
        assert process.stderr
        with locked(postgres, names["main"]):
            lines = iter(process.stdout.readline, "")
            first = list(iter(lines.__next__, "blog: created, 2 migrations applied\n"))
            wait_for(lambda: waits_for_the_lock(postgres, names["main"]))
        rest = [*lines]
        errors = process.stderr.read()

    assert (process.returncode, errors) == (0, "")
    core = first.index("auth: created, 15 migrations applied\n")
    assert "from a migration\n" in first
    # What Django writes of a database stands together, before the line that sums it up.
    assert "  Applying auth.0001_initial... OK" in "".join(first[:core])
    assert "  Applying blog.0001_initial... OK" in "".join(first[core:])
    assert rest[-2:] == ["default: already there, 2 migrations applied\n", "3 databases ready.\n"]


def test_jobs_in_json(project: Project, names: dict[str, str]) -> None:
    """One document, in the usual order, whatever migrations print."""
    project.env["BLOG_DATABASE_URL"] = "postgresql://u@127.0.0.1:1/x"

    result = project.manage("db_init", "--all-apps", "--jobs=3", "--format=json", check=False)

    found = outcomes(result.stdout)
    assert [*found] == ["auth", "default", "blog"]
    assert [item["status"] for item in found.values()] == ["ready", "ready", "failed"]


def test_what_a_migration_prints_is_not_in_the_document(project: Project) -> None:
    slow_blog(project, seconds=0)

    result = project.manage("db_init", "--format=json")

    assert outcomes(result.stdout)["default"]["status"] == "ready"
    assert result.stderr == "from a migration\n"


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_number_of_jobs_that_is_none(project: Project, number: str) -> None:
    result = project.manage("db_init", f"--jobs={number}", check=False)

    assert result.returncode == 2
    assert f"{number!r} is not a whole number of 1 or more" in result.stderr


@pytest.mark.parametrize(
    ("jobs", "number", "code"), [(1, signal.SIGINT, 130), (2, signal.SIGTERM, 143)]
)
def test_stopped_in_order(
    project: Project,
    postgres: Server,
    names: dict[str, str],
    jobs: int,
    number: signal.Signals,
    code: int,
) -> None:
    """Waiting ends, nothing is begun any more, and the document is whole."""
    postgres.execute(f"CREATE DATABASE {names['auth']}")
    with locked(postgres, names["auth"]):
        process = project.popen("db_init", "--all-apps", f"--jobs={jobs}", "--format=json")
        wait_for(lambda: waits_for_the_lock(postgres, names["auth"]))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    found = outcomes(out)
    assert process.returncode == code
    assert found["auth"]["error"] == "Stopped while another process migrated the database."
    assert found["blog"]["error"] == found["default"]["error"] == "Stopped before it was begun."
    assert err == (
        "Stopping after what is being worked at. Once more to stop at once.\n"
        "CommandError: 3 of 3 databases failed: auth, default, blog.\n"
    )
    assert names["blog"] not in postgres.databases()


def test_stopped_in_text(project: Project, postgres: Server, names: dict[str, str]) -> None:
    postgres.execute(f"CREATE DATABASE {names['auth']}")
    with locked(postgres, names["auth"]), project.popen("db_init", "--all-apps") as process:
        wait_for(lambda: waits_for_the_lock(postgres, names["auth"]))
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 143
    assert out == (
        "auth: failed: Stopped while another process migrated the database.\n"
        "default: failed: Stopped before it was begun.\n"
        "blog: failed: Stopped before it was begun.\n"
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_migration_is_finished_before_it_stops(
    project: Project, postgres: Server, names: dict[str, str], jobs: int
) -> None:
    slow_blog(project, seconds=1)
    process = project.popen("db_init", "--app=blog", f"--jobs={jobs}")
    wait_for((project.root / "inside").exists)

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    # All that was asked for is done.
    assert process.returncode == 0
    assert out.endswith("blog: created, 2 migrations applied\n1 database ready.\n")


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once(
    project: Project,
    postgres: Server,
    names: dict[str, str],
    jobs: int,
    number: signal.Signals,
) -> None:
    slow_blog(project, seconds=60)
    process = project.popen("db_init", "--app=blog", f"--jobs={jobs}")
    wait_for((project.root / "inside").exists)

    process.send_signal(number)
    assert process.stderr
    assert process.stderr.readline().startswith("Stopping after what is being worked at.")
    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode in {-number, 130}
    slow_blog(project, seconds=0)
    project.manage("db_init", "--app", "blog")
    assert postgres.fetch("SELECT text FROM blog_note", database=names["blog"]) == [("once",)]


NOTE = """
from django.db import models

class Note(models.Model):
    text = models.CharField(max_length=20)
"""

GENERATED = """
class Sum(models.Model):
    a = models.IntegerField()
    b = models.GeneratedField(
        expression=models.F("a") + 1, output_field=models.IntegerField(), db_persist=True
    )
"""


def test_fact_11_a_database_that_is_down(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    """Commands of Django open every database, where those of this package open what they need."""
    project.app("sums", models=GENERATED)
    project.write("blog/models.py", NOTE)
    # Before there are other databases, for the reason that this test is about.
    urls, project.env = project.env, {}
    project.makemigrations("sums")
    project.env = {**urls, "BLOG_DATABASE_URL": "postgresql://u@127.0.0.1:1/blog"}

    listed = project.manage("db_list")
    result = project.manage("db_init", "--all-apps", "--format=json", check=False)
    stock = project.manage("makemigrations", "--check", check=False)

    assert "history performed for database connection 'blog'" in stock.stderr
    assert "blog" in listed.stdout
    assert [item["status"] for item in outcomes(result.stdout).values()] == [
        "ready",
        "ready",
        "failed",
    ]
    assert "sums_sum" in postgres.tables(names["main"])


def test_from_a_thread(project: Project) -> None:
    """Signals are the main thread's business; the command works without them."""
    result = project.python(
        """
        from threading import Thread
        from django.core.management import call_command

        thread = Thread(target=call_command, args=["db_init"])
        thread.start()
        thread.join()
        """
    )

    assert result.stdout == "default: created, 16 migrations applied\n1 database ready.\n"


def test_a_line_for_each_database_on_a_terminal(
    project: Project, postgres: Server, names: dict[str, str]
) -> None:
    project.manage("db_init", "--app=auth")
    for name in (names["main"], names["blog"]):
        postgres.execute(f"CREATE DATABASE {name}")
    leader, follower = pty.openpty()
    shown: list[str] = []
    reader = Thread(target=read_all, args=(leader, shown))
    two_lines = (
        r"(blog|default): creating and migrating.*\n.*(blog|default): creating and migrating"
    )
    with locked(postgres, names["main"]), locked(postgres, names["blog"]):
        process = subprocess.Popen(
            project._command(["manage.py", "db_init", "--all-apps", "--jobs=2"]),
            cwd=project.root,
            env={**project.environment(), "TERM": "xterm", "COLUMNS": "80"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=follower,
            encoding="utf-8",
        )
        os.close(follower)
        reader.start()
        wait_for(lambda: re.search(two_lines, "".join(shown)))
    out, _ = process.communicate(timeout=60)
    reader.join()

    assert sorted(out.splitlines()) == [
        "3 databases ready.",
        "auth: already there, nothing to migrate",
        "blog: already there, 2 migrations applied",
        "default: already there, 2 migrations applied",
        "from a migration",
    ]


def read_all(terminal: int, shown: list[str]) -> None:
    """Read a pseudo-terminal until nobody has its other end open."""
    # Linux ends such a file with an error.
    with suppress(OSError):
        while text := os.read(terminal, 65536):
            shown.append(text.decode())
    os.close(terminal)
