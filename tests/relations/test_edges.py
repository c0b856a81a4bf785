"""What projects do with relations more rarely."""

from __future__ import annotations

from typing import Any

import django
import pytest

from tests.relations.conftest import Tied
from tests.support.facts import ask
from tests.support.operations import OPERATIONS

HEAD = OPERATIONS.partition('@operation("post.author")')[0]

EDGES = """
from datetime import date
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Exists, FilteredRelation, OuterRef, Q

from appdb_router.relations.pending import carry_out
from appdb_router.two_steps import fetch_ids


@operation("many to many with nobody")
def _():
    post = Post.objects.create(title="new", author_id=ann.pk)
    return names(post.readers.all()), post.readers.count()

@operation("another manager")
def _():
    renowned = first.readers(manager="renowned")
    found = names(renowned.all())
    renowned.remove(cid, ann)
    left = names(first.readers.all())
    first.readers(manager="renowned").clear()
    return found, left

@operation("within one database")
def _():
    user = User.objects.get_or_create(username="bob")[0]
    user.groups.set([Group.objects.get_or_create(name="all")[0]])
    [loaded] = User.objects.prefetch_related("groups").filter(pk=user.pk)
    return user.groups.count(), [group.name for group in loaded.groups.all()]

@operation("a slice for each")
def _():
    return list(Post.objects.prefetch_related(Prefetch("readers", Person.objects.all()[:1])))

@operation("an unknown relation")
def _():
    return list(Post.objects.select_related("nobody"))

@operation("a filtered relation")
def _():
    posts = Post.objects.annotate(
        written=FilteredRelation("comment", condition=Q(comment__mood="good"))
    )
    return [post.title for post in posts.select_related("written", "author")]

@operation("a content type of nothing")
def _():
    gone = ContentType(app_label="no", model="such")
    return gone.get_object_for_this_type(pk=1)

@operation("a filter and an order")
def _():
    return list(Post.objects.filter(author__name="ann").order_by("author__name"))

@operation("a transform")
def _():
    return list(Post.objects.filter(author__born__year=1984, author__born__month__gt=1))

@operation("beside a condition without a name")
def _():
    comments = Comment.objects.filter(post=OuterRef("pk"))
    return list(Post.objects.filter(Exists(comments) | Q(author__name="ann")))

@operation("from the other side")
def _():
    return list(Person.objects.filter(posts_read__title="first"))

@operation("by the key of the other side")
def _():
    return list(Person.objects.filter(posts_read=first))

@operation("deleting what refers to anything")
def _():
    tag = Tag.objects.create(target=ann)
    return tag.delete()

@operation("a union within one database")
def _():
    posts = Post.objects.order_by()
    return posts.filter(pk=first.pk).union(posts.filter(pk=second.pk)).count()

@operation("an object of a database that was added by hand")
def _():
    from django.db import router
    ann._state.db = "replica"
    return router.allow_relation(ann, first)

@operation("the words of a note")
def _():
    from appdb_router.models import PendingDeletion
    return str(PendingDeletion(values=[1, 2], relations=["a.B.c"]))

@operation("hooks that are there already")
def _():
    from appdb_router.relations.hooks import hooks, install
    before = [hook.find() for hook in hooks()]
    install(hooks())
    return before == [hook.find() for hook in hooks()]

@operation("prefetching by somebody's own manager")
def _():
    from operator import attrgetter

    class Writers:
        def __get__(self, instance, owner):
            return self

        def is_cached(self, instance):
            return False

        def get_prefetch_querysets(self, instances, querysets=None):
            people = querysets[0] if querysets else Person.objects.using(instances[0]._state.db)
            people = people.filter(pk__in=[post.author_id for post in instances])
            return people, attrgetter("pk"), attrgetter("author_id"), True, "writer", True

    Post.writers = Writers()
    posts = Post.objects.order_by("title")
    own = posts.prefetch_related("writers")
    passed = posts.prefetch_related(Prefetch("writers", Person.objects.filter(name="ann")))
    return [[post.writer and post.writer.name for post in found] for found in (own, passed)]

@operation("a note that somebody else has carried out")
def _():
    return carry_out("people", 0).done

@operation("fetching too many")
def _():
    return fetch_ids(Person.objects.all(), limit=2)

@operation("fetching another field, without nulls")
def _():
    Post.objects.update(editor_id=None)
    first.editor_id = bob.pk
    first.save()
    return fetch_ids(Post.objects.all(), "editor_id") == [bob.pk], fetch_ids(Post.objects.none())
"""

EXPECTED: dict[str, Any] = {
    "many to many with nobody": [[], 0],
    "another manager": [["ann"], ["cid"]],
    "within one database": [1, ["all"]],
    "a slice for each": (
        "NotSupportedError: The queryset that prefetches 'readers' has a limit, which would be one"
        " for each object: people.Person and the table between live in different databases. Take"
        " the slice in Python."
    ),
    "a filtered relation": ["first", "second"],
    "a filter and an order": (
        "CrossingQueryError: blog.Post in the database 'blog' cannot be joined with people.Person"
        " in 'people', as filter(author__name=…) asks. Ask in two steps: ids ="
        " fetch_ids(Person.objects.filter(name=…)); Post.objects.filter(author__in=ids) (from"
        " appdb_router.two_steps import fetch_ids). For values or for sorting, take"
        " Post.objects.select_related('author') or prefetch_related('author'), and read or sort"
        " author in Python."
    ),
    "deleting what refers to anything": [1, {"blog.Tag": 1}],
    "a union within one database": 2,
    "an object of a database that was added by hand": False,
    "the words of a note": "2 rows deleted, for a.B.c",
    "hooks that are there already": True,
    "prefetching by somebody's own manager": [["ann", "bob"], ["ann", None]],
    "a note that somebody else has carried out": 0,
    "fetching too many": (
        "TooManyRowsError: More than 2 rows of people.Person match, too many for a query in two"
        " steps. Narrow the first step, give a higher limit=, or keep both apps in one database"
        " with together= of build_databases()."
    ),
    "fetching another field, without nulls": [True, []],
}
# By how the message begins, or what it has.
PARTS = {
    "an unknown relation": "FieldError: Invalid field name(s) given in select_related: 'nobody'.",
    "a content type of nothing": "AttributeError:",
    "a transform": "fetch_ids(Person.objects.filter(born__",
    "beside a condition without a name": "fetch_ids(Person.objects.filter(name=…))",
    "from the other side": (
        "as filter(posts_read__title=…) asks. Ask in two steps: ids ="
        " fetch_ids(Post.objects.filter(title=…), 'readers'); Person.objects.filter(pk__in=ids)"
    ),
    "by the key of the other side": (
        "ids = fetch_ids(Post.readers.through.objects.filter(post=…), 'person');"
        " Person.objects.filter(pk__in=ids)"
    ),
}
IMPLICIT = """
@operation("select_related()")
def _():
    Comment.objects.create(post=first)
    return [comment.post.author.name for comment in Comment.objects.select_related()]
"""


@pytest.fixture(scope="module")
def edges(tied: Tied) -> dict[str, Any]:
    return ask(tied.project, HEAD + EDGES)


@pytest.mark.parametrize("operation", EXPECTED)
def test_results(edges: dict[str, Any], operation: str) -> None:
    found = edges[operation]

    assert (found if isinstance(found, str) else found[0]) == EXPECTED[operation]


@pytest.mark.parametrize("operation", PARTS)
def test_errors(edges: dict[str, Any], operation: str) -> None:
    assert PARTS[operation] in edges[operation]


@pytest.mark.skipif(django.VERSION >= (6, 1), reason="deprecated since Django 6.1")
def test_everything_that_is_not_null(on_postgres: Tied) -> None:
    found = ask(on_postgres.project, HEAD + IMPLICIT)

    assert found["select_related()"] == [["ann"], 3]
