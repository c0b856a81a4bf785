"""A move while two processes write, each at most 200 times a second, and two others read."""

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
# Seconds between the beginnings of two writes, and of two reads.
PAUSE, READ_PAUSE = 0.005, 0.02
# What leaves the writers of two processors their share.
RATE_LIMIT = "15MB"
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
    """What the processes said: numbers of operations, and the longest of each kind in seconds.

    ``rate`` is how many rows a second were written during the move.
    """

    how: str
    rows: int
    seconds: float
    rate: float
    writes: int
    reads: int
    straddled: int
    longest_write: float
    longest_read: float


def measure(folder: Path, url: str, rows: int) -> list[Measured]:
    """Move ``rows`` rows as fast as possible, and more slowly, and return what that was like.

    A read or write that fails ends the benchmark, as does one that is lost.
    """
    limited = f"--rate-limit={RATE_LIMIT}"
    return [
        _measure(folder / "fast", url, rows, "as fast as possible"),
        _measure(folder / "limited", url, rows, limited, limited),
    ]


def _measure(folder: Path, url: str, rows: int, how: str, *options: str) -> Measured:
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
                before, started = writers.written(), perf_counter()
                project.manage("db_move", "driver", *options, timeout=1800)
                seconds = perf_counter() - started
                written = writers.written() - before
            wrote = writers.stop()
        read = [outcome(process) for process in readers]
        return Measured(
            how,
            rows,
            seconds,
            written / seconds,
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
    arguments = (str(stop), str(SEEDED), str(READ_PAUSE))
    processes = [start(project, READER, *arguments) for _ in range(READERS)]
    try:
        yield processes
    finally:
        stop.touch()


def tables(measured: list[Measured]) -> list[Table]:
    """Return the tables; the last one says what is required."""
    longest = max(item.longest_write for item in measured)
    return [
        Table(
            f"A move of {measured[0].rows:,} rows, with {WRITERS} processes that write and"
            f" {READERS} that read. None of them failed, and nothing was lost.",
            [
                "how", "seconds", "writes", "rows written a second", "reads", "straddled",
                "longest write", "longest read",
            ],
            [
                [
                    item.how,
                    f"{item.seconds:.1f}",
                    f"{item.writes:,}",
                    f"{item.rate:.0f}",
                    f"{item.reads:,}",
                    f"{item.straddled}",
                    f"{item.longest_write * 1000:.0f} ms",
                    f"{item.longest_read * 1000:.0f} ms",
                ]
                for item in measured
            ],
        ),
        requirements_table([Requirement("longest write", longest, LIMIT, "s")]),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit("python -m benchmarks --live")
