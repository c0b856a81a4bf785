"""Engine families."""

from __future__ import annotations

import itertools

import dj_database_url
import pytest

from appdb_router.engines import (
    COCKROACHDB,
    MYSQL,
    ORACLE,
    POSTGRESQL,
    REDSHIFT,
    SQLITE,
    Family,
    family_of,
    family_of_option,
)


@pytest.mark.parametrize(
    ("engine", "family"),
    [
        ("django.db.backends.postgresql", POSTGRESQL),
        ("django.contrib.gis.db.backends.postgis", POSTGRESQL),
        ("django_cockroachdb", COCKROACHDB),
        ("django_redshift_backend", REDSHIFT),
        ("django.db.backends.mysql", MYSQL),
        ("mysql.connector.django", MYSQL),
        ("django.db.backends.sqlite3", SQLITE),
        ("django.contrib.gis.db.backends.spatialite", SQLITE),
        ("django.db.backends.oracle", ORACLE),
        ("mssql", None),
        ("", None),
    ],
)
def test_family_of(engine: str, family: Family | None) -> None:
    assert family_of(engine) is family


def test_every_backend_of_dj_database_url_but_the_sql_servers_has_a_family() -> None:
    engines = {engine.backend for engine in dj_database_url.ENGINE_SCHEMES.values()}

    unknown = {engine for engine in engines if family_of(engine) is None}

    assert unknown == {"mssql", "sql_server.pyodbc"}


@pytest.mark.parametrize(
    ("option", "family"),
    [
        ("sslmode", POSTGRESQL),
        ("pool", POSTGRESQL),
        ("charset", MYSQL),
        ("unix_socket", MYSQL),
        ("timeout", SQLITE),
        ("transaction_mode", SQLITE),
        ("connect_timeout", None),
        ("isolation_level", None),
        ("init_command", None),
    ],
)
def test_family_of_option(option: str, family: Family | None) -> None:
    assert family_of_option(option) is family


def test_no_option_belongs_to_two_families() -> None:
    for one, other in itertools.combinations((POSTGRESQL, MYSQL, SQLITE), 2):
        assert not one.options & other.options


@pytest.mark.parametrize(
    ("family", "options", "expected"),
    [
        (POSTGRESQL, {}, True),
        (POSTGRESQL, {"service": "x"}, False),
        (COCKROACHDB, {}, True),
        (MYSQL, {}, True),
        (MYSQL, {"read_default_file": "x"}, False),
        (SQLITE, {}, True),
        (ORACLE, {}, False),
        (Family("mssql"), {}, False),
    ],
)
def test_must_be_named(family: Family, options: dict[str, str], expected: bool) -> None:
    assert family.must_be_named(options) is expected
