"""What ``db_plan`` finds in source: raw SQL, however it is put together, and migrations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appdb_router.services.statements import tables_named
from tests.support.project import Project

TABLES = {"blog_post", "people_person", "entries", '"far"."away"'}

STATEMENTS = [
    ("SELECT * FROM blog_post p, people_person x", {"blog_post", "people_person"}),
    ("SELECT * FROM blog_posts JOIN my_blog_post", set()),
    ("Select 'it''s' From BLOG_POST", {"blog_post"}),
    ('INSERT INTO "blog_post" SELECT * FROM `people_person`', {"blog_post", "people_person"}),
    ("UPDATE [blog_post] SET a = 1", {"blog_post"}),
    ("DELETE FROM ONLY public.blog_post USING people_person", {"blog_post", "people_person"}),
    ("CREATE INDEX i ON blog_post (x)", {"blog_post"}),
    ("DO $$ BEGIN DELETE FROM blog_post; END $$", {"blog_post"}),
    ("SELECT * FROM a NATURAL JOIN (blog_post)", {"blog_post"}),
    ('SELECT 1 FROM "far"."away"', {'"far"."away"'}),
    # Parts of statements, as extra() takes them.
    ("blog_post", {"blog_post"}),
    ("people_person.id = blog_post.author_id", {"blog_post", "people_person"}),
    # What is no table.
    ("SELECT 1 AS blog_post FROM a", set()),
    ("-- blog_post\nSELECT 'people_person' FROM a /* blog_post\n*/", set()),
    ("SELECT t.entries FROM blog_post t", {"blog_post"}),
    ("SELECT entries FROM a WHERE entries = 1", set()),
    ("SELECT * FROM blog_post entries WHERE entries.id = 1", {"blog_post"}),
    ("WITH entries AS (SELECT 1) SELECT * FROM entries", set()),
    ("WITH a AS (SELECT 1), entries AS (SELECT 2) SELECT * FROM a, entries", set()),
    ("SELECT * FROM prefix_\0blog_post", set()),
    # A schema, which is nowhere alone, is no alias.
    ("SELECT public.entries.id FROM public.entries", {"entries"}),
    ("SELECT t.entries FROM public.entries t", {"entries"}),
]


@pytest.mark.parametrize(("sql", "tables"), STATEMENTS)
def test_tables_of_a_statement(sql: str, tables: set[str]) -> None:
    assert tables_named(sql, TABLES) == tables


PERSON, COMMENT = "people_person", "blog_comment"
DEFAULT = "from django.db import connection\n"
# The body of a module, the tables that are found there, and whether all of the SQL is.
MODULES: list[tuple[str, set[str], bool]] = [
    ('cursor.execute("SELECT * FROM people_person")', {PERSON}, True),
    ('cursor.executemany("DELETE FROM people_person WHERE a = %s", rows)', {PERSON}, True),
    ('cursor.execute(sql="SELECT * FROM people_person")', {PERSON}, True),
    ('cursor.execute("SELECT * FROM people" + "_person")', {PERSON}, True),
    ('cursor.execute("SELECT * FROM people"\n    "_person")', {PERSON}, True),
    ('cursor.execute(f"SELECT * FROM {table}")', set(), False),
    ('cursor.execute(f"SELECT * FROM {table}people_person")', set(), False),
    ('table = "people_person"\ncursor.execute(f"SELECT * FROM {table!s}")', {PERSON}, True),
    ('cursor.execute("SELECT * FROM %s" % Person._meta.db_table)', {PERSON}, True),
    ('cursor.execute("SELECT %s FROM %s" % ("a", "people_person"))', {PERSON}, True),
    ('cursor.execute("SELECT * FROM %(a)s" % {"a": b})', set(), False),
    ('cursor.execute("SELECT {} FROM {}".format("a", "people_person"))', {PERSON}, True),
    ('cursor.execute("SELECT {a} FROM {b}".format(a=1, b="people_person"))', {PERSON}, False),
    ('cursor.execute("SELECT {} FROM a".format())', set(), False),
    ('cursor.execute(" ".join(["SELECT * FROM", "people_person"]))', {PERSON}, True),
    ('cursor.execute(" ".join(parts))', set(), False),
    ('cursor.execute(dedent("""SELECT *\n    FROM people_person"""))', {PERSON}, True),
    ('cursor.execute("SELECT * FROM people_person ".strip())', {PERSON}, True),
    ('cursor.execute(make("SELECT * FROM people_person", 1))', set(), False),
    ('cursor.execute("SELECT 1" if a else "SELECT * FROM people_person")', {PERSON}, True),
    ('cursor.execute(a or "SELECT * FROM people_person")', {PERSON}, False),
    ('cursor.execute((sql := "SELECT * FROM people_person"))', {PERSON}, True),
    ('if (sql := "SELECT * FROM people_person"):\n    cursor.execute(sql)', {PERSON}, True),
    ('sql: str = "SELECT * FROM people_person"\ncursor.execute(sql)', {PERSON}, True),
    ('a, sql = 1, "SELECT * FROM people_person"\ncursor.execute(sql)', {PERSON}, True),
    ("a.sql = 1\n(sql,) = values\ncursor.execute(sql)", set(), False),
    ('sql = "SELECT * "\nsql += "FROM people_person"\ncursor.execute(sql)', {PERSON}, True),
    ('sql = "SELECT * "\nsql = sql + "FROM people_person"\ncursor.execute(sql)', {PERSON}, True),
    ('class A:\n    SQL = "SELECT * FROM people_person"\ncursor.execute(A.SQL)', {PERSON}, True),
    ("cursor.execute(A.SQL)", set(), False),
    ("cursor.execute(Nobody._meta.db_table)", set(), False),
    ("cursor.execute(rows[0])", set(), False),
    ('for a in ("b", "people_person"):\n    cursor.execute(f"DELETE FROM {a}")', {PERSON}, True),
    ("for sql in statements:\n    cursor.execute(sql)", set(), False),
    ('class A:\n    sql = "TABLE people_person"\nsql = A.sql\ncursor.execute(sql)', {PERSON}, True),
    ('sql = "people_person"\ndef f(sql): cursor.execute(sql)', set(), False),
    (
        'def f(sql):\n    sql = sql + " JOIN people_person"\n    cursor.execute(sql)',
        {PERSON},
        False,
    ),
    # Each function has names of its own, and sees those of the module.
    ('def f(): sql = "people_person"\n\ndef g(sql): cursor.execute(sql)', set(), False),
    (
        'SQL = "SELECT * FROM people_person"\n'
        "def f():\n    return lambda cursor: cursor.execute(SQL)",
        {PERSON},
        True,
    ),
    ('Comment.objects.raw("SELECT * FROM people_person")', {PERSON}, True),
    ('Comment.objects.using("x").raw(raw_query="SELECT * FROM people_person")', {PERSON}, True),
    ('objects.extra(tables=["people_person"], where=["a = 1"])', {PERSON}, True),
    ('objects.extra({"a": "SELECT 1 FROM people_person"}, ("b = 1",))', {PERSON}, True),
    ('objects.extra(where=["people_person.id = 1"], params=["blog_comment"])', {PERSON}, True),
    ('objects.annotate(a=RawSQL("SELECT 1 FROM people_person", ()))', {PERSON}, True),
    # Of the model that is asked; or of the app, where all of it is.
    ('Person.objects.raw("SELECT * FROM people_person")', set(), True),
    ('Person.objects.raw("SELECT * FROM blog_comment")', {COMMENT}, True),
    ('cursor.execute("SELECT * FROM blog_comment")', set(), True),
    # By Django's connection, on the default database; and by another one.
    (f"{DEFAULT}connection.cursor().execute('DELETE FROM blog_comment')", {COMMENT}, True),
    (f"{DEFAULT}with connection.cursor() as c:\n    c.execute('TABLE auth_user')", set(), True),
    (f"{DEFAULT}c = connection.cursor()\nc.execute('TABLE blog_comment')", {COMMENT}, True),
    (f"{DEFAULT}c = connection.cursor()\nc.execute(sql)", set(), False),
    ("with connection.cursor() as c:\n    c.execute('TABLE blog_comment')", set(), True),
    ("connections['people'].cursor().execute('TABLE people_person')", set(), True),
    ("connections['people'].cursor().execute('TABLE blog_comment')", {COMMENT}, True),
    ("connections['replica'].cursor().execute('TABLE blog_comment')", set(), True),
    ("connections[alias_for('people')].cursor().execute('TABLE people_person')", set(), True),
    ("connections[alias_for(Person)].cursor().execute('TABLE people_person')", set(), True),
    ("connections[alias_for('x')].cursor().execute('TABLE people_person')", {PERSON}, True),
    # Two cursors of one name: that of the app is taken for it.
    (
        "c = connections['people'].cursor()\nc.execute('TABLE people_person')\n"
        "c = connections['blog'].cursor()",
        {PERSON},
        True,
    ),
    # Comments, and what is no call of SQL.
    ('cursor.execute("SELECT 1 -- FROM people_person")', set(), True),
    (
        "# people_person\ncommand.execute(order)\ncommand.execute()\nraw(a)\n(a or b)(c)",
        set(),
        True,
    ),
    ('print("SELECT * FROM people_person")\nget_model("people.Person")', set(), True),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is found in an app with all of the modules."""
    project = Project(tmp_path_factory.mktemp("source"))
    name = "    name = models.CharField(max_length=9)\n"
    project.app("people", models=f"class Person(models.Model):\n{name}")
    project.app("blog", models=f"class Comment(models.Model):\n{name}")
    # A name that two apps have is only known where one of them is the own.
    project.app("pets", models=f"class Comment(models.Model):\n{name}")
    for number, (text, _, _) in enumerate(MODULES):
        (project.root / "blog" / f"module_{number}.py").write_text(text, encoding="utf-8")
    project.write("blog/.hidden/a.py", "cursor.execute(sql)\n")
    project.write("blog/venv/pyvenv.cfg", "")
    project.write("blog/venv/a.py", "cursor.execute(sql)\n")
    project.write("blog/broken.py", "def\n")
    return look(project)


def look(project: Project, *labels: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        project.manage("db_plan", "--format=json", *labels).stdout
    )
    return document


@pytest.mark.parametrize("number", range(len(MODULES)))
def test_raw_sql(found: dict[str, Any], number: int) -> None:
    path = f"blog/module_{number}.py"
    named = {
        table
        for item in found["statements"]
        if item["path"] == path
        for table, home in item["tables"].items()
        if home != item["alias"]
    }
    unread = {place.partition(":")[0] for place in found["unread"]}
    assert (named, path not in unread) == MODULES[number][1:], MODULES[number][0]


def test_only_the_source_of_the_app_is_read(found: dict[str, Any]) -> None:
    assert found["unreadable"] == ["blog/broken.py"]
    assert not [place for place in found["unread"] if not place.startswith("blog/module_")]


def test_the_line_is_named(found: dict[str, Any]) -> None:
    [item] = [item for item in found["statements"] if item["path"] == "blog/module_0.py"]

    assert item == {
        "label": "blog",
        "path": "blog/module_0.py",
        "line": 1,
        "kind": "execute",
        "alias": "blog",
        "tables": {"people_person": "people"},
        "is_whole": True,
    }


MIGRATION = """
from django.db import migrations

PEOPLE = "people"

def copy(apps, schema_editor):
    apps.get_model("people", "Person")
    apps.get_model("people.Person")
    apps.get_model(app_label=PEOPLE)
    apps.get_model(PEOPLE, "Person")
    apps.get_model("blog", "Comment")
    apps.get_model(unknown)

class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial"), migrations.swappable_dependency("auth.User")]
    operations = [
        migrations.RunPython(copy),
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL([("UPDATE people_person SET name = %s", ["blog_comment"]), "", ()])]
        ),
        migrations.RunSQL("SELECT 1", migrations.RunSQL.noop),
    ]
"""


def test_migrations(project: Project) -> None:
    name = "    name = models.CharField(max_length=9)\n"
    project.app("people", models=f"class Person(models.Model):\n{name}")
    project.app("blog", models=f"class Comment(models.Model):\n{name}")
    project.makemigrations("people")
    # They may be in another place than the app.
    project.write("elsewhere/__init__.py", "")
    project.write("elsewhere/0001_copy.py", MIGRATION)
    project.settings_extra = 'MIGRATION_MODULES = {"blog": "elsewhere"}'

    found = look(project, "blog")

    model = {"label": "blog", "migration": "blog.0001_copy", "target": "people"}
    path = {"path": "elsewhere/0001_copy.py", "asks_for": "people.Person"}
    assert found["migrations"] == [
        {
            **model,
            "target": "auth",
            "asks_for": "auth.__first__",
            "path": None,
            "line": None,
        },
        {**model, "asks_for": "people.0001_initial", "path": None, "line": None},
        {**model, **path, "line": 7},
        {**model, **path, "line": 8},
        {**model, **path, "line": 10},
    ]
    assert [(item["line"], item["tables"]) for item in found["statements"]] == [
        (19, {"people_person": "default"})
    ]
    text = project.manage("db_plan", "blog").stdout
    assert "copy.py:7: blog.0001_copy asks for the model people.Person in 'default'\n" in text
    # Of migrations, too, only raw SQL counts as unread.
    assert found["unread"] == []


def test_an_app_outside_of_the_project(project: Project, tmp_path: Path) -> None:
    project.app("people", models="class Person(models.Model):\n    pass\n")
    project.app(
        "blog",
        path=tmp_path / "packages",
        files={"sql.py": 'cursor.execute("SELECT * FROM people_person")\n'},
    )

    # It is only read if it is split off itself.
    assert look(project)["statements"] == []
    [item] = look(project, "blog")["statements"]
    assert item["path"] == (tmp_path / "packages" / "blog" / "sql.py").as_posix()
