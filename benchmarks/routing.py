"""Times the routers in one process: `python -m benchmarks.routing FOLDER URL ROUNDS`."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dj_database_url
import django
import pyperf
from django.conf import settings
from django.db import connections, models
from django.db.utils import ConnectionRouter

from appdb_router import build_databases

from . import generated
from .timing import Case, interleave

SIZES = (10, 100, 1000)
NO_ROUTER = "no router"
DOCUMENTATION = "documentation"
REPLICA = "multidb ReplicaRouter"
PINNING = "multidb Pinning…"
DICT = "smallest correct"
OURS = "appdb_router"
QUERY = "get(pk)"

# Through Django's own dispatch, and as Django calls it: `save()` hints the instance, assigning to
# a foreign key gives the value and then the instance, `migrate` the model.
METHODS = {
    "db_for_read": "router.db_for_read(model)",
    "db_for_write": "router.db_for_write(model, instance=item)",
    "allow_relation": "router.allow_relation(sibling, item)",
    "allow_relation across": "router.allow_relation(stranger, item)",
    "allow_migrate": "router.allow_migrate_model(alias, model)",
    "allow_migrate by label": "router.allow_migrate(alias, label)",
}


def row(router: str, size: int | None = None) -> str:
    """Return the name of a router that serves ``size`` apps."""
    return router if size is None else f"{router}, {size} {'app' if size == 1 else 'apps'}"


def cell(router: str, method: str) -> str:
    """Return the name of the case that times a method of a router."""
    return f"{router}: {method}"


ROWS = (
    NO_ROUTER,
    *(row(DOCUMENTATION, size) for size in (1, 6, 1000)),
    REPLICA,
    PINNING,
    *(row(DICT, size) for size in SIZES),
    *(row(OURS, size) for size in SIZES),
)
IN_TURN = "db_for_read, every app in turn"


def main() -> None:
    """Print the samples of every case as JSON."""
    folder, url, rounds = sys.argv[1:]
    database = {**dj_database_url.parse(url), "TEST": {}}
    settings.configure(
        DATABASES={"default": database, "replica": {**database, "TEST": {}}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        REPLICA_DATABASES=["replica"],
    )
    django.setup()
    items = [item_model(label) for label in generated.labels(max(SIZES))]
    cases = [*method_cases(items, Path(folder)), query_case(items[0])]
    print(json.dumps(interleave(cases, int(rounds))))


def item_model(label: str) -> type[models.Model]:
    """Return a model of an app: ordinary fields, and relations within the app and out of it."""
    outwards: dict[str, Any] = {"on_delete": models.CASCADE, "db_constraint": False}
    body = {
        "__module__": __name__,
        "Meta": type("Meta", (), {"app_label": label}),
        "name": models.CharField(max_length=100),
        "description": models.TextField(),
        "price": models.DecimalField(max_digits=10, decimal_places=2),
        "is_active": models.BooleanField(default=True),
        "created_at": models.DateTimeField(auto_now_add=True),
        "parent": models.ForeignKey("self", models.CASCADE, null=True),
        "owner": models.ForeignKey("app0000.Item", related_name="+", null=True, **outwards),
    }
    return type("Item", (models.Model,), body)


def method_cases(items: list[type[models.Model]], folder: Path) -> Iterable[Case]:
    """Return the cases of all routers; the app that is asked for is the last one."""
    routers = make_routers(folder)
    for name, (members, size) in routers.items():
        names = arguments(ConnectionRouter(members), items[0], items[size - 1])
        for method, statement in METHODS.items():
            yield Case(cell(name, method), statement, names)
    for size in SIZES:
        for name in (row(DICT, size), row(OURS, size)):
            names = {"router": ConnectionRouter(routers[name][0]), "models": items[:size]}
            statement = f"for model in models: {METHODS['db_for_read']}"
            yield Case(cell(name, IN_TURN), statement, names, size)
        check_agreement(routers[row(DICT, size)][0], routers[row(OURS, size)][0], items[:size])


def make_routers(folder: Path) -> dict[str, tuple[list[Any], int]]:
    """Return by name the list of routers to install, and the number of apps they serve."""
    # Models need the settings, so whatever imports them comes after these.
    from multidb import PinningReplicaRouter, ReplicaRouter

    from appdb_router.routers import AppDatabaseRouter
    from appdb_router.topology import Topology

    from .rivals import DictRouter, DocumentationRouter

    routers: dict[str, tuple[list[Any], int]] = {
        NO_ROUTER: ([], 10),
        REPLICA: ([ReplicaRouter()], 10),
        PINNING: ([PinningReplicaRouter()], 10),
    }
    for size in (1, 6, 1000):
        members = [DocumentationRouter(label) for label in generated.labels(size)]
        routers[row(DOCUMENTATION, size)] = members, size
    sys.path.insert(0, str(folder))
    for size in SIZES:
        databases = build_databases(
            generated.entries(size),
            base_dir=folder,
            default=generated.DEFAULT_URL,
            env=generated.variables(size),
        )
        metadata = {alias: entry["APPDB_ROUTER"] for alias, entry in databases.items()}
        topology = Topology.from_metadata(metadata)
        routers[row(OURS, size)] = [AppDatabaseRouter(topology)], size
        # Dictionaries of its own: whose lies better in memory is chance, to be drawn anew.
        dictionaries = dict(topology.routes), dict(topology.canonical_aliases)
        routers[row(DICT, size)] = [DictRouter(*dictionaries)], size
    return routers


def arguments(
    router: ConnectionRouter, first: type[models.Model], model: type[models.Model]
) -> dict[str, Any]:
    """Return the names in the statements of ``METHODS``."""
    label = model._meta.app_label
    item, sibling, stranger = model(), model(), first()
    item._state.db = sibling._state.db = label
    stranger._state.db = "default" if first is model else first._meta.app_label
    return {
        "router": router,
        "model": model,
        "label": label,
        "alias": label,
        "item": item,
        "sibling": sibling,
        "stranger": stranger,
    }


def check_agreement(smallest: list[Any], ours: list[Any], items: list[type[models.Model]]) -> None:
    """Raise if the two routers answer differently: then comparing their speed means nothing."""
    for model in items:
        for method, statement in METHODS.items():
            answers = [
                # Of the constants above.
                eval(statement, arguments(ConnectionRouter(router), items[0], model))  # noqa: S307
                for router in (smallest, ours)
            ]
            if answers[0] != answers[1]:
                raise RuntimeError(f"{method} of {model._meta.label}: {answers}")


def query_case(model: type[models.Model]) -> Case:
    """Return the case that reads one row, in a table of this connection alone."""
    pk = insert_item(model, "default")
    names = {"get": model._default_manager.get, "pk": pk}
    # By the clock on the wall: the server's work and the way to it count too.
    return Case(QUERY, "get(pk=pk)", names, timer=pyperf.perf_counter)


def insert_item(model: type[models.Model], alias: str) -> Any:
    """Make a model's table for this connection alone, with one row, and return its key."""
    with connections[alias].schema_editor() as editor:
        # A temporary table goes with the connection, and none is left behind by a broken run.
        editor.sql_create_table = editor.sql_create_table.replace("CREATE", "CREATE TEMPORARY", 1)
        editor.create_model(model)
    return model._default_manager.create(name="Trip", price=1).pk


if __name__ == "__main__":
    main()
