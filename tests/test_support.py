"""Tests of the test support: the servers, the fixtures and the project builder keep their word."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest

from tests.conftest import Role
from tests.support.project import REPOSITORY, Project
from tests.support.servers import MYSQL_VARIABLE, Server, postgres_in_environment

pytestmark = pytest.mark.once

PLAIN_SETTINGS = """
    from pathlib import Path

    BASE_DIR = Path(__file__).resolve().parent
    SECRET_KEY = "only-for-tests"
    INSTALLED_APPS = ["driver"]
    DATABASES = {
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}
    }
"""


@pytest.fixture(params=["postgres", "postgres_2", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def connect(server: Server, name: str, **query: str) -> psycopg.Connection[Any]:
    return psycopg.connect(server.url(name, **query), connect_timeout=10)


# Servers


def test_url_quotes_every_part() -> None:
    server = Server("postgresql", "127.0.0.1", 5433, "postgres", "p@ss/word")

    assert server.url("a b") == "postgresql://postgres:p%40ss%2Fword@127.0.0.1:5433/a%20b"


def test_url_of_another_user_does_not_carry_the_password() -> None:
    server = Server("mysql", "db", 3306, "root", "secret")

    assert server.url("x", user="reader") == "mysql://reader@db:3306/x"


def test_url_with_a_socket_folder_and_a_query() -> None:
    server = Server("postgresql", "127.0.0.1", 5433, "postgres")

    url = server.url("x", host="/tmp/pg", sslmode="disable")  # noqa: S108 - never opened

    assert url == "postgresql://postgres@%2Ftmp%2Fpg:5433/x?sslmode=disable"


def test_server_is_read_back_from_its_url() -> None:
    server = Server("postgresql", "127.0.0.1", 5433, "postgres", "p@ss", "/run/pg")

    assert Server.from_url(server.url("", socket_dir="/run/pg")) == server


def test_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown scheme 'oracle'; choose from"):
        Server.from_url("oracle://x/")


def test_a_database_comes_and_goes(server: Server, database_name: Callable[[str], str]) -> None:
    name = database_name("auth")
    server.execute(f"CREATE DATABASE {name}")
    server.execute("CREATE TABLE ride (id integer)", database=name)
    server.execute("INSERT INTO ride VALUES (7)", database=name)

    assert name in server.databases()
    assert server.tables(name) == {"ride"}
    assert server.fetch("SELECT id FROM ride", database=name) == [(7,)]

    server.drop(name)

    assert name not in server.databases()
    server.drop(name)


def test_drop_does_not_wait_for_open_connections(
    postgres: Server, database_name: Callable[[str], str]
) -> None:
    name = database_name("busy")
    postgres.execute(f"CREATE DATABASE {name}")

    with connect(postgres, name):
        postgres.drop(name)

    assert name not in postgres.databases()


def test_the_two_postgres_servers_are_different(postgres: Server, postgres_2: Server) -> None:
    assert (postgres.host, postgres.port) != (postgres_2.host, postgres_2.port)


def test_embedded_server_listens_on_a_socket(postgres_2: Server) -> None:
    if postgres_2.socket_dir is None:
        pytest.fail("the second server is meant to be the embedded one")

    with connect(postgres_2, "postgres", host=postgres_2.socket_dir) as connection:
        row = connection.execute("SELECT inet_client_addr()").fetchone()

    assert row == (None,)


def test_a_role_needs_its_password(
    postgres_2: Server,
    role: Callable[..., Role],
    database_name: Callable[[str], str],
) -> None:
    owner = role(postgres_2, createdb=True)
    name = database_name("owned")
    postgres_2.execute(f"CREATE DATABASE {name} OWNER {owner.name}")

    with connect(postgres_2, name, user=owner.name, password=owner.password) as connection:
        connection.execute("CREATE TABLE mine ()")

    assert postgres_2.tables(name) == {"mine"}
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres_2, name, user=owner.name, password="wrong")


def test_a_mariadb_role_needs_its_password(mariadb: Server, role: Callable[..., Role]) -> None:
    import MySQLdb

    owner = role(mariadb, createdb=True)
    login = {"host": mariadb.host, "port": mariadb.port, "user": owner.name}

    MySQLdb.connect(**login, password=owner.password).close()
    with pytest.raises(MySQLdb.OperationalError, match="Access denied"):
        MySQLdb.connect(**login, password="wrong")


@pytest.mark.slow
def test_embedded_servers_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPDB_TEST_POSTGRES_URL", "postgresql://elsewhere/")
    monkeypatch.delenv("APPDB_TEST_POSTGRES_2_URL")

    with postgres_in_environment():
        url = os.environ["APPDB_TEST_POSTGRES_2_URL"]
        server = Server.from_url(url)
        assert server.databases() == {"postgres"}
        assert os.environ["APPDB_TEST_POSTGRES_URL"] == "postgresql://elsewhere/"

    assert not Path(str(server.socket_dir)).parent.exists()
    assert "APPDB_TEST_POSTGRES_2_URL" not in os.environ
    with pytest.raises(psycopg.OperationalError):
        server.databases()


# Fixtures


def test_names_are_unique(database_name: Callable[[str], str]) -> None:
    names = [database_name("auth"), database_name("auth")]

    assert len(set(names)) == 2
    assert all(name.endswith("_auth") and len(name) < 50 for name in names)


def run_pytest(folder: Path, source: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a test module of its own against the servers of this run."""
    (folder / "test_it.py").write_text(source)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    kept = {name: value for name, value in kept.items() if name not in {"CI", MYSQL_VARIABLE}}
    plugins = ["-p", "tests.conftest", "-p", "no:django", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "--rootdir", str(folder), str(folder)],
        cwd=folder,
        env={**kept, **env, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


SKIPPING_TESTS = [
    ("def test_it(mariadb): pass", "a database test was skipped on CI"),
    ("import pytest\ndef test_it(postgres): pytest.skip()", "a database test was skipped on CI"),
    ("import pytest\npytest.importorskip('no_such_module')", "a module was skipped on CI"),
]


@pytest.mark.parametrize(("source", "message"), SKIPPING_TESTS)
def test_a_skipped_database_test_fails_on_ci_only(
    tmp_path: Path, source: str, message: str
) -> None:
    elsewhere = run_pytest(tmp_path, source)
    on_ci = run_pytest(tmp_path, source, CI="true")

    assert elsewhere.returncode in {0, 5}, elsewhere.stdout
    assert message not in elsewhere.stdout
    assert on_ci.returncode not in {0, 5}, on_ci.stdout
    assert message in on_ci.stdout


def test_other_skips_and_expected_failures_pass_on_ci(tmp_path: Path) -> None:
    source = """\
import pytest

def test_skipped():
    pytest.skip()

@pytest.mark.xfail(strict=True)
def test_expected(postgres):
    raise AssertionError
"""
    result = run_pytest(tmp_path, source, CI="true")

    assert result.returncode == 0, result.stdout
    assert "1 skipped, 1 xfailed" in result.stdout


# Projects


@pytest.fixture
def plain_project(project: Project) -> Project:
    """A project on Django alone."""
    project.settings = PLAIN_SETTINGS
    project.app("driver", models="class Trip(models.Model):\n    fare = models.IntegerField()")
    return project


def test_manage_runs_a_project(plain_project: Project) -> None:
    plain_project.makemigrations()
    plain_project.manage("migrate", "--verbosity=0")

    result = plain_project.python(
        """
        from driver.models import Trip

        Trip.objects.create(fare=12)
        print(Trip.objects.get().fare)
        """
    )

    assert result.stdout == "12\n"
    assert (plain_project.root / "driver" / "migrations" / "0001_initial.py").exists()


def test_an_unexpected_exit_code_shows_both_outputs(plain_project: Project) -> None:
    code = "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)"

    with pytest.raises(AssertionError) as caught:
        plain_project.python(code)

    assert "ended with exit code 3\n--- stdout ---\nout\n\n--- stderr ---\nerr" in str(caught.value)
    assert plain_project.python(code, check=False).returncode == 3


def test_warnings_are_errors(plain_project: Project) -> None:
    result = plain_project.python("import warnings\nwarnings.warn('old')", check=False)

    assert result.returncode == 1
    assert "UserWarning: old" in result.stderr


def test_environment_is_clean(plain_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_DATABASE_URL", "sqlite://")
    monkeypatch.setenv("COVERAGE_FILE_FOR_TEST", "kept")
    plain_project.env["EXTRA"] = "given"

    environment = plain_project.environment()

    assert "AUTH_DATABASE_URL" not in environment
    assert environment["COVERAGE_FILE_FOR_TEST"] == "kept"
    assert environment["EXTRA"] == "given"


def test_an_app_with_a_label_files_and_migrations_elsewhere(
    plain_project: Project, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "site-packages"
    plain_project.app(
        "vendor.maps",
        label="cartography",
        files={"database.py": "DATABASE_URL = 'sqlite://'\n"},
        migrations={"0001_initial": "from django.db.migrations import Migration\n"},
        path=elsewhere,
    )
    plain_project.settings = PLAIN_SETTINGS.replace('"driver"', '"driver", "vendor.maps"')

    result = plain_project.python(
        """
        from django.apps import apps

        print(apps.get_app_config("cartography").path)
        """
    )

    package = elsewhere / "vendor" / "maps"
    assert result.stdout.strip() == str(package)
    assert (package / "database.py").exists()
    assert (package / "migrations" / "0001_initial.py").exists()


def test_popen_returns_at_once(plain_project: Project) -> None:
    with plain_project.popen("shell", "-c", "print(input())") as process:
        assert process.poll() is None
        output, _ = process.communicate("hello\n", timeout=60)

    assert output.splitlines()[-1] == "hello"


def test_the_template_runs_the_package(project: Project) -> None:
    project.app("driver", models="class Trip(models.Model):\n    pass")
    project.env["DRIVER_DATABASE_URL"] = "sqlite:///driver.sqlite3"
    project.makemigrations("driver")

    project.manage("migrate", "--database=driver", "--verbosity=0")

    result = project.python(
        """
        from django.db import connections

        print("driver_trip" in connections["driver"].introspection.table_names())
        """
    )
    assert result.stdout == "True\n"


def test_a_program_begins_with_django_and_without_this_package(plain_project: Project) -> None:
    plain_project.env["GREETING"] = "hello"
    code = """
        import os
        import sys

        print("django.db.models" in sys.modules, "appdb_router" in sys.modules)
        print(sys.argv, sys.path[0], os.environ["GREETING"], sys.warnoptions, __name__)
        print(sys.stdin.read())
    """

    warm = plain_project.python(code, setup=False)
    plain_project.env["PYTHONHASHSEED"] = "1"
    with_other_variables = plain_project.python(code, setup=False)

    assert warm.stdout == "True False\n['-c']  hello ['error'] __main__\n\n"
    assert with_other_variables.stdout == warm.stdout.replace("True", "False")


def test_a_program_that_takes_too_long_is_ended(plain_project: Project) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        plain_project.python("import time\ntime.sleep(100)", timeout=0.5)

    assert plain_project.python("print('next')").stdout == "next\n"


def test_programs_that_wait_for_each_other(plain_project: Project) -> None:
    code = """
        import time
        from pathlib import Path

        Path({own!r}).touch()
        while not Path({other!r}).exists():
            time.sleep(0.01)
    """

    names = [("one", "two"), ("two", "one")]
    codes = [dedent(code).format(own=own, other=other) for own, other in names]
    with ThreadPoolExecutor() as threads:
        run = partial(plain_project.python, setup=False)
        assert [result.returncode for result in threads.map(run, codes)] == [0, 0]
