"""The identity of physical databases."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from appdb_router.database_url import parse_database_url
from appdb_router.engines import MYSQL, POSTGRESQL, SQLITE
from appdb_router.physical import Identity, physical_identity, search_path


def identity(url: str, alias: str = "a", base_dir: Path = Path("/base")) -> Identity:
    parsed = parse_database_url(url, name="X", base_dir=base_dir)
    return physical_identity(parsed.config, parsed.family, alias)


SAME = [
    [
        "postgresql://u:p@localhost/d",
        "postgresql://v:q@127.0.0.1:5432/d",
        "postgresql://127.9.9.9/d",
        "postgresql://[::1]:5432/d",
        "postgresql:///d",
        "postgresql://LOCALHOST/d",
        "postgresql://localhost.localdomain/d",
        "postgresql://localhost./d",
        "postgresql:///d?host=localhost&port=5432",
        "postgis://localhost/d",
        "timescale://localhost/d",
        "postgresql://localhost/d?sslmode=require&conn_max_age=9",
    ],
    ["postgresql://localhost:5433/d", "postgresql://[::1]:5433/d"],
    [
        "postgresql://db.example.org/d",
        "postgresql://DB.Example.ORG:5432/d",
        "postgresql://db.example.org./d",
    ],
    ["postgresql://localhost/D"],
    ["postgresql://10.0.0.1/d"],
    ["postgresql://[2001:db8::1]/d", "postgresql://[2001:DB8:0:0::1]/d"],
    [
        "postgresql://h1,h2/d",
        "postgresql://h2,h1/d",
        "postgresql://h1:5432,H2:5432/d",
        "postgresql://h1,h2,h2/d",
        "postgresql:///d?host=h2,h1&port=5432,5432",
        "postgresql:///d?host=h2,h1&port=5432",
    ],
    ["postgresql://h1:5433,h2/d", "postgresql://h2:5432,h1:5433/d"],
    ["postgresql://h1/d"],
    ["postgresql://%2Frun%2Fpg/d", "postgresql:///d?host=/run/pg/"],
    ["postgresql://%2Frun%2FPG/d"],
    ["postgresql://%2Frun%2Fpg:5433/d"],
    ["postgresql://%40abstract/d"],
    [
        "postgresql://localhost/d?currentSchema=sales",
        "postgresql://localhost/d?options=-c%20search_path%3Dsales",
        "postgresql://localhost/d?options=-csearch_path%20=%20sales",
        'postgresql://localhost/d?options=-c%20search_path%3D"sales"%20-c%20geqo%3Doff',
    ],
    [
        "postgresql://localhost/d?currentSchema=sales,public",
        "postgresql://localhost/d?options=-c%20search_path%3Dsales,%5C%20public",
    ],
    ["postgresql://localhost/d?service=x"],
    ["cockroach://localhost/d", "cockroachdb://127.0.0.1:26257/d"],
    ["mysql://localhost/d", "mariadb://127.0.0.1:3306/d", "mysqlgis://[::1]/d"],
    ["mysql://localhost/d?unix_socket=/run/a.sock"],
    ["mysql://localhost/d?read_default_file=/a.cnf"],
    ["oracle://localhost/d", "oracle://localhost:1521/d"],
    ["mssql://localhost/d"],
    ["sqlite:///d", "sqlite:////base/d", "sqlite:///./d", "sqlite:///x/../d", "sqlite3:///d"],
    ["sqlite:///D"],
    ["sqlite:///x/d"],
]


@pytest.mark.parametrize("urls", SAME, ids=lambda urls: urls[0])
def test_spellings_of_one_database(urls: list[str]) -> None:
    assert {identity(url, alias) for url, alias in zip(urls, "abcdefghijklmn", strict=False)} == {
        identity(urls[0])
    }


def test_different_databases() -> None:
    for one, other in itertools.combinations([urls[0] for urls in SAME], 2):
        assert identity(one) != identity(other), (one, other)


@pytest.mark.parametrize("url", ["sqlite://:memory:", "sqlite:///file:x%3Fmode=memory?uri=true"])
def test_a_database_in_memory_belongs_to_its_alias(url: str) -> None:
    assert identity(url, "a") == identity(url, "a")
    assert identity(url, "a") != identity(url, "b")


def test_a_symlinked_sqlite_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "d").touch()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "link").symlink_to("real/d")

    urls = ["sqlite:///real/d", "sqlite:///folder/d", "sqlite:///link"]

    assert len({identity(url, base_dir=tmp_path) for url in urls}) == 1
    assert identity("sqlite:///real/e", base_dir=tmp_path) != identity(urls[0], base_dir=tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"NAME": "d", "HOST": "localhost", "PORT": 5432},
        {"NAME": "d", "HOST": None, "PORT": None},
        {"NAME": "d"},
        {"NAME": "d", "HOST": "", "PORT": "", "OPTIONS": {}},
    ],
)
def test_settings_as_people_write_them(config: dict[str, object]) -> None:
    assert physical_identity(config, POSTGRESQL, "a") == identity("postgresql://localhost/d")


def test_paths_may_be_path_objects() -> None:
    assert physical_identity({"NAME": Path("/base/d")}, SQLITE, "a") == identity("sqlite:///d")
    assert physical_identity({"NAME": "d"}, MYSQL, "a") == identity("mysql:///d")


@pytest.mark.parametrize(
    ("options", "schemas"),
    [
        ({}, ""),
        ({"options": ""}, ""),
        ({"options": "-c geqo=off"}, ""),
        ({"options": "-c search_path=a"}, "a"),
        ({"options": "-c search_path=a,b -c geqo=off"}, "a,b"),
        ({"options": r"-c search_path=a,\ b"}, "a,b"),
        ({"options": "-c search_path='a',\"b\""}, "a,b"),
        ({"options": "--search_path=a"}, "a"),
    ],
)
def test_search_path(options: dict[str, str], schemas: str) -> None:
    assert search_path(options) == schemas
