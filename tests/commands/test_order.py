"""Which database comes first, and what waits for what."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.odd_project import ID, migration
from tests.support.project import Project
from tests.support.servers import Server

ROW = "class Row(models.Model):\n    text = models.CharField(max_length=20)\n"


def create(dependencies: str = "", **attributes: str) -> str:
    """Return a migration that makes the table of `Row`."""
    more = "".join(f"{name} = {value}\n" for name, value in attributes.items())
    return migration(
        f"dependencies = [{dependencies}]\n{more}operations = [migrations.CreateModel("
        f'"Row", [{ID}, ("text", models.CharField(max_length=20))])]'
    )


def copy(label: str, source: str, dependencies: str) -> str:
    """Return a migration that copies the rows of another app, and adds one."""
    return migration(
        f"dependencies = [{dependencies}]\noperations = [migrations.RunPython(copy)]",
        before=f"""
def copy(apps, editor):
    own = apps.get_model("{label}", "Row").objects
    for row in apps.get_model("{source}", "Row").objects.order_by("id"):
        own.create(text=row.text)
    own.create(text="{label}")
""",
    )


@pytest.fixture
def server(postgres: Server) -> Server:
    return postgres


@pytest.fixture
def place(
    project: Project, server: Server, database_name: Callable[[str], str]
) -> Callable[..., dict[str, str]]:
    """Give the apps named a database each on PostgreSQL, and return the databases' names."""

    def give(*labels: str) -> dict[str, str]:
        names = {label: database_name(label) for label in labels}
        for label, name in names.items():
            project.env[f"{label.upper()}_DATABASE_URL"] = server.url(name)
        return names

    return give


def texts(server: Server, names: dict[str, str], label: str) -> list[str]:
    rows = server.fetch(f"SELECT text FROM {label}_row ORDER BY id", database=names[label])
    return [text for (text,) in rows]


def test_a_function_sees_the_tables_that_it_reads(
    project: Project, server: Server, place: Callable[..., dict[str, str]]
) -> None:
    """By its label, and by its place in INSTALLED_APPS, the one that reads would be first."""
    project.app(
        "alpha",
        models=ROW,
        migrations={
            "0001_initial": create(),
            "0002_copy": copy("alpha", "omega", '("alpha", "0001_initial"), ("omega", "0002_own")'),
        },
    )
    project.app(
        "omega",
        models=ROW,
        migrations={
            "0001_initial": create(),
            "0002_own": copy("omega", "omega", '("omega", "0001_initial")'),
        },
    )
    names = place("alpha", "omega")

    project.manage("db_init", "--app", "contenttypes")
    alone = project.manage("db_init", "--app", "alpha", check=False)
    everything = project.manage("db_init", "--all-apps").stdout
    again = project.manage("db_init", "--all-apps").stdout

    assert alone.returncode == 1
    assert (
        "alpha: created, but failed: alpha.0002_copy needs omega.0002_own in 'omega', where it is"
        " not applied. Initialise that database first, or all with 'db_init --all-apps'."
    ) in alone.stdout
    assert everything.splitlines()[1:3] == [
        "omega: created, 3 migrations applied",
        "alpha: already there, 1 migration applied",
    ]
    assert texts(server, names, "alpha") == ["omega", "alpha"]
    assert again.endswith("Nothing had to be done.\n")


def test_databases_that_wait_for_each_other(
    project: Project, server: Server, place: Callable[..., dict[str, str]]
) -> None:
    project.app(
        "alpha",
        models=ROW,
        migrations={
            "0001_initial": create(),
            "0002_copy": copy(
                "alpha", "omega", '("alpha", "0001_initial"), ("omega", "0002_copy")'
            ),
        },
    )
    project.app(
        "omega",
        models=ROW,
        migrations={
            "0001_initial": create('("alpha", "0001_initial")'),
            "0002_copy": copy("omega", "alpha", '("omega", "0001_initial")'),
            "0003_copy": copy("omega", "alpha", '("omega", "0002_copy"), ("alpha", "0002_copy")'),
        },
    )
    names = place("alpha", "omega")

    project.manage("db_init", "--all-apps")

    assert texts(server, names, "alpha") == ["omega", "alpha"]
    assert texts(server, names, "omega") == ["omega", "omega", "alpha", "omega"]
    for label in names:
        project.manage("migrate", "--check", "--database", label)


def test_one_that_fails_holds_up_those_that_need_it(
    project: Project, server: Server, place: Callable[..., dict[str, str]]
) -> None:
    fail = migration(
        'dependencies = [("alpha", "0001_initial")]\noperations = [migrations.RunPython(fail)]',
        before="def fail(apps, editor):\n    raise ValueError('no such luck')\n",
    )
    project.app("alpha", models=ROW, migrations={"0001_initial": create(), "0002_fail": fail})
    omega = {"0001_initial": create(), "0002_alter": create('("alpha", "0002_fail")')}
    omega["0002_alter"] = migration(
        'dependencies = [("omega", "0001_initial"), ("alpha", "0002_fail")]\n'
        'operations = [migrations.RunSQL("SELECT 1")]'
    )
    project.app("omega", models=ROW, migrations=omega)
    names = place("alpha", "omega")

    result = project.manage("db_init", "--all-apps", "--format=json", check=False)

    found = {item["alias"]: item for item in json.loads(result.stdout)["databases"]}
    assert found["alpha"]["error"] == "ValueError in alpha.0002_fail: no such luck"
    assert found["omega"]["applied_migrations"][1:] == ["omega.0001_initial"]
    assert found["omega"]["error"].startswith("omega.0002_alter needs alpha.0002_fail in 'alpha'")
    assert "omega_row" in server.tables(names["omega"])


def test_prerequisites(project: Project) -> None:
    project.app("alpha", migrations={"0001_initial": create('("omega", "0001_initial")')})
    project.app(
        "beta", migrations={"0001_initial": create(run_before='[("gamma", "0001_initial")]')}
    )
    project.app("gamma", migrations={"0001_initial": create(), "0002_on": create()})
    project.app(
        "omega",
        migrations={"0001_initial": create(), "0002_on": create('("gamma", "0001_initial")')},
    )
    project.write(
        "gamma/migrations/0002_on.py",
        migration('dependencies = [("gamma", "0001_initial"), ("omega", "0001_initial")]'),
    )
    project.write(
        "omega/migrations/0002_on.py",
        migration('dependencies = [("omega", "0001_initial"), ("gamma", "0001_initial")]'),
    )
    for label in ("alpha", "beta", "gamma", "omega"):
        project.env[f"{label.upper()}_DATABASE_URL"] = f"sqlite:///{label}.sqlite3"

    result = project.python(
        """
        from graphlib import TopologicalSorter
        from appdb_router.services.ordering import prerequisites
        from appdb_router.topology import get_topology

        before = prerequisites(get_topology())
        for alias in sorted(before):
            print(alias, *sorted(before[alias]))
        list(TopologicalSorter(before).static_order())
        """
    )

    assert result.stdout.splitlines() == [
        "alpha default omega",
        "beta default",
        # Waits for omega, which waits for it: the first of them is begun with.
        "default",
        "gamma beta default",
        "omega default gamma",
    ]


# Django would run it on every database: it does not ask the router.
ADD = """
from django.db.migrations.operations.base import Operation

class Add(Operation):
    reversible = False

    def state_forwards(self, app_label, state):
        state.add_field(app_label, "row", "size", models.IntegerField(null=True), True)

    def database_forwards(self, app_label, editor, from_state, to_state):
        row = to_state.apps.get_model(app_label, "Row")
        editor.add_field(row, row._meta.get_field("size"))
"""


def test_an_operation_of_somebody_else_concerns_the_database_of_its_app(
    project: Project, server: Server, place: Callable[..., dict[str, str]]
) -> None:
    add = migration('dependencies = [("omega", "0001_initial")]\noperations = [Add()]', before=ADD)
    sized = ROW + "    size = models.IntegerField(null=True)\n"
    project.app("alpha", models=ROW, migrations={"0001_initial": create()})
    project.app("omega", models=sized, migrations={"0001_initial": create(), "0002_add": add})
    place("alpha", "omega")
    omega = project.env["OMEGA_DATABASE_URL"]
    project.env["OMEGA_DATABASE_URL"] = "postgresql://u@127.0.0.1:1/x"

    without = project.manage("db_init", "--all-apps", check=False).stdout
    project.env["OMEGA_DATABASE_URL"] = omega
    both = project.manage("db_init", "--all-apps").stdout

    assert "alpha: created, 2 migrations applied" in without.splitlines()
    assert "omega: created, 3 migrations applied" in both.splitlines()
