"""Takes a database away under load, and brings it back: `python -m benchmarks.outage`."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from statistics import quantiles

from tests.support.embedded import Cluster
from tests.support.servers import Server, embedded_postgres, free_port

from . import generated, report
from .serving import LABELS, THREADS, Plan, Sample

FAILING, *OTHERS = LABELS
# Seconds in which circuits open.
OPENING = 3
PHASES = ("before", f"first {OPENING} s without it", "then", "after")
KINDS = {"killed": False, "frozen": True}
BREAKERS: dict[str, dict[str, float] | None] = {"no": None, "yes": {}}
# Seconds to wait for a server that is silent.
CONNECT_TIMEOUT = 2

Runs = dict[tuple[str, str], list[Sample]]


def main() -> int:
    """Measure, print the tables, and return 1 if other apps failed or an error names no app."""
    options = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="appdb-") as name:
        folder = Path(name).resolve()
        generated.write(folder / "apps", len(LABELS))
        with embedded_postgres(folder / "steady") as steady:
            for label in OTHERS:
                steady.execute(f"CREATE DATABASE {label}")
            runs = {
                (kind, breaker): measure(folder, steady, kind, breaker, options.seconds)
                for kind in KINDS
                for breaker in BREAKERS
            }
    tables = [others_table(runs, options.seconds), failing_table(runs, options.seconds)]
    if options.markdown:
        print(report.as_markdown(tables), end="")
    else:
        report.show(tables)
    return 0 if all(is_right(samples, options.seconds) for samples in runs.values()) else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.outage", description=__doc__)
    made.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    made.add_argument(
        "--seconds", type=float, default=20, help="before, during and after (%(default)s)"
    )
    return made


def measure(folder: Path, steady: Server, kind: str, breaker: str, seconds: float) -> list[Sample]:
    """Serve requests in a process of its own, with a new server for the app that fails."""
    data, port = folder / f"{kind}-{breaker}", free_port()
    cluster = Cluster(data, port)
    cluster.start()
    try:
        failing = Server("postgresql", "127.0.0.1", port, "postgres")
        failing.execute(f"CREATE DATABASE {FAILING}")
        servers = {FAILING: failing, **dict.fromkeys(OTHERS, steady)}
        plan = Plan(
            folder=str(folder / "apps"),
            urls={
                label: server.url(label, connect_timeout=str(CONNECT_TIMEOUT))
                for label, server in servers.items()
            },
            data=str(data),
            port=port,
            freezes=KINDS[kind],
            circuit_breaker=BREAKERS[breaker],
            seconds=seconds,
        )
        command = [sys.executable, "-m", "benchmarks.serving", json.dumps(asdict(plan))]
        # A module of this package, with a plan made by this package.
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    finally:
        cluster.kill()
    return [Sample(**sample) for sample in json.loads(result.stdout)]


def others_table(runs: Runs, seconds: float) -> report.Table:
    """Return how long requests to the other two apps took."""
    rows = []
    for (kind, breaker), samples in runs.items():
        mine = [sample for sample in samples if sample.label in OTHERS]
        bounds = (0, seconds, seconds + OPENING, 2 * seconds, 3 * seconds)
        phases = [times(between(mine, *ends)) for ends in pairwise(bounds)]
        failed = sum(sample.error is not None for sample in mine)
        rows.append([f"{kind}, {breaker}", *phases, f"{failed} of {len(mine)}"])
    return report.Table(
        "The two other apps: ms until an answer, median / 99th percentile / longest.",
        ["server, circuit breaker", *PHASES, "failed"],
        rows,
    )


def failing_table(runs: Runs, seconds: float) -> report.Table:
    """Return what became of requests to the app whose server went away."""
    rows = []
    for (kind, breaker), samples in runs.items():
        mine = [sample for sample in samples if sample.label == FAILING]
        outage = between(mine, seconds, 2 * seconds)
        failed = [sample for sample in outage if sample.error is not None]
        rows.append(
            [
                f"{kind}, {breaker}",
                f"{len(failed)} of {len(outage)}",
                times(failed),
                f"{back_after(mine, seconds):.1f}",
            ]
        )
    return report.Table(
        "The app whose server went away: requests during the outage, ms until an error (median"
        " / 99th percentile / longest), seconds until all is well after the server is back.",
        ["server, circuit breaker", "failed", "until an error", "back after"],
        rows,
    )


def between(samples: Sequence[Sample], start: float, end: float) -> list[Sample]:
    """Return the requests that arrived from ``start`` to ``end``."""
    return [sample for sample in samples if start <= sample.arrival < end]


def times(samples: Sequence[Sample]) -> str:
    """Return median, 99th percentile and maximum of how long requests took, in ms."""
    found = sorted(sample.duration * 1e3 for sample in samples)
    cuts = quantiles(found, n=100, method="inclusive")
    return f"{cuts[49]:,.0f} / {cuts[98]:,.0f} / {found[-1]:,.0f}"


def back_after(samples: Sequence[Sample], seconds: float) -> float:
    """Return how long after the end of the outage the last request that failed arrived."""
    failed = [sample.arrival for sample in samples if sample.error is not None]
    return max(0.0, max(failed) - 2 * seconds)


def is_right(samples: Sequence[Sample], seconds: float) -> bool:
    """Return whether one app failed alone, its errors name it, and it is well at the end."""
    failed = [sample for sample in samples if sample.error is not None]
    nameless = [sample for sample in failed if FAILING not in str(sample.error)]
    return (
        all(sample.label == FAILING and sample.arrival < 2.9 * seconds for sample in failed)
        # Queries that were under way when the server went away fail as they always do.
        and len(nameless) <= THREADS
    )


if __name__ == "__main__":
    sys.exit(main())
