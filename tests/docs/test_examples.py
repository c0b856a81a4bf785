"""What README and tutorial show, run as they show it."""

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, README, block, read
from tests.docs.walkthrough import run, walk
from tests.support.project import REPOSITORY, Project
from tests.support.servers import Server

PLACED = {
    "DATABASE_URL": "sqlite:///main.sqlite3",
    "AUTH_DATABASE_URL": "postgresql://app:secret@db1:5432/auth_db",
    "DRIVER_DATABASE_URL": "postgresql://db2:5433/driver_db",
}


@pytest.mark.parametrize(("mark", "options"), [("db_list", []), ("json", ["--app", "driver"])])
def test_the_readme_shows_what_db_list_prints(
    mark: str, options: list[str], tmp_path: Path
) -> None:
    no_env = tmp_path / "empty.env"
    no_env.touch()
    arguments = [*options, "--format", "json" if mark == "json" else "text"]
    written = run(
        sys.executable,
        *("manage.py", "db_list", *arguments),
        cwd=REPOSITORY,
        env={**PLACED, "ENV_FILE": str(no_env)},
    )
    assert written == block(read(README), f"test {mark}")


def test_the_tutorial_runs(tmp_path: Path) -> None:
    met = walk(read(DOCS / "tutorial.md"), tmp_path, {"PYTHONPATH": str(REPOSITORY)})
    assert met["output"] == 5


COPYING = """
    from django.db import migrations


    def copy(apps, editor):
        if editor.connection.alias == "blog":
            apps.get_model("shop", "Customer").objects.create()


    class Migration(migrations.Migration):
        dependencies = [("blog", "0001_initial"), ("shop", "0001_initial")]
        operations = [migrations.RunPython(copy)]
"""

PARTIAL = """
    from django.test import TestCase

    from appdb_router import alias_for


    class PostTests(TestCase):
        databases = {{alias_for(label) for label in {labels}}}

        def test_nothing(self):
            pass
"""


@pytest.mark.parametrize(
    ("labels", "written"),
    [(["blog"], 1), (["blog", "shop"], 0)],
    ids=["the trap", "the remedy"],
)
def test_naming_the_alias_keeps_its_real_database_untouched(
    project: Project, labels: list[str], written: int
) -> None:
    project.app("shop", models="class Customer(models.Model):\n    pass\n")
    project.app("blog", models="class Post(models.Model):\n    pass\n")
    project.env = {
        "SHOP_DATABASE_URL": "sqlite:///shop.sqlite3",
        "BLOG_DATABASE_URL": "sqlite:///blog.sqlite3",
    }
    project.makemigrations("shop", "blog")
    project.manage("db_init", "--all-apps")
    project.write("blog/migrations/0002_copy.py", COPYING)
    project.write("blog/tests.py", PARTIAL.format(labels=labels))
    project.manage("test")
    with closing(sqlite3.connect(project.root / "shop.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM shop_customer").fetchone() == (written,)


def test_the_guide_of_a_move_runs(
    tmp_path: Path, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """Every command of the guide, on the sample project, whose app is full of rows."""
    urls = {label: postgres.url(database_name(label)) for label in ("default", "driver")}
    no_env = tmp_path / "empty.env"
    no_env.touch()
    env = {"DATABASE_URL": urls["default"], "ENV_FILE": str(no_env)}
    before = {**env, "DRIVER_DATABASE_URL": urls["default"]}
    run(sys.executable, "manage.py", "db_init", "--all-apps", cwd=REPOSITORY, env=before)
    run(sys.executable, "-m", "project.demo", cwd=REPOSITORY, env=before)
    deployed = {
        **env,
        "DRIVER_DATABASE_URL": urls["driver"],
        "DRIVER_DATABASE_MOVE_FROM": "default",
    }
    met = walk(read(DOCS / "howto" / "move-app.md"), REPOSITORY, deployed)
    assert met["run"] == 9
    after = {**env, "DRIVER_DATABASE_URL": urls["driver"]}
    run(sys.executable, "manage.py", "db_init", "--all-apps", cwd=REPOSITORY, env=after)
