"""A flip in the middle of whatever the ORM does: nothing fails, and nothing is lost or doubled."""

from __future__ import annotations

from tests.support.facts import ask
from tests.support.moving import Moving

PRELUDE = """
import asyncio

from asgiref.sync import async_to_sync
from django.db import OperationalError, connections, transaction
from appdb_router import alias_for
from appdb_router.moves.errors import MoveClosedError, MoveStraddledError
from appdb_router.topology import get_topology
from flips import *
from shop.models import Customer
from trips.models import Express, Note, Tag, Trip


def trip(title, **values):
    return Trip.objects.create(title=title, **values)


def rows(model):
    "What is at home, and what the other database has."
    return model.objects.count()
"""

# Each is done on objects that were loaded before the flip; the first ones in both directions.
OPERATIONS = """
def save_new():
    Trip(title="new").save()
    return Trip.objects.filter(title="new").count() == 1


def save_with_key():
    Trip(id=7777, title="with key").save()
    found = Trip.objects.filter(title="with key").count() == 1
    Trip.objects.filter(id=7777).delete()
    return found


def save_child():
    Express(title="child", speed=3).save()
    return Express.objects.filter(title="child", speed=3).count() == 1


def save_again():
    old.distance += 1
    old.save(update_fields=["distance"])
    return Trip.objects.get(pk=old.pk).distance == old.distance


def delete_instance():
    gone.delete()
    return not Trip.objects.filter(title="gone").exists()


def create():
    made = Trip.objects.create(title="created")
    return Trip.objects.get(title="created").pk == made.pk and made._state.db == home()


def bulk_create():
    Trip.objects.bulk_create(Trip(title="bulk") for _ in range(3))
    return Trip.objects.filter(title="bulk").count() == 3


def bulk_update():
    old.title = "renamed"
    Trip.objects.bulk_update(iter([old]), ["title"])
    return Trip.objects.get(pk=old.pk).title == "renamed"


def update():
    return Trip.objects.filter(pk=old.pk).update(distance=50) == 1


def delete():
    Trip.objects.filter(title="many").delete()
    return not Trip.objects.filter(title="many").exists()


def async_create():
    async def create():
        await Trip.objects.acreate(title="asynchronous")

    async_to_sync(create)()
    return Trip.objects.filter(title="asynchronous").count() == 1


def get_or_create():
    made, is_new = Trip.objects.get_or_create(title="got", defaults={"distance": 4})
    return is_new and Trip.objects.filter(title="got").count() == 1


def update_or_create():
    Trip.objects.update_or_create(title="old", defaults={"distance": 70})
    return Trip.objects.get(pk=old.pk).distance == 70


def reverse_add():
    old.later.add(other)
    return Trip.objects.get(pk=other.pk).before_id == old.pk


def reverse_add_by_save():
    old.later.add(other, bulk=False)
    return Trip.objects.get(pk=other.pk).before_id == old.pk


def reverse_create():
    old.later.create(title="later")
    return Trip.objects.filter(title="later", before=old).count() == 1


def reverse_remove():
    old.later.remove(linked)
    return Trip.objects.get(pk=linked.pk).before_id is None


def reverse_clear():
    old.later.clear()
    return not old.later.exists()


def reverse_set():
    old.later.set(iter([other]))
    return [item.pk for item in old.later.all()] == [other.pk]


def many_add():
    old.tags.add(tag, spare)
    return old.tags.count() == 2


def many_remove():
    old.tags.remove(tag)
    return old.tags.count() == 0


def many_set():
    old.tags.set([spare])
    return [item.pk for item in old.tags.all()] == [spare.pk]


def many_clear():
    old.tags.clear()
    return old.tags.count() == 0


def many_create():
    old.tags.create(name="made")
    made = Tag.objects.filter(name="made")
    return made.count() == 1 and [*old.tags.filter(name="made")] == [*made]


def generic_create():
    old.notes.create(text="noted")
    return old.notes.filter(text="noted").count() == 1


def generic_add():
    old.notes.add(Note(text="added"), bulk=False)
    return old.notes.filter(text="added").count() == 1


def generic_clear():
    old.notes.clear()
    return not old.notes.exists()


def of_staying():
    customer.delete()
    return not Trip.objects.filter(title="of customer").exists() and not Customer.objects.exists()


SIMPLE = [
    save_new, save_with_key, save_again, delete_instance, create, bulk_create, update, delete,
    async_create, of_staying,
]
ALL = [
    *SIMPLE, save_child, bulk_update, get_or_create, update_or_create,
    reverse_add, reverse_add_by_save, reverse_create, reverse_remove, reverse_clear, reverse_set,
    many_add, many_remove, many_set, many_clear, many_create,
    generic_create, generic_add, generic_clear,
]


def run(operation):
    global old, gone, other, linked, tag, spare, customer
    Note.objects.all().delete()
    Tag.objects.all().delete()
    Trip.objects.all().delete()
    Customer.objects.all().delete()
    customer = Customer.objects.create(name="Ann")
    old, gone, other, linked = [trip(name) for name in ("old", "gone", "other", "linked")]
    trip("of customer", customer=customer)
    Trip.objects.bulk_create([Trip(title="many"), Trip(title="many")])
    linked.before = old
    linked.save()
    tag, spare = Tag.objects.create(name="tag"), Tag.objects.create(name="spare")
    old.tags.add(tag)
    old.notes.create(text="first")
    before = home()
    frozen = titles(before)
    with flipping() as flips:
        is_done = operation()
    after = home()
    return [
        is_done, flips == [before], before != after,
        titles(before) == frozen or "the old database was written to",
    ]


begin()
is_postgres = connections[SOURCE].vendor == "postgresql"
# Elsewhere a trigger waits for the transaction that follows a deletion, which has read the table.
once = ALL[len(SIMPLE):] if is_postgres else [of_staying]
for operation in ALL if is_postgres else SIMPLE:
    # To the target, then back to the source.
    for direction in (0,) if operation in once else (0, 1):
        fact(f"{direction} {operation.__name__}")(lambda: run(operation))
"""


def test_operations_are_repeated(moving: Moving) -> None:
    facts = ask(moving.project, PRELUDE + OPERATIONS, timeout=240)

    wrong = {name: fact for name, fact in facts.items() if fact != [True] * 4}
    assert facts
    assert wrong == {}, wrong
