"""The page for those who come from SQLAlchemy, on the sample project and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.markdown import DOCS, blocks, missing, read
from tests.docs.walkthrough import walk
from tests.sample.test_sample import Sample, sample
from tests.support.servers import Server

__all__ = ["sample"]

PAGE = read(DOCS / "howto" / "from-the-plan.md")

# What such a plan consists of: the page has a word for each.
PLAN = (
    *("register_database", "get_database_url", "get_engine", "get_session", "get_app_session"),
    *("discover_databases", "discover_app_database", "discover_all_app_databases"),
    *("engine", "close_all_engines", "get_current_app"),
    *("BaseRepository", "app_name", "_get_app_name"),
    *("create_database", "run_migrations"),
    *("db-init", "--app", "--all-apps", "--discover", "db-list", "db-migrate", "ALEMBIC_APP"),
    *("<APP>_DATABASE_URL", "apps/<app>/database.py", "DATABASE_URL", "ENGINE_OPTIONS"),
    *("migrations/<app>/versions/", "<app>_001_initial.py", "alembic_version"),
)


@pytest.fixture
def real(
    tmp_path: Path,
    postgres: Server,
    postgres_2: Server,
    role: Callable[..., Any],
    database_name: Callable[[str], str],
) -> Callable[[str], str]:
    """Put real servers, roles and names in the place of those of the page."""
    first, second = role(postgres, createdb=True), role(postgres_2, createdb=True)
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{second.password}\n", encoding="utf-8")
    passfile.chmod(0o600)
    replaced = {
        "app:secret@db1:5432": f"{first.name}:{first.password}@{postgres.host}:{postgres.port}",
        "app:***@db1:5432": f"{first.name}:***@{postgres.host}:{postgres.port}",
        "app@db2:5433": f"{second.name}@{postgres_2.host}:{postgres_2.port}",
        '# "db2"': f'# "{postgres_2.host}"',
        "/run/secrets/pgpass": str(passfile),
        **{f"{name}_db": database_name(name) for name in ("main", "auth", "user", "driver")},
    }
    pattern = re.compile("|".join(map(re.escape, replaced)))
    return lambda text: pattern.sub(lambda found: replaced[found[0]], text)


@pytest.mark.slow
def test_the_page_runs(sample: Sample, real: Callable[[str], str]) -> None:
    met = walk(real(PAGE), sample.root, sample.environment())
    assert met["run"] > 20


def test_every_block_is_tested() -> None:
    actions = {block.mark.partition(" ")[0] for block in blocks(PAGE)}
    assert actions == {"run", "output", "write", "append"}


def test_the_whole_plan_is_there() -> None:
    assert missing(PLAN, PAGE) == []
