"""Puts load on gunicorn and uvicorn with three databases: `python -m benchmarks.servers`."""

import argparse
import itertools
import random
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles

from tests.support.load.client import Answer, Visit, visit_all
from tests.support.load.deployments import MAX_AGE, Deployment, deployments
from tests.support.load.project import LABELS, SETTINGS, ThreeApps
from tests.support.load.servers import gunicorn, serve, uvicorn
from tests.support.load.writing import writes, wrong_answers, wrong_rows
from tests.support.project import Project
from tests.support.servers import Server

from . import report
from .__main__ import postgres_url, progress

WORKERS, THREADS, CLIENTS = 2, 4, 16
POOL = {"pool_size": "3"}
KEY = "read"
# Few reads a round: the ways to compare take turns before the machine's speed changes. The first
# rounds open connections and fill caches, and do not count.
READS, WARM_UP = 100, 2
# Seconds between two looks at the sessions, and until all writes are given up.
LOOK, END = 0.1, 600
SESSION_COLUMNS = ("most sessions", "budget", "when quiet", "after SIGTERM")

# The databases are those that the router would have, given by hand.
ALONE = """\
ROOT_URLCONF = "tests.support.load.orm_views"
INSTALLED_APPS.remove("appdb_router")
for entry in DATABASES.values():
    del entry["APPDB_ROUTER"]
DATABASE_ROUTERS = ["routers.BillingRouter", "routers.OrdersRouter", "routers.StockRouter"]
"""
ROUTERS = """\
from benchmarks.rivals import DocumentationRouter


class BillingRouter(DocumentationRouter):
    def __init__(self):
        super().__init__("billing")


class OrdersRouter(DocumentationRouter):
    def __init__(self):
        super().__init__("orders")


class StockRouter(DocumentationRouter):
    def __init__(self):
        super().__init__("stock")
"""


@dataclass
class Way:
    """A way to serve reads, and its figures: requests per second of each round, and seconds."""

    name: str
    view: str
    settings: str = SETTINGS
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak: int = 0


@dataclass(frozen=True)
class Place:
    """A server, what keeps its connections, and the ways to compare there."""

    name: str
    command: Sequence[str]
    parameters: Mapping[str, str]
    ways: Sequence[Way]


def places() -> list[Place]:
    """Return all places; in each the first way is that of Django alone."""
    sync, threads = gunicorn(workers=WORKERS), gunicorn(workers=WORKERS, threads=THREADS)

    def two_ways(view: str) -> list[Way]:
        return [Way("Django alone", view, ALONE), Way("appdb_router", view)]

    session = Way("appdb_router, get_app_session", "session")
    return [
        Place("gunicorn, sync workers, CONN_MAX_AGE", sync, MAX_AGE, two_ways("read")),
        Place("gunicorn, threads, CONN_MAX_AGE", threads, MAX_AGE, two_ways("read")),
        Place("gunicorn, threads, pool", threads, POOL, two_ways("read")),
        Place("uvicorn, pool", uvicorn(workers=WORKERS), POOL, [*two_ways("aread"), session]),
    ]


def main() -> int:
    """Measure, print the tables, and return 1 if anything went wrong under load."""
    options = parser().parse_args()
    wrong: list[str] = []
    found = places()
    for _, place in zip(progress(len(found), "Reads"), found, strict=True):
        with three_apps() as apps:
            wrong += read(apps, place, options.rounds)
    rows = []
    ways = deployments(WORKERS, THREADS, CLIENTS)
    for _, (name, deployment) in zip(progress(len(ways), "Writes"), ways.items(), strict=True):
        with three_apps() as apps:
            row, complaints = write(apps, name, deployment, options.writes)
        rows.append(row)
        wrong += complaints
    tables = [reads_table(found), writes_table(rows)]
    packages = ("Django", "psycopg", "gunicorn", "uvicorn")
    if options.markdown:
        print(report.as_markdown(tables, packages), end="")
    else:
        report.show(tables, packages)
    for line in wrong[:10]:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.servers", description=__doc__)
    made.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    made.add_argument("--rounds", type=int, default=40, help="rounds of reads (%(default)s)")
    made.add_argument("--writes", type=int, default=3000, help="writes in all (%(default)s)")
    return made


@contextmanager
def three_apps() -> Iterator[ThreeApps]:
    """Yield the project with databases and a role of its own, which are dropped at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appdb-"))).resolve()
        server = Server.from_url(stack.enter_context(postgres_url(folder / "pg")))
        user, password = f"appdb_{secrets.token_hex(4)}", secrets.token_hex(12)
        server.create_role(user, password)
        stack.callback(server.drop_role, user)
        names = {label: f"{user}_{label}" for label in LABELS}
        for name in names.values():
            stack.callback(server.drop, name)
        (folder / "project").mkdir()
        apps = ThreeApps(Project(folder / "project"), server, names, user, password)
        apps.write()
        apps.create_databases()
        yield apps


def read(apps: ThreeApps, place: Place, rounds: int) -> list[str]:
    """Read by all ways in turn, note the figures, and return the wrong answers."""
    apps.insert(KEY)
    wrong = []
    with ExitStack() as stack:
        urls = {way.name: stack.enter_context(serve_way(apps, place, way)) for way in place.ways}
        with peak_sessions(apps) as peaks:
            for position in range(-WARM_UP, rounds):
                for way in random.sample(place.ways, len(place.ways)):
                    started = time.perf_counter()
                    answers = visit_all(urls[way.name], reads(way), CLIENTS)
                    rate = len(answers) / (time.perf_counter() - started)
                    wrong += [answer for answer in answers if not is_right(apps, answer)]
                    if position >= 0:
                        way.rates.append(rate)
                        way.seconds += [answer.seconds for answer in answers]
        for way in place.ways:
            way.peak = peaks[way.name]
    return [f"{place.name}: {answer}" for answer in wrong]


@contextmanager
def serve_way(apps: ThreeApps, place: Place, way: Way) -> Iterator[str]:
    """Serve the databases by a project of this way's own; yield the URL."""
    folder = tempfile.mkdtemp(dir=apps.project.root.parent)
    own = replace(apps, project=Project(Path(folder)))
    own.write()
    own.project.write("routers.py", ROUTERS)
    own.configure({**place.parameters, "application_name": way.name}, settings=way.settings)
    with serve(own.project, place.command) as server:
        yield server.url


def reads(way: Way) -> list[Visit]:
    """Return the visits of one round, to all apps in turn."""
    labels = itertools.cycle(LABELS)
    return [Visit("GET", f"/{way.view}/{next(labels)}/{KEY}/") for _ in range(READS)]


def is_right(apps: ThreeApps, answer: Answer) -> bool:
    """Tell whether the row that was asked for came from the database of its app."""
    label = answer.visit.path.split("/")[2]
    return bool(answer.body == [KEY, apps.names[label]])


def write(
    apps: ThreeApps, name: str, deployment: Deployment, number: int
) -> tuple[list[str], list[str]]:
    """Make so many writes to all apps, and return the row of the table and what is wrong."""
    apps.configure(deployment.parameters)
    planned = [*writes("key", number)]
    with serve(apps.project, deployment.command) as server:
        with peak_sessions(apps) as peaks:
            answers = visit_all(server.url, [item.visit for item in planned], CLIENTS, END)
        answered, stored = (check(apps, planned, answers) for check in (wrong_answers, wrong_rows))
        kept = apps.settle(deployment.kept)
        server.stop()
    left = apps.settle(0)
    figures = (len(answered), len(stored), peaks[""], deployment.budget, kept, left)
    complaints = [*answered, *stored]
    if len(answers) < number or kept > deployment.kept or left:
        complaints.append(f"{name}: {len(answers)} answers, sessions {kept}, and {left} at the end")
    return [name, f"{number:,}", *(str(figure) for figure in figures)], complaints


@contextmanager
def peak_sessions(apps: ThreeApps) -> Iterator[Counter[str]]:
    """Yield what has at the end the most sessions that each server had on one database."""
    found: Counter[str] = Counter()
    end = threading.Event()

    def look() -> None:
        nonlocal found
        while not end.wait(LOOK):
            # The greater number of each.
            found |= apps.sessions()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()


def reads_table(found: Sequence[Place]) -> report.Table:
    """Return the figures of the reads, each way beside Django alone on the same server."""
    rows = []
    for place in found:
        base = place.ways[0].rates
        for way in place.ways:
            percentiles = quantiles(way.seconds, n=100)
            times = [rate / other for rate, other in zip(way.rates, base, strict=True)]
            low, middle, high = quantiles(times, n=4)
            rows.append(
                [
                    f"{place.name}: {way.name}",
                    f"{median(way.rates):,.0f}",
                    f"{percentiles[49] * 1e3:.1f}",
                    f"{percentiles[98] * 1e3:.0f}",
                    str(way.peak),
                    "1" if way is place.ways[0] else f"{middle:.2f} ({low:.2f} to {high:.2f})",
                ]
            )
    number = len(found[0].ways[0].rates)
    return report.Table(
        f"Reads of one row: {WORKERS} workers, of {THREADS} threads where there are any, and"
        f" {CLIENTS} clients. Medians of {number} rounds of {READS} reads, in which the ways take"
        " turns. Times: requests per second, to those of Django alone in the same round, and the"
        " middle half of the rounds.",
        ["server", "requests/s", "p50, ms", "p99, ms", "peak sessions", "times"],
        rows,
    )


def writes_table(rows: Sequence[Sequence[str]]) -> report.Table:
    """Return what the writes left behind."""
    return report.Table(
        f"Writes to three databases by synchronous and asynchronous sessions: {WORKERS} workers,"
        f" of {THREADS} threads with gunicorn, and {CLIENTS} clients. Sessions: of the database"
        " that had the most.",
        ["server", "writes", "wrong answers", "wrong rows", *SESSION_COLUMNS],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
