"""What another engine cannot hold is named before anything is written."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.moving.conftest import Fleet
from tests.support.moved_rows import moving_project

MODELS = """
class Thing(models.Model):
    text = models.TextField(null=True)
    short = models.CharField(max_length=3, null=True)
    small = models.SmallIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    number = models.FloatField(null=True)
    decimal = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    date = models.DateField(null=True)
    time = models.TimeField(null=True)
    moment = models.DateTimeField(null=True)
    duration = models.DurationField(null=True)
    code = models.UUIDField(null=True)
    raw = models.BinaryField(null=True)
    address = models.GenericIPAddressField(null=True)
    facts = models.JSONField(null=True)

class Word(models.Model):
    word = models.CharField(max_length=20, unique=True)
    parent = models.ForeignKey("self", models.CASCADE, null=True)
    other = models.ForeignKey("rest.Owner", models.CASCADE, null=True, related_name="+")
    free = models.ForeignKey("self", models.CASCADE, null=True, db_constraint=False,
                             related_name="+")
"""

# By the engine that they come from: columns, and SQL of values that no other engine holds.
ODD = {
    "sqlite": {
        "text": ["x'00ff'", "char(97, 0)"],
        "short": ["'four'"],
        "small": ["40000", "'many'", "1.5"],
        "boolean": ["2"],
        "number": ["'x'"],
        "decimal": ["1.234", "'x'", "1234567.89"],
        "date": ["'2020-01-01 00:00:00'", "20200101", "'2020-13-01'"],
        "time": ["'25:00:00'"],
        "moment": ["'yesterday'", "1577836800"],
        "duration": ["'1 day'"],
        "code": ["'code'"],
        "raw": ["'text'"],
        "facts": ["'{\"a\": NaN}'", r"""'{"a": "\u0000"}'""", "'x'"],
    },
    "postgres": {
        "number": ["'NaN'", "'-Infinity'"],
        "decimal": ["'NaN'"],
        "date": ["'infinity'", "'0044-03-15 BC'", "'10000-01-01'"],
        "time": ["'24:00'"],
        "moment": ["'-infinity'", "'0044-03-15 BC'"],
        "duration": ["'1 month'", "'2000000000 days'"],
    },
    "mariadb": {
        "date": ["'0000-00-00'"],
        "time": ["'-25:00:00'"],
        "moment": ["'2020-00-01'"],
        "boolean": ["2"],
    },
}
# SQLite has no number that is none, and has infinity.
HELD = {"sqlite": [("number", "'-Infinity'")]}
# What must not be refused.
PLAIN = {
    "text": ["''", "'é'", "NULL"],
    "small": ["0", "-32768"],
    "number": ["1e308", "0.1"],
    "decimal": ["123456.78", "0"],
    "date": ["'0001-01-01'", "'9999-12-31'"],
    "time": ["'23:59:59.999999'"],
    "moment": ["'2020-01-01 00:00:00'"],
    "facts": ["'null'", """'{"a": 1.50}'"""],
}


@pytest.fixture(scope="module")
def things(
    tmp_path_factory: pytest.TempPathFactory, engine_urls: Callable[[str], str]
) -> Callable[[str, str], Fleet]:
    """A maker of projects with things, which move from one engine to another."""

    def make(source: str, target: str) -> Fleet:
        urls = engine_urls(source), engine_urls(target)
        project = moving_project(
            tmp_path_factory.mktemp("things"),
            *urls,
            MODELS,
            staying="class Owner(models.Model):\n    pass\n",
        )
        project.python(
            """
            from tests.support.moved_rows import make_tables, opened

            with opened() as found:
                for connection in found:
                    make_tables(connection, "fleet", "rest")
            """
        )
        return Fleet(project, *urls)

    return make


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("sqlite", "postgres"),
        ("postgres", "sqlite"),
        ("mariadb", "sqlite"),
        ("postgres", "mariadb"),
    ],
)
def test_odd_values(things: Callable[[str, str], Fleet], source: str, target: str) -> None:
    rows = [
        (column, value)
        for column, values in ODD[source].items()
        for value in values
        if (column, value) not in HELD.get(target, ())
    ]
    plain = [(column, value) for column, values in PLAIN.items() for value in values]
    lines = things(source, target).run(
        f"""
if source.vendor == "mysql":
    run(source, "SET sql_mode = ''")
    run(source, "SET SESSION check_constraint_checks = 0")
if source.vendor == "sqlite":
    run(source, "PRAGMA ignore_check_constraints = ON")
key = 0
for column, text in {plain + rows!r}:
    key += 1
    quoted = source.ops.quote_name(column)
    run(source, f"INSERT INTO fleet_thing (id, {{quoted}}) VALUES ({{key}}, {{text}})")
"""
        """
fitting._MOST = 100
for sentence in fitting.find_misfits([found["Thing"]], source, target, report=print):
    print(sentence)
print(value(target, "SELECT count(*) FROM fleet_thing"))
"""
    )

    assert lines[0] == f"fleet_thing {len(plain) + len(rows)}"
    assert lines[-1] == "0"
    named = [re.findall(r"'(?:fleet_thing\.)?(\w+)'", line)[:2] for line in lines[1:-1]]
    wanted = [[column, str(key)] for key, (column, _) in enumerate(rows, start=1 + len(plain))]
    assert sorted(named) == sorted(wanted)


def test_texts_that_become_equal(things: Callable[[str, str], Fleet]) -> None:
    lines = things("sqlite", "mariadb").run(
        """
from django.db import models
settling.settle(source)
words = ["a", "b", "A", "c", "á", "d ", "d"]
for number, word in enumerate(words, start=1):
    Word.objects.using("default").create(id=number, word=word, free_id=99)
Word.objects.using("default").filter(id=2).update(parent_id=77)
fitting._ROWS = 2
for sentence in fitting.find_misfits([found["Word"]], source, target, report=lambda *_: None):
    print(sentence)
for _ in range(30):
    Thing.objects.using("default").create(short="too long")
print(fitting.find_misfits([found["Thing"]], source, target, report=lambda *_: None)[-1])
print(fitting.find_misfits([found["Thing"]], target, target, report=lambda *_: None))
import dataclasses
without_key = dataclasses.replace(found["Thing"], key=())
fitting._ROWS = 7
print(fitting.find_misfits([without_key], source, target, report=lambda *_: None)[0])
Thing.objects.using("default").update(short="it")
print(fitting.find_misfits([without_key], source, target, report=lambda *_: None))
from appdb_router.services.moving import filling
print(filling.has_rows("fleet_nothing", target))
try:
    for _ in range(2):
        Word.objects.using("fleet").create(word="secret")
except Error as error:
    print(settling.refusal("No", error))
from django.test import override_settings
decimal, moment = models.DecimalField(), models.DateTimeField()
print(kinds.kind_of(decimal).parse(0.1, decimal, source))
with override_settings(USE_TZ=False):
    print(kinds.kind_of(moment).parse("2020-01-01 01:00:00+01", moment, source))
print(settling.is_slow_driver())
import sys
sys.modules["psycopg"] = None
print(settling.is_slow_driver())
"""
    )

    broken = (
        "The row of 'fleet_word' with the key '{}' breaks a constraint of 'fleet'; texts that"
        " differ there by case or accents alone are equal."
    )
    assert lines == [
        *(broken.format(number) for number in (3, 5, 7)),
        "Rows of 'fleet_word' refer by 'parent_id' to rows of 'fleet_word' that are not there.",
        "There may be more in 'fleet_thing'.",
        "[]",
        "A value of 'fleet_thing.short' cannot be held exactly by 'fleet' (mysql).",
        "[]",
        "False",
        "No: IntegrityError, 1062.",
        "0.1",
        "2020-01-01 01:00:00",
        "False",
        "False",
    ]


def test_a_value_that_cannot_be_read(things: Callable[[str, str], Fleet]) -> None:
    lines = things("sqlite", "postgres").run(
        """
run(source, "INSERT INTO fleet_thing (id, date) VALUES (5, 'secret')")
[sentence] = fitting.find_misfits([found["Thing"]], source, target, report=lambda *_: None)
print(sentence)
try:
    move_rows(source, target)
except MoveError as error:
    print(error)
run(source, "UPDATE fleet_thing SET date = NULL, text = 'secret' || char(0)")
try:
    move_rows(source, target)
except MoveError as error:
    print(error)
print(value(target, "SELECT count(*) FROM fleet_thing"))
a, b = kinds.JsonValue('{"a": [1.0, null], "b": 10}'), kinds.JsonValue('{"b": 1e1, "a": [1, null]}')
print(a == b, hash(a) == hash(b), repr(a) == repr(b), a == kinds.JsonValue("0"), a == 1,
      kinds.JsonValue('{"exact": "1", "read": "1"}') == kinds.JsonValue("1"))
from django.contrib.postgres.fields import ArrayField
from django.db import models
print(kinds.kind_of(ArrayField(models.IntegerField())))
"""
    )

    assert lines == [
        "The value of 'fleet_thing.date' in the row with the key '5' is none that DateField can"
        " have.",
        "The value of 'fleet_thing.date' in the row with the key '5' cannot be read as DateField.",
        "The rows of 'fleet_thing' cannot be copied: UnfitValueError.",
        "0",
        "True True True False False False",
        "None",
    ]


def test_a_server_that_is_lost_meanwhile(things: Callable[[str, str], Fleet]) -> None:
    """Its error is not taken for a value that does not fit."""
    lines = things("sqlite", "postgres").run(
        """
for _ in range(2):
    Thing.objects.using("default").create(short="abc")
fitting._ROWS = 1
def report(*_):
    with opened("fleet") as (other,):
        pid = target.connection.info.backend_pid
        print(value(other, f"SELECT pg_terminate_backend({pid}, 5000)"))
try:
    fitting.find_misfits([found["Thing"]], source, target, report=report)
except Error as error:
    print(settling.is_about_server(error))
"""
    )

    assert lines == ["True", "True"]
