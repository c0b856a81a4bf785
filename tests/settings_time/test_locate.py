"""Locating modules without importing anything."""

from __future__ import annotations

import ast
import importlib.util
import sys
import zipfile
from pathlib import Path

import pytest

from appdb_router.locate import Locator, folder, locations
from tests.settings_time.conftest import Packages


@pytest.mark.parametrize(
    "name",
    ["django.contrib.auth.apps", "json", "json.decoder", "sys", "zipimport", "xml.etree"],
)
def test_finds_what_importlib_finds(name: str) -> None:
    found, expected = Locator().find(name), importlib.util.find_spec(name)

    assert found is not None
    assert expected is not None
    assert (found.name, found.origin) == (expected.name, expected.origin)


@pytest.mark.parametrize("name", ["nowhere", "json.nowhere", "json.decoder.x", "a b", "", "json."])
def test_finds_nothing(name: str) -> None:
    assert Locator().find(name) is None


def test_imports_nothing(packages: Packages) -> None:
    packages(
        "outer.inner", files={"apps.py": "raise SystemExit", "__init__.py": "raise SystemExit"}
    )
    locator = Locator()

    assert locator.find("outer.inner.apps") is not None
    assert locator.source("outer.inner.apps") is not None
    assert not [name for name in sys.modules if name.startswith("outer")]


def test_remembers(packages: Packages) -> None:
    locator = Locator()

    assert locator.find("late") is None
    packages("late")
    assert locator.find("late") is None
    assert Locator().find("late") is not None


def test_source(packages: Packages) -> None:
    package = packages("shop", files={"apps.py": "x = 'ä'\n"})

    found = Locator().source("shop.apps")

    assert found is not None
    assert found[0] == str(package / "apps.py")
    assert ast.unparse(ast.parse(found[1])) == "x = 'ä'"


@pytest.mark.parametrize("name", ["sys", "nowhere", "namespace"])
def test_no_source(tmp_path: Path, packages: Packages, name: str) -> None:
    (tmp_path / "namespace").mkdir()

    assert Locator().source(name) is None


def test_namespace_packages(tmp_path: Path, packages: Packages) -> None:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "inner" / "apps.py").touch()
    locator = Locator()

    inner = locator.find("outer.inner")
    apps = locator.find("outer.inner.apps")

    assert inner is not None
    assert apps is not None
    assert locations(inner) == [str(tmp_path / "outer" / "inner")]
    assert str(folder(inner)) == str(tmp_path / "outer" / "inner")
    assert str(folder(apps)) == str(tmp_path / "outer" / "inner")
    assert "outer" not in sys.modules


def test_folders(tmp_path: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    packages("shop")
    (tmp_path / "single.py").touch()
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("zipped/__init__.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))
    locator = Locator()

    found = {name: locator.find(name) for name in ("shop", "single", "zipped", "sys")}

    assert {name: str(folder(spec)) for name, spec in found.items() if spec} == {
        "shop": str(tmp_path / "shop"),
        "single": str(tmp_path),
        "zipped": str(tmp_path / "packed.zip" / "zipped"),
        "sys": "None",
    }
