"""Projects with models and migrations, to initialise databases for."""

from pathlib import Path

# Besides those of Django's own apps, together.
MIGRATIONS = 80

MANAGE = """\
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
"""
SETTINGS = """\
from pathlib import Path

from appdb_router import build_databases

SECRET_KEY = "only-for-benchmarks"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "appdb_router",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    {apps}
]
TEMPLATES = [{{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {{
    "context_processors": ["django.contrib.auth.context_processors.auth",
        "django.template.context_processors.request",
        "django.contrib.messages.context_processors.messages"]}}}}]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
DATABASES = build_databases(INSTALLED_APPS, base_dir=Path(__file__).parent)
DATABASE_ROUTERS = ["appdb_router.routers.AppDatabaseRouter"]
DEFAULT_EXCEPTION_REPORTER_FILTER = "appdb_router.debug.ExceptionReporterFilter"
"""
MODELS = """\
from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=100, db_index=True)
    email = models.EmailField(unique=True)


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    created = models.DateTimeField(auto_now_add=True)
    paid = models.BooleanField(default=False)
{fields}

class Item(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    text = models.TextField(blank=True)
    amount = models.DecimalField(max_digits=9, decimal_places=2)
"""
FIELD = '    added_{number} = models.CharField(max_length=20, default="", db_index=True)\n'
INITIAL = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel("Customer", [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=100, db_index=True)),
            ("email", models.EmailField(max_length=254, unique=True)),
        ]),
        migrations.CreateModel("Order", [
            ("id", models.BigAutoField(primary_key=True)),
            ("customer", models.ForeignKey("{label}.Customer", models.CASCADE)),
            ("created", models.DateTimeField(auto_now_add=True)),
            ("paid", models.BooleanField(default=False)),
        ]),
        migrations.CreateModel("Item", [
            ("id", models.BigAutoField(primary_key=True)),
            ("order", models.ForeignKey("{label}.Order", models.CASCADE)),
            ("text", models.TextField(blank=True)),
            ("amount", models.DecimalField(max_digits=9, decimal_places=2)),
        ]),
    ]
"""
ADD = """\
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("{label}", "{before}")]
    operations = [
        migrations.AddField("order", "added_{number}", models.CharField(
            max_length=20, default="", db_index=True)),
    ]
"""
FILL = """\
from django.db import migrations


def fill(apps, schema_editor):
    customers = apps.get_model("{label}", "Customer").objects
    customers.create(name="first", email="first@example.com")


class Migration(migrations.Migration):
    dependencies = [("{label}", "{before}")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
"""


def labels(count: int) -> list[str]:
    """Return the labels of the apps; half of them come before ``auth``, as in many projects."""
    return [f"{'shop' if number % 2 else 'account'}{number:02}" for number in range(count)]


def write(folder: Path, count: int) -> None:
    """Write a project of ``count`` apps: each makes tables, changes them, and fills one."""
    folder.mkdir()
    (folder / "manage.py").write_text(MANAGE)
    apps = "\n    ".join(f'"{label}",' for label in labels(count))
    (folder / "settings.py").write_text(SETTINGS.format(apps=apps))
    for label in labels(count):
        package = folder / label
        (package / "migrations").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "migrations" / "__init__.py").touch()
        names = ["0001_initial"]
        (package / "migrations" / "0001_initial.py").write_text(INITIAL.format(label=label))
        for number in range(2, MIGRATIONS // count + 1):
            is_last = number == MIGRATIONS // count
            text = (FILL if is_last else ADD).format(label=label, before=names[-1], number=number)
            names.append(f"{number:04}_change")
            (package / "migrations" / f"{names[-1]}.py").write_text(text)
        fields = "".join(FIELD.format(number=number) for number in range(2, len(names)))
        (package / "models.py").write_text(MODELS.format(fields=fields))
