"""Times moving tables between two databases: `python -m benchmarks.moving FOLDER URL ROWS ROUNDS`.

Each rival is timed from the start of its processes to their end, on the clock on the wall. The
target database is new each time; where the rival does not make the tables, they are there before.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.support.servers import Server

from . import deployed

DUMP = "pg_dump -t, psql"
FOLDER_DUMP = "pg_dump -Fd -j2, pg_restore -j2"
COPY = "psql COPY, psql COPY, indexes afterwards"
FIXTURE = "dumpdata, loaddata"
PGCOPYDB = "pgcopydb clone"
OURS = "db_move --verify stream"
CHECKSUM = "checksum of both sides, apart"
RIVALS = (DUMP, FOLDER_DUMP, COPY, OURS)
TABLES = 10
# `loaddata` takes minutes for a million: so many are timed.
FIXTURE_ROWS = 20_000

ONE, MANY, MEMORY = "one table", f"{TABLES} tables", "KiB above the start"

MODELS = """\
from django.db import models


class Base(models.Model):
    driver_id = models.IntegerField(db_index=True)
    name = models.CharField(max_length=100)
    note = models.TextField()
    started = models.DateTimeField(db_index=True)
    price = models.DecimalField(max_digits=12, decimal_places=2)
    facts = models.JSONField()
    code = models.UUIDField()
    paid = models.BooleanField()
    distance = models.FloatField(null=True)
    photo = models.BinaryField(null=True)

    class Meta:
        abstract = True

"""
MODEL = """\

class Trip{number}(Base):
    pass
"""
SETTINGS = """\
from pathlib import Path

from appdb_router import build_databases

SECRET_KEY = "only-for-benchmarks"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["appdb_router", "trips"]
DATABASES = build_databases(INSTALLED_APPS, base_dir=Path(__file__).parent)
DATABASE_ROUTERS = ["appdb_router.routers.AppDatabaseRouter"]
"""
FILL = """
INSERT INTO trips_trip{number} SELECT n, (n::bigint * 7919) %% 1000003, 'name ' || md5(n::text),
    repeat(md5(n::text), 3), timestamptz '2020-01-01' + n * interval '37 seconds', n / 7.0,
    jsonb_build_object('n', n, 'x', md5(n::text)), gen_random_uuid(), n %% 2 = 0, sqrt(n),
    decode(md5(n::text), 'hex')
FROM generate_series(1, {rows}) n
"""

# Made as `db_init` would.
MAKE = """\
import sys, django
django.setup()
from django.apps import apps
from django.db import connections
with connections[sys.argv[1]].schema_editor() as editor:
    for model in apps.get_app_config("trips").get_models():
        editor.create_model(model)
"""
# Prints by how much its memory has grown, in KiB.
MOVE = """\
import io, resource, django
django.setup()
from django.core.management import call_command
import appdb_router.management.commands.db_move

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

start = peak()
call_command("db_move", "trips", verify="stream", stdout=io.StringIO())
print(peak() - start)
"""


@dataclass(frozen=True)
class Place:
    """A project, the server, and the names of the databases and tables."""

    folder: Path
    server: Server
    source: str
    target: str
    tables: Sequence[str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the project's processes."""
        kept = {name: value for name, value in os.environ.items() if "DATABASE_URL" not in name}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        path = os.pathsep.join([str(Path.cwd()), kept.pop("PYTHONPATH", "")])
        return {
            **kept,
            "DATABASE_URL": self.server.url(self.source),
            "TRIPS_DATABASE_URL": self.server.url(self.target),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PGPASSWORD": self.server.password,
            "PYTHONPATH": path,
        }

    def python(self, *arguments: str) -> str:
        """Run Python in the project, and return what it prints."""
        return self.run([sys.executable, *arguments], self.environment)

    @property
    def moving(self) -> str:
        """The name of a copy of the source that is moved."""
        return f"{self.source}_moving"

    def move(self) -> str:
        """Move the tables with ``db_move``, and return what the program prints."""
        url = self.server.url(self.moving)
        variables = {"DATABASE_URL": url, "TRIPS_DATABASE_MOVE_FROM": "default"}
        return self.run([sys.executable, "-c", MOVE], self.environment | variables)

    def run(self, command: Sequence[str], environment: dict[str, str]) -> str:
        """Run a program in the project, and return what it prints."""
        return subprocess.run(  # noqa: S603  Programs of this module.
            command, cwd=self.folder, env=environment, check=True, text=True, stdout=-1
        ).stdout

    def shell(self, command: str) -> None:
        """Run a line of shell, as an administrator would."""
        subprocess.run(  # noqa: S603  Programs of this module.
            ["/bin/bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def at(self, program: str, name: str) -> str:
        """Return the beginning of a command line with PostgreSQL's ``program``."""
        server = self.server
        return f"{program} -h {server.host} -p {server.port} -U {server.user} -d {name}"

    def make_tables(self) -> None:
        """Make the tables in the target."""
        self.python("-c", MAKE, "trips")


def main() -> None:
    """Print the seconds of each rival as JSON, and the memory of ours."""
    folder, server = Path(sys.argv[1]), Server.from_url(sys.argv[2])
    rows, rounds = int(sys.argv[3]), int(sys.argv[4])
    results: dict[str, list[float]] = {}
    if rounds:
        compare(results, write(folder / "one", server, 1), rows, rounds, RIVALS)
        compare(
            results, write(folder / "many", server, TABLES), rows // TABLES, rounds,
            (DUMP, FOLDER_DUMP, OURS),
        )  # fmt: skip
        results[FIXTURE] = [fixture(write(folder / "fixture", server, 1))]
    else:
        compare(results, write(folder / "one", server, 1), rows, 1, (OURS,))
    print(json.dumps(results))


def cell(rival: str, where: str) -> str:
    """Return the name of a case."""
    return f"{rival}: {where}"


def write(folder: Path, server: Server, tables: int) -> Place:
    """Write a project with so many tables."""
    for path, text in {
        "manage.py": deployed.MANAGE,
        "settings.py": SETTINGS,
        "trips/__init__.py": "",
        "trips/models.py": MODELS + "\n".join(MODEL.format(number=n) for n in range(tables)),
    }.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    prefix = f"appdb_bench_{os.getpid()}"
    return Place(
        folder, server, f"{prefix}_from", f"{prefix}_to", [f"trips_trip{n}" for n in range(tables)]
    )


def compare(
    results: dict[str, list[float]], place: Place, rows: int, rounds: int, rivals: Sequence[str]
) -> None:
    """Add the seconds of ``rivals``, in a new order in each round."""
    where = ONE if len(place.tables) == 1 else MANY
    try:
        fill(place, rows)
        for _ in range(rounds):
            for rival in random.sample(rivals, len(rivals)):
                seconds = timed(place, rival, results)
                results.setdefault(cell(rival, where), []).append(seconds)
                check(place, rows)
        if where == ONE:
            results[CHECKSUM] = [seconds_of(lambda: checksums(place))]
    finally:
        for name in (place.moving, place.source, place.target):
            place.server.drop(name)


def fill(place: Place, rows: int) -> None:
    """Make the source, with so many rows in each table."""
    server = place.server
    server.execute(f"CREATE DATABASE {server.quote(place.source)}")
    place.python("-c", MAKE, "default")
    for number in range(len(place.tables)):
        server.execute(FILL.format(number=number, rows=rows) % (), database=place.source)
    server.execute("VACUUM ANALYZE", database=place.source)
    server.execute("CHECKPOINT", database=place.source)


def timed(place: Place, rival: str, results: dict[str, list[float]]) -> float:
    """Return the seconds that ``rival`` takes to fill a new target."""
    server = place.server
    server.drop(place.target)
    server.execute(f"CREATE DATABASE {server.quote(place.target)}")
    if rival in {COPY, OURS}:
        place.make_tables()
    if rival != OURS:
        server.execute("CHECKPOINT")
        return seconds_of(lambda: RUNS[rival](place))
    # After a move, the source refuses writes and has its journal.
    server.drop(place.moving)
    server.execute(
        f"CREATE DATABASE {server.quote(place.moving)} TEMPLATE {server.quote(place.source)}"
    )
    server.execute("CHECKPOINT")
    printed: list[str] = []
    seconds = seconds_of(lambda: printed.append(place.move()))
    where = ONE if len(place.tables) == 1 else MANY
    results.setdefault(cell(MEMORY, where), []).append(float(printed[0]))
    return seconds


def seconds_of(action: Callable[[], object]) -> float:
    """Return the seconds that an action takes."""
    started = perf_counter()
    action()
    return perf_counter() - started


def check(place: Place, rows: int) -> None:
    """See that the rows have arrived, and the indexes."""
    for table in place.tables:
        for statement, wanted in (
            (f"SELECT count(*) FROM {table}", rows),  # noqa: S608
            (f"SELECT count(*) FROM pg_indexes WHERE tablename = '{table}'", 3),  # noqa: S608
        ):
            found = place.server.fetch(statement, database=place.target)
            if found != [(wanted,)]:
                raise RuntimeError(f"{statement}: {found}")


def dump(place: Place) -> None:
    """Pipe a dump of the tables into psql."""
    wanted = " ".join(f"-t {table}" for table in place.tables)
    place.shell(
        f"{place.at('pg_dump', place.source)} {wanted}"
        f" | {place.at('psql', place.target)} -q -v ON_ERROR_STOP=1"
    )


def folder_dump(place: Place) -> None:
    """Dump into a folder, and restore from it, two jobs each."""
    wanted = " ".join(f"-t {table}" for table in place.tables)
    place.shell(
        f"rm -rf dump && {place.at('pg_dump', place.source)} {wanted} -Fd -j2 -f dump"
        f" && {place.at('pg_restore', place.target)} -j2 dump"
    )
    shutil.rmtree(place.folder / "dump")


def copy(place: Place) -> None:
    """Drop indexes, pipe the rows as text, and make the indexes again."""
    server = place.server
    for table in place.tables:
        indexes = server.fetch(
            "SELECT indexdef, indexname FROM pg_indexes WHERE indexdef !~ 'UNIQUE'"  # noqa: S608
            f" AND tablename = '{table}'",
            database=place.target,
        )
        key = f"{table}_pkey"
        drops = [f"DROP INDEX {name}" for _, name in indexes]
        drops.append(f"ALTER TABLE {table} DROP CONSTRAINT {key}")
        adds = [f"ALTER TABLE {table} ADD CONSTRAINT {key} PRIMARY KEY (id)"]
        adds += [definition for definition, _ in indexes]
        for statement in drops:
            server.execute(statement, database=place.target)
        place.shell(
            f"{place.at('psql', place.source)} -c 'COPY {table} TO STDOUT'"
            f" | {place.at('psql', place.target)} -c 'COPY {table} FROM STDIN'"
        )
        for statement in [*adds, f"ANALYZE {table}"]:
            server.execute(statement, database=place.target)


def fixture(place: Place) -> float:
    """Return the seconds of ``dumpdata`` and ``loaddata`` with some of the rows."""
    server = place.server
    try:
        fill(place, FIXTURE_ROWS)
        server.drop(place.target)
        server.execute(f"CREATE DATABASE {server.quote(place.target)}")
        place.make_tables()
        python = f"{sys.executable} manage.py"
        return seconds_of(
            lambda: place.shell(
                f"TRIPS_DATABASE_URL=$DATABASE_URL {python} dumpdata trips -o rows.json"
                f" && {python} loaddata rows.json"
            )
        )
    finally:
        for name in (place.source, place.target):
            server.drop(name)


def checksums(place: Place) -> None:
    """Compare count and sum of hashes, one side after the other."""
    statement = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {} t"
    for table in place.tables:
        sides = [
            place.server.fetch(statement.format(table), database=name)
            for name in (place.source, place.target)
        ]
        if sides[0] != sides[1]:
            raise RuntimeError(f"{table} differs")


RUNS: dict[str, Callable[[Place], None]] = {DUMP: dump, FOLDER_DUMP: folder_dump, COPY: copy}


if __name__ == "__main__":
    main()
