"""Comparing what the models need with what is there, on every engine."""

from collections.abc import Callable

import pytest

from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server

MODELS = """
class Ghost(models.Field):
    def db_type(self, connection):
        return None


class Place(models.Model):
    name = models.CharField(max_length=20)


class Bar(Place):  # multi-table inheritance
    beers = models.IntegerField()


class Favourite(Place):
    class Meta:
        proxy = True


class Tag(models.Model):
    word = models.CharField(max_length=20)


class Post(models.Model):
    title = models.CharField(max_length=20, db_column="The Title")
    size = models.IntegerField()
    double = models.GeneratedField(
        expression=models.F("size") * 2, output_field=models.IntegerField(), db_persist=True
    )
    ghost = Ghost()
    tags = models.ManyToManyField(Tag)

    class Meta:
        db_table = "Blog Posts"


class Pair(models.Model):
    pk = models.CompositePrimaryKey("left", "right")
    left = models.IntegerField()
    right = models.IntegerField()


class Replaced(models.Model):
    tags = models.ManyToManyField(Tag)

    class Meta:
        swappable = "BLOG_REPLACED_MODEL"


class Legacy(models.Model):
    tags = models.ManyToManyField(Tag)

    class Meta:
        managed = False


class ForAnotherEngine(models.Model):
    class Meta:
        required_db_vendor = "oracle"
"""

INSPECT = """
    from django.db import connections
    from appdb_router.services.connecting import separate_connection
    from appdb_router.services.inspecting import find_gaps, needed_tables

    def run(*statements):
        with connections["blog"].cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def gaps():
        with separate_connection("blog") as connection:
            return [
                (gap.label, gap.tables, gap.columns, len(gap.present), gap.migrations)
                for gap in find_gaps(connection)
            ]

    quote = connections["blog"].ops.quote_name
"""


@pytest.fixture(params=["postgres", "mariadb", "sqlite"])
def blog(
    project: Project, request: pytest.FixtureRequest, database_name: Callable[[str], str]
) -> Project:
    """A project whose app has a model of every kind, in a database of its own."""
    url = "sqlite:///blog.sqlite3"
    if request.param != "sqlite":
        url = request.getfixturevalue(request.param).url(database_name("blog"))
    project.app("blog", models=MODELS)
    plain = project.app(
        "plain", models="class Leaf(models.Model):\n    size = models.IntegerField()"
    )
    (plain / "migrations" / "__init__.py").unlink()
    (plain / "migrations").rmdir()
    project.settings_extra = "BLOG_REPLACED_MODEL = 'blog.Tag'"
    project.build_arguments = "together={'blog': ['plain']},"
    project.makemigrations("blog")
    project.env = {"BLOG_DATABASE_URL": url}
    project.manage("db_init", "--all-apps")
    return project


def test_what_is_needed_and_what_is_missing(blog: Project) -> None:
    facts = ask(
        blog,
        INSPECT
        + """
    @fact("needed")
    def _():
        return {table.name: table.columns for table in needed_tables(connections["blog"])}

    @fact("complete")
    def _():
        return gaps()

    @fact("columns")
    def _():
        run(
            f'ALTER TABLE blog_bar DROP COLUMN beers',
            f'ALTER TABLE {quote("Blog Posts")} DROP COLUMN {quote("double")}',
            f'ALTER TABLE {quote("Blog Posts")} DROP COLUMN {quote("The Title")}',
        )
        return gaps()

    @fact("tables")
    def _():
        run(f'DROP TABLE {quote("Blog Posts_tags")}', "DROP TABLE blog_pair")
        return gaps()

    @fact("a view")
    def _():
        run("CREATE VIEW blog_pair AS SELECT 1 AS %s, 2 AS %s" % (quote("left"), quote("right")))
        return gaps()

    @fact("without migrations")
    def _():
        run("ALTER TABLE plain_leaf DROP COLUMN size")
        return [gap for gap in gaps() if gap[0] == "plain"]
    """,
    )

    posts, tags = "Blog Posts", "Blog Posts_tags"
    own = facts["needed"].pop("appdb_router_pending_deletion")
    assert own == ["id", "values", "relations", "created"]
    assert facts["needed"] == {
        "blog_place": ["id", "name"],
        "blog_bar": ["place_ptr_id", "beers"],
        "blog_tag": ["id", "word"],
        posts: ["id", "The Title", "size", "double"],
        tags: ["id", "post_id", "tag_id"],
        "blog_pair": ["left", "right"],
        "plain_leaf": ["id", "size"],
    }
    assert facts["complete"] == []
    lost = [f"{posts}.The Title", f"{posts}.double", "blog_bar.beers"]
    assert facts["columns"] == [["blog", [], lost, 6, ["0001_initial"]]]
    assert facts["tables"] == [["blog", [tags, "blog_pair"], lost, 4, ["0001_initial"]]]
    assert facts["a view"] == [["blog", [tags], lost, 5, ["0001_initial"]]]
    assert facts["without migrations"] == [["plain", [], ["plain_leaf.size"], 1, []]]


def test_what_no_migration_makes(project: Project) -> None:
    project.app("blog", models="class Tag(models.Model):\n    pass\n")
    project.app("shop")
    project.makemigrations("blog")
    # What stands in a database that is down nobody can say.
    project.env["SHOP_DATABASE_URL"] = "postgresql://127.0.0.1:1/x"
    with (project.root / "blog/models.py").open("a") as models:
        models.write("\n\nclass New(models.Model):\n    tags = models.ManyToManyField(Tag)\n")
        models.write("\n\nTag.add_to_class('colour', models.IntegerField(null=True))\n")

    result = project.manage("db_init", check=False)

    assert result.returncode == 3
    assert result.stdout.startswith(
        "default: failed: 'blog' needs the tables blog_new, blog_new_tags and the column"
        " blog_tag.colour, which no migration makes. Run 'makemigrations', or, if the app has no"
        " migrations, add by hand what is missing.\n"
    )


def test_names_as_postgresql_reads_them(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> None:
    """Names that the server cuts, partitioned tables, and another case."""
    name, long = database_name("blog"), "ä" * 50
    project.app(
        "blog",
        models=f"""
            class Long(models.Model):
                class Meta:
                    db_table = {long!r}

            class Part(models.Model):
                size = models.IntegerField()
        """,
    )
    project.makemigrations("blog")
    # The columns of a model are limited by the default database: here SQLite, without a limit.
    project.env["BLOG_DATABASE_URL"] = postgres.url(name)
    project.manage("db_init", "--all-apps")
    postgres.execute("DROP TABLE blog_part", database=name)
    postgres.execute(
        "CREATE TABLE blog_part (id bigint, size int) PARTITION BY RANGE (id)", database=name
    )

    facts = ask(
        project,
        INSPECT
        + """
    @fact("partitioned")
    def _():
        return gaps()

    @fact("another schema")
    def _():
        from appdb_router.services.catalogs import standing_tables
        with separate_connection("blog") as connection, connection.cursor() as cursor:
            before = standing_tables(connection, ["blog_part"])["blog_part"]
            cursor.execute("CREATE SCHEMA first")
            cursor.execute("SET search_path TO first, public")
            after = standing_tables(connection, ["blog_part"])["blog_part"]
        return before.columns == after.columns, before.is_own, after.is_own

    @fact("another case")
    def _():
        run('ALTER TABLE blog_part RENAME COLUMN size TO "Size"')
        return gaps()
    """,
    )

    assert facts["partitioned"] == []
    # Seen, and yet no table of this place.
    assert facts["another schema"] == [True, True, False]
    assert facts["another case"] == [["blog", [], ["blog_part.size"], 2, ["0001_initial"]]]


def test_a_pending_migration_explains_what_is_missing(project: Project) -> None:
    """Only what the recorded migrations should have made is missing."""
    project.app("blog", models="class A(models.Model):\n    size = models.IntegerField()\n")
    project.makemigrations("blog")
    project.manage("db_init")
    project.write(
        "blog/models.py",
        """
        from django.db import models

        class A(models.Model):
            weight = models.IntegerField()

            class Meta:
                db_table = "a"
        """,
    )
    project.write(
        "blog/migrations/0002_more.py",
        """
        from django.db import migrations

        class Migration(migrations.Migration):
            dependencies = [("blog", "0001_initial")]
            operations = [
                migrations.AlterModelTable("A", "a"),
                migrations.RenameField("A", "size", "weight"),
            ]
        """,
    )
    code = INSPECT.replace('"blog"', '"default"')
    check = code + '\n    @fact("gaps")\n    def _():\n        return gaps()\n'

    pending = ask(project, check)["gaps"]
    ask(project, code + '\n    run("ALTER TABLE blog_a DROP COLUMN size")\n')
    false = ask(project, check)["gaps"]

    assert pending == []
    assert false == [["blog", [], ["blog_a.size"], 1, ["0001_initial"]]]
