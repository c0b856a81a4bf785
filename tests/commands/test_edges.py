"""What the services behind ``db_init`` do where there is little to do."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from appdb_router.services.opening import Opened
from appdb_router.services.ordering import Elsewhere
from tests.support.project import Project


def test_what_nobody_takes_is_closed() -> None:
    stack, closed = ExitStack(), list[str]()
    stack.callback(closed.append, "connection")
    connection: Any = None

    Opened(connection, stack).close()

    assert closed == ["connection"]


def test_records_that_may_not_be_asked_for() -> None:
    assert Elsewhere().has("blog", bool, ask=False) is False


def test_nothing_to_repair_and_no_table_to_look_for(project: Project) -> None:
    result = project.python(
        """
        from django.core.management import call_command
        from django.db import connection
        from appdb_router.services.catalogs import standing_tables
        from appdb_router.services.repairing import repair

        print(repair("default", ["auth"]), standing_tables(connection, []))
        call_command("migrate", verbosity=0)
        print(repair("default", ["auth"]))
        """
    )

    assert result.stdout == "() {}\n()\n"


def test_a_name_that_no_server_takes(project: Project) -> None:
    project.env["DATABASE_URL"] = f"postgresql://u@127.0.0.1:1/{'x' * 64}"

    listed = project.manage("db_list", "--check", check=False)
    made = project.manage("db_init", check=False)

    assert listed.returncode == made.returncode == 1
    assert "longer than" in listed.stdout
    assert "longer than" in made.stdout


def test_notes_of_an_error_are_not_shown(project: Project) -> None:
    failing = """
        from django.db import migrations

        def fail(apps, schema_editor):
            error = ValueError("no such luck")
            error.add_note("s3cr3t-pass")
            raise error

        class Migration(migrations.Migration):
            operations = [migrations.RunPython(fail)]
    """
    project.app("blog", migrations={"0001_fail": failing})

    result = project.manage("db_init", check=False)

    assert "ValueError in blog.0001_fail: no such luck" in result.stdout
    assert "s3cr3t-pass" not in result.stdout + result.stderr
