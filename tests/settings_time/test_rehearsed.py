"""`APPDB_REHEARSE`: which databases a test run gets, and when the variable is an error."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from appdb_router import running
from appdb_router.exceptions import ConfigurationError
from tests.settings_time.conftest import Builder, metadata, routes
from tests.support.project import Project, bare_environment

MAIN = "postgresql://user@server/main"
APPS: dict[str, str | None] = {
    "django.contrib.auth": None,
    "django.contrib.contenttypes": None,
    "django.contrib.sessions": None,
    "driver": None,
    "billing": None,
    "invoices": None,
}


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_is_declared", False)
    running.declare_test_run()


def rehearse(
    build: Builder, value: str, apps: dict[str, str | None] = APPS, **env: str
) -> dict[str, dict[str, Any]]:
    environment = {"DATABASE_URL": MAIN, "APPDB_REHEARSE": value, **env}
    return build(apps, environment, together={"billing": ["invoices"]})


@pytest.mark.parametrize(
    ("value", "aliases"),
    [
        ("driver", ["driver"]),
        ("driver,auth", ["auth", "driver"]),
        (" contenttypes , invoices\tdriver,", ["auth", "driver", "billing"]),
        ("all", ["driver", "billing"]),
        ("", None),
        (" , ", None),
    ],
)
def test_aliases(build: Builder, value: str, aliases: list[str] | None) -> None:
    databases = rehearse(build, value)

    # The core first, then the default, then in the order of the apps.
    order = ["default", *(aliases or ())]
    assert list(databases) == sorted(order, key=lambda alias: alias != "auth")
    assert metadata(databases)["default"]["project"].get("rehearsed") == aliases
    found = routes(databases)
    assert sorted(label for labels in found.values() for label in labels) == sorted(
        name.rpartition(".")[2] for name in APPS
    )
    for alias in aliases or ():
        assert alias in found[alias]
        assert databases[alias]["NAME"] == f"test_main_{alias}"


def test_a_database_is_like_the_one_that_the_app_has_now(build: Builder) -> None:
    url = "postgresql://user:secret@server:5433/main?sslmode=require&atomic_requests=true"

    databases = rehearse(build, "driver", DATABASE_URL=url)

    default, driver = databases["default"], databases["driver"]
    different = {key for key in driver if driver[key] != default[key]}
    assert different == {"APPDB_ROUTER", "ATOMIC_REQUESTS", "NAME", "TEST"}
    assert not driver["ATOMIC_REQUESTS"]
    assert driver["OPTIONS"] is not default["OPTIONS"]
    assert driver["TEST"] == {"DEPENDENCIES": [], "NAME": "test_main_driver"}
    assert metadata(databases)["driver"] == {
        "canonical": "driver",
        "labels": ["driver"],
        "source": {"kind": "rehearsal", "name": "APPDB_REHEARSE"},
    }


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///main.sqlite3", ":memory:"),
        ("mysql://user@server/main", "test_main_driver"),
        ("postgresql://?service=main", "test_driver"),
        (f"{MAIN}?currentSchema=one", "test_main_driver"),
        (f"postgresql://user@server/{'x' * 60}", f"test_{'x' * 36}_325de9d1"),
    ],
)
def test_names(build: Builder, url: str, name: str) -> None:
    driver = rehearse(build, "driver", DATABASE_URL=url)["driver"]

    assert driver["NAME"] == name
    assert driver["TEST"].get("NAME", ":memory:") == name


def test_what_tests_see_of_the_tuning(build: Builder) -> None:
    module = "ATOMIC_REQUESTS = True\nCONN_MAX_AGE = 9\nTEST = {'NAME': 'other'}\n"

    driver = rehearse(build, "driver", {**APPS, "driver": module})["driver"]

    assert (driver["ATOMIC_REQUESTS"], driver["CONN_MAX_AGE"]) == (True, 0)
    assert driver["TEST"]["NAME"] == "test_main_driver"


def test_a_database_of_its_own_stays(build: Builder) -> None:
    databases = rehearse(build, "driver", DRIVER_DATABASE_URL="postgresql://user@server/driver")

    assert databases["driver"]["NAME"] == "driver"
    assert metadata(databases)["default"]["project"]["rehearsed"] == ["driver"]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("driver", {"default": "main", "driver": "test_other_driver", "billing": "other"}),
        ("billing", {"default": "main", "driver": "other", "billing": "test_other_billing"}),
        (
            "all",
            {"default": "main", "driver": "test_other_driver", "billing": "test_other_billing"},
        ),
    ],
)
def test_two_urls_of_one_database(build: Builder, value: str, names: dict[str, str]) -> None:
    module = "TEST = {'NAME': 'mine', 'CHARSET': 'UTF8'}\n"
    url = "postgresql://user@server/other?atomic_requests=true"
    apps = {**APPS, "driver": module, "billing": module}

    databases = rehearse(build, value, apps, DRIVER_DATABASE_URL=url, BILLING_DATABASE_URL=url)

    assert {alias: entry["NAME"] for alias, entry in databases.items()} == names
    assert all(entry["canonical"] == alias for alias, entry in metadata(databases).items())
    assert databases["driver"]["TEST"]["CHARSET"] == "UTF8"
    assert databases["driver"]["ATOMIC_REQUESTS"]


def test_an_unknown_label(build: Builder) -> None:
    with pytest.raises(ConfigurationError) as raised:
        rehearse(build, "driver,bilings")

    assert str(raised.value) == (
        "APPDB_REHEARSE names the label 'bilings', which no installed app has. Did you mean"
        " 'billing'?"
    )


OUTSIDE = (
    "APPDB_REHEARSE is set, and this is no test run: outside of one, the databases that it asks for"
    " are not there. Unset it, or run the tests: manage.py test, or pytest with the plugin (-p"
    " appdb_router.pytest_plugin). A script that runs tests calls"
    " appdb_router.running.declare_test_run() before the settings are loaded."
)


def test_outside_of_a_test_run(project: Project) -> None:
    project.env["APPDB_REHEARSE"] = "all"

    for arguments in (["check"], ["migrate"], ["dbshell", "test"]):
        result = project.manage(*arguments, check=False)
        assert result.returncode == 1
        assert result.stderr.splitlines()[-1].endswith(f"ConfigurationError: {OUTSIDE}")
    project.write("wsgi.py", "from django.core.wsgi import get_wsgi_application as get\nget()\n")
    assert OUTSIDE in project.python("import wsgi", setup=False, check=False).stderr
    assert not (project.root / "db.sqlite3").exists()


def test_the_commands_of_a_test_run() -> None:
    code = (
        "import sys\n"
        "from appdb_router.running import is_test_run\n"
        "for sys.argv in (['manage.py', 'test'], ['manage.py', 'migrate', 'test'], ['test'], []):\n"
        "    print(is_test_run())\n"
    )

    result = subprocess.run(
        [sys.executable, "-c", code],
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout.split() == ["True", "False", "False", "False"]
