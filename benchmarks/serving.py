"""Serves three apps while a database goes and comes back: `python -m benchmarks.serving PLAN`.

Requests arrive at their times whether others are served or not, as those of users do, and wait for
one of a few threads, as in a worker of a WSGI server. Each opens a connection, as Django does
without CONN_MAX_AGE.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import django
from django.conf import settings
from django.core.signals import request_finished, request_started

from appdb_router import build_databases
from tests.support.embedded import Cluster

from . import generated

# The first one's server goes away.
LABELS = generated.labels(3)
THREADS = 8
# Requests a second to each app.
RATE = 20


@dataclass(frozen=True)
class Plan:
    """What to do; each of the three phases takes ``seconds``."""

    folder: str
    urls: dict[str, str]
    data: str
    port: int
    freezes: bool
    circuit_breaker: dict[str, float] | None
    seconds: float


@dataclass(frozen=True)
class Sample:
    """A request: when it came and how long it took, in seconds, and the error it ended with."""

    label: str
    arrival: float
    duration: float
    error: str | None


def main() -> None:
    """Print every request as JSON."""
    plan = Plan(**json.loads(sys.argv[1]))
    configure(plan)
    print(json.dumps([vars(sample) for sample in run(plan)]))


def configure(plan: Plan) -> None:
    """Set Django up with three apps, each with a database of its own."""
    sys.path.insert(0, plan.folder)
    variables = {f"{label.upper()}_DATABASE_URL": url for label, url in plan.urls.items()}
    apps = ["appdb_router", *generated.entries(len(LABELS))]
    settings.configure(
        INSTALLED_APPS=apps,
        DATABASES=build_databases(
            apps, base_dir=plan.folder, default="sqlite://:memory:", env=variables
        ),
        DATABASE_ROUTERS=["appdb_router.routers.AppDatabaseRouter"],
        APPDB_ROUTER={"CIRCUIT_BREAKER": plan.circuit_breaker},
        # Every connection that fails would be a line.
        LOGGING={"version": 1, "loggers": {"appdb_router": {"level": "CRITICAL"}}},
    )
    django.setup()


def run(plan: Plan) -> list[Sample]:
    """Serve the requests of all three phases."""
    # It reads the settings.
    from appdb_router.sessions import get_app_session

    samples: list[Sample] = []
    queue: SimpleQueue[tuple[str, float] | None] = SimpleQueue()

    def serve() -> None:
        while (item := queue.get()) is not None:
            label, arrival = item
            error = None
            request_started.send(None)
            try:
                with get_app_session(label) as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            except Exception as found:  # noqa: BLE001  Whatever it is, it is a result.
                error = str(found)
            request_finished.send(None)
            samples.append(Sample(label, arrival, time.monotonic() - start - arrival, error))

    for label in LABELS:
        # What is imported and remembered at the first connection is none of this.
        with get_app_session(label):
            pass
    request_finished.send(None)
    threads = [threading.Thread(target=serve) for _ in range(THREADS)]
    start = time.monotonic()
    for thread in (*threads, *outage(plan)):
        thread.start()
    for number in range(int(3 * plan.seconds * RATE * len(LABELS))):
        arrival = number / RATE / len(LABELS)
        time.sleep(max(0.0, start + arrival - time.monotonic()))
        queue.put((LABELS[number % len(LABELS)], arrival))
    for _ in threads:
        queue.put(None)
    for thread in threads:
        thread.join()
    return samples


def outage(plan: Plan) -> list[threading.Timer]:
    """Return what takes the first database away in the second phase, and brings it back."""
    cluster = Cluster(Path(plan.data), plan.port)
    begin, end = (cluster.freeze, cluster.thaw) if plan.freezes else (cluster.kill, cluster.start)
    steps: list[tuple[float, Callable[[], None]]] = [(plan.seconds, begin), (2 * plan.seconds, end)]
    return [threading.Timer(seconds, step) for seconds, step in steps]


if __name__ == "__main__":
    main()
