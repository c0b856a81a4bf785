"""The tables of moving rows, and what they must show."""

import shutil
from collections.abc import Sequence
from statistics import median

from . import moving
from .moving import CHECKSUM, COPY, DUMP, FIXTURE, FOLDER_DUMP, MANY, MEMORY, ONE, OURS, PGCOPYDB
from .report import Requirement, Table, requirements_table
from .timing import Results

# Times as long as PostgreSQL's own programs.
DUMP_LIMIT = 0.95
FOLDER_LIMIT = 0.65
# MiB above the start.
MEMORY_LIMIT = 64
MOST_ROWS = 10_000_000
LARGEST = f"{MEMORY}, {MOST_ROWS:,} rows"


def memory(values: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the one figure of a run with ten million rows that is shown."""
    return {LARGEST: values[moving.cell(MEMORY, ONE)]}


def tables(results: Results, rows: int) -> list[Table]:
    """Return every table, the requirements last."""
    return [
        seconds_table(results, rows, ONE, (DUMP, FOLDER_DUMP, COPY, OURS)),
        seconds_table(results, rows, MANY, (DUMP, FOLDER_DUMP, OURS)),
        requirements_table(requirements(results)),
    ]


def seconds_table(results: Results, rows: int, where: str, rivals: Sequence[str]) -> Table:
    """Return the seconds of ``rivals``, and how many times as long as ours each takes."""
    ours = moving.cell(OURS, where)
    lines = []
    for rival in rivals:
        name = moving.cell(rival, where)
        taken = samples(results, name)
        lines.append(
            [rival, f"{median(taken):.1f}", f"{min(taken):.1f}", f"{results.ratio(name, ours):.2f}"]
        )
    if where == ONE:
        lines += [
            [CHECKSUM, *[f"{samples(results, CHECKSUM)[0]:.1f}"] * 2, ""],
            [
                f"{FIXTURE}, extrapolated from {moving.FIXTURE_ROWS:,} rows",
                *fixture(results, rows),
                "",
            ],
        ]
        if shutil.which("pgcopydb") is None:
            lines.append([f"{PGCOPYDB}: not installed", "", "", ""])
    return Table(
        f"Moving {rows:,} rows, {where}, primary key and two more indexes: seconds from start to"
        " end, median and shortest. Times: as long as ours.",
        ["way", "median", "shortest", "times"],
        lines,
    )


def fixture(results: Results, rows: int) -> list[str]:
    """Return what all rows would take."""
    return [f"{samples(results, FIXTURE)[0] * rows / moving.FIXTURE_ROWS:.0f}"] * 2


def requirements(results: Results) -> list[Requirement]:
    """Return what must hold."""
    ours = moving.cell(OURS, ONE)
    found = [
        Requirement(f"ours, to {rival}", results.ratio(ours, moving.cell(rival, ONE)), limit)
        for rival, limit in ((DUMP, DUMP_LIMIT), (FOLDER_DUMP, FOLDER_LIMIT))
    ]
    used = {"memory above the start": moving.cell(MEMORY, ONE)}
    if LARGEST in results.runs:
        used[f"the same, {MOST_ROWS:,} rows"] = LARGEST
    return found + [
        Requirement(name, max(samples(results, case)) / 1024, MEMORY_LIMIT, "MiB")
        for name, case in used.items()
    ]


def samples(results: Results, name: str) -> list[float]:
    """Return all samples of a case."""
    return [sample for run in results.runs[name] for sample in run]
