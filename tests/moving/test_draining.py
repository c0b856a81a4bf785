"""What was written while tables are moved is replayed, whatever it was and wherever it stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.shop import PRELUDE, shop_project

MODELS = """
import uuid


class Item(models.Model):
    slug = models.CharField(max_length=20, unique=True, null=True)
    size = models.IntegerField(default=0)
    note = models.JSONField(null=True)
    double = models.GeneratedField(
        expression=models.F("size") * 2, output_field=models.IntegerField(), db_persist=True
    )
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    tags = models.ManyToManyField("Tag")


class Tag(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    made = models.DateTimeField(null=True)


class Day(models.Model):
    moment = models.DateTimeField(primary_key=True)
    is_open = models.BooleanField()


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.CharField(max_length=60, db_column="Right Half")
    text = models.CharField(max_length=20, blank=True)

    class Meta:
        db_table = "Shop Pairs"
"""

HEAD = (
    PRELUDE
    + """
from datetime import datetime, timedelta, timezone
from uuid import UUID

from appdb_router.services.moving.draining import drain
from appdb_router.services.moving.queueing import queue_length
from appdb_router.services.moving.rows import read_rows
from appdb_router.services.moving.tables import moved_tables
from appdb_router.services.moving.passing import passing
from appdb_router.services.moving.triggers import capture_changes

Item, Tag, Day, Pair = map(apps.get_app_config("shop").get_model, ("Item", "Tag", "Day", "Pair"))
for alias in ("default", "other"):
    with one(alias) as connection:
        if connection.vendor == "sqlite":
            connection.disable_constraint_checking()
        with connection.schema_editor() as editor:
            for model in (Item, Tag, Day, Pair, RowChange):
                editor.create_model(model)
with one() as giver:
    tables = moved_tables(["shop"], giver)
    capture_changes(tables, giver, "shop", TOKEN)


def catch_up(**options):
    # All that is in the queue, and whether the tables agree then.
    with pair() as (giver, taker):
        drained = drain(tables, giver, taker, "shop", TOKEN, **options)
        different = [
            table.name for table in tables
            if sorted(map(repr, read_rows(table, giver)))
            != sorted(map(repr, read_rows(table, taker)))
        ]
        return drained, different, queue_length(giver, "shop")


def summary(drained, different, left):
    keys = {name: sorted(found) for name, found in drained.keys.items()}
    return keys, sorted(drained.whole), drained.rows, drained.entries, different, left
"""
)

# For tables that are made by hand.
BY_HAND = (
    PRELUDE
    + """
from appdb_router.services.moving.columns import stored_table
from appdb_router.services.moving.draining import drain
from appdb_router.services.moving.queueing import queue_length
from appdb_router.services.moving.triggers import capture_changes

Item = apps.get_model("shop", "Item")
"""
)

PAIRS = [
    ("postgres", "postgres"),
    ("postgres", "mariadb"),
    ("mariadb", "sqlite"),
    ("sqlite", "postgres"),
    ("mariadb", "mariadb"),
]


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_what_was_written_is_replayed(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    source: str,
    target: str,
) -> None:
    shop = shop_project(project, request, database_name, MODELS, source, target)

    facts = ask(
        shop,
        HEAD
        + """
first = Item.objects.create(id=1, slug="a", note={"x": [1.5, None, "é"]})
second = Item.objects.create(id=2, slug="b", parent=first)
tag = Tag.objects.create(id=UUID(int=1), made=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc))
first.tags.add(tag)
moments = [datetime(2026, 1, 2, 3, hour, 5, tzinfo=timezone.utc) for hour in (1, 2)]
moments.append(moments[0] + timedelta(microseconds=70))
for moment in moments:
    Day.objects.create(moment=moment, is_open=True)
Pair.objects.create(left=1, right="it's % \\"so\\"", text="x")
Pair.objects.create(left=1, right="ä", text="")

@fact("inserted")
def _():
    keys, *rest = summary(*catch_up())
    return {name: len(found) for name, found in keys.items()}, *rest

@fact("nothing")
def _():
    return summary(*catch_up())

@fact("updated")
def _():
    Item.objects.filter(id=1).update(size=4, note=None)
    Pair.objects.filter(right="ä").update(text="y")
    Day.objects.filter(moment=moments[2]).update(is_open=False)
    Tag.objects.update(made=None)
    return summary(*catch_up())[2:]

@fact("deleted")
def _():
    second.delete()
    first.tags.clear()
    Tag.objects.all().delete()
    Day.objects.filter(moment=moments[0]).delete()
    Pair.objects.filter(right="ä").delete()
    return summary(*catch_up())[2:]

@fact("exchanged")
def _():
    Item.objects.create(id=3, slug="c")
    Item.objects.create(id=4, slug="d")
    catch_up()
    Item.objects.filter(id=3).update(slug="x")
    Item.objects.filter(id=4).update(slug="c")
    Item.objects.filter(id=3).update(slug="d")
    return summary(*catch_up(limit=1))

@fact("in parts")
def _():
    for number in range(10, 15):
        Item.objects.create(id=number)
    return [summary(*catch_up(limit=2))[2:4] for _ in range(4)]

@fact("killed before the queue was told")
def _():
    Item.objects.filter(id=10).update(slug="k")
    with one() as giver:
        entries = list(RowChange.objects.using("default").values("label", "table", "key"))
    catch_up()
    Item.objects.filter(id=10).delete()
    with one() as giver:
        RowChange.objects.using("default").bulk_create(RowChange(**entry) for entry in entries)
    return summary(*catch_up())

@fact("passing at the taker")
def _():
    with one("other") as taker:
        capture_changes(tables, taker, "shop", TOKEN)
        Item.objects.using("default").filter(id=11).update(slug="p")
    drained = summary(*catch_up())
    with one("other") as taker:
        return drained[2:], queue_length(taker, "shop")

@fact("in an open transaction")
def _():
    with pair() as (giver, taker):
        with transaction.atomic(using="default"):
            Item.objects.using("default").filter(id=11).update(slug="q")
            drained = drain(tables, giver, taker, "shop", TOKEN)
            transaction.set_rollback(True, using="default")
        left = queue_length(giver, "shop")
    return summary(drained, [], left), summary(*catch_up())[2:]

@fact("all of it")
def _():
    with one() as giver:
        RowChange.objects.using("default").create(label="shop", table=Item._meta.db_table)
    with one("other") as taker, passing(taker, TOKEN):
        run(taker, "DELETE FROM shop_item")
    return summary(*catch_up())

@fact("broken for good")
def _():
    Item.objects.create(id=50, slug="z")
    with one("other") as taker, passing(taker, TOKEN):
        run(taker, "INSERT INTO shop_item (id, slug, size) VALUES (51, 'z', 0)")
    with pair() as (giver, taker):
        try:
            drain(tables, giver, taker, "shop", TOKEN, limit=None)
        except Error as error:
            return type(error).__name__, queue_length(giver, "shop")
""",
    )

    assert facts["inserted"][1:] == [[], 9, 9, [], 0], facts
    assert facts["inserted"][0] == {
        "shop_item": 2,
        "shop_item_tags": 1,
        "shop_tag": 1,
        "shop_day": 3,
        "Shop Pairs": 2,
    }
    assert facts["inserted"][1:] == [[], 9, 9, [], 0]
    assert facts["nothing"] == [{}, [], 0, 0, [], 0]
    assert facts["updated"] == [4, 4, [], 0]
    assert facts["deleted"] == [0, 5, [], 0]
    assert facts["exchanged"] == [{"shop_item": [["3"], ["4"]]}, [], 2, 3, [], 0]
    assert facts["in parts"] == [[2, 2], [2, 2], [1, 1], [0, 0]]
    again = [{"shop_item": [["10"]]}, [], 0, 2, [], 0]
    assert facts["killed before the queue was told"] == again
    assert facts["passing at the taker"] == [[1, 1, [], 0], 0]
    rolled_back = [{"shop_item": [["11"]]}, [], 1, 1, [], 0]
    assert facts["in an open transaction"][0] == rolled_back
    assert facts["all of it"][1:] == [["shop_item"], 7, 1, [], 0]
    assert facts["broken for good"] == ["IntegrityError", 1]


def test_rows_that_others_refer_to(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    """A constraint of the server must not take rows along that nobody wrote to."""
    shop = shop_project(project, request, database_name, MODELS, "postgres", "postgres_2")

    facts = ask(
        shop,
        BY_HAND
        + """
TABLES = (
    "CREATE TABLE owner (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, slug text UNIQUE,"
    " other bigint REFERENCES owner)",
    "CREATE TABLE thing (id bigint PRIMARY KEY,"
    " owner_id bigint REFERENCES owner ON DELETE CASCADE, slug text UNIQUE,"
    " number bigint GENERATED ALWAYS AS IDENTITY)",
    "CREATE TABLE part (id bigint PRIMARY KEY,"
    " thing_id bigint REFERENCES thing ON DELETE SET NULL)",
    "CREATE TABLE mark (owner_id bigint PRIMARY KEY REFERENCES owner ON DELETE CASCADE)",
    "CREATE TABLE sign (mark_id bigint PRIMARY KEY REFERENCES mark ON DELETE CASCADE)",
)
for alias in ("default", "other"):
    with one(alias) as connection:
        run(connection, *TABLES)
        create(alias, RowChange)
with one() as giver:
    tables = [
        MovedTable(Item, name, tuple(stored.columns), stored.key)
        for name in ("owner", "thing", "part", "mark", "sign")
        if (stored := stored_table(giver, name))
    ]
    capture_changes(tables, giver, "shop", TOKEN)


def replay(*statements, limit=5000):
    # The tables in which the two sides do not agree after it, and those of the rows replayed.
    with pair() as (giver, taker):
        run(giver, *statements)
        drained = drain(tables, giver, taker, "shop", TOKEN, limit=limit)
        return [
            table.name for table in tables
            if rows(giver, f"SELECT * FROM {table.name} ORDER BY 1")
            != rows(taker, f"SELECT * FROM {table.name} ORDER BY 1")
        ], {name: sorted(key for [key] in keys) for name, keys in drained.keys.items()}

@fact("filled")
def _():
    return replay(
        "INSERT INTO owner (slug, other) VALUES ('a', NULL), ('b', 1), ('c', 2)",
        "INSERT INTO thing VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')",
        "INSERT INTO part VALUES (1, 1), (2, 1), (3, 2)",
        "INSERT INTO mark VALUES (1), (2)",
        "INSERT INTO sign VALUES (1), (2)",
    )[0]

@fact("updated")
def _():
    return replay("UPDATE owner SET slug = 'A' WHERE id = 1", "UPDATE mark SET owner_id = owner_id")

@fact("deleted")
def _():
    return replay("UPDATE owner SET other = NULL", "DELETE FROM owner WHERE id = 1")

@fact("moved and deleted")
def _():
    return replay(
        "INSERT INTO thing VALUES (4, 3, 'd')", "UPDATE thing SET owner_id = 2 WHERE id = 4",
        "DELETE FROM owner WHERE id = 3",
    )

@fact("exchanged")
def _():
    return replay(
        "INSERT INTO owner (slug) VALUES ('x'), ('y')",
        "INSERT INTO thing VALUES (5, 4, 'x'), (6, 5, 'y')",
        "INSERT INTO part VALUES (5, 5), (6, 6)",
    ), replay(
        "UPDATE thing SET slug = 'z' WHERE id = 5", "UPDATE thing SET slug = 'x' WHERE id = 6",
        "UPDATE thing SET slug = 'y' WHERE id = 5",
        "UPDATE owner SET slug = 'z' WHERE id = 4", "UPDATE owner SET slug = 'x' WHERE id = 5",
        "UPDATE owner SET slug = 'y' WHERE id = 4",
    )

@fact("all of it, and exchanged")
def _():
    return replay(
        'INSERT INTO appdb_router_row_change (label, "table") VALUES ($$shop$$, $$owner$$)',
        "UPDATE owner SET slug = 'z' WHERE id = 4", "UPDATE owner SET slug = 'y' WHERE id = 5",
        "UPDATE owner SET slug = 'x' WHERE id = 4", limit=None,
    )

@fact("truncated")
def _():
    return replay(
        "TRUNCATE owner, thing, part, mark, sign", "INSERT INTO owner (slug) VALUES ('n')"
    )
""",
    )

    assert facts["filled"] == []
    assert facts["updated"] == [[], {"owner": ["1"], "mark": ["1", "2"]}]
    assert facts["deleted"][0] == []
    assert facts["moved and deleted"][0] == []
    assert facts["exchanged"][0][0] == []
    assert facts["exchanged"][1][0] == []
    assert facts["all of it, and exchanged"][0] == []
    assert facts["truncated"][0] == []


def test_keys_of_types_with_a_length(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    """A type without its length would cut a key: `character` has room for one."""
    shop = shop_project(project, request, database_name, MODELS, "postgres", "postgres_2")

    facts = ask(
        shop,
        BY_HAND
        + """
for alias in ("default", "other"):
    with one(alias) as connection:
        run(
            connection,
            "CREATE TABLE code (a char(5), b bit(3), c varchar(4), d numeric(6, 2), note int,"
            " PRIMARY KEY (a, b, c, d))",
        )
        create(alias, RowChange)

@fact("replayed")
def _():
    with one() as giver:
        stored = stored_table(giver, "code")
        table = MovedTable(Item, "code", tuple(stored.columns), stored.key)
        capture_changes([table], giver, "shop", TOKEN)
    with pair() as (giver, taker):
        run(
            giver,
            "INSERT INTO code VALUES ('abc', B'101', 'wxyz', 1234.5), ('a', B'100', 'w', 1)",
        )
        drain([table], giver, taker, "shop", TOKEN)
        run(giver, "UPDATE code SET note = 1", "DELETE FROM code WHERE a = 'a'")
        drain([table], giver, taker, "shop", TOKEN)
        return rows(taker, "SELECT a, b::text, c, d::text, note FROM code")
""",
    )

    assert facts["replayed"] == [["abc  ", "101", "wxyz", "1234.50", 1]]
