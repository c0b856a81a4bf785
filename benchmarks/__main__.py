"""Runs every benchmark: `python -m benchmarks`."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from compileall import compile_dir
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.support.servers import POSTGRES_VARIABLES, Server, embedded_postgres

from . import (
    building,
    generated,
    initialising_report,
    live,
    moving_report,
    queries,
    report,
    routing,
)
from .timing import Results, run_worker


def main() -> int:
    """Measure, print the tables, and return 1 if a requirement is missed."""
    options = parser().parse_args()
    results = Results()
    # As where it is installed.
    compile_dir(Path(__file__).parents[1] / "appdb_router", quiet=1)
    with tempfile.TemporaryDirectory(prefix="appdb-") as name:
        folder = Path(name).resolve()
        plain, with_modules = folder / "plain", folder / "modules"
        generated.write(plain, max(routing.SIZES))
        generated.write(with_modules, max(routing.SIZES), database_modules=True)
        with postgres_url(folder / "pg") as url:
            if options.live:
                measured = live.measure(folder / "live", url, options.rows)
                return finish(live.tables(measured), options)
            if options.moving:
                given = (
                    str(folder / "moving"),
                    url,
                    str(options.rows),
                    str(options.rounds // 4),
                )
                results.add(run_worker("benchmarks.moving", *given))
                if options.ten_million:
                    given = (str(folder / "memory"), url, str(moving_report.MOST_ROWS), "0")
                    results.add(moving_report.memory(run_worker("benchmarks.moving", *given)))
                return finish(moving_report.tables(results, options.rows), options)
            if options.initialising:
                results.add(run_worker("benchmarks.initialising", str(folder), url))
                return finish(initialising_report.tables(results), options)
            for _ in progress(options.processes, "Routing"):
                arguments = (str(plain), url, str(options.rounds))
                results.add(run_worker("benchmarks.routing", *arguments))
            for _ in progress(options.processes * queries.PROCESSES, "Queries"):
                for threshold in queries.THRESHOLDS:
                    figures = (str(threshold), str(options.rounds))
                    results.add(run_worker("benchmarks.queries", str(plain), url, *figures))
            for _ in progress(options.processes, "Relations"):
                arguments = (str(plain), url, str(options.rounds))
                results.add(run_worker("benchmarks.relations", *arguments))
        for _ in progress(options.processes, "Building the settings"):
            for size in routing.SIZES:
                for variant in building.VARIANTS:
                    place = with_modules if variant == building.MODULES else plain
                    arguments = (str(place), str(size), variant)
                    results.add(run_worker("benchmarks.building", *arguments))
        for _ in progress(options.processes, "Requests"):
            results.add(run_worker("benchmarks.requests", str(options.rounds)))
    return finish(report.tables(results), options)


def finish(tables: Sequence[report.Table], options: argparse.Namespace) -> int:
    """Print the tables, and return 1 if the last one says that a requirement is missed."""
    if options.markdown:
        print(report.as_markdown(tables), end="")
    else:
        report.show(tables)
    return 0 if all(row[-1] == "yes" for row in tables[-1].rows) else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    made.add_argument(
        "--initialising",
        action="store_true",
        help="measure bringing databases into being instead, for some minutes",
    )
    made.add_argument(
        "--moving",
        action="store_true",
        help="measure moving rows between databases instead, for some minutes",
    )
    made.add_argument(
        "--live", action="store_true", help="measure a move while processes read and write instead"
    )
    made.add_argument("--rows", type=int, default=1_000_000, help="rows to move (%(default)s)")
    made.add_argument(
        "--ten-million",
        action="store_true",
        help="with --moving: the memory that ten million rows take, too",
    )
    made.add_argument("--processes", type=int, default=6, help="runs of each worker (%(default)s)")
    made.add_argument("--rounds", type=int, default=20, help="rounds of a run (%(default)s)")
    return made


def progress(count: int, description: str) -> Iterator[int]:
    """Count to ``count``, and show it on the terminal."""
    console = Console(stderr=True)
    yield from track(range(count), description, console=console, disable=not console.is_terminal)


@contextmanager
def postgres_url(data: Path) -> Iterator[str]:
    """Yield the URL of a database on the server that the environment names, or on a new one."""
    given = os.environ.get(POSTGRES_VARIABLES[0])
    if given:
        yield Server.from_url(given).url("postgres")
        return
    with embedded_postgres(data) as server:
        yield server.url("postgres")


if __name__ == "__main__":
    sys.exit(main())
