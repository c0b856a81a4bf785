"""A project whose apps are tied by relations, with a database for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.support.project import Project

LABELS = ("default", "people", "blog")

PEOPLE = """\
from django.contrib.contenttypes.fields import GenericRelation

class Renowned(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(name__startswith="a")


class Person(models.Model):
    name = models.CharField(max_length=50, unique=True)
    born = models.DateField(null=True, blank=True)
    tags = GenericRelation("blog.Tag")
    objects = models.Manager()
    renowned = Renowned()

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class Badge(models.Model):
    person = models.OneToOneField(Person, models.CASCADE)
"""

BLOG = """\
from django.contrib.contenttypes.fields import GenericForeignKey

def nobody():
    return None


class Post(models.Model):
    title = models.CharField(max_length=50)
    author = models.ForeignKey("people.Person", models.CASCADE, related_name="posts")
    editor = models.ForeignKey(
        "people.Person", models.SET_NULL, null=True, blank=True, related_name="edited"
    )
    readers = models.ManyToManyField("people.Person", related_name="posts_read")

    class Meta:
        ordering = ["title"]

    def __str__(self):
        return self.title


class Comment(models.Model):
    post = models.ForeignKey(Post, models.CASCADE)
    mood = models.CharField(max_length=9, blank=True)


class Profile(models.Model):
    person = models.OneToOneField("people.Person", models.CASCADE)


class Contract(models.Model):
    person = models.ForeignKey("people.Person", models.PROTECT)


class Loan(models.Model):
    person = models.ForeignKey("people.Person", models.RESTRICT)


class Note(models.Model):
    person = models.ForeignKey(
        "people.Person", models.SET_DEFAULT, default=None, null=True, to_field="name"
    )
    other = models.ForeignKey(
        "people.Person", models.SET(nobody), null=True, related_name="other_notes"
    )
    left = models.ForeignKey(
        "people.Person", models.DO_NOTHING, null=True, related_name="left_notes"
    )


class Tag(models.Model):
    content_type = models.ForeignKey("contenttypes.ContentType", models.CASCADE)
    object_id = models.PositiveIntegerField()
    target = GenericForeignKey()
"""

# The router that everybody writes by hand.
PLAIN_ROUTER = """\
class Router:
    def db_for_read(self, model, **hints):
        label = model._meta.app_label
        return label if label in ("people", "blog") else "default"

    db_for_write = db_for_read

    def allow_relation(self, *objects, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return db == (app_label if app_label in ("people", "blog") else "default")
"""


def write(project: Project, urls: Mapping[str, str]) -> None:
    """Write the apps, with their migrations, and give each the database of ``urls``."""
    project.installed_apps.append("django.contrib.admin")
    project.app("people", models=PEOPLE)
    project.app("blog", models=BLOG)
    project.write("router.py", PLAIN_ROUTER)
    # Before: it would ask databases that are not there.
    project.makemigrations("people", "blog")
    locate(project, urls)


def locate(project: Project, urls: Mapping[str, str]) -> None:
    """Give each label the database of ``urls``."""
    for label, url in urls.items():
        variable = "DATABASE_URL" if label == "default" else f"{label.upper()}_DATABASE_URL"
        project.env[variable] = url


def urls(make: Callable[[str], str]) -> dict[str, str]:
    """Return the URL of each label."""
    return {label: make(label) for label in LABELS}
