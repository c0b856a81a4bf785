"""From SQLite to PostgreSQL, to MariaDB, to SQLite: equal at the end, or refused before."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.moved_rows import made
from tests.support.project import Project
from tests.support.servers import Server

MODELS = """
class Thing(models.Model):
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    friends = models.ManyToManyField("self", symmetrical=False)
    char = models.CharField(max_length=20, null=True)
    slug = models.SlugField(max_length=20, null=True)
    url = models.URLField(null=True)
    email = models.EmailField(null=True)
    file = models.FileField(null=True)
    text = models.TextField(null=True)
    integer = models.IntegerField(null=True)
    small = models.SmallIntegerField(null=True)
    big = models.BigIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_small = models.PositiveSmallIntegerField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    number = models.FloatField(null=True)
    decimal = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    long_decimal = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    date = models.DateField(null=True)
    time = models.TimeField(null=True)
    moment = models.DateTimeField(null=True)
    duration = models.DurationField(null=True)
    code = models.UUIDField(null=True)
    raw = models.BinaryField(null=True)
    address = models.GenericIPAddressField(null=True)
    facts = models.JSONField(null=True)
    double = models.GeneratedField(expression=models.F("small") + 1,
        output_field=models.BigIntegerField(), db_persist=True)
"""

SETTINGS = """
import dj_database_url
MIDDLEWARE = []
TEMPLATES = []
USE_TZ = {use_tz}
TIME_ZONE = {zone!r}
DATABASES |= {{
    "postgresql": dj_database_url.parse({postgresql!r}),
    "mariadb": dj_database_url.parse({mariadb!r}),
    "last": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "last.sqlite3"}},
}}
"""


@pytest.fixture
def trip(
    project: Project,
    postgres: Server,
    mariadb: Server,
    database_name: Callable[[str], str],
) -> Project:
    urls = {server.vendor: made(server, database_name("trip")) for server in (postgres, mariadb)}
    project.app("fleet", models=MODELS)
    project.installed_apps = ["appdb_router", "fleet"]
    project.settings_extra = SETTINGS.format(
        use_tz=True, zone="UTC", postgresql=urls["postgresql"], mariadb=urls["mysql"]
    )
    return project


def test_what_is_not_refused_arrives(trip: Project) -> None:
    result = trip.python(
        """
        import sys
        sys.argv = ["", "8"]
        from tests.support.round_trip import main
        main()
        """,
        timeout=110,
    )

    sent, refused = map(int, result.stdout.split())
    assert sent > refused > 0
