"""What stands in the way of a move, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.moving.conftest import Fleet, fleet_between
from tests.support.moved_rows import moving_project

PROGRAM = """
def problems(*names):
    tables_now = {table.model.__name__: table for table in tables.moved_tables(["fleet"], source)}
    for problem in suiting.column_problems([tables_now[name] for name in names], source, target):
        print(problem)
    print("--")
"""


def test_between_postgresql_servers(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        PROGRAM
        + """
problems(*found)
changes = [
    ("ALTER TABLE fleet_line ADD extra int", source, "Line"),
    ("ALTER TABLE fleet_line ADD more int", target, "Line"),
    ("ALTER TABLE fleet_line ADD extra bigint GENERATED ALWAYS AS (1) STORED", target, "Line"),
    ("ALTER TABLE fleet_stop ALTER name TYPE varchar(5)", target, "Stop"),
    ("ALTER TABLE fleet_car ALTER kind SET NOT NULL", target, "Car"),
    ("DROP TABLE fleet_flag", target, "Flag"),
    ("DROP TABLE fleet_sight", source, "Sight"),
    ("DROP TABLE fleet_code; CREATE TABLE fleet_code (code uuid PRIMARY KEY)"
     " PARTITION BY HASH (code)", source, "Code"),
]
with transaction.atomic(using="default"), transaction.atomic(using="fleet"):
    for statement, connection, name in changes:
        run(connection, statement)
        problems(name)
    run(target, "CREATE TABLE child () INHERITS (fleet_line)")
    run(target, "DROP TABLE fleet_code; CREATE VIEW fleet_code AS SELECT 1 AS code")
    problems("Line", "Code")
    for alias in ("default", "fleet"):
        transaction.set_rollback(True, using=alias)
"""
    )

    assert lines == [
        "--",
        "There is no column 'fleet_line.extra' in 'fleet'.",
        "--",
        "There is no column 'fleet_line.extra' in 'fleet'.",
        "The column 'fleet_line.more' is in 'fleet' and not in 'default'.",
        "--",
        "The column 'fleet_line.extra' is computed in 'fleet', and not in 'default'.",
        "The column 'fleet_line.extra' has the type 'integer' in 'default', and 'bigint' in"
        " 'fleet'.",
        "The column 'fleet_line.more' is in 'fleet' and not in 'default'.",
        "--",
        "The column 'fleet_stop.name' has the type 'character varying(9)' in 'default', and"
        " 'character varying(5)' in 'fleet'.",
        "--",
        "The column 'fleet_car.kind' may be NULL in 'default', and not in 'fleet'.",
        "--",
        "There is no table 'fleet_flag' in 'fleet'.",
        "--",
        "There is no table 'fleet_sight' in 'default'.",
        "--",
        "The table 'fleet_code' in 'default' is partitioned, and such tables are not moved.",
        "--",
        "The table 'fleet_line' in 'fleet' is a partition, or part of an inheritance of tables, and"
        " such tables are not moved.",
        "The table 'fleet_code' in 'default' is partitioned, and such tables are not moved.",
        "The table 'fleet_code' in 'fleet' is no ordinary table, and such tables are not moved.",
        "--",
    ]


def test_between_other_engines(
    tmp_path_factory: pytest.TempPathFactory, engine_urls: Callable[[str], str]
) -> None:
    fleet = fleet_between(tmp_path_factory.mktemp("other"), engine_urls, "sqlite", "mariadb")
    lines = fleet.run(
        PROGRAM
        + """
problems(*found)
run(source, "CREATE TRIGGER appdb_router_own AFTER INSERT ON fleet_line BEGIN SELECT 1; END")
run(source, "CREATE TRIGGER noted AFTER INSERT ON fleet_line BEGIN SELECT 1; END")
run(source, "ALTER TABLE fleet_line ADD COLUMN Extra int")
run(target, "CREATE TRIGGER noted BEFORE INSERT ON fleet_stop FOR EACH ROW SET @a = 1")
run(target, "ALTER TABLE fleet_line ADD extra int DEFAULT 1, ADD computed int AS (1) VIRTUAL")
run(target, "ALTER TABLE fleet_sight PARTITION BY KEY () PARTITIONS 2")
run(target, "DROP TABLE fleet_code")
run(target, "CREATE VIEW fleet_code AS SELECT 1 AS code")
run(source, "DROP TABLE fleet_flag")
run(source, "CREATE VIEW fleet_flag AS SELECT 1 AS flag")
problems("Line", "Stop", "Sight", "Code", "Flag")
for connection in (source, target):
    run(connection, "DROP TABLE fleet_car_friends")
problems("Car_friends")
print(found["Car_friends"].label)
run(source, "DROP TABLE fleet_stop")
run(source, "CREATE TABLE fleet_stop (day int, name text, PRIMARY KEY (day, name))")
run(source, "DROP TABLE fleet_sight")
run(source, "CREATE TABLE fleet_sight (Moment datetime NOT NULL PRIMARY KEY)")
for table in tables.moved_tables(["fleet"], source):
    if table.model in (Stop, Sight):
        print(table.name, table.columns, table.key)
print(columns.stored_table(target, "fleet_line").columns["computed"])
try:
    rows.columns_of(tables.moved_tables(["fleet"], source)[-1].__class__(
        Line, "fleet_line", ("id", "Extra"), ("id",)))
except MoveError as error:
    print(error)
"""
    )

    assert lines == [
        "--",
        "The table 'fleet_line' in 'default' has triggers that would change what is copied:"
        " 'noted'. Drop them until the move is over.",
        "No field of Line knows the column 'fleet_line.Extra'.",
        "The table 'fleet_stop' in 'fleet' has triggers that would change what is copied: 'noted'."
        " Drop them until the move is over.",
        "The table 'fleet_sight' in 'fleet' is partitioned, and such tables are not moved.",
        "The table 'fleet_code' in 'fleet' is no ordinary table, and such tables are not moved.",
        "The table 'fleet_flag' in 'default' is no ordinary table, and such tables are not moved.",
        "--",
        "There is no table 'fleet_car_friends' in 'default'.",
        "There is no table 'fleet_car_friends' in 'fleet'.",
        "--",
        "fleet",
        "fleet_stop ('day', 'name') ()",
        "fleet_sight ('moment',) ('moment',)",
        "StoredColumn(name='computed', type='int(11)', is_nullable=True, is_generated=True,"
        " is_plain=True)",
        "The values of 'fleet_line.Extra' can only be moved as they are.",
    ]


def test_values_of_one_engine_only(
    tmp_path_factory: pytest.TempPathFactory, engine_urls: Callable[[str], str]
) -> None:
    project = moving_project(
        tmp_path_factory.mktemp("only"),
        engine_urls("postgres"),
        engine_urls("sqlite"),
        """
from django.contrib.postgres.fields import DateRangeField

class Line(models.Model):
    key = models.DecimalField(primary_key=True, max_digits=3, decimal_places=1)
    body = models.JSONField()
    days = DateRangeField()
    size = models.FloatField()
""",
    )
    project.python(
        """
        from tests.support.moved_rows import make_tables, opened

        with opened() as found:
            for connection in found:
                make_tables(connection, "fleet")
        """
    )
    lines = Fleet(project, "", "").run(
        """
from appdb_router.services.moving.preflight import lack_of_room
for problem in suiting.column_problems(found.values(), source, target):
    print(problem)
print(lack_of_room(target, 1), lack_of_room(source, 1 << 60))
print(*lack_of_room(target, 1 << 60))
"""
    )

    nothing, room = lines[2:]
    assert nothing == "[] []"
    assert re.fullmatch(
        r"The rows take about 1,152,921,504,606,846,976 bytes, and there are [\d,]+ left where"
        r" 'fleet' is\. Make room there\.",
        room,
    )
    assert lines[:2] == [
        "Rows cannot be told apart by 'fleet_line.key': it is a DecimalField.",
        "Values of DateRangeField, as in 'fleet_line.days', cannot go from postgresql to sqlite.",
    ]
