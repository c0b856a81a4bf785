"""``db_plan``: what a split would mean, of projects that are on one database."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.commands.test_connections import allowed, free_port, pooler
from tests.support import crossing
from tests.support.project import Project
from tests.support.servers import Server

SECRET = "s3cr3t-pass"
# More than are counted.
MANY = 10_050

Named = Callable[[str], str]
Roles = Callable[..., Any]


def look(project: Project, *arguments: str) -> dict[str, Any]:
    """Return the plan as JSON."""
    result = project.manage("db_plan", "--format=json", *arguments)
    assert SECRET not in result.stdout
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def sizes(plan: dict[str, Any], label: str) -> dict[str, tuple[Any, ...]]:
    [part] = [item for item in plan["databases"] if item["alias"] == label]
    return {
        item["table"]: (item["rows"], item["precision"], item["bytes"]) for item in part["tables"]
    }


ADMIN = """
from django.contrib import admin
from blog.models import Post

@admin.register(Post)
class PostAdmin(admin.ModelAdmin):
    search_fields = ["title", "author__name"]
"""

REPORTS = """
from django.db import connection

def authors(year):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM blog_post p JOIN people_person a ON a.id = p.author_id"
        )
        cursor.execute(year)
"""

TEXT = """\
📊 1 new database: 10 crossing relations, 1 that cannot work, 1 place with raw SQL, 1 pair of tied\
 apps; to move: 8 tables, 1 row, N KiB.

🔹 blog
   To move from 'default': 8 tables, 1 row, N KiB
     blog_comment: 0 rows, N KiB
     blog_contract: 0 rows, N KiB
     blog_loan: 0 rows, N KiB
     blog_note: 0 rows, N KiB
     blog_post: 0 rows, N KiB
     blog_post_readers: 0 rows, N KiB
     blog_profile: 0 rows, N KiB
     blog_tag: 1 row, N KiB
   Relations to other databases (10):
     blog.Post.author to people.Person in 'default': foreign key
     blog.Post.editor to people.Person in 'default': foreign key
     blog.Post.readers to people.Person in 'default': many-to-many
     blog.Profile.person to people.Person in 'default': foreign key
     blog.Contract.person to people.Person in 'default': foreign key
     blog.Loan.person to people.Person in 'default': foreign key
     blog.Note.person to people.Person in 'default': foreign key
     blog.Note.other to people.Person in 'default': foreign key
     blog.Note.left to people.Person in 'default': foreign key
     blog.Tag.content_type to contenttypes.ContentType in 'default': foreign key
   Generic foreign keys (1):
     blog.Tag.target
   Admin options that cannot work (1):
     search_fields of the admin of blog.Post has 'author__name'
   Raw SQL (1):
     blog/reports.py:6: execute, sent to 'default', names blog_post ('blog'), people_person\
 ('default')
   Migrations (2):
     blog.0001_initial depends on contenttypes.0002_remove_content_type_name in 'default'
     blog.0001_initial depends on people.0001_initial in 'default'

🔹 what relations to other databases lose
   foreign key: its constraint, and joins. Instead: a plain column with an index; select_related\
 asks both databases, and deleting follows into the other one after its commit.
   many-to-many: a constraint, and the join. Instead: the rows of the table between are read first,\
 then the objects.

🔹 apps that should go together
   blog and people:
     search_fields of the admin of blog.Post has 'author__name'
     blog/reports.py:6 joins their tables
     9 relations between them
   In the call of build_databases(): together={"blog": ["people"]},

🔹 not read: look for yourself
   blog/reports.py:9: execute, of SQL that is made elsewhere

📊 Connections of 1 worker with 1 thread each:

🔹 default: not counted, SQLite has no server
"""


@pytest.fixture
def tied(project: Project) -> Project:
    """A project of two apps, with raw SQL and an admin, on the default; its tables are to come."""
    crossing.write(project, {})
    project.write("blog/admin.py", ADMIN)
    project.write("blog/reports.py", REPORTS)
    return project


def test_text(tied: Project) -> None:
    tied.manage("migrate", "--verbosity=0")
    tied.python(
        """
        from blog.models import Tag
        Tag.objects.create(content_type_id=1, object_id=1)
        """
    )

    result = tied.manage("db_plan", "blog")

    assert re.sub(r"[\d.]+ KiB", "N KiB", result.stdout) == TEXT
    assert result.stderr == ""


def test_what_stays_is_shown_where_it_reaches_over(tied: Project) -> None:
    tied.manage("migrate", "--verbosity=0")

    text = tied.manage("db_plan", "people").stdout

    before, _, behind = text.partition("🔹 apps that stay where they are\n")
    assert "   To move from 'default': 2 tables, 0 rows, " in before
    assert "blog.Post" not in before
    assert behind.startswith("   Relations to other databases (9):\n     blog.Post.author to")
    assert "blog.0001_initial depends on people.0001_initial in 'people'" in behind
    assert "blog.Tag" not in behind


def test_every_app_of_the_project_is_the_default(tied: Project) -> None:
    tied.app("helpers")
    tied.env["PEOPLE_DATABASE_URL"] = "sqlite:///people.sqlite3"

    assert [item["alias"] for item in look(tied)["databases"]] == ["blog", "helpers"]


def test_apps_that_have_their_database_already(tied: Project) -> None:
    tied.env["PEOPLE_DATABASE_URL"] = "sqlite:///people.sqlite3"

    found = look(tied, "blog", "people")
    text = tied.manage("db_plan", "blog", "people").stdout

    # It crosses already, and the relation to the content types does not.
    new = [item["name"] for item in found["relations"] if item["is_new"]]
    assert new == ["blog.Tag.content_type"]
    assert "\n🔹 people\n   Has this database already.\n" in text
    assert "blog.Post.author to people.Person in 'people': foreign key, crosses already\n" in text
    assert text.startswith("📊 1 new database: 10 crossing relations, ")


def test_an_alias_of_the_default_is_none_of_its_own(tied: Project) -> None:
    tied.manage("migrate", "--verbosity=0")
    tied.env["PEOPLE_DATABASE_URL"] = "sqlite:///db.sqlite3"

    [part] = look(tied, "people")["databases"]

    assert (part["source"], part["is_there"], len(part["tables"])) == ("default", False, 2)


def test_nothing_to_split(project: Project) -> None:
    result = project.manage("db_plan")

    assert result.stdout == "No app of the project is on the default database.\n"
    assert look(project)["databases"] == []


def test_a_group_goes_as_a_whole(project: Project) -> None:
    project.app("apps.accounts", models=USER)
    project.auth_user_model = "accounts.User"

    [part] = look(project, "accounts")["databases"]
    text = project.manage("db_plan", "accounts").stdout

    assert (part["alias"], part["apps"]) == ("auth", ["auth", "contenttypes", "accounts"])
    assert "\n🔹 auth (auth, contenttypes, accounts)\n" in text


def test_an_unknown_label(tied: Project) -> None:
    result = tied.manage("db_plan", "blgo", check=False)

    assert (result.returncode, result.stdout) == (2, "")
    assert "No installed app has the label 'blgo'. Did you mean 'blog'?" in result.stderr


USER = """
from django.contrib.auth.models import AbstractUser

class User(AbstractUser):
    company = models.ForeignKey("company.Company", models.CASCADE, null=True)
"""


def test_apps_that_are_tied(project: Project) -> None:
    project.app("accounts", models=USER)
    project.auth_user_model = "accounts.User"
    keys = "".join(
        f"    user_{number} = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE,"
        f" related_name='+')\n"
        for number in range(6)
    )
    # The user has a company, and a company has users.
    project.app("company", models=f"class Company(models.Model):\n{keys}")
    # Many relations to users are no tie, nor is what joins them.
    project.app(
        "diary",
        models=f"class Page(models.Model):\n{keys}",
        files={"sql.py": 'cursor.execute("SELECT 1 FROM diary_page JOIN accounts_user")\n'},
    )
    # A child in another database than its parent cannot work.
    project.app(
        "firm",
        models="from company.models import Company\n\nclass Firm(Company):\n    pass\n",
    )
    project.app("stock", models="class Item(models.Model):\n    pass\n")
    project.app(
        "till",
        models="class Sale(models.Model):\n    item = models.ForeignKey('stock.Item', 1)\n".replace(
            "1)", "models.CASCADE)"
        ),
    )
    project.app("desk")
    project.build_arguments = "together={'till': ['desk']},"

    found = look(project)
    text = project.manage("db_plan").stdout

    assert [item["path"] for item in found["statements"]] == ["diary/sql.py"]
    assert found["ties"] == [
        {"labels": ["auth", "company"], "reasons": ["each has relations to the other"]},
        {
            "labels": ["company", "firm"],
            "reasons": ["firm.Firm.company_ptr to company.Company cannot work"],
        },
    ]
    # With the group that there is, so that the line can take the place of the old one.
    assert found["together"] == {"auth": ["company", "firm"], "till": ["desk"]}
    line = 'together={"auth": ["company", "firm"], "till": ["desk"]},'
    assert f"   In the call of build_databases(): {line}\n" in text
    assert (
        "   Relations that cannot work (1):\n     firm.Firm.company_ptr to company.Company" in text
    )
    # And it does: nothing is tied any more.
    project.build_arguments = line
    assert look(project)["ties"] == []


def test_without_an_admin_and_content_types(project: Project) -> None:
    project.installed_apps = ["appdb_router"]
    project.app("people", models="class Person(models.Model):\n    pass\n")
    project.app(
        "blog",
        models="""
        class Author(models.Model):
            person = models.ForeignKey("people.Person", models.CASCADE)
        class Post(models.Model):
            author = models.ForeignKey(Author, models.CASCADE)
        """,
        files={"sql.py": "Author.objects.extra(where=['people_person.id = 1'])\n"},
    )
    project.app(
        "news",
        models="""
        class News(models.Model):
            person = models.ForeignKey("people.Person", models.CASCADE)
        """,
    )

    found = look(project)

    # What extra() adds is joined with the model's own table.
    assert found["ties"] == [
        {"labels": ["blog", "people"], "reasons": ["blog/sql.py:1 joins their tables"]}
    ]
    assert found["together"] == {"blog": ["people"]}
    assert found["generic_foreign_keys"] == found["admin_options"] == {}


def on_server(project: Project, server: Server, name: str) -> None:
    """Write the tied apps, and make their tables in one database of a server."""
    crossing.write(project, {"default": server.url(name)})
    project.manage("db_init", "--verbosity=0")


def test_sizes_on_postgresql(
    project: Project, postgres: Server, database_name: Named, role: Roles
) -> None:
    name = database_name("plan")
    on_server(project, postgres, name)
    for statement in (
        # Vacuuming makes a table larger, at any moment.
        "ALTER TABLE blog_comment SET (autovacuum_enabled = off)",
        "ALTER TABLE people_person SET (autovacuum_enabled = off)",
        f"INSERT INTO people_person (name) SELECT g FROM generate_series(1, {MANY}) g",
        "INSERT INTO blog_post (title, author_id) VALUES ('a', 1)",
        f"INSERT INTO blog_comment (post_id, mood) SELECT 1, '' FROM generate_series(1, {MANY})",
        "ANALYZE people_person",
        # A table in parts.
        "DROP TABLE people_badge",
        "CREATE TABLE people_badge (id bigint, person_id bigint) PARTITION BY HASH (id)",
        "CREATE TABLE part_0 PARTITION OF people_badge FOR VALUES WITH (MODULUS 2, REMAINDER 0)"
        " WITH (autovacuum_enabled = off)",
        "CREATE TABLE part_1 PARTITION OF people_badge FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
        " WITH (autovacuum_enabled = off)",
        f"INSERT INTO people_badge SELECT g, g FROM generate_series(1, {MANY}) g",
        "ANALYZE people_badge",
        "DROP TABLE blog_loan",
    ):
        postgres.execute(statement, database=name)
    reader = role(postgres, password=SECRET)
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader.name}", database=name)
    postgres.execute(f"REVOKE SELECT ON blog_tag FROM {reader.name}", database=name)
    # To read is all that is needed, and it need not be everything.
    project.env["DATABASE_URL"] = postgres.url(name, user=reader.name, password=SECRET)

    found = look(project)
    text = project.manage("db_plan").stdout

    def size(*tables: str) -> int:
        total = " + ".join(f"pg_total_relation_size('{table}')" for table in tables)
        [[number]] = postgres.fetch(f"SELECT {total}", database=name)
        return int(number)

    blog, people = sizes(found, "blog"), sizes(found, "people")
    assert people == {
        "people_badge": (MANY, "estimated", size("part_0", "part_1")),
        "people_person": (MANY, "estimated", size("people_person")),
    }
    assert blog["blog_post"] == (1, "counted", size("blog_post"))
    assert blog["blog_comment"] == (10_001, "at least", size("blog_comment"))
    assert blog["blog_tag"] == (None, "at least", size("blog_tag"))
    [part] = [item for item in found["databases"] if item["alias"] == "blog"]
    assert (part["missing"], part["rows"], part["is_exact"]) == (["blog_loan"], 10_002, False)
    assert f"     people_person: about {MANY} rows, 1." in text
    assert "     blog_comment: at least 10001 rows, " in text
    assert "     blog_tag: rows cannot be counted, " in text
    assert "     blog_loan: is not there\n" in text
    assert re.search(r"; to move: 9 tables, about 30102 rows, [\d.]+ MiB\.\n", text)


def test_sizes_on_mariadb(project: Project, mariadb: Server, database_name: Named) -> None:
    name = database_name("plan")
    on_server(project, mariadb, name)
    for statement in (
        f"INSERT INTO people_person (name) SELECT seq FROM seq_1_to_{MANY}",
        "ANALYZE TABLE people_person",
        "INSERT INTO people_badge (person_id) VALUES (1)",
    ):
        mariadb.execute(statement, database=name)

    people = sizes(look(project), "people")

    [[rows, size]] = mariadb.fetch(
        "SELECT table_rows, data_length + index_length FROM information_schema.tables"
        f" WHERE table_schema = '{name}' AND table_name = 'people_person'"
    )
    assert people["people_person"] == (rows, "estimated", size)
    assert abs(rows - MANY) < MANY / 10
    assert people["people_badge"][:2] == (1, "counted")


def test_sizes_on_sqlite(tied: Project) -> None:
    tied.manage("migrate", "--verbosity=0")
    tied.python(
        f"""
        from people.models import Person
        Person.objects.bulk_create(Person(name=str(number)) for number in range({MANY}))
        """
    )

    people = sizes(look(tied), "people")

    assert people["people_person"][:2] == (10_001, "at least")
    assert people["people_person"][2] > 2 * MANY
    assert people["people_badge"] == (0, "counted", 8192)


def test_bytes_that_sqlite_does_not_tell(tied: Project) -> None:
    tied.manage("migrate", "--verbosity=0")
    # In the way of what SQLite has under this name.
    tied.python(
        """
        from django.db import connection
        connection.cursor().execute("CREATE TABLE dbstat (name integer)")
        """
    )

    found = look(tied, "people")

    assert sizes(found, "people")["people_badge"] == (0, "counted", None)
    assert found["databases"][0]["bytes"] is None
    assert "people_badge: 0 rows, bytes not known\n" in tied.manage("db_plan").stdout


def test_bytes_in_words(project: Project) -> None:
    result = project.python(
        """
        from appdb_router.management.sizes import bytes_text
        print(*map(bytes_text, (None, 0, 1023, 1024, 5 * 1024**2, 3 * 1024**4, 1024**5)), sep="; ")
        """
    )

    assert result.stdout == (
        "bytes not known; 0 bytes; 1023 bytes; 1.0 KiB; 5.0 MiB; 3.0 TiB; 1024.0 TiB\n"
    )


def test_with_the_database_down(tied: Project) -> None:
    tied.env["DATABASE_URL"] = f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/dead"

    text = tied.manage("db_plan", "blog").stdout

    assert "   Rows and bytes are not known, 'default' was not read: connection" in text
    assert "; to move: 0 tables, 0 rows, 0 bytes and what could not be asked.\n" in text
    assert "   Relations to other databases (10):\n" in text
    assert "   default could not be asked: connection" in text
    assert SECRET not in text


def test_a_file_that_is_not_there_is_not_made(tied: Project) -> None:
    (tied.root / "db.sqlite3").unlink()

    [part] = look(tied, "blog")["databases"]

    assert part["error"] == "there is no such database yet"
    assert not (tied.root / "db.sqlite3").exists()


def test_more_places_that_are_not_read_than_are_shown(project: Project) -> None:
    project.app("blog", files={"sql.py": "cursor.execute(sql)\n" * 12, "broken.py": "def\n"})

    text = project.manage("db_plan").stdout

    assert (
        "🔹 not read: look for yourself\n   blog/broken.py: no Python\n   blog/sql.py:1: " in text
    )
    assert "   blog/sql.py:10: execute, of SQL that is made elsewhere\n   and 2 more " in text


def test_connections(tied: Project, postgres: Server, database_name: Named, role: Roles) -> None:
    user, other = role(postgres, password=SECRET), role(postgres, password=SECRET)
    postgres.execute(f"ALTER ROLE {user.name} CONNECTION LIMIT 30")
    postgres.execute(f"ALTER ROLE {other.name} CONNECTION LIMIT 20")
    name, shop = database_name("plan"), database_name("shop")
    postgres.execute(f"CREATE DATABASE {name} CONNECTION LIMIT 9")
    postgres.execute(f"CREATE DATABASE {shop}")
    tied.app("shop")
    tied.env |= {
        "WEB_CONCURRENCY": "4",
        "DATABASE_URL": postgres.url(name, user=user.name, password=SECRET, pool_size="3"),
        "SHOP_DATABASE_URL": postgres.url(shop, user=other.name, password=SECRET),
    }

    found = look(tied, "blog", "people", "shop")["connections"]

    [server] = found["servers"]
    demands = {item["alias"]: item["connections"] for item in server["databases"]}
    assert demands == {"default": 12, "blog": 12, "people": 12, "shop": 4}
    limits = {
        (item["kind"], item["name"]): (item["connections"], item["maximum"], item["verdict"])
        for item in server["limits"]
    }
    # The new databases have no limit of their own, and are used by the same role.
    assert limits == {
        ("server", ""): (40, allowed(postgres), "fine"),
        ("database", name): (12, 9, "too many"),
        ("role", user.name): (36, 30, "too many"),
    }
    # With one new database less the role's limit is kept.
    text = tied.manage("db_plan", "blog").stdout
    assert "  above half, too many with async\n" in text
    assert text.count("  too many\n") == 1


def test_behind_a_pooler(
    tied: Project, postgres: Server, database_name: Named, role: Roles
) -> None:
    user = role(postgres, password=SECRET)
    name = database_name("plan")
    postgres.execute(f"CREATE DATABASE {name}")
    login = {"user": user.name, "password": SECRET}
    with pooler(postgres) as port:
        url = postgres.url(name, **login, sslmode="disable", gssencmode="disable")
        tied.env["DATABASE_URL"] = url.replace(f":{postgres.port}/", f":{port}/")

        [server] = look(tied, "blog")["connections"]["servers"]

    [limit] = server["limits"]
    assert (limit["connections"], limit["verdict"]) == (2, "behind a pooler")


IMPOSSIBLE = """
from people.models import Person

class Writer(Person):
    pass

class end(models.Model):
    person = models.ForeignKey(Person, models.CASCADE)
"""


def test_the_drawings_are_well_formed(project: Project) -> None:
    project.app("people", models="class Person(models.Model):\n    pass\n")
    project.app("end", models=IMPOSSIBLE)
    project.app("alone")

    mermaid = project.manage("db_plan", "--format=mermaid").stdout
    dot = project.manage("db_plan", "--format=dot").stdout

    edges = {("end", "people", "1 relation"), ("end", "people", "1 cannot work")}
    databases = {"alone": ["alone"], "end": ["end"], "people": ["people"]}
    assert read_mermaid(mermaid) == (databases, edges)
    assert read_dot(dot) == (databases, edges)


def read_mermaid(text: str) -> tuple[dict[str, list[str]], set[tuple[str, ...]]]:
    """Return what a flow chart shows; it may hold nothing but what is understood here."""
    first, *lines = text.splitlines()
    assert first == "flowchart LR"
    names: dict[str, str] = {}
    databases: dict[str, list[str]] = {}
    edges: set[tuple[str, ...]] = set()
    inside: list[str] | None = None
    for line in map(str.strip, lines):
        if found := re.fullmatch(r'subgraph (database_\w+)\["([^"\n]+)"\]', line):
            assert inside is None
            assert found[1] not in names
            names[found[1]] = found[2]
            inside = databases.setdefault(found[2], [])
        elif found := re.fullmatch(r'(app_\w+)\["([^"\n]+)"\]', line):
            assert inside is not None
            assert found[1] not in names
            names[found[1]] = found[2]
            inside.append(found[2])
        elif line == "end":
            assert inside
            inside = None
        else:
            found = re.fullmatch(r'(app_\w+) (?:-->|-\.->)\|"([^"\n]+)"\| (app_\w+)', line)
            assert found, line
            edges.add((names[found[1]], names[found[3]], found[2]))
    assert inside is None
    return databases, edges


def read_dot(text: str) -> tuple[dict[str, list[str]], set[tuple[str, ...]]]:
    """Return what a graph shows; it may hold nothing but what is understood here."""
    token = re.compile(r'\s*("[^"\n]*"|->|[{};\[\],=]|\w+)')
    assert token.sub("", text).strip() == ""
    assert text.count("{") == text.count("}")
    databases = {
        label: re.findall(r'^ {8}"(.+)";$', body, re.M)
        for label, body in re.findall(
            r'^ {4}subgraph "cluster_\w+" \{\n {8}label="(.+)";\n((?: {8}.+\n)*) {4}\}$',
            text,
            re.M,
        )
    }
    edges: set[tuple[str, ...]]
    edges = set(re.findall(r'^ {4}"(.+)" -> "(.+)" \[label="([^"]+)".*\];$', text, re.M))
    shown = {label for labels in databases.values() for label in labels}
    assert {label for source, target, _ in edges for label in (source, target)} <= shown
    return databases, edges
