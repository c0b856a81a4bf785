"""Rows of every kind of field, sent around from engine to engine: a program for a project.

What `find_misfits` lets pass has to arrive exactly; what it names stays out. Prints how many values
went around and how many were refused.
"""

from __future__ import annotations

import datetime
import re
import sys
from contextlib import ExitStack
from decimal import Decimal
from itertools import pairwise
from threading import Event
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

TRIP = ("default", "postgresql", "mariadb", "last")
# All of Unicode would be listed first, for seconds.
LETTERS = st.sampled_from(
    "aA9 \x00\x01\t\r\n'\"\\%{}\x7f\x80éß\u0301\u200b\uffff\U0001f600\U0010ffff"
)
TEXT = st.text(LETTERS, max_size=25)
SURROGATES = st.text(LETTERS | st.just("\ud800"), max_size=5)
MOMENTS = st.datetimes(timezones=st.just(datetime.UTC)) | st.sampled_from(
    [
        datetime.datetime.min.replace(tzinfo=datetime.UTC),
        datetime.datetime.max.replace(tzinfo=datetime.UTC),
        datetime.datetime(1000, 1, 1, tzinfo=datetime.UTC),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | SURROGATES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SURROGATES, inner),
    max_leaves=5,
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def limits(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    """Return whole numbers around the ends of a type, and some in it."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2 ** (bits - 1) - 1)
    near = st.sampled_from([low, high, *([high + 1] if bits < 64 else []), 0, 1])
    return near | st.integers(low, high)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "char": TEXT,
    "slug": TEXT,
    "url": TEXT,
    "email": TEXT,
    "file": TEXT,
    "text": TEXT | st.sampled_from(["", "\x00", "a ", "a" * 70_000]),
    "integer": limits(32),
    "small": limits(16),
    "big": limits(64),
    "positive": limits(32, signed=False),
    "positive_small": limits(16, signed=False),
    "positive_big": limits(64, signed=False),
    "boolean": st.booleans(),
    "number": st.floats() | st.sampled_from([-0.0, 5e-324, 1.7976931348623157e308, 0.1]),
    "decimal": st.decimals(
        min_value=Decimal("-99999999.9999"), max_value=Decimal("99999999.9999"), places=4
    ),
    "long_decimal": st.decimals(min_value=-(10**19), max_value=10**19, places=10, allow_nan=False),
    "date": st.dates() | st.sampled_from([datetime.date.min, datetime.date.max]),
    "time": st.times() | st.sampled_from([datetime.time.min, datetime.time.max]),
    "moment": MOMENTS,
    "duration": st.timedeltas(
        datetime.timedelta(microseconds=-(2**63)), datetime.timedelta(microseconds=2**63 - 1)
    ),
    "code": st.uuids(),
    "raw": st.binary(max_size=40) | st.sampled_from([b"", b"\x00", b"'", b"\\"]),
    "address": st.ip_addresses().map(str),
    "facts": JSON,
}


def main() -> None:
    """Send examples around."""
    from appdb_router.services.connecting import separate_connection, standing_in

    with ExitStack() as stack:
        connections = []
        for alias in TRIP:
            connection = stack.enter_context(separate_connection(alias))
            stack.enter_context(standing_in(connection))
            connections.append(connection)
        prepare(connections)
        counts = [0, 0]

        @settings(
            max_examples=int(sys.argv[1]),
            deadline=None,
            database=None,
            derandomize=True,
            # An example takes a second: to make one smaller would take minutes.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            st.fixed_dictionaries(
                {name: st.lists(values, min_size=3, max_size=5) for name, values in VALUES.items()}
            )
        )
        def check(values: dict[str, list[Any]]) -> None:
            sent, refused = go_around(connections, values)
            counts[0] += sent
            counts[1] += refused

        check()
        sys.stdout.write(f"{counts[0]} {counts[1]}\n")


def prepare(connections: list[Any]) -> None:
    """Make the tables everywhere."""
    from django.apps import apps

    from appdb_router import models as journal

    for connection in connections:
        with connection.schema_editor() as editor:
            for model in (
                journal.MovedTableState,
                journal.MovedChunk,
                *apps.get_app_config("fleet").get_models(),
            ):
                editor.create_model(model)


def go_around(connections: list[Any], values: dict[str, list[Any]]) -> tuple[int, int]:
    """Send a row for each of ``values``; return how many arrived and how many were refused."""
    from django.apps import apps

    from appdb_router.services.moving.tables import moved_tables

    thing: Any = apps.get_app_config("fleet").get_model("Thing")
    for connection in connections:
        empty(connection)
    fill(thing, values)
    refused = 0
    for giver, taker in pairwise(connections):
        tables = moved_tables(["fleet"], giver)
        refused += remove_misfits(thing, tables, giver, taker)
        # Nothing was written, whether refused or not.
        assert not thing.objects.using(taker.alias).exists()
        transfer(tables, giver, taker)
        compare(thing, giver.alias, taker.alias)
    return thing.objects.using(TRIP[-1]).count(), refused


def empty(connection: Any) -> None:
    """Delete all rows."""
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for name in (
            "fleet_thing_friends",
            "fleet_thing",
            "appdb_router_moved_table",
            "appdb_router_moved_chunk",
        ):
            cursor.execute(f"DELETE FROM {name}")


def fill(thing: Any, values: dict[str, list[Any]]) -> None:
    """Write a row for each value, each related to the one before."""
    from django.db import models
    from django.db.models import JSONField, Value

    key = -1
    previous = None
    rows = [{name: value} for name, found in values.items() for value in found]
    for row in [{}, *rows]:
        key += 1
        if row.get("facts", 0) is None:
            row["facts"] = Value(None, JSONField())
        item = thing(id=key, parent_id=previous, **row)
        models.Model.save_base(item, raw=True, force_insert=True, using=TRIP[0])
        if previous is not None:
            item.friends.add(previous)
        previous = key


def remove_misfits(thing: Any, tables: Any, giver: Any, taker: Any) -> int:
    """Delete the rows that cannot go on, and return how many there were."""
    from appdb_router.services.moving.fitting import find_misfits

    removed = 0
    while misfits := find_misfits(tables, giver, taker, report=lambda *_: None):
        keys = {int(key) for text in misfits for key in re.findall(r"with the key '(\d+)'", text)}
        assert keys, misfits
        for key in keys:
            thing.objects.using(giver.alias).filter(parent_id=key).update(parent_id=None)
            thing.friends.through.objects.using(giver.alias).filter(from_thing_id=key).delete()
            thing.friends.through.objects.using(giver.alias).filter(to_thing_id=key).delete()
        thing.objects.using(giver.alias).filter(id__in=keys).delete()
        removed += len(keys)
    return removed


def transfer(tables: Any, giver: Any, taker: Any) -> None:
    """Copy all rows, as a move does."""
    from appdb_router.services.moving.copying import CopyOptions, copy_table
    from appdb_router.services.moving.parts import put_parts_back, take_parts_away
    from appdb_router.services.moving.sequences import set_sequences

    take_parts_away(tables, taker, "t")
    for table in tables:
        copy_table(table, giver, taker, "t", CopyOptions(40), report=lambda *_: None, stop=Event())
    put_parts_back(tables, taker, "t", report=lambda *_: None)
    set_sequences(tables, giver, taker)


def compare(thing: Any, giver: str, taker: str) -> None:
    """Assert that Django reads the same from both."""
    for model in (thing, thing.friends.through):
        before, after = (
            list(model.objects.using(alias).order_by("pk").values_list())
            for alias in (giver, taker)
        )
        different = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        assert not different, (giver, taker, different)
    created = thing.objects.using(taker).create()
    assert created.id > thing.objects.using(taker).exclude(id=created.id).order_by("-id").first().id
    created.delete()


if __name__ == "__main__":
    import django

    django.setup()
    main()
