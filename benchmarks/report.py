"""The tables, for a terminal or for docs/benchmarks.md, and what they must show."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from . import building, queries, relations, requests, routing
from .timing import Results

PACKAGES = ("Django", "dj-database-url", "django-multidb-router", "psycopg")

# Times the smallest correct router; and a thousand apps to ten.
ROUTER_LIMIT = 1.05
FLAT_LIMIT = 1.1
# Microseconds an app, on a machine that parses a URL in so many; a slower one may take longer.
BUILDER_LIMIT = 100
PARSE_TIME = 12
# A thousand apps to a hundred, per app.
LINEAR_LIMIT = 1.25
# Three databases are open with 100, and one with one.
REQUEST_LIMIT = 1.3
# Times the plain way to the same query.
QUERY_LIMIT = 1.1
# Times the same query without the hooks for relations.
RELATION_LIMIT = 1.02


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Requirement:
    """A figure that must not exceed a limit, or not fall below it if it is ``at_least`` that."""

    name: str
    value: float
    limit: float
    unit: str = "times"
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure, as printed, is within the limit."""
        value = round(self.value, 2)
        return value >= self.limit if self.at_least else value <= self.limit

    def cells(self) -> list[str]:
        """Return the row of the table of requirements."""
        figures = [f"{number:.2f} {self.unit}" for number in (self.value, self.limit)]
        return [self.name, *figures, "yes" if self.is_met else "NO"]


def tables(results: Results) -> list[Table]:
    """Return every table, the requirements last."""
    return [
        methods_table(results),
        turn_table(results),
        builder_table(results),
        requests_table(results),
        queries_table(results),
        relations_table(results),
        requirements_table(requirements(results)),
    ]


def methods_table(results: Results) -> Table:
    """Return the cost of the router's methods."""
    # Of the clock on the wall, so undisturbed at its shortest; the share is then at most this.
    query = results.shortest(routing.QUERY)
    rows = [
        [
            name,
            *(nanoseconds(results, routing.cell(name, method)) for method in routing.METHODS),
            f"{results.median(routing.cell(name, 'db_for_read')) / query:.3%}",
        ]
        for name in routing.ROWS
    ]
    return Table(
        "Routing: ns per call, median and median absolute deviation. Share: db_for_read of a"
        f" get(pk) on PostgreSQL, which takes at least {query * 1e6:.0f} µs.",
        ["router", *routing.METHODS, "share"],
        rows,
    )


def turn_table(results: Results) -> Table:
    """Return the cost of asking for each app in turn."""
    routers = (routing.DICT, routing.OURS)
    rows = [
        [str(size), *(nanoseconds(results, turn(router, size)) for router in routers)]
        for size in routing.SIZES
    ]
    return Table(
        "Routing: ns per db_for_read, every app in turn. A thousand models strain the"
        " processor's caches, whichever router asks them.",
        ["apps", *routers],
        rows,
    )


def builder_table(results: Results) -> Table:
    """Return the cost of building the settings."""
    states = (building.COLD, building.WARM)
    rows = [
        [
            variant,
            *(
                microseconds(results, building.cell(variant, size, state))
                for size in routing.SIZES
                for state in states
            ),
            f"{results.median(building.cell(variant, 1000, building.IMPORT)) * 1e3:.0f}",
        ]
        for variant in building.VARIANTS
    ]
    header = [f"{size} apps, {state}" for size in routing.SIZES for state in states]
    return Table(
        "Building the settings: µs per app, median and median absolute deviation. Cold: the first"
        " call of a fresh process. Import: ms, once.",
        ["each app has", *header, "import"],
        rows,
    )


def requests_table(results: Results) -> Table:
    """Return the cost of an empty request."""
    rows = [
        [
            str(size),
            *(microseconds(results, requests.cell(name, size)) for name in requests.VARIANTS),
        ]
        for size in requests.SIZES
    ]
    return Table(
        "Requests: µs per empty view, median and median absolute deviation."
        f" {requests.OPENED} databases are open, of one the one.",
        ["databases", *requests.VARIANTS],
        rows,
    )


def queries_table(results: Results) -> Table:
    """Return the cost of sessions and repositories beside that of what they use."""
    rows = []
    for row, ways in queries.ROWS.items():
        plain, ours = (queries.cell(row, name) for name in (queries.PLAIN, queries.OURS))
        low, high = results.ratio_range(ours, plain)
        times = f"{results.ratio(ours, plain):.2f} ({low:.2f} to {high:.2f})"
        costs = (microseconds(results, name) for name in (plain, ours))
        rows.append([f"{row}: {', '.join(ways)}", *costs, times])
    return Table(
        "Queries on PostgreSQL: µs of the client per query, median and median absolute deviation."
        " Times: round by round, and the middle half of the processes.",
        ["query: plain way, ours", queries.PLAIN, queries.OURS, "times"],
        rows,
    )


def relations_table(results: Results) -> Table:
    """Return the cost of the hooks for queries that cross nothing."""
    rows = []
    for row in relations.ROWS:
        stock, ours = (relations.cell(row, name) for name in (relations.STOCK, relations.OURS))
        low, high = results.ratio_range(ours, stock)
        times = f"{results.ratio(ours, stock):.3f} ({low:.3f} to {high:.3f})"
        rows.append([row, *(microseconds(results, name) for name in (stock, ours)), times])
    return Table(
        "Queries that cross nothing, on PostgreSQL: µs of the client per query, median and median"
        " absolute deviation. Times: round by round, and the middle half of the processes.",
        ["query", relations.STOCK, relations.OURS, "times"],
        rows,
    )


def requirements_table(items: Sequence[Requirement]) -> Table:
    """Return what must hold, and whether it does."""
    return Table(
        "Requirements: ratios of samples taken side by side.",
        ["requirement", "measured", "limit", "met"],
        [item.cells() for item in items],
    )


def requirements(results: Results) -> list[Requirement]:
    """Return what must hold."""
    return [
        *(ratio_to_smallest(results, method) for method in routing.METHODS),
        *(flatness(results, method) for method in routing.METHODS),
        *(
            Requirement(
                f"db_for_read of {size} apps in turn, to the smallest correct",
                results.ratio(turn(routing.OURS, size), turn(routing.DICT, size)),
                ROUTER_LIMIT,
            )
            for size in routing.SIZES
        ),
        *(builder_time(results, size) for size in routing.SIZES),
        linearity(results),
        request_flatness(results),
        *(query_ratio(results, row) for row in queries.ROWS),
        *(relation_ratio(results, row) for row in relations.ROWS),
    ]


def relation_ratio(results: Results, row: str) -> Requirement:
    """Compare a query that crosses nothing with Django's own."""
    stock, ours = (relations.cell(row, name) for name in (relations.STOCK, relations.OURS))
    return Requirement(f"{row} that crosses nothing", results.ratio(ours, stock), RELATION_LIMIT)


def ratio_to_smallest(results: Results, method: str) -> Requirement:
    """Compare a method with that of the smallest correct router, at the largest size."""
    ours, smallest = (routing.row(name, 1000) for name in (routing.OURS, routing.DICT))
    ratio = results.ratio(routing.cell(ours, method), routing.cell(smallest, method))
    return Requirement(f"{method}, to the smallest correct", ratio, ROUTER_LIMIT)


def flatness(results: Results, method: str) -> Requirement:
    """Compare a method at the largest and the smallest size."""
    large, small = (routing.cell(routing.row(routing.OURS, size), method) for size in (1000, 10))
    return Requirement(f"{method}, 1000 apps to 10", results.ratio(large, small), FLAT_LIMIT)


def builder_time(results: Results, size: int) -> Requirement:
    """Hold the builder's time against the limit for a machine as fast as this one is now."""
    parse = results.median(building.cell(building.BY_HAND, size, building.WARM)) * 1e6
    name = building.cell(building.VARIABLES, size, building.WARM)
    slowness = max(1.0, parse / PARSE_TIME)
    return Requirement(
        f"build_databases, {size} apps, warm, per app",
        results.median(name) * 1e6,
        round(BUILDER_LIMIT * slowness, 2),
        "µs",
    )


def linearity(results: Results) -> Requirement:
    """Compare the builder's time per app at the two larger sizes; the smallest has fixed costs."""
    large, small = (building.cell(building.VARIABLES, size, building.WARM) for size in (1000, 100))
    return Requirement(
        "build_databases, 1000 apps to 100, per app", results.ratio(large, small), LINEAR_LIMIT
    )


def request_flatness(results: Results) -> Requirement:
    """Compare an empty view with 100 databases with that of Django alone with one."""
    ours, alone = requests.cell(requests.OURS, 100), requests.cell(requests.STOCK, 1)
    return Requirement(
        "empty view with 100 databases, to Django's with one",
        results.ratio(ours, alone),
        REQUEST_LIMIT,
    )


def query_ratio(results: Results, row: str) -> Requirement:
    """Compare a session or a repository with the plain way to the same query."""
    ratio = results.ratio(queries.cell(row, queries.OURS), queries.cell(row, queries.PLAIN))
    return Requirement(f"{row}, to the plain way", ratio, QUERY_LIMIT)


def turn(router: str, size: int) -> str:
    """Return the name of the case that asks for every app in turn."""
    return routing.cell(routing.row(router, size), routing.IN_TURN)


def nanoseconds(results: Results, name: str) -> str:
    """Return median and spread of a case in ns."""
    return f"{results.median(name) * 1e9:,.0f} {spread(results, name)}"


def microseconds(results: Results, name: str) -> str:
    """Return median and spread of a case in µs."""
    return f"{results.median(name) * 1e6:.0f} {spread(results, name)}"


def spread(results: Results, name: str) -> str:
    """Return the spread of a case, as a share of its median."""
    return f"±{results.spread(name) / results.median(name):.0%}"


def conditions(packages: Sequence[str]) -> str:
    """Return the date and the versions, and nothing that tells the machine."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {version(package)}" for package in packages]
    return f"{datetime.now(UTC):%Y-%m-%d}, {', '.join(versions)}"


def as_markdown(items: Sequence[Table], packages: Sequence[str] = PACKAGES) -> str:
    """Return the tables as Markdown."""
    parts = [f"Measured {conditions(packages)}."]
    for table in items:
        lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.rows]
        parts += [table.title, "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def show(items: Sequence[Table], packages: Sequence[str] = PACKAGES) -> None:
    """Print the tables to the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(conditions(packages), style="bold", highlight=False)
    for table in items:
        drawn = RichTable(
            title=table.title, title_justify="left", title_style="", box=box.SIMPLE_HEAD
        )
        for index, name in enumerate(table.header):
            drawn.add_column(
                name, justify="right" if index else "left", min_width=0 if index else 26
            )
        for line in table.rows:
            drawn.add_row(*line, style="red" if line[-1] == "NO" else None)
        console.print()
        console.print(drawn)
