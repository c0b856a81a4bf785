"""The sample project, run as its README says: commands, demo and HTTP, on real databases."""

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.support.project import REPOSITORY, bare_environment, describe, run_python
from tests.support.servers import Server

EXAMPLE = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
EXAMPLE_LINES = [line[1:] for line in EXAMPLE.splitlines() if re.match(r"#\S", line)]
EXAMPLE_NAMES = [line.partition("=")[0] for line in EXAMPLE_LINES]

ADMIN_PAGES = (
    "accounts/user",
    "auth/group",
    "driver/driver",
    "driver/vehicle",
    "driver/trip",
    "user/profile",
    "user/savedplace",
)

ONE_TRIP = """
    from apps.auth.models import User
    from apps.driver.models import Driver, Vehicle
    from django.test import Client

    rider = User.objects.create_user("rider")
    driver = Driver.objects.create(name="Dana", licence="L-1")
    vehicle = Vehicle.objects.create(driver=driver, plate="P-1")
    client = Client(headers={"host": "localhost"})
    client.force_login(rider)
    new = {"vehicle": vehicle.pk, "pickup": "Home", "dropoff": "Airport"}
    created = client.post("/driver/trips/", new, content_type="application/json")
    assert created.status_code == 201, created.content
"""


class Sample:
    """A copy of the sample project in a folder of its own, with an environment of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env: dict[str, str] = {}
        without_caches = shutil.ignore_patterns("__pycache__")
        for name in ("project", "apps"):
            shutil.copytree(REPOSITORY / name, root / name, ignore=without_caches)
        shutil.copy(REPOSITORY / "manage.py", root)

    def manage(self, *args: str) -> str:
        return self.run("manage.py", *args)

    def demo(self) -> str:
        return self.run("-m", "project.demo")

    def python(self, code: str) -> str:
        """Run code with the apps loaded."""
        prelude = """
            import os

            import django

            os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
            django.setup()
        """
        return self.run("-c", dedent(prelude) + dedent(code))

    def run(self, *args: str) -> str:
        """Run Python to a good end and return what it wrote."""
        result = self.attempt(*args)
        assert result.returncode == 0, describe(result)
        return result.stdout

    def attempt(self, *args: str) -> subprocess.CompletedProcess[str]:
        return run_python(args, folder=self.root, environment=self.environment(), timeout=90)

    def environment(self) -> dict[str, str]:
        # COLUMNS keeps rich from wrapping the long names of test databases.
        return {
            **bare_environment(),
            "COLUMNS": "300",
            "PYTHONPATH": str(REPOSITORY),
            **self.env,
        }


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


@pytest.fixture
def servers(
    sample: Sample,
    postgres: Server,
    postgres_2: Server,
    database_name: Callable[[str], str],
) -> dict[str, str]:
    """Give the sample three databases on two servers; return their names by alias."""
    names = {alias: database_name(alias) for alias in ("default", "auth", "driver")}
    sample.env |= {
        "DATABASE_URL": postgres.url(names["default"]),
        "AUTH_DATABASE_URL": postgres.url(names["auth"]),
        "DRIVER_DATABASE_URL": postgres_2.url(names["driver"]),
    }
    return names


def sqlite_tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def test_a_laptop_needs_no_configuration(sample: Sample) -> None:
    sample.manage("db_init", "--all-apps")

    assert "driver_trip" in sqlite_tables(sample.root / "driver.sqlite3")
    assert "accounts_user" not in sqlite_tables(sample.root / "driver.sqlite3")
    assert {"accounts_user", "user_profile"} <= sqlite_tables(sample.root / "db.sqlite3")
    assert "driver_trip" not in sqlite_tables(sample.root / "db.sqlite3")
    listed = sample.manage("db_list")
    assert all(label in listed for label in ("accounts", "driver", "user"))


def test_the_demo_may_be_run_twice(sample: Sample) -> None:
    sample.manage("db_init", "--all-apps")
    assert "Every row is in its own database" in sample.demo()
    assert "Every row is in its own database" in sample.demo()


def test_the_demo_finds_a_row_in_a_database_that_is_not_its_own(sample: Sample) -> None:
    sample.manage("db_init", "--all-apps")
    with closing(sqlite3.connect(sample.root / "driver.sqlite3")) as driver:
        # A trigger plays the part of a router that writes to a second database.
        driver.executescript("""
            CREATE TABLE accounts_user (username TEXT);
            CREATE TRIGGER stray AFTER INSERT ON driver_vehicle
            BEGIN INSERT INTO accounts_user VALUES (new.plate); END;
        """)
    result = sample.attempt("-m", "project.demo")
    assert result.returncode == 1, describe(result)
    assert "in a database that is not theirs" in result.stdout


def test_three_databases_on_two_servers(
    sample: Sample, servers: dict[str, str], postgres: Server, postgres_2: Server
) -> None:
    sample.manage("db_init", "--all-apps")

    assert {"accounts_user", "auth_group", "django_content_type", "django_admin_log"} <= (
        postgres.tables(servers["auth"])
    )
    assert {"user_profile", "user_savedplace", "django_session"} <= (
        postgres.tables(servers["default"])
    )
    assert {"driver_driver", "driver_vehicle", "driver_trip"} <= (
        postgres_2.tables(servers["driver"])
    )
    assert not {"accounts_user", "user_profile"} & postgres_2.tables(servers["driver"])
    demo = sample.demo()
    assert "Every row is in its own database" in demo
    assert postgres_2.fetch("SELECT count(*) FROM driver_trip", database=servers["driver"]) == [
        (1,)
    ]
    for name in servers.values():
        assert name in demo


def test_the_drivers_database_is_migrated_alone_by_stock_migrate(
    sample: Sample, servers: dict[str, str], postgres_2: Server
) -> None:
    # The trips' foreign key must not ask this server for the users' table.
    postgres_2.execute(f"CREATE DATABASE {postgres_2.quote(servers['driver'])}")
    sample.manage("migrate", "--database", "driver")
    assert "driver_trip" in postgres_2.tables(servers["driver"])


def test_no_password_is_printed(
    sample: Sample, servers: dict[str, str], role: Callable[..., Any], postgres_2: Server
) -> None:
    owner = role(postgres_2, createdb=True)
    sample.env["DRIVER_DATABASE_URL"] = postgres_2.url(
        servers["driver"], user=owner.name, password=owner.password
    )
    written = sample.manage("db_init", "--all-apps") + sample.manage("db_list") + sample.demo()
    assert owner.password not in written


def test_a_user_is_deleted_although_trips_live_elsewhere(
    sample: Sample, servers: dict[str, str]
) -> None:
    sample.manage("db_init", "--all-apps")
    code = """
        rider.delete()
        client.force_login(User.objects.create_user("boss", is_staff=True))
        [trip] = client.get("/driver/trips/").json()["trips"]
        assert trip["rider"] is None, trip
    """
    sample.python(dedent(ONE_TRIP) + dedent(code))


@pytest.mark.parametrize("placed", ["sqlite", "servers"])
def test_trips_over_http(sample: Sample, placed: str, request: pytest.FixtureRequest) -> None:
    if placed == "servers":
        request.getfixturevalue("servers")
    sample.manage("db_init", "--all-apps")
    code = """
        print(client.get("/driver/trips/").content.decode())
        assert Client(headers={"host": "localhost"}).get("/driver/trips/").status_code == 401
        for wrong in ("[]", "{", "{}", '{"vehicle": 0, "pickup": "a", "dropoff": "b"}'):
            answer = client.post("/driver/trips/", wrong, content_type="application/json")
            assert answer.status_code == 400, (wrong, answer.content)
    """
    [trip] = json.loads(sample.python(dedent(ONE_TRIP) + dedent(code)))["trips"]
    assert trip == {
        "id": 1,
        "rider": "rider",
        "driver": "Dana",
        "vehicle": "P-1",
        "pickup": "Home",
        "dropoff": "Airport",
        "status": "booked",
    }


def test_a_profile_over_http(sample: Sample, servers: dict[str, str]) -> None:
    sample.manage("db_init", "--all-apps")
    code = """
        from apps.auth.models import User
        from apps.user.models import Profile, SavedPlace
        from django.test import Client

        account = User.objects.create_user("rider")
        client = Client(headers={"host": "localhost"})
        client.force_login(account)
        assert client.get("/user/profile/").status_code == 404
        profile = Profile.objects.create(account=account, display_name="Robin")
        SavedPlace.objects.create(profile=profile, name="Home", address="1 High Street")
        print(client.get("/user/profile/").content.decode())
    """
    assert json.loads(sample.python(code)) == {
        "display_name": "Robin",
        "places": [{"name": "Home", "address": "1 High Street"}],
    }


def test_the_admin_shows_every_model(sample: Sample, servers: dict[str, str]) -> None:
    sample.manage("db_init", "--all-apps")
    sample.env |= {
        "DJANGO_SUPERUSER_USERNAME": "root",
        "DJANGO_SUPERUSER_EMAIL": "root@example.com",
        "DJANGO_SUPERUSER_PASSWORD": "only-for-tests",
    }
    sample.manage("createsuperuser", "--noinput")
    sample.demo()
    code = f"""
        from django.apps import apps
        from django.test import Client

        client = Client(headers={{"host": "localhost"}})
        assert client.login(username="root", password="only-for-tests")
        for page in {ADMIN_PAGES!r}:
            row = apps.get_model(page.replace("/", ".")).objects.first()
            last = [f"{{row.pk}}/change/", f"{{row.pk}}/delete/"] if row else []
            for path in ("", "?q=demo", "add/", *last):
                if page == "auth/group" and "?" in path:
                    continue
                answer = client.get(f"/admin/{{page}}/{{path}}")
                assert answer.status_code == 200, (page, path, answer.status_code)
        print(client.get("/admin/driver/trip/").content.decode())
    """
    assert "demo:" in sample.python(code)


def test_one_service_alone_reads_its_own_file(sample: Sample, servers: dict[str, str]) -> None:
    sample.manage("db_init", "--all-apps")
    deployed = {"SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "localhost"}
    lines = {**sample.env, "PROJECT_APPS": "driver", **deployed}
    folder = sample.root / "services"
    folder.mkdir()
    (folder / "driver.env").write_text(
        "".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8"
    )
    sample.env = {"ENV_FILE": "services/driver.env"}

    sample.manage("migrate", "--database", "driver")
    code = """
        from django.conf import settings

        assert not settings.DEBUG
        assert "apps.user" not in settings.INSTALLED_APPS
        assert client.get("/user/profile/").status_code == 404
        print(client.get("/driver/trips/").content.decode())
    """
    assert '"rider": "rider"' in sample.python(dedent(ONE_TRIP) + dedent(code))
    assert "apps.user" in sample.attempt("-m", "project.demo").stderr


def test_migrations_are_complete(sample: Sample) -> None:
    assert "No changes detected" in sample.manage("makemigrations", "--check")


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"DEBUG": "false"}, "SECRET_KEY must be set"),
        ({"ALLOWED_HOSTS": "www.example.com"}, "SECRET_KEY must be set"),
        ({"SECRET_KEY": "x"}, "DATABASE_URL"),
        ({"DEBUG": "maybe"}, "DEBUG is neither true nor false"),
        ({"PROJECT_APPS": "driver,drivr"}, "PROJECT_APPS names drivr"),
        ({"ENV_FILE": "services/gone.env"}, "there is no file"),
    ],
)
def test_wrong_settings_stop_the_start(sample: Sample, env: dict[str, str], message: str) -> None:
    sample.env = env
    result = sample.attempt("manage.py", "check")
    assert result.returncode != 0
    assert message in result.stderr


def test_the_example_puts_the_project_on_three_databases(sample: Sample) -> None:
    lines = [line for line in EXAMPLE_LINES if "=postgresql://" in line]
    (sample.root / ".env").write_text("\n".join(lines), encoding="utf-8")
    code = """
        from django.conf import settings

        for alias, config in settings.DATABASES.items():
            print(alias, config["HOST"], config["PORT"], config["NAME"])
    """
    assert set(sample.python(code).splitlines()) == {
        "default 127.0.0.1 5432 main_db",
        "auth 127.0.0.1 5432 auth_db",
        "driver 127.0.0.1 5433 driver_db",
    }


def test_every_line_of_the_example_is_read(sample: Sample) -> None:
    # ENV_FILE has done its work before any file is read.
    lines = [line for line in EXAMPLE_LINES if not line.startswith("ENV_FILE=")]
    (sample.root / ".env").write_text("\n".join(lines), encoding="utf-8")
    code = """
        from django.conf import settings

        print(settings.DEBUG, settings.SECRET_KEY, *settings.ALLOWED_HOSTS)
        print(*sorted(settings.DATABASES))
        print(*(app for app in settings.INSTALLED_APPS if app.startswith("apps.")))
    """
    assert sample.python(code).splitlines() == [
        "False replace-this-by-a-long-random-text www.example.com example.com",
        "auth default driver",
        "apps.auth apps.driver",
    ]


def test_the_example_explains_what_the_settings_read() -> None:
    settings = (REPOSITORY / "project" / "settings.py").read_text(encoding="utf-8")
    plain = re.findall(r'(?:environ\.get|names|flag)\("([A-Z_]+)"', settings)
    urls = ["DATABASE_URL", *(f"{label}_DATABASE_URL" for label in ("AUTH", "DRIVER", "USER"))]
    assert sorted(EXAMPLE_NAMES) == sorted({*plain, *urls})
