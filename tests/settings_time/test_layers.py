"""The layers: imports go one way, and what runs while settings load touches nothing of Django."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import appdb_router
from tests.support.project import Project

PACKAGE = Path(appdb_router.__file__).parent
ISLAND = {
    "__init__",
    "database_module",
    "database_url",
    "databases",
    "direct",
    "discovery",
    "engines",
    "env_file",
    "exceptions",
    "groups",
    "labels",
    "locate",
    "move_sources",
    "naming",
    "physical",
    "pools",
    "rehearsed",
    "resolution",
    "running",
    "tuning",
    "variables",
}
LIBRARIES = {"dj_database_url", "environ"}
# The one thing that the island names and does not import itself, see ``__init__``.
LAZY = ("__init__", "aliases")
Graph = dict[str, set[str]]


def sources(package: Path) -> dict[str, Path]:
    """Return the modules of a package by their name in it; a folder's module has its name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def imported(package: Path) -> tuple[Graph, Graph]:
    """Return for each module what it imports from the package, and from elsewhere."""
    modules = sources(package)
    inside: Graph = {name: set() for name in modules}
    outside: Graph = {name: set() for name in modules}
    for name, path in modules.items():
        parts = [] if name == "__init__" else name.split(".")
        if path.name != "__init__.py":
            parts = parts[:-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                outside[name].update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                outside[name].add(str(node.module))
            elif isinstance(node, ast.ImportFrom):
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    whole = f"{base}.{alias.name}".lstrip(".")
                    inside[name].add(whole if whole in modules else base or "__init__")
    return inside, outside


def remainder(graph: Graph) -> Graph:
    """Peel off the modules that import nothing that is left; what remains is in circles."""
    left = {name: imports - {name} for name, imports in graph.items()}
    while leaves := [name for name, imports in left.items() if not imports & left.keys()]:
        for name in leaves:
            del left[name]
    return left


def test_there_are_no_circles() -> None:
    inside, _ = imported(PACKAGE)

    # ``alias_for`` is looked up when it is asked for, long after the package was imported.
    inside[LAZY[0]].discard(LAZY[1])

    assert set().union(*inside.values()) <= inside.keys()
    assert remainder(inside) == {}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("exceptions.py", "from .databases import build_databases"),
        ("naming.py", "from . import variables"),
        ("locate.py", "def f():\n    from .labels import LabelReader"),
        ("topology.py", "if TYPE_CHECKING:\n    from .routers import AppDatabaseRouter"),
    ],
)
def test_a_circle_is_found(tmp_path: Path, path: str, line: str) -> None:
    copy = tmp_path / "appdb_router"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / path).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")

    inside, _ = imported(copy)
    inside[LAZY[0]].discard(LAZY[1])

    assert Path(path).stem in remainder(inside)


@pytest.mark.parametrize("name", sorted(ISLAND))
def test_the_island_imports_next_to_nothing(name: str) -> None:
    inside, outside = imported(PACKAGE)

    allowed = ISLAND | ({LAZY[1]} if name == LAZY[0] else set())
    assert inside[name] <= allowed
    foreign = {module for module in outside[name] if module.split(".")[0] not in STANDARD}
    assert foreign <= LIBRARIES | {"django.core.exceptions"}


STANDARD = sys.stdlib_module_names


def test_the_run_time_takes_nothing_of_the_island_but_the_errors() -> None:
    inside, outside = imported(PACKAGE)

    taken = {
        name: modules & ISLAND - {"exceptions"}
        for name, modules in inside.items()
        if name not in ISLAND and modules & ISLAND - {"exceptions"}
    }

    # Registering a database is building it, at the one other time that there is. And pytest's
    # plugin is there before there are settings.
    assert taken == {"registering": {"databases"}, "pytest_plugin": {"naming", "running"}}
    assert not [name for name, modules in outside.items() if "appdb_router" in modules]


def test_nobody_imports_the_commands() -> None:
    inside, _ = imported(PACKAGE)

    importers = {
        name
        for name, modules in inside.items()
        if any(module.startswith("management.commands") for module in modules)
        and not name.startswith("management.commands")
    }

    assert importers == set()


@pytest.mark.parametrize("name", sorted(ISLAND))
def test_each_module_of_the_island_can_be_imported_alone(name: str) -> None:
    module = "appdb_router" if name == "__init__" else f"appdb_router.{name}"
    code = (
        f"import sys, {module}\n"
        "bad = ('django.apps', 'django.db', 'django.conf', 'django.core.checks')\n"
        "print([name for name in sys.modules if name.startswith(bad)])"
    )

    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "[]\n"


def test_building_touches_nothing_of_django(project: Project) -> None:
    project.app("driver", models="raise SystemExit", files={"database.py": "CONN_MAX_AGE = 5\n"})
    project.write("package/__init__.py", "raise SystemExit")
    project.write("package/app/__init__.py", "raise SystemExit")
    project.write(".env", "DRIVER_DATABASE_URL=sqlite:///driver.sqlite3\n")

    result = project.python(
        """
        import os
        import sys

        from appdb_router import build_databases, read_env

        os.environ["DJANGO_SETTINGS_MODULE"] = "no.such.settings"
        read_env(".env")
        before = set(sys.modules)
        databases = build_databases(
            ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
             "driver", "package.app"],
            base_dir=".",
            default="sqlite:///db.sqlite3",
        )
        print(sorted(databases))
        print(sorted(set(sys.modules) - before))
        print([name for name in sys.modules
               if name.startswith(("django.apps", "django.db", "django.conf", "django.contrib"))])
        from django.conf import settings
        print(settings.configured)
        """,
        setup=False,
    )

    assert result.stdout == "['default', 'driver']\n[]\n[]\nFalse\n"


def test_exports() -> None:
    assert appdb_router.__all__ == ["alias_for", "build_databases", "read_env"]


def test_alias_for_is_looked_up_when_it_is_asked_for(project: Project) -> None:
    result = project.python(
        """
        import sys
        import appdb_router

        before = "appdb_router.aliases" in sys.modules
        from appdb_router import alias_for
        from appdb_router.aliases import alias_for as same

        print(before, alias_for is same, appdb_router.alias_for is same)
        """,
        setup=False,
    )

    assert result.stdout == "False True True\n"


def test_the_package_exports_alias_for() -> None:
    from appdb_router.aliases import alias_for

    assert appdb_router.alias_for is alias_for


def test_nothing_else_is_exported() -> None:
    with pytest.raises(AttributeError) as raised:
        _ = appdb_router.alias_from

    assert str(raised.value) == "module 'appdb_router' has no attribute 'alias_from'"


# Apps that belong to Django, or to the sample project, and may not be known by name.
OTHERS = set(
    re.findall(
        r"\w+",
        """
        accounts blog billing car driver flatpages humanize invoices messages order payment
        redirects sessions shop sitemaps sites staticfiles syndication trip users
        """,
    )
)


def test_no_source_file_names_an_app() -> None:
    named = {}
    for name, path in sources(PACKAGE).items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        docs = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        words = {
            word
            for text in texts - docs
            if isinstance(text, str)
            for word in re.findall(r"[a-z_]+", text)
        }
        if found := words & OTHERS:
            named[name] = found

    assert named == {}
