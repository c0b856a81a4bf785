"""A project whose test suite passes as it is, and breaks where an app is split off."""

from __future__ import annotations

from tests.support.project import Project

RIDERS = "class Rider(models.Model):\n    name = models.CharField(max_length=20)\n"

DRIVER = """\
class Trip(models.Model):
    rider = models.ForeignKey("riders.Rider", models.CASCADE, related_name="trips")
    name = models.CharField(max_length=20)
"""

SERVICES = """\
from django.db import connection, transaction
from driver.models import Trip
from riders.models import Rider


def trips_of(name):
    return list(Trip.objects.filter(rider__name=name))  # the join


def riders_on(name):
    return list(Rider.objects.filter(pk__in=Trip.objects.filter(name=name).values("rider")))


def trips_or_none(name):
    try:
        return trips_of(name)
    except Exception:
        return []


@transaction.atomic
def book(name):
    rider = Rider.objects.create(name=name)
    return Trip.objects.create(rider=rider, name="booked")  # the write


def count():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM driver_trip")  # the SQL
        return cursor.fetchone()[0]
"""

TESTS = """\
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from django.test.testcases import DatabaseOperationForbidden
from driver import services
from driver.models import Trip
from riders.models import Rider


class Queries(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.rider = Rider.objects.create(name="secret")
        cls.trip = Trip.objects.create(rider=cls.rider, name="first")

    def test_join(self):
        self.assertEqual(services.trips_of("secret"), [self.trip])

    def test_the_join_again(self):
        for number in range(2):
            with self.subTest(number=number):
                self.assertEqual(len(services.trips_of("secret")), 1)

    def test_what_is_caught(self):
        self.assertIn(len(services.trips_or_none("secret")), [0, 1])

    def test_subquery(self):
        self.assertEqual(services.riders_on("first"), [self.rider])

    def test_sql(self):
        self.assertEqual(services.count(), 1)

    def test_shown(self):
        with self.assertRaises(AssertionError):
            self.assertEqual(Trip.objects.filter(rider__name="secret"), None)

    def test_number_of_queries(self):
        with self.assertNumQueries(2):  # the other failure
            Trip.objects.get().rider


class Writes(TestCase):
    databases = {"default"}

    def test_write(self):
        self.assertEqual(services.book("secret").rider.name, "secret")

    def test_nothing_is_left(self):
        for model in (Trip, Rider):
            with self.subTest(model=model):
                self.assertFalse(model.objects.exists())


class Fixtures(TestCase):
    fixtures = ["trips.json"]

    def test_fixture(self):
        self.assertEqual(Trip.objects.get().rider.name, "loaded")


class Committed(TransactionTestCase):
    serialized_rollback = True

    def test_commit(self):
        Trip.objects.create(rider=Rider.objects.create(name="x"), name="y")

    def test_flushed(self):
        self.assertEqual(Trip.objects.count(), 0)


class Simple(SimpleTestCase):
    def test_no_database(self):
        with self.assertRaises(DatabaseOperationForbidden):
            Trip.objects.count()


class Broken(TestCase):
    @classmethod
    def setUpTestData(cls):
        services.trips_of("class")

    def test_never(self):
        self.assertFalse(Trip.objects.exists())
"""

FIXTURE = """\
[
    {"model": "riders.rider", "pk": 1, "fields": {"name": "loaded"}},
    {"model": "driver.trip", "pk": 1, "fields": {"name": "loaded", "rider": 1}}
]
"""

FUNCTIONS = """\
import pytest
from driver import services
from driver.models import Trip
from riders.models import Rider


@pytest.fixture
def trip(db):
    return Trip.objects.create(rider=Rider.objects.create(name="secret"), name="first")


def test_join(trip):
    assert services.trips_of("secret") == [trip]


@pytest.mark.django_db
def test_mark():
    assert Trip.objects.count() == 0


@pytest.mark.django_db(databases=["default"])
def test_named():
    assert Trip.objects.count() == 0


@pytest.mark.django_db(transaction=True, databases=["default"])
def test_transaction():
    Trip.objects.create(rider=Rider.objects.create(name="x"), name="y")
    assert Trip.objects.count() == 1


def test_shown(db):
    shown = Trip.objects.filter(rider__name="secret")
    assert shown is None  # shown


def test_numbers(trip, appdb_assert_num_queries):
    with appdb_assert_num_queries({"driver": 1, Rider: 1}):
        assert Trip.objects.get().rider.name == "secret"


def test_no_database():
    with pytest.raises(RuntimeError):
        Trip.objects.count()


@pytest.mark.xfail(strict=True)
def test_unexpected():
    pass


@pytest.mark.xfail
def test_expected(db):
    assert services.trips_of("secret")
"""


def write(project: Project) -> Project:
    """Write the apps `riders` and `driver`, with their tests."""
    project.app("riders", models=RIDERS)
    files = {
        "services.py": SERVICES,
        "tests.py": TESTS,
        "functions.py": FUNCTIONS,
        "fixtures/trips.json": FIXTURE,
    }
    project.app("driver", models=DRIVER, files=files)
    project.makemigrations("riders", "driver")
    return project


def line(text: str, marker: str) -> int:
    """Return the number of the line of `text` that ends with a comment."""
    [found] = [number for number, item in enumerate(text.splitlines(), 1) if item.endswith(marker)]
    return found
