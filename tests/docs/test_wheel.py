"""The wheel: what it holds, and a blank project that follows the README's lines with it."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.docs.markdown import README, block, read
from tests.docs.walkthrough import run, without_databases
from tests.support.project import REPOSITORY

# Building and installing ask the package index.
pytestmark = [pytest.mark.once, pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT_NAME = "django-appdb-router"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building leaves folders in the source."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(
        REPOSITORY,
        source,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(
            ".*", "*.egg-info", "*.sqlite3", "__pycache__", "build", "dist", "htmlcov", "site"
        ),
    )
    target = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(target), cwd=source, env={})
    [built] = target.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_only(wheel: Path) -> None:
    assert wheel.name.startswith(f"{PROJECT_NAME.replace('-', '_')}-")
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.partition("/")[0] for name in names}
    [information] = [root for root in roots if root.endswith(".dist-info")]
    assert roots == {"appdb_router", information}
    assert "appdb_router/py.typed" in names
    modules = {
        str(path.relative_to(REPOSITORY).as_posix())
        for path in (REPOSITORY / "appdb_router").rglob("*.py")
    }
    assert modules == {name for name in names if name.endswith(".py")}
    assert f"{information}/licenses/LICENSE" in names


def test_a_blank_project_follows_the_readme(wheel: Path, tmp_path: Path) -> None:
    readme = read(README)
    run(sys.executable, "-m", "venv", str(tmp_path / "venv"), cwd=tmp_path, env={})
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    env = {"PATH": os.pathsep.join([str(scripts), os.environ["PATH"]])}

    def shell(text: str) -> str:
        return run("bash", "-e", "-c", text, cwd=tmp_path, env=env)

    install = block(readme, "test install")
    assert install.count(PROJECT_NAME) == 1
    shell(install.replace(PROJECT_NAME, str(wheel)))
    shell("django-admin startproject blank .")
    settings = tmp_path / "blank" / "settings.py"
    old = without_databases(settings.read_text(encoding="utf-8"))
    settings.write_text(f"{old}\n{block(readme, 'test settings')}", encoding="utf-8")

    commands = block(readme, "test commands")
    assert commands.splitlines() == [
        "python manage.py check",
        "python manage.py db_init --all-apps",
        "python manage.py db_list",
    ]
    written = shell(commands)
    assert "no issues" in written
    assert "default: created, 19 migrations applied" in written
    assert "🔹 default (admin, appdb_router, auth," in written
    assert "site-packages" in shell("python -c 'import appdb_router as a; print(a.__file__)'")

    (tmp_path / ".env").write_text(block(readme, "test env"), encoding="utf-8")
    written = shell(commands)
    assert "auth: created, " in written
    assert "Apps: admin, auth, contenttypes" in written
    assert "Source: Environment variable (AUTH_DATABASE_URL)" in written
