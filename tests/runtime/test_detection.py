"""The app that a file belongs to."""

import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.facts import ask
from tests.support.project import Project

# No databases, so that what is found here needs nothing but Django's registry of apps.
SETTINGS = """
import sys

sys.path.append({bundle!r})
INSTALLED_APPS = {apps!r}
SECRET_KEY = "only-for-tests"
"""

# One folder under two names: the second is found by its own name only.
TWO_CONFIGS = """
from django.apps import AppConfig


class Twin(AppConfig):
    name = "twin"


class Labelled(AppConfig):
    name = "labelled"
    label = "named"
    default = True
"""

CALLER = """
from appdb_router.detection import get_current_app


def where():
    return get_current_app()


def decorated(function):
    return lambda: function()


@decorated
def where_decorated():
    return get_current_app()
"""

QUESTIONS = """
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.apps import apps
from django.test import override_settings

from appdb_router import detection
from appdb_router.detection import get_current_app

import linked.code
import plain.code
import zipped.code
import outside.code

HERE = Path.cwd()

fact("models")(lambda: get_current_app("plain/models.py"))
fact("absolute")(lambda: get_current_app(str(HERE / "plain/models.py")))
fact("path_like")(lambda: get_current_app(HERE / "plain" / "models.py"))
fact("deep")(lambda: get_current_app("plain/a/b/c.py"))
fact("folder_itself")(lambda: get_current_app("plain"))
fact("label")(lambda: get_current_app("labelled/models.py"))
fact("inner_app")(lambda: get_current_app("plain/inner/models.py"))
fact("third_party")(lambda: get_current_app(sys.modules["django.contrib.auth"].__file__))
fact("outside")(lambda: get_current_app("manage.py"))
fact("root")(lambda: get_current_app("/"))
fact("empty")(lambda: get_current_app(""))
fact("same_beginning")(lambda: get_current_app("plainer/models.py"))
fact("up_and_down")(lambda: get_current_app("plain/../labelled/models.py"))
fact("up_and_out")(lambda: get_current_app("plain/../manage.py"))

fact("link_as_installed")(lambda: get_current_app("linked/models.py"))
fact("link_as_imported")(lambda: get_current_app(linked.code.__file__))
fact("link_resolved")(lambda: get_current_app(os.path.realpath("linked/models.py")))
fact("other_link_to_an_app")(lambda: get_current_app("link_to_plain/models.py"))
fact("file_that_is_a_link")(lambda: get_current_app("plain/stored.py"))
fact("twin")(lambda: get_current_app("twin/models.py"))
fact("twin_of")(lambda: get_current_app("labelled/models.py"))
fact("behind_a_link")(lambda: get_current_app("plain/to_labelled/../manage.py"))
fact("circle")(lambda: get_current_app("circle/models.py"))

fact("zip")(lambda: get_current_app(zipped.code.__file__))
fact("zip_is_one")(lambda: ".zip" + os.sep in zipped.code.__file__)
fact("zip_link")(lambda: get_current_app("link.zip/zipped/deep/models.py"))
fact("zip_outside")(lambda: get_current_app(HERE / "link.zip" / "other.py"))

fact("caller")(lambda: plain.code.where())
fact("caller_decorated")(lambda: plain.code.where_decorated())
fact("caller_in_zip")(lambda: zipped.code.where())
fact("caller_outside")(lambda: outside.code.where())
fact("caller_without_file")(lambda: get_current_app())

os.chdir("labelled")
fact("other_directory")(lambda: get_current_app("models.py"))
os.chdir(HERE)


@fact("threads")
def threads():
    detection._label_of.cache_clear()
    detection._labels_by_folder.cache_clear()
    paths = ["plain/models.py", "labelled/x.py", "manage.py", "plain/inner/x.py"] * 100
    with ThreadPoolExecutor(16) as pool:
        return sorted(set(map(str, pool.map(get_current_app, paths))))


@fact("cached")
def cached():
    get_current_app("plain/models.py")
    before = detection._label_of.cache_info().hits
    get_current_app("plain/models.py")
    return detection._label_of.cache_info().hits - before


@fact("other_setting_keeps_the_cache")
def other_setting():
    with override_settings(USE_TZ=False):
        return detection._label_of.cache_info().currsize > 0


@fact("changed_apps")
def changed_apps():
    with override_settings(INSTALLED_APPS=["labelled"]):
        inside = [get_current_app("plain/models.py"), get_current_app("labelled/x.py")]
    return [*inside, get_current_app("plain/models.py")]


@fact("registry_not_ready")
def registry_not_ready():
    detection._label_of.cache_clear()
    detection._labels_by_folder.cache_clear()
    apps.apps_ready = False
    try:
        get_current_app("plain/models.py")
    finally:
        apps.apps_ready = True


fact("after_not_ready")(lambda: get_current_app("plain/models.py"))
"""

EXPECTED: dict[str, Any] = {
    "models": "plain",
    "absolute": "plain",
    "path_like": "plain",
    "deep": "plain",
    "folder_itself": "plain",
    "label": "named",
    "inner_app": "inner",
    "third_party": "auth",
    "outside": None,
    "root": None,
    "empty": None,
    "same_beginning": None,
    "up_and_down": "named",
    "up_and_out": None,
    "link_as_installed": "linked",
    "link_as_imported": "linked",
    "link_resolved": "linked",
    "other_link_to_an_app": "plain",
    "file_that_is_a_link": "plain",
    "twin": "twin",
    "twin_of": "named",
    "behind_a_link": None,
    "circle": None,
    "zip": "zipped",
    "zip_is_one": True,
    "zip_link": "zipped",
    "zip_outside": None,
    "caller": "plain",
    "caller_decorated": "plain",
    "caller_in_zip": "zipped",
    "caller_outside": None,
    "caller_without_file": None,
    "other_directory": "named",
    "threads": ["None", "inner", "named", "plain"],
    "cached": 1,
    "other_setting_keeps_the_cache": True,
    "changed_apps": [None, "named", "plain"],
    "registry_not_ready": "AppRegistryNotReady: Apps aren't loaded yet.",
    "after_not_ready": "plain",
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("detection")
    elsewhere = root / "elsewhere"
    project = Project(root / "project")
    project.app("plain", files={"code.py": CALLER})
    project.app("plain.inner")
    project.app("labelled", files={"apps.py": TWO_CONFIGS})
    project.app("linked", path=elsewhere, files={"code.py": CALLER})
    project.write("outside/code.py", CALLER)
    for path, target in (
        ("linked", elsewhere / "linked"),
        ("twin", project.root / "labelled"),
        ("link_to_plain", project.root / "plain"),
        ("plain/stored.py", elsewhere / "store" / "0123"),
        ("plain/to_labelled", project.root / "labelled"),
        ("circle", project.root / "circle"),
        ("link.zip", elsewhere / "bundle.zip"),
    ):
        (project.root / path).symlink_to(target)
    project.settings = SETTINGS.format(
        bundle=str(bundle(project, elsewhere)),
        apps=[
            *("plain", "plain.inner", "labelled", "twin.apps.Twin", "linked", "zipped"),
            *("django.contrib.auth", "django.contrib.contenttypes"),
        ],
    )
    return ask(project, QUESTIONS)


def bundle(project: Project, folder: Path) -> Path:
    """Compile an app in one place, and put it into an archive in another."""
    project.write(folder / "unpacked" / "zipped" / "__init__.py", "")
    project.write(folder / "unpacked" / "zipped" / "code.py", CALLER)
    with zipfile.PyZipFile(str(folder / "bundle.zip"), "w") as archive:
        archive.writepy(str(folder / "unpacked" / "zipped"))
    return folder / "bundle.zip"


@pytest.mark.parametrize("name", EXPECTED)
def test_the_app_of(facts: dict[str, Any], name: str) -> None:
    assert facts[name] == EXPECTED[name]


def test_every_question_has_an_expected_answer(facts: dict[str, Any]) -> None:
    assert facts.keys() == EXPECTED.keys()
