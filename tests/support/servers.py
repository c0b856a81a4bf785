"""Real database servers for the tests: embedded PostgreSQL, or whatever the environment names."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import psycopg

from tests.support.embedded import PG_PORT, Cluster

POSTGRES_VARIABLES = ("APPDB_TEST_POSTGRES_URL", "APPDB_TEST_POSTGRES_2_URL")
MYSQL_VARIABLE = "APPDB_TEST_MYSQL_URL"
# The embedded PostgreSQL has no PostGIS.
POSTGIS_VARIABLE = "APPDB_TEST_POSTGIS_URL"

DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306}
VENDORS = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}
MAINTENANCE_DATABASES = {"postgresql": "postgres", "mysql": ""}
MYSQL_SYSTEM_DATABASES = {"information_schema", "mysql", "performance_schema", "sys"}


@dataclass(frozen=True)
class Server:
    """A running database server, and an administrator's way into it."""

    vendor: str
    host: str
    port: int
    user: str
    password: str = field(default="", repr=False)
    socket_dir: str | None = None

    @classmethod
    def from_url(cls, url: str) -> Server:
        """Read `vendor://user:password@host:port/?socket_dir=…`, as given in the environment."""
        parts = urlsplit(url)
        if parts.scheme not in VENDORS:
            raise ValueError(f"unknown scheme {parts.scheme!r}; choose from {', '.join(VENDORS)}")
        vendor = VENDORS[parts.scheme]
        return cls(
            vendor=vendor,
            host=parts.hostname or "127.0.0.1",
            port=parts.port or DEFAULT_PORTS[vendor],
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            socket_dir=dict(parse_qsl(parts.query)).get("socket_dir"),
        )

    def url(
        self,
        name: str,
        *,
        user: str | None = None,
        password: str | None = None,
        host: str | None = None,
        **query: str,
    ) -> str:
        """Build the URL of a database here; `host` may be a socket folder."""
        # The administrator's password belongs to the administrator's name alone.
        secret = password if password is not None else ("" if user else self.password)
        credentials = quote(user or self.user, safe="")
        if secret:
            credentials += ":" + quote(secret, safe="")
        address = f"{quote(host or self.host, safe='[]:')}:{self.port}"
        suffix = f"?{urlencode(query)}" if query else ""
        return f"{self.vendor}://{credentials}@{address}/{quote(name, safe='')}{suffix}"

    def execute(self, sql: str, *, database: str | None = None) -> None:
        """Run one statement as the administrator, outside any transaction."""
        with self._cursor(database) as cursor:
            cursor.execute(sql)

    def fetch(self, sql: str, *, database: str | None = None) -> list[tuple[Any, ...]]:
        """Run one query as the administrator and return every row."""
        with self._cursor(database) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def databases(self) -> set[str]:
        """Return the names of all databases but the server's own templates and catalogues."""
        if self.vendor == "mysql":
            return {name for (name,) in self.fetch("SHOW DATABASES")} - MYSQL_SYSTEM_DATABASES
        rows = self.fetch("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return {name for (name,) in rows}

    def tables(self, database: str) -> set[str]:
        """Return the names of the tables in every schema of a database."""
        if self.vendor == "mysql":
            return {name for (name,) in self.fetch("SHOW TABLES", database=database)}
        rows = self.fetch(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
            database=database,
        )
        return {name for (name,) in rows}

    def drop(self, name: str) -> None:
        """Drop a database if it exists, also when somebody is still connected to it."""
        force = "" if self.vendor == "mysql" else " WITH (FORCE)"
        self.execute(f"DROP DATABASE IF EXISTS {self.quote(name)}{force}")

    def create_role(self, name: str, password: str, *, createdb: bool = False) -> None:
        """Create a role that may log in with a password, and make databases if asked."""
        if self.vendor == "mysql":
            self.execute(f"CREATE USER {self.quote(name)}@'%' IDENTIFIED BY '{password}'")
            if createdb:
                self.execute(f"GRANT ALL PRIVILEGES ON *.* TO {self.quote(name)}@'%'")
            return
        attributes = "LOGIN CREATEDB" if createdb else "LOGIN"
        self.execute(f"CREATE ROLE {self.quote(name)} {attributes} PASSWORD '{password}'")

    def drop_role(self, name: str) -> None:
        """Drop a role and the rights it was granted on databases."""
        if self.vendor == "mysql":
            self.execute(f"DROP USER IF EXISTS {self.quote(name)}@'%'")
            return
        self.execute(f"DROP OWNED BY {self.quote(name)}")
        self.execute(f"DROP ROLE {self.quote(name)}")

    def quote(self, name: str) -> str:
        """Quote an identifier for SQL."""
        mark = "`" if self.vendor == "mysql" else '"'
        return mark + name.replace(mark, mark * 2) + mark

    @contextmanager
    def _cursor(self, database: str | None) -> Iterator[Any]:
        name = database or MAINTENANCE_DATABASES[self.vendor]
        connect = self._connect_mysql if self.vendor == "mysql" else self._connect_postgres
        with closing(connect(name)) as connection, connection.cursor() as cursor:
            yield cursor

    def _connect_postgres(self, name: str) -> Any:
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password or None,
            dbname=name,
            autocommit=True,
        )

    def _connect_mysql(self, name: str) -> Any:
        # Imported late: the driver is an optional extra.
        import MySQLdb

        return MySQLdb.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=name,
            autocommit=True,
        )


def named_servers() -> list[Server]:
    """Return the servers that the environment names."""
    urls = [
        os.environ.get(name) for name in (*POSTGRES_VARIABLES, MYSQL_VARIABLE, POSTGIS_VARIABLE)
    ]
    return [Server.from_url(url) for url in urls if url]


@contextmanager
def postgres_in_environment() -> Iterator[None]:
    """Start a server for every PostgreSQL variable that is unset, and put its URL there.

    The workers of a parallel run inherit the environment, so they find servers that were started
    here in the same way as servers that somebody else runs.
    """
    missing = [name for name in POSTGRES_VARIABLES if not os.environ.get(name)]
    with ExitStack() as stack:
        if missing:
            folder = stack.enter_context(temporary_folder())
        for number, name in enumerate(missing):
            server = stack.enter_context(embedded_postgres(folder / str(number)))
            os.environ[name] = server.url("", socket_dir=str(server.socket_dir))
            stack.callback(os.environ.pop, name, None)
        yield


@contextmanager
def embedded_postgres(data: Path) -> Iterator[Server]:
    """Run a PostgreSQL server on a folder, listening on TCP and on a socket in that folder."""
    port = free_port()
    cluster = Cluster(data, port)
    cluster.start()
    try:
        yield Server("postgresql", "127.0.0.1", port, "postgres", socket_dir=str(data))
    finally:
        cluster.kill()


@contextmanager
def fragile_postgres(settings: Mapping[str, str] | None = None) -> Iterator[tuple[Server, Cluster]]:
    """Run a PostgreSQL server on a socket, for tests that kill it and bring it back."""
    with temporary_folder() as folder:
        cluster = Cluster(folder / "pg", settings=settings)
        cluster.start()
        try:
            yield Server("postgresql", str(cluster.data), PG_PORT, "postgres"), cluster
        finally:
            if cluster.is_there():
                cluster.kill()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards."""
    # Short, because the path of a unix socket has room for about a hundred characters.
    folder = Path(tempfile.mkdtemp(prefix="appdb-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
