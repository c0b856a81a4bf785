"""The project under load: three apps whose tables have one name, each in a database of its own.

A query that went to the database of another app would find a table there, and rows. So each row
has the name of the database that took it, and each answer that of the database that was asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.support.load.servers import wait_for
from tests.support.project import Project
from tests.support.servers import Server

LABELS = ("billing", "orders", "stock")

MODELS = """\
class Entry(models.Model):
    key = models.CharField(max_length=40, unique=True)
    place = models.CharField(max_length=63, db_default=models.Func(function="current_database"))

    class Meta:
        db_table = "entry"
"""
SETTINGS = 'ROOT_URLCONF = "tests.support.load.session_views"\n'
ENTRY_POINT = """\
from django.core.{kind} import get_{kind}_application

application = get_{kind}_application()
"""
CREATE_TABLES = """\
from django.apps import apps
from django.db import connections

for label in {labels!r}:
    with connections[label].schema_editor() as editor:
        editor.create_model(apps.get_model(label, "Entry"))
"""


@dataclass(frozen=True)
class ThreeApps:
    """The project, and what its databases say about it. ``names`` are those of the databases."""

    project: Project
    server: Server
    names: Mapping[str, str]
    user: str
    password: str

    def write(self) -> None:
        """Write the project."""
        for label in LABELS:
            self.project.app(label, models=MODELS)
        for kind in ("asgi", "wsgi"):
            self.project.write(f"{kind}.py", ENTRY_POINT.format(kind=kind))
        self.configure({})

    def create_databases(self) -> None:
        """Create the databases, owned by the user, and the tables of the project."""
        for name in self.names.values():
            self.server.execute(
                f"CREATE DATABASE {self.server.quote(name)} OWNER {self.server.quote(self.user)}"
            )
        self.project.python(CREATE_TABLES.format(labels=LABELS))

    def configure(self, parameters: Mapping[str, str], *, settings: str = SETTINGS) -> None:
        """Set the parameters of each database's URL, and the end of the settings."""
        self.project.settings_extra = settings
        for label, name in self.names.items():
            self.project.env[f"{label.upper()}_DATABASE_URL"] = self.server.url(
                name, user=self.user, password=self.password, **parameters
            )

    def insert(self, key: str) -> None:
        """Add a row to each database."""
        for name in self.names.values():
            self.server.execute(f"INSERT INTO entry (key) VALUES ('{key}')", database=name)

    def limit_sessions(self, number: int) -> None:
        """Let each database refuse more sessions than these; administrators are not counted."""
        for name in self.names.values():
            self.server.execute(
                f"ALTER DATABASE {self.server.quote(name)} CONNECTION LIMIT {number}"
            )

    def sessions(self) -> Counter[str]:
        """Return how many sessions a server has on one database at most, by application name."""
        rows = self.server.fetch(
            "SELECT application_name, count(*) FROM pg_stat_activity"
            f" WHERE usename = '{self.user}' GROUP BY application_name, datname ORDER BY count(*)"
        )
        return Counter(dict(rows))

    def settle(self, most: int) -> int:
        """Wait until no database has more sessions than these; return how many one still has."""
        with suppress(TimeoutError):
            wait_for(lambda: self.sessions()[""] <= most)
        return self.sessions()[""]

    def lost_sessions(self) -> int:
        """Return how many sessions did not end because the client said so."""
        names = ", ".join(f"'{name}'" for name in self.names.values())
        [(number,)] = self.server.fetch(
            "SELECT sum(sessions_abandoned + sessions_fatal + sessions_killed)"
            f" FROM pg_stat_database WHERE datname IN ({names})"
        )
        return int(number)

    def rows(self, label: str) -> list[tuple[str, str]]:
        """Return key and place of each row in a database."""
        rows = self.server.fetch("SELECT key, place FROM entry", database=self.names[label])
        return [(key, place) for key, place in rows]
