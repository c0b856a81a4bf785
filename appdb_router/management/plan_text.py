"""A plan as text."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from ..services.initialising import count
from ..services.planning import Part, Plan
from ..services.reaching import Reach, Statement
from ..services.splitting import Crossing
from ..services.weighing import Precision, TableSize, Weight
from ..terminal import Terminal
from .budget_text import write_budget
from .sizes import bytes_text

# Of raw SQL that is not told in full; JSON has all.
_SHOWN = 10


def write_plan(terminal: Terminal, plan: Plan) -> None:
    """Write ``plan``: a summary, each database, what is tied, and the connections."""
    if not plan.parts:
        terminal.write("No app of the project is on the default database.")
        return
    terminal.write(f"📊 {_summary(plan)}")
    inside: set[str] = set()
    for part in plan.parts:
        names = f" ({', '.join(part.labels)})" if len(part.labels) > 1 else ""
        _write_block(terminal, part.alias + names, [*_tables(part), *_findings(plan, part.labels)])
        inside.update(part.labels)
    if staying := list(_findings(plan, plan.routes.keys() - inside)):
        _write_block(terminal, "apps that stay where they are", staying)
    if crossing := list(_consequences(plan)):
        _write_block(terminal, "what relations to other databases lose", crossing)
    if plan.ties:
        _write_block(terminal, "apps that should go together", _ties(plan))
    if unread := list(_unread(plan)):
        _write_block(terminal, "not read: look for yourself", unread)
    write_budget(terminal, plan.budget)


def _write_block(terminal: Terminal, title: str, lines: Iterable[str]) -> None:
    terminal.write(f"\n🔹 {title}")
    for line in lines:
        terminal.write(f"   {line}")


def _summary(plan: Plan) -> str:
    new = [part for part in plan.parts if not part.is_there]
    options = [text for texts in plan.admin_options.values() for text in texts]
    impossible = [item for item in plan.crossings if item.obstacle]
    found = [
        count(plan.crossings, "crossing relation"),
        f"{len(impossible) + len(options)} that cannot work",
        f"{count(plan.statements, 'place')} with raw SQL",
        f"{count(plan.ties, 'pair')} of tied apps",
    ]
    return f"{count(new, 'new database')}: {', '.join(found)}; to move: {_sum(new)}."


def _sum(parts: list[Part]) -> str:
    weights = [part.weight for part in parts]
    tables = [table for weight in weights for table in weight.tables]
    known = _weight(Weight(tuple(tables)))
    return known + " and what could not be asked" * any(weight.error for weight in weights)


def _tables(part: Part) -> Iterator[str]:
    if part.is_there:
        yield "Has this database already."
    elif part.weight.error:
        yield f"Rows and bytes are not known, {part.source!r} was not read: {part.weight.error}"
    else:
        yield f"To move from {part.source!r}: {_weight(part.weight)}"
        yield from (f"  {table.table}: {_size(table)}" for table in part.weight.tables)
        yield from (f"  {name}: is not there" for name in part.weight.missing)


def _weight(weight: Weight) -> str:
    about = "" if weight.is_exact else "about "
    rows = count(range(weight.rows), "row")
    return f"{count(weight.tables, 'table')}, {about}{rows}, {bytes_text(weight.bytes)}"


def _size(table: TableSize) -> str:
    if table.rows is None:
        return f"rows cannot be counted, {bytes_text(table.bytes)}"
    words = {Precision.COUNTED: "", Precision.ESTIMATED: "about ", Precision.AT_LEAST: "at least "}
    rows = count(range(table.rows), "row")
    return f"{words[table.precision]}{rows}, {bytes_text(table.bytes)}"


def _findings(plan: Plan, labels: Collection[str]) -> Iterator[str]:
    crossings = [item for item in plan.crossings if item.label in labels]
    working = [_relation(plan, item) for item in crossings if not item.obstacle]
    impossible = [_relation(plan, item) for item in crossings if item.obstacle]
    sql = [_statement(item) for item in plan.statements if item.label in labels]
    migrations = [_reach(plan, item) for item in plan.reaches if item.label in labels]
    yield from _section("Relations to other databases", working)
    yield from _section("Relations that cannot work", impossible)
    yield from _section("Generic foreign keys", _texts(plan.generic_foreign_keys, labels))
    yield from _section("Admin options that cannot work", _texts(plan.admin_options, labels))
    yield from _section("Raw SQL", sql)
    yield from _section("Migrations", migrations)


def _section(title: str, lines: Collection[str]) -> Iterator[str]:
    if lines:
        yield f"{title} ({len(lines)}):"
        yield from (f"  {line}" for line in lines)


def _texts(found: Mapping[str, list[str]], labels: Collection[str]) -> list[str]:
    return [text for label, texts in found.items() if label in labels for text in texts]


def _relation(plan: Plan, item: Crossing) -> str:
    place = plan.routes[item.target_label]
    text = f"{item.name} to {item.target} in {place!r}: "
    return text + (item.obstacle or item.kind + ("" if item.is_new else ", crosses already"))


def _statement(item: Statement) -> str:
    names = ", ".join(f"{table} ({home!r})" for table, (_, home) in item.tables.items())
    return f"{item.path}:{item.line}: {item.kind}, sent to {item.alias!r}, names {names}"


def _reach(plan: Plan, item: Reach) -> str:
    place = f"{item.asks_for} in {plan.routes[item.target]!r}"
    if item.is_dependency:
        return f"{item.migration} depends on {place}"
    return f"{item.path}:{item.line}: {item.migration} asks for the model {place}"


def _consequences(plan: Plan) -> Iterator[str]:
    found = {
        item.kind: f"{item.kind}: {item.lost}. Instead: {item.instead}."
        for item in plan.crossings
        if not item.obstacle
    }
    yield from (found[kind] for kind in sorted(found))


def _ties(plan: Plan) -> Iterator[str]:
    for tie in plan.ties:
        yield f"{' and '.join(tie.labels)}:"
        yield from (f"  {reason}" for reason in tie.reasons)
    groups = ", ".join(
        f'"{leader}": [{", ".join(f"{chr(34)}{label}{chr(34)}" for label in labels)}]'
        for leader, labels in plan.together.items()
    )
    yield f"In the call of build_databases(): together={{{groups}}},"


def _unread(plan: Plan) -> Iterator[str]:
    yield from (f"{path}: no Python" for path in plan.unreadable)
    for item in plan.unread[:_SHOWN]:
        yield f"{item.path}:{item.line}: {item.kind}, of SQL that is made elsewhere"
    if len(plan.unread) > _SHOWN:
        yield f"and {len(plan.unread) - _SHOWN} more places, see --format json"
