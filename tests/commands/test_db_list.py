"""``db_list``, its whole output."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

SECRET = "s3cr3t-pass"
MODEL = "class Thing(models.Model):\n    pass\n"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def listed(project: Project) -> Project:
    """A project with every kind of source; none of its servers exists."""
    project.app(
        "apps.accounts",
        models="""
            from django.contrib.auth.models import AbstractUser
            class User(AbstractUser):
                pass
        """,
    )
    database = 'DATABASE_URL = "postgresql://db2.invalid:5433/driver_db"\n'
    project.app("apps.driver", files={"database.py": database})
    project.app("apps.user")
    project.app("apps.map")
    project.app("apps.park")
    project.auth_user_model = "accounts.User"
    project.installed_apps.insert(1, "django.contrib.admin")
    project.build_arguments = "together={'map': ['park']},"
    project.env = {
        "AUTH_DATABASE_URL": f"postgresql://app:{SECRET}@db1.invalid:5432/auth_db"
        f"?sslpassword={SECRET}&pool_size=3",
        "PARK_DATABASE_URL": f"postgresql://app:{SECRET}@db1.invalid,[::2]:6432/auth_db"
        "?currentSchema=park",
        "SESSIONS_DATABASE_URL": "sqlite:///./db.sqlite3",
    }
    return project


LISTING = """\
📊 Discovered Databases:

🔹 auth
   URL: postgresql://app:***@db1.invalid:5432/auth_db
   Apps: accounts, admin, auth, contenttypes
   Source: Environment variable (AUTH_DATABASE_URL)

🔹 driver
   URL: postgresql://db2.invalid:5433/driver_db
   Source: apps/driver/database.py

🔹 map
   URL: postgresql://app:***@db1.invalid:5432,[::2]:6432/auth_db?search_path=park
   Apps: map, park
   Source: Environment variable (PARK_DATABASE_URL)

🔹 sessions
   URL: sqlite:///db.sqlite3
   Source: Environment variable (SESSIONS_DATABASE_URL)
   Same database as: default

🔹 user
   URL: sqlite:///db.sqlite3
   Source: Default (default= in the settings)

🔹 default (appdb_router, messages, staticfiles): sqlite:///db.sqlite3
"""


def test_text(listed: Project) -> None:
    assert listed.manage("db_list").stdout == LISTING


@pytest.mark.parametrize(
    "env", [{"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_plain_text(listed: Project, env: dict[str, str]) -> None:
    listed.env.update(env)
    expected = LISTING.replace("📊 ", "").replace("🔹", "*")

    assert listed.manage("db_list").stdout == expected


def test_a_dumb_terminal(listed: Project) -> None:
    program = """
        import os, pty, subprocess, sys
        leader, follower = pty.openpty()
        subprocess.run(
            [sys.executable, "manage.py", "db_list"],
            stdout=follower, check=True, env={**os.environ, "TERM": "dumb"},
        )
        os.close(follower)
        print(os.read(leader, 65536).decode())
    """

    result = listed.python(program, setup=False)

    assert result.stdout.startswith("Discovered Databases:\n\n* auth\n")


def test_names_that_the_terminal_cannot_show(listed: Project) -> None:
    listed.env |= {
        "PYTHONIOENCODING": "ascii",
        "DATABASE_URL": "sqlite:///d%C3%BCne.sqlite3",
        "SESSIONS_DATABASE_URL": "",
    }

    assert "sqlite:///d\\xfcne.sqlite3" in listed.manage("db_list").stdout


def test_the_default_from_the_environment(listed: Project) -> None:
    listed.env |= {
        "DATABASE_URL": f"mysql://u:{SECRET}@db3.invalid/main",
        "SESSIONS_DATABASE_URL": " ",
    }

    assert listed.manage("db_list", "--app", "user").stdout == (
        "📊 Discovered Databases:\n\n🔹 user\n   URL: mysql://u:***@db3.invalid/main\n"
        "   Source: Default (DATABASE_URL)\n"
    )


@pytest.mark.parametrize("label", ["map", "park"])
def test_one_app(listed: Project, label: str) -> None:
    assert listed.manage("db_list", "--app", label).stdout == (
        "📊 Discovered Databases:\n\n🔹 map\n"
        "   URL: postgresql://app:***@db1.invalid:5432,[::2]:6432/auth_db?search_path=park\n"
        "   Apps: map, park\n   Source: Environment variable (PARK_DATABASE_URL)\n"
    )


def test_no_app_on_the_default(project: Project) -> None:
    project.installed_apps = ["appdb_router"]
    project.env["APPDB_ROUTER_DATABASE_URL"] = "sqlite:///other.sqlite3"

    assert project.manage("db_list").stdout.endswith("🔹 default (no apps): sqlite:///db.sqlite3\n")


def test_an_unknown_label(listed: Project) -> None:
    result = listed.manage("db_list", "--app", "drivers", check=False)

    assert result.returncode == 2
    assert result.stderr == (
        "CommandError: No installed app has the label 'drivers'. Did you mean 'driver'?\n"
    )


def test_json(listed: Project) -> None:
    document = json.loads(listed.manage("db_list", "--format", "json").stdout)

    assert document["databases"][2] == {
        "alias": "map",
        "apps": ["map", "park"],
        "engine": "django.db.backends.postgresql",
        "url": "postgresql://app:***@db1.invalid:5432,[::2]:6432/auth_db?search_path=park",
        "source": {"kind": "environment", "name": "PARK_DATABASE_URL"},
        "canonical_alias": "map",
        "status": None,
    }
    assert [
        (item["alias"], item["canonical_alias"], item["source"]) for item in document["databases"]
    ] == [
        ("auth", "auth", {"kind": "environment", "name": "AUTH_DATABASE_URL"}),
        ("driver", "driver", {"kind": "database.py", "name": "apps/driver/database.py"}),
        ("map", "map", {"kind": "environment", "name": "PARK_DATABASE_URL"}),
        ("sessions", "default", {"kind": "environment", "name": "SESSIONS_DATABASE_URL"}),
        ("default", "default", {"kind": "argument", "name": "default="}),
    ]


@pytest.mark.parametrize(
    ("engine", "url"),
    [
        ({"ENGINE": "acme.backend", "HOST": "h", "USER": "u"}, "acme.backend://u@h/n"),
        ({"ENGINE": "django.db.backends.oracle", "PASSWORD": SECRET}, "oracle://:***@/n"),
        ({"HOST": "/run/pg", "PORT": "6"}, "postgresql://%2Frun%2Fpg:6/n"),
        ({"HOST": "a,b", "PORT": "1,2"}, "postgresql://a:1,b:2/n"),
        ({"OPTIONS": {"service": "s"}, "NAME": ""}, "postgresql:///?service=s"),
        ({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, "sqlite:///:memory:"),
        ({"ENGINE": "django.db.backends.sqlite3", "NAME": "/x/y"}, "sqlite:////x/y"),
    ],
)
def test_urls(project: Project, engine: dict[str, Any], url: str) -> None:
    setting = {"ENGINE": "django.db.backends.postgresql", "NAME": "n", **engine}
    project.app("blog", files={"database.py": f"DATABASE = {setting!r}\n"})

    document = json.loads(project.manage("db_list", "--app", "blog", "--format=json").stdout)

    assert document["databases"][0]["url"] == url


def check(project: Project, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Run ``db_list --check`` and return its exit code, the entries by alias, and stderr."""
    result = project.manage("db_list", "--check", "--format=json", *arguments, check=False)
    entries = {item["alias"]: item for item in json.loads(result.stdout)["databases"]}
    return result.returncode, entries, result.stderr


def test_check_of_databases_in_every_state(
    project: Project,
    postgres: Server,
    postgres_2: Server,
    database_name: Callable[[str], str],
    role: Callable[..., Any],
) -> None:
    ready, empty, missing = map(database_name, ("ready", "empty", "missing"))
    postgres.execute(f"CREATE DATABASE {ready}")
    postgres.execute(f"CREATE DATABASE {empty}")
    guest = role(postgres_2)
    for name in ("pending", "gone", "locked", "dead", "again"):
        project.app(name)
    project.write("pending/models.py", "from django.db import models\n\n" + MODEL)
    project.makemigrations("pending")
    project.env = {
        "DATABASE_URL": postgres.url(ready),
        "PENDING_DATABASE_URL": postgres.url(empty),
        "AGAIN_DATABASE_URL": postgres.url(empty),
        "GONE_DATABASE_URL": postgres.url(missing),
        "LOCKED_DATABASE_URL": postgres_2.url("postgres", user=guest.name, password=SECRET),
        "DEAD_DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/dead",
    }
    project.manage("migrate", "--verbosity=0")

    code, entries, stderr = check(project)

    assert code == 1
    assert {alias: item["status"] for alias, item in entries.items()} == {
        "default": "reachable",
        "pending": "reachable",
        "again": "reachable",
        "gone": "missing",
        "locked": "unreachable",
        "dead": "unreachable",
    }
    assert entries["default"]["pending_migrations"] == []
    assert entries["default"]["server_version"].startswith("PostgreSQL 1")
    assert entries["pending"]["pending_migrations"][1:] == ["pending.0001_initial"]
    assert entries["again"] == {
        **entries["pending"],
        "alias": "again",
        "apps": ["again"],
        "canonical_alias": "pending",
        "source": {"kind": "environment", "name": "AGAIN_DATABASE_URL"},
    }
    assert "password authentication failed" in entries["locked"]["error"]
    assert "refused" in entries["dead"]["error"]
    assert stderr == (
        "CommandError: 5 databases not ready: again, dead, gone, locked, pending."
        " 'manage.py db_init' creates and migrates what can be reached.\n"
    )
    assert missing not in postgres.databases()


def test_check_in_text(project: Project) -> None:
    result = project.manage("db_list", "--check", check=False)

    assert result.stdout.endswith(
        "🔹 default (appdb_router, auth, contenttypes, messages, sessions, staticfiles):"
        " sqlite:///db.sqlite3\n   Status: missing\n"
    )
    assert not (project.root / "db.sqlite3").exists()
    (project.root / "db.sqlite3").touch()
    assert (
        "   Status: reachable, SQLite 3."
        in project.manage("db_list", "--check", check=False).stdout
    )
    assert "   Pending: 16 migrations\n" in project.manage("db_list", "--check", check=False).stdout
    project.manage("migrate", "--verbosity=0")
    ready = project.manage("db_list", "--check")
    assert "Pending" not in ready.stdout


def test_check_shows_why_a_server_is_not_reachable(project: Project) -> None:
    project.env["DATABASE_URL"] = f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/dead"

    result = project.manage("db_list", "--check", "--timeout=3", check=False)

    assert result.returncode == 1
    assert "   Status: unreachable: connection" in result.stdout
    assert SECRET not in result.stdout + result.stderr


def test_check_of_a_server_that_never_answers(project: Project) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        port = silent.getsockname()[1]
        # The driver's own limit is taken away: ours has to end the wait.
        project.app("blog", files={"database.py": 'OPTIONS = {"connect_timeout": 100}\n'})
        project.env["BLOG_DATABASE_URL"] = f"mysql://u:{SECRET}@127.0.0.1:{port}/dead"
        project.env["SESSIONS_DATABASE_URL"] = f"postgresql://u@127.0.0.1:{port}/dead"
        project.settings_extra = 'del DATABASES["sessions"]["OPTIONS"]["connect_timeout"]'

        code, entries, _ = check(project, "--timeout=1")

    assert code == 1
    assert entries["sessions"]["status"] == "unreachable"
    assert entries["sessions"]["error"] == "no answer within 2 seconds"
    assert entries["blog"]["status"] == "unreachable"


def test_check_does_not_blame_the_database_for_a_broken_migration(project: Project) -> None:
    project.app("blog", migrations={"0001_initial": "class Migration(None):\n    pass\n"})
    (project.root / "db.sqlite3").touch()

    result = project.manage("db_list", "--check", check=False)

    assert result.returncode == 1
    assert "0001_initial.py" in result.stderr
    assert "no answer" not in result.stdout


def test_check_without_the_driver(project: Project) -> None:
    project.app(
        "blog",
        files={"database.py": 'DATABASE = {"ENGINE": "acme.backend", "NAME": "x"}\n'},
    )

    code, entries, _ = check(project, "--app", "blog")

    assert (code, entries["blog"]["status"]) == (1, "unreachable")
    assert "'acme.backend' isn't an available database backend" in entries["blog"]["error"]


def test_check_of_other_engines(project: Project, mariadb: Server) -> None:
    project.app("blog")
    project.app("shop")
    project.env["BLOG_DATABASE_URL"] = mariadb.url("appdb_never_made")
    project.env["SHOP_DATABASE_URL"] = f"mariadb://nobody:{SECRET}@127.0.0.1:{mariadb.port}/x"
    project.env["SESSIONS_DATABASE_URL"] = "sqlite://:memory:"

    _, entries, _ = check(project)

    assert entries["blog"]["status"] == "missing"
    assert entries["shop"]["status"] == "unreachable"
    assert "Access denied" in entries["shop"]["error"]
    assert entries["sessions"]["status"] == "reachable"
    assert entries["sessions"]["server_version"].startswith("SQLite 3.")


def test_no_output_holds_a_password(listed: Project) -> None:
    for arguments in ((), ("--format=json",), ("--check", "--timeout=1"), ("--app=auth",)):
        result = listed.manage("db_list", *arguments, check=False)
        assert result.stdout
        assert SECRET not in result.stdout + result.stderr
