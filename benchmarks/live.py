"""A move while processes write 200 rows a second each, and others read all the time."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.support.live_moves import READER, moving_project, outcome, start, writing
from tests.support.project import Project
from tests.support.servers import Server

from .report import Requirement, Table, requirements_table

WRITERS = READERS = 2
# Seconds between the beginnings of two writes.
PAUSE = 0.005
# Seconds that a write may take at most.
LIMIT = 0.25

FILL = """
    INSERT INTO driver_trip (token, vehicle_id, rider_id, amount, payload)
    SELECT 'seed-' || n, (SELECT min(id) FROM driver_vehicle) + n % 20,
        (SELECT min(id) FROM auth_user), n % 1000, jsonb_build_object('n', n, 'x', md5(n::text))
    FROM generate_series({first}, {last}) n
"""
SEEDED = 500


@dataclass(frozen=True)
class Measured:
    """What the processes said: numbers of operations, and the longest of each kind in seconds."""

    rows: int
    seconds: float
    writes: int
    reads: int
    straddled: int
    longest_write: float
    longest_read: float


def measure(folder: Path, url: str, rows: int) -> Measured:
    """Move ``rows`` rows, and return what that was like for the others.

    A read or write that fails ends the benchmark, as does one that is lost.
    """
    server = Server.from_url(url)
    names = {label: f"appdb_bench_live_{label}" for label in ("default", "driver")}
    folder.mkdir(parents=True)
    project = Project(folder)
    try:
        urls = {label: server.url(name) for label, name in names.items()}
        moving_project(project, urls, rows=SEEDED)
        server.execute(FILL.format(first=SEEDED, last=rows - 1), database=names["default"])
        server.execute("VACUUM ANALYZE", database=names["default"])
        with writing(project, count=WRITERS, pause=PAUSE) as writers:
            with reading(project) as readers:
                started = perf_counter()
                project.manage("db_move", "driver", timeout=1800)
                seconds = perf_counter() - started
            wrote = writers.stop()
        read = [outcome(process) for process in readers]
        return Measured(
            rows,
            seconds,
            sum(item["done"] for item in wrote),
            sum(item["done"] for item in read),
            sum(item["straddled"] for item in wrote),
            max(item["longest"] for item in wrote),
            max(item["longest"] for item in read),
        )
    finally:
        for name in names.values():
            server.drop(name)


@contextmanager
def reading(project: Project) -> Iterator[list[subprocess.Popen[str]]]:
    """Let processes read in this block."""
    stop = project.root / "stop-reading"
    processes = [start(project, READER, str(stop), str(SEEDED)) for _ in range(READERS)]
    try:
        yield processes
    finally:
        stop.touch()


def tables(measured: Measured) -> list[Table]:
    """Return the tables; the last one says what is required."""
    return [
        Table(
            f"A move of {measured.rows:,} rows, with {WRITERS} processes that write and {READERS}"
            " that read. None of them failed, and nothing was lost.",
            ["seconds", "writes", "reads", "straddled", "longest write", "longest read"],
            [
                [
                    f"{measured.seconds:.1f}",
                    f"{measured.writes:,}",
                    f"{measured.reads:,}",
                    f"{measured.straddled}",
                    f"{measured.longest_write * 1000:.0f} ms",
                    f"{measured.longest_read * 1000:.0f} ms",
                ]
            ],
        ),
        requirements_table([Requirement("longest write", measured.longest_write, LIMIT, "s")]),
    ]


if __name__ == "__main__":
    sys.exit("python -m benchmarks --live")
