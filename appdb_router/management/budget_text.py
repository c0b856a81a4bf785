"""A connection budget as text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..services.budget import Budget, Limit, ServerBudget
from ..services.initialising import count
from ..terminal import Terminal

# In the order of the fields of a Demand.
_DEMANDS = ("Database", "Per process", "Async", "All processes", "Async")
_LIMITS = ("Limit", "Maximum", "May open", "Share", "With async", "Share", "Verdict")
# No table is as wide, so that none is wrapped.
_WIDTH = 10_000


def write_budget(terminal: Terminal, budget: Budget) -> None:
    """Write what may be opened to each server of ``budget``, and what is allowed there."""
    workers = count(range(budget.workers), "worker")
    threads = count(range(budget.threads), "thread")
    terminal.write(f"\n📊 Connections of {workers} with {threads} each:")
    for server in budget.servers:
        terminal.write(f"\n🔹 {', '.join(server.addresses)}")
        for line in _lines(server):
            terminal.write(f"   {line}".rstrip())
    for alias, reason in budget.not_counted.items():
        terminal.write(f"\n🔹 {alias}: not counted, {reason}")


def _lines(server: ServerBudget) -> Iterator[str]:
    yield from _table(_DEMANDS, _demand_rows(server))
    if server.limits:
        yield ""
        yield from _table(_LIMITS, map(_limit_row, server.limits))
    for alias, error in server.errors.items():
        yield f"{alias} could not be asked: {error}"
    if server.is_pooler:
        yield "A pooler answers here. Its own limits count; these are of the server behind it."
    if server.open_now is not None:
        yield f"Open now: {server.open_now}"


def _demand_rows(server: ServerBudget) -> list[Sequence[Any]]:
    rows: list[Sequence[Any]] = [astuple(demand) for demand in server.demands]
    if len(rows) > 1:
        columns = list(zip(*rows, strict=True))[1:]
        rows.append(("together", *map(sum, columns)))
    return rows


def _limit_row(limit: Limit) -> Sequence[object]:
    verdict = str(limit.verdict)
    if limit.verdict_with_async is not limit.verdict:
        verdict += f", {limit.verdict_with_async} with async"
    return (
        *(limit, limit.maximum),
        *(limit.connections, _percent(limit.connections, limit.maximum)),
        *(limit.with_async, _percent(limit.with_async, limit.maximum)),
        verdict,
    )


def _percent(number: int, maximum: int) -> str:
    # Rounded up, so that what is above half shows more than 50.
    return f"{-(-100 * number // maximum)}%"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; all but its first and a last column of words are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in header:
        is_text = name in (header[0], "Verdict")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        # As a string, brackets and colons in a name would be read as markup.
        table.add_row(*(Text(str(cell)) for cell in row))
    text = StringIO()
    Console(file=text, width=_WIDTH, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
