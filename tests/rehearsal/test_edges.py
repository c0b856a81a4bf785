"""Rehearsals off the beaten track: scripts, runners and checks of the project, what is hooked."""

from __future__ import annotations

import json
import tomllib
from textwrap import dedent

import django
import pytest

from appdb_router.exceptions import ConfigurationError
from appdb_router.rehearsal.hooking import HOOKS, find
from tests.rehearsal.suite import write
from tests.support.project import REPOSITORY, Project, describe

MODELS = "class Trip(models.Model):\n    name = models.CharField(max_length=20)\n"
TESTS = """\
from django.test import TestCase
from driver.models import Trip


class Trips(TestCase):
    def test_one(self):
        Trip.objects.create(name="one")
        self.assertEqual(Trip.objects.get().name, "one")
"""


@pytest.fixture
def trips(project: Project) -> Project:
    """A project with a test that passes before and after a split."""
    project.app("driver", models=MODELS, files={"tests.py": TESTS})
    project.makemigrations("driver")
    project.env["APPDB_REHEARSE"] = "all"
    return project


# What Django itself says if no check finds anything.
FINE = "System check identified no issues (0 silenced).\n"
NOTHING = "\nNothing breaks with databases of their own for driver.\n"

SCRIPT = """\
import os
import sys

import django
from django.conf import settings
from appdb_router.running import declare_test_run

if __name__ == "__main__":
    if "declare" in sys.argv:
        declare_test_run()
    django.setup()
    from django.test.utils import get_runner

    sys.exit(get_runner(settings)(verbosity=0).run_tests(["driver"]))
"""


def test_a_script_says_that_it_runs_tests(trips: Project) -> None:
    trips.write("run.py", SCRIPT)

    refused = trips.module("run", check=False)
    result = trips.module("run", "declare")

    assert "APPDB_REHEARSE is set, and this is no test run" in refused.stderr
    assert result.stdout == FINE + NOTHING


RUNNERS = """\
from unittest import TextTestResult

from django.test.runner import DiscoverRunner
from appdb_router.rehearsal.runner import RehearsalRunner


class Result(TextTestResult):
    def addSuccess(self, test):
        super().addSuccess(test)
        print("success:", test.id())


class Own(DiscoverRunner):
    @classmethod
    def add_arguments(cls, parser):
        super().add_arguments(parser)
        parser.add_argument("--own", action="store_true")

    def __init__(self, own, **kwargs):
        super().__init__(**kwargs)
        print("own:", own)

    def get_resultclass(self):
        return Result


class Derived(RehearsalRunner):
    pass


class Foreign:
    def __init__(self, **kwargs):
        pass

    def run_tests(self, labels, **kwargs):
        print(labels, self.__class__.__mro__[1:])
"""


def test_runners_of_the_project(trips: Project) -> None:
    trips.write("runners.py", RUNNERS)
    run = ("test", "-v0", "--testrunner")

    own = trips.manage(*run, "runners.Own", "--own", "--appdb-report=json")
    derived = trips.manage(*run, "runners.Derived")
    foreign = trips.manage(*run, "runners.Foreign", "driver")
    trips.env.clear()
    without = trips.manage(*run, "runners.Derived", "--appdb-report=json")

    own_lines, success, document = own.stdout.partition("success: driver.tests.Trips.test_one\n")
    assert (own_lines, bool(success)) == (f"own: True\n{FINE}", True)
    assert json.loads(document) == {"rehearsed": ["driver"], "findings": [], "failures": []}
    assert derived.stdout == FINE + NOTHING
    assert foreign.stdout == "('driver',) (<class 'object'>,)\n"
    assert without.stdout == FINE


CHECK = """\
from django.core.checks import Error, register


@register()
def broken(**kwargs):
    return [Error("It is broken.", id="driver.E001")]
"""


def test_a_failing_check_is_shown_and_the_tests_are_run(trips: Project) -> None:
    with (trips.root / "driver" / "models.py").open("a", encoding="utf-8") as models:
        models.write(CHECK)

    result = trips.manage("test", "-v0")
    trips.env.clear()
    without = trips.manage("test", "-v0", "--testrunner", "runners.Derived", check=False)
    trips.write("runners.py", RUNNERS)
    derived = trips.manage("test", "-v0", "--testrunner", "runners.Derived", check=False)

    assert result.stdout == NOTHING
    assert "(driver.E001) It is broken." in result.stderr
    assert "The tests are run all the same." in result.stderr
    assert (without.returncode, derived.returncode) == (1, 1)
    assert "It is broken." in derived.stderr
    assert "all the same" not in derived.stderr


def test_processes_without_tblib(trips: Project) -> None:
    trips.write("tblib.py", "raise ImportError")

    result = trips.manage("test", "--parallel=2", check=False)

    assert result.returncode == 1
    assert result.stderr == (
        "CommandError: Some tests of a rehearsal are expected to fail, and Django takes no failure"
        " from other processes without tblib. Install it (python -m pip install tblib), or leave"
        " out --parallel.\n"
    )


def test_no_database_is_made_for_tests_that_use_none(trips: Project) -> None:
    trips.write(
        "driver/tests.py",
        """
        from django.db import connections
        from django.test import SimpleTestCase


        class Simple(SimpleTestCase):
            def test_settings(self):
                self.assertEqual(connections["driver"].settings_dict["NAME"], ":memory:")
        """,
    )

    result = trips.manage("test", "-v2")

    assert "Creating test database" not in result.stderr
    assert result.stdout.endswith(NOTHING)


def test_a_wrong_format(trips: Project) -> None:
    for value in ("xml", "json:", "text:file"):
        result = trips.manage("test", f"--appdb-report={value}", check=False)

        assert result.returncode == 2
        assert f"--appdb-report: {value!r} is not one of text, json or json:FILE." in result.stderr


PLACES = """
import sys

from appdb_router.running import declare_test_run

declare_test_run()
sys.path.insert(0, "site-packages")
import django
from django.db import connections

django.setup()
import library
from appdb_router.rehearsal import watching
from appdb_router.rehearsal.findings import Finding, Kind, notes
from django.core.management import call_command
from driver.models import Trip
from riders.models import Rider

watching.start()
for alias in connections:
    call_command("migrate", database=alias, verbosity=0)


def places(function, *args):
    try:
        function(*args)
    except Exception as error:
        name = type(error).__name__
    return name, [(item.kind.value, item.file, item.line, item.models) for item in notes.take()]


joined = Trip.objects.filter(rider__name="x")
print(places(list, joined))
print(places(library.evaluate, joined))
print(places(list, Trip.objects.filter(rider__in=Rider.objects.filter(name="x"))))
print(places(joined.union(Rider.objects.all()).count))
print(places(library.evaluate, Rider.objects.raw("SELECT * FROM driver_trip, riders_rider")))
print(places(connections["default"].cursor().execute, "SELECT nothing"))
with connections["default"].execute_wrapper(lambda execute, *args: execute(*args)):
    connections["default"].close()
    print(places(list, Trip.objects.using("default")))
print(connections["default"].execute_wrappers == [watching._note_failing])

# What a process of `manage.py test --parallel` does, without leaving this one.
from django.test.runner import RemoteTestRunner
from unittest import TestCase, TestSuite


class Joined(TestCase):
    def test_one(self):
        list(joined)


notes.add(Finding(Kind.JOIN, (), (), "of the process that forked", "", 0))
[_, *_, (name, index, found)] = RemoteTestRunner().run(TestSuite([Joined("test_one")])).events
print(name, index, [(item.message[:11], item.test) for item in found])
"""


def test_places_and_models(project: Project) -> None:
    write(project)
    project.write("site-packages/library.py", "def evaluate(query):\n    return list(query)\n")
    project.env["APPDB_REHEARSE"] = "driver"

    result = project.python(PLACES, setup=False)

    library = ("site-packages/library.py", 2)
    both = ("driver.Trip", "riders.Rider")
    assert result.stdout.splitlines() == [
        str(("CrossingQueryError", [("join", "", 0, both)])),
        str(("CrossingQueryError", [("join", *library, both)])),
        str(("CrossingQueryError", [("join", "", 0, both)])),
        str(("CrossingQueryError", [("join", "", 0, both)])),
        str(("OperationalError", [("sql", *library, (None, "driver.Trip"))])),
        str(("OperationalError", [])),
        str(("OperationalError", [("sql", "", 0, (None, "driver.Trip"))])),
        "True",
        "addFindings 0 [('driver.Trip', '__main__.Joined.test_one')]",
    ]


def test_what_is_hooked_is_there() -> None:
    """Where this fails, Django has moved it: see `appdb_router.rehearsal.hooking`."""
    for path, (_, names) in HOOKS.items():
        owner, name, function = find(path, names)
        assert callable(function)
        assert hasattr(owner, name)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("django.test.utils.get_runners", ("settings",)),
        ("django.test.utils.get_runner", ("project",)),
        ("django.tests.utils.get_runner", ("settings",)),
        ("django.test.runner.LocalTestRunner.run", ("self", "test")),
    ],
)
def test_what_has_moved_is_named(path: str, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        find(path, names)

    assert str(raised.value) == (
        f"Django {django.get_version()} has no '{path}({', '.join(names)})', which a rehearsal"
        " depends on. Unset APPDB_REHEARSE, and look for a newer appdb_router."
    )


def test_nothing_is_hooked_without_the_variable(trips: Project) -> None:
    code = dedent(
        """
        import django, sys, unittest
        from django.test import testcases, utils
        before = [testcases.SimpleTestCase._validate_databases.__func__, utils.setup_databases,
                  utils.get_runner, unittest.TestCase.run]
        django.setup()
        after = [testcases.SimpleTestCase._validate_databases.__func__, utils.setup_databases,
                 utils.get_runner, unittest.TestCase.run]
        print(before == after, [name for name in sys.modules if "appdb_router.rehearsal" in name])
        """
    )
    trips.env.clear()

    assert trips.python(code, setup=False).stdout == "True []\n"


def test_the_plugin_is_declared() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["entry-points"]["pytest11"]

    assert declared == {"appdb_router": "appdb_router.pytest_plugin"}


def pytest_in(project: Project, *args: str, plugin: bool = True) -> tuple[int, str, str]:
    chosen = ["-p", "appdb_router.pytest_plugin"] if plugin else []
    result = project.module(
        "pytest",
        *("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:appdb_router"),
        *chosen,
        *args,
        check=False,
    )
    return result.returncode, result.stdout, describe(result)


LIGHT = """\
import sys

NEEDED = ["naming", "pytest_plugin", "running"]


def test_nothing_is_loaded():
    ours = {name for name in sys.modules if name.startswith("appdb_router")}
    assert ours == {"appdb_router", *map("appdb_router.{}".format, NEEDED)}
    assert not [name for name in sys.modules if name.partition(".")[0] == "django"]
"""


def test_the_plugin_without_django(project: Project) -> None:
    project.write("test_light.py", LIGHT)
    arguments = ("-p", "no:django", "test_light.py")

    code, text, whole = pytest_in(project, *arguments)
    assert (code, "1 passed" in text) == (0, True), whole

    project.env["APPDB_REHEARSE"] = "all"
    project.write("test_light.py", "def test_nothing():\n    pass\n")
    _, text, _ = pytest_in(project, *arguments)
    assert "APPDB_REHEARSE is set, but nothing was rehearsed: no test ran with settings" in text
    code, _, whole = pytest_in(project, *arguments, "--appdb-report=xml")
    assert code == 4
    assert "--appdb-report: 'xml' is not one of text, json or json:FILE." in whole


def test_pytest_without_the_plugin(trips: Project) -> None:
    code, _, whole = pytest_in(trips, "driver/tests.py", plugin=False)

    assert code != 0
    assert "APPDB_REHEARSE is set, and this is no test run" in whole


CONFTEST = """\
import pytest


@pytest.fixture(scope="session", autouse=True)
def databases():
    import django

    django.setup()
    from django.test.utils import (
        setup_databases,
        setup_test_environment,
        teardown_databases,
        teardown_test_environment,
    )

    setup_test_environment()
    config = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    yield
    teardown_databases(config, verbosity=0)
    teardown_test_environment()
"""


def test_pytest_without_pytest_django(trips: Project) -> None:
    trips.write("conftest.py", CONFTEST)
    trips.write(
        "test_late.py",
        """
        import unittest


        def test_trips():
            from driver.tests import Trips

            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(Trips).run(result)
            assert (result.testsRun, result.errors, result.failures) == (1, [], [])
        """,
    )

    code, text, whole = pytest_in(trips, "-p", "no:django", "test_late.py")

    assert (code, "Nothing breaks with databases of their own for driver." in text) == (0, True), (
        whole
    )
