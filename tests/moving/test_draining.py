"""What was written while tables are moved is replayed, whatever it was and wherever it stops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.facts import ask
from tests.support.shop import PRELUDE, shop_project
from tests.support.project import Project

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

from appdb_router.services.moving.draining import drain, queue_length
from appdb_router.services.moving.rows import read_rows
from appdb_router.services.moving.tables import moved_tables
from appdb_router.services.moving.triggers import capture_changes, passing

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
            if sorted(map(repr, read_rows(table, giver))) != sorted(map(repr, read_rows(table, taker)))
        ]
        return drained, different, queue_length(giver, "shop")


def summary(drained, different, left):
    keys = {name: sorted(found) for name, found in drained.keys.items()}
    return keys, sorted(drained.whole), drained.rows, drained.entries, different, left
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
