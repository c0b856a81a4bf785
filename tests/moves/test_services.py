"""What commands and migrations make of an app in a move: it has tables in two databases."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from tests.commands.test_db_init import other_engine
from tests.moves.test_flips import PRELUDE
from tests.support.facts import ask
from tests.support.moving import TRIPS, Moving

CONSTRAINTS = """
def keys(alias, table):
    with connections[alias].cursor() as cursor:
        found = connections[alias].introspection.get_constraints(cursor, table)
    return sorted(item["foreign_key"][0] for item in found.values() if item["foreign_key"])


fact("in both")(lambda: [[table in connections[alias].introspection.table_names()
                          for table in ("trips_trip", "shop_customer")]
                         for alias in (SOURCE, TARGET)])
fact("constraints")(lambda: [keys(alias, "trips_note") for alias in (SOURCE, TARGET)])
fact("own constraints")(lambda: [keys(alias, "trips_express") for alias in (SOURCE, TARGET)])
"""

MORE_MODELS = """


class Stop(models.Model):
    trip = models.ForeignKey(Trip, models.CASCADE)
    customer = models.ForeignKey("shop.Customer", models.CASCADE)
    number = models.IntegerField(null=True)
"""


def finding_kinds(moving: Moving, *arguments: str) -> list[str]:
    result = moving.project.manage("db_check", "--format=json", *arguments, check=False)
    return [item["kind"] for item in json.loads(result.stdout)["findings"]]


def test_tables_are_made_in_both(moving: Moving) -> None:
    project = moving.project

    facts = ask(project, PRELUDE + CONSTRAINTS + "trip('stays')\n")

    assert facts == {
        "in both": [[True, True], [True, False]],
        "constraints": [["django_content_type"], []],
        "own constraints": [["trips_trip"], ["trips_trip"]],
    }
    # The rows at the source are no leftovers, and those at the target will be none.
    again = project.manage("db_init", "--app=trips")
    assert "2 databases ready. Nothing had to be done." in again.stdout
    assert finding_kinds(moving) == []
    assert finding_kinds(moving, "--app=trips") == []
    listed = project.manage("db_list", "--app=trips").stdout
    assert "   Moving from: default\n" in listed
    assert "   Moving from: default (not begun)\n" in project.manage("db_list", "--check").stdout
    document = json.loads(project.manage("db_list", "--format=json", "--app=trips").stdout)
    assert document["databases"][0]["move"] == {
        "source": "default",
        "variable": "TRIPS_DATABASE_MOVE_FROM",
        "phase": None,
    }


def test_a_repair_waits_for_the_move(on_postgres: Moving) -> None:
    project = on_postgres.project
    lose = """
with connections[TARGET].cursor() as cursor:
    cursor.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'trips%'")
    for (name,) in cursor.fetchall():
        cursor.execute(f'DROP TABLE "{name}" CASCADE')
fact("records")(lambda: list(
    MigrationRecorder(connections[TARGET]).migration_qs.filter(app="trips").values_list("name")
))
"""
    begin = PRELUDE + "from django.db.migrations.recorder import MigrationRecorder\n"
    before = ask(project, begin + "begin()\n" + lose)

    result = project.manage("db_init", "--all-apps", "--repair", "--noinput", check=False)

    assert "The data of the app 'trips' is being moved" in result.stdout
    assert "trips.0001_initial cannot be applied to either" in result.stdout
    assert before["records"]
    assert ask(project, begin + lose) == before


def test_migrations_wait_for_the_move(on_postgres: Moving) -> None:
    project = on_postgres.project
    ask(project, PRELUDE + "begin()\ntrip('first')\nflip()\n")
    project.write("trips/models.py", f"from django.db import models\n{TRIPS}{MORE_MODELS}")
    project.manage("makemigrations", "--verbosity=0", "trips")
    refused = (
        "The data of the app 'trips' is being moved from 'default' to 'trips' (copying), so"
        " trips.0002_stop cannot be applied to either. Bring the move to its end first, with"
        " 'db_move trips --resume' and then '--finalize', or take it back with '--rollback'."
    )

    for alias in ("default", "trips"):
        result = project.manage("migrate", f"--database={alias}", check=False)
        assert refused in result.stderr
    result = project.manage("db_init", "--all-apps", check=False)
    assert result.stdout.count(refused) == 2

    # Finalized, the app is at home in one database, and only that is migrated.
    ask(project, PRELUDE + "change(phase='finalized')\n")
    facts = ask(
        project,
        PRELUDE
        + """
from django.core.management import call_command
from django.db import router
from appdb_router.moves.gate import active_moves

for name in ("before", "after"):
    fact(name)(lambda: [
        router.allow_migrate("default", "trips"), router.allow_migrate("trips", "trips"),
        alias_for("trips"), [move.leader for move in active_moves()],
    ])
    for alias in ("default", "trips"):
        call_command("migrate", database=alias, verbosity=0)
fact("stops")(lambda: [
    "trips_stop" in connections[alias].introspection.table_names()
    for alias in ("default", "trips")
])
""",
    )
    assert facts == {
        "before": [True, True, "trips", []],
        "after": [False, True, "trips", []],
        "stops": [False, True],
    }
    listed = project.manage("db_list", "--check", "--app=trips").stdout
    assert "   Moved from: default. Remove TRIPS_DATABASE_MOVE_FROM\n" in listed
    # What was not dropped is a leftover now.
    assert finding_kinds(on_postgres) == ["leftover"]


def test_migrations_before_the_move_are_made_in_both(on_postgres: Moving) -> None:
    project = on_postgres.project
    models = TRIPS.replace("distance = models.IntegerField", "distance = models.BigIntegerField")
    models = models.replace("class Tag(models.Model):", f"class Tag(models.Model):\n    {KEY}")
    project.write("trips/models.py", f"from django.db import models\n{models}{MORE_MODELS}")
    project.write("shop/models.py", f"from django.db import models\n{SHOP_WITH_TAG}")
    project.env |= {"TRIPS_DATABASE_MOVE_FROM": ""}
    project.manage("makemigrations", "--verbosity=0", "trips", "shop")
    project.env |= {"TRIPS_DATABASE_MOVE_FROM": "default"}

    project.manage("db_init", "--all-apps")

    facts = ask(
        project,
        PRELUDE
        + CONSTRAINTS
        + """
fact("stops")(lambda: [keys(alias, "trips_stop") for alias in (SOURCE, TARGET)])
fact("staying")(lambda: keys(SOURCE, "shop_favourite"))
""",
    )
    assert facts["stops"] == [["shop_customer", "trips_trip"], ["trips_trip"]]
    assert facts["staying"] == ["trips_tag"]


KEY = "id = models.SmallAutoField(primary_key=True)"
SHOP_WITH_TAG = """
class Customer(models.Model):
    name = models.CharField(max_length=40)


class Favourite(models.Model):
    tag = models.ForeignKey("trips.Tag", models.CASCADE)
"""


def test_a_database_beside_the_move(on_postgres: Moving) -> None:
    project = on_postgres.project
    other_engine(project, "up")
    project.manage("db_init", "--all-apps")
    with closing(sqlite3.connect(project.root / "acme.db")) as connection:
        connection.execute("CREATE TABLE trips_tag (id integer PRIMARY KEY, name text)")
        connection.execute("INSERT INTO trips_tag VALUES (1, 'stale')")
        connection.commit()

    found = json.loads(project.manage("db_check", "--format=json", check=False).stdout)["findings"]
    facts = ask(
        project,
        PRELUDE
        + """
from dataclasses import replace
from appdb_router.moves.states import read_state

elsewhere_than_known = replace(MOVE, source="blog")
fact("no table")(lambda: read_state(elsewhere_than_known).has_begun)
with connections["blog"].schema_editor() as editor:
    editor.create_model(Move)
fact("no row")(lambda: read_state(elsewhere_than_known).has_begun)
""",
    )

    # Once, and not for the tables in the target, too.
    assert [(item["alias"], item["kind"], item["items"]) for item in found] == [
        ("default", "left-behind", ["trips_tag"])
    ]
    assert facts == {"no table": False, "no row": False}


def test_an_unreachable_source_is_an_error_and_never_a_guess(on_postgres: Moving) -> None:
    project = on_postgres.project
    project.env["DATABASE_URL"] += "_gone"

    facts = ask(
        project,
        PRELUDE.replace("from flips import *", "")
        + """
from appdb_router.moves.gate import look_up_all

fact("ask")(lambda: alias_for("trips"))
fact("read")(lambda: Trip.objects.count())
fact("all")(look_up_all)
""",
    )

    assert facts["ask"].startswith("OperationalError: connection failed")
    assert facts["read"].startswith("OperationalError: connection failed")
    assert facts["all"] is None
    listed = project.manage("db_list", "--check", "--app=trips", check=False).stdout
    assert "   Moving from: default\n" in listed


def test_data_commands_go_where_the_app_is_at_home(on_postgres: Moving) -> None:
    project = on_postgres.project
    ask(project, PRELUDE + "begin()\ntrip('first')\nflip()\ntrip('second')\n")

    dumped = json.loads(project.manage("dumpdata", "trips.trip").stdout)
    assert [item["fields"]["title"] for item in dumped] == ["first", "second"]
    dumped[0]["fields"]["title"] = "loaded"
    project.write("data.json", json.dumps(dumped))
    assert "Installed 2 object(s)" in project.manage("loaddata", "data.json").stdout
    loaded = project.manage("loaddata", "data.json", "--database=default").stdout
    assert "Installed 0 object(s) (of 2)" in loaded
    facts = ask(project, PRELUDE + 'fact("titles")(lambda: [titles(SOURCE), titles(TARGET)])')
    assert facts["titles"] == [["first"], ["loaded", "second"]]


def test_in_a_run_of_tests_the_app_is_on_its_source(on_postgres: Moving) -> None:
    project = on_postgres.project
    # Not even a finished move counts, whose row is in the real database.
    ask(project, PRELUDE + "begin()\nflip()\n")
    project.write(
        "trips/tests.py",
        """
        from django.test import TestCase, TransactionTestCase
        from appdb_router import alias_for
        from appdb_router.transaction import atomic
        from trips.models import Trip

        class Trips(TestCase):
            databases = {alias_for("trips")}

            def test(self):
                with self.assertNumQueries(3), atomic("trips"):
                    Trip.objects.create(title="x")
                self.assertEqual(Trip.objects.get()._state.db, "default")

        class Both(TransactionTestCase):
            databases = "__all__"

            def test(self):
                Trip.objects.create(title="x")
                self.assertEqual(Trip.objects.using("trips").count(), 0)
        """,
    )

    result = project.manage("test", "--noinput", timeout=120)

    assert "Ran 2 tests" in result.stderr
    assert "OK" in result.stderr


def test_a_move_back_to_the_default(on_postgres: Moving) -> None:
    project, names = on_postgres.project, on_postgres.names
    urls = {
        alias: project.env[f"{prefix}DATABASE_URL"]
        for alias, prefix in (("default", ""), ("trips", "TRIPS_"))
    }
    project.env |= {
        "TRIPS_DATABASE_URL": urls["default"],
        "TRIPS_DATABASE_MOVE_FROM": urls["trips"],
    }
    project.manage("db_init", "--all-apps")

    facts = ask(
        project,
        PRELUDE
        + """
from appdb_router.registry import discover_all_app_databases

fact("before")(lambda: [SOURCE, TARGET, trip("first")._state.db])
begin()
flip()
fact("after")(lambda: [trip("second")._state.db, titles(SOURCE), titles(TARGET)])
fact("discovered")(lambda: discover_all_app_databases()["trips"].canonical_alias)
flip()
fact("back")(lambda: [trip("third")._state.db, discover_all_app_databases()["trips"].alias])
""",
    )

    assert names
    assert facts == {
        "before": ["trips_source", "default", "trips_source"],
        "after": ["default", ["first"], ["first", "second"]],
        "discovered": "default",
        "back": ["trips_source", "trips_source"],
    }
