"""Whatever differs between two databases is found, with the right keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server
from tests.support.shop import PRELUDE, shop_project

HEAD = (
    PRELUDE
    + """
from threading import Event, Timer
from appdb_router.exceptions import MoveError
from appdb_router.services.moving.comparing import compare_tables, differing_keys
from appdb_router.services.moving.tables import moved_tables


def on_both(*statements):
    for alias in ("default", "other"):
        with one(alias) as connection:
            run(connection, *statements)


def compare(tables, **options):
    with pair() as connections:
        return [
            (item.table, item.lower, item.upper, [" ".join(key) for key in item.keys],
             item.giver_rows, item.taker_rows, item.is_cut)
            for item in compare_tables(tables, *connections, **options)
        ]


def trap(statement, back=None, *, table, **options):
    # What is found when one side alone has changed, on either side.
    found = []
    for alias in ("default", "other"):
        with one(alias) as connection:
            run(connection, statement)
        found.append(compare([table], **options))
        with one(alias) as connection:
            run(connection, back or "SELECT 1")
    return found
"""
)

# A column of each type, a value, and another that is as near to it as can be.
TYPES = [
    ("smallint", "1", "0"),
    ("bigint", "9223372036854775807", "9223372036854775806"),
    ("real", "0.1", "0.10000001"),
    ("double precision", "0.1", "0.10000000000000002"),
    ("double precision", "0", "'-0'"),
    ("double precision", "'NaN'", "NULL"),
    ("numeric", "1.5", "1.50"),
    ("numeric(20, 10)", "0.0000000001", "0.0000000002"),
    ("text", "''", "NULL"),
    ("text", "'a'", "'a '"),
    ("text", "'{null}'", "'{NULL}'"),
    ("text[]", "ARRAY['a', NULL]", "ARRAY['a', 'NULL']"),
    ("text[]", "ARRAY['a,b']", "ARRAY['a', 'b']"),
    ("varchar(9)", "'ä'", "'ae'"),
    ("char(3)", "'a'", "'b'"),
    ("bytea", "decode('0001', 'hex')", "decode('0000', 'hex')"),
    ("boolean", "true", "false"),
    ("jsonb", "'1.5'", "'1.50'"),
    ("jsonb", "'null'", "NULL"),
    ("json", "'{\"a\": 1}'", "'{\"a\":1}'"),
    ("uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000000'"),
    ("date", "'infinity'", "'-infinity'"),
    ("timestamp", "'2026-01-01 00:00:00.000001'", "'2026-01-01'"),
    ("timestamptz", "'2026-10-25 02:30:00+02'", "'2026-10-25 02:30:00+01'"),
    ("time", "'24:00'", "'00:00'"),
    ("interval", "'1 day'", "'24 hours'"),
    ("inet", "'10.0.0.1/32'", "'10.0.0.1/31'"),
    ("int4range", "'[1,3)'", "'[1,4)'"),
    ("tsvector", "'a:1'", "'a:2'"),
    ("money", "12.34", "12.35"),
    ("bit(3)", "B'101'", "B'100'"),
]


def test_each_type_on_postgresql(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    shop = shop_project(project, request, database_name, "", "postgres", "postgres_2")
    columns = ", ".join(f"c{number} {kind}" for number, (kind, _, _) in enumerate(TYPES))
    values = ", ".join(value for _, value, _ in TYPES)

    facts = ask(
        shop,
        HEAD
        + f"""
class Every(models.Model):
    class Meta:
        app_label, db_table = "shop", "every"


on_both(
    '''CREATE TABLE every (id bigint PRIMARY KEY, {columns},
       twice bigint GENERATED ALWAYS AS (c0 * 2) STORED)''',
    '''INSERT INTO every SELECT id, {values} FROM generate_series(1, 9) AS id''',
)
with one("other") as connection:
    # What the text of a value depends on, set for those who connect from now on.
    name = connection.settings_dict["NAME"]
    run(connection, *(
        f'ALTER DATABASE "{{name}}" SET {{setting}}'
        for setting in ("DateStyle = 'German'", "IntervalStyle = 'sql_standard'",
                        "extra_float_digits = 0", "bytea_output = 'escape'",
                        "lc_monetary = 'C.UTF-8'", "xmloption = 'document'")
    ))
with one() as connection:
    [every] = moved_tables(["shop"], connection)

@fact("equal")
def _():
    return compare([every]), compare([every], chunk_rows=2)

for number, (kind, value, near) in enumerate({TYPES!r}):
    column = f"c{{number}}"

    @fact(f"{{kind}}: {{value}}")
    def _():
        return trap(
            f"UPDATE every SET {{column}} = {{near}} WHERE id = 5",
            f"UPDATE every SET {{column}} = {{value}} WHERE id = 5",
            table=every, chunk_rows=4,
        )

@fact("computed")
def _():
    with one() as connection:
        run(connection, "ALTER TABLE every DROP twice", "ALTER TABLE every ADD twice bigint"
            " GENERATED ALWAYS AS (CASE id WHEN 9 THEN 3 ELSE c0 * 2 END) STORED")
    return compare([every])
""",
    )

    for kind, value, _ in TYPES:
        found = ["every", ["4"], ["8"], ["5"], 4, 4, False]
        assert facts.pop(f"{kind}: {value}") == [[found], [found]], (kind, value)
    assert facts == {
        "equal": [[], []],
        "computed": [["every", None, None, ["9"], 9, 9, False]],
    }


MODELS = """
class Item(models.Model):
    text = models.CharField(max_length=20, null=True)
    note = models.JSONField(null=True)
    price = models.DecimalField(max_digits=40, decimal_places=5, null=True)
    moment = models.DateTimeField(null=True)
    ratio = models.FloatField(null=True)
    data = models.BinaryField(null=True)
    flag = models.BooleanField(null=True)


class Word(models.Model):
    word = models.CharField(max_length=20, primary_key=True)
    count = models.IntegerField()


class Tag(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=20)


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.IntegerField()
    text = models.CharField(max_length=20)


class Log(models.Model):
    # Its table will have no key.
    text = models.CharField(max_length=20, primary_key=True)
"""

FILLED = (
    HEAD
    + """
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal, getcontext
from uuid import UUID

from appdb_router.services.moving.rows import read_rows, write_rows

Item, Word, Tag, Pair, Log = map(
    apps.get_app_config("shop").get_model, ("Item", "Word", "Tag", "Pair", "Log"))
getcontext().prec = 50
vendors = {connections[alias].vendor for alias in ("default", "other")}
# MySQL takes the others for the same, and SQLite has no such numbers.
WORDS = ["a", "b", "ö", "Z", "-", "a b", "ab", "_"]
if "mysql" not in vendors:
    WORDS += ["B", "ä", "z"]
PRICE = Decimal("1234567.12345" if "sqlite" in vendors else "12345678901234567890123456789.12345")
for alias in ("default", "other"):
    create(alias, Item, Word, Tag, Pair)
    with one(alias) as connection:
        text = connection.ops.quote_name("text")
        run(connection, f"CREATE TABLE shop_log ({text} varchar(20))")
with one() as connection:
    log = replace(moved("Log"), key=())
    item, word, tag, pairs = map(moved, ("Item", "Word", "Tag", "Pair"))
    run(connection, *(f"INSERT INTO shop_log VALUES ('{text}')" for text in "aabc"))
    for number in range(1, 13):
        Item.objects.using("default").create(
            id=number, text="" if number % 2 else "x", note={"a": [number, 1.5, "é", None]},
            price=PRICE, ratio=0.1, data=b"\\0a",
            moment=datetime(2026, 1, 1, 0, 0, 0, number, tzinfo=timezone.utc), flag=number > 6,
        )
        Tag.objects.using("default").create(id=UUID(int=number << 60), name=str(number))
    for text in WORDS:
        Word.objects.using("default").create(word=text, count=1)
    for left in (1, 2, 10):
        for right in (-1, 1, 2):
            Pair.objects.using("default").create(left=left, right=right, text="x")
tables = (item, word, tag, pairs, log)
with pair() as (giver, taker):
    for table in tables:
        write_rows(table, taker, read_rows(table, giver))


def change(model, back=True, **filters):
    # The keys that are found when `change` of the rows is undone on one side.
    def check(act, undo, table, **options):
        found = []
        for alias in ("default", "other"):
            with one(alias):
                act(model.objects.using(alias))
            found.append([tuple(item[3]) for item in compare([table], **options)])
            with one(alias):
                undo(model.objects.using(alias))
        return found
    return check


@fact("equal")
def _():
    return [compare(tables, chunk_rows=rows) for rows in (2, 5, 1000)]

@fact("one value")
def _():
    changes = {"text": None, "price": PRICE + Decimal("0.00001"),
               "ratio": 0.10000000000000002, "data": b"\\1a", "flag": None,
               "note": {"a": [5, 1.5, "é", 0]},
               "moment": datetime(2026, 1, 1, tzinfo=timezone.utc)}
    with one():
        before = Item.objects.using("default").filter(id=5).values(*changes)[0]
    return {
        name: change(Item)(
            lambda rows: rows.filter(id=5).update(**{name: value}),
            lambda rows: rows.filter(id=5).update(**{name: before[name]}),
            item, chunk_rows=3,
        )
        for name, value in changes.items()
    }

@fact("exchanged")
def _():
    def exchange(rows):
        first, second = rows.get(id=3).moment, rows.get(id=4).moment
        rows.filter(id=3).update(moment=second)
        rows.filter(id=4).update(moment=first)
    return change(Item)(exchange, exchange, item)

@fact("one less")
def _():
    kept = {}
    def delete(rows):
        kept["row"] = rows.get(id=12)
        rows.filter(id=12).delete()
    return change(Item)(
        delete, lambda rows: kept["row"].save(using=rows.db, force_insert=True), item, chunk_rows=3
    )

@fact("one more at the end")
def _():
    return change(Item)(
        lambda rows: rows.create(id=-13), lambda rows: rows.filter(id=-13).delete(), item,
        chunk_rows=3,
    )

@fact("many more on one side")
def _():
    found = []
    for alias in ("default", "other"):
        with one(alias):
            Item.objects.using(alias).bulk_create(Item(id=number) for number in range(20, 60))
        found.append(
            [(found[1], found[2], found[3], found[4:]) for found in compare([item], chunk_rows=10)]
        )
        with one(alias):
            Item.objects.using(alias).filter(id__gte=20).delete()
    return found

@fact("a word")
def _():
    return [
        change(Word)(
            lambda rows: rows.filter(word="b").update(count=2),
            lambda rows: rows.filter(word="b").update(count=1), word, chunk_rows=rows,
        )
        for rows in (1, 1000)
    ]

@fact("words")
def _():
    return [change(Word)(
        lambda rows: rows.update(count=2), lambda rows: rows.update(count=1), word,
        keys_limit=limit, chunk_rows=300,
    )[0] for limit in (3, 10)]

@fact("a tag")
def _():
    return change(Tag)(
        lambda rows: rows.filter(name="7").update(name=""),
        lambda rows: rows.filter(name="").update(name="7"), tag, chunk_rows=2,
    )

@fact("a pair")
def _():
    return change(Pair)(
        lambda rows: rows.filter(left=2, right=1).update(text="y"),
        lambda rows: rows.update(text="x"), pairs, chunk_rows=2,
    )

@fact("without a key")
def _():
    with one("other") as connection:
        run(connection, f"UPDATE shop_log SET {connection.ops.quote_name('text')} = 'b'"
            f" WHERE {connection.ops.quote_name('text')} = 'c'")
    return compare([log])

@fact("the same values in other rows")
def _():
    with pair() as (giver, taker):
        run(giver, *(f"INSERT INTO shop_log VALUES ('{text}')" for text in "dd"))
        run(taker, *(f"INSERT INTO shop_log VALUES ('{text}')" for text in "ee"))
    return len(compare([log]))

@fact("some ranges")
def _():
    with one() as giver:
        Item.objects.using("default").filter(id__in=(2, 9)).update(ratio=3)
    return [
        compare(tables, ranges={
            "shop_item": [(("1",), ("5",)), (("5",), ("8",))], "shop_word": [(None, None)],
        }),
        compare(tables, ranges={"shop_item": [(("8",), None)]}),
        compare(tables, ranges={}),
    ]

@fact("some keys")
def _():
    with pair() as (giver, taker):
        Word.objects.using("other").filter(word="ö").delete()
        Tag.objects.using("other").filter(name="3").update(name="33")
        keys = list(rows(giver, f"SELECT id FROM shop_tag WHERE name IN ('3', '4')"))
        return [
            sorted(differing_keys(item, [("2",), ("3",), ("9",), ("99",)], giver, taker)),
            sorted(differing_keys(word, [("a",), ("ö",)], giver, taker)),
            len(differing_keys(tag, [(str(key),) for [key] in keys], giver, taker)),
            sorted(differing_keys(item, [], giver, taker)),
        ]

@fact("inside of a transaction")
def _():
    with pair() as (giver, taker), transaction.atomic(using="default"):
        Item.objects.using("default").filter(id=1).update(ratio=4)
        return sorted(differing_keys(item, [("1",), ("3",)], giver, taker))

@fact("stopped")
def _():
    stop = Event()
    stop.set()
    try:
        compare(tables, stop=stop)
    except MoveError as error:
        return str(error), error.exit_code

@fact("a table that is gone")
def _():
    with one("other") as connection:
        run(connection, "DROP TABLE shop_word")
    try:
        compare([word])
    except Error as error:
        return type(error).__name__, connections["default"].settings_dict["NAME"] in str(error)
"""
)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("postgres", "postgres_2"),
        ("sqlite", "postgres"),
        ("postgres", "mariadb"),
        ("mariadb", "sqlite"),
    ],
    ids=str,
)
def test_what_differs_is_found(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    source: str,
    target: str,
) -> None:
    shop = shop_project(project, request, database_name, MODELS, source, target)

    facts = ask(shop, FILLED)

    is_plain = "mariadb" in (source, target)
    tag = "00000000000000007000000000000000"
    if source != "sqlite":
        tag = "00000000-0000-0000-7000-000000000000"
    more: list[tuple[str, str | None, range, tuple[int, int]]] = [
        ("10", "27", range(20, 28), (10, 2)),
        ("27", "37", range(28, 38), (10, 0)),
        ("37", "47", range(38, 48), (10, 0)),
        ("47", "57", range(48, 58), (10, 0)),
        ("57", None, range(58, 60), (2, 0)),
    ]
    assert facts.pop("words") == (
        [[["-", "Z", "_"]], [["-", "Z", "_", "a", "a b", "ab", "b", "ö"]]]
        if is_plain
        else [[["-", "B", "Z"]], [["-", "B", "Z", "_", "a", "a b", "ab", "b", "z", "ä"]]]
    )
    assert facts.pop("many more on one side") == [
        [
            [
                [lower],
                upper and [upper],
                [str(number) for number in keys],
                [*(counts if is_first else reversed(counts)), False],
            ]
            for lower, upper, keys, counts in more
        ]
        for is_first in (True, False)
    ]
    assert "Error" in str(facts.pop("a table that is gone"))
    assert facts == {
        "equal": [[], [], []],
        "one value": {
            name: [[["5"]], [["5"]]]
            for name in ("text", "price", "ratio", "data", "flag", "note", "moment")
        },
        "exchanged": [[["3", "4"]], [["3", "4"]]],
        "one less": [[["12"]], [["12"]]],
        "one more at the end": [[["-13"]], [["-13"]]],
        "a word": [[[["b"]], [["b"]]]] * 2,
        "a tag": [[[tag]], [[tag]]],
        "a pair": [[["2 1"]], [["2 1"]]],
        "without a key": [["shop_log", None, None, [], 4, 4, False]],
        "the same values in other rows": 1,
        "some ranges": [
            [["shop_item", ["1"], ["5"], ["2"], 4, 4, False]],
            [["shop_item", ["8"], None, ["9"], 4, 4, False]],
            [],
        ],
        "some keys": [[["2"], ["9"]], [["ö"]], 1, []],
        "inside of a transaction": [["1"]],
        "stopped": ["The comparison was stopped before its end.", 130],
    }


def test_databases_with_other_encodings_and_collations(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    postgres: Server,
) -> None:
    """Where the servers write the same text in other bytes, it is the same text."""
    shop = shop_project(project, request, database_name, MODELS, "postgres")
    name = database_name("latin")
    postgres.execute(
        f"CREATE DATABASE {postgres.quote(name)} TEMPLATE template0 ENCODING 'LATIN1'"
        " LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    shop.env["OTHER_DATABASE_URL"] = postgres.url(name)

    facts = ask(
        shop,
        HEAD
        + """
Item, Word = map(apps.get_app_config("shop").get_model, ("Item", "Word"))
item, word = tables = moved("Item"), moved("Word")
for alias in ("default", "other"):
    create(alias, Item, Word)
    with one(alias) as connection:
        for number, text in enumerate(("ä", "B", "a", "é", "Z", "_")):
            Item.objects.using(alias).create(id=number, text=text)
            Word.objects.using(alias).create(word=text, count=1)

@fact("equal")
def _():
    return compare(tables, chunk_rows=2)

@fact("different")
def _():
    with one("other"):
        Item.objects.using("other").filter(text="é").update(text="e")
        Word.objects.using("other").filter(word="ä").update(count=2)
    return [item[3] for item in compare(tables, chunk_rows=2)]
""",
    )

    assert facts == {"equal": [], "different": [["3"], ["ä"]]}


def test_a_comparison_ends_when_it_is_told_to(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "postgres", "postgres_2")

    facts = ask(
        shop,
        HEAD
        + """
from appdb_router.services.moving.totals import ClientSide, Part

Item = apps.get_model("shop", "Item")
for alias in ("default", "other"):
    create(alias, Item)
    with one(alias):
        Item.objects.using(alias).create(id=1)
item = moved("Item")


def held(act):
    # While another session keeps the taker's table for itself.
    with separate_connection("other") as holder:
        holder.set_autocommit(False)
        run(holder, "LOCK TABLE shop_item")
        try:
            return act()
        finally:
            holder.rollback()

@fact("stopped")
def _():
    stop = Event()
    Timer(0.3, stop.set).start()
    with pair() as connections:
        def act():
            try:
                list(compare_tables([item], *connections, stop=stop))
            except MoveError as error:
                return error.exit_code
        return held(act), list(compare_tables([item], *connections))

@fact("the other side fails")
def _():
    with one() as connection:
        run(connection, "ALTER TABLE shop_item RENAME TO elsewhere")
    try:
        return held(lambda: compare([item]))
    except Error as error:
        return str(error).splitlines()[0]
    finally:
        with one() as connection:
            run(connection, "ALTER TABLE elsewhere RENAME TO shop_item")

@fact("what the client reads")
def _():
    with one() as connection:
        side = ClientSide(item, connection)
        before = side.total(Part()).rows
        side.cancel()
        try:
            side.total(Part())
        except MoveError as error:
            return before, str(error)
""",
    )

    assert facts == {
        "stopped": [130, []],
        "the other side fails": 'relation "shop_item" does not exist',
        "what the client reads": [1, "The comparison was stopped."],
    }


def test_what_was_copied_is_read_back(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "postgres", "postgres_2")

    facts = ask(
        shop,
        HEAD
        + """
from appdb_router.services.moving.copying import CopyOptions, copy_table
from appdb_router.services.moving.digests import compare_digests

Item, Word, Tag = map(apps.get_app_config("shop").get_model, ("Item", "Word", "Tag"))
for alias in ("default", "other"):
    create(alias, Item, Word, Tag)
create("other", MovedChunk, MovedTableState)
item, word, tag = tables = [moved("Item"), moved("Word"), moved("Tag")]
with pair() as (giver, taker):
    Item.objects.using("default").bulk_create(
        Item(id=number, text=f"{number} é", ratio=0.1) for number in range(1, 11))
    Word.objects.using("default").create(word="a", count=1)
    for table, digest in ((item, True), (word, False)):
        options = CopyOptions(chunk_rows=4, digest=digest)
        copy_table(table, giver, taker, TOKEN, options, report=lambda _: None, stop=Event())


def unlike(tables, token=TOKEN, **options):
    seen = []
    with pair() as connections:
        found = compare_digests(tables, *connections, token, report=seen.append, **options)
    return found, [report.rows for report in seen]

@fact("as it was copied")
def _():
    return unlike([item])

@fact("without a digest, and not copied")
def _():
    return unlike(tables)

@fact("another move")
def _():
    return unlike([item], "another")

@fact("changed since")
def _():
    with one("other"):
        Item.objects.using("other").filter(id=6).update(ratio=0.10000000000000002)
        Item.objects.using("other").create(id=99)
    return unlike([item])[0], [item[3] for item in compare([item], ranges=unlike([item])[0])]

@fact("not to its end")
def _():
    with one("other"):
        MovedChunk.objects.using("other").filter(number=2).delete()
    return unlike([item])[0]

@fact("stopped")
def _():
    stop = Event()
    stop.set()
    try:
        unlike([item], stop=stop)
    except MoveError as error:
        return error.exit_code
""",
    )

    assert facts == {
        "as it was copied": [{}, [4, 4, 2]],
        "without a digest, and not copied": [
            {"shop_word": [[None, None]], "shop_tag": [[None, None]]},
            [4, 4, 2, 1],
        ],
        "another move": [{"shop_item": [[None, None]]}, []],
        "changed since": [
            {"shop_item": [[["4"], ["8"]], [["8"], None]]},
            [["6"], ["99"]],
        ],
        "not to its end": {"shop_item": [[["4"], ["8"]], [["8"], None]]},
        "stopped": 130,
    }
