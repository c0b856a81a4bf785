"""What is written while a table is moved is noted, or refused, by the server itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.shop import ENGINES, PRELUDE, shop_project

MODELS = """
class Item(models.Model):
    slug = models.CharField(max_length=20, unique=True, null=True)
    size = models.IntegerField(default=0)


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "Right Half")
    left = models.IntegerField()
    right = models.CharField(max_length=60, db_column="Right Half")

    class Meta:
        db_table = "Shop's Pairs"


class Note(models.Model):
    # Its table has a primary key for Django alone.
    text = models.CharField(max_length=20, primary_key=True)
""".replace('CompositePrimaryKey("left", "Right Half")', 'CompositePrimaryKey("left", "right")')

HEAD = (
    PRELUDE
    + """
from dataclasses import replace

from appdb_router.moves.refusal import is_refusal
from appdb_router.services.moving.passing import passing
from appdb_router.services.moving.triggers import (
    accept_writes, are_refused, capture_changes, lock_for_writing, refuse_writes,
    stop_capturing,
)

create("default", *(table.model for table in moved_all()), RowChange)
item, pairs, note = moved("Item"), moved("Pair"), replace(moved("Note"), key=())
tables = (item, pairs, note)
quote = connections["default"].ops.quote_name
P, H = quote(pairs.name), quote("Right Half")


def queue():
    # What was noted since the last time, in the order of the texts.
    with one() as connection:
        found = rows(connection, f"SELECT label, {quote('key')} FROM appdb_router_row_change")
        run(connection, "DELETE FROM appdb_router_row_change")
    keys = (json.loads(key or "null") for label, key in found if label == "shop")
    return sorted(keys, key=json.dumps)


def wrote(*statements):
    # Written by another session, as the application would.
    with separate_connection("default") as connection:
        run(connection, *statements)
    return queue()
"""
)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shop(
    project: Project,
    engine: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> Project:
    return shop_project(project, request, database_name, MODELS, engine)


def keys(*found: list[str]) -> list[list[str]]:
    return sorted(found, key=json.dumps)


def test_what_is_written_is_noted(shop: Project, engine: str) -> None:
    facts = ask(
        shop,
        HEAD
        + """
with one() as connection:
    for _ in range(2):
        capture_changes(tables, connection, "shop", TOKEN)

@fact("insert")
def _():
    return wrote(
        "INSERT INTO shop_item (id, slug, size) VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)"
    )

@fact("update")
def _():
    return wrote("UPDATE shop_item SET size = 1 WHERE id < 3")

@fact("the key itself")
def _():
    return wrote("UPDATE shop_item SET id = 30 WHERE id = 3")

@fact("none")
def _():
    return wrote(
        "UPDATE shop_item SET id = 30 WHERE id = 33", "DELETE FROM shop_item WHERE id = 33"
    )

@fact("delete")
def _():
    return wrote("DELETE FROM shop_item WHERE id = 2")

@fact("two columns")
def _():
    return wrote(f"INSERT INTO {P} ({quote('left')}, {H}) VALUES (7, 'it''s \\"so\\" % ä')")

@fact("without a key")
def _():
    return wrote("INSERT INTO shop_note (text) VALUES ('x')")

@fact("rolled back")
def _():
    with separate_connection("default") as connection, standing_in(connection):
        refusal(connection, "INSERT INTO shop_item (id, slug, size) VALUES (1, 'z', 0)")
    return queue()

@fact("passing")
def _():
    with one() as connection:
        with passing(connection, TOKEN):
            with passing(connection, TOKEN):
                run(connection, "UPDATE shop_item SET size = 5 WHERE id = 1")
            run(connection, "UPDATE shop_item SET size = 6 WHERE id = 1")
        before = queue()
        run(connection, "UPDATE shop_item SET size = 7 WHERE id = 1")
        after = queue()
        with passing(connection, "another"):
            run(connection, "UPDATE shop_item SET size = 8 WHERE id = 1")
    return before, after, queue()

@fact("passing, and failing")
def _():
    with one() as connection:
        for _ in range(2):
            try:
                with passing(connection, TOKEN), transaction.atomic(using="default"):
                    run(connection, "SELECT nothing")
            except Error:
                pass
            try:
                with transaction.atomic(using="default"), passing(connection, TOKEN):
                    run(connection, "SELECT nothing")
            except Error:
                pass
        run(connection, "UPDATE shop_item SET size = 9 WHERE id = 1")
    return queue()

@fact("stopped")
def _():
    with one() as connection:
        for _ in range(2):
            stop_capturing(tables, connection, "shop")
    with one() as connection, passing(connection, TOKEN):
        found = rows(connection, "SELECT size FROM shop_item WHERE id = 30")
    found += wrote("UPDATE shop_item SET size = 10")
    with one() as connection:
        capture_changes([item], connection, "shop", TOKEN)
        run(connection, "DROP TABLE shop_item")
        stop_capturing(tables, connection, "shop")
        left = [name for name in connection.introspection.table_names() if "passing" in name]
    return found, left
""",
    )

    assert facts == {
        "insert": keys(["1"], ["2"], ["3"]),
        "update": keys(["1"], ["2"]),
        "the key itself": keys(["3"], ["30"]),
        "none": [],
        "delete": keys(["2"]),
        "two columns": keys(["7", 'it\'s "so" % ä']),
        "without a key": [],
        "rolled back": [],
        "passing": [[], keys(["1"]), keys(["1"])],
        "passing, and failing": keys(["1"]),
        "stopped": [[[0]], []],
    }


REFUSING = (
    HEAD
    + """
reason = (
    "The app 'shop' lives in 'other'. This table is kept for the way back, and takes no writes."
)
with one() as connection:
    run(connection, "INSERT INTO shop_item (id, slug, size) VALUES (1, 'a', 0)")
"""
)


def test_writes_are_refused(shop: Project, engine: str) -> None:
    facts = ask(
        shop,
        REFUSING
        + """
with one() as connection:
    before = are_refused(tables, connection, "shop")
    for _ in range(2):
        refuse_writes(tables, connection, "shop", TOKEN, reason)
    after = are_refused(tables, connection, "shop")

@fact("are refused")
def _():
    return before, after

STATEMENTS = {
    "insert": "INSERT INTO shop_item (id, slug, size) VALUES (2, 'b', 0)",
    "update": "UPDATE shop_item SET size = 1",
    "delete": "DELETE FROM shop_item",
    "another table": f"INSERT INTO {P} ({quote('left')}, {H}) VALUES (7, 'x')",
    "without a key": "INSERT INTO shop_note (text) VALUES ('x')",
}
for name, statement in STATEMENTS.items():
    @fact(name)
    def _(statement=statement):
        with one() as connection:
            return refusal(connection, statement)

@fact("recognised")
def _():
    try:
        apps.get_model("shop", "Item").objects.create(slug="b")
    except Error as error:
        return is_refusal(error)

@fact("passing")
def _():
    with one() as connection, passing(connection, TOKEN):
        run(connection, "UPDATE shop_item SET size = 1")
        return rows(connection, "SELECT size FROM shop_item")

@fact("another move")
def _():
    with one() as connection, passing(connection, "another"):
        return refusal(connection, "UPDATE shop_item SET size = 1")

@fact("captured and refused")
def _():
    with one() as connection:
        capture_changes(tables, connection, "shop", TOKEN)
        with passing(connection, TOKEN):
            run(connection, "UPDATE shop_item SET size = 2")
        return refusal(connection, "UPDATE shop_item SET size = 1"), queue()

@fact("another reason")
def _():
    with one() as connection:
        refuse_writes(tables, connection, "shop", TOKEN, "x" * 200 + "%'\\\\")
        return refusal(connection, "UPDATE shop_item SET size = 1")

@fact("one is not")
def _():
    with one() as connection:
        accept_writes([item], connection, "shop")
        return are_refused(tables, connection, "shop"), are_refused([note], connection, "shop")

@fact("accepted")
def _():
    with one() as connection:
        for _ in range(2):
            accept_writes(tables, connection, "shop")
        found = [refusal(connection, statement) for statement in STATEMENTS.values()]
        run(connection, "DROP TABLE shop_item")
        accept_writes(tables, connection, "shop")
        return found, are_refused([item], connection, "shop")
""",
    )

    text = (
        "appdb_router: The app 'shop' lives in 'other'. This table is kept for the way back, and"
        " takes no writes."
    )
    long = f"appdb_router: {'x' * 200}%'\\"
    if engine == "mariadb":
        text = f'(1644, "{text}")'
        long = f"(1644, '{long[:127]}…')"
    assert facts == {
        "are refused": [False, True],
        **dict.fromkeys(["insert", "update", "delete", "another table", "without a key"], text),
        "recognised": True,
        "passing": [[1]],
        "another move": text,
        "captured and refused": [text, []],
        "another reason": long,
        "one is not": [False, True],
        "accepted": [["done"] * 5, False],
    }


def test_refusing_in_a_transaction_on_postgresql(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "postgres")

    facts = ask(
        shop,
        REFUSING
        + """
@fact("rolled back")
def _():
    with one() as connection:
        try:
            with transaction.atomic(using="default"):
                lock_for_writing(tables, connection, timeout=1)
                refuse_writes(tables, connection, "shop", TOKEN, reason)
                inside = are_refused(tables, connection, "shop")
                raise RuntimeError
        except RuntimeError:
            return inside, are_refused(tables, connection, "shop")

@fact("committed")
def _():
    with one() as connection:
        with transaction.atomic(using="default"):
            lock_for_writing(tables, connection, timeout=1)
            refuse_writes(tables, connection, "shop", TOKEN, reason)
        return are_refused(tables, connection, "shop"), [
            refusal(connection, statement)[:22]
            for statement in ("TRUNCATE shop_item", "UPDATE shop_item SET size = 1 WHERE false")
        ]

@fact("as a replica")
def _():
    with one() as connection:
        run(connection, "SET session_replication_role = replica")
        return refusal(connection, "DELETE FROM shop_item")[:22]

@fact("switched off")
def _():
    with one() as connection:
        run(connection, "ALTER TABLE shop_item DISABLE TRIGGER USER")
        before = are_refused(tables, connection, "shop")
        refuse_writes(tables, connection, "shop", TOKEN, reason)
        return before, are_refused(tables, connection, "shop")

@fact("locked")
def _():
    with one() as connection:
        accept_writes(tables, connection, "shop")
        with separate_connection("default") as writer:
            writer.set_autocommit(False)
            run(writer, "UPDATE shop_item SET size = 2")
            with transaction.atomic(using="default"):
                lock_for_writing([note], connection, timeout=1)
                setting = rows(connection, "SHOW lock_timeout")
            try:
                with transaction.atomic(using="default"):
                    lock_for_writing([note, item], connection, timeout=0.05)
            except Error as error:
                return setting, type(error).__name__, str(error.__cause__).splitlines()[0]
            finally:
                writer.rollback()
""",
    )

    assert facts == {
        "rolled back": [True, False],
        "committed": [True, ["appdb_router: The app "] * 2],
        "as a replica": "appdb_router: The app ",
        "switched off": [False, True],
        "locked": [[["0"]], "OperationalError", "canceling statement due to lock timeout"],
    }


def test_locking_on_the_other_engines(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "sqlite", "mariadb")

    facts = ask(
        shop,
        HEAD
        + """
@fact("sqlite")
def _():
    with one() as connection, separate_connection("default") as writer:
        with transaction.atomic(using="default"):
            lock_for_writing(tables, connection, timeout=0.05)
            run(writer, "PRAGMA busy_timeout = 1")
            try:
                run(writer, "UPDATE shop_item SET size = 2")
            except Error as error:
                other = str(error)
        writer.set_autocommit(False)
        run(writer, "UPDATE shop_item SET size = 2")
        try:
            with transaction.atomic(using="default"):
                lock_for_writing(tables, connection, timeout=0.05)
        except Error as error:
            return other, str(error), rows(connection, "PRAGMA busy_timeout")
        finally:
            writer.rollback()

@fact("mariadb")
def _():
    with one("other") as connection:
        create("other", RowChange, item.model)
        with transaction.atomic(using="other"):
            lock_for_writing(tables, connection, timeout=0.05)
        with separate_connection("other") as writer:
            writer.set_autocommit(False)
            run(writer, "INSERT INTO shop_item (id, size) VALUES (1, 1)")
            try:
                refuse_writes([item], connection, "shop", TOKEN, "because", lock_wait=0.1)
            except Error as error:
                return error.args[0], rows(connection, "SELECT @@lock_wait_timeout")[0][0] > 1
            finally:
                writer.rollback()
""",
    )

    assert facts == {
        "sqlite": ["database is locked", "database is locked", [[5000]]],
        "mariadb": [1205, True],
    }


def test_kinds_of_statements_on_postgresql(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    role: Callable[..., Any],
    postgres: Any,
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "postgres")
    writer = role(postgres)

    facts = ask(
        shop,
        HEAD
        + f"""
with one() as connection:
    run(
        connection,
        "CREATE TABLE child (id int PRIMARY KEY,"
        " item_id bigint REFERENCES shop_item ON DELETE CASCADE)",
        "GRANT SELECT, INSERT, UPDATE ON shop_item TO {writer.name}",
    )
    child = replace(item, name="child", columns=("id", "item_id"))
    capture_changes((*tables, child), connection, "shop", TOKEN)

@fact("ON CONFLICT")
def _():
    return wrote(
        "INSERT INTO shop_item (id, slug, size) VALUES (1, 'a', 0)",
        "INSERT INTO shop_item (id, slug, size) VALUES (8, 'a', 0), (9, 'b', 0)"
        " ON CONFLICT (slug) DO UPDATE SET size = 4",
    )

@fact("COPY")
def _():
    with separate_connection("default") as connection, connection.cursor() as cursor:
        with cursor.copy("COPY shop_item (id, slug, size) FROM STDIN") as copy:
            copy.write_row((10, "j", 0))
            copy.write_row((11, "k", 0))
    return queue()

@fact("MERGE")
def _():
    return wrote(
        "MERGE INTO shop_item USING (VALUES (10), (12)) AS v (id) ON v.id = shop_item.id"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, size) VALUES (v.id, 0)"
    )

@fact("cascade")
def _():
    wrote("INSERT INTO child VALUES (100, 1)")
    return wrote("DELETE FROM shop_item WHERE id = 1")

@fact("TRUNCATE")
def _():
    return wrote("TRUNCATE shop_item, child")

@fact("WITH")
def _():
    return wrote("WITH x AS (INSERT INTO shop_item (id, size) VALUES (1, 0) RETURNING id)"
                 " INSERT INTO child SELECT id, NULL FROM x")

@fact("as a replica")
def _():
    return wrote("SET session_replication_role = replica", "UPDATE shop_item SET size = 3")

@fact("a role without rights on the queue")
def _():
    return wrote(
        "SET ROLE {writer.name}", "SET search_path = pg_temp, public",
        "CREATE TEMP TABLE appdb_router_row_change (id int)", "UPDATE shop_item SET size = 3",
    )

@fact("triggers as they were")
def _():
    def ids():
        return rows(connection, "SELECT oid, xmin::text FROM pg_trigger ORDER BY oid")
    with one() as connection:
        before = ids()
        capture_changes(tables, connection, "shop", TOKEN)
        kept = ids()
        capture_changes(tables, connection, "shop", "another")
        body = rows(connection, "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%another%'")
        return before == kept, before == ids(), body

@fact("somebody writes")
def _():
    with separate_connection("default") as writer, standing_in(writer):
        with transaction.atomic(using="default"):
            run(writer, "UPDATE shop_item SET size = 2")
            with one() as connection:
                try:
                    stop_capturing([item], connection, "shop", lock_wait=0.05)
                except Error as error:
                    return str(error.__cause__).splitlines()[0]
""",
    )

    assert facts == {
        "ON CONFLICT": keys(["1"], ["1"], ["9"]),
        "COPY": keys(["10"], ["11"]),
        "MERGE": keys(["10"], ["12"]),
        "cascade": keys(["1"], ["100"]),
        "TRUNCATE": [None, None],
        "WITH": keys(["1"], ["1"]),
        "as a replica": [["1"]],
        "a role without rights on the queue": [["1"]],
        "triggers as they were": [True, False, [[2]]],
        "somebody writes": "canceling statement due to lock timeout",
    }


def test_rows_that_sqlite_replaces(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    """`INSERT OR REPLACE` takes rows away without telling triggers."""
    shop = shop_project(project, request, database_name, MODELS, "sqlite")

    facts = ask(
        shop,
        HEAD
        + """
with one() as connection:
    run(
        connection,
        "CREATE TABLE child (id int PRIMARY KEY,"
        " item_id bigint REFERENCES shop_item ON DELETE CASCADE)",
        "CREATE UNIQUE INDEX odd ON shop_item (size, lower(slug))",
    )
    child = replace(item, name="child", columns=("id", "item_id"))
    capture_changes((*tables, child), connection, "shop", TOKEN)
    run(connection, "INSERT INTO shop_item (id, slug, size) VALUES (1, 'a', 0), (2, 'b', 1)")
    run(connection, "INSERT INTO child VALUES (100, 1)")
    queue()

@fact("insert")
def _():
    return wrote("INSERT OR REPLACE INTO shop_item (id, slug, size) VALUES (3, 'b', 5)")

@fact("update")
def _():
    return wrote("UPDATE OR REPLACE shop_item SET slug = 'b' WHERE id = 1")

@fact("cascade")
def _():
    return wrote("DELETE FROM shop_item WHERE id = 1")
""",
    )

    assert facts == {
        "insert": keys(["2"], ["3"]),
        "update": keys(["1"], ["3"]),
        "cascade": keys(["1"], ["100"]),
    }


def test_what_no_trigger_is_told_of(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "sqlite", "mariadb")

    facts = ask(
        shop,
        HEAD
        + """
from appdb_router.services.moving.unnoticed import capture_problems

create("other", item.model)
with one("other") as connection:
    run(
        connection,
        "CREATE TABLE child (id bigint PRIMARY KEY, item_id bigint, other_id bigint,"
        " CONSTRAINT acts FOREIGN KEY (item_id) REFERENCES shop_item (id) ON DELETE CASCADE"
        " ON UPDATE SET NULL,"
        " CONSTRAINT waits FOREIGN KEY (other_id) REFERENCES shop_item (id))",
    )
    child = replace(item, name="child", columns=("id", "item_id", "other_id"))

    @fact("mariadb")
    def _():
        return [capture_problems(found, connection) for found in ([item, child], [item], [])]

@fact("sqlite")
def _():
    with one() as connection:
        return capture_problems(tables, connection)
""",
    )

    text = (
        "The foreign key 'acts' of 'child' in 'other' changes rows by itself (ON DELETE CASCADE and"
        " ON UPDATE SET NULL), and no trigger is told. Drop it until the move is finalized, or make"
        " it RESTRICT and leave this to on_delete in the model."
    )
    assert facts == {"mariadb": [[text], [], []], "sqlite": []}
