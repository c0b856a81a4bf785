"""`TRANSACTION_GUARD`: a write to one database inside of a block on another, on real servers."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import django
import pytest

from appdb_router.transaction_hooks import HOOKS
from appdb_router.uncovered import OpenBlock, UncoveredWrite, UncoveredWriteError
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.trips import trips_project

WRITES = """\
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.db.models import CharField, Value
from django.db.models.functions import Concat


class Party(Group):
    class Meta:
        app_label = "notes"
        proxy = True


def other():
    return Group.objects.get(name="other")


def create(): Group.objects.create(name="new")
def insert(): Group(name="new").save()
def update(): Group(pk=other().pk, name="new").save()
def update_fields(): Group(pk=other().pk, name="new").save(update_fields=["name"])
def update_all(): Group.objects.update(name=Concat("name", Value("!")))
def bulk_create(): Group.objects.bulk_create([Group(name="new")])
def bulk_update(): Group.objects.bulk_update([Group(pk=other().pk, name="new")], ["name"])
def get_or_create(): Group.objects.get_or_create(name="new")
def update_or_create(): Group.objects.update_or_create({"name": "new"}, name="other")
def delete(): other().delete()
def delete_all(): Group.objects.all().delete()
def raw_delete(): Group.objects.filter(name="other")._raw_delete("auth")
def add(): User.objects.get().groups.add(other())
def remove(): User.objects.get().groups.remove(Group.objects.get(name="first"))
def clear(): User.objects.get().groups.clear()
def replace(): User.objects.get().groups.set([other()])
def by_proxy(): Party.objects.create(name="new")
def by_manager(): User.objects.create_user("new")
def asynchronous(): async_to_sync(coroutine)()


async def coroutine():
    await Group.objects.acreate(name="new")


def expression():
    group = other()
    group.name = Concat("name", Value("!"))
    group.save()


EACH = [create, insert, update, update_fields, update_all, bulk_create, bulk_update, get_or_create,
        update_or_create, delete, delete_all, raw_delete, add, remove, clear, replace, by_proxy,
        by_manager, asynchronous, expression]
"""
# The first table that is written.
MODELS = {
    **dict.fromkeys(["delete", "delete_all"], "auth.Group_permissions"),
    **dict.fromkeys(["add", "remove", "clear", "replace"], "auth.User_groups"),
    "by_manager": "auth.User",
}

PRELUDE = """
import asyncio
import logging
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connections, transaction
from appdb_router import alias_for
from appdb_router.repositories import BaseRepository
from appdb_router.sessions import get_app_session
from appdb_router.transaction import allow_writes, atomic, on_all_commits, on_commit
from appdb_router.transaction_guard import allowed
from appdb_router.uncovered import UncoveredWriteError, UncoveredWriteWarning
from driver.models import Trip
from notes.models import Note


def found(function, *args):
    "What the guard finds, or None."
    try:
        function(*args)
    except UncoveredWriteError as error:
        return [error.write.model, error.write.alias, [str(block) for block in error.write.blocks]]


def write():
    Group.objects.create(name=f"group {Group.objects.count()}")
"""


@pytest.fixture(params=["sqlite", "postgres"])
def trips(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Project:
    return guarded(trips_project(project, request, request.param, database_name))


@pytest.fixture
def lite(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Project:
    return guarded(trips_project(project, request, "sqlite", database_name))


def guarded(project: Project, reaction: str = "raise") -> Project:
    project.settings_extra = f'APPDB_ROUTER = {{"TRANSACTION_GUARD": "{reaction}"}}'
    return project


EACH_WRITE = """
from notes import writes

user = User.objects.create(username="one")
user.groups.add(Group.objects.create(name="first"))
Group.objects.create(name="other")
Trip.objects.create(name="x")


def rows():
    return [list(model.objects.values()) for model in (User, Group, User.groups.through)]


def wrong(function):
    with transaction.atomic("driver"):
        Trip.objects.update(name="y")
        function()


for function in writes.EACH:
    @fact(function.__name__)
    def _():
        before = rows()
        try:
            wrong(function)
        except UncoveredWriteError as error:
            write = error.write
            assert rows() == before and Trip.objects.get().name == "x"
            return [write.model, write.alias, [block.alias for block in write.blocks],
                    write.filename == writes.__file__, write.line]


def fine(function):
    with atomic("driver", "auth"):
        function()
        transaction.set_rollback(True, using="auth")


fact("fine")(lambda: [fine(function) for function in writes.EACH])
"""


def expected_writes() -> dict[str, object]:
    """Return what is found for each function, by the line on which it writes."""
    found: dict[str, object] = {}
    name = ""
    for number, line in enumerate(WRITES.splitlines(), 1):
        name = line[4:].partition("(")[0] if line.startswith("def ") else name
        if (line.startswith("def ") or ".save()" in line) and name != "other":
            found[name] = [MODELS.get(name, "auth.Group"), "auth", ["driver"], True, number]
    return {**found, "fine": [None] * len(found)}


def test_each_way_to_write(trips: Project) -> None:
    trips.write("notes/writes.py", WRITES)

    facts = ask(trips, PRELUDE + EACH_WRITE)

    assert facts == expected_writes()


def test_a_write_on_mariadb(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    trips = guarded(trips_project(project, request, "mariadb", database_name))
    trips.write("notes/writes.py", WRITES)

    assert ask(trips, PRELUDE + EACH_WRITE) == expected_writes()


BLOCKS = """
class Trips(BaseRepository):
    model = Trip


class Stop(Exception):
    pass


def inside(*blocks):
    "What the guard finds in a write inside of these blocks, which are rolled back."
    try:
        with ExitStack() as stack:
            for block in blocks:
                stack.enter_context(block)
            result = found(write)
            raise Stop
    except Stop:
        return result


fact("none")(lambda: inside())
fact("its_own")(lambda: inside(atomic("auth")))
fact("its_own_first")(lambda: inside(atomic("auth"), atomic("driver")))
fact("its_own_last")(lambda: inside(atomic("driver"), transaction.atomic("auth")))
fact("session")(lambda: inside(get_app_session("driver"))[2][0][:20])
fact("repository")(lambda: inside(Trips().transaction())[2][0][:20])
fact("savepoint")(lambda: inside(atomic("driver"), atomic("driver"))[1])
fact("without_savepoint")(lambda: inside(atomic("driver", savepoint=False))[1])
fact("two")(lambda: len(inside(atomic("driver"), atomic("notes"))[2]))


@fact("after_the_block")
def _():
    with atomic("driver"):
        on_commit(write, "driver")
        on_all_commits(write)


@fact("between_two_commits")
def _():
    "The driver's has committed, that of the notes is open."
    with atomic("driver", "notes"):
        on_commit(write, "driver")


@fact("other_thread")
def _():
    with atomic("driver"), ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: [found(write), connections.close_all()]).result()


@fact("entered_by_a_thread_of_nobody")
def _():
    "As sync_to_async(block.__enter__)() does."
    with ThreadPoolExecutor(1) as pool:
        block = atomic("driver")
        pool.submit(block.__enter__).result()
        seen = pool.submit(lambda: found(write)).result()
        unseen = pool.submit(Group.objects.create, name="unseen").result().name
        pool.submit(block.__exit__, None, None, None).result()
        pool.submit(connections.close_all).result()
        return seen, unseen


@fact("view_of_nobody")
def _():
    "A marked block that was made before the guard was there."
    from notes.models import earlier
    return found(earlier, write)


@fact("orm")
def _():
    "A receiver writes inside of blocks of the ORM."
    from django.db.models.signals import post_save, pre_delete

    def receiver(**kwargs):
        write()

    post_save.connect(receiver, Trip)
    pre_delete.connect(receiver, Trip)
    before = Group.objects.count()
    try:
        trips = [Trip.objects.get_or_create(name=name)[0] for name in "ab"]
        Trip.objects.update_or_create(name="a")
        Trip.objects.bulk_create([Trip(name="c")])
        trips[0].save()
        Trip.objects.all().delete()
    finally:
        post_save.disconnect(receiver, Trip)
        pre_delete.disconnect(receiver, Trip)
    return Group.objects.count() - before


@fact("bookkeeping")
def _():
    from django.contrib.contenttypes.models import ContentType
    with atomic("driver"):
        ContentType.objects.create(app_label="x", model="y")


log = []
handler = logging.Handler()
handler.emit = lambda record: log.append(record.getMessage())
logging.getLogger("appdb_router.transaction_guard").addHandler(handler)
logging.getLogger("appdb_router.transaction_guard").setLevel("DEBUG")


@fact("allowed")
def _():
    with atomic("driver"):
        with allow_writes("auth", reason="counted later"), allow_writes("driver", reason="more"):
            write()
            first = found(Note.objects.create)[0]
        return first, found(write)[0]


@fact("log")
def _():
    return [line.rpartition(". ")[2] for line in log]


@fact("allowed_to_other_threads")
def _():
    def work():
        with atomic("driver"):
            write()

    async def main():
        with allow_writes(Group, Note(), reason="counted later"):
            await sync_to_async(work, thread_sensitive=False)()

    asyncio.run(main())


@fact("allowed_within")
def _():
    with atomic("driver"), allowed("of our own"):
        write()
        Note.objects.create()


fact("no_reason")(lambda: allow_writes("auth", reason=" "))
fact("no_target")(lambda: allow_writes(reason="x"))
fact("no_app")(lambda: allow_writes("aut", reason="x"))
"""

EARLIER = """
from django.db import transaction


@transaction.atomic("driver")
def earlier(function):
    function()
"""


def test_blocks(trips: Project) -> None:
    with (trips.root / "notes" / "models.py").open("a", encoding="utf-8") as models:
        models.write(EARLIER)

    facts = ask(trips, PRELUDE + BLOCKS)

    message = facts.pop("between_two_commits")
    assert message.startswith("UncoveredWriteError: auth.Group is written to 'auth' at <string>:")
    assert "inside atomic() on 'default' (<string>:" in message
    elsewhere = "Did you mean 'auth'?"
    assert facts == {
        "none": None,
        "its_own": None,
        "its_own_first": None,
        "its_own_last": None,
        "session": "atomic() on 'driver'",
        "repository": "atomic() on 'driver'",
        "savepoint": "auth",
        "without_savepoint": "auth",
        "two": 2,
        "after_the_block": None,
        "other_thread": [None, None],
        "entered_by_a_thread_of_nobody": [
            ["auth.Group", "auth", ["atomic() on 'driver'"]],
            "unseen",
        ],
        "view_of_nobody": ["auth.Group", "auth", ["atomic() on 'driver'"]],
        "orm": 6,
        "bookkeeping": None,
        "allowed": ["notes.Note", "auth.Group"],
        "log": ["Allowed: counted later"],
        "allowed_to_other_threads": None,
        "allowed_within": None,
        "no_reason": "ValueError: allow_writes() needs a reason: say why the write may stay alone.",
        "no_target": "TypeError: allow_writes() got no target. Pass an app's label, a model or an"
        " instance of a model, as alias_for() takes it.",
        "no_app": f"UnknownLabelError: No installed app has the label 'aut'. {elsewhere}",
    }


URLS = """
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import HttpResponse
from django.urls import path
from appdb_router.transaction import atomic
from driver.models import Trip
from notes.models import Note


class TripAdmin(admin.ModelAdmin):
    list_display = ["pk", "name"]
    list_editable = ["name"]

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)

    def log_addition(self, *args):
        return super().log_addition(*args)


def write(request):
    Note.objects.create(text="fine")
    Trip.objects.create(name=request.GET["name"])
    return HttpResponse()


def covered(request):
    with atomic("driver", "notes"):
        return write(request)


@transaction.non_atomic_requests
@transaction.non_atomic_requests(using="driver")
def not_atomic(request):
    return write(request)


admin.site.register(Trip, TripAdmin)
urlpatterns = [
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="admin/login.html", next_page="/x")),
    path("write/", write),
    path("covered/", covered),
    path("decorated/", atomic("driver", "notes")(write)),
    path("not_atomic/", not_atomic),
]
"""

MIDDLEWARE = """
from appdb_router.transaction import atomic


class Blocks:
    "A block around everything, as some projects have it."

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with atomic("notes"):
            return self.get_response(request)
"""

REQUESTS = """
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from appdb_router.uncovered import UncoveredWriteError
from driver.models import Trip

User.objects.create_superuser("root", password="x")
LOGIN = {"username": "root", "password": "x"}
FORM = {f"form-{name}_FORMS": 1 for name in ("TOTAL", "INITIAL")}


def post(path, **data):
    return client.post(path, data).status_code


def get(path):
    try:
        return client.get(path).status_code
    except UncoveredWriteError as error:
        return str(error).replace(error.write.filename, "urls.py")


client = Client(HTTP_HOST="localhost")
fact("login")(lambda: post("/login/", **LOGIN))
fact("admin_login")(lambda: Client(HTTP_HOST="localhost").post("/admin/login/", LOGIN).status_code)
fact("add")(lambda: post("/admin/driver/trip/add/", name="a"))
fact("change")(lambda: post(f"/admin/driver/trip/{Trip.objects.get().pk}/change/", name="b"))
fact("change_list")(lambda: post("/admin/driver/trip/", **FORM, _save=1, **{
    "form-0-id": Trip.objects.get().pk, "form-0-name": "c"}))
fact("name")(lambda: Trip.objects.get().name)
fact("delete")(lambda: post(f"/admin/driver/trip/{Trip.objects.get().pk}/delete/", post="yes"))
Trip.objects.create(name="d")
fact("action")(lambda: post("/admin/driver/trip/", action="delete_selected", post="yes",
                            _selected_action=Trip.objects.get().pk))
fact("left")(Trip.objects.count)
fact("log")(lambda: LogEntry.objects.count())
for name in ("write", "covered", "decorated", "not_atomic"):
    fact(name)(lambda: get(f"/{name}/?name={name}"))


async def ask():
    client = AsyncClient(headers={"host": "localhost"})
    login = await client.post("/login/", LOGIN)
    try:
        answer = await client.get("/write/?name=asynchronous")
    except UncoveredWriteError as error:
        answer = error
    return login.status_code, getattr(answer, "status_code", type(answer).__name__)


@fact("asynchronous")
def _():
    "A server of ASGI runs the view in a thread, where the handler is not on the stack."
    return async_to_sync(ask)()


fact("logout")(lambda: post("/admin/logout/"))
"""


@pytest.fixture
def site(lite: Project) -> Project:
    """A project with an admin; the log is in the database of the users."""
    lite.installed_apps.insert(1, "django.contrib.admin")
    lite.settings_extra += '\nLOGIN_REDIRECT_URL = "/x"\n'
    lite.write("urls.py", URLS)
    lite.write("blocks.py", MIDDLEWARE)
    lite.manage("db_init", "--all-apps")
    return lite


DONE = {
    "login": 302,
    "admin_login": 302,
    "add": 302,
    "change": 302,
    "change_list": 302,
    "name": "c",
    "delete": 302,
    "action": 302,
    "left": 0,
    "log": 5,
    "covered": 200,
    "decorated": 200,
    "logout": 200,
}


def found_in_the_view(place: str) -> str:
    line = URLS.splitlines().index('    Trip.objects.create(name=request.GET["name"])') + 1
    return (
        f"driver.Trip is written to 'driver' at urls.py:{line}, inside atomic() on 'default'"
        f" ({place}). If that is rolled back, this write stays. Name both apps in one"
        " appdb_router.transaction.atomic(), write when it has committed, with on_commit(), or"
        " allow it: allow_writes('driver', reason=...)."
    )


def test_requests_and_the_admin(site: Project) -> None:
    assert ask(site, REQUESTS) == {
        **DONE,
        "write": 200,
        "not_atomic": 200,
        "asynchronous": [302, 200],
    }


def test_atomic_requests(site: Project) -> None:
    site.settings_extra += 'DATABASES["default"]["ATOMIC_REQUESTS"] = True\n'

    facts = ask(site, REQUESTS)

    assert facts == {
        **DONE,
        "write": found_in_the_view("ATOMIC_REQUESTS"),
        "not_atomic": 200,
        "asynchronous": [302, "UncoveredWriteError"],
    }


def test_atomic_requests_on_both_databases(site: Project) -> None:
    for alias in ("default", "driver"):
        site.settings_extra += f'DATABASES["{alias}"]["ATOMIC_REQUESTS"] = True\n'

    assert ask(site, REQUESTS) == {
        **DONE,
        "write": 200,
        "not_atomic": 200,
        "asynchronous": [302, 200],
    }


def test_a_block_in_a_middleware(site: Project) -> None:
    site.settings_extra += 'MIDDLEWARE += ["blocks.Blocks"]\n'

    facts = ask(site, REQUESTS)

    line = MIDDLEWARE.splitlines().index('        with atomic("notes"):') + 1
    found = found_in_the_view(f"{site.root / 'blocks.py'}:{line}")
    assert facts == {
        **DONE,
        "write": found,
        "not_atomic": found,
        "asynchronous": [302, "UncoveredWriteError"],
    }


TESTS = """
from django.contrib.auth.models import Group
from django.test import TestCase
from appdb_router import alias_for
from appdb_router.transaction import atomic
from appdb_router.uncovered import UncoveredWriteError
from driver.models import Trip


class Blocks(TestCase):
    databases = {alias_for("driver"), alias_for("auth")}

    @classmethod
    def setUpTestData(cls):
        Trip.objects.create(name="x")
        Group.objects.create(name="x")

    def test_writes(self):
        Trip.objects.create(name="y")
        Group.objects.create(name="y")

    def test_blocks(self):
        with atomic("driver", "auth"):
            self.test_writes()

    def test_uncovered(self):
        with self.assertRaises(UncoveredWriteError), atomic("driver"):
            self.test_writes()
        self.assertEqual(Trip.objects.get().name, "x")
"""


def test_test_cases(trips: Project) -> None:
    trips.write("driver/tests.py", TESTS)

    assert "Ran 3 tests" in trips.manage("test").stderr


WARNING = """
from django.contrib.auth.models import Group
from appdb_router.transaction import atomic


def write(name):
    Group.objects.create(name=name)


def work():
    with atomic("driver"):
        write("secret one")
        write("secret two")
"""


def test_warnings(lite: Project) -> None:
    guarded(lite, "warn").write("notes/work.py", WARNING)

    facts = ask(
        lite,
        PRELUDE
        + """
from notes import work


@fact("shown")
def _():
    with warnings.catch_warnings(record=True, action="default") as caught:
        work.work()
    [warning] = caught
    kind = warning.category.__name__, warning.message.write.model
    return kind, [warning.filename == work.__file__, warning.lineno], str(warning.message)


@fact("here")
def _():
    with warnings.catch_warnings(record=True, action="always") as caught:
        with atomic("driver"):
            write()
    return [caught[0].filename, caught[0].lineno == caught[0].message.write.line]


fact("written")(lambda: sorted(group.name for group in Group.objects.all()))
""",
    )

    lines = WARNING.splitlines()
    path = lite.root / "notes" / "work.py"
    line = 1 + lines.index("    Group.objects.create(name=name)")
    block = 1 + lines.index('    with atomic("driver"):')
    assert facts == {
        "shown": [
            ["UncoveredWriteWarning", "auth.Group"],
            [True, line],
            f"auth.Group is written to 'auth' at {path}:{line}, inside atomic() on 'driver'"
            f" ({path}:{block}). If that is rolled back, this write stays. Name both apps in one"
            " appdb_router.transaction.atomic(), write when it has committed, with on_commit(), or"
            " allow it: allow_writes('auth', reason=...).",
        ],
        "here": ["<string>", True],
        "written": ["group 2", "secret one", "secret two"],
    }


UNTOUCHED = """
import sys

import django
import django.db.models.sql.compiler as compiler
import django.db.transaction as transaction
from django.db.backends.base.base import BaseDatabaseWrapper

owners = [BaseDatabaseWrapper, transaction.Atomic, *(
    item for item in vars(compiler).values() if isinstance(item, type))]


def attributes():
    found = {(owner, name): item for owner in owners for name, item in vars(owner).items()}
    return found | {(transaction, name): item for name, item in vars(transaction).items()}


before = attributes()
django.setup()
from appdb_router.relations.hooks import hooks
from appdb_router.transaction import atomic

for_relations = set(hooks())
after = attributes()
differing = {
    key
    for key in before.keys() | after.keys()
    if before.get(key) != after.get(key)
    # Those for relations have nothing to do with it.
    and not for_relations & {*getattr(after.get(key), "appdb_router_hooks", ())}
}
with atomic("driver") as block, atomic("driver"):
    marked = [vars(block) for block in django.db.connections["driver"].atomic_blocks]
print(sorted(f"{owner.__name__}.{name}" for owner, name in differing), len(set(map(len, marked))))
print(sorted({name for block in marked for name in block}))
"""
ATTRIBUTES = ["_from_testcase", "durable", "savepoint", "using"]


@pytest.mark.parametrize("setting", ["{}", '{"TRANSACTION_GUARD": "off"}'])
def test_switched_off_it_touches_nothing(lite: Project, setting: str) -> None:
    lite.settings_extra = f"APPDB_ROUTER = {setting}"

    result = lite.python(UNTOUCHED, setup=False)

    assert result.stdout == f"[] 1\n{ATTRIBUTES}\n"


def test_switched_on_it_touches_what_it_names(lite: Project) -> None:
    result = lite.python(UNTOUCHED, setup=False)

    hooked = sorted(".".join(hook.path.split(".")[-2:]) for hook in HOOKS)
    assert result.stdout == f"{hooked} 1\n{sorted([*ATTRIBUTES, '_appdb_router_origin'])}\n"


def test_what_is_hooked_is_there() -> None:
    """Where this fails, Django has moved it: see `appdb_router.transaction_hooks`."""
    assert len([hook.find() for hook in HOOKS]) == (5 if django.VERSION >= (6, 1) else 4)


def test_no_way_to_write_is_forgotten() -> None:
    """Where this fails, Django has got another method that sends a write."""
    from django.db.models.sql import compiler

    names = {
        f"{owner.__module__}.{owner.__qualname__}.{name}"
        for owner in (
            compiler.SQLInsertCompiler,
            compiler.SQLUpdateCompiler,
            compiler.SQLDeleteCompiler,
        )
        for name in dir(owner)
        if name.startswith("execute")
    }
    assert names == {hook.path for hook in HOOKS if hook.name.startswith("execute")}


def test_another_reaction(lite: Project) -> None:
    facts = ask(
        lite,
        PRELUDE
        + """
from appdb_router.transaction_hooks import install

def write_inside():
    with atomic("driver"):
        return found(write)


fact("raised")(lambda: write_inside()[0])
install("warn")


@fact("warned")
def _():
    with warnings.catch_warnings(record=True, action="always") as caught:
        write_inside()
    return len(caught)
""",
    )

    assert facts == {"raised": "auth.Group", "warned": 1}


def test_errors_survive_the_way_between_processes() -> None:
    write = UncoveredWrite("auth.User", "auth", (OpenBlock("driver", ""),), "views.py", 3)

    error = pickle.loads(pickle.dumps(UncoveredWriteError(write)))  # noqa: S301

    assert (error.write, str(error)) == (write, str(write))
