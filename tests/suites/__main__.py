"""Runs tests of Django with and without the hooks: `python -m tests.suites [LABEL…]`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django

from tests.support.project import REPOSITORY

# What relations touch; with --slow also what takes minutes. Left out is admin_scripts: its tests
# start projects of their own, which have no hooks.
CORE = (
    *("contenttypes_tests", "delete", "delete_regress", "foreign_object", "generic_relations"),
    *("generic_relations_regress", "m2m_and_m2o", "m2m_intermediary", "m2m_multiple"),
    *("m2m_recursive", "m2m_regress", "m2m_signals", "m2m_through", "m2m_through_regress"),
    *("m2o_recursive", "many_to_many", "many_to_one", "many_to_one_null", "multiple_database"),
    *("one_to_one", "prefetch_related", "select_related", "select_related_onetoone"),
    *("select_related_regress", "admin_utils"),
)
SLOW = (
    *("admin_autodiscover", "admin_changelist", "admin_checks", "admin_custom_urls"),
    *("admin_default_site", "admin_docs", "admin_filters", "admin_inlines", "admin_ordering"),
    *("admin_registration", "admin_views", "admin_widgets"),
    *("aggregation", "annotations", "bulk_create", "custom_managers", "defer", "defer_regress"),
    *("expressions", "fixtures", "fixtures_regress", "get_or_create"),
    *("known_related_objects", "lookup", "migrate_signals", "migrations", "migrations2"),
    *("model_forms", "model_inheritance", "model_inheritance_regress", "proxy_models", "queries"),
    *("schema", "transaction_hooks", "transactions", "update"),
)

SETTINGS = """\
from pathlib import Path

from appdb_router import build_databases
from test_sqlite import *

_built = build_databases([], base_dir=Path(__file__).parent, default="sqlite://:memory:", env={})
DATABASES["default"]["APPDB_ROUTER"] = _built["default"]["APPDB_ROUTER"]
DATABASE_ROUTERS = ["suite_hooks.Router"]
"""
APP = """\
import os

from django.apps import AppConfig


class Config(AppConfig):
    name = "suite_hooks"

    def ready(self):
        from appdb_router.relations.hooks import hooks

        for hook in hooks() if "APPDB_HOOKS" in os.environ else ():
            hook.install()
"""
ROUTER = """\
import os


class Router:
    def __new__(cls):
        if "APPDB_HOOKS" not in os.environ:
            return super().__new__(cls)
        from appdb_router.routers import AppDatabaseRouter

        router = AppDatabaseRouter()
        # The second database of these tests is added by hand, and has the tables all the same.
        router.allow_migrate = lambda *args, **hints: None
        return router
"""
_RESULT = re.compile(r"^(?:FAIL|ERROR): (.*)$", re.M)
_RAN = re.compile(r"^Ran (\d+) tests?", re.M)


def main() -> int:
    """Print what differs, and return 1 if something does."""
    labels = [item for item in sys.argv[1:] if item != "--slow"]
    if not labels:
        labels = [*CORE, *(SLOW if "--slow" in sys.argv else ())]
    with tempfile.TemporaryDirectory(prefix="appdb-") as name, ThreadPoolExecutor() as pool:
        archive = download(Path(name))
        # Each in one process: one of several cannot hand over an error with its traceback.
        runs = [
            pool.submit(run, prepare(archive, Path(name) / str(hooks)), labels, hooks=hooks)
            for hooks in (False, True)
        ]
        plain, hooked = (task.result() for task in runs)
    print(f"Django {django.__version__}: {plain[0]} tests, {hooked[0]} with the hooks")
    for text in sorted(plain[1] ^ hooked[1]):
        print(f"{'only with' if text in hooked[1] else 'only without'} the hooks: {text}")
    return int(plain != hooked or not plain[0])


def download(folder: Path) -> Path:
    """Return the source distribution of this Django, from the package index."""
    wanted = f"Django=={django.__version__}"
    command = ["download", "--quiet", "--no-deps", "--no-binary", "Django", wanted]
    subprocess.run([sys.executable, "-m", "pip", *command], cwd=folder, check=True)
    [archive] = folder.glob("*.tar.gz")
    return archive


def prepare(archive: Path, folder: Path) -> Path:
    """Unpack the tests into ``folder``, and put an app that installs the hooks into them."""
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    [tests] = folder.glob("*/tests")
    (tests / "suite_hooks").mkdir()
    text = (tests / "runtests.py").read_text(encoding="utf-8")
    opening = "ALWAYS_INSTALLED_APPS = [\n"
    assert opening in text
    (tests / "hooked.py").write_text(text.replace(opening, f'{opening}    "suite_hooks",\n'))
    (tests / "suite_hooks" / "apps.py").write_text(APP)
    (tests / "suite_hooks" / "__init__.py").write_text(ROUTER)
    (tests / "hooked_settings.py").write_text(SETTINGS)
    return tests


def run(tests: Path, labels: list[str], *, hooks: bool) -> tuple[int, frozenset[str]]:
    """Return how many tests ran, and which did not pass."""
    # Measured, they would take twice as long, and show nothing that other tests do not.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment = {**kept, "PYTHONPATH": str(REPOSITORY)}
    environment |= {"APPDB_HOOKS": "1"} if hooks else {}
    command = [sys.executable, "hooked.py", "--settings=hooked_settings", "--parallel=1", *labels]
    result = subprocess.run(
        command, cwd=tests, env=environment, capture_output=True, text=True, check=False
    )
    ran = _RAN.search(result.stderr)
    if ran is None:
        print(result.stderr[-3000:])
    return int(ran[1]) if ran else 0, frozenset(_RESULT.findall(result.stderr))


if __name__ == "__main__":
    sys.exit(main())
