"""The tables of bringing databases into being, and what they must show."""

from statistics import median

from . import initialising
from .initialising import AGAIN, FIRST, LOOP, OURS, RIVALS, SHELL, SIZES, STOCK, cell
from .report import Requirement, Table, requirements_table
from .timing import Results

# Times faster than the shell loop, by the number of databases.
FIRST_LIMITS = {8: 6, 25: 15}
AGAIN_LIMITS = {25: 20}
# Times as long as Django's own command, all apps in one database.
ONE_LIMIT = 1.05


def tables(results: Results) -> list[Table]:
    """Return every table, the requirements last."""
    return [runs_table(results), one_table(results), requirements_table(requirements(results))]


def runs_table(results: Results) -> Table:
    """Return the seconds of every rival."""
    cases = [(size, False) for size in SIZES] + [(SIZES[0], True)]
    rows = []
    for size, is_slow in cases:
        for run in (FIRST, AGAIN):
            found = {
                rival: results.shortest(cell(rival, size, run, is_slow=is_slow)) for rival in RIVALS
            }
            where = f"{size} and the default{', 3 ms' if is_slow else ''}: {run}"
            faster = [f"{found[rival] / found[OURS]:.1f}" for rival in (SHELL, LOOP)]
            rows.append([where, *(f"{seconds:.2f}" for seconds in found.values()), *faster])
    return Table(
        "Initialising: seconds from start to end. Times: how many times as long the shell loop and"
        " the one process take.",
        ["databases", *RIVALS, "times, loop", "times, process"],
        rows,
    )


def one_table(results: Results) -> Table:
    """Return the seconds with all apps in one database."""
    rows = [
        [rival, f"{median(samples(results, rival)):.2f}", f"{min(samples(results, rival)):.2f}"]
        for rival in (STOCK, OURS)
    ]
    return Table(
        "All apps in one new database: seconds, median and shortest of five.",
        ["command", "median", "shortest"],
        rows,
    )


def requirements(results: Results) -> list[Requirement]:
    """Return what must hold."""
    limits = [(FIRST, size, limit) for size, limit in FIRST_LIMITS.items()]
    limits += [(AGAIN, size, limit) for size, limit in AGAIN_LIMITS.items()]
    return [
        *(
            Requirement(
                f"{size} databases, {run}: faster than the shell loop",
                results.ratio(cell(SHELL, size, run), cell(OURS, size, run)),
                limit,
                at_least=True,
            )
            for run, size, limit in limits
        ),
        Requirement(
            "all apps in one database, to migrate",
            min(samples(results, OURS)) / min(samples(results, STOCK)),
            ONE_LIMIT,
        ),
    ]


def samples(results: Results, rival: str) -> list[float]:
    """Return the seconds of a rival with one database."""
    name = initialising.cell(rival, 1, FIRST)
    return [sample for run in results.runs[name] for sample in run]
