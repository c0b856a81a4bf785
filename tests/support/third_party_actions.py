"""What people do with well-known apps of the community, to be asked of a project with all of them.

One program does it all and prints its facts: by package and action `works`, `refused` (that is
`CrossingQueryError`), or what else came of it, in the words of the documentation.
"""

from __future__ import annotations

from tests.support.project import Project
from tests.support.third_party import PACKAGES
from tests.support.third_party_rows import EXTRAS, ROWS

# Those that `db_init` stops at, see `test_third_party.py`.
STOPPED = ("django-allauth", "django-cms", "django-oscar", "wagtail")

# An app of the project's own, for what belongs to rows of other apps: tags, versions, permissions.
MODELS = """\
from auditlog.models import AuditlogHistoryField
from taggit.managers import TaggableManager


class Book(models.Model):
    title = models.CharField(max_length=50)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    history = AuditlogHistoryField(delete_related=True)
    tags = TaggableManager()
"""
MIGRATION = """\
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("title", models.CharField(max_length=50)),
                ("owner", models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)),
            ],
        ),
    ]
"""
URLS = """\
from django.contrib import admin
from django.urls import include, path
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("o/", include("oauth2_provider.urls")),
    path("silk/", include("silk.urls")),
    path("token/", TokenObtainPairView.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
]
"""
SETTINGS = """
import warnings

# Those of other people's code.
warnings.simplefilter("ignore")

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AXES_FAILURE_LIMIT = 3
AXES_LOCKOUT_PARAMETERS = ["username"]
DEFAULT_FROM_EMAIL = "root@example.com"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
FILER_ENABLE_PERMISSIONS = True
HELPDESK_TEAMS_MODE_ENABLED = False
MIDDLEWARE += ["axes.middleware.AxesMiddleware"]
MEDIA_ROOT = BASE_DIR / "media"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
POST_OFFICE = {"BACKENDS": {"default": "django.core.mail.backends.locmem.EmailBackend"}}
Q_CLUSTER = {"name": "tests", "orm": "django_q" if "django_q" in DATABASES else "default"}
REST_FRAMEWORK = {}
SITE_ID = 1
TWO_FACTOR_PATCH_ADMIN = False
"""


def add_library(project: Project) -> None:
    """Add the app whose rows are tagged, versioned and so on."""
    migrations = {"0001_initial": MIGRATION}
    project.app("library", models=MODELS, migrations=migrations)


def prepare(project: Project) -> None:
    """Leave out the packages that are stopped, and set the others up for the actions."""
    for name in STOPPED:
        package = PACKAGES[name]
        for app in (*package.apps.values(), *package.others):
            project.installed_apps.remove(app)
    together = {
        item.leader: list(item.apps)[1:]
        for name, item in PACKAGES.items()
        if len(item.apps) > 1 and name not in STOPPED
    }
    project.build_arguments = f"together={together!r},"
    project.settings_extra = SETTINGS
    project.write("urls.py", URLS)


PROGRAM = (
    """\
import json
import sys
import traceback
from functools import partial

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.db.models import CASCADE, PROTECT
from django.test import Client, RequestFactory, override_settings
from django.test.utils import setup_test_environment
from django.utils import timezone

from appdb_router import alias_for
from appdb_router.exceptions import CrossingQueryError
from appdb_router.relations.homes import is_crossing
from library.models import Book

setup_test_environment()
admin.autodiscover()
WORKS, REFUSED = "works", "refused"
COLUMNS = {User: "username", Group: "name", Permission: "codename", ContentType: "model"}
makers, extras = {}, {}


def rows(package):
    return partial(makers.__setitem__, package)


def extra(package, name):
    def record(function):
        extras.setdefault(package, {})[name] = function
    return record


def outcome(function, *args):
    try:
        function(*args)
    except (Forbidden, Protected) as refusal:
        return str(refusal)
    except CrossingQueryError:
        traceback.print_exc()
        return REFUSED
    except Exception as error:
        traceback.print_exc()
        return f"fails: {type(error).__name__}"
    return WORKS


def summary(outcomes):
    # One word where all agree, else the names of those that differ.
    common = [found for found in outcomes.values() if found == WORKS]
    if len(common) in {0, len(outcomes)}:
        return ", ".join(dict.fromkeys(outcomes.values()))
    others = {name: found for name, found in outcomes.items() if found != WORKS}
    return f"{WORKS}; " + "; ".join(f"{name} {found}" for name, found in others.items())


def new_user(name):
    return User.objects.create_user(name, f"{name}@example.com", "secret", is_staff=True)


def crossing_fields(model):
    fields = (*model._meta.concrete_fields, *model._meta.many_to_many)
    return [
        field for field in fields
        if field.is_relation and isinstance(field.related_model, type) and is_crossing(field)
    ]


def admin_url(item, *parts):
    meta = item._meta
    return "/".join(["/admin", meta.app_label, meta.model_name, *map(str, parts), ""])


def same(item):
    # ``pk`` is overridden in a proxy of Django REST framework.
    key = item._meta.pk
    return type(item)._base_manager.filter(**{key.name: getattr(item, key.attname)})


def exists(item):
    return same(item).exists()


def read_again(item):
    return same(item).get()


root = User.objects.create_superuser("root", "root@example.com", "secret")
client = Client()
client.force_login(root, "django.contrib.auth.backends.ModelBackend")


def get(url, **data):
    response = client.get(url, data, follow=True)
    assert response.status_code == 200, (url, response.status_code)
    return response


def check_created(item):
    assert item._state.db == alias_for(item), item._state.db
    again = read_again(item)
    for field in crossing_fields(type(item)):
        if field.many_to_many:
            wanted = list(getattr(item, field.name).all())
            assert list(getattr(again, field.name).all()) == wanted
        else:
            assert getattr(again, field.name) == getattr(item, field.name)


def see_list(item):
    response = get(admin_url(item))
    get(admin_url(item, item.pk, "change"))
    # Some packages have a page of their own in its place.
    changelist = (response.context or {}).get("cl")
    for spec in getattr(changelist, "filter_specs", ()):
        query = list(spec.choices(changelist))[-1]["query_string"]
        get(admin_url(item) + query)


def search(item):
    get(admin_url(item), q="x")


def delete_by_page(item, *names):
    url = admin_url(item, item.pk, "delete")
    text = get(url).content.decode().lower()
    assert [name for name in names if name not in text] == []
    response = client.post(url, {"post": "yes"})
    if response.status_code == 403:
        raise Forbidden
    if response.status_code == 200:
        raise Protected
    assert response.status_code == 302, response.status_code
    assert not exists(item)


def delete(item):
    # What was deleted with another one, or may never be deleted by hand.
    if exists(item) and client.get(admin_url(item, item.pk, "delete")).status_code != 403:
        delete_by_page(item)


def delete_user(user, items):
    found = [(item, field) for item in items for field in crossing_fields(type(item))
             if field.related_model is User and not field.many_to_many
             and getattr(item, field.attname) == user.pk]
    protecting = [item for item, field in found if field.remote_field.on_delete is PROTECT]
    gone = [item for item, field in found if field.remote_field.on_delete is CASCADE]
    # Of an object that is protected, the page says by what alone.
    names = {item._meta.verbose_name.lower() for item in protecting or gone}
    user_key = user.pk
    try:
        delete_by_page(user, *names)
    except (Forbidden, Protected) as refusal:
        refused = refusal
        assert all(map(exists, [user, *items]))
        for item in protecting:
            item.delete()
        user.delete()
    else:
        refused = None
    assert not any(map(exists, gone))
    for item in items:
        for field in crossing_fields(type(item)):
            if field.many_to_many and field.related_model is User:
                rows = field.remote_field.through._base_manager
                assert not rows.filter(user_id=user_key).exists()
    for item, field in found:
        if item not in (*gone, *protecting):
            assert getattr(read_again(item), field.attname) is None
    if refused:
        raise refused


class Forbidden(Exception):
    def __str__(self):
        return "forbidden by the package"


class Protected(Exception):
    def __str__(self):
        return "protected, and the page says by what"


def filter_by_object(model, field):
    target = field.related_model._base_manager.first()
    queryset = model._base_manager.filter(**{field.name: target})
    list(queryset)
    list(model._base_manager.exclude(**{field.name: target}))
    if not field.many_to_many:
        list(model._base_manager.select_related(field.name))
    list(model._base_manager.prefetch_related(field.name))


def filter_by_column(model, field):
    name = f"{field.name}__{COLUMNS[field.related_model]}"
    list(model._base_manager.filter(**{name: "x"}))


def do(package):
    make, found = makers[package], {}
    user = new_user(f"{package}-1")
    items = []
    found["create"] = outcome(lambda: items.extend(make(user)) or [*map(check_created, items)])
    shown = {item._meta.label: item for item in items if type(item) in admin.site._registry}
    fields = {f"{model._meta.label}.{field.name}": (model, field)
              for label in LABELS[package]
              for model in apps.get_app_config(label).get_models()
              for field in crossing_fields(model)}
    if shown:
        found["list"] = summary({name: outcome(see_list, item) for name, item in shown.items()})
        searched = {name: outcome(search, item) for name, item in shown.items()
                    if admin.site._registry[type(item)].search_fields}
        if searched:
            found["search"] = summary(searched)
    for key, action in (("object", filter_by_object), ("column", filter_by_column)):
        if fields:
            found[key] = summary({name: outcome(action, *pair) for name, pair in fields.items()})
    for number, (name, action) in enumerate(extras.get(package, {}).items(), 3):
        found[name] = outcome(action, new_user(f"{package}-{number}"))
    if shown:
        found["delete"] = summary({name: outcome(delete, item) for name, item in shown.items()})
    if any(field.related_model is User for _, field in fields.values()):
        user = new_user(f"{package}-2")
        found["user"] = outcome(lambda: delete_user(user, make(user)))
    return found

"""
    + f"LABELS = { {name: list(item.apps) for name, item in PACKAGES.items()}!r}\n"
    + ROWS
    + EXTRAS
    + """
facts = {package: do(package) for package in makers}
print("FACTS" + json.dumps(facts))
"""
)
