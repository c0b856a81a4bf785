"""Times queries that cross nothing, with the hooks and without: `… relations FOLDER URL ROUNDS`.

Both are timed in one process, on the same connection and rows. The time is the processor's of this
process; that of the server is not in it.
"""

import inspect
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from .queries import configure
from .timing import Case, interleave

STOCK, OURS = "Django alone", "appdb_router"
GET, LIST, RELATED, DELETE = "get(pk)", "list of 1000", "select_related", "create and delete()"
ROWS = (GET, LIST, RELATED, DELETE)
# Enough to make the exchange of the functions cheap beside them.
CALLS = {GET: 10, LIST: 1, RELATED: 1, DELETE: 5}
ROW_COUNT = 1000


def cell(row: str, variant: str) -> str:
    """Return the name of the case that times a row."""
    return f"{variant}: {row}"


def main() -> None:
    """Print the samples of every case as JSON."""
    folder, url, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    label = configure(folder, url, 0)
    exchange = Exchange()
    cases = [
        Case(
            cell(row, variant),
            "run()",
            {"run": partial(repeated, partial(exchange.put, variant), query, CALLS[row])},
            CALLS[row],
        )
        for row, query in queries(label).items()
        for variant in (STOCK, OURS)
    ]
    print(json.dumps(interleave(cases, rounds)))


class Exchange:
    """Puts Django's functions, or those of the hooks, in their places."""

    def __init__(self) -> None:
        from appdb_router.relations.hooks import hooks

        self._places: list[tuple[Any, str, dict[str, Any]]] = []
        for hook in hooks():
            owner = hook.find_owner()
            ours = inspect.getattr_static(owner, hook.name)
            functions = {STOCK: inspect.unwrap(ours), OURS: ours}
            self._places.append((owner, hook.name, functions))

    def put(self, variant: str) -> None:
        """Put the functions of ``variant`` in place."""
        for owner, name, functions in self._places:
            setattr(owner, name, functions[variant])


def repeated(put: Callable[[], None], query: Callable[[], object], calls: int) -> None:
    """Run a query ``calls`` times with the functions that ``put`` puts in place."""
    put()
    for _ in range(calls):
        query()


def queries(label: str) -> dict[str, Callable[[], object]]:
    """Return what is timed, on a table of this connection alone."""
    # Models need the settings, so whatever imports them comes after these.
    from .routing import insert_item, item_model

    model = item_model(label)
    manager = model._default_manager
    first = insert_item(model, label)
    rows = [model(name="Trip", price=1, parent_id=first) for _ in range(ROW_COUNT - 1)]
    manager.bulk_create(rows)
    return {
        GET: partial(manager.get, pk=first),
        LIST: lambda: list(manager.all()),
        RELATED: lambda: list(manager.select_related("parent")[:100]),
        DELETE: lambda: manager.create(name="Trip", price=1).delete(),
    }


if __name__ == "__main__":
    main()
