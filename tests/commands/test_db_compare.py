"""`db_compare`: whether an app's rows are the same in two databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

MODELS = """
class Car(models.Model):
    plate = models.CharField(max_length=20, unique=True)


class Trip(models.Model):
    car = models.ForeignKey(Car, models.CASCADE)
    secret = models.CharField(max_length=20)


class Depot(models.Model):
    code = models.CharField(max_length=20, primary_key=True)
"""

FILL = """
    from django.db import connections
    from driver.models import Car, Depot, Trip

    for alias in ("default", "driver"):
        with connections[alias].schema_editor() as editor:
            for model in (Car, Trip, Depot):
                if model._meta.db_table not in connections[alias].introspection.table_names():
                    editor.create_model(model)
        for number in range(1, 16):
            Car.objects.using(alias).create(id=number, plate=f"plate {number}")
            Trip.objects.using(alias).create(id=number, car_id=number, secret="s3cret")
        Depot.objects.using(alias).create(code="north")
"""

CHANGE = """
    from driver.models import Car, Depot, Trip

    Trip.objects.using("driver").filter(id__gt=2, id__lt=15).update(secret="other s3cret")
    Trip.objects.using("driver").filter(id=15).delete()
    Depot.objects.using("default").create(code="south")
"""

Named = Callable[[str], str]


@pytest.fixture
def driver(project: Project, postgres: Server, database_name: Named) -> Project:
    """A project whose app has the same rows in its own database and in the default."""
    project.app("driver", models=MODELS)
    for prefix in ("", "DRIVER_"):
        name = database_name(prefix or "default")
        postgres.execute(f"CREATE DATABASE {postgres.quote(name)}")
        project.env[f"{prefix}DATABASE_URL"] = postgres.url(name)
    project.python(FILL)
    return project


def test_what_is_the_same_and_what_is_not(driver: Project) -> None:
    same = driver.manage("db_compare", "driver", "--from", "default")
    assert same.stdout == (
        "driver_car: the same, 15 rows\n"
        "driver_trip: the same, 15 rows\n"
        "driver_depot: the same, 1 row\n"
    )
    driver.python(CHANGE)

    text = driver.manage("db_compare", "driver", "--from", "default", check=False)
    other = driver.manage(
        "db_compare", "driver", "--to", "default", "--format", "json", check=False
    )

    assert text.returncode == other.returncode == 10
    assert text.stdout == (
        "driver_car: the same, 15 rows\n"
        "driver_trip: not the same\n"
        "  all rows: 15 in default, 14 in driver; keys 3; 4; 5; 6; 7; 8; 9; 10; 11; 12; and more\n"
        "driver_depot: not the same\n"
        "  all rows: 2 in default, 1 in driver; keys south\n"
    )
    assert text.stderr == other.stderr == "CommandError: 2 tables not the same.\n"
    assert "s3cret" not in text.stdout + other.stdout
    found = json.loads(other.stdout)
    tables = found.pop("tables")
    assert found == {"apps": ["driver"], "source": "driver", "target": "default"}
    assert [(table["table"], table["rows"]) for table in tables] == [
        ("driver_car", 15),
        ("driver_trip", 14),
        ("driver_depot", 1),
    ]
    assert tables[2]["differences"] == [
        {
            "behind": None,
            "up_to": None,
            "keys": [["south"]],
            "has_more": False,
            "source_rows": 1,
            "target_rows": 2,
        }
    ]


def test_the_databases_of_a_move(
    driver: Project, postgres: Server, role: Callable[..., Any]
) -> None:
    driver.env["DRIVER_DATABASE_MOVE_FROM"] = "default"
    assert "driver_trip: the same, 15 rows\n" in driver.manage("db_compare", "driver").stdout

    # A role that may not read.
    guest = role(postgres)
    name = driver.env["DRIVER_DATABASE_URL"].rpartition("/")[2]
    driver.env["DRIVER_DATABASE_URL"] = postgres.url(name, user=guest.name, password=guest.password)
    found = driver.manage("db_compare", "driver", check=False)
    assert found.returncode == 1
    assert found.stderr == (
        "CommandError: The tables of 'driver' could not be compared: ProgrammingError, 42501.\n"
    )


REFUSED = [
    (["driver"], 2, "'driver' is not being moved, so nothing says what 'driver' is"),
    (["driver", "--from", "nowhere"], 2, "There is no database 'nowhere'. Choose from 'default'"),
    (["driver", "--from", "driver"], 2, "'driver' and 'driver' are one database."),
    (["drivr", "--from", "default"], 2, "No installed app has the label 'drivr'."),
    (["auth", "--from", "driver"], 11, "There is no table 'django_content_type' in 'driver'."),
]


@pytest.fixture
def plain(project: Project) -> Project:
    project.app("driver", models=MODELS)
    project.env["DRIVER_DATABASE_URL"] = "sqlite:///driver.sqlite3"
    project.makemigrations("driver")
    project.manage("db_init", "--all-apps")
    return project


def test_what_cannot_be_compared(plain: Project) -> None:
    for arguments, code, message in REFUSED:
        found = plain.manage("db_compare", *arguments, check=False)
        assert (found.returncode, found.stdout) == (code, ""), arguments
        assert f"CommandError: {message}" in found.stderr
    plain.env["DRIVER_DATABASE_URL"] = "postgresql://me:s3cret@127.0.0.1:1/driver"
    found = plain.manage("db_compare", "driver", "--from", "default", "--timeout", "1", check=False)
    assert found.returncode == 1
    assert "CommandError: 'driver' does not answer: " in found.stderr
    assert "s3cret" not in found.stderr
