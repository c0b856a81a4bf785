"""Deleting across databases: after the commit, and never half, whenever a process is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections.abc import Callable
from time import sleep
from typing import Any

import pytest

from tests.relations.conftest import Tied
from tests.support import crossing
from tests.support.project import Project
from tests.support.servers import Server

KILLS = int(os.environ.get("APPDB_TEST_KILLS", "10"))

MODELS = """
import os, signal
from django.db import connections, transaction
from blog.models import Comment, Contract, Note, Post, Profile, Tag
from people.models import Badge, Person
from appdb_router.models import PendingDeletion
"""
EMPTY = """
for alias, models in (("blog", (Post.readers.through, Comment, Post, Profile, Contract, Note, Tag)),
                      ("people", (Badge, Person, PendingDeletion))):
    for model in models:
        model._base_manager.using(alias)._raw_delete(alias)
"""
ONE = """
ann = Person.objects.create(name="ann")
post = Post.objects.create(title="first", author=ann)
Comment.objects.create(post=post)
Profile.objects.create(person=ann)
"""
COUNTS = """
import json
print("COUNTS" + json.dumps([m.objects.count() for m in (Person, Post, Comment, Profile)]
    + [PendingDeletion.objects.using("people").count()]))
"""
KILLED = -signal.SIGKILL


def run(project: Project, code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return project.python(MODELS + code, **options)


def counts(project: Project) -> list[int]:
    """Return the numbers of people, posts, comments, profiles, and of notes."""
    found: list[int] = json.loads(run(project, COUNTS).stdout.rpartition("COUNTS")[2])
    return found


@pytest.fixture
def emptied(tied: Tied) -> Tied:
    run(tied.project, EMPTY)
    return tied


@pytest.fixture
def people(on_postgres: Tied) -> Project:
    run(on_postgres.project, EMPTY)
    return on_postgres.project


def test_killed_after_the_commit(emptied: Tied) -> None:
    project = emptied.project
    result = run(
        project,
        f"""{ONE}
with transaction.atomic(using="people"):
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL), using="people")
    ann.delete()
""",
        check=False,
    )
    assert result.returncode == KILLED
    assert counts(project) == [0, 1, 1, 1, 2]

    first = project.manage("db_cascade")

    assert first.stdout == (
        "default: nothing left\npeople: 7 deletions followed\nblog: nothing left\n"
    )
    assert counts(project) == [0, 0, 0, 0, 0]
    assert "people: nothing left\n" in project.manage("db_cascade").stdout


def test_killed_before_the_commit(people: Project) -> None:
    result = run(
        people,
        f"""{ONE}
with transaction.atomic(using="people"):
    ann.delete()
    os.kill(os.getpid(), signal.SIGKILL)
""",
        check=False,
    )

    assert result.returncode == KILLED
    assert counts(people) == [1, 1, 1, 1, 0]


LOOP = """
print("ready", flush=True)
for person in Person.objects.filter(name__startswith="go").order_by("?"):
    person.delete()
"""
MANY = """
for number in range({count}):
    for kind in ("go", "stay"):
        person = Person.objects.create(name=f"{{kind}}{{number}}")
        post = Post.objects.create(title=person.name, author=person)
        post.readers.add(person)
        Comment.objects.create(post=post)
        Profile.objects.create(person=person)
"""
ORPHANS = """
there = set(Person.objects.values_list("pk", flat=True))
print(json.dumps([
    [pk for pk in model.objects.values_list(name, flat=True) if pk not in there]
    for model, name in ((Post, "author_id"), (Profile, "person_id"),
                        (Post.readers.through, "person_id"))
] + [Person.objects.filter(name__startswith="go").count() * 3 + 3 * {count},
     Post.objects.count() + Profile.objects.count() + Post.readers.through.objects.count()]))
"""


@pytest.mark.slow
def test_killed_at_any_moment(people: Project) -> None:
    count = 30 * KILLS
    run(people, MANY.format(count=count), timeout=600)
    chance = random.Random(KILLS)  # noqa: S311  The same moments each time.
    killed = 0
    for _ in range(KILLS):
        process = subprocess.Popen(
            people._command(["-c", f"import django\ndjango.setup()\n{MODELS}{LOOP}"]),
            cwd=people.root,
            env=people.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        sleep(chance.uniform(0, 0.4))
        process.kill()
        process.communicate()
        killed += process.returncode == KILLED

    people.manage("db_cascade")

    result = json.loads(run(people, "import json\n" + ORPHANS.format(count=count)).stdout)
    *orphans, expected, found = result
    assert killed > KILLS / 2
    assert orphans == [[], [], []]
    assert found == expected


def test_a_deletion_that_cannot_be_followed_stays(people: Project) -> None:
    run(people, ONE + "Comment.objects.all()._raw_delete('blog')\n")
    people.write(
        "blog/receivers.py",
        """
        from django.db.models.signals import pre_delete
        from django.dispatch import receiver

        @receiver(pre_delete, sender="blog.Profile")
        def refuse(instance, **kwargs):
            raise RuntimeError("not this profile")
        """,
    )
    failing = "import blog.receivers\nann = Person.objects.get()\n"
    result = run(people, f"{failing}print(ann.delete()[0])")

    assert result.stdout == "3\n"
    assert (
        "A deletion on 'people' was not followed in another database; 'manage.py db_cascade' will,"
        " when that is mended."
    ) in result.stderr
    assert "RuntimeError: not this profile" in result.stderr
    assert counts(people) == [0, 0, 0, 1, 1]

    command = "from django.core.management import call_command\ncall_command('db_cascade')"
    failed = run(people, f"import blog.receivers\n{command}", check=False)
    as_json = people.manage("db_cascade", "--format=json")

    assert "people: failed: RuntimeError: not this profile\n" in failed.stdout
    assert "1 database with failures: people." in failed.stderr
    assert json.loads(as_json.stdout) == {
        "databases": [
            {"alias": "default", "done": 0, "errors": []},
            {"alias": "people", "done": 1, "errors": []},
            {"alias": "blog", "done": 0, "errors": []},
        ],
        "dangling": [],
    }
    assert counts(people) == [0, 0, 0, 0, 0]


def test_a_relation_that_is_gone(people: Project) -> None:
    run(
        people,
        "for others in [], ['blog.Profile.person']:\n"
        "    PendingDeletion.objects.using('people').create("
        "values=[1], relations=['blog.Post.owner', *others])",
    )

    result = people.manage("db_cascade", check=False)

    assert result.returncode == 1
    assert "people: 1 deletion followed\n" in result.stdout
    assert "people: failed: FieldDoesNotExist: Post has no field named 'owner'\n" in result.stdout
    assert result.stdout.count("no field named 'owner'") == 1
    assert counts(people)[-1] == 2


def test_a_broken_transaction_does_not_stop_the_others(people: Project) -> None:
    people.write(
        "blog/receivers.py",
        """
        from django.db import connections
        from django.db.models.signals import pre_delete
        from django.dispatch import receiver

        @receiver(pre_delete, sender="blog.Profile")
        def refuse(instance, **kwargs):
            with connections["people"].cursor() as cursor:
                cursor.execute("SELECT no_such_column")
        """,
    )
    run(
        people,
        "Profile.objects.create(person_id=999999)\n"
        "for name in ('blog.Profile.person', 'blog.Post.author'):\n"
        "    PendingDeletion.objects.using('people').create(values=[999999], relations=[name])\n",
    )
    command = "from django.core.management import call_command\ncall_command('db_cascade')"

    result = run(people, f"import blog.receivers\n{command}", check=False)

    assert "people: 1 deletion followed\n" in result.stdout
    assert "people: failed: InternalError: current transaction is aborted" in result.stdout
    assert counts(people)[-1] == 1

    at_once = run(people, f"import blog.receivers\n{ONE}\nprint(ann.delete()[0] > 0)")

    assert at_once.stdout == "True\n"
    assert "A deletion on 'people' was not followed" in at_once.stderr


def test_keys_that_are_there_again_are_left_alone(people: Project) -> None:
    run(
        people,
        f"""{ONE}
PendingDeletion.objects.using("people").create(
    values=[ann.pk, ann.pk + 1], relations=["blog.Post.author", "people.Person.tags"])
PendingDeletion.objects.using("people").create(
    values=[ann.pk], relations=["blog.Profile.person"])
Profile.objects.create(person_id=ann.pk + 1)
""",
    )

    people.manage("db_cascade")

    assert counts(people) == [1, 1, 1, 2, 0]


def test_a_hundred_thousand_is_a_matter_of_batches(people: Project) -> None:
    result = run(
        people,
        """
Person.objects.bulk_create([Person(name=str(number)) for number in range(2500)])
Profile.objects.bulk_create([Profile(person=person) for person in Person.objects.all()])
with transaction.atomic(using="people"):
    deleted = Person.objects.all().delete()
    notes = PendingDeletion.objects.using("people").values_list("values", flat=True)
    print(deleted[0], sorted(map(len, notes)))
""",
    )

    assert result.stdout == "5000 [500, 500, 1000, 1000, 1000, 1000]\n"
    assert counts(people) == [0, 0, 0, 0, 0]


def test_without_autocommit_it_is_left_to_the_command(people: Project) -> None:
    run(
        people,
        f"""{ONE}
transaction.set_autocommit(False, using="people")
ann.delete()
transaction.commit(using="people")
""",
    )
    assert counts(people) == [0, 1, 1, 1, 2]

    people.manage("db_cascade")

    assert counts(people) == [0, 0, 0, 0, 0]


def test_rows_that_stand_elsewhere_stay_alone(people: Project) -> None:
    result = run(
        people,
        f"""{ONE}
from django.db import connections
copy = connections["blog"]
with copy.schema_editor() as editor:
    editor.execute("CREATE TABLE people_person (id bigint, name varchar(50), born date)")
    editor.execute("CREATE TABLE people_badge (id bigint PRIMARY KEY, person_id bigint)")
    editor.execute("INSERT INTO people_person VALUES (%s, 'ann', NULL)", [ann.pk])
try:
    old = Person.objects.using("blog").get()
    old._state.db = "blog"
    from django.db.models.deletion import Collector
    collector = Collector(using="blog")
    print(collector.related_objects(Badge, [Badge._meta.get_field("person")], [old]).db)
    print(Person.tags.field.bulk_related_objects([old], "blog").db)
    print(collector.related_objects(Post, [Post._meta.get_field("author")], [ann]).db)
    print(Person.objects.using("blog").filter(badge__isnull=True).count())
    from appdb_router.relations.deleting import _notes
    collector.data[Person] = {{old}}
    print(_notes(collector))
finally:
    with copy.schema_editor() as editor:
        editor.execute("DROP TABLE people_person")
        editor.execute("DROP TABLE people_badge")
""",
    )

    assert result.stdout == "blog\nblog\nblog\n1\n[]\n"


def test_an_instance_that_was_never_loaded(people: Project) -> None:
    run(people, f"{ONE}\nprint(Person(pk=ann.pk).delete()[0])")

    assert counts(people) == [0, 0, 0, 0, 0]


def test_a_row_of_the_same_key_elsewhere(people: Project) -> None:
    """``delete(using=…)`` of an instance that was loaded from another database."""
    result = run(
        people,
        f"""{ONE}
copy = Comment.objects.create(post=post)
copy.pk = None
with connections["people"].schema_editor() as editor:
    editor.create_model(Profile)
try:
    Profile(pk=1, person_id=ann.pk).save(using="people")
    profile = Profile.objects.get()
    profile.pk = 1
    print(profile.delete(using="people"))
    from django.db.models.deletion import Collector
    collector = Collector(using="people", origin=post)
    print(collector.related_objects(Comment, [Comment._meta.get_field("post")], [post]).db)
finally:
    with connections["people"].schema_editor() as editor:
        editor.delete_model(Profile)
""",
    )

    assert result.stdout == "(1, {'blog.Profile': 1})\npeople\n"
    assert counts(people) == [1, 1, 2, 1, 0]


def test_without_the_table_for_notes(people: Project) -> None:
    result = run(
        people,
        f"""{ONE}
with connections["people"].schema_editor() as editor:
    editor.delete_model(PendingDeletion)
try:
    ann.delete()
except Exception as error:
    print(type(error).__name__, error)
finally:
    with connections["people"].schema_editor() as editor:
        editor.create_model(PendingDeletion)
""",
    )

    assert result.stdout.startswith(
        "DatabaseOperationError What belongs in other databases to the deleted rows of 'people'"
        " could not be noted, so nothing was deleted. 'manage.py db_init' makes the table for it,"
        " if that is missing: relation"
    )
    assert counts(people) == [1, 1, 1, 1, 0]


def test_watching(people: Project) -> None:
    run(people, ONE + "ann.delete = None\nPerson.objects.all()._raw_delete('people')\n")
    note = (
        "PendingDeletion.objects.using('people').create(values=[{pk}],"
        " relations=['blog.Post.author'])"
    )
    process = people.popen("db_cascade", "--watch", "--interval=0.2")
    pk = run(people, "print(Post.objects.get().author_id)").stdout.strip()
    run(people, note.format(pk=pk))
    assert process.stdout is not None

    lines = [process.stdout.readline()]
    # The first round is over, so this takes another one.
    run(people, note.format(pk=pk))
    lines.append(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)

    assert lines == ["people: 1 deletion followed\n"] * 2
    assert (output, process.returncode) == ("", 0)
    assert errors.startswith("Stopping")


def test_watching_in_json(people: Project) -> None:
    run(people, "PendingDeletion.objects.using('people').create(values=[0], relations=['a.B.c'])")
    process = people.popen("db_cascade", "--watch", "--interval=0.2", "--format=json")
    assert process.stdout is not None

    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert [json.loads(line) for line in lines] == [
        {
            "alias": "people",
            "done": 0,
            "errors": ["LookupError: No installed app with label 'a'."],
        }
    ] * 2


def test_scanning(people: Project) -> None:
    run(people, f"{ONE}\nfor n in range(7): Post.objects.create(title=n, author_id=0, editor_id=0)")

    result = people.manage("db_cascade", "--scan", check=False)
    as_json = people.manage("db_cascade", "--scan", "--format=json", check=False)
    run(people, EMPTY)
    clean = people.manage("db_cascade", "--scan")

    assert result.returncode == as_json.returncode == 3
    assert "blog: dangling: 7 rows of blog.Post.author (" in result.stdout
    assert ", …)\n" in result.stdout
    assert result.stderr == "CommandError: 2 relations with dangling rows.\n"
    [author, editor] = json.loads(as_json.stdout)["dangling"]
    assert (author["relation"], author["rows"], author["alias"]) == ("blog.Post.author", 7, "blog")
    assert (editor["relation"], len(editor["keys"])) == ("blog.Post.editor", 5)
    assert clean.stdout.endswith("Every relation between databases refers to a row.\n")


@pytest.mark.parametrize("interval", ["0", "-1", "soon"])
def test_an_interval_that_is_none(project: Project, interval: str) -> None:
    result = project.manage("db_cascade", "--watch", f"--interval={interval}", check=False)

    assert f"{interval!r} is not a number of seconds above 0" in result.stderr


def test_a_database_that_is_down(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    crossing.write(project, crossing.urls(lambda label: postgres.url(database_name(label))))

    result = project.manage("db_cascade", check=False)

    assert result.returncode == 1
    assert result.stdout.count("failed: OperationalError:") == 3


TESTS = """
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from blog.models import Post
from people.models import Person


class InATransaction(TestCase):
    databases = {"default", "people", "blog"}

    def setUp(self):
        self.ann = Person.objects.create(name="ann")
        Post.objects.create(title="first", author=self.ann)

    def test_at_once(self):
        self.ann.delete()
        self.assertEqual(Post.objects.count(), 0)

    def test_inside_a_block(self):
        with self.captureOnCommitCallbacks(using="people", execute=True):
            with transaction.atomic(using="people"):
                self.ann.delete()
            self.assertEqual(Post.objects.count(), 1)
        self.assertEqual(Post.objects.count(), 0)


class Committed(TransactionTestCase):
    databases = {"default", "people", "blog"}

    def test_after_the_commit(self):
        ann = Person.objects.create(name="ann")
        Post.objects.create(title="first", author=ann)
        with transaction.atomic(using="people"):
            ann.delete()
            self.assertEqual(Post.objects.count(), 1)
        self.assertEqual(Post.objects.count(), 0)
"""


def test_in_the_tests_of_a_project(on_postgres: Tied) -> None:
    on_postgres.project.write("blog/tests.py", TESTS)

    result = on_postgres.project.manage("test", "--verbosity=0", "--noinput", timeout=120)

    assert "Ran 3 tests" in result.stderr
    assert "OK" in result.stderr


def test_parents_that_are_kept(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    project.app(
        "people",
        models="""
        class Person(models.Model):
            name = models.CharField(max_length=9)

        class Driver(Person):
            licence = models.CharField(max_length=9)
        """,
    )
    project.app(
        "blog",
        models="""
        class Post(models.Model):
            author = models.ForeignKey("people.Person", models.CASCADE)

        class Trip(models.Model):
            driver = models.ForeignKey("people.Driver", models.CASCADE)
        """,
    )
    project.makemigrations("people", "blog")
    crossing.locate(project, crossing.urls(lambda label: postgres.url(database_name(label))))
    project.manage("db_init", "--all-apps", "--verbosity=0")

    result = project.python(
        """
        from blog.models import Post, Trip
        from people.models import Driver, Person

        for keep in (True, False):
            driver = Driver.objects.create(name="ann")
            Post.objects.create(author=driver)
            Trip.objects.create(driver=driver)
            driver.delete(keep_parents=keep)
            print(Person.objects.count(), Post.objects.count(), Trip.objects.count())
            Person.objects.all().delete()
            print(Post.objects.count())
        """
    )

    assert result.stdout.split() == ["1", "1", "0", "0", "0", "0", "0", "0"]
