"""Tuning beside the URL: what is merged, what wins, what contradicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appdb_router.database_url import ParsedUrl, parse_database_url
from appdb_router.exceptions import ConfigurationError
from appdb_router.tuning import tune

PG, MY, LITE = "postgresql://h/d", "mysql://h/d", "sqlite:///d"
ORACLE = "oracle://h/d"
POSTGRESQL = "django.db.backends.postgresql"


def parse(url: str) -> ParsedUrl:
    return parse_database_url(url, name="URL", base_dir=Path("/base"))


def tuned(url: str, tuning: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what tuning adds to the five entries that say where the database is."""
    parsed = parse(url)
    ignored = tune(parsed, tuning, name="X_DATABASE_URL", path="x/database.py")
    where = {"NAME", "USER", "PASSWORD", "HOST", "PORT"}
    return {key: value for key, value in parsed.config.items() if key not in where}, ignored


def setting(engine: str = POSTGRESQL, **entries: Any) -> dict[str, Any]:
    return {"ENGINE": engine, "OPTIONS": {"connect_timeout": 5}, **entries}


POOL = {"min_size": 0, "max_size": 5, "reconnect_timeout": 5}


@pytest.mark.parametrize(
    ("url", "tuning", "expected"),
    [
        # A dead server must not hang a worker.
        (PG, {}, setting()),
        (MY, {}, setting("django.db.backends.mysql")),
        ("cockroach://h/d", {}, setting("django_cockroachdb")),
        (LITE, {}, setting("django.db.backends.sqlite3", OPTIONS={})),
        (ORACLE, {}, setting("django.db.backends.oracle", OPTIONS={})),
        (PG + "?connect_timeout=9", {}, setting(OPTIONS={"connect_timeout": 9})),
        (PG, {"OPTIONS": {"connect_timeout": 9}}, setting(OPTIONS={"connect_timeout": 9})),
        (PG + "?service=x", {}, setting(OPTIONS={"service": "x"})),
        # The URL beats the module.
        (PG, {"CONN_MAX_AGE": 60}, setting(CONN_MAX_AGE=60)),
        (PG, {"CONN_MAX_AGE": None}, setting(CONN_MAX_AGE=None)),
        (PG + "?conn_max_age=9", {"CONN_MAX_AGE": 60}, setting(CONN_MAX_AGE=9)),
        (PG + "?conn_max_age=0", {"CONN_MAX_AGE": 60}, setting(CONN_MAX_AGE=0)),
        (
            PG + "?atomic_requests=false",
            {"ATOMIC_REQUESTS": True, "AUTOCOMMIT": False, "TIME_ZONE": "UTC", "TEST": {"A": 1}},
            setting(ATOMIC_REQUESTS=False, AUTOCOMMIT=False, TIME_ZONE="UTC", TEST={"A": 1}),
        ),
        (
            PG + "?sslmode=require",
            {"OPTIONS": {"sslmode": "disable", "application_name": "x"}},
            setting(OPTIONS={"sslmode": "require", "application_name": "x", "connect_timeout": 5}),
        ),
        (
            PG + "?conn_health_checks=false",
            {"ENGINE_OPTIONS": {"pool_pre_ping": True}},
            setting(CONN_HEALTH_CHECKS=False),
        ),
        (
            PG + "?pool_pre_ping=false",
            {"CONN_HEALTH_CHECKS": True},
            setting(CONN_HEALTH_CHECKS=False),
        ),
        # Engines.
        (PG, {"ENGINE": "vendor.postgresql"}, setting("vendor.postgresql")),
        (
            PG,
            {"ENGINE": "django.contrib.gis.db.backends.postgis"},
            setting("django.contrib.gis.db.backends.postgis"),
        ),
        (PG, {"ENGINE": POSTGRESQL}, setting()),
        # Pools.
        (
            PG,
            {"ENGINE_OPTIONS": {"pool_size": 5}},
            setting(CONN_MAX_AGE=0, OPTIONS={"connect_timeout": 5, "pool": POOL}),
        ),
        (
            PG,
            {"ENGINE_OPTIONS": {"pool_size": 5, "pool_pre_ping": True}, "CONN_MAX_AGE": 0},
            setting(
                CONN_MAX_AGE=0,
                CONN_HEALTH_CHECKS=True,
                OPTIONS={"connect_timeout": 5, "pool": POOL},
            ),
        ),
        (
            PG + "?pool_size=3&pool_timeout=2",
            {"ENGINE_OPTIONS": {"pool_size": 5, "max_overflow": 1}},
            setting(
                CONN_MAX_AGE=0,
                OPTIONS={
                    "connect_timeout": 5,
                    "pool": {**POOL, "max_size": 4, "timeout": 2},
                },
            ),
        ),
        (
            PG + "?pool=true",
            {"ENGINE_OPTIONS": {"min_size": 2}},
            setting(
                CONN_MAX_AGE=0,
                OPTIONS={"connect_timeout": 5, "pool": {**POOL, "min_size": 2, "max_size": 4}},
            ),
        ),
        (
            PG,
            {"OPTIONS": {"pool": True}},
            setting(CONN_MAX_AGE=0, OPTIONS={"connect_timeout": 5, "pool": True}),
        ),
        (
            PG,
            {"OPTIONS": {"pool": False}, "CONN_MAX_AGE": 9},
            setting(CONN_MAX_AGE=9, OPTIONS={"connect_timeout": 5, "pool": False}),
        ),
        (
            LITE,
            {"ENGINE_OPTIONS": {"pool_pre_ping": True}},
            setting("django.db.backends.sqlite3", OPTIONS={}, CONN_HEALTH_CHECKS=True),
        ),
        # Options that belong to nobody, and those of an engine that is unknown here.
        (
            PG,
            {"OPTIONS": {"isolation_level": 3}},
            setting(OPTIONS={"isolation_level": 3, "connect_timeout": 5}),
        ),
        (
            ORACLE,
            {"OPTIONS": {"threaded": True, "sslmode": "x"}},
            setting("django.db.backends.oracle", OPTIONS={"threaded": True, "sslmode": "x"}),
        ),
    ],
)
def test_good(url: str, tuning: dict[str, Any], expected: dict[str, Any]) -> None:
    assert tuned(url, tuning) == (expected, [])


@pytest.mark.parametrize(
    ("url", "tuning", "ignored"),
    [
        (MY + "?pool=true", {}, ["pool"]),
        (LITE + "?pool_size=5", {}, ["pool_size"]),
        (
            LITE,
            {"ENGINE_OPTIONS": {"pool_size": 5, "pool_recycle": 9, "pool_pre_ping": True}},
            ["pool_recycle", "pool_size"],
        ),
        (
            MY + "?pool_timeout=5",
            {"ENGINE_OPTIONS": {"pool_size": 1}},
            ["pool_size", "pool_timeout"],
        ),
        (ORACLE, {"ENGINE_OPTIONS": {"pool_size": 5}}, ["pool_size"]),
    ],
)
def test_a_pool_without_effect_is_reported(
    url: str, tuning: dict[str, Any], ignored: list[str]
) -> None:
    config, names = tuned(url, tuning)

    assert names == ignored
    assert "pool" not in config["OPTIONS"]


@pytest.mark.parametrize(
    ("url", "tuning", "message"),
    [
        (
            MY + "?sslmode=require",
            {},
            "X_DATABASE_URL: the option 'sslmode' is one of postgresql,"
            " and the database is of mysql. Remove the option, or use a URL of postgresql.",
        ),
        (
            PG,
            {"OPTIONS": {"timeout": 20}},
            "x/database.py: the option 'timeout' is one of sqlite,"
            " and the database is of postgresql. Remove the option, or use a URL of sqlite.",
        ),
        (
            LITE,
            {"OPTIONS": {"charset": "x"}},
            "x/database.py: the option 'charset' is one of mysql,"
            " and the database is of sqlite. Remove the option, or use a URL of mysql.",
        ),
        (
            "cockroach://h/d",
            {"OPTIONS": {"charset": "x"}},
            "x/database.py: the option 'charset' is"
            " one of mysql, and the database is of cockroachdb. Remove the option, or use a URL of"
            " mysql.",
        ),
        (
            PG,
            {"ENGINE": "django.db.backends.mysql"},
            "x/database.py: ENGINE is"
            " 'django.db.backends.mysql', a backend of mysql, and the URL is of postgresql. Remove"
            " ENGINE, or use a URL of mysql.",
        ),
        (
            PG,
            {"ENGINE_OPTIONS": {"pool_pre_ping": True}, "CONN_HEALTH_CHECKS": True},
            "x/database.py: pool_pre_ping and CONN_HEALTH_CHECKS are the same. Keep one.",
        ),
        (
            PG + "?conn_max_age=60&pool=true",
            {},
            "X_DATABASE_URL: CONN_MAX_AGE is 60, and a pool"
            " needs 0: the pool keeps the connections. Remove one of them.",
        ),
        (
            PG + "?conn_max_age=none",
            {"ENGINE_OPTIONS": {"pool_size": 5}},
            "X_DATABASE_URL with x/database.py: CONN_MAX_AGE is None, and a pool needs 0: the pool"
            " keeps the connections. Remove one of them.",
        ),
        (
            PG,
            {"OPTIONS": {"pool": True}, "CONN_MAX_AGE": 60},
            "X_DATABASE_URL with x/database.py:"
            " CONN_MAX_AGE is 60, and a pool needs 0: the pool keeps the connections. Remove one of"
            " them.",
        ),
        (
            PG,
            {"OPTIONS": {"pool": True}, "ENGINE_OPTIONS": {"pool_size": 5}},
            "x/database.py: OPTIONS has a 'pool' of its own. Keep one.",
        ),
        (PG + "?max_overflow=5", {}, "X_DATABASE_URL: max_overflow needs pool_size beside it."),
        (PG + "?pool_size=many", {}, "X_DATABASE_URL: pool_size is a whole number from 1 up."),
        (
            PG + "?pool_max_size=5",
            {"ENGINE_OPTIONS": {"pool_size": 5}},
            "X_DATABASE_URL with"
            " x/database.py: pool_size and max_size exclude each other: max_size is pool_size +"
            " max_overflow.",
        ),
    ],
)
def test_bad(url: str, tuning: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        tuned(url, tuning)

    assert str(raised.value) == message


def test_what_is_tuned_shares_nothing_with_the_module() -> None:
    tuning = {"OPTIONS": {"sslmode": "x"}, "TEST": {"NAME": "t"}, "ENGINE_OPTIONS": {"pool": True}}

    config, _ = tuned(PG, tuning)
    config["OPTIONS"]["sslmode"] = config["TEST"]["NAME"] = "changed"

    assert tuning == {
        "OPTIONS": {"sslmode": "x"},
        "TEST": {"NAME": "t"},
        "ENGINE_OPTIONS": {"pool": True},
    }
