"""What ``manage.py check`` says of relations across databases."""

from __future__ import annotations

import re

import pytest

from tests.relations.conftest import Tied
from tests.support import crossing
from tests.support.facts import ask
from tests.support.project import Project

TO_PEOPLE = [
    *("Contract.person", "Loan.person", "Note.left", "Note.other", "Note.person"),
    *("Post.author", "Post.editor", "Post.readers", "Profile.person"),
]


def messages(project: Project) -> list[tuple[str, str]]:
    """Return what ``check`` says, with the ids, without hints."""
    result = project.manage("check", "--fail-level=CRITICAL")
    return re.findall(r"\(appdb_router\.(\w+)\) (.*)\n", result.stderr)


@pytest.fixture
def split(project: Project) -> Project:
    """A project whose databases need not be there."""
    crossing.locate(
        project, crossing.urls(lambda label: f"sqlite:///{project.root / label}.sqlite3")
    )
    return project


def test_one_message_an_app(on_postgres: Tied) -> None:
    found = messages(on_postgres.project)

    assert found == [
        (
            "W008",
            "Relations of 'blog' lead to other databases ('default', 'people'), which check no"
            " foreign key: "
            + "; ".join(f"blog.{name} to people.Person" for name in TO_PEOPLE)
            + "; blog.Tag.content_type to contenttypes.ContentType.",
        ),
        (
            "W009",
            "Generic foreign keys of 'blog' are in another database than the content types:"
            " blog.Tag.target. No database checks them.",
        ),
    ]


def test_in_one_database_there_is_nothing_to_say(project: Project) -> None:
    project.app("people", models=crossing.PEOPLE)
    project.app("blog", models=crossing.BLOG)

    assert messages(project) == []


IMPOSSIBLE = """
class Writer(Person):
    pen = models.CharField(max_length=9)

class Link(models.Model):
    person = models.ForeignKey("people.Person", models.CASCADE)
    club = models.ForeignKey("people.Club", models.CASCADE)

class Pseudonym(Person):
    class Meta:
        proxy = True
"""


def test_relations_that_cannot_work(split: Project) -> None:
    split.app(
        "people",
        models="""
        class Person(models.Model):
            clubs = models.ManyToManyField("people.Club", through="blog.Link")

        class Club(models.Model):
            pass
        """,
    )
    split.app("blog", models="from people.models import Person\n" + IMPOSSIBLE)

    found = [text for kind, text in messages(split) if kind == "E003"]

    assert sorted(found, reverse=True) == [
        "people.Person.clubs to people.Club, from 'people' to 'people', cannot work: the table"
        " between, of blog.Link, is in a third: 'blog'.",
        "blog.Writer.person_ptr to people.Person, from 'blog' to 'people', cannot work: a row of"
        " the child is one of the parent too, and no query can write both.",
    ]


def test_what_a_database_would_delete(split: Project) -> None:
    from django.db import models

    if not hasattr(models, "DB_CASCADE"):
        pytest.skip("this Django has no DB_CASCADE")
    split.app("people", models="class Person(models.Model):\n    pass\n")
    split.app(
        "blog",
        models="""
        class Post(models.Model):
            author = models.ForeignKey("people.Person", models.DB_CASCADE)
        """,
    )

    assert messages(split)[0] == (
        "E003",
        "blog.Post.author to people.Person, from 'blog' to 'people', cannot work: its"
        " on_delete=DB_CASCADE is for the database to do, and it cannot.",
    )


def test_several_columns(split: Project) -> None:
    split.app(
        "people",
        models="""
        class Person(models.Model):
            first, last = models.IntegerField(), models.IntegerField()
            class Meta:
                unique_together = [["first", "last"]]
        """,
    )
    split.app(
        "blog",
        models="""
        class Post(models.Model):
            one, two = models.IntegerField(), models.IntegerField()
            author = models.ForeignObject(
                "people.Person", models.CASCADE, from_fields=["one", "two"],
                to_fields=["first", "last"],
            )
        """,
    )

    assert messages(split)[0] == (
        "E003",
        "blog.Post.author to people.Person, from 'blog' to 'people', cannot work: it refers to"
        " several columns.",
    )


def test_without_content_types(split: Project) -> None:
    split.installed_apps = ["appdb_router"]
    split.app("people", models="class Person(models.Model):\n    pass\n")
    split.app("blog", models="class Post(models.Model):\n    pass\n")

    assert messages(split) == []


ADMIN = """
from django.contrib import admin
from django.db.models import F
from django.db.models.functions import Lower
from blog.models import Comment, Note, Post
from people.models import Badge, Person

def a_function(post):
    return post.title

@admin.display(ordering="-author__born")
def born(post):
    return post.author.born

Post.born = property(born)

class Own(admin.SimpleListFilter):
    title = parameter_name = "own"

    def lookups(self, request, model_admin):
        return [("a", "a")]

    def queryset(self, request, queryset):
        return queryset

@admin.register(Post)
class PostAdmin(admin.ModelAdmin):
    list_display = ["title", "author", "shown", "born", "title_length", a_function, "__str__"]
    search_fields = ["title", "=author__name", "author__pk", "author__name__first_char"]
    ordering = ["-author__name", "author", "author_id", "nobody", "title__lower", Lower("title"),
                F("author__born").desc(), F("author"), "pk"]
    date_hierarchy = "author__born"
    list_filter = ["author", "readers", "editor__name", ("author", admin.RelatedFieldListFilter),
                   ("author", admin.RelatedOnlyFieldListFilter), Own,
                   ("author__born", admin.DateFieldListFilter)]

    @admin.display(ordering="author__name")
    def shown(self, post):
        return post.author.name

@admin.register(Comment)
class CommentAdmin(admin.ModelAdmin):
    list_display = ["mood", "post", "post__author", "id"]
    list_filter = [("post", admin.RelatedOnlyFieldListFilter),
                   ("post__author", admin.RelatedOnlyFieldListFilter)]
    sortable_by = ["mood", "post__author"]

@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    search_fields = ["person__name", "person__id"]

@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):
    list_filter = ["posts", "posts_read__id", "badge"]
"""
FOUND = {
    ("date_hierarchy", "Post", "'author__born'"),
    ("list_filter", "Comment", "'post__author' with RelatedOnlyFieldListFilter"),
    ("list_filter", "Person", "'posts'"),
    ("list_filter", "Person", "'posts_read__id'"),
    ("list_filter", "Post", "'author' with RelatedOnlyFieldListFilter"),
    ("list_filter", "Post", "'author__born'"),
    ("list_filter", "Post", "'editor__name'"),
    ("ordering", "Post", "'author', and so Meta.ordering of people.Person"),
    ("ordering", "Post", "'author__born'"),
    ("ordering", "Post", "'author__name'"),
    ("search_fields", "Note", "'person__id'"),
    ("search_fields", "Post", "'author__name'"),
    ("search_fields", "Post", "'author__name__first_char'"),
}
CLICKED = [
    ("Comment", "'post__author', and so Meta.ordering of people.Person"),
    ("Post", "'author', and so Meta.ordering of people.Person"),
    ("Post", "'author__born'"),
    ("Post", "'author__name'"),
]


def test_the_admin(split: Project) -> None:
    split.installed_apps.append("django.contrib.admin")
    split.app("people", models=crossing.PEOPLE)
    split.app("blog", models=crossing.BLOG, files={"admin.py": ADMIN})

    found = messages(split)

    labels = {"Person": "people.Person"}
    assert sorted(text for kind, text in found if kind == "E004") == sorted(
        f"{option} of the admin of {labels.get(model, f'blog.{model}')} has {path}, a column in"
        " another database, and no query can join the two."
        for option, model, path in FOUND
    )
    assert sorted(text for kind, text in found if kind == "W010") == [
        f"list_display of the admin of blog.{model} has {path}, a column in another database, by"
        " which no query can sort when the column is clicked."
        for model, path in CLICKED
    ]


LOOKUPS = """
from appdb_router.exceptions import CrossingQueryError
from appdb_router.relations.auditing import joined_on_the_way
from blog import models as blog
from people import models as people

def is_refused(model, path):
    try:
        list(model.objects.order_by().filter(**{f"{path}__in": [1]}))
    except CrossingQueryError:
        return True
    return False

for model, paths in {
    blog.Post: "author author_id author__pk author__name readers readers__pk readers__name",
    blog.Note: "person person__name person__id",
    blog.Comment: "post__author post__author__pk post__author__name post__readers",
    people.Person: "posts posts__id posts_read posts_read__id badge tags profile profile__id",
    people.Badge: "person__posts",
}.items():
    for path in paths.split():
        found = [is_refused(model, path), joined_on_the_way(model, path) is not None]
        fact(f"{model.__name__} {path}")(lambda: found)
"""


def test_the_checks_know_what_is_refused(on_postgres: Tied) -> None:
    found = ask(on_postgres.project, LOOKUPS)

    assert {path: said for path, said in found.items() if said[0] != said[1]} == {}
    assert sum(refused for refused, _ in found.values()) == 12


def test_what_models_are_ordered_by(split: Project) -> None:
    split.app(
        "people",
        models="""
        class Person(models.Model):
            name = models.CharField(max_length=9)

            class Meta:
                ordering = ["name"]
        """,
    )
    split.app(
        "blog",
        models="""
        class Post(models.Model):
            author = models.ForeignKey("people.Person", models.CASCADE)

            class Meta:
                ordering = ["author_id", "-author__name", models.F("author__name").asc(), "author"]

        class Comment(models.Model):
            post = models.ForeignKey(Post, models.CASCADE)

            class Meta:
                ordering = ["post"]
        """,
    )

    found = [text for kind, text in messages(split) if kind == "E005"]

    column = "a column in another database, so every query fails that is not sorted otherwise."
    because = ", and so Meta.ordering of people.Person"
    assert sorted(found) == [
        f"Meta.ordering of blog.Post has 'author'{because}, {column}",
        f"Meta.ordering of blog.Post has 'author__name', {column}",
        f"Meta.ordering of blog.Post has 'author__name', {column}",
    ]
