"""What stands in the way of a replication slot is named before anything is done, with a remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.embedded import Cluster
from tests.support.facts import ask
from tests.support.project import Project
from tests.support.servers import Server
from tests.support.shop import PRELUDE, shop_project

MODELS = """
class Plain(models.Model):
    text = models.TextField(default="")


class Logless(models.Model):
    pass


class Anonymous(models.Model):
    pass


class Deferred(models.Model):
    pass


class Whole(models.Model):
    pass


class Indexed(models.Model):
    size = models.IntegerField()


class Elsewhere(models.Model):
    size = models.IntegerField(unique=True)


class Computed(models.Model):
    pass


class Keyless(models.Model):
    pass
"""

HEAD = (
    PRELUDE
    + """
from appdb_router.services.moving.slot_checks import slot_note, slot_problems


def problems(*names, role=None, offline=False, before=(), after=()):
    with one() as connection:
        run(connection, *before)
        found = list(slot_problems(map(moved, names), connection, "shop", offline=offline))
        run(connection, *after)
    return found
"""
)

INSTEAD = "or leave out --replication, for triggers instead."


def test_a_server_that_allows_it(
    project: Project,
    request: pytest.FixtureRequest,
    database_name: Callable[[str], str],
    logical: Server,
) -> None:
    shop = shop_project(project, request, database_name, MODELS, "logical")
    facts = ask(
        shop,
        HEAD
        + """
create("default", *(table.model for table in moved_all()))
with one() as connection:
    run(
        connection,
        "ALTER TABLE shop_logless SET UNLOGGED",
        "ALTER TABLE shop_anonymous REPLICA IDENTITY NOTHING",
        "ALTER TABLE shop_deferred DROP CONSTRAINT shop_deferred_pkey",
        "ALTER TABLE shop_deferred ADD PRIMARY KEY (id) DEFERRABLE",
        "ALTER TABLE shop_whole DROP CONSTRAINT shop_whole_pkey",
        "ALTER TABLE shop_whole ADD PRIMARY KEY (id) DEFERRABLE",
        "ALTER TABLE shop_whole REPLICA IDENTITY FULL",
        "CREATE UNIQUE INDEX indexed ON shop_indexed (size, id)",
        "ALTER TABLE shop_indexed REPLICA IDENTITY USING INDEX indexed",
        "ALTER TABLE shop_elsewhere REPLICA IDENTITY USING INDEX shop_elsewhere_size_key",
        "ALTER TABLE shop_computed DROP COLUMN id",
        "ALTER TABLE shop_computed ADD size int, ADD id int GENERATED ALWAYS AS (size) STORED",
        "ALTER TABLE shop_computed ADD PRIMARY KEY (id)",
        "ALTER TABLE shop_keyless DROP CONSTRAINT shop_keyless_pkey",
    )

fact("none")(lambda: problems("Plain", "Whole", "Indexed", "Keyless"))
fact("offline")(lambda: problems("Plain", "Logless", offline=True))
fact("tables")(lambda: problems("Logless", "Anonymous", "Deferred", "Elsewhere", "Computed"))
fact("role")(lambda: problems("Plain", before=["SET ROLE pg_monitor"], after=["RESET ROLE"]))
fact("full")(lambda: problems(
    "Plain",
    before=[
        "SELECT pg_create_physical_replication_slot('full_' || number) FROM generate_series("
        " 1, current_setting('max_replication_slots')::int) AS number"
    ],
    after=["SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"],
))
with one() as connection:
    fact("note")(lambda: slot_note(connection, "shop"))
""",
    )

    assert facts == {
        "none": [],
        "offline": [
            "--replication follows an app that writes while it moves, out of PostgreSQL. This move"
            " refuses its writes from the beginning: leave it out."
        ],
        "tables": [
            "In 'default' nothing is logged of shop_logless. ALTER TABLE … SET LOGGED, " + INSTEAD,
            "In 'default' the log does not have the whole primary key of the rows of"
            " shop_anonymous, shop_computed, shop_deferred, shop_elsewhere (REPLICA IDENTITY)."
            " ALTER TABLE … REPLICA IDENTITY DEFAULT, or FULL where the key is deferrable, "
            + INSTEAD,
        ],
        "role": [
            "In 'default' this role may not use replication slots. Give it the attribute"
            " REPLICATION (on Amazon RDS, the role rds_replication), " + INSTEAD,
            "In 'default' this role may not make a publication. GRANT CREATE ON DATABASE to it, "
            + INSTEAD,
        ],
        "full": [
            "The server of 'default' has no replication slot left. Drop one that nobody reads, or"
            " set a higher max_replication_slots and start the server again, " + INSTEAD
        ],
        "note": facts["note"],
    }
    assert facts["note"].startswith(
        "A replication slot makes the server of 'default' keep its write-ahead log until it was"
        " read, without limit: a move that is left alone fills the disk."
    )
    assert "SELECT pg_drop_replication_slot('appdb_router_slot_shop_" in facts["note"]


def test_a_server_that_does_not(
    project: Project, request: pytest.FixtureRequest, fragile: tuple[Server, Cluster]
) -> None:
    project.app("shop", models=MODELS)
    project.env["DATABASE_URL"] = fragile[0].url("postgres")
    facts = ask(
        project,
        HEAD
        + """
fact("level")(lambda: problems())
with one() as connection:
    run(connection, "ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'", "SELECT pg_reload_conf()")
with one() as connection:
    fact("note")(lambda: slot_note(connection, "shop"))
    run(connection, "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()")
""",
    )

    assert facts["level"] == [
        "The server of 'default' has wal_level = replica, and --replication needs logical. Set that"
        " and start the server again, " + INSTEAD
    ]
    assert "up to max_slot_wal_keep_size, 1GB: a move" in facts["note"]
