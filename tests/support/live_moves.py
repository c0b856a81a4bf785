"""A project with an app to move, and writers that remember what was acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Any

from tests.support.project import Project, describe

MODELS = """\
class Vehicle(models.Model):
    plate = models.CharField(max_length=20, unique=True)


class Tag(models.Model):
    name = models.CharField(max_length=20)


class Trip(models.Model):
    token = models.CharField(max_length=40, unique=True)
    vehicle = models.ForeignKey(Vehicle, models.CASCADE, null=True)
    rider = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True)
    amount = models.DecimalField(max_digits=9, decimal_places=2, default=0)
    payload = models.JSONField(default=dict)
    tags = models.ManyToManyField(Tag)
"""
# An app that stays, and refers to the one that moves.
NOTES = """\
class Note(models.Model):
    trip = models.ForeignKey("driver.Trip", models.CASCADE)
    text = models.CharField(max_length=20)
"""

SEED = """
    from django.contrib.auth.models import User
    from driver.models import Tag, Trip, Vehicle
    from notes.models import Note

    ann = User.objects.create(username="ann")
    cars = Vehicle.objects.bulk_create(Vehicle(plate=f"car {i}") for i in range(20))
    tags = Tag.objects.bulk_create(Tag(name=f"tag {i}") for i in range(5))
    trips = Trip.objects.bulk_create(
        [
            Trip(token=f"seed-{i}", vehicle=cars[i % 20], rider=ann, amount=i, payload={"n": i})
            for i in range(ROWS)
        ],
        batch_size=500,
    )
    for trip in trips[:50]:
        trip.tags.set(tags[trip.pk % 5 : trip.pk % 5 + 2])
    Note.objects.bulk_create(Note(trip=trip, text="seed") for trip in trips[:50])
"""

# Each line of its log is something that the database has acknowledged, as (token, amount): None
# for a row that was deleted. What it tried last, and does not know, is the last line of "tries".
WRITER = """
    import json
    import os
    import random
    import sys
    import time
    import uuid

    from django.db import transaction
    from django.db.models import F
    from appdb_router import alias_for
    from appdb_router.moves.errors import MoveStraddledError
    from driver.models import Trip, Vehicle

    log = open(sys.argv[1], "a", buffering=1)
    stop, pause = sys.argv[2], float(sys.argv[3])
    chance = random.Random(sys.argv[1])
    mine = {}
    straddled = 0

    def acknowledged(token, amount):
        log.write(json.dumps([token, amount]) + "\\n")
        if amount is None:
            mine.pop(token, None)
        else:
            mine[token] = amount

    def insert():
        token = uuid.uuid4().hex
        if chance.random() < 0.5:
            Trip.objects.create(token=token, amount=1)
        else:
            Trip(token=token, amount=1).save()
        acknowledged(token, 1)

    def insert_many():
        trips = [Trip(token=uuid.uuid4().hex, amount=2) for _ in range(3)]
        Trip.objects.bulk_create(trips)
        for trip in trips:
            acknowledged(trip.token, 2)

    def update():
        token = chance.choice(list(mine))
        assert Trip.objects.filter(token=token).update(amount=F("amount") + 1) == 1, token
        acknowledged(token, mine[token] + 1)

    def save():
        token = chance.choice(list(mine))
        trip = Trip.objects.get(token=token)
        assert trip.amount == mine[token], (token, trip.amount, mine[token])
        trip.amount += 1
        trip.save()
        acknowledged(token, mine[token] + 1)

    def delete():
        token = chance.choice(list(mine))
        Trip.objects.get(token=token).delete()
        acknowledged(token, None)

    def together():
        global straddled
        token, other = uuid.uuid4().hex, chance.choice(list(mine))
        while True:
            try:
                with transaction.atomic(using=alias_for(Trip)):
                    Trip.objects.create(token=token, amount=5)
                    Trip.objects.filter(token=other).update(amount=F("amount") + 1)
                break
            except MoveStraddledError:
                straddled += 1
        acknowledged(token, 5)
        acknowledged(other, mine[other] + 1)

    insert()
    insert_many()
    work = [insert, insert, insert_many, update, update, save, delete, together]
    done, longest = 0, 0
    while not os.path.exists(stop):
        begun = time.monotonic()
        (chance.choice(work) if len(mine) > 2 else insert)()
        done += 1
        longest = max(longest, time.monotonic() - begun)
        time.sleep(max(0, pause - (time.monotonic() - begun)))
    print(json.dumps({"done": done, "longest": longest, "straddled": straddled}))
"""

# Reads rows that nobody changes, by one of their keys.
READER = """
    import json
    import os
    import random
    import sys
    import time
    from driver.models import Trip

    done, longest = 0, 0
    while not os.path.exists(sys.argv[1]):
        begun = time.monotonic()
        number = random.randrange(int(sys.argv[2]))
        assert Trip.objects.get(token=f"seed-{number}").amount == number
        done += 1
        longest = max(longest, time.monotonic() - begun)
        time.sleep(max(0, float(sys.argv[3]) - (time.monotonic() - begun)))
    print(json.dumps({"done": done, "longest": longest}))
"""

# What is in all tables, wherever they are now.
ALL = """
    import json
    from django.core.serializers.json import DjangoJSONEncoder
    from driver.models import Tag, Trip, Vehicle
    from notes.models import Note

    models = (Tag, Trip, Trip.tags.through, Vehicle, Note)
    print(json.dumps([list(model.objects.order_by("pk").values_list()) for model in models],
                     cls=DjangoJSONEncoder))
"""

FOUND = """
    import json
    from driver.models import Trip
    rows = Trip.objects.exclude(token__startswith="seed-").values_list("token", "amount")
    print(json.dumps([[token, int(amount)] for token, amount in rows]))
"""


def moving_project(project: Project, urls: dict[str, str], *, rows: int = 500) -> Project:
    """Write the apps, make their databases, and fill those of `driver` in the default."""
    project.app("driver", models=MODELS)
    project.app("notes", models=NOTES)
    project.makemigrations("driver", "notes")
    project.env["DATABASE_URL"] = urls["default"]
    project.manage("db_init", "--all-apps")
    project.python(f"ROWS = {rows}\n" + dedent(SEED))
    project.env["DRIVER_DATABASE_URL"] = urls["driver"]
    project.env["DRIVER_DATABASE_MOVE_FROM"] = "default"
    project.manage("db_init", "--all-apps")
    return project


def start(project: Project, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program in the project, and return at once."""
    project.write_settings()
    code = "import django\ndjango.setup()\n" + dedent(program)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a program to come to a good end, and return what it says of itself."""
    stdout, stderr = process.communicate(timeout=60)
    done = subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
    assert process.returncode == 0, describe(done)
    said: dict[str, Any] = json.loads(stdout)
    return said


class Writers:
    """Processes that write to `driver` until they are told to stop."""

    def __init__(self, project: Project, count: int, pause: float) -> None:
        self._stop = project.root / "stop"
        self._stop.unlink(missing_ok=True)
        self._logs = [project.root / f"acknowledged-{i}.log" for i in range(count)]
        self._project = project
        self._said: list[dict[str, Any]] = []
        self._processes = [
            start(project, WRITER, str(log), str(self._stop), str(pause)) for log in self._logs
        ]

    def written(self) -> int:
        """Return how many writes were acknowledged until now."""
        return sum(len(log.read_text().splitlines()) for log in self._logs if log.exists())

    def stop(self) -> list[dict[str, Any]]:
        """Tell them to stop, and return what each says of itself."""
        self._stop.touch()
        self._said = self._said or [outcome(process) for process in self._processes]
        return self._said

    def check(self) -> None:
        """Compare what was acknowledged with the rows that are there."""
        expected: dict[str, int] = {}
        for log in self._logs:
            for line in log.read_text().splitlines():
                token, amount = json.loads(line)
                if amount is None:
                    expected.pop(token, None)
                else:
                    expected[token] = amount
        found = json.loads(self._project.python(FOUND).stdout)
        assert len(found) == len(dict(found)), "a row is there twice"
        assert dict(found) == expected


@contextmanager
def writing(project: Project, *, count: int = 2, pause: float = 0.01) -> Iterator[Writers]:
    """Let writers write in this block; what they wrote is checked at its end."""
    writers = Writers(project, count, pause)
    try:
        yield writers
    finally:
        said = writers.stop()
    assert all(item["done"] for item in said)
    writers.check()
