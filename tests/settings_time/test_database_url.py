"""Database URLs: what they mean, what is refused and how, and that no password is ever shown."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dj_database_url
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appdb_router import engines
from appdb_router.database_url import mask_url, parse_database_url
from appdb_router.exceptions import DatabaseUrlError

BASE = Path("/srv/project")
PG = "django.db.backends.postgresql"
MYSQL = "django.db.backends.mysql"
SQLITE = "django.db.backends.sqlite3"
SCHEMES = (
    "'cockroach', 'cockroachdb', 'mariadb', 'mssql', 'mssqlms', 'mysql', 'mysql-connector',"
    " 'mysql2', 'mysqlgis', 'oracle', 'oraclegis', 'pgsql', 'postgis', 'postgres', 'postgresql',"
    " 'redshift', 'spatialite', 'sqlite', 'sqlite3', 'timescale', 'timescalegis'"
)
BEHIND = (
    "there is an '@' behind the first '/' or '?', so the password probably holds an unquoted"
    " character. In user, password and name write / as %2F, ? as %3F, # as %23, @ as %40; in the"
    " query write @ as %40."
)
SLASHES = "an SQLite URL has three slashes before a relative path and four before an absolute one: "
PORT = "the port is not a number from 1 to 65535. A ':' in the user name is written %3A."
HOST = "the host holds a character that no host name has."
QUERY = "the query is not of the form name=value&name=value. Write a '?' as %3F."
SPACE = "there is white space around the URL or a control character in it."


def server(
    engine: str = PG,
    *,
    user: str = "u",
    password: str = "p",
    host: str = "h",
    port: str = "",
    name: str = "d",
    **more: Any,
) -> dict[str, Any]:
    return {
        "ENGINE": engine,
        "NAME": name,
        "USER": user,
        "PASSWORD": password,
        "HOST": host,
        "PORT": port,
        "OPTIONS": {},
        **more,
    }


def file(name: str, engine: str = SQLITE, **more: Any) -> dict[str, Any]:
    return server(engine, user="", password="", host="", name=name, **more)


GOOD = [
    ("postgresql://u:p@h/d", server()),
    ("postgres://u:p@h/d", server()),
    ("pgsql://u:p@h/d", server()),
    ("PostgreSQL://u:p@h/d", server()),
    ("postgresql://u:p@h:5433/d", server(port="5433")),
    ("postgresql://u@h/d", server(password="")),
    ("postgresql://h/d", server(user="", password="")),
    ("postgresql:///d", server(user="", password="", host="")),
    ("postgresql://u:p@H.Example.org/D", server(host="H.Example.org", name="D")),
    ("postgresql://u:p@db-1.my_net/d", server(host="db-1.my_net")),
    # Raw characters that only one reading makes sense of.
    ("postgresql://u:a@b@h/d", server(password="a@b")),
    ("postgresql://u:a:b@h/d", server(password="a:b")),
    ("postgresql://u:100%@h/d", server(password="100%")),
    ("postgresql://u:50%zz@h/d", server(password="50%zz")),
    ("postgresql://u:a+b@h/d", server(password="a+b")),
    ("postgresql://u:a b@h/d", server(password="a b")),
    ("postgresql://u:a[b]c@h/d", server(password="a[b]c")),
    ("postgresql://u:$PASS@h/d", server(password="$PASS")),
    ("postgresql://u:pä@h/d", server(password="pä")),
    ("postgresql://u:%40%3A%2F%3F%23%25%2B@h/d", server(password="@:/?#%+")),
    ("postgresql://u%40corp%3Ax:p@h/d", server(user="u@corp:x")),
    ("postgresql://u:p@h/a+b", server(name="a+b")),
    ("postgresql://u:p@h/a%20b", server(name="a b")),
    ("postgresql://u:p@h/a b", server(name="a b")),
    ("postgresql://u:p@h/a%2Fb", server(name="a/b")),
    ("postgresql://u:p@h/%40%3A%3F%23", server(name="@:?#")),
    ("postgresql://u:p@h/d?", server()),
    # Several hosts, IPv6, sockets.
    ("postgresql://u:p@h1:5432,h2:5433/d", server(host="h1,h2", port="5432,5433")),
    ("postgresql://u:p@h1,h2/d", server(host="h1,h2")),
    ("postgresql://u:p@h1,h2:5433/d", server(host="h1,h2", port="5432,5433")),
    ("postgresql://u:p@h1:6000,h2/d", server(host="h1,h2", port="6000,5432")),
    (
        "postgresql://u:p@h1:1,[::1]:2,h3:3/d?target_session_attrs=read-write",
        server(host="h1,::1,h3", port="1,2,3", OPTIONS={"target_session_attrs": "read-write"}),
    ),
    ("postgresql://u:p@[::1]:5433/d", server(host="::1", port="5433")),
    ("postgresql://u:p@[2001:db8::1]/d", server(host="2001:db8::1")),
    ("postgresql://u:p@[::ffff:10.0.0.1]/d", server(host="::ffff:10.0.0.1")),
    ("postgresql://u:p@%2Fvar%2FRun%2Fpg/d", server(host="/var/Run/pg")),
    ("postgresql://u:p@%2Fvar%2FRun%2Fpg:5433/d", server(host="/var/Run/pg", port="5433")),
    ("postgresql://u:p@/d?host=/var/Run/pg", server(host="/var/Run/pg")),
    ("postgresql:///d?host=/run&user=u&password=p&port=5433", server(host="/run", port="5433")),
    ("postgresql://u:p@%40abstract/d", server(host="@abstract")),
    ("postgresql://u:p@h?dbname=d", server()),
    ("postgresql://u:p@?host=h1,h2&port=1,2&dbname=d", server(host="h1,h2", port="1,2")),
    ("postgresql://u:p@h/?service=prod", server(name="", OPTIONS={"service": "prod"})),
    # Settings of Django, and options of the driver.
    ("postgresql://u:p@h/d?conn_max_age=60", server(CONN_MAX_AGE=60)),
    ("postgresql://u:p@h/d?conn_max_age=0", server(CONN_MAX_AGE=0)),
    ("postgresql://u:p@h/d?conn_max_age=none", server(CONN_MAX_AGE=None)),
    ("postgresql://u:p@h/d?conn_max_age=None", server(CONN_MAX_AGE=None)),
    *(
        (f"postgresql://u:p@h/d?{key}={text}", server() | {key.upper(): value})
        for key in ("conn_health_checks", "disable_server_side_cursors", "atomic_requests")
        for text, value in (("true", True), ("1", True), ("Off", False), ("no", False))
    ),
    ("postgresql://u:p@h/d?sslmode=require", server(OPTIONS={"sslmode": "require"})),
    ("postgresql://u:p@h/d?connect_timeout=9", server(OPTIONS={"connect_timeout": 9})),
    (
        "postgresql://u:p@h/d?currentSchema=a,b",
        server(OPTIONS={"options": "-c search_path=a,b"}),
    ),
    (
        "postgresql://u:p@h/d?options=-c%20search_path%3Da",
        server(OPTIONS={"options": "-c search_path=a"}),
    ),
    (
        "postgresql://u:p@h/d?application_name=a%40b%26c",
        server(OPTIONS={"application_name": "a@b&c"}),
    ),
    # Other products.
    ("postgis://u:p@h/d", server("django.contrib.gis.db.backends.postgis")),
    ("timescale://u:p@h/d", server("timescale.db.backends.postgresql")),
    ("redshift://u:p@h/d", server("django_redshift_backend")),
    ("cockroach://u:p@h:26257/d", server("django_cockroachdb", port="26257")),
    ("cockroachdb://u:p@h1:1,h2/d", server("django_cockroachdb", host="h1,h2", port="1,26257")),
    ("mysql://u:p@h:3307/d", server(MYSQL, port="3307")),
    ("mysql2://u:p@h/d", server(MYSQL)),
    ("mariadb://u:p@h/d", server(MYSQL)),
    ("mysqlgis://u:p@h/d", server("django.contrib.gis.db.backends.mysql")),
    ("mysql-connector://u:p@h/d", server("mysql.connector.django")),
    ("mysql://u:p@%2Frun%2FMy.sock/d", server(MYSQL, host="/run/My.sock")),
    ("mysql://u:p@/d?host=/run/My.sock", server(MYSQL, host="/run/My.sock")),
    ("postgresql://u:p@h/d?application_name=²", server(OPTIONS={"application_name": "²"})),
    ("postgresql://u:p@h/d?connect_timeout=7", server(OPTIONS={"connect_timeout": 7})),
    ("postgresql://u:p@h/d?sslcompression=True", server(OPTIONS={"sslcompression": True})),
    ("mysql://u:p@h/d?ssl-ca=/ca.pem", server(MYSQL, OPTIONS={"ssl": {"ca": "/ca.pem"}})),
    (
        "mysqlgis://u:p@h/d?ssl-ca=/ca.pem",
        server("django.contrib.gis.db.backends.mysql", OPTIONS={"ssl": {"ca": "/ca.pem"}}),
    ),
    (
        "mysql-connector://u:p@h/d?ssl-ca=/ca.pem",
        server("mysql.connector.django", OPTIONS={"ssl_ca": "/ca.pem"}),
    ),
    (
        "cockroach://u:p@h/d?currentSchema=x",
        server("django_cockroachdb", OPTIONS={"options": "-c search_path=x"}),
    ),
    (
        "mysql://?read_default_file=/my.cnf",
        server(
            MYSQL, user="", password="", host="", name="", OPTIONS={"read_default_file": "/my.cnf"}
        ),
    ),
    ("oracle://u:p@h:1521/svc", server("django.db.backends.oracle", port="1521", name="svc")),
    ("oracle://u:p@/tns", server("django.db.backends.oracle", host="", name="tns")),
    ("oracle://u:p@h/a/b", server("django.db.backends.oracle", name="a/b")),
    ("oraclegis://u:p@h/d", server("django.contrib.gis.db.backends.oracle")),
    ("mssql://u:p@h/d", server("sql_server.pyodbc")),
    ("mssqlms://u:p@h/d", server("mssql")),
    # SQLite.
    ("sqlite:///db.sqlite3", file("/srv/project/db.sqlite3")),
    ("sqlite3:///db.sqlite3", file("/srv/project/db.sqlite3")),
    ("spatialite:///g.db", file("/srv/project/g.db", "django.contrib.gis.db.backends.spatialite")),
    ("sqlite:///data/db.sqlite3", file("/srv/project/data/db.sqlite3")),
    ("sqlite:////var/db.sqlite3", file("/var/db.sqlite3")),
    ("sqlite:///my db.sqlite3", file("/srv/project/my db.sqlite3")),
    ("sqlite:////a b/c%20d.sqlite3", file("/a b/c d.sqlite3")),
    ("sqlite:////home/me@work/db", file("/home/me@work/db")),
    ("sqlite:///Mixed/CASE.db", file("/srv/project/Mixed/CASE.db")),
    ("sqlite:///a+b.db", file("/srv/project/a+b.db")),
    ("sqlite:///:memory:", file(":memory:")),
    ("sqlite://:memory:", file(":memory:")),
    ("sqlite://", file(":memory:")),
    ("sqlite:///", file(":memory:")),
    (
        "sqlite:///file:shared%3Fmode=memory?uri=true",
        file("file:shared?mode=memory", OPTIONS={"uri": True}),
    ),
    ("sqlite:///a.db?timeout=20", file("/srv/project/a.db", OPTIONS={"timeout": 20})),
    ("sqlite:///a.db?timeout=2.5", file("/srv/project/a.db", OPTIONS={"timeout": 2.5})),
    (
        "sqlite:///a.db?transaction_mode=IMMEDIATE&atomic_requests=true",
        file("/srv/project/a.db", OPTIONS={"transaction_mode": "IMMEDIATE"}, ATOMIC_REQUESTS=True),
    ),
]


@pytest.mark.parametrize(("url", "config"), GOOD)
def test_good(url: str, config: dict[str, Any]) -> None:
    parsed = parse_database_url(url, name="X", base_dir=BASE)

    assert parsed.config == config
    assert parsed.pool == {}


BAD = [
    # Scheme.
    (
        "nosql://u:hush@h/d",
        f"the scheme 'nosql' is unknown. Choose from {SCHEMES}, or add one"
        " with dj_database_url.register().",
        "nosql://u:***@h/d",
    ),
    (
        "postgresql+asyncpg://u:hush@h/d",
        "the scheme 'postgresql+asyncpg' is unknown. Choose from"
        f" {SCHEMES}, or add one with dj_database_url.register(). Leave '+asyncpg' away: Django"
        " has no drivers in its URLs.",
        "postgresql+asyncpg://u:***@h/d",
    ),
    # Unquoted specials, in each place.
    ("postgresql://u:hu#sh@h/d", "there is an unquoted '#' in it. Write %23.", "postgresql://***"),
    (
        "postgresql://u:hush@h/d#1",
        "there is an unquoted '#' in it. Write %23.",
        "postgresql://u:***@h/d#***",
    ),
    (
        "postgresql://u:hush@h/d?a=hush#1",
        "there is an unquoted '#' in it. Write %23.",
        "postgresql://u:***@h/d?a=***",
    ),
    ("sqlite:///a#b.db", "there is an unquoted '#' in it. Write %23.", "sqlite:///a#***"),
    ("postgresql://u:hu/sh@h/d", BEHIND, "postgresql://***"),
    ("postgresql://u:hu?sh@h/d", BEHIND, "postgresql://***"),
    ("postgresql://u/x:hush@h/d", BEHIND, "postgresql://***"),
    ("postgresql://u:hush@h/a@b", BEHIND, "postgresql://***"),
    ("postgresql://u:hush@h/d?application_name=a@b", BEHIND, "postgresql://***"),
    (
        "postgresql://u:hush@h/a/b",
        "the database name holds an unquoted '/'. Write %2F.",
        "postgresql://u:***@h/a/b",
    ),
    (
        "mysql://u:hush@h//d",
        "the database name holds an unquoted '/'. Write %2F.",
        "mysql://u:***@h//d",
    ),
    ("postgresql://u:hush@h/a?b", QUERY, "postgresql://u:***@h/a?***"),
    ("postgresql://u:hush@h/d?a=b?c&d", QUERY, "postgresql://u:***@h/d?a=***&***"),
    (
        "postgresql://u:hush@h/d?password=hush&hush",
        QUERY,
        "postgresql://u:***@h/d?password=***&***",
    ),
    (
        "postgresql://u:hush%ff@h/d",
        "the bytes quoted in it are not UTF-8. Write a '%' that quotes nothing as %25.",
        "postgresql://u:***@h/d",
    ),
    # Host and port.
    ("postgresql://u:hush@h:x/d", PORT, "postgresql://u:***@h:x/d"),
    ("postgresql://u:hush@h:/d", PORT, "postgresql://u:***@h:/d"),
    ("postgresql://u:hush@h:0/d", PORT, "postgresql://u:***@h:0/d"),
    ("postgresql://u:hush@h:65536/d", PORT, "postgresql://u:***@h:65536/d"),
    ("postgresql://u:hush@h:-1/d", PORT, "postgresql://u:***@h:-1/d"),
    ("postgresql://u:hush@h:٥٤٣٢/d", PORT, "postgresql://u:***@h:٥٤٣٢/d"),
    ("postgresql://u:hush@h1:1,h2:x/d", PORT, "postgresql://u:***@h1:1,h2:x/d"),
    ("postgresql://u:hush/d", PORT, "postgresql://u:***"),
    ("postgresql://u:hush", PORT, "postgresql://u:***"),
    ("postgresql://a:b:hush/d", PORT, "postgresql://a:***"),
    ("postgresql://u:hush@/d?port=x", PORT, "postgresql://u:***@/d?port=***"),
    ("postgresql://u:hush@::1/d", PORT, "postgresql://u:***@::1/d"),
    (
        "postgresql://u:hush@[::1/d",
        "the host is not valid. Write an IPv6 address in brackets: [::1]:5432.",
        "postgresql://u:***@[::1/d",
    ),
    (
        "postgresql://u:hush@[:::]/d",
        "the host is not valid. Write an IPv6 address in brackets: [::1]:5432.",
        "postgresql://u:***@[:::]/d",
    ),
    ("postgresql://u:hush@h h/d", HOST, "postgresql://u:***@h h/d"),
    ("postgresql://u:hush@$HOST/d", HOST, "postgresql://u:***@$HOST/d"),
    ("postgresql://u:hush@h%2Fx/d", HOST, "postgresql://u:***@h%2Fx/d"),
    ("mysql://u:hush@h1,h2/d", "it names 2 hosts, and mysql takes one.", "mysql://u:***@h1,h2/d"),
    (
        "oracle://u:hush@h1,h2,h3/d",
        "it names 3 hosts, and oracle takes one.",
        "oracle://u:***@h1,h2,h3/d",
    ),
    # Name.
    (
        "postgresql://u:hush@h",
        "it has no database name. Write postgresql://host/NAME.",
        "postgresql://u:***@h",
    ),
    (
        "postgres://u:hush@h/",
        "it has no database name. Write postgres://host/NAME.",
        "postgres://u:***@h/",
    ),
    (
        "mariadb://u:hush@h/",
        "it has no database name. Write mariadb://host/NAME.",
        "mariadb://u:***@h/",
    ),
    # Query.
    (
        "postgresql://u:hush@h/d?sslmode=",
        "the parameter 'sslmode' is empty.",
        "postgresql://u:***@h/d?sslmode=",
    ),
    (
        "postgresql://u:hush@h/d?sslmode=a&sslmode=b",
        "the parameter 'sslmode' is given twice.",
        "postgresql://u:***@h/d?sslmode=***&sslmode=***",
    ),
    (
        "postgresql://u:hush@h/d?pool_size=1&pool_size=1",
        "the parameter 'pool_size' is given twice.",
        "postgresql://u:***@h/d?pool_size=***&pool_size=***",
    ),
    (
        "postgresql://h/d?currentSchema=a&options=b",
        "'currentSchema' and 'options' exclude each other: put the search_path there.",
        "postgresql://h/d?currentSchema=***&options=***",
    ),
    (
        "postgresql://u:hush@h/d?conn_max_age=soon",
        "'conn_max_age' is a number of seconds, or 'none' for no limit.",
        "postgresql://u:***@h/d?conn_max_age=***",
    ),
    (
        "postgresql://u:hush@h/d?conn_max_age=²",
        "'conn_max_age' is a number of seconds, or 'none' for no limit.",
        "postgresql://u:***@h/d?conn_max_age=***",
    ),
    (
        "postgresql://u:hush@h/d?conn_health_checks=maybe",
        "the parameter 'conn_health_checks' is neither 'true' nor 'false'.",
        "postgresql://u:***@h/d?conn_health_checks=***",
    ),
    (
        "postgresql://u:hush@h/d?user=v",
        "'user' stands in the query and in front of it. Write it once.",
        "postgresql://u:***@h/d?user=***",
    ),
    (
        "postgresql://u:hush@h/d?password=hush2",
        "'password' stands in the query and in front of it. Write it once.",
        "postgresql://u:***@h/d?password=***",
    ),
    # White space and control characters.
    ("postgresql://u:hush@h/d ", SPACE, "postgresql://u:***@h/d "),
    ("postgresql://u:hush@h/d\n", SPACE, "postgresql://u:***@h/d\n"),
    ("postgresql://u:hu\tsh@h/d", SPACE, "postgresql://u:***@h/d"),
    ("sqlite:///a\x00b", SPACE, "sqlite:///a\x00b"),
    # SQLite.
    (
        "sqlite://rel/db.sqlite3",
        f"{SLASHES}write sqlite:///path or sqlite:////path.",
        "sqlite://rel/db.sqlite3",
    ),
    (
        "sqlite3://db.sqlite3",
        f"{SLASHES}write sqlite3:///path or sqlite3:////path.",
        "sqlite3://db.sqlite3",
    ),
    ("sqlite://:memory:/x", f"{SLASHES}write sqlite:///path or sqlite:////path.", "sqlite://:***"),
    (
        "sqlite:///a.db?timeout=long",
        "the parameter 'timeout' is not a number.",
        "sqlite:///a.db?timeout=***",
    ),
]


@pytest.mark.parametrize(("url", "fact", "masked"), BAD)
def test_bad(url: str, fact: str, masked: str) -> None:
    with pytest.raises(DatabaseUrlError) as raised:
        parse_database_url(url, name="BLOG_DATABASE_URL", base_dir=BASE)

    assert str(raised.value) == f"BLOG_DATABASE_URL: {fact} The URL is {masked!r}."
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["hush", "h:5432/d", "/var/db", "postgresql:/h/d", " postgresql://u:hush@h/d", "'x'", ""]
)
def test_not_a_url_at_all_is_not_shown(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as raised:
        parse_database_url(url, name="X", base_dir=BASE)

    assert str(raised.value) == (
        "X: the value is not a URL: it does not begin with a scheme, such as postgresql://."
    )


def test_a_port_with_thousands_of_digits_is_a_bad_port() -> None:
    with pytest.raises(DatabaseUrlError, match="not a number from 1 to 65535"):
        parse_database_url(f"postgresql://h:{'9' * 5000}/d", name="X", base_dir=BASE)


@pytest.mark.parametrize(
    ("query", "pool"),
    [
        ("pool=true", {"pool": "true"}),
        ("pool_size=5&max_overflow=10", {"pool_size": "5", "max_overflow": "10"}),
        (
            "pool_min_size=1&pool_max_size=3&pool_timeout=9",
            {"pool_min_size": "1", "pool_max_size": "3", "pool_timeout": "9"},
        ),
        (
            "pool_recycle=1&pool_pre_ping=true&pool_max_idle=2",
            {"pool_recycle": "1", "pool_pre_ping": "true", "pool_max_idle": "2"},
        ),
    ],
)
def test_pool_parameters_are_kept_apart(query: str, pool: dict[str, str]) -> None:
    parsed = parse_database_url(f"postgresql://u:p@h/d?{query}", name="X", base_dir=BASE)

    assert parsed.pool == pool
    assert parsed.config == server()


@pytest.mark.parametrize(
    ("url", "family"),
    [
        ("postgresql://h/d", engines.POSTGRESQL),
        ("postgis://h/d", engines.POSTGRESQL),
        ("cockroachdb://h/d", engines.COCKROACHDB),
        ("redshift://h/d", engines.REDSHIFT),
        ("mariadb://h/d", engines.MYSQL),
        ("sqlite:///d", engines.SQLITE),
        ("oracle://h/d", engines.ORACLE),
        ("mssql://h/d", engines.Family("sql_server.pyodbc")),
    ],
)
def test_family(url: str, family: engines.Family) -> None:
    assert parse_database_url(url, name="X", base_dir=BASE).family == family


def test_a_registered_scheme_is_known(registered: dict[str, dj_database_url.Engine]) -> None:
    dj_database_url.register("vendordb", "vendor.backend")

    parsed = parse_database_url("vendordb://u:p@h:7/d?x=1", name="X", base_dir=BASE)

    assert parsed.config == server("vendor.backend", port="7", OPTIONS={"x": 1})
    assert parsed.family == engines.Family("vendor.backend")


def test_a_registered_scheme_of_a_known_backend_has_its_family(
    registered: dict[str, dj_database_url.Engine],
) -> None:
    dj_database_url.register("aurora", PG)

    parsed = parse_database_url("aurora://u:p@h1,h2:7/d", name="X", base_dir=BASE)

    assert parsed.config == server(host="h1,h2", port="5432,7")
    assert parsed.family is engines.POSTGRESQL


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:hush@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("postgresql://h1:5432,h2:5433/d", "postgresql://h1:5432,h2:5433/d"),
        ("postgresql:///d", "postgresql:///d"),
        ("postgresql://", "postgresql://"),
        ("postgresql://:hush@h/d", "postgresql://:***@h/d"),
        ("postgresql://u:hu@sh@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:hu:sh@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:hu/sh@h/d", "postgresql://***"),
        ("postgresql://u:hu?sh@h/d", "postgresql://***"),
        ("postgresql://u:hu#sh@h/d", "postgresql://***"),
        ("postgresql://u:hush@h/d?password=hush", "postgresql://u:***@h/d?password=***"),
        ("postgresql://h/d?password=hush&sslmode=x", "postgresql://h/d?password=***&sslmode=***"),
        ("postgresql://h/d?a=hush=hush", "postgresql://h/d?a=***"),
        ("postgresql://h/d?password=hu&hush", "postgresql://h/d?password=***&***"),
        ("postgresql://h/d?hush", "postgresql://h/d?***"),
        ("postgresql://h/d?a=", "postgresql://h/d?a="),
        ("postgresql://h/d?", "postgresql://h/d?"),
        ("postgresql://h/d?&&a=b", "postgresql://h/d?&&a=***"),
        ("postgresql://h/d#hush", "postgresql://h/d#***"),
        ("postgresql://h/d?a=b#hush", "postgresql://h/d?a=***"),
        ("postgresql://u:hush", "postgresql://u:***"),
        ("postgresql://u:hu/sh", "postgresql://u:***"),
        ("postgresql://u:hush\nhush@h/d", "postgresql://u:***@h/d"),
        ("postgresql+x://u:hush@h/d", "postgresql+x://u:***@h/d"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("sqlite:////a/b c.db?timeout=1", "sqlite:////a/b c.db?timeout=***"),
        ("hush", "***"),
        ("u:hush@h/d", "***"),
        (" postgresql://u:hush@h/d", "***"),
        ("", "***"),
    ],
)
def test_mask_url(url: str, masked: str) -> None:
    assert mask_url(url) == masked


def complaint(url: str) -> str:
    """Return the error that the URL raises as all text it has, nothing if it raises none."""
    try:
        parse_database_url(url, name="X", base_dir=BASE)
    except DatabaseUrlError as error:
        return f"{error!r} {error}"
    return ""


# Long enough, and of a kind, not to appear in a message by chance.
FRAGMENT = "hUsH7"
NASTY = st.text(alphabet="@:/?#%+&=$[]{}<>|\\^`'\"!*(),;~ \t\nä€" + string.digits, max_size=6)
PASSWORDS = st.tuples(NASTY, NASTY).map(lambda ends: ends[0] + FRAGMENT + ends[1])
PLACES = [
    "postgresql://app:{}@db1:5432/name",
    "postgresql://app:{}@db1",
    "postgresql://app:{}@db1:port/name",
    "postgresql://app:{}@h1,h2:5433/name?sslmode=require",
    "postgresql://app:{}@[::1]/name?conn_max_age=x",
    "postgresql://:{}@db1/name",
    "nosql://app:{}@db1/name",
    "postgresql+asyncpg://app:{}@db1/name",
    "mysql://app:{}@db1/name?x=y",
    "oracle://app:{}@db1/name",
    "sqlite://app:{}@db1/name",
    "postgresql://app:{}@",
    " postgresql://app:{}@db1/name",
]


@given(password=PASSWORDS, place=st.sampled_from(PLACES), quoted=st.booleans())
def test_no_password_is_ever_shown(password: str, place: str, quoted: bool) -> None:
    url = place.format(quote(password, safe="") if quoted else password)

    assert FRAGMENT not in mask_url(url)
    assert FRAGMENT not in complaint(url)


@given(password=PASSWORDS)
def test_a_quoted_password_in_the_query_is_never_shown(password: str) -> None:
    url = f"postgresql://db1/name?password={quote(password, safe='')}&port=x"

    assert mask_url(url) == "postgresql://db1/name?password=***&port=***"
    with pytest.raises(DatabaseUrlError) as raised:
        parse_database_url(url, name="X", base_dir=BASE)
    assert FRAGMENT not in str(raised.value)


@example(user="", password="", name="\ufffd")  # What a lenient reader makes of bytes not UTF-8.
@given(user=st.text(max_size=9), password=st.text(max_size=9), name=st.text(min_size=1, max_size=9))
def test_whatever_is_quoted_is_read_back(user: str, password: str, name: str) -> None:
    parts = [quote(text, safe="") for text in (user, password, name)]

    parsed = parse_database_url("postgresql://{}:{}@h/{}".format(*parts), name="X", base_dir=BASE)

    assert parsed.config == server(user=user, password=password, name=name)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss@db1:5433/d?sslmode=require&connect_timeout=3",
        "postgres://u@db1/d?currentSchema=x",
        "postgis:///d?keepalives=true",
        "mysql://u:p@h:3307/d?charset=utf8mb4&ssl-ca=/ca.pem",
        "oracle://u:p@h:1522/x",
        "sqlite:////var/x.sqlite3?timeout=20",
    ],
)
def test_plain_urls_mean_what_they_mean_to_the_library(url: str) -> None:
    """The text is taken apart here; for what both understand, both must agree."""
    theirs: dict[str, Any] = {"OPTIONS": {}, **dj_database_url.parse(url)}
    ours = parse_database_url(url, name="X", base_dir=BASE).config

    assert {key: str(value) for key, value in ours.items()} == {
        key: str(theirs[key]) for key in ours
    }


@given(url=st.text(max_size=40).map("postgresql://".__add__) | st.text(max_size=40))
def test_any_text_is_parsed_or_refused_with_our_error(url: str) -> None:
    mask_url(url)

    assert complaint(url)[:20] in {"", 'DatabaseUrlError("X:', "DatabaseUrlError('X:"}
