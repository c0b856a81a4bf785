"""Foreign keys between tables that move and tables that stay: dropped, added, validated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.moving.conftest import ENGINES, Fleet, fleet_between


@pytest.fixture(scope="module", params=ENGINES)
def from_each(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    engine_urls: Callable[[str], str],
) -> Fleet:
    target = "sqlite"
    folder = tmp_path_factory.mktemp("staying")
    return fleet_between(folder, engine_urls, request.param, target)


PROGRAM = """
fresh(source, target)
settling.settle(source)
q = source.ops.quote_name
def keys_of(table):
    with source.cursor() as cursor:
        found = source.introspection.get_constraints(cursor, table)
    return sorted((tuple(item["columns"]), item["foreign_key"]) for item in found.values()
                  if item["foreign_key"])
def indexes():
    with source.cursor() as cursor:
        found = source.introspection.get_constraints(cursor, "rest_owner")
    return sorted(tuple(item["columns"]) for item in found.values()
                  if item["index"] and not item["primary_key"])
if source.vendor == "sqlite":
    run(source, "ALTER TABLE fleet_car ADD COLUMN owner_id bigint NULL REFERENCES rest_owner (id)")
    run(source, "CREATE TRIGGER noted AFTER INSERT ON rest_owner BEGIN SELECT 1; END")
    run(source, "CREATE VIEW owned AS SELECT car_id FROM rest_owner")
else:
    run(source, "ALTER TABLE fleet_car ADD COLUMN owner_id bigint NULL")
    run(source, "ALTER TABLE fleet_car ADD CONSTRAINT owned FOREIGN KEY (owner_id)"
                " REFERENCES rest_owner (id) ON DELETE SET NULL")
from rest.models import Owner
Car.objects.using("default").create(id=1)
Owner.objects.using("default").create(id=1, car_id=1, other_id=None)
Owner.objects.using("default").create(id=7, car_id=1, other_id=1)
run(source, "DELETE FROM rest_owner WHERE id = 7")
tables_before, indexes_before = [keys_of(name) for name in ("rest_owner", "fleet_car")], indexes()
written = json.loads(json.dumps(staying.staying_constraints(found.values(), source)))
print(sorted((item["table"], *item["columns"], item["references"]) for item in written))
for _ in range(2):
    staying.drop_staying_constraints(written, source)
print(keys_of("rest_owner"), keys_of("fleet_car"))
print(staying.staying_constraints(found.values(), source))
# What stays may refer to what has moved.
Owner.objects.using("default").create(id=8, car_id=77)
for _ in range(2):
    staying.add_staying_constraints(written, source)
print([keys_of(name) for name in ("rest_owner", "fleet_car")] == tables_before)
try:
    staying.validate_staying_constraints(written, source)
except MoveError as error:
    print(error)
staying.validate_staying_constraints(
    [{**item, "is_validated": False} for item in written], source)
run(source, "DELETE FROM rest_owner WHERE id = 8")
staying.validate_staying_constraints(written, source)
print(indexes() == indexes_before, Owner.objects.using("default").count())
print(source.vendor != "sqlite" or Owner.objects.using("default").create(car_id=1).id > 8)
"""


def test_constraints_of_both_directions(from_each: Fleet) -> None:
    lines = from_each.run(PROGRAM)

    assert lines == [
        "[('fleet_car', 'owner_id', 'rest_owner'), ('rest_owner', 'car_id', 'fleet_car')]",
        "[(('other_id',), ('rest_owner', 'id'))] [(('parent_id',), ('fleet_car', 'id'))]",
        "[]",
        "True",
        "Rows of 'rest_owner' refer by 'car_id' to rows of 'fleet_car' that are not there.",
        "True 1",
        "True",
    ]


def test_tables_of_sqlite_that_were_written_by_hand(
    tmp_path_factory: pytest.TempPathFactory, engine_urls: Callable[[str], str]
) -> None:
    fleet = fleet_between(tmp_path_factory.mktemp("hand"), engine_urls, "sqlite", "sqlite")
    lines = fleet.run(
        '''
settling.settle(source)
run(source, """CREATE TABLE [by hand] (a INTEGER DEFAULT (1, 2) , "b,c" text
    DEFAULT 'x) REFERENCES fleet_car (id)', d int, e int GENERATED ALWAYS AS (a + 1) STORED,
    CONSTRAINT one FOREIGN KEY (d) REFERENCES fleet_car (id) ON DELETE CASCADE,
    FOREIGN KEY (a, d) REFERENCES fleet_stop) WITHOUT ROWID""".replace("WITHOUT ROWID", "")
    .replace("(1, 2)", "(1)"))
run(source, "INSERT INTO [by hand] (a) VALUES (5)")
before = value(source, "SELECT sql FROM sqlite_master WHERE name = 'by hand'")
written = [item for item in staying.staying_constraints(found.values(), source)
           if item["table"] == "by hand"]
print([item["definition"] for item in written])
staying.drop_staying_constraints(written, source)
after = value(source, "SELECT sql FROM sqlite_master WHERE name = 'by hand'")
print("CONSTRAINT" in after, "ON DELETE" in after, "'x) REFERENCES fleet_car (id)'" in after)
staying.add_staying_constraints(written, source)
print(len(staying.staying_constraints(found.values(), source)) - len(written))
print(value(source, 'SELECT e FROM "by hand"'))
staying.drop_staying_constraints(written, source)
odd = [{**written[0], "columns": ["d"], "definition": "DEFAULT 7"}]
try:
    staying.add_staying_constraints(odd, source)
except MoveError as error:
    print(error)
staying.add_staying_constraints(written, source)
run(source, "PRAGMA foreign_keys = ON")
try:
    with transaction.atomic(using="default"):
        staying.drop_staying_constraints(written, source)
except MoveError as error:
    print(error)
run(source, "CREATE TABLE odd (a REFERENCES /* ( */ fleet_car)")
try:
    staying.staying_constraints(found.values(), source)
except MoveError as error:
    print(error)
'''
    )

    assert lines == [
        "['FOREIGN KEY (a, d) REFERENCES fleet_stop',"
        " 'CONSTRAINT one FOREIGN KEY (d) REFERENCES fleet_car (id) ON DELETE CASCADE']",
        "False False True",
        "1",
        "6",
        "The foreign keys of 'by hand' cannot be changed.",
        "Tables cannot be remade while SQLite checks foreign keys.",
        "The foreign key of 'odd' on 'a' is not understood.",
    ]
