"""The public API: the names in `__all__`, documented on one page, and typed."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import DOCS, README, blocks, pages, read
from tests.support.project import REPOSITORY, bare_environment, describe

PACKAGE = REPOSITORY / "appdb_router"
PAGE = DOCS / "reference" / "api.md"
EXAMPLES = sorted((REPOSITORY / "tests" / "sample").glob("typed_*.py"))


def public_names() -> dict[str, list[str]]:
    """Return the public names by module: a module without `__all__` has none."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(read(path)).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                parts = path.relative_to(REPOSITORY).with_suffix("").parts
                found[".".join(parts).removesuffix(".__init__")] = ast.literal_eval(node.value)
    return found


PUBLIC = public_names()
QUALIFIED = {f"{module}.{name}" for module, names in PUBLIC.items() for name in names}


def test_the_modules_that_a_project_needs_are_public() -> None:
    modules = {"registry", "sessions", "detection", "repositories", "routers", "debug"}
    assert {f"appdb_router.{module}" for module in modules} < PUBLIC.keys()


def test_what_a_command_calls_is_public() -> None:
    called = {
        f"appdb_router.{node.module}"
        for path in (PACKAGE / "management" / "commands").glob("*.py")
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("services.")
        # Defaults of options are constants of whatever module they fit best.
        if not all(alias.name.isupper() for alias in node.names)
    }
    assert "appdb_router.services.initialising" in called
    assert called <= PUBLIC.keys()


@pytest.mark.once
@pytest.mark.slow
def test_one_page_shows_every_public_name_and_no_other(tmp_path: Path) -> None:
    source = tmp_path / "docs" / "reference"
    source.mkdir(parents=True)
    shutil.copy(PAGE, source)
    # The page includes a part of it.
    shutil.copy(README, tmp_path)
    alone = ["-c", str(DOCS), "-D", "root_doc=reference/api"]
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", *alone, str(tmp_path / "docs"), str(tmp_path)],
        env=bare_environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, describe(result)
    html = (tmp_path / "reference" / "api.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'<dt [^>]*id="(appdb_router\.[^"]+)"', html))
    assert {name for name in shown if parent_of(name) not in shown} == QUALIFIED


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_snippets_import_public_names_only(page: Path) -> None:
    imported = {
        f"{node.module}.{alias.name}"
        for item in blocks(read(page))
        if item.language == "python"
        for node in ast.walk(ast.parse(item.text))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("appdb_router")
        for alias in node.names
    }
    assert imported <= QUALIFIED


@pytest.fixture(scope="module")
def symbols(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What pyright knows of the package where it is installed beside django-stubs."""
    folder = tmp_path_factory.mktemp("installed")
    # An editable installation is found by an import hook, which no type checker runs.
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=ignored)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson"),
            *("--ignoreexternal", "--verifytypes", PACKAGE.name),
        ],
        cwd=folder,
        # For this purpose pyright ignores --pythonpath and asks the first Python on PATH.
        env={**bare_environment(), "PATH": path, "PYTHONPATH": str(folder)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    # The exit code is that of all symbols, private ones included.
    found = json.loads(result.stdout)["typeCompleteness"]
    assert found["packageRootDirectory"] == str(folder / PACKAGE.name)
    return [symbol for symbol in found["symbols"] if is_public(symbol["name"])]


def is_public(symbol: str) -> bool:
    return symbol in QUALIFIED or parent_of(symbol) in QUALIFIED


def parent_of(name: str) -> str:
    return name.rpartition(".")[0]


def test_the_types_of_all_public_names_are_known(symbols: list[dict[str, Any]]) -> None:
    assert len(symbols) > len(QUALIFIED)
    unknown = [
        symbol for symbol in symbols if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]
    ]
    assert unknown == []


def test_the_typed_examples_use_all_public_names(symbols: list[dict[str, Any]]) -> None:
    nodes = [node for path in EXAMPLES for node in ast.walk(ast.parse(read(path)))]
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names = {symbol["name"].rpartition(".")[2] for symbol in symbols}
    assert {name for name in names if not name.startswith("_")} - used == set()
