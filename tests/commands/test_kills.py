"""Many processes at one moment, and many that are killed at any moment.

``APPDB_TEST_PROCESSES`` and ``APPDB_TEST_KILLS`` say how many; 20 and 100 are what the
documentation promises.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.project import Project
from tests.support.servers import Server

PROCESSES = int(os.environ.get("APPDB_TEST_PROCESSES", "6"))
KILLS = int(os.environ.get("APPDB_TEST_KILLS", "10"))

MIGRATIONS = {
    "0001_initial": """
        from django.db import migrations, models

        class Migration(migrations.Migration):
            initial = True
            operations = [
                migrations.CreateModel(
                    "Note",
                    [
                        ("id", models.BigAutoField(primary_key=True)),
                        ("text", models.CharField(max_length=20)),
                    ],
                )
            ]
    """,
    **{
        f"000{number}_{number}": f"""
            import time
            from django.db import migrations, models

            def count(apps, schema_editor):
                Note = apps.get_model("blog", "Note")
                Note.objects.using(schema_editor.connection.alias).create(text="{number}")
                time.sleep(0.02)

            class Migration(migrations.Migration):
                dependencies = [("blog", "000{number - 1}_{previous}")]
                operations = [
                    migrations.AddField("note", "n{number}", models.IntegerField(default=0)),
                    migrations.RunPython(count, migrations.RunPython.noop),
                ]
        """
        for number, previous in [(2, "initial"), (3, "2"), (4, "3")]
    },
}
MODELS = "class Note(models.Model):\n    text = models.CharField(max_length=20)\n" + "".join(
    f"    n{number} = models.IntegerField(default=0)\n" for number in (2, 3, 4)
)

# Numbers that a sequence gave to a transaction that was rolled back are gone, so rows are compared
# without their ids.
STATE = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default,
            is_identity, character_maximum_length
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 3""",
    "indexes": """
        SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index JOIN pg_class ON oid = indrelid
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "sequences": "SELECT sequencename FROM pg_sequences ORDER BY 1",
    "django_migrations": "SELECT app, name FROM django_migrations ORDER BY 1, 2",
}
ROWS = {
    "blog": {"notes": "SELECT text, n2, n3, n4 FROM blog_note ORDER BY 1"},
    "auth": {
        "content types": "SELECT app_label, model FROM django_content_type ORDER BY 1, 2",
        "permissions": """
            SELECT app_label, model, codename, name FROM auth_permission p
            JOIN django_content_type c ON c.id = p.content_type_id ORDER BY 1, 2, 3""",
    },
}


@pytest.fixture
def names(
    project: Project, postgres: Server, database_name: Callable[[str], str]
) -> dict[str, str]:
    names = {label: database_name(label) for label in ("default", "auth", "blog")}
    project.app("blog", models=MODELS, migrations=MIGRATIONS)
    project.env = {
        "DATABASE_URL": postgres.url(names["default"]),
        "AUTH_DATABASE_URL": postgres.url(names["auth"]),
        "BLOG_DATABASE_URL": postgres.url(names["blog"]),
    }
    return names


def state(server: Server, names: dict[str, str]) -> dict[str, list[tuple[Any, ...]]]:
    """Return what is in the databases: their schema, what is recorded, and rows."""
    return {
        f"{label}: {what}": server.fetch(query, database=name)
        for label, name in names.items()
        for what, query in {**STATE, **ROWS.get(label, {})}.items()
    }


@pytest.mark.slow
def test_many_at_the_same_moment(project: Project, postgres: Server, names: dict[str, str]) -> None:
    processes = [project.popen("db_init", "--all-apps") for _ in range(PROCESSES)]
    results = [process.communicate(timeout=300) for process in processes]

    assert [process.returncode for process in processes] == [0] * PROCESSES, results
    found = state(postgres, names)
    assert [text for text, *_ in found["blog: notes"]] == ["2", "3", "4"]
    for name in names:
        recorded = found[f"{name}: django_migrations"]
        assert len(recorded) == len(set(recorded)) > 10
    for name in names.values():
        postgres.drop(name)
    project.manage("db_init", "--all-apps")
    assert found == state(postgres, names)


# Each run is a process of its own that has imported everything already, so that kills do not fall
# on the start of the interpreter.
RUNS = """
    import os
    import signal
    import time
    import traceback

    from django.core.management import call_command

    import appdb_router.management.commands.db_init

    def begin(jobs):
        child = os.fork()
        if child:
            return child
        try:
            call_command("db_init", all_apps=True, jobs=jobs, verbosity=0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    for moment, jobs in {kills}:
        child = begin(jobs)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    begun = time.monotonic()
    _, status = os.waitpid(begin(1), 0)
    assert status == 0
    print(time.monotonic() - begun)
"""


@pytest.mark.slow
@pytest.mark.timeout(60 + 15 * KILLS)
def test_killed_at_any_moment(project: Project, postgres: Server, names: dict[str, str]) -> None:
    """However often a run is killed, the next one that is not brings the same state."""
    seed = int.from_bytes(os.urandom(4))
    moments = random.Random(seed)  # noqa: S311  It keeps no secret.
    longest = float(project.python(RUNS.format(kills=[])).stdout)
    undisturbed = state(postgres, names)

    left = KILLS
    while left:
        for name in names.values():
            postgres.drop(name)
        # Several in a row, on what those before have left.
        kills = [
            (moments.uniform(0, longest), moments.randint(1, 3))
            for _ in range(min(left, moments.randint(1, 6)))
        ]
        project.python(RUNS.format(kills=kills), timeout=300)
        assert state(postgres, names) == undisturbed, (seed, kills)
        left -= len(kills)
