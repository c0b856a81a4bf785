"""Direct URLs: which variable holds one, what it may say, and where it ends up."""

from __future__ import annotations

from typing import Any

import pytest

from appdb_router.exceptions import ConfigurationError
from tests.settings_time.conftest import POSTGRES, Builder, findings, metadata

DIRECT = "postgresql://owner:topsecret@db9:6543/main"
SETTING = {
    "NAME": "main",
    "USER": "owner",
    "PASSWORD": "topsecret",
    "HOST": "db9",
    "PORT": "6543",
    "OPTIONS": {"connect_timeout": 5},
}
CORE = {"django.contrib.auth": None, "django.contrib.contenttypes": None}


def direct(databases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the direct settings by alias, without the aliases that have none."""
    found = {alias: entry.get("direct") for alias, entry in metadata(databases).items()}
    return {alias: setting for alias, setting in found.items() if setting}


@pytest.mark.parametrize(
    ("apps", "env", "alias"),
    [
        ({}, {"DATABASE_DIRECT_URL": DIRECT}, "default"),
        (
            {"driver": None},
            {"DRIVER_DATABASE_URL": POSTGRES + "x", "DRIVER_DATABASE_DIRECT_URL": DIRECT},
            "driver",
        ),
        # The usual URL may come from anywhere.
        (
            {"driver": f"DATABASE_URL = '{POSTGRES}x'\n"},
            {"DRIVER_DATABASE_DIRECT_URL": DIRECT},
            "driver",
        ),
        # Any member of a group has a say.
        (
            CORE,
            {"AUTH_DATABASE_URL": POSTGRES + "x", "CONTENTTYPES_DATABASE_DIRECT_URL": DIRECT},
            "auth",
        ),
        (
            CORE,
            {
                "AUTH_DATABASE_URL": POSTGRES + "x",
                "AUTH_DATABASE_DIRECT_URL": DIRECT,
                "CONTENTTYPES_DATABASE_DIRECT_URL": DIRECT,
            },
            "auth",
        ),
    ],
)
def test_whose_it_is(
    build: Builder, apps: dict[str, str | None], env: dict[str, str], alias: str
) -> None:
    databases = build(apps, env)

    assert direct(databases) == {alias: SETTING}
    # Queries go where they went before.
    assert {setting["HOST"] for setting in databases.values()} == {"db1"}
    assert "topsecret" not in str({**databases[alias], "APPDB_ROUTER": None})


def test_an_empty_one_is_none(build: Builder) -> None:
    assert direct(build({}, {"DATABASE_DIRECT_URL": " "})) == {}


def test_tuning_counts_for_it_and_a_pool_does_not(build: Builder) -> None:
    module = (
        "OPTIONS = {'sslmode': 'require', 'connect_timeout': 9, 'pool': True}\nCONN_MAX_AGE = 0\n"
    )
    env = {"DRIVER_DATABASE_URL": POSTGRES + "x", "DRIVER_DATABASE_DIRECT_URL": DIRECT}

    found = direct(build({"driver": module}, env))

    assert found["driver"]["OPTIONS"] == {"sslmode": "require", "connect_timeout": 9}


def test_its_options_are_its_own(build: Builder) -> None:
    env = {
        "DATABASE_URL": POSTGRES + "x?application_name=web&pool=true",
        "DATABASE_DIRECT_URL": DIRECT + "?sslmode=require",
    }

    found = direct(build({}, env))

    assert found["default"]["OPTIONS"] == {"sslmode": "require", "connect_timeout": 5}


def test_all_aliases_of_a_database_have_the_one_that_is_given(build: Builder) -> None:
    for given in ("DATABASE_DIRECT_URL", "DRIVER_DATABASE_DIRECT_URL"):
        env = {"DRIVER_DATABASE_URL": POSTGRES + "main", given: DIRECT}

        databases = build({"driver": None}, env)

        assert direct(databases) == {"default": SETTING, "driver": SETTING}
        assert (
            metadata(databases)["driver"]["direct"] is not metadata(databases)["default"]["direct"]
        )


@pytest.mark.parametrize(
    ("apps", "env", "message"),
    [
        (
            {"driver": None},
            {"DRIVER_DATABASE_DIRECT_URL": DIRECT},
            "DRIVER_DATABASE_DIRECT_URL is set, but driver has no database of its own. Set"
            " DRIVER_DATABASE_URL, or remove DRIVER_DATABASE_DIRECT_URL: the direct URL of the"
            " default database is DATABASE_DIRECT_URL.",
        ),
        (
            CORE,
            {
                "AUTH_DATABASE_URL": POSTGRES + "x",
                "AUTH_DATABASE_DIRECT_URL": DIRECT,
                "CONTENTTYPES_DATABASE_DIRECT_URL": DIRECT + "2",
            },
            "AUTH_DATABASE_DIRECT_URL and CONTENTTYPES_DATABASE_DIRECT_URL differ, but are for one"
            " database. Keep one of them, or make them equal.",
        ),
        (
            {"driver": None},
            {
                "DRIVER_DATABASE_URL": POSTGRES + "main",
                "DATABASE_DIRECT_URL": DIRECT,
                "DRIVER_DATABASE_DIRECT_URL": DIRECT + "2",
            },
            "'default' and 'driver' are one physical database, but have different direct URLs. Make"
            " them equal, or remove one of them.",
        ),
        (
            {},
            {"DATABASE_URL": "sqlite:///db.sqlite3", "DATABASE_DIRECT_URL": DIRECT},
            "DATABASE_DIRECT_URL is set for a database of 'sqlite'. Direct URLs are for 'mysql',"
            " 'postgresql'. Remove it.",
        ),
        (
            {},
            {"DATABASE_DIRECT_URL": "mysql://u@db9/main"},
            "DATABASE_DIRECT_URL is a URL of mysql, and must lead to the same database as the usual"
            " URL, which is of postgresql.",
        ),
        (
            {},
            {"DATABASE_DIRECT_URL": DIRECT + "?conn_max_age=5&pool_size=4"},
            "DATABASE_DIRECT_URL: conn_max_age, pool_size would have no effect in a direct URL: it"
            " is used for one session at a time. Put it into the usual URL.",
        ),
        (
            {},
            {"DATABASE_DIRECT_URL": DIRECT + "?pool=true"},
            "DATABASE_DIRECT_URL: pool would have no effect in a direct URL: it is used for one"
            " session at a time. Put it into the usual URL.",
        ),
        (
            {},
            {"DATABASE_DIRECT_URL": DIRECT + "?charset=utf8"},
            "DATABASE_DIRECT_URL: the option 'charset' is one of mysql, and the database is of"
            " postgresql. Remove the option, or use a URL of mysql.",
        ),
        (
            {"driver": None},
            {"DRIVR_DATABASE_DIRECT_URL": DIRECT},
            "The environment variable 'DRIVR_DATABASE_DIRECT_URL' belongs to no installed app. Did"
            " you mean 'DRIVER_DATABASE_DIRECT_URL'? If it is another program's, pass"
            " ignore=('DRIVR_DATABASE_DIRECT_URL',) to build_databases().",
        ),
    ],
)
def test_errors(
    build: Builder, apps: dict[str, str | None], env: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        build(apps, env)

    assert str(raised.value) == message


def test_nobodys_is_a_finding(build: Builder) -> None:
    databases = build({}, {"WAREHOUSE_DATABASE_DIRECT_URL": DIRECT})

    assert findings(databases) == [{"kind": "variable", "name": "WAREHOUSE_DATABASE_DIRECT_URL"}]
    assert (
        findings(build({}, {"X_DATABASE_DIRECT_URL": "x"}, ignore=["X_DATABASE_DIRECT_URL"])) == []
    )
