"""Transactions by app: blocks on several databases, and callbacks, on real servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db.transaction import Atomic

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.trips import trips_project

PRELUDE = """
import asyncio
import logging
import threading

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connections, transaction
from appdb_router.transaction import atomic, on_all_commits, on_commit
from driver.models import Trip
from notes.models import Note


class Stop(Exception):
    pass


def write(name):
    Trip.objects.create(name=name)
    Group.objects.create(name=name)


def written(name):
    return [model.objects.filter(name=name).exists() for model in (Trip, Group)]


def is_open():
    return [alias for alias in sorted(connections) if connections[alias].in_atomic_block]


def outcome(function):
    "What a function raises."
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Log(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())


logged = []
for name in ("appdb_router.transaction", "django.db.backends.base"):
    logging.getLogger(name).addHandler(Log())
    logging.getLogger(name).propagate = False
"""


@pytest.fixture(params=["sqlite", "postgres"])
def trips(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Project:
    return trips_project(project, request, request.param, database_name)


@pytest.fixture
def lite(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Project:
    return trips_project(project, request, "sqlite", database_name)


BLOCKS = """
@fact("commit")
def _():
    with atomic(Trip, "auth", Group(), "contenttypes"):
        write("commit")
        inside = is_open(), [len(connections[alias].atomic_blocks) for alias in sorted(connections)]
    return *inside, is_open(), written("commit")


@fact("roll_back")
def _():
    with atomic("driver", "auth"):
        write("roll back")
        raise Stop("both")


fact("rolled_back")(lambda: written("roll back"))


@fact("order")
def _():
    committed = []
    with atomic("notes", "driver", "auth"):
        for label in ("auth", "driver", "notes"):
            on_commit(lambda label=label: committed.append(label), label)
    return committed


@fact("commit_fails")
def _():
    "The second commit of two."
    def fail():
        connections["auth"].needs_rollback = True
    with atomic("driver", "auth"):
        write("half")
        on_commit(fail, "driver")
    return written("half")


@atomic("driver", "auth")
def countdown(number):
    "Some text."
    write(f"call {number}")
    blocks = [len(connections["driver"].atomic_blocks)]
    return blocks + (countdown(number - 1) if number else [])


fact("decorator")(lambda: [countdown(2), countdown.__name__, countdown.__doc__, written("call 0")])


@fact("again")
def _():
    block = atomic("driver")
    with block:
        with block:
            inner = len(connections["driver"].atomic_blocks)
        Trip.objects.create(name="again")
    with block:
        return inner, len(connections["driver"].atomic_blocks)


@fact("savepoint")
def _():
    with atomic("driver", "auth"):
        try:
            with atomic("driver", "auth"):
                write("inner")
                raise Stop
        except Stop:
            write("outer")
    return written("inner"), written("outer")


@fact("no_savepoint")
def _():
    with atomic("driver", "auth"):
        try:
            with atomic("driver", savepoint=False):
                raise Stop
        except Stop:
            flags = [connections[alias].needs_rollback for alias in ("driver", "auth")]
            write("no savepoint")


fact("no_savepoint_written")(lambda: written("no savepoint"))


@fact("durable")
def _():
    with atomic("driver"):
        return outcome(atomic("driver", "auth", durable=True).__enter__), is_open()


@fact("threads")
def _():
    "One instance in two threads at once."
    barrier, found = threading.Barrier(2), []

    @atomic("driver")
    def work(name):
        barrier.wait(10)
        found.append((is_open(), len(connections["driver"].atomic_blocks)))
        barrier.wait(10)

    def run(name):
        work(name)
        found.append(is_open())
        connections.close_all()

    threads = [threading.Thread(target=run, args=[name]) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
"""

DURABLE = "RuntimeError: A durable atomic block cannot be nested within another atomic block."


def test_blocks(trips: Project) -> None:
    facts = ask(trips, PRELUDE + BLOCKS)

    assert facts == {
        "commit": [["auth", "driver"], [1, 0, 1], [], [True, True]],
        "roll_back": "Stop: both",
        "rolled_back": [False, False],
        "order": ["driver", "notes", "auth"],
        "commit_fails": [True, False],
        "decorator": [[1, 2, 3], "countdown", "Some text.", [True, True]],
        "again": [2, 1],
        "savepoint": [[False, False], [True, True]],
        "no_savepoint": "TransactionManagementError: An error occurred in the current transaction."
        " You can't execute queries until the end of the 'atomic' block.",
        "no_savepoint_written": [False, False],
        "durable": [DURABLE, ["driver"]],
        "threads": [[["driver"], 1], [["driver"], 1], [], []],
    }


def test_what_is_no_target(lite: Project) -> None:
    facts = ask(
        lite,
        PRELUDE
        + """
from django.utils.functional import SimpleLazyObject


def plain():
    pass


async def coroutine():
    pass


def generator():
    yield


async def agen():
    yield


async def enter():
    with atomic("driver"):
        pass


async def enter_async():
    async with atomic("driver"):
        pass


fact("bare")(lambda: outcome(lambda: atomic(plain)).replace(repr(plain), "PLAIN"))
fact("none")(lambda: atomic())
fact("class")(lambda: atomic("driver", int, 3))
fact("on_commit")(lambda: on_commit(plain))
fact("unknown")(lambda: atomic("drivr"))
fact("coroutine")(lambda: atomic("driver")(coroutine))
fact("generator")(lambda: atomic("driver")(generator))
fact("asynchronous_generator")(lambda: atomic("driver")(agen))
fact("in_coroutine")(lambda: asyncio.run(enter()))
fact("asynchronous")(lambda: asyncio.run(enter_async()).partition(":")[0])
fact("callback")(lambda: [
    outcome(lambda: on_commit(3, "driver")), outcome(lambda: on_all_commits("x"))
])


@fact("lazy")
def _():
    with atomic(SimpleLazyObject(lambda: Group(name="x"))):
        return is_open()
""",
    )

    remedy = "Pass an app's label, a model or an instance of a model, as alias_for() takes it."
    refusal = (
        "a coroutine or generator runs after the call. Put what belongs together into a synchronous"
        " function, and await sync_to_async(function)()."
    )
    unsafe = (
        "SynchronousOnlyOperation: You cannot call this from an async context"
        " - use a thread or sync_to_async."
    )
    assert facts.pop("asynchronous").startswith("TypeError: 'Atomic' object does not support")
    assert facts == {
        "bare": f"TypeError: atomic() got PLAIN. {remedy}",
        "none": f"TypeError: atomic() got no target. {remedy}",
        "class": f"TypeError: atomic() got <class 'int'>, 3. {remedy}",
        "on_commit": f"TypeError: on_commit() got no target. {remedy}",
        "unknown": "UnknownLabelError: No installed app has the label 'drivr'."
        " Did you mean 'driver'?",
        "coroutine": f"TypeError: atomic() cannot decorate 'coroutine': {refusal}",
        "generator": f"TypeError: atomic() cannot decorate 'generator': {refusal}",
        "asynchronous_generator": f"TypeError: atomic() cannot decorate 'agen': {refusal}",
        "in_coroutine": unsafe,
        "callback": [
            "TypeError: on_commit()'s callback is 3. Make it a callable.",
            "TypeError: on_all_commits()'s callback is 'x'. Make it a callable.",
        ],
        "lazy": ["auth"],
    }


def test_django_has_no_asynchronous_block() -> None:
    """Where this fails, `appdb_router.transaction.Atomic` can have one too."""
    assert not hasattr(Atomic, "__aenter__")


def test_a_database_that_is_registered_meanwhile(lite: Project) -> None:
    facts = ask(
        lite,
        PRELUDE
        + """
from django.db.backends.signals import connection_created
from appdb_router.registry import register_database


def register(**kwargs):
    connection_created.disconnect(register)
    thread = threading.Thread(
        target=register_database, args=["notes", "sqlite:///other.sqlite3"]
    )
    thread.start()
    thread.join()


@fact("entered")
def _():
    connections.close_all()
    connection_created.connect(register)
    with atomic("notes", "auth"):
        return is_open()
""",
    )

    assert facts == {"entered": ["auth", "notes@1"]}


CALLBACKS = """
def tried(*labels, enter=(), leave=(), inside=lambda: None, robust=False):
    "Enter blocks, register, and leave them in an order, each with or without an error."
    fired, blocks = [], {label: atomic(label) for label in enter}
    for block in blocks.values():
        block.__enter__()
    if labels:
        on_commit(lambda: fired.append(1), *labels, robust=robust)
    else:
        on_all_commits(lambda: fired.append(1), robust=robust)
    inside()
    counts = [len(fired)]
    for label in leave:
        error = Stop() if label.startswith("!") else None
        try:
            blocks[label.strip("!")].__exit__(error and Stop, error, None)
        except Exception as raised:
            counts.append(type(raised).__name__)
        counts.append(len(fired))
    return counts


both = {"enter": ("driver", "auth")}
orders = [("driver", "auth"), ("auth", "driver"), ("!driver", "auth"), ("driver", "!auth"),
          ("!auth", "driver"), ("auth", "!driver"), ("!auth", "!driver")]
fact("any_order")(lambda: [tried(leave=order, **both) for order in orders])
fact("named")(lambda: [tried("driver", Group, leave=order, **both) for order in orders])
fact("one_named")(lambda: [tried(Group, leave=order, **both) for order in orders[:3]])
fact("three")(lambda: tried(
    enter=("driver", "notes", "auth"), leave=("notes", "auth", "driver")))
fact("none_open")(lambda: [tried(), tried(robust=True), tried("driver"), tried("driver", "auth")])
fact("named_and_not_open")(lambda: tried("driver", "auth", enter=("auth",), leave=("auth",)))
fact("others_open")(lambda: tried("driver", enter=("auth",), leave=("auth",)))
fact("closed")(lambda: [
    tried(inside=connections["auth"].close, leave=order, **both) for order in orders[:2]])
fact("left_open")(is_open)


@fact("savepoint_rolled_back")
def _():
    fired = []
    with atomic("driver", "auth"):
        try:
            with atomic("driver"):
                on_all_commits(lambda: fired.append("inside"))
                raise Stop
        except Stop:
            on_all_commits(lambda: fired.append("after"))
    return fired


@fact("savepoint_kept")
def _():
    fired = []
    with atomic("driver", "auth"):
        with atomic("driver"):
            on_all_commits(lambda: fired.append(is_open()))
    return fired


@fact("marked_for_roll_back")
def _():
    fired = []
    with atomic("driver", "auth"):
        on_all_commits(lambda: fired.append(1))
        transaction.set_rollback(True, using="auth")
    return fired


@fact("writes")
def _():
    "A callback that writes to each database, and registers another one."
    fired = []

    def later():
        write("later")
        with atomic("driver"):
            on_all_commits(lambda: fired.append(is_open()))

    with atomic("driver", "auth"):
        on_all_commits(later)
    return fired, written("later")


def fail():
    raise Stop("callback")


@fact("exception")
def _():
    def work():
        with atomic("driver", "auth"):
            write("exception")
            on_all_commits(fail)
    return outcome(work), written("exception"), is_open()


@fact("robust")
def _():
    with atomic("driver", "auth"):
        on_all_commits(fail, robust=True)
    with atomic("driver"):
        on_all_commits(fail, robust=True)
    on_all_commits(fail, robust=True)
    return [line.replace(repr(fail), "FAIL") for line in logged]


fact("exception_at_once")(lambda: on_all_commits(fail))


@fact("other_threads")
def _():
    fired = []
    with atomic("driver"):
        def run():
            on_all_commits(lambda: fired.append(threading.current_thread().name))
            connections.close_all()
        thread = threading.Thread(target=run, name="other")
        thread.start()
        thread.join()
        return fired


@fact("asynchronous")
def _():
    fired = []

    def work():
        with atomic("driver", "auth"):
            on_all_commits(lambda: fired.append(is_open()))

    async def main():
        await sync_to_async(work)()
        calls = [lambda: on_all_commits(work), lambda: on_commit(work, "driver")]
        return [outcome(call).partition(":")[0] for call in calls]

    return asyncio.run(main()), fired


@fact("without_autocommit")
def _():
    connection = connections["auth"]
    connection.set_autocommit(False)
    try:
        on_all_commits(lambda: None)
    finally:
        connection.rollback()
        connection.set_autocommit(True)
"""

# Nobody has left, the first has, both have.
IN_ANY_ORDER = [[0, 0, 1], [0, 0, 1], *[[0, 0, 0]] * 5]


def expected_callbacks() -> dict[str, object]:
    return {
        "any_order": IN_ANY_ORDER,
        "named": IN_ANY_ORDER,
        "one_named": [[0, 0, 1], [0, 1, 1], [0, 0, 1]],
        "three": [0, 0, 0, 1],
        "none_open": [[1], [1], [1], [1]],
        "named_and_not_open": [0, 1],
        "others_open": [1, 1],
        "closed": [[0, 0, 0], [0, 0, 0]],
        "left_open": [],
        "savepoint_rolled_back": ["after"],
        "savepoint_kept": [[]],
        "marked_for_roll_back": [],
        "writes": [[[]], [True, True]],
        "exception": ["Stop: callback", [True, True], []],
        "robust": [
            "Error calling fail in on_commit() during transaction (callback).",
            "Error calling fail in on_commit() during transaction (callback).",
            "Error calling FAIL in on_all_commits().",
        ],
        "exception_at_once": "Stop: callback",
        "other_threads": ["other"],
        "asynchronous": [["SynchronousOnlyOperation"] * 2, [[]]],
        "without_autocommit": "TransactionManagementError: on_commit() cannot be used in manual"
        " transaction management",
    }


def test_callbacks(trips: Project) -> None:
    assert ask(trips, PRELUDE + CALLBACKS) == expected_callbacks()


def test_blocks_and_callbacks_on_mariadb(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    trips = trips_project(project, request, "mariadb", database_name)

    facts = ask(trips, PRELUDE + BLOCKS + CALLBACKS)

    assert facts.items() >= expected_callbacks().items()
    assert facts["rolled_back"] == [False, False]
    assert facts["savepoint"] == [[False, False], [True, True]]


TESTS = """
from django.test import TestCase, TransactionTestCase
from django.contrib.auth.models import Group
from appdb_router import alias_for
from appdb_router.transaction import atomic, on_all_commits, on_commit


class Callbacks:
    databases = {alias_for("driver"), alias_for("auth"), alias_for("notes")}

    def setUp(self):
        self.fired = []

    def fire(self):
        self.fired.append(1)

    def test_at_once_outside_of_blocks(self):
        on_all_commits(self.fire)
        self.assertEqual(self.fired, [1])


class Committed(Callbacks, TransactionTestCase):
    def test_blocks(self):
        with atomic("driver", "auth"):
            on_all_commits(self.fire)
            self.assertEqual(self.fired, [])
        self.assertEqual(self.fired, [1])


class Captured(Callbacks, TestCase):
    def test_one_block(self):
        with self.captureOnCommitCallbacks(using=alias_for("driver"), execute=True) as callbacks:
            with atomic("driver"):
                on_all_commits(self.fire)
            self.assertEqual(self.fired, [])
        self.assertEqual((callbacks, self.fired), ([self.fire], [1]))

    def test_several_blocks(self):
        with (
            self.captureOnCommitCallbacks(using=alias_for("driver"), execute=True),
            self.captureOnCommitCallbacks(using=alias_for("auth"), execute=True) as callbacks,
        ):
            with atomic("driver", "auth"):
                on_all_commits(self.fire)
        self.assertEqual(self.fired, [1])
        self.assertEqual([callback.__name__ for callback in callbacks], ["fire"])
        callbacks[0]()
        self.assertEqual(self.fired, [1])

    def test_a_part_of_them_is_not_enough(self):
        with self.captureOnCommitCallbacks(using=alias_for("driver"), execute=True) as callbacks:
            with atomic("driver", "auth"):
                on_all_commits(self.fire)
        callbacks[0]()
        self.assertEqual(self.fired, [])

    def test_rolled_back(self):
        with (
            self.captureOnCommitCallbacks(using=alias_for("driver"), execute=True),
            self.captureOnCommitCallbacks(using=alias_for("auth"), execute=True),
        ):
            with atomic("auth"), self.assertRaises(ValueError), atomic("driver"):
                on_all_commits(self.fire)
                raise ValueError
        self.assertEqual(self.fired, [])

    def test_a_named_database_waits_as_in_django(self):
        on_commit(self.fire, "driver")
        with self.captureOnCommitCallbacks(using=alias_for("driver"), execute=True):
            on_commit(self.fire, "driver")
            self.assertEqual(self.fired, [])
        self.assertEqual(self.fired, [1])

    def test_durable_blocks(self):
        with atomic("driver", "auth", durable=True):
            Group.objects.create(name="x")
"""


def test_callbacks_in_test_cases(trips: Project) -> None:
    trips.write("driver/tests.py", TESTS)

    result = trips.manage("test")

    assert "Ran 9 tests" in result.stderr
