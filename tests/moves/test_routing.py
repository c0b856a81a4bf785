"""Looking at the state of a move: who pays for it, from where, and who notices a flip."""

from __future__ import annotations

import threading

from tests.moves.test_flips import PRELUDE
from tests.support.facts import ask
from tests.support.moving import Moving
from tests.support.project import Project

QUERIES = """
import logging

from django.conf import settings
from django.db import reset_queries, router
from django.db.models.signals import pre_save
from django.test.utils import CaptureQueriesContext
from psycopg import Connection, ClientCursor


def sent(work):
    "Every statement that reaches the driver, of whomever."
    found = []
    execute = ClientCursor.execute

    def noted(self, query, *args, **kwargs):
        found.append(str(query))
        return execute(self, query, *args, **kwargs)

    ClientCursor.execute = noted
    try:
        work()
    finally:
        ClientCursor.execute = execute
    return sum("appdb_router_move" in query for query in found), len(found)


def seen(work):
    "What Django knows of."
    with CaptureQueriesContext(connections["default"]) as captured:
        work()
    return len(captured)


def in_a_transaction():
    with transaction.atomic(using=alias_for("trips")):
        Trip.objects.count()
        Trip.objects.count()
        Trip.objects.create(title="x")


def error(work):
    try:
        work()
    except Exception as found:
        return type(found).__name__


Trip.objects.count()
begin()
Trip.objects.count()
fact("staying")(lambda: sent(lambda: Customer.objects.create(name="x")))
fact("read")(lambda: [sent(lambda: Trip.objects.count()), seen(lambda: Trip.objects.count())])
fact("transaction")(lambda: sent(in_a_transaction)[0])
fact("transaction seen")(lambda: seen(in_a_transaction))
fact("joined")(lambda: sent(lambda: list(Customer.objects.filter(trip__title="x")))[0])
fact("flipped")(lambda: [flip(), error(lambda: list(Customer.objects.filter(trip__title="x")))])
fact("selected")(lambda: len(Trip.objects.select_related("customer")))

"""

ASYNC = """
import asyncio
import time
from contextlib import AsyncExitStack

from asgiref.sync import sync_to_async
from appdb_router.sessions import aclose_all, get_app_session


async def titles_in_session():
    async with get_app_session("trips") as connection:
        cursor = await connection.execute("SELECT title FROM trips_trip ORDER BY title")
        return [connection.info.dbname, [row[0] for row in await cursor.fetchall()]]


async def everything():
    try:
        return [
            alias_for("trips"), await sync_to_async(alias_for)("trips"),
            (await Trip.objects.acreate(title=f"{alias_for(Trip)}"))._state.db,
            await titles_in_session(),
            [item.title async for item in Trip.objects.order_by("title").aiterator()],
        ]
    finally:
        await aclose_all()


async def entering():
    # The flip comes while the session waits for one of the pool's four connections.
    session = get_app_session("trips")
    try:
        async with AsyncExitStack() as others:
            for _ in range(4):
                await others.enter_async_context(get_app_session("trips"))
            entered = asyncio.create_task(session.__aenter__())
            await asyncio.sleep(0.3)
            await sync_to_async(flip)()
        connection = await entered
        name = connection.info.dbname
        await session.__aexit__(None, None, None)
        return name
    finally:
        await aclose_all()


begin()
fact("before")(lambda: asyncio.run(everything()))
flip()
fact("after")(lambda: asyncio.run(everything()))
fact("entering")(lambda: asyncio.run(entering()))
"""


def test_only_apps_in_a_move_pay(on_postgres: Moving) -> None:
    facts = ask(on_postgres.project, PRELUDE + QUERIES)

    assert facts == {
        "staying": [0, 1],
        "read": [[1, 2], 1],
        # For the alias, for the block that is made with it, and inside. Django counts BEGIN, too.
        "transaction": 3,
        "transaction seen": 5,
        "joined": 1,
        "flipped": [None, "CrossingQueryError"],
        "selected": 2,
    }


LOOKING = """
from django.contrib.contenttypes.models import ContentType
from appdb_router.moves.gate import look_up, look_up_all, seen_flips


def known():
    return [seen_flips(MOVE), get_topology().routes["trips"]]


def behind_others():
    # A snapshot of before the flip, which others in this process have seen.
    with transaction.atomic(using="default"):
        execute("default", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
        flip()
        elsewhere(look_up, MOVE)
        return [look_up(MOVE).flips, known()]


def idle_for_long():
    connection = connections["default"]
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    elsewhere(execute, "default", f"SELECT pg_terminate_backend({pid}, 5000)")
    return [alias_for("trips"), connection.connection.info.backend_pid != pid]


def with_other_hooks():
    called = []
    with transaction.atomic(using=alias_for("trips")):
        transaction.on_commit(lambda: called.append(True), using="trips")
        trip("x")
        trip("y")
    return called


@transaction.atomic(using="default")
def staying(name):
    return Customer.objects.create(name=name)._state.db


begin()
fact("behind")(behind_others)
fact("others")(lambda: [flip(), look_up_all(["shop"]), known(), look_up_all(["trips"]), known()])
flip()
fact("idle")(idle_for_long)
fact("hooks")(with_other_hooks)
fact("decorated")(lambda: [staying("x"), staying("y")])
kind = ContentType.objects.get_for_model(Trip)
fact("required")(lambda: [kind.note_set.count(), hasattr(kind.note_set, "clear")])
"""


def test_what_is_looked_at(on_postgres: Moving) -> None:
    facts = ask(on_postgres.project, PRELUDE + LOOKING)

    assert facts == {
        "behind": [0, [1, "trips"]],
        "others": [None, None, [1, "trips"], None, [2, "default"]],
        "idle": ["trips", True],
        "hooks": [True],
        "decorated": ["default", "default"],
        "required": [0, False],
    }


def test_asynchronous_code(on_postgres: Moving) -> None:
    facts = ask(on_postgres.project, PRELUDE + ASYNC)

    names = on_postgres.names
    assert facts == {
        "before": ["default"] * 3 + [[names["default"], ["default"]], ["default"]],
        "after": ["trips"] * 3 + [[names["trips"], ["default", "trips"]], ["default", "trips"]],
        # Back in the database that it came from.
        "entering": names["default"],
    }


def test_without_a_move_nothing_is_there(project: Project) -> None:
    facts = ask(
        project,
        """
        import sys
        from django.db import router
        from django.db.models import Model, QuerySet
        from django.db.transaction import Atomic
        from appdb_router.topology import get_topology
        from django.contrib.auth.models import User

        def alias_of():
            function = router.routers[0].db_for_read
            cells = dict(zip(function.__code__.co_freevars, function.__closure__, strict=True))
            return cells["alias_of"].cell_contents

        router.db_for_read(User)
        fact("route")(lambda: alias_of() == get_topology().routes.get)
        fact("hooks")(lambda: [
            hasattr(item, "appdb_router_hooks")
            for item in (Model.save, QuerySet.create, QuerySet.using, Atomic.__init__)
        ])
        fact("imported")(lambda: "appdb_router.moves.hooks" in sys.modules)
        """,
    )

    assert facts == {"route": True, "hooks": [False] * 4, "imported": False}


WRITER = """
import sys
import time

done, lost, stale = [], [], []
deadline = time.monotonic() + float({seconds})
print("ready", flush=True)
number = 0
last = 0
while time.monotonic() < deadline:
    number += 1
    try:
        trip(f"{name} {{number:06d}}")
        done.append(number)
    except Exception as error:
        lost.append(f"{{type(error).__name__}}: {{error}}")
    if Trip.objects.filter(title__startswith="{name}").count() != len(done):
        stale.append(number)
fact("done")(lambda: len(done))
fact("lost")(lambda: lost)
fact("stale")(lambda: stale)
fact("homes")(lambda: home())
"""


def test_processes_notice_flips(on_postgres: Moving) -> None:
    """Two processes write and read all the time: one begins before the move, one behind a flip."""
    project = on_postgres.project
    results: dict[str, dict[str, object]] = {}

    def run(name: str, seconds: int) -> threading.Thread:
        code = PRELUDE + WRITER.format(name=name, seconds=seconds)
        work = lambda: results.update({name: ask(project, code, timeout=120)})  # noqa: E731
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    early = run("early", 12)
    ask(project, PRELUDE + "import time\nbegin()\ntime.sleep(1)\nflip()\n")
    late = run("late", 6)
    ask(
        project,
        PRELUDE + "import time\nfor _ in range(4):\n    time.sleep(0.7)\n    flip()\n",
        timeout=120,
    )
    early.join()
    late.join()

    found = ask(project, PRELUDE + 'fact("titles")(lambda: [home(), titles(home())])')
    alias, titles = found["titles"]
    assert alias == "trips"
    for name in ("early", "late"):
        assert results[name]["lost"] == []
        assert results[name]["stale"] == []
        assert results[name]["done"] == sum(title.startswith(name) for title in titles)
    assert len(titles) == len(set(titles))
