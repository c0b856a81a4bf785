"""``db_check``, and what ``db_init`` refuses to call finished."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

NOTE = "class Note(models.Model):\n    text = models.CharField(max_length=20)\n"


@pytest.fixture
def lean(project: Project) -> Project:
    """A project of two apps and no other, which is migrated fast."""
    project.installed_apps = ["appdb_router"]
    project.app("blog", models=NOTE)
    project.app("shop", models="class Item(models.Model):\n    size = models.IntegerField()\n")
    project.makemigrations("blog", "shop")
    # makemigrations looks into the default database, which makes the file.
    (project.root / "db.sqlite3").unlink()
    return project


@pytest.fixture
def split(
    lean: Project, postgres: Server, database_name: Callable[[str], str]
) -> tuple[Project, str, str]:
    """The project on one database with rows, and the name of one that is to be the blog's."""
    main, blog = database_name("main"), database_name("blog")
    lean.env["DATABASE_URL"] = postgres.url(main)
    lean.manage("db_init")
    postgres.execute("INSERT INTO blog_note (text) VALUES ('a'), ('b')", database=main)
    lean.env["BLOG_DATABASE_URL"] = postgres.url(blog)
    return lean, main, blog


def check(project: Project, *arguments: str) -> tuple[int, list[tuple[str, str, str | None]]]:
    """Run ``db_check`` and return its exit code, and alias, kind and app of each finding."""
    result = project.manage("db_check", "--format=json", *arguments, check=False)
    found = json.loads(result.stdout)["findings"]
    return result.returncode, [(item["alias"], item["kind"], item["app"]) for item in found]


def test_all_is_well(lean: Project) -> None:
    lean.env["BLOG_DATABASE_URL"] = "sqlite:///blog.sqlite3"
    first = lean.manage("db_init")
    lean.manage("db_init", "--all-apps")

    result = lean.manage("db_check")

    # Another database that is not there yet holds no rows.
    assert first.stdout == "default: created, 2 migrations applied\n1 database ready.\n"

    assert (result.stdout, result.stderr) == ("default: ok\nblog: ok\n", "")
    document = json.loads(lean.manage("db_check", "--app=shop", "--format=json").stdout)
    assert document == {"databases": ["default"], "findings": []}


def test_an_unknown_label(lean: Project) -> None:
    result = lean.manage("db_check", "--app=blgo", check=False)

    assert result.returncode == 2
    assert result.stderr == (
        "CommandError: No installed app has the label 'blgo'. Did you mean 'blog'?\n"
    )


def test_databases_that_cannot_be_looked_at(lean: Project) -> None:
    lean.env["BLOG_DATABASE_URL"] = "postgresql://u:s3cr3t@127.0.0.1:1/x"

    result = lean.manage("db_check", check=False)

    assert result.returncode == 1
    first, second = result.stdout.splitlines()
    assert first == "default: unreachable: The database does not exist. 'db_init' creates it."
    assert second.startswith("blog: unreachable: The database cannot be looked at: connection")
    assert result.stderr == "CommandError: 2 findings.\n"
    assert not (lean.root / "db.sqlite3").exists()
    # The rows of an app may be anywhere, so what cannot be looked at is named for every app.
    assert check(lean, "--app=shop")[1] == [
        ("default", "unreachable", None),
        ("blog", "unreachable", None),
    ]


def test_another_database_that_is_down_stops_no_initialisation(lean: Project) -> None:
    lean.env["BLOG_DATABASE_URL"] = "postgresql://u:s3cr3t@127.0.0.1:1/x"

    result = lean.manage("db_init", "--app", "shop")

    lines = result.stdout.splitlines()
    assert lines[0] == "default: created, 2 migrations applied"
    assert lines[1].startswith("blog: unreachable: The database cannot be looked at: connection")
    assert lines[2] == "1 database ready."


def test_pending_migrations(lean: Project) -> None:
    lean.manage("db_init")
    lean.write("blog/models.py", f"from django.db import models\n\n\n{NOTE}    size = 1\n")
    with (lean.root / "blog/models.py").open("a") as models:
        models.write("    more = models.IntegerField(null=True)\n")
    lean.makemigrations("blog")

    assert check(lean) == (6, [("default", "pending", "blog")])
    assert check(lean, "--app=shop") == (0, [])


def test_routing_that_changed_after_migrating(split: tuple[Project, str, str]) -> None:
    """Fact 1: Django recorded the app's migrations where the router refused its tables."""
    project, _, _ = split
    project.env["SHOP_DATABASE_URL"] = project.env.pop("BLOG_DATABASE_URL")
    project.manage("db_init", "--app", "shop")
    project.env["BLOG_DATABASE_URL"] = project.env["SHOP_DATABASE_URL"]

    stock = project.manage("migrate", "--check", "--database", "blog")
    result = project.manage("db_check", "--app=blog", check=False)

    assert stock.returncode == 0
    assert result.returncode == 3
    assert result.stdout == (
        "blog: recorded: 'blog' is recorded as migrated (0001_initial), but lacks the table"
        " blog_note. In 'default' there is blog_note. It was recorded while the app lived in"
        " another database, or its tables were removed. 'db_init --repair' takes the records back"
        " and migrates again.\n"
        "blog: left-behind: 'blog' has no rows here, but in 'default', where it no longer looks:"
        " blog_note (2 rows). Move them, or accept the empty tables with 'db_init"
        " --allow-empty'.\n"
    )


def test_two_names_of_one_database(
    lean: Project, postgres_2: Server, database_name: Callable[[str], str]
) -> None:
    """Fact 2: the alias that is migrated first records what the other one never makes."""
    name = database_name("main")
    postgres_2.execute(f"CREATE DATABASE {name}")
    lean.env["DATABASE_URL"] = postgres_2.url(name)
    lean.env["BLOG_DATABASE_URL"] = postgres_2.url(name, host=postgres_2.socket_dir)
    lean.manage("migrate", "--database=default", "--verbosity=0")
    stock = lean.manage("migrate", "--database=blog")

    assert "No migrations to apply." in stock.stdout
    assert check(lean) == (3, [("blog", "recorded", "blog"), ("blog", "same-database", None)])
    lean.env["BLOG_DATABASE_URL"] = postgres_2.url(
        name, host=postgres_2.socket_dir, currentSchema="blog"
    )
    assert lean.manage("db_init", "--all-apps").stdout.endswith("2 databases ready.\n")


def test_rows_that_were_left_behind(split: tuple[Project, str, str], postgres: Server) -> None:
    """Fact 3: the new database is empty, and the old one keeps rows that nobody reads."""
    project, main, blog = split

    first = project.manage("db_init", "--all-apps", check=False)
    code, found = check(project)
    allowed = project.manage("db_init", "--all-apps", "--allow-empty")
    postgres.execute("INSERT INTO blog_note (text) VALUES ('c')", database=blog)
    used = project.manage("db_init", "--app", "blog")
    later = check(project)
    postgres.execute("DROP TABLE blog_note", database=main)

    left = (
        "'blog' has no rows here, but in 'default', where it no longer looks: blog_note (2 rows)."
        " Move them, or accept the empty tables with 'db_init --allow-empty'."
    )
    assert first.returncode == 4
    assert first.stdout == (
        "default: already there, nothing to migrate\n"
        "blog: created, 2 migrations applied\n"
        f"blog: left-behind: {left}\n"
    )
    assert first.stderr == "CommandError: 1 of 2 databases failed: blog.\n"
    assert (code, found) == (4, [("blog", "left-behind", "blog")])
    assert allowed.stdout.endswith("2 databases ready. Nothing had to be done.\n")
    assert used.stdout == (
        "blog: already there, nothing to migrate\n"
        "blog: leftover: 'blog' has rows here and stale ones in 'default': blog_note (2 rows). Drop"
        " those tables when you are sure: queries there would find them.\n"
        "1 database ready. Nothing had to be done.\n"
    )
    assert later == (7, [("blog", "leftover", "blog")])
    assert check(project) == (0, [])


def test_json_of_db_init(split: tuple[Project, str, str]) -> None:
    project, _, _ = split

    result = project.manage("db_init", "--app=blog", "--format=json", check=False)

    document = json.loads(result.stdout)
    [outcome], [finding] = document["databases"], document["findings"]
    assert (result.returncode, outcome["status"], outcome["created"]) == (4, "failed", True)
    assert outcome["error"] == finding.pop("message")
    assert finding == {
        "alias": "blog",
        "kind": "left-behind",
        "app": "blog",
        "items": ["blog_note"],
    }


def test_what_is_no_leftover(split: tuple[Project, str, str], postgres: Server) -> None:
    """Empty tables, views, and a table that another app has under the same name."""
    project, main, blog = split
    del project.env["BLOG_DATABASE_URL"]
    project.app(
        "press",
        models='class Note(models.Model):\n    class Meta:\n        db_table = "blog_note"\n',
    )
    project.makemigrations("press")
    project.env["BLOG_DATABASE_URL"] = postgres.url(blog)
    project.env["SHOP_DATABASE_URL"] = postgres.url(blog, currentSchema="shop")
    postgres.execute("ALTER TABLE shop_item RENAME TO items", database=main)
    postgres.execute("CREATE VIEW shop_item AS SELECT 1 AS id, 2 AS size", database=main)
    project.manage("migrate", "--fake", "--verbosity=0")

    assert project.manage("db_init", "--all-apps").stdout.endswith("3 databases ready.\n")


@pytest.mark.parametrize("engine", ["mariadb", "sqlite"])
def test_left_behind_on_other_engines(
    lean: Project,
    engine: str,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
) -> None:
    urls = ["sqlite:///main.sqlite3", "sqlite:///blog.sqlite3"]
    if engine == "mariadb":
        server = request.getfixturevalue(engine)
        urls = [server.url(database_name("main")), server.url(database_name("blog"))]
    lean.env["DATABASE_URL"], blog = urls
    lean.manage("db_init")
    lean.python(
        """
        from blog.models import Note
        Note.objects.bulk_create([Note() for _ in range(10_001)])
        """
    )
    lean.env["BLOG_DATABASE_URL"] = blog

    result = lean.manage("db_init", "--app=blog", check=False)

    assert result.returncode == 4
    assert "looks: blog_note (more than 10000 rows). Move them" in result.stdout


def test_identity(
    lean: Project, mariadb: Server, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """Who a database is, by its server's answer alone."""
    first, second = database_name("first"), database_name("second")
    for server in (mariadb, postgres):
        server.execute(f"CREATE DATABASE {first}")
        server.execute(f"CREATE DATABASE {second}")
    urls = {
        "MARIA_1": mariadb.url(first),
        "MARIA_2": mariadb.url(second),
        "POSTGRES_1": postgres.url(first),
        "POSTGRES_2": postgres.url(second),
        "FILE_1": "sqlite:///one.sqlite3",
        "FILE_2": "sqlite:///two.sqlite3",
        "FILE_3": "sqlite:///three.sqlite3",
        "MEMORY": "sqlite://:memory:",
    }
    for label in urls:
        lean.app(label.lower())
    lean.env = {f"{label}_DATABASE_URL": url for label, url in urls.items()}
    (lean.root / "one.sqlite3").touch()
    (lean.root / "two.sqlite3").touch()
    os.link(lean.root / "one.sqlite3", lean.root / "three.sqlite3")

    found = ask(
        lean,
        f"""
        from appdb_router.services.catalogs import identity
        from appdb_router.services.connecting import separate_connection

        def ask(alias):
            with separate_connection(alias) as connection:
                return repr(identity(connection))

        for alias in {[label.lower() for label in urls]}:
            fact(alias)(lambda: [ask(alias), ask(alias)])
        """,
    )

    assert found["memory"] == ["None", "None"]
    assert all(once == again for once, again in found.values())
    assert found["file_3"] == found.pop("file_1")
    assert len({once for once, _ in found.values()}) == len(found) == 7


@pytest.fixture
def troubled(split: tuple[Project, str, str], postgres: Server) -> tuple[Project, str, str]:
    """The databases in all the states that only PostgreSQL can show."""
    project, main, blog = split
    project.manage("db_init", "--app=blog", "--allow-empty")
    postgres.execute("INSERT INTO blog_note (id, text) VALUES (7, 'c')", database=blog)
    # As older versions of Django made it.
    postgres.execute("ALTER TABLE shop_item ADD COLUMN number serial", database=main)
    postgres.execute("INSERT INTO shop_item (size) VALUES (1)", database=main)
    postgres.execute("INSERT INTO shop_item (id, size, number) VALUES (2, 1, 2)", database=main)
    postgres.execute("CREATE INDEX half ON shop_item (size)", database=main)
    postgres.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass", database=main
    )
    return project, main, blog


TROUBLES = (
    "default: sequence: The sequence of shop_item.id gives 2 next, but the column is at 2."
    " 'sqlsequencereset shop' prints what sets it right.\n"
    "default: sequence: The sequence of shop_item.number gives 2 next, but the column is at 2."
    " 'sqlsequencereset shop' prints what sets it right.\n"
    "default: index: The index half of shop_item is invalid: it is being built, or building it"
    " failed. Then run REINDEX INDEX CONCURRENTLY half.\n"
    "blog: leftover: 'blog' has rows here and stale ones in 'default': blog_note (2 rows). Drop"
    " those tables when you are sure: queries there would find them.\n"
    "blog: sequence: The sequence of blog_note.id gives 1 next, but the column is at 7."
    " 'sqlsequencereset blog' prints what sets it right.\n"
)


def test_sequences_and_indexes(troubled: tuple[Project, str, str], postgres: Server) -> None:
    project, _, blog = troubled

    result = project.manage("db_check", check=False)
    init = project.manage("db_init", "--all-apps")

    assert result.stdout == TROUBLES
    assert result.returncode == 7
    assert check(project, "--app=shop")[0] == 8
    assert {label for _, _, label in check(project, "--app=blog")[1]} == {"blog"}
    # It warns of what it neither caused nor mends.
    assert "blog: sequence: " in init.stdout
    assert init.stdout.endswith("2 databases ready. Nothing had to be done.\n")
    # One that was set, and has given nothing since.
    postgres.execute("ALTER SEQUENCE blog_note_id_seq RESTART WITH 8", database=blog)
    assert "blog: sequence: " not in project.manage("db_check", check=False).stdout


def test_reading_is_all_it_does(
    troubled: tuple[Project, str, str], postgres: Server, role: Callable[..., Any]
) -> None:
    """A role that may only read, in transactions that may only read, finds the same."""
    project, main, blog = troubled
    reader = role(postgres)
    for name in (main, blog):
        postgres.execute(
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader.name}", database=name
        )
        postgres.execute(
            f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader.name}", database=name
        )
    postgres.execute(f"ALTER ROLE {reader.name} SET default_transaction_read_only = on")
    secret = {"user": reader.name, "password": reader.password}
    project.env["DATABASE_URL"] = postgres.url(main, **secret)
    project.env["BLOG_DATABASE_URL"] = postgres.url(blog, **secret)

    assert project.manage("db_check", check=False).stdout == TROUBLES

    for right in ("ALL SEQUENCES", "ALL TABLES"):
        postgres.execute(
            f"REVOKE ALL ON {right} IN SCHEMA public FROM {reader.name}", database=main
        )
    postgres.execute(
        f"GRANT SELECT ON django_migrations, shop_item TO {reader.name}", database=main
    )
    result = project.manage("db_check", check=False)
    assert (
        "default: sequence: The sequence of shop_item.id cannot be read: grant SELECT on"
        " shop_item_id_seq.\n" in result.stdout
    )
    assert "'default': blog_note (rows cannot be counted)" in result.stdout


def test_work_of_this_process_is_not_taken_for_a_silent_server(
    lean: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """All databases are asked at once, and each then waits for the migrations to be read."""
    for alias, variable in (("main", "DATABASE_URL"), ("blog", "BLOG_DATABASE_URL")):
        lean.env[variable] = postgres.url(database_name(alias))
    lean.manage("db_init", "--all-apps")
    path = lean.root / "blog/migrations/0001_initial.py"
    path.write_text(f"import time\ntime.sleep(2.5)\n{path.read_text()}")

    result = lean.manage("db_check", "--timeout=1")

    assert result.stdout == "default: ok\nblog: ok\n"
