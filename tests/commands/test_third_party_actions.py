"""What people do with apps of the community, split off: the table of the documentation is true."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable

import pytest

from tests.commands.test_third_party import OUTCOMES, PAGE, SUCCEEDS
from tests.docs.markdown import part, read
from tests.support.project import Project
from tests.support.servers import Server
from tests.support.third_party import PACKAGES, install
from tests.support.third_party_actions import PROGRAM, STOPPED, add_library, prepare

# What every package does, and the columns of the first table.
EVERYWHERE = {"create": "works", "object": "works", "column": "refused"}
COLUMNS = ("list", "search", "delete", "user")
NOTHING = "—"

Facts = dict[str, dict[str, str]]


def table(name: str) -> list[list[str]]:
    """Return the rows of a table of the page, without the marks of code."""
    lines = part(read(PAGE), name).replace("`", "").strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def in_the_admin() -> Facts:
    rows = {package: dict(zip(COLUMNS, cells, strict=True)) for package, *cells in table("admin")}
    return {
        package: {key: said for key, said in cells.items() if said != NOTHING}
        for package, cells in rows.items()
    }


def besides(column: int) -> Facts:
    """Return the second table: apart from `auth`, or with it."""
    found: Facts = {}
    for package, action, *said in table("actions"):
        found.setdefault(package, {})[action] = said[column]
    return found


def ask(project: Project) -> Facts:
    """Create the databases, and do everything."""
    install(project)
    add_library(project)
    prepare(project)
    project.manage("db_init", "--all-apps", "--jobs=2", "--verbosity=0", timeout=200)
    result = project.python(PROGRAM, timeout=200)
    # Shown if the test fails: whatever was refused, and why.
    sys.stdout.write(result.stderr)
    facts: Facts = json.loads(result.stdout.rpartition("FACTS")[2])
    return facts


def test_all_that_succeed_are_asked() -> None:
    packages = OUTCOMES.keys() - {"Django"}

    assert {name for name in packages if OUTCOMES[name] != SUCCEEDS} == set(STOPPED)
    assert in_the_admin().keys() == besides(0).keys() == packages - set(STOPPED)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_each_package_apart_from_auth(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    labels = [PACKAGES[name].leader for name in OUTCOMES.keys() - {"Django", *STOPPED}]
    project.env = {
        f"{label.upper()}_DATABASE_URL": postgres.url(database_name(label))
        for label in ("library", *labels)
    }
    project.env["DATABASE_URL"] = postgres.url(database_name("main"))

    facts = ask(project)

    for package, found in facts.items():
        common = {name: found.pop(name) for name in EVERYWHERE if name in found}
        assert common.items() <= EVERYWHERE.items(), package
        assert found == in_the_admin()[package] | besides(0)[package], package
    assert facts.keys() == in_the_admin().keys()


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_all_packages_with_auth(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    project.env = {
        "DATABASE_URL": postgres.url(database_name("main")),
        "LIBRARY_DATABASE_URL": postgres.url(database_name("library")),
    }

    facts = ask(project)

    for package, found in facts.items():
        apart = in_the_admin()[package]
        for column in ("create", *COLUMNS):
            # Within one database nothing is refused but what the package itself forbids.
            said = found.pop(column, "works")
            assert said in {"works", apart.get(column)}, (package, column)
            assert re.search("refused|fails", said) is None, (package, column)
        assert found == besides(1)[package], package
