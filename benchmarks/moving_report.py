"""The tables of moving rows, and what they must show."""

from statistics import median

from . import moving
from .moving import CHECKSUM, DUMP, FIXTURE, FIXTURE_ROWS, FOLDER_DUMP, MANY, MEMORY, ONE, OURS
from .report import Requirement, Table, requirements_table
from .timing import Results

# Times the rival, and MiB above the start.
DUMP_LIMIT, FOLDER_LIMIT, MEMORY_LIMIT = 0.95, 0.65, 64


def tables(results: Results) -> list[Table]:
    """Return the tables; the last one says what is required."""
    found = {name: [x for run in runs for x in run] for name, runs in results.runs.items()}
    rows = [
        [rival, *(_shown(found, moving.cell(rival, where)) for where in (ONE, MANY))]
        for rival in moving.RIVALS
    ]
    if FIXTURE in found:
        rows.append([f"{FIXTURE}, {FIXTURE_ROWS:,} rows of these only", _shown(found, FIXTURE), ""])
    rows.append([CHECKSUM, _shown(found, CHECKSUM), ""])
    return [
        Table("Moving: seconds from start to end, median.", ["way", ONE, MANY], rows),
        requirements_table(_requirements(found)),
    ]


def _shown(found: dict[str, list[float]], name: str) -> str:
    return f"{median(found[name]):.1f}" if name in found else ""


def _requirements(found: dict[str, list[float]]) -> list[Requirement]:
    ours = median(found[moving.cell(OURS, ONE)])
    memory = max(found[moving.cell(MEMORY, ONE)]) / 1024
    required = [Requirement("memory above the start", memory, MEMORY_LIMIT, "MiB")]
    for rival, limit in ((DUMP, DUMP_LIMIT), (FOLDER_DUMP, FOLDER_LIMIT)):
        if moving.cell(rival, ONE) in found:
            ratio = ours / median(found[moving.cell(rival, ONE)])
            required.append(Requirement(f"one table, to {rival}", ratio, limit, "times"))
    return required
