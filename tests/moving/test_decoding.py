"""A replication slot tells the same keys as the triggers, and nothing is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server
from tests.support.shop import PRELUDE, shop_project

MODELS = """
class Item(models.Model):
    slug = models.CharField(max_length=20, null=True)
    text = models.TextField(default="")


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.CharField(max_length=60, db_column="Right Half")

    class Meta:
        db_table = "Shop's 100% Pairs"


class Day(models.Model):
    day = models.DateField(primary_key=True)


class Moment(models.Model):
    moment = models.DateTimeField(primary_key=True)


class Flag(models.Model):
    flag = models.BooleanField(primary_key=True)


class Span(models.Model):
    span = models.DurationField(primary_key=True)


class Address(models.Model):
    address = models.GenericIPAddressField(primary_key=True)


class Amount(models.Model):
    amount = models.DecimalField(primary_key=True, max_digits=9, decimal_places=2)


class Blob(models.Model):
    blob = models.BinaryField(primary_key=True)


class Ratio(models.Model):
    ratio = models.FloatField(primary_key=True)


class Padded(models.Field):
    def db_type(self, connection):
        return "char(8)"


class Code(models.Model):
    code = Padded(primary_key=True)


class Keyless(models.Model):
    text = models.CharField(max_length=20, primary_key=True)
"""

HEAD = (
    PRELUDE
    + """
from dataclasses import replace

from threading import Event

from appdb_router.services.moving.listening import keep_up
from appdb_router.services.moving.running import MoveOptions, Run
from appdb_router.services.moving.decoding import Slot, drop_slot, slot_name, slot_state
from appdb_router.services.moving.triggers import capture_changes, stop_capturing

create("default", *(table.model for table in moved_all()), RowChange)
with one() as connection:
    run(connection, "ALTER TABLE shop_keyless DROP CONSTRAINT shop_keyless_pkey")
tables = tuple(
    replace(table, key=()) if table.name == "shop_keyless" else table for table in moved_all()
)


@contextmanager
def opened(**options):
    with separate_connection("default") as connection:
        yield Slot(connection, "shop", tables, **options)


def taken():
    # What is in the queue, which is empty then.
    with one() as connection:
        found = rows(connection, 'SELECT "table", key FROM appdb_router_row_change')
        run(connection, "DELETE FROM appdb_router_row_change")
    return found


def told(slot, *statements, **options):
    # The keys of table shop_item that the slot tells of.
    with one() as connection:
        run(connection, *statements)
    slot.read(**options)
    return sorted(key for _, key in taken())


def raised(function):
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""
)

WRITES = """
    INSERT INTO shop_item (slug, text) SELECT n::text, '' FROM generate_series(1, 9) AS n
    UPDATE shop_item SET slug = 'x' WHERE id < 4
    UPDATE shop_item SET id = id + 100 WHERE id IN (3, 4)
    DELETE FROM shop_item WHERE id > 6
    INSERT INTO "Shop's 100% Pairs" VALUES (1, 'it''s "so" %s é \\'), (2, ''), (3, 'x')
    UPDATE "Shop's 100% Pairs" SET "Right Half" = 'y' WHERE "left" = 3
    INSERT INTO shop_day VALUES ('2026-02-01'), ('0044-03-15 BC'), ('infinity')
    INSERT INTO shop_moment VALUES ('2026-02-01 03:04:05.000006+05:30'), ('-infinity')
    INSERT INTO shop_flag VALUES (true), (false)
    DELETE FROM shop_flag WHERE flag
    INSERT INTO shop_span VALUES ('1 year 2 days -00:00:00.000001')
    INSERT INTO shop_address VALUES ('10.0.0.1'), ('2001:db8::1')
    INSERT INTO shop_amount VALUES (0.10), (-1234567.89)
    INSERT INTO shop_blob VALUES ('\\x00ff'), ('')
    INSERT INTO shop_ratio VALUES (0.1), (1e300), ('NaN'), (5e-324)
    INSERT INTO shop_code VALUES ('ab'), ('abcdefgh')
    INSERT INTO shop_keyless VALUES ('a')
    TRUNCATE shop_amount, shop_keyless
"""


@pytest.fixture
def shop(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> Project:
    return shop_project(project, request, database_name, MODELS, "logical")


def test_the_slot_tells_what_the_triggers_tell(shop: Project) -> None:
    facts = ask(
        shop,
        HEAD
        + f"""
WRITES = {[line.strip() for line in WRITES.strip().splitlines()]!r}

with one() as connection, opened() as slot:
    slot.make()
    capture_changes(tables, connection, "shop", TOKEN)
    # A writer's own form of dates changes nothing.
    run(connection, "SET DateStyle = 'German'", *WRITES)
    by_triggers = taken()
    slot.read()
    by_slot = taken()
    stop_capturing(tables, connection, "shop")
    drop_slot(connection, "shop")


def keys(found, name):
    return sorted({{key or "all" for table, key in found if table == name}})


fact("tables")(lambda: sorted({{name for name, _ in by_slot}}))
fact("different")(lambda: {{
    table.name: [keys(by_triggers, table.name), keys(by_slot, table.name)] for table in tables
    if keys(by_triggers, table.name) != keys(by_slot, table.name)
}})
fact("items")(lambda: keys(by_slot, "shop_item"))
fact("codes")(lambda: keys(by_slot, "shop_code"))
fact("amounts")(lambda: keys(by_slot, "shop_amount"))
""",
    )

    assert facts["different"] == {}
    assert "shop_keyless" not in facts["tables"]
    assert len(facts["tables"]) == 11
    assert facts["items"] == sorted(
        [f'["{number}"]' for number in (*range(1, 10), 103, 104)],
    )
    assert facts["codes"] == ['["ab"]', '["abcdefgh"]']
    assert facts["amounts"] == ['["-1234567.89"]', '["0.10"]', "all"]


def test_reading(shop: Project) -> None:
    facts = ask(
        shop,
        HEAD
        + """
INSERT = "INSERT INTO shop_item (text) VALUES ('')"

with one() as connection, opened() as slot, opened(most_messages=3) as hasty:
    fact("before")(lambda: raised(slot.read))
    run(connection, INSERT)
    slot.make()
    # What is there of an attempt that was killed is made anew.
    slot.make()
    fact("nothing")(lambda: told(slot))
    fact("one")(lambda: told(slot, INSERT))
    fact("once")(lambda: told(slot))
    fact("kept")(lambda: told(slot, INSERT, forget=False))
    fact("twice")(lambda: told(slot))
    fact("asynchronous")(
        lambda: told(slot, "SET synchronous_commit = off", INSERT, "RESET synchronous_commit")
    )
    fact("in steps")(lambda: told(hasty, *[INSERT] * 4, forget=False))
    run(connection, "BEGIN", INSERT)
    fact("open")(lambda: told(slot))
    run(connection, "SAVEPOINT a", INSERT, "ROLLBACK TO a", INSERT, "COMMIT")
    fact("committed")(lambda: told(slot))
    fact("rolled back")(lambda: told(slot, "BEGIN", INSERT, "ROLLBACK"))
    fact("truncated")(lambda: told(slot, "TRUNCATE shop_item"))
    long = "repeat(md5('a'), 200)"
    run(connection, "ALTER TABLE shop_item ALTER text SET STORAGE EXTERNAL")
    run(connection, f"INSERT INTO shop_item (id, text) VALUES (100, {long})")
    fact("long")(lambda: told(slot, "UPDATE shop_item SET slug = 'x' WHERE id = 100"))
    run(connection, "ALTER TABLE shop_item REPLICA IDENTITY FULL")
    fact("state")(lambda: vars(slot_state(connection, "shop")))
    with opened() as full:
        full.make()
        fact("full")(lambda: told(full, "UPDATE shop_item SET id = 101 WHERE id = 100"))
        fact("full, deleted")(lambda: told(full, "DELETE FROM shop_item WHERE id = 101"))
    slot.make()
    listener = Run(None, None, tables, MoveOptions(), None, Event(), slot=slot)
    run(connection, "INSERT INTO shop_item (id, text) VALUES (200, '')")
    slot.read(forget=False)
    taken()
    keep_up(listener)
    fact("read a moment ago")(lambda: [slot.age < 5, taken()])
    # As if that was some time ago.
    slot.read_at -= 6
    keep_up(listener)
    fact("read again")(lambda: [slot.age < 5, taken()])
    run(connection, f'ALTER PUBLICATION {slot_name(connection, "shop")} DROP TABLE shop_item')
    fact("changed")(lambda: raised(slot.read))
    drop_slot(connection, "shop")
    drop_slot(connection, "shop")
    fact("dropped")(lambda: slot_state(connection, "shop"))
    fact("left")(lambda: rows(connection, "SELECT pubname FROM pg_publication"))
""",
    )

    name = facts["before"].split("'")[1]
    assert name.startswith("appdb_router_slot_shop_")
    assert len(name) <= 63
    gone = (
        f"MoveError: The replication slot {name!r} in 'default' or its publication is gone, or was"
        " changed, so nobody knows what was written since. Begin again with --restart."
    )
    assert facts == {
        "before": gone,
        "nothing": [],
        "one": ['["2"]'],
        "once": [],
        "kept": ['["3"]'],
        "twice": ['["3"]'],
        "asynchronous": ['["4"]'],
        "in steps": ['["5"]', '["6"]', '["7"]', '["8"]'],
        "open": [],
        "committed": ['["11"]', '["9"]'],
        "rolled back": [],
        "truncated": [None],
        "long": ['["100"]'],
        "state": {"is_lost": False, "bytes": facts["state"]["bytes"]},
        "full": ['["100"]', '["101"]'],
        "full, deleted": ['["101"]'],
        "read a moment ago": [True, []],
        "read again": [True, [["shop_item", '["200"]']]],
        "changed": gone,
        "dropped": None,
        "left": [],
    }
    assert facts["state"]["bytes"] >= 0


def test_a_role_that_may_do_no_more_than_is_needed(shop: Project, logical: Server) -> None:
    database = shop.env["DATABASE_URL"].rpartition("/")[2]
    role = f"{database}_role"
    logical.create_role(role, "secret")
    logical.execute(f"ALTER ROLE {role} REPLICATION")
    logical.execute(f"ALTER DATABASE {database} OWNER TO {role}")
    shop.env["DATABASE_URL"] = logical.url(database, user=role, password="secret")

    facts = ask(
        shop,
        HEAD
        + """
from appdb_router.services.moving.slot_checks import slot_problems

with one() as connection, opened() as slot:
    fact("problems")(lambda: list(slot_problems(tables, connection, "shop", offline=False)))
    slot.make()
    fact("told")(lambda: told(slot, "INSERT INTO shop_item (text) VALUES ('')"))
    fact("once")(lambda: told(slot))
    drop_slot(connection, "shop")
    fact("dropped")(lambda: slot_state(connection, "shop"))
""",
    )

    assert facts == {"problems": [], "told": ['["1"]'], "once": [], "dropped": None}
    logical.drop(database)
    logical.drop_role(role)


def test_a_slot_that_the_server_gave_up(shop: Project, logical: Server) -> None:
    facts = ask(
        shop,
        HEAD
        + """
with one() as connection, opened() as slot:
    slot.make()
    run(
        connection,
        "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'",
        "SELECT pg_reload_conf()",
        *["SELECT pg_logical_emit_message(true, '', 'x')", "SELECT pg_switch_wal()"] * 6,
        "CHECKPOINT",
    )
    fact("state")(lambda: vars(slot_state(connection, "shop")))
    fact("read")(lambda: raised(slot.read))
    run(
        connection, "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()"
    )
    drop_slot(connection, "shop")
    fact("dropped")(lambda: slot_state(connection, "shop"))
""",
    )

    assert facts["state"] == {"is_lost": True, "bytes": None}
    assert facts["read"].endswith(
        "in 'default' has kept too much of the log, and was given up by the server, so nobody knows"
        " what was written since. Begin again with --restart."
    )
    assert facts["dropped"] is None
