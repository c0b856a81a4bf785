"""Rows from one PostgreSQL server to another: exactly the same, and so are the tables around."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.dumps import POSTGRESQL
from tests.support.moved_rows import made, moving_project
from tests.support.project import Project
from tests.support.servers import Server

MODELS = """
from django.contrib.postgres.fields import ArrayField, DateRangeField, IntegerRangeField
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.indexes import GinIndex

class Car(models.Model):
    plate = models.CharField(max_length=20, unique=True, db_column="Plate Nö")
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    twin = models.ForeignKey("Van", models.CASCADE, null=True)
    friends = models.ManyToManyField("self")
    tags = ArrayField(models.TextField(), null=True)
    grid = ArrayField(ArrayField(models.IntegerField()), null=True)
    days = DateRangeField(null=True)
    facts = models.JSONField(null=True)
    raw = models.BinaryField(null=True)
    price = models.DecimalField(max_digits=30, decimal_places=10, null=True)
    size = models.FloatField(null=True)
    born = models.DateField(null=True)
    seen = models.DateTimeField(null=True)
    took = models.DurationField(null=True)
    address = models.GenericIPAddressField(null=True)
    code = models.UUIDField(null=True)
    upper = models.GeneratedField(expression=models.functions.Upper("plate"),
                                  output_field=models.TextField(), db_persist=True)

    class Meta:
        db_table = 'Fleet "Car'.replace('"', "")
        indexes = [GinIndex(fields=["facts"], name="car_facts"),
                   models.Index(fields=["-seen"], name="car_seen", condition=models.Q(size__gt=0))]
        constraints = [
            ExclusionConstraint(name="car_days", expressions=[("days", "&&")]),
            models.CheckConstraint(condition=models.Q(size__gt=-5), name="car_size"),
            models.UniqueConstraint(fields=["code"], name="car_code",
                                    deferrable=models.Deferrable.DEFERRED),
        ]

class Van(Car):
    doors = models.IntegerField(default=2)
    first = models.ForeignKey(Car, models.CASCADE, null=True, related_name="+")

class Stop(models.Model):
    pk = models.CompositePrimaryKey("van", "name")
    van = models.ForeignKey(Van, models.CASCADE, db_column="Van")
    name = models.CharField(max_length=9)

class Word(models.Model):
    word = models.CharField(max_length=20, primary_key=True)
"""

FILL = """
INSERT INTO "Fleet Car" ("Plate Nö", parent_id, tags, grid, days, facts, raw, price, size, born,
                         seen, took, address, code)
SELECT 'p' || n, CASE WHEN n > 1 THEN n / 2 + 1 END, ARRAY['a,"{}', NULL, E'\\\\\\n' || n],
       ARRAY[[n, 2], [3, NULL]], daterange(date '2000-01-01' + n, date '2000-01-01' + n + 1),
       jsonb_build_object('n', n, 'x', E'\\t'), decode(md5(n::text), 'hex'), n / 7.0, sqrt(n),
       'infinity', '-infinity', n * interval '1 month 2 days 03:00:00.000001', '10.0.0.1',
       gen_random_uuid()
FROM generate_series(1, 250) n;
INSERT INTO "Fleet Car" ("Plate Nö", size, price) VALUES ('', 'NaN', 'NaN');
INSERT INTO "Fleet Car" ("Plate Nö", size) VALUES (E'\\U0001F600 ''"\\\\', 'inf');
INSERT INTO "Fleet Car" ("Plate Nö", facts) VALUES ('null', 'null');
INSERT INTO fleet_van SELECT n, n % 5, n + 1 FROM generate_series(1, 100) n;
UPDATE "Fleet Car" SET twin_id = id WHERE id <= 100;
INSERT INTO fleet_stop SELECT n, m::text FROM generate_series(1, 40) n, generate_series(1, 4) m;
INSERT INTO fleet_word
SELECT chr(n) || x FROM generate_series(65, 122) n, unnest(ARRAY['a', 'É', '-']) x;
INSERT INTO "Fleet Car_friends" (from_car_id, to_car_id)
SELECT n, n + 1 FROM generate_series(1, 50) n;
"""


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres: Server, unique: Callable[[str], str]
) -> Iterator[tuple[Project, str, str]]:
    names = unique("from"), unique("to")
    urls = [made(postgres, name) for name in names]
    project = moving_project(tmp_path_factory.mktemp("fleet"), urls[0], urls[1], MODELS)
    project.installed_apps.insert(0, "django.contrib.postgres")
    project.python(
        """
        from tests.support.moved_rows import make_tables, opened

        with opened() as (source, target):
            make_tables(source, 'fleet')
            make_tables(target, 'fleet')
        """
    )
    postgres.execute(FILL, database=names[0])
    yield project, *names
    for name in names:
        postgres.drop(name)


def rows(server: Server, name: str, table: str) -> list[tuple[Any, ...]]:
    return server.fetch(f'SELECT t::text FROM "{table}" t ORDER BY 1', database=name)


def schema(server: Server, name: str) -> dict[str, Any]:
    return {
        part: server.fetch(POSTGRESQL[part], database=name)
        for part in ("columns", "constraints", "indexes")
    }


TABLES = ("Fleet Car", "Fleet Car_friends", "fleet_van", "fleet_stop", "fleet_word")


def test_everything_is_the_same(fleet: tuple[Project, str, str], postgres: Server) -> None:
    project, source, target = fleet
    postgres.execute(
        """
        CREATE VIEW per_car AS SELECT id, "Plate Nö" FROM "Fleet Car" GROUP BY id;
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.doors := 99; RETURN NEW; END';
        CREATE TRIGGER spoiled BEFORE INSERT ON fleet_van FOR EACH ROW EXECUTE FUNCTION spoil();
        ALTER TABLE fleet_van ENABLE ALWAYS TRIGGER spoiled;
        CREATE TABLE other (van bigint REFERENCES fleet_van ON DELETE CASCADE);
        ALTER TABLE fleet_stop CLUSTER ON fleet_stop_pkey;
        CREATE UNIQUE INDEX marked ON fleet_word (word) WITH (fillfactor = 70);
        ALTER TABLE fleet_word REPLICA IDENTITY USING INDEX marked;
        COMMENT ON INDEX marked IS 'it''s marked';
        COMMENT ON CONSTRAINT fleet_word_pkey ON fleet_word IS 'key';
        """,
        database=target,
    )
    before = schema(postgres, target)
    marks = (
        "SELECT indexrelid::regclass::text, indisclustered, indisreplident, obj_description("
        "indexrelid), reloptions FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE"
        " indrelid::regclass::text ~ 'fleet|Fleet' ORDER BY 1"
    )
    marked = postgres.fetch(marks, database=target)

    result = project.python(
        """
        import json
        from appdb_router.services.moving import parts, suiting, tables
        from tests.support.moved_rows import move_rows, opened

        with opened() as (source, target):
            found = tables.moved_tables(["fleet"], source)
            print(json.dumps([[table.name, table.columns, table.key] for table in found]))
            print(suiting.column_problems(found, source, target))
            told = move_rows(source, target, chunk_rows=100, digest=True)
            print(json.dumps([[item.table, item.rows] for item in told]))
            parts.enable_triggers(found, target, "token")
        """
    )
    listed, problems, told = result.stdout.splitlines()
    chunks = json.loads(told)

    # A car and a van refer to each other: either may be the first.
    assert {name: key for name, _, key in json.loads(listed)} == {
        "Fleet Car": ["id"],
        "Fleet Car_friends": ["id"],
        "fleet_stop": ["Van", "name"],
        "fleet_van": ["car_ptr_id"],
        "fleet_word": ["word"],
    }
    assert "upper" not in listed
    assert problems == "[]"
    assert schema(postgres, target) == before
    assert postgres.fetch(marks, database=target) == marked
    for table in TABLES:
        arrived = rows(postgres, target, table)
        assert arrived == rows(postgres, source, table), table
        assert sum(number for name, number in chunks if name == table) == len(arrived)
