"""Everything that a user can write or meet is in the documentation."""

import ast
import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields

import pytest

from appdb_router import (
    build_databases,
    conf,
    database_module,
    database_url,
    engines,
    exceptions,
    outages,
    pools,
    pytest_plugin,
    testing,
    uncovered,
)
from appdb_router.moves import errors
from appdb_router.naming import REHEARSE_VARIABLE
from appdb_router.rehearsal import report
from appdb_router.rehearsal.findings import Failure, Finding, Kind
from appdb_router.services import budget
from tests.docs.markdown import README, missing, part, read, section
from tests.support.project import REPOSITORY, Project

TEXT = read(README)

COMMANDS = """
    import contextlib
    import json
    import pkgutil

    from django.core.management import BaseCommand, get_commands, load_command_class

    import appdb_router.management.commands as package

    def options(command):
        parser = command.create_parser("manage.py", "x")
        expand = parser._get_formatter()._expand_help
        return {action.option_strings[-1]: expand(action) for action in parser._actions
                if action.option_strings}

    found = {}
    for _, name, _ in pkgutil.iter_modules(package.__path__):
        command = load_command_class("appdb_router", name)
        base = BaseCommand()
        for app in ("django.contrib.auth", "django.core"):
            with contextlib.suppress(ModuleNotFoundError):
                base = load_command_class(app, name)
        inherited = options(base).items()
        own = dict(item for item in options(command).items() if item not in inherited)
        found[name] = {"help": command.help, "options": own}
    print(json.dumps(found))
"""


@pytest.fixture
def commands(project: Project) -> dict[str, dict[str, dict[str, str]]]:
    """Help and own options of every command, as `manage.py` shows them."""
    # The help of --database names the alias, which differs from Django's only if it has one.
    project.env["AUTH_DATABASE_URL"] = "sqlite:///auth.sqlite3"
    found: dict[str, dict[str, dict[str, str]]] = json.loads(project.python(COMMANDS).stdout)
    return found


def test_every_command_and_option(commands: dict[str, dict[str, dict[str, str]]]) -> None:
    text = part(TEXT, "commands")
    assert {
        "db_cascade",
        "db_check",
        "db_compare",
        "db_list",
        "db_init",
        "db_plan",
        "dumpdata",
        "createsuperuser",
        "changepassword",
    } <= commands.keys()
    assert missing(commands, text) == []
    assert all(command["options"] for command in commands.values())
    for name, command in commands.items():
        [title] = [line[4:] for line in text.splitlines() if re.match(rf"### .*`{name}`", line)]
        assert missing(command["options"], section(text, title)) == [], name


@pytest.mark.parametrize(
    "name", ["db_cascade", "db_check", "db_compare", "db_list", "db_init", "db_plan"]
)
def test_the_help_is_that_of_the_documentation(
    commands: dict[str, dict[str, dict[str, str]]], name: str
) -> None:
    text = section(part(TEXT, "commands"), f"`{name}`")
    assert str(commands[name]["help"]) in text
    rows = re.findall(r"^\| `(--[\w-]+)[^`]*` \| (.*) \|$", text, re.M)
    assert dict(rows) == commands[name]["options"]


def test_every_argument_of_build_databases_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*?)\|", part(TEXT, "builder"), re.M))
    parameters = inspect.signature(build_databases).parameters
    assert rows.keys() == parameters.keys()
    for name, parameter in parameters.items():
        shown = rows[name].strip().strip("`")
        default = parameter.default
        assert (not shown) if default is parameter.empty else ast.literal_eval(shown) == default


def test_every_check() -> None:
    modules = (REPOSITORY / "appdb_router").glob("*checks.py")
    sources = [module.read_text(encoding="utf-8") for module in modules]
    ids = [name for text in sources for name in re.findall(r"appdb_router\.[EW]\d{3}", text)]
    assert len(sources) == 2
    assert ids
    assert missing(ids, part(TEXT, "checks")) == []


def test_every_key_of_the_setting() -> None:
    assert conf._OPTIONS
    assert missing(conf._OPTIONS, part(TEXT, "options")) == []


def test_every_key_of_the_circuit_breaker_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", part(TEXT, "options"), re.M))
    rows.pop("THREADS")
    defaults = {item.name.upper(): str(item.default) for item in fields(conf.CircuitOptions)}
    assert rows == defaults
    assert rows.keys() == conf._CIRCUIT_BREAKER


def test_every_field_of_a_budget() -> None:
    server = budget.ServerBudget((), (), (), {}, is_pooler=False)
    names = {
        *budget.Budget(1, 1, (server,), {}).as_dict(),
        *server.as_dict(),
        *(field.name for kind in (budget.Demand, budget.Limit) for field in fields(kind)),
    }
    assert missing(names, section(part(TEXT, "commands"), "Connections")) == []


def test_every_part_of_a_report() -> None:
    finding = Finding(Kind.JOIN, ("a.A", "b.B"), ("a", "b"), "", "", 0)
    failure = Failure("test", "Error", "", 0, is_known=False)
    document = report.Report(["a"], [finding], [failure]).as_dict()
    names = {
        REHEARSE_VARIABLE,
        *document,
        *document["findings"][0],
        *document["findings"][0]["places"][0],
        *document["failures"][0],
        *map(str, Kind),
    }
    text = part(TEXT, "rehearsal")
    assert missing(names, text) == []
    rows = re.findall(r"^\| `--appdb-report FORMAT` \| (.*) \|$", text, re.M)
    assert rows == [report.OPTION_HELP] == [pytest_plugin.OPTION_HELP]


def test_every_helper_of_tests() -> None:
    assert missing([*testing.__all__, "appdb_assert_num_queries"], part(TEXT, "testing")) == []
    assert testing.__name__ in part(TEXT, "testing")


def test_every_exception() -> None:
    names = [
        name
        for module in (errors, exceptions, outages, uncovered)
        for name, item in vars(module).items()
        if inspect.isclass(item) and item.__module__ == module.__name__
        if issubclass(item, Exception)
    ]
    assert {"ConfigurationError", "CircuitOpenError"} <= set(names)
    assert missing(names, part(TEXT, "exceptions")) == []


def test_every_variable_of_the_example() -> None:
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^#?([A-Z_]+)=", example, re.M)
    assert names
    assert missing(names, section(TEXT, "The sample project")) == []


def test_every_name_in_a_database_module() -> None:
    names = {
        *database_module.SOURCE_NAMES,
        *database_module.TUNING_TYPES,
        *database_module.DATABASE_KEYS,
        *pools.ENGINE_OPTION_NAMES,
    }
    assert missing(names, part(TEXT, "module")) == []


def test_every_parameter_of_a_url() -> None:
    names = {
        "conn_max_age",
        "connect_timeout",
        "currentSchema",
        "ssl-ca",
        *database_url._BOOLEAN_SETTINGS,
        *database_url._HOISTED,
        *pools.QUERY_NAMES,
        *engines.POSTGRESQL.options,
        *engines.MYSQL.options,
        *engines.SQLITE.options,
    }
    assert missing(names, part(TEXT, "urls")) == []


def test_every_scheme() -> None:
    # In a process of its own: a test may have registered a scheme in this one.
    code = "import dj_database_url as d; print(*d.ENGINE_SCHEMES)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    names = {*result.stdout.decode().split(), *database_url._SCHEME_ALIASES}
    assert missing(names, part(TEXT, "urls")) == []
