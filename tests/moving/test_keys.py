"""Keys as texts: bounds, conditions, and from one engine to another."""

from __future__ import annotations

import json

from tests.moving.conftest import Fleet

FILL = """
import datetime, uuid

fresh(source, target)
numbers = (-1, 1, 2, 10, 2**53 + 1, 2**53 + 2)
Car.objects.using("default").bulk_create([Car(id=number) for number in numbers])
stops = [Stop(day=number, name=text) for number in (1, 10, 2) for text in "xyz"]
Stop.objects.using("default").bulk_create(stops)
moment = datetime.datetime(2020, 1, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
Sight.objects.using("default").create(moment=moment)
Sight.objects.using("default").create(moment=moment.replace(microsecond=0))
code = uuid.UUID(int=2**100)
Code.objects.using("default").create(code=code)
Flag.objects.using("default").create(flag=True)
Flag.objects.using("default").create(flag=False)
"""


def test_chunks_and_conditions(to_each: Fleet) -> None:
    [line] = to_each.run(
        FILL.replace('"default"', '"fleet"')
        + """
def count(table, condition):
    [name] = keys.quoted(target, [table.name])
    with target.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {name} WHERE {condition[0]}", condition[1])
        return cursor.fetchone()[0]

result = {}
for name, size in (("Car", 2), ("Stop", 4), ("Sight", 1)):
    lower, chunks = None, []
    while True:
        upper = keys.next_boundary(found[name], target, lower, size)
        chunks.append([upper, count(found[name], keys.between(found[name], target, lower, upper))])
        if upper is None:
            break
        lower = upper
    result[name] = chunks
two = [("2",), ("10",), (str(2**53 + 1),), ("77",)]
result["among"] = count(found["Car"], keys.among(found["Car"], target, two))
result["pairs"] = count(found["Stop"], keys.among(found["Stop"], target, [("2", "x"), ("10", "y")]))
result["none"] = count(found["Car"], keys.among(found["Car"], target, []))
many = [(str(n),) for n in range(2500)]
result["batches"] = [len(batch) for batch in keys.batches(found["Car"], target, many)][0] <= 1000
rows.delete_keys(found["Car"], target, [*two, *many])
result["left"] = sorted(Car.objects.using("fleet").values_list("id", flat=True))
print(json.dumps(result))
"""
    )
    found = json.loads(line)
    sights = found.pop("Sight")

    assert found == {
        "Car": [[["1"], 2], [["10"], 2], [["9007199254740994"], 2], [None, 0]],
        "Stop": [[["2", "x"], 4], [["10", "y"], 4], [None, 1]],
        "among": 3,
        "pairs": 2,
        "none": 0,
        "batches": True,
        "left": [-1, 2**53 + 2],
    }
    assert [count for _, count in sights] == [1, 1, 0]


def test_keys_of_one_engine_find_the_rows_of_another(to_each: Fleet) -> None:
    lines = to_each.run(
        FILL
        + """
for name in ("Car", "Stop", "Sight", "Code", "Flag"):
    table = found[name]
    rows.write_rows(table, target, rows.read_rows(table, source))
    for giver, taker in ((source, target), (target, source)):
        texts = []
        lower = None
        while (lower := keys.next_boundary(table, giver, lower, 1)) is not None:
            texts.append(lower)
        there = keys.translated(table, texts, giver, taker)
        before = list(rows.read_rows(table, giver, keys=texts))
        after = list(rows.read_rows(table, taker, keys=there))
        print(name, len(before), sorted(map(repr, before)) == sorted(map(repr, after)),
              keys.translated(table, texts, giver, giver) == texts)
"""
    )

    counts = {"Car": 6, "Stop": 9, "Sight": 2, "Code": 1, "Flag": 2}
    assert lines == [f"{name} {n} True True" for name, n in counts.items() for _ in range(2)]
