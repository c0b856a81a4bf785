"""A project with every odd kind of migration, each app in a database of its own."""

from __future__ import annotations

from tests.support.project import Project

HEAD = "from django.conf import settings\nfrom django.db import migrations, models\n\n"
ID = '("id", models.BigAutoField(primary_key=True))'


def migration(body: str, *, before: str = "") -> str:
    """Return a module of a migration whose class has the lines of `body`."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{HEAD}{before}\n\nclass Migration(migrations.Migration):\n{lines}\n"


BASE_MODELS = """
class Writer(models.Model):
    code = models.CharField(max_length=9, unique=True)
    town = models.CharField(max_length=9, default="", db_index=True)

class Book(models.Model):
    writer = models.ForeignKey(Writer, models.CASCADE, to_field="code")
    readers = models.ManyToManyField(Writer, related_name="+")

class Tag(models.Model):
    name = models.CharField(max_length=9)
"""
BASE = {
    "0001_initial": migration(
        f"""
initial = True
operations = [
    migrations.CreateModel("Author", [{ID}, ("key", models.CharField(max_length=9, unique=True))]),
    migrations.CreateModel("Book", [{ID}, ("author", models.ForeignKey(
        "base.Author", models.CASCADE, to_field="key"))]),
]
"""
    ),
    "0002_town": migration(
        """
dependencies = [("base", "0001_initial")]
operations = [
    migrations.AddField("author", "town", models.CharField(max_length=9, default="")),
    migrations.RunPython(add, migrations.RunPython.noop),
]
""",
        before="""
def add(apps, editor):
    Author = apps.get_model("base", "Author")
    author = Author.objects.create(key="a", town="x")
    apps.get_model("base", "Book").objects.create(author=author)
""",
    ),
    "0003_key_to_code": migration(
        """
dependencies = [("base", "0002_town")]
operations = [
    migrations.RenameField("author", "key", "code"),
    migrations.AlterField("author", "town", models.CharField(
        max_length=9, default="", db_index=True)),
]
"""
    ),
    "0004_writer": migration(
        """
dependencies = [("base", "0003_key_to_code")]
operations = [
    migrations.RenameModel("Author", "Writer"),
    migrations.RenameField("book", "author", "writer"),
]
"""
    ),
    "0005_first": migration(
        f"""
dependencies = [("base", "0004_writer")]
operations = [migrations.CreateModel("Tag", [{ID}])]
"""
    ),
    "0006_second": migration(
        """
dependencies = [("base", "0005_first")]
operations = [migrations.AddField("tag", "name", models.CharField(max_length=9, default=""))]
"""
    ),
    "0005_squashed_0006": migration(
        f"""
replaces = [("base", "0005_first"), ("base", "0006_second")]
dependencies = [("base", "0004_writer")]
operations = [migrations.CreateModel("Tag", [{ID}, (
    "name", models.CharField(max_length=9, default=""))])]
"""
    ),
    "0007_readers": migration(
        """
dependencies = [("base", "0006_second")]
operations = [
    migrations.AddField("book", "readers", models.ManyToManyField("base.Writer", related_name="+")),
    migrations.AlterField("tag", "name", models.CharField(max_length=9)),
]
"""
    ),
}

ZOO_MODELS = """
class Animal(models.Model):
    name = models.CharField(max_length=40)
    weight = models.IntegerField(null=True)
    keeper = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, db_constraint=False)
    class Meta:
        indexes = [models.Index(fields=["name"], name="zoo_name")]

class Cage(models.Model):
    class Meta:
        db_table = "zoo_enclosure"
"""
ZOO = {
    "0001_initial": migration(
        f"""
initial = True
dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL), ("base", "__first__")]
run_before = [("later", "0001_initial")]
operations = [
    migrations.CreateModel("Animal", [{ID}, ("name", models.CharField(max_length=40)),
        ("keeper", models.ForeignKey(
            settings.AUTH_USER_MODEL, models.CASCADE, null=True, db_constraint=False))]),
]
"""
    ),
    "0002_from_base": migration(
        """
dependencies = [("zoo", "0001_initial"), ("base", "__latest__")]
operations = [migrations.RunPython(read), migrations.RunPython(guess)]
""",
        before="""
def read(apps, editor):
    for writer in apps.get_model("base.Writer").objects.all():
        apps.get_model("zoo", "Animal").objects.create(name=writer.town + writer.code)


def guess(apps, editor):
    '''Ask for apps that are not depended on: what is seen is up to the order of the labels.'''
    for label, name in [("alone", "Thing"), ("later", "Late"), ("custom", "Own"), ("no", "Such")]:
        try:
            found = apps.get_model(label, name)._meta.db_table
        except LookupError:
            found = "none"
        apps.get_model("zoo", "Animal").objects.create(name=f"{label}: {found}")
    count = len(apps.get_models(include_auto_created=True))
    apps.get_model("zoo", "Animal").objects.create(name=f"{count} models")
""",
    ),
    "0003_sql": migration(
        """
dependencies = [("zoo", "0002_from_base")]
operations = [
    migrations.RunSQL(
        "ALTER TABLE zoo_animal ADD COLUMN weight integer NULL",
        state_operations=[migrations.AddField("animal", "weight", models.IntegerField(null=True))],
    ),
    migrations.RunSQL("INSERT INTO zoo_animal (name) VALUES ('sql')", hints={"some": "hint"}),
]
"""
    ),
    "0004_separate": migration(
        f"""
dependencies = [("zoo", "0003_sql")]
operations = [
    migrations.SeparateDatabaseAndState(
        database_operations=[
            migrations.CreateModel("Enclosure", [{ID}]),
            migrations.RunPython(count),
        ],
        state_operations=[migrations.CreateModel(
            "Cage", [{ID}], options={{"db_table": "zoo_enclosure"}})],
    ),
]
""",
        before="""
def count(apps, editor):
    apps.get_model("zoo", "Enclosure").objects.create()
""",
    ),
    "0005_not_atomic": migration(
        """
atomic = False
dependencies = [("zoo", "0004_separate")]
operations = [
    AddIndex("animal", models.Index(fields=["name"], name="zoo_name")),
    migrations.RunPython(look),
]
""",
        before="""
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import connection

AddIndex = AddIndexConcurrently
if connection.vendor != "postgresql":
    AddIndex = migrations.AddIndex


def look(apps, editor):
    name = f"{len(apps.get_models())} without a transaction"
    apps.get_model("zoo", "Animal").objects.create(name=name)
""",
    ),
}

LATER_MODELS = "class Late(models.Model):\n    pass\n"
LATER = {"0001_initial": migration(f'operations = [migrations.CreateModel("Late", [{ID}])]')}
ALONE_MODELS = """
class Thing(models.Model):
    name = models.CharField(max_length=9, default="new")
"""
ALONE = {
    "0001_initial": migration(f'operations = [migrations.CreateModel("Thing", [{ID}])]'),
    "0002_name": migration(
        """
dependencies = [("alone", "0001_initial")]
operations = [migrations.AddField("thing", "name", models.CharField(max_length=9, default="new"))]
"""
    ),
}
CUSTOM_MODELS = "class Own(models.Model):\n    pass\n"
CUSTOM = {
    "0001_initial": migration(
        f"""
operations = [migrations.CreateModel("Own", [{ID}]), Note()]
""",
        before="""
from django.db import router
from django.db.migrations.operations.base import Operation


class Note(Operation):
    '''Writes the models that it sees to a table.'''

    def state_forwards(self, app_label, state):
        pass

    def database_forwards(self, app_label, editor, from_state, to_state):
        if not router.allow_migrate(editor.connection.alias, app_label):
            return
        editor.execute("CREATE TABLE seen (model varchar(99))")
        for model in sorted(model._meta.label for model in to_state.apps.get_models()):
            editor.execute("INSERT INTO seen VALUES (%s)", [model])
""",
    )
}
PLAIN_MODELS = """
class Row(models.Model):
    name = models.CharField(max_length=9, unique=True)

class Cell(models.Model):
    row = models.ForeignKey(Row, models.CASCADE)
"""

LABELS = ("alone", "base", "custom", "later", "plain", "zoo")


def write(project: Project) -> None:
    """Write the apps into `project`."""
    project.app("zoo", models=ZOO_MODELS, migrations=ZOO)
    project.app("base", models=BASE_MODELS, migrations=BASE)
    project.app("later", models=LATER_MODELS, migrations=LATER)
    project.app("alone", models=ALONE_MODELS, migrations=ALONE)
    project.app("custom", models=CUSTOM_MODELS, migrations=CUSTOM)
    package = project.app("plain", models=PLAIN_MODELS)
    (package / "migrations" / "__init__.py").unlink()
    (package / "migrations").rmdir()
    project.installed_apps += ["django.contrib.sites", "django.contrib.admin"]
