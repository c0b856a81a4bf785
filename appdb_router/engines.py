"""Engine families: what differs between database products while settings load."""

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Backends that talk to the same kind of server.

    ``options`` are the names in ``OPTIONS`` that mean something to this family alone;
    ``connect_timeout`` is the default in seconds, ``None`` where the driver has no such option.
    """

    name: str
    port: str = ""
    options: frozenset[str] = frozenset()
    connect_timeout: int | None = None
    libpq: bool = False

    @property
    def is_sqlite(self) -> bool:
        """Whether ``NAME`` is a file rather than a database of a server."""
        return self.name == "sqlite"

    @property
    def needs_name(self) -> bool:
        """Whether a URL without a database name is certainly a mistake."""
        return self.libpq or self.name == "mysql"

    def must_be_named(self, options: Container[str]) -> bool:
        """Whether a setting with ``options`` needs a name: no file of the driver's gives one."""
        if "service" in options or "read_default_file" in options:
            return False
        return self.needs_name or self.is_sqlite


# One dead server must not hang a worker: libpq itself waits for ever.
CONNECT_TIMEOUT = 5

_LIBPQ_OPTIONS = frozenset(
    {
        "application_name",
        "assume_role",
        "channel_binding",
        "client_encoding",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "options",
        "passfile",
        "pool",
        "prepare_threshold",
        "requiressl",
        "server_side_binding",
        "service",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
    }
)
_MYSQL_OPTIONS = frozenset(
    {
        "charset",
        "collation",
        "local_infile",
        "read_default_file",
        "read_default_group",
        "sql_mode",
        "ssl",
        "ssl_mode",
        "unix_socket",
        "use_unicode",
    }
)
_SQLITE_OPTIONS = frozenset(
    {
        "cached_statements",
        "check_same_thread",
        "detect_types",
        "factory",
        "timeout",
        "transaction_mode",
        "uri",
    }
)

POSTGRESQL = Family("postgresql", "5432", _LIBPQ_OPTIONS, CONNECT_TIMEOUT, libpq=True)
COCKROACHDB = Family("cockroachdb", "26257", _LIBPQ_OPTIONS, CONNECT_TIMEOUT, libpq=True)
REDSHIFT = Family("redshift", "5439", _LIBPQ_OPTIONS, CONNECT_TIMEOUT, libpq=True)
MYSQL = Family("mysql", "3306", _MYSQL_OPTIONS, CONNECT_TIMEOUT)
SQLITE = Family("sqlite", options=_SQLITE_OPTIONS)
ORACLE = Family("oracle", "1521")

_FAMILIES = {
    "django.db.backends.postgresql": POSTGRESQL,
    "django.contrib.gis.db.backends.postgis": POSTGRESQL,
    "timescale.db.backends.postgresql": POSTGRESQL,
    "timescale.db.backends.postgis": POSTGRESQL,
    "django_cockroachdb": COCKROACHDB,
    "django_cockroachdb_gis": COCKROACHDB,
    "django_redshift_backend": REDSHIFT,
    "django.db.backends.mysql": MYSQL,
    "django.contrib.gis.db.backends.mysql": MYSQL,
    "mysql.connector.django": MYSQL,
    "django.db.backends.sqlite3": SQLITE,
    "django.contrib.gis.db.backends.spatialite": SQLITE,
    "django.db.backends.oracle": ORACLE,
    "django.contrib.gis.db.backends.oracle": ORACLE,
}
_KNOWN = (POSTGRESQL, MYSQL, SQLITE)


def family_of(engine: str) -> Family | None:
    """Return the family of the backend ``engine``, or ``None`` for a backend unknown here."""
    return _FAMILIES.get(engine)


def family_of_option(option: str) -> Family | None:
    """Return the one family that knows the name ``option``; ``None`` if none does."""
    return next((family for family in _KNOWN if option in family.options), None)
