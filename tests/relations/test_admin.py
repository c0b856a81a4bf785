"""The admin of a model whose relations cross."""

from __future__ import annotations

import pytest

from tests.relations.conftest import Tied
from tests.support.facts import ask

URLS = """
from django.contrib import admin
from django.urls import path

from blog.models import Post
from people.models import Person


@admin.register(Post)
class PostAdmin(admin.ModelAdmin):
    list_display = ["title", "author"]
    list_select_related = ["author", "editor"]
    list_filter = ["author"]
    search_fields = ["title", "author__name"]
    autocomplete_fields = ["author"]
    filter_horizontal = ["readers"]


@admin.register(Person)
class PersonAdmin(admin.ModelAdmin):
    search_fields = ["name"]


urlpatterns = [path("admin/", admin.site.urls)]
"""

VISITS = """
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appdb_router.exceptions import CrossingQueryError
from blog.models import Comment, Post
from people.models import Person

User.objects.all().delete()
user = User.objects.create_superuser("root", password="x")
client = Client()
client.force_login(user)
Person.objects.all().delete()
ann, bob = [Person.objects.create(name=name) for name in ("ann", "bob")]
for number in range(20):
    post = Post.objects.create(title=f"post {number:02}", author=ann, editor=bob)
Comment.objects.create(post=post)


def page(url, **data):
    return client.get(f"/admin/{url}", data).content.decode()


@fact("list")
def _():
    with CaptureQueriesContext(connections["people"]) as counted:
        text = page("blog/post/")
    return [text.count(">ann<"), len(counted)]

@fact("filter")
def _():
    return page("blog/post/", author__id__exact=bob.pk).count("post 0")

@fact("search")
def _():
    return page("blog/post/", q="ann").count("post 0")

@fact("autocomplete")
def _():
    return page("autocomplete/", app_label="blog", model_name="post", field_name="author",
                term="bo").count("bob")

@fact("form")
def _():
    return page(f"blog/post/{post.pk}/change/").count("ann") > 0

@fact("add")
def _():
    data = {"title": "new", "author": ann.pk, "editor": "", "readers": [ann.pk, bob.pk]}
    response = client.post("/admin/blog/post/add/", data)
    made = Post.objects.get(title="new")
    return [response.status_code, sorted(p.name for p in made.readers.all())]

@fact("confirmation")
def _():
    text = page(f"people/person/{ann.pk}/delete/")
    return ["post 07" in text, "Comment object" in text]

@fact("delete")
def _():
    response = client.post(f"/admin/people/person/{ann.pk}/delete/", {"post": "yes"})
    return [response.status_code, Post.objects.count(), LogEntry.objects.count()]

@fact("history")
def _():
    return client.get(f"/admin/people/person/{bob.pk}/history/").status_code
"""


@pytest.fixture(scope="module")
def visits(tied: Tied) -> dict[str, object]:
    """What each visit to the admin brings."""
    project = tied.project
    project.write("urls.py", URLS)
    project.settings_extra = 'SILENCED_SYSTEM_CHECKS = ["appdb_router.E004"]\n'
    return ask(project, VISITS)


def test_the_change_list(visits: dict[str, object]) -> None:
    # One query for each relation, and one for the choices of the filter.
    assert visits["list"] == [21, 3]
    assert visits["filter"] == 0
    assert str(visits["search"]).startswith("CrossingQueryError: blog.Post in the database 'blog'")


def test_forms(visits: dict[str, object]) -> None:
    assert visits["autocomplete"] == 1
    assert visits["form"] is True
    assert visits["add"] == [302, ["ann", "bob"]]
    assert visits["history"] == 200


def test_deleting_shows_what_is_elsewhere(visits: dict[str, object]) -> None:
    assert visits["confirmation"] == [True, True]
    assert visits["delete"] == [302, 0, 2]
