"""Fixtures: packages in a temporary folder, and databases built from them in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import dj_database_url
import pytest

from appdb_router import build_databases
from appdb_router.databases import METADATA

POSTGRES = "postgresql://app:secret@db1:5432/"


class Packages(Protocol):
    """Writes an app's package: ``name``, its ``database.py``, and other files by path."""

    def __call__(
        self,
        name: str,
        database: str | None = None,
        files: Mapping[str, str] | None = None,
        root: Path | None = None,
    ) -> Path: ...


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """A writer of packages in ``tmp_path``, which is on ``sys.path``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(
        name: str,
        database: str | None = None,
        files: Mapping[str, str] | None = None,
        root: Path | None = None,
    ) -> Path:
        package = root or tmp_path
        for part in name.split("."):
            package = package / part
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").touch()
        contents = {**(files or {}), **({} if database is None else {"database.py": database})}
        for path, text in contents.items():
            target = package / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        return package

    return write


class Builder:
    """Calls ``build_databases`` for the packages that it makes, without any real environment."""

    def __init__(self, base_dir: Path, packages: Packages) -> None:
        self.base_dir = base_dir
        self._packages = packages

    def __call__(
        self,
        apps: Mapping[str, str | None],
        env: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> dict[str, dict[str, Any]]:
        """Build for ``apps``, which gives by package name the text of its ``database.py``."""
        for name, database in apps.items():
            if not name.startswith("django."):
                self._packages(name, database)
        arguments = {"default": POSTGRES + "main", "base_dir": self.base_dir, **arguments}
        return build_databases(list(apps), env=env or {}, **arguments)


@pytest.fixture
def build(tmp_path: Path, packages: Packages) -> Builder:
    return Builder(tmp_path, packages)


@pytest.fixture
def registered() -> Iterator[dict[str, dj_database_url.Engine]]:
    """The schemes of dj-database-url; what a test adds is removed again."""
    before = dict(dj_database_url.ENGINE_SCHEMES)
    yield dj_database_url.ENGINE_SCHEMES
    dj_database_url.ENGINE_SCHEMES.clear()
    dj_database_url.ENGINE_SCHEMES.update(before)


def metadata(databases: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {alias: setting[METADATA] for alias, setting in databases.items()}


def findings(databases: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = metadata(databases)["default"]["project"]["findings"]
    return found


def routes(databases: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the labels by alias."""
    return {alias: entry["labels"] for alias, entry in metadata(databases).items()}
