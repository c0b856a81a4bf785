"""Circuits: a database that is down is left alone, on a server that is killed and brought back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from appdb_router.exceptions import DatabaseOperationError
from appdb_router.outages import CircuitOpenError
from tests.docs.markdown import DOCS, block, read
from tests.support.embedded import Cluster
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

PRELUDE = """
import asyncio
import logging
import os
import sys
import threading
import time
from pathlib import Path

import psycopg
from django.db import OperationalError, connections
from appdb_router.outages import CircuitOpenError
from appdb_router.registry import close_all
from appdb_router.sessions import get_app_session
from tests.support.embedded import Cluster

server = Cluster(Path(os.environ["CLUSTER"]))
messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append([record.levelname, record.getMessage()])
logging.getLogger("appdb_router").setLevel("INFO")
logging.getLogger("appdb_router").addHandler(handler)
# It tells of every attempt of a pool.
logging.getLogger("psycopg").setLevel("CRITICAL")


def attempt(alias="blog"):
    "Connect anew, and return what became of it."
    connections[alias].close()
    try:
        connections[alias].ensure_connection()
    except Exception as error:
        return type(error).__name__
    return "connected"


def attempts(number):
    return [attempt() for _ in range(number)]


def trial():
    "Connect as soon as the circuit lets somebody through."
    while (result := attempt()) == "CircuitOpenError":
        time.sleep(0.01)
    return result


def start(*functions):
    "Run functions in threads, and return the threads and the list of their results."
    results = []
    threads = [
        threading.Thread(target=lambda function=function: results.append(function()))
        for function in functions
    ]
    for thread in threads:
        thread.start()
    return threads, results


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def join(threads):
    for thread in threads:
        thread.join()


async def session(label="blog"):
    try:
        async with get_app_session(label) as connection:
            await connection.execute("SELECT 1")
    except Exception as error:
        return type(error).__name__
    return "connected"
"""
OPEN = 'APPDB_ROUTER = {{"CIRCUIT_BREAKER": {{"FAILURES": {}, "OPEN_SECONDS": {}}}}}'
FOR_EVER = 600


@pytest.fixture
def blog(
    project: Project, fragile: tuple[Server, Cluster], unique: Callable[[str], str]
) -> Project:
    """A project with an app on a server that can be killed, and the others on SQLite."""
    server, cluster = fragile
    name = unique("blog")
    server.execute(f"CREATE DATABASE {name}")
    project.app("blog", models="class Post(models.Model):\n    pass\n")
    project.env = {
        "BLOG_DATABASE_URL": server.url(name, connect_timeout="30"),
        "CLUSTER": str(cluster.data),
    }
    return project


def with_circuit(project: Project, failures: int = 3, seconds: float = FOR_EVER) -> Project:
    project.settings_extra = OPEN.format(failures, seconds)
    return project


def test_nothing_is_installed_by_default(blog: Project) -> None:
    facts = ask(
        blog,
        PRELUDE
        + """
server.kill()
fact("attempts")(lambda: set(attempts(20)))
server.start()
fact("back")(attempt)
fact("handler")(lambda: type(connections).__name__)
fact("connection")(lambda: "get_new_connection" in vars(connections["blog"]))
fact("modules")(lambda: sorted({"pybreaker", "appdb_router.circuits"} & sys.modules.keys()))
""",
    )

    assert facts == {
        "attempts": "{'OperationalError'}",
        "back": "connected",
        "handler": "OpenConnectionHandler",
        "connection": False,
        "modules": [],
    }


def test_the_error_while_a_circuit_is_open(blog: Project) -> None:
    facts = ask(
        with_circuit(blog),
        PRELUDE
        + """
def error():
    connections["blog"].close()
    try:
        connections["blog"].cursor()
    except OperationalError as found:
        return found


server.kill()
fact("attempts")(lambda: attempts(5))
fact("message")(lambda: str(error()))
fact("attributes")(lambda: [error().alias, error().labels, 590 < error().retry_after <= 600])
fact("thread")(lambda: [join(start(attempt)[0]), start(attempt)[1]][1])
fact("other")(lambda: attempt("default"))
fact("session")(lambda: get_app_session("blog").__enter__())
fact("async session")(lambda: asyncio.run(session()))
fact("logged")(lambda: messages)
""",
    )

    down = "The database 'blog' of the app 'blog' is down, and is left alone for now."
    assert facts["attempts"] == ["OperationalError"] * 3 + ["CircuitOpenError"] * 2
    assert facts["message"].startswith(f"{down} The next try is in ")
    assert " seconds. The last error: connection is bad: " in facts["message"]
    assert facts["attributes"] == ["blog", ["blog"], True]
    assert facts["thread"] == ["CircuitOpenError"]
    assert facts["other"] == "connected"
    assert facts["session"].startswith(f"CircuitOpenError: {down}")
    assert facts["async session"] == "CircuitOpenError"
    [[level, message]] = facts["logged"]
    assert level == "WARNING"
    assert message.startswith(f"{down} The next try is in 600.0 seconds.")


def test_the_time_grows_and_the_database_comes_back(blog: Project) -> None:
    blog.settings_extra = (
        'APPDB_ROUTER = {"CIRCUIT_BREAKER":'
        ' {"FAILURES": 2, "OPEN_SECONDS": 0.1, "MAX_OPEN_SECONDS": 0.3}}'
    )

    facts = ask(
        blog,
        PRELUDE
        + """
import re


def times():
    found = [re.search("in ([0-9.]+) seconds", text) for _, text in messages]
    messages.clear()
    return [match and match[1] for match in found]


server.kill()
fact("failed")(lambda: attempts(2))
fact("trials")(lambda: [trial() for _ in range(3)])
fact("times")(times)
server.start()
fact("back")(trial)
fact("logged")(lambda: messages.copy())
messages.clear()
server.kill()
fact("again")(lambda: attempts(2))
fact("first time again")(times)
""",
    )

    assert facts == {
        "failed": ["OperationalError"] * 2,
        "trials": ["OperationalError"] * 3,
        "times": ["0.1", "0.2", "0.3", "0.3"],
        "back": "connected",
        "logged": [["INFO", "The database 'blog' of the app 'blog' answers again."]],
        "again": ["OperationalError"] * 2,
        "first time again": ["0.1"],
    }


def test_only_failures_in_a_row_count(blog: Project) -> None:
    facts = ask(
        with_circuit(blog),
        PRELUDE
        + """
def rounds():
    found = []
    for _ in range(3):
        server.kill()
        found += attempts(2)
        server.start()
        found += attempts(1)
    return found


fact("rounds")(rounds)
fact("logged")(lambda: messages)
""",
    )

    assert facts == {
        "rounds": ["OperationalError", "OperationalError", "connected"] * 3,
        "logged": [],
    }


def test_one_thread_tries_while_the_others_fail_at_once(blog: Project) -> None:
    facts = ask(
        with_circuit(blog, failures=1, seconds=0.01),
        PRELUDE
        + """
server.kill()
attempt()
server.start()
server.freeze()
time.sleep(0.1)
threads, results = start(*[attempt] * 10)
# One of them is being kept waiting.
wait_for(lambda: len(results) == 9)
fact("others")(lambda: set(results))
fact("message")(lambda: connections["blog"].ensure_connection())
server.thaw()
join(threads)
fact("trial")(lambda: results[9:])
fact("closed")(attempt)
""",
    )

    assert facts["others"] == "{'CircuitOpenError'}"
    assert " left alone for now. It is being tried again. " in facts["message"]
    assert facts["trial"] == ["connected"]
    assert facts["closed"] == "connected"


def test_failures_that_come_late_tell_nothing_new(blog: Project) -> None:
    facts = ask(
        with_circuit(blog, failures=1),
        PRELUDE
        + """
server.freeze()
threads, results = start(*[attempt] * 5)
time.sleep(0.5)
server.kill()
join(threads)
fact("results")(lambda: sorted(set(results) - {"CircuitOpenError"}))
fact("opened")(lambda: len(messages))
""",
    )

    assert facts == {"results": ["OperationalError"], "opened": 1}


def test_only_connecting_counts(blog: Project) -> None:
    facts = ask(
        with_circuit(blog, failures=1),
        PRELUDE
        + """
def query(sql):
    try:
        connections["blog"].cursor().execute(sql)
    except Exception as error:
        connections["blog"].close()
        return type(error).__name__


fact("error")(lambda: query("SELECT no_such_column"))
fact("broken")(lambda: query("SELECT pg_terminate_backend(pg_backend_pid())"))


@fact("misconfigured")
def _():
    options = connections["blog"].settings_dict["OPTIONS"]
    options["isolation_level"] = "none"
    result = attempt()
    del options["isolation_level"]
    return result


fact("still closed")(attempt)
""",
    )

    assert facts == {
        "error": "ProgrammingError",
        "broken": "OperationalError",
        "misconfigured": "ImproperlyConfigured",
        "still closed": "connected",
    }


def test_aliases_of_one_physical_database_share_a_circuit(blog: Project) -> None:
    blog.app("notes")
    blog.env["NOTES_DATABASE_URL"] = blog.env["BLOG_DATABASE_URL"]

    facts = ask(
        with_circuit(blog, failures=2),
        PRELUDE
        + """
server.kill()
fact("attempts")(lambda: [attempt("blog"), attempt("notes"), attempt("blog")])
fact("message")(lambda: connections["notes"].ensure_connection())
""",
    )

    assert facts["attempts"] == ["OperationalError", "OperationalError", "CircuitOpenError"]
    assert "The database 'blog' of the apps 'blog', 'notes' is down" in facts["message"]


def test_an_alias_added_by_hand_has_a_circuit_and_no_app(blog: Project) -> None:
    with_circuit(blog, failures=1).settings_extra += (
        "\nDATABASES['more'] = {**DATABASES['blog'], 'TEST': {}}\n"
        "del DATABASES['more']['APPDB_ROUTER']\n"
    )

    facts = ask(
        blog,
        PRELUDE
        + """
server.kill()
fact("attempts")(lambda: [attempt("more"), attempt("more")])
fact("message")(lambda: connections["more"].ensure_connection())
""",
    )

    assert facts["attempts"] == ["OperationalError", "CircuitOpenError"]
    assert facts["message"].startswith("CircuitOpenError: The database 'more' is down")


def test_a_connection_from_before_the_start_is_guarded(blog: Project) -> None:
    blog.write("blog/models.py", "from django.db import connections\n\nconnections['blog']\n")

    facts = ask(
        with_circuit(blog, failures=1),
        PRELUDE + 'server.kill()\nfact("attempts")(lambda: attempts(2))\n',
    )

    assert facts == {"attempts": ["OperationalError", "CircuitOpenError"]}


def test_a_password_in_the_reason_is_masked(blog: Project, fragile: tuple[Server, Cluster]) -> None:
    blog.env["BLOG_DATABASE_URL"] = fragile[0].url("no_such_place", password="no_such_place")

    facts = ask(
        with_circuit(blog, failures=1),
        PRELUDE
        + """
attempt()
fact("circuit")(lambda: connections["blog"].ensure_connection())
connections["blog"].settings_dict["OPTIONS"]["connect_timeout"] = 20
""",
    )

    assert facts["circuit"].endswith('database "***" does not exist')


def test_asynchronous_sessions(blog: Project) -> None:
    blog.env["BLOG_DATABASE_URL"] += "&pool_timeout=0.2"

    facts = ask(
        with_circuit(blog, failures=2, seconds=0.05),
        PRELUDE
        + """
async def until(expected):
    deadline = time.monotonic() + 60
    while (result := await session()) != expected and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return result


async def main():
    found = [await session()]
    server.kill()
    # The pool does not know yet what became of its connection.
    found += [await until("DatabaseUnavailableError"), await until("CircuitOpenError")]
    server.start()
    return [*found, await until("connected"), messages[-1]]


fact("found")(lambda: asyncio.run(main()))
""",
    )

    assert facts["found"] == [
        "connected",
        "DatabaseUnavailableError",
        "CircuitOpenError",
        "connected",
        ["INFO", "The database 'blog' of the app 'blog' answers again."],
    ]


def test_a_cancelled_trial_leaves_it_to_the_next(blog: Project) -> None:
    facts = ask(
        with_circuit(blog, failures=1, seconds=0.01),
        PRELUDE
        + """
async def main():
    server.kill()
    attempt_result = await asyncio.to_thread(attempt)
    server.start()
    server.freeze()
    await asyncio.sleep(0.1)
    trials = []
    for _ in range(2):
        task = asyncio.create_task(session())
        await asyncio.sleep(0.5)
        other = await session()
        task.cancel()
        trials.append([other, (await asyncio.gather(task, return_exceptions=True))[0]])
    server.thaw()
    return [attempt_result, trials, await session(), len(messages)]


fact("found")(lambda: asyncio.run(main()))
""",
    )

    cancelled = ["CircuitOpenError", ""]
    assert facts["found"] == ["OperationalError", [cancelled] * 2, "connected", 2]


def test_the_pool_of_django(blog: Project) -> None:
    blog.env["BLOG_DATABASE_URL"] += "&pool_size=1&pool_timeout=0.2"

    facts = ask(
        with_circuit(blog, failures=2, seconds=1),
        PRELUDE
        + """
server.kill()
fact("failed")(lambda: attempts(3))
server.start()
fact("back")(lambda: wait_for(lambda: attempt() == "connected"))
close_all()
""",
    )

    assert facts == {
        "failed": ["OperationalError", "OperationalError", "CircuitOpenError"],
        "back": None,
    }


def test_a_pool_that_lets_no_more_wait_is_no_failure(blog: Project) -> None:
    blog.env["BLOG_DATABASE_URL"] += "&pool_size=1&pool_max_waiting=1"

    facts = ask(
        with_circuit(blog, failures=1),
        PRELUDE
        + """
connections["blog"].ensure_connection()
pool = connections["blog"].pool
threads, results = start(attempt)
wait_for(lambda: pool.get_stats()["requests_waiting"] == 1)
refused, reasons = start(*[attempt] * 4)
join(refused)
fact("refused")(lambda: reasons)
connections["blog"].close()
join(threads)
fact("waited")(lambda: results)
fact("logged")(lambda: messages)
close_all()
""",
    )

    assert facts == {"refused": ["OperationalError"] * 4, "waited": ["connected"], "logged": []}


@pytest.mark.slow
def test_commands_connect_past_the_circuit(blog: Project) -> None:
    blog.makemigrations("blog")

    facts = ask(
        with_circuit(blog, failures=1),
        PRELUDE
        + """
from io import StringIO

from django.core.management import call_command


def output(*arguments):
    stream = StringIO()
    try:
        call_command(*arguments, stdout=stream, stderr=stream)
    except Exception as error:
        return f"{error}: {stream.getvalue()}"
    return stream.getvalue()


server.kill()
attempt()
server.start()
fact("open")(attempt)
fact("db_init")(lambda: output("db_init", "--all-apps", "--format=json"))
fact("db_list")(lambda: output("db_list", "--check", "--app=blog", "--format=json"))
fact("still open")(attempt)
""",
    )

    assert facts["open"] == facts["still open"] == "CircuitOpenError"
    assert facts["db_init"].count('"status": "ready"') == 2
    assert '"status": "reachable"' in facts["db_list"]


@pytest.mark.slow
def test_other_apps_go_on_under_load(
    blog: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    for label in ("bills", "carts"):
        name = database_name(label)
        postgres.execute(f"CREATE DATABASE {name}")
        blog.app(label)
        blog.env[f"{label.upper()}_DATABASE_URL"] = postgres.url(name)

    facts = ask(
        with_circuit(blog, failures=5, seconds=0.05),
        PRELUDE
        + """
OTHERS = ["bills", "carts"]
outcomes = {label: [] for label in ["blog", *OTHERS]}
done = threading.Event()


def request(label):
    try:
        with get_app_session(label) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except OperationalError as error:
        return [type(error).__name__, str(error)]
    finally:
        connections.close_all()


def load(label):
    while not done.wait(0.002):
        outcomes[label].append(request(label))


def wait_for_more(number, *labels):
    before = {label: len(outcomes[label]) for label in labels}
    wait_for(lambda: all(len(outcomes[label]) >= before[label] + number for label in labels))


threads, _ = start(*(lambda label=label: load(label) for label in outcomes for _ in range(3)))
wait_for_more(30, *outcomes)
server.kill()
wait_for_more(90, *outcomes)
server.start()
back = len(outcomes["blog"])
wait_for(lambda: outcomes["blog"][back:].count(None) > 30)
done.set()
join(threads)

failed = [outcome for outcome in outcomes["blog"] if outcome]
fact("others")(lambda: [outcome for label in OTHERS for outcome in outcomes[label] if outcome])
fact("kinds")(lambda: sorted({kind for kind, _ in failed}))
# A query that is cut off fails as it always did: at most one for each thread.
fact("nameless")(lambda: len([text for _, text in failed if "the app 'blog'" not in text]) <= 3)
fact("back")(lambda: outcomes["blog"][-3:])
""",
    )

    assert "CircuitOpenError" in facts.pop("kinds")
    assert facts == {"others": [], "nameless": True, "back": [None] * 3}


def test_the_middleware_of_the_documentation(blog: Project) -> None:
    blog.write("middleware.py", block(read(DOCS / "circuit-breaker.md"), "test middleware"))
    blog.write(
        "urls.py",
        """
        from blog.models import Post
        from django.http import HttpResponse
        from django.urls import path

        urlpatterns = [path("", lambda request: HttpResponse(Post.objects.count()))]
        """,
    )
    with_circuit(blog, failures=1).settings_extra += "\nMIDDLEWARE = ['middleware.Unavailable']\n"

    facts = ask(
        blog,
        PRELUDE
        + """
from django.test import Client

server.kill()
attempt()


@fact("answer")
def _():
    response = Client().get("/", headers={"host": "localhost"})
    return [response.status_code, 590 <= int(response.headers["Retry-After"]) <= 600]
""",
    )

    assert facts == {"answer": [503, True]}


# The setting

ALL_KEYS = "'CIRCUIT_BREAKER', 'THREADS', 'TRANSACTION_GUARD', 'WORKERS'"
KEYS = "'FAILURES', 'MAX_OPEN_SECONDS', 'OPEN_SECONDS'"
WHERE = "ConfigurationError: APPDB_ROUTER['CIRCUIT_BREAKER']"
VALUES: list[tuple[Any, str]] = [
    ({}, "None"),
    ({"CIRCUIT_BREAKER": None}, "None"),
    ({"CIRCUIT_BREAKER": {}}, "[5, 1, 10]"),
    ({"CIRCUIT_BREAKER": {"OPEN_SECONDS": 60}}, "[5, 60, 60]"),
    (
        {"CIRCUIT_BREAKER": {"FAILURES": 1, "OPEN_SECONDS": 0.5, "MAX_OPEN_SECONDS": 0.5}},
        "[1, 0.5, 0.5]",
    ),
    (
        {"CIRCUIT_BRAKER": {}},
        f"ConfigurationError: APPDB_ROUTER has no 'CIRCUIT_BRAKER'. The keys are {ALL_KEYS}.",
    ),
    (
        ["CIRCUIT_BREAKER"],
        "ConfigurationError: APPDB_ROUTER is ['CIRCUIT_BREAKER']. Make it a dict.",
    ),
    ({"CIRCUIT_BREAKER": True}, f"{WHERE} is True. Make it a dict."),
    (
        {"CIRCUIT_BREAKER": {"FAILURE": 3, "WAIT": 1}},
        f"{WHERE} has no 'FAILURE', 'WAIT'. The keys are {KEYS}.",
    ),
    *(
        (
            {"CIRCUIT_BREAKER": {"FAILURES": value}},
            f"{WHERE}['FAILURES'] is {value!r}. Make it a whole number from 1 up.",
        )
        for value in (0, -1, 2.5, True, "5", None)
    ),
    *(
        (
            {"CIRCUIT_BREAKER": {name: value}},
            f"{WHERE}[{name!r}] is {value!r}. Make it a number of seconds above 0.",
        )
        for name in ("OPEN_SECONDS", "MAX_OPEN_SECONDS")
        for value in (0, -1, float("inf"), float("nan"), False, "1", None)
    ),
    (
        {"CIRCUIT_BREAKER": {"OPEN_SECONDS": 2, "MAX_OPEN_SECONDS": 1}},
        f"{WHERE}: MAX_OPEN_SECONDS is 1, less than OPEN_SECONDS, which is 2."
        " Make it at least as long.",
    ),
]


def test_the_setting(project: Project) -> None:
    facts = ask(
        project,
        """
import dataclasses
from math import inf, nan

from django.test import override_settings
from appdb_router.conf import circuit_options


def read(value):
    with override_settings(APPDB_ROUTER=value):
        options = circuit_options()
    return str(options and list(dataclasses.astuple(options)))


"""
        + "".join(
            f"fact({number})(lambda: read({value!r}))\n" for number, (value, _) in enumerate(VALUES)
        ),
    )

    assert list(facts.values()) == [expected for _, expected in VALUES]


def test_a_wrong_setting_stops_the_start(project: Project) -> None:
    project.settings_extra = 'APPDB_ROUTER = {"CIRCUIT_BREAKER": {"SECONDS": 1}}'

    result = project.manage("check", check=False)

    assert result.returncode == 1
    assert f"{WHERE} has no 'SECONDS'. The keys are {KEYS}." in result.stderr


def test_pybreaker_is_missing(project: Project) -> None:
    with_circuit(project).settings_extra += "\nimport sys\nsys.modules['pybreaker'] = None"

    result = project.manage("check", check=False)

    assert result.returncode == 1
    assert f"{WHERE} needs pybreaker, which cannot be imported: " in result.stderr
    assert '. Install "django-appdb-router[breaker]".' in result.stderr


def test_psycopg_pool_is_missing(blog: Project) -> None:
    with_circuit(
        blog, failures=1
    ).settings_extra += "\nimport sys\nsys.modules['psycopg_pool'] = None"

    facts = ask(blog, PRELUDE + 'server.kill()\nfact("attempts")(lambda: attempts(2))\n')

    assert facts == {"attempts": ["OperationalError", "CircuitOpenError"]}


def test_the_handler_of_another_library(project: Project) -> None:
    with_circuit(project).settings_extra += """
from django.db import connections
from django.db.utils import ConnectionHandler


class Other(ConnectionHandler):
    pass


connections.__class__ = Other
"""

    result = project.manage("check", check=False)

    assert result.returncode == 1
    assert f"{WHERE} cannot be used: django.db.connections is a 'Other'" in result.stderr


# The errors


def test_the_errors_survive_pickling() -> None:
    error = CircuitOpenError("down", "blog", ("blog", "notes"), 1.5)

    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  As a task queue does.

    assert (str(copy), vars(copy)) == ("down", vars(error))
    assert isinstance(copy, OperationalError)
    assert isinstance(copy, DatabaseOperationError)
