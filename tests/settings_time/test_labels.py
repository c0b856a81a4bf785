"""Labels read from the text of ``apps.py``, compared with what Django makes of the packages."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from appdb_router.exceptions import ConfigurationError
from appdb_router.labels import InstalledApp, LabelReader
from appdb_router.locate import Locator
from tests.settings_time.conftest import Packages
from tests.support.project import Project

HEAD = "from django.apps import AppConfig\n"


def config(class_name: str = "Config", base: str = "AppConfig", **attributes: object) -> str:
    lines = [f"    {name} = {value!r}\n" for name, value in attributes.items()]
    return f"class {class_name}({base}):\n" + ("".join(lines) or "    pass\n")


# Each entry of INSTALLED_APPS, with the files of its package.
CASES: dict[str, dict[str, str]] = {
    "no_apps": {},
    "nested.deep.no_apps": {},
    "one": {"apps.py": HEAD + config(name="one")},
    "labelled": {"apps.py": HEAD + config(name="labelled", label="other_label")},
    "label_first": {"apps.py": HEAD + config(label="first", name="label_first")},
    "nested.two": {"apps.py": HEAD + config(name="nested.two")},
    "module_of_other": {"apps.py": HEAD + config(name="nested.two", label="of_other")},
    "by_class.apps.Config": {"apps.py": HEAD + config(name="by_class", label="by_class_label")},
    "by_class_elsewhere.conf.MyConfig": {
        "conf.py": HEAD + config("MyConfig", name="by_class_elsewhere")
    },
    "by_class_in_init.MyConfig": {
        "__init__.py": HEAD + config("MyConfig", name="by_class_in_init", label="in_init")
    },
    "default_false": {"apps.py": HEAD + config(name="x", label="y", default=False)},
    "default_none": {"apps.py": HEAD + config(name="x", label="y", default=None)},
    "several_none_default": {
        "apps.py": HEAD
        + config("A", name="several_none_default", label="a_none")
        + config("B", name="several_none_default", label="b_none")
    },
    "several_one_default": {
        "apps.py": HEAD
        + config("A", name="several_one_default", label="a_one")
        + config("B", name="several_one_default", label="b_one", default=True)
    },
    "several_one_not_false": {
        "apps.py": HEAD
        + config("A", name="several_one_not_false", label="a_rest")
        + config("B", name="several_one_not_false", label="b_rest", default=False)
    },
    "several_defaults": {
        "apps.py": HEAD
        + config("A", name="several_defaults", default=True)
        + config("B", name="several_defaults", default=True)
    },
    "no_name": {"apps.py": HEAD + config()},
    "unrelated_classes": {"apps.py": HEAD + "class A: pass\nclass B(dict): pass\n"},
    "only_imports": {"apps.py": HEAD + "from pathlib import Path\nimport os\n"},
    "as_alias": {
        "apps.py": "from django.apps import AppConfig as Base\n"
        + config(base="Base", name="as_alias", label="aliased")
    },
    "by_attribute": {
        "apps.py": "import django.apps\n"
        + config(base="django.apps.AppConfig", name="by_attribute", label="by_attribute_label")
    },
    "by_module": {
        "apps.py": "from django import apps\n"
        + config(base="apps.AppConfig", name="by_module", label="by_module_label")
    },
    "by_module_alias": {
        "apps.py": "import django.apps as da\n"
        + config(base="da.AppConfig", name="by_module_alias", label="by_module_alias_label")
    },
    "by_config_module": {
        "apps.py": "from django.apps.config import AppConfig\n"
        + config(name="by_config_module", label="by_config_module_label")
    },
    "imported_config": {
        "apps.py": "from .conf import Conf\n",
        "conf.py": HEAD + config("Conf", name="imported_config", label="imported"),
    },
    "imported_under_two_names": {
        "apps.py": "from .conf import Conf, Conf as Same\n",
        "conf.py": HEAD + config("Conf", name="imported_under_two_names", label="twice"),
    },
    "imported_base": {
        "apps.py": "from .conf import Conf\n"
        + config(base="Conf", name="imported_base", default=True),
        "conf.py": HEAD + config("Conf", label="from_base"),
    },
    "imported_base_not_default": {
        "apps.py": "from .conf import Conf\n"
        + config(base="Conf", name="imported_base_not_default"),
        "conf.py": HEAD + config("Conf", label="from_base_2", default=False),
    },
    "re_exported": {
        "apps.py": "from .conf import AppConfig\n" + config(name="re_exported", label="re"),
        "conf.py": HEAD,
    },
    "absolute_import": {
        "apps.py": "from absolute_import.conf.inner import Conf\n",
        "conf/__init__.py": "",
        "conf/inner.py": HEAD + config("Conf", name="absolute_import", label="absolute"),
    },
    "relative_up.sub": {
        "apps.py": "from ..shared import Shared\n"
        + config(base="Shared", name="relative_up.sub", default=True),
        "../shared.py": HEAD + config("Shared", label="shared_up"),
    },
    "relative_module": {
        "apps.py": "from . import conf\n" + config(base="conf.Conf", name="relative_module"),
        "conf.py": HEAD + config("Conf", label="relative_module_label"),
    },
    "apps_package": {
        "apps/__init__.py": "from .one import One\n",
        "apps/one.py": HEAD + config("One", name="apps_package", label="in_package"),
    },
    "apps_package_class.apps.one.One": {
        "apps/__init__.py": "",
        "apps/one.py": HEAD + config("One", name="apps_package_class", label="in_package_2"),
    },
    "chain_in_module": {
        "apps.py": HEAD
        + config("Base", label="chained", default=False)
        + config("Middle", base="Base")
        + config(base="Middle", name="chain_in_module", default=True)
    },
    "mixin": {
        "apps.py": HEAD
        + "class Mixin:\n    label = 'from_mixin'\n"
        + config(base="Mixin, AppConfig", name="mixin")
    },
    "mixin_behind": {
        "apps.py": HEAD
        + "class Mixin:\n    label = 'mixed_in'\n    name = 'mixin_behind'\n"
        + config(base="AppConfig, Mixin")
    },
    "constants": {
        "apps.py": HEAD
        + "NAME = 'constants'\nLABEL: str = 'constant_label'\n"
        + "class Config(AppConfig):\n    name = NAME\n    label = LABEL\n"
    },
    "dunder_package": {
        "apps.py": HEAD + "class Config(AppConfig):\n    name = __package__\n    label = 'dunder'\n"
    },
    "annotated": {
        "apps.py": HEAD + "class Config(AppConfig):\n    name: str = 'annotated'\n    label: str\n"
    },
    "in_blocks": {
        "apps.py": "try:\n    from django.apps import AppConfig\nexcept ImportError:\n    raise\n"
        "if True:\n    class Config(AppConfig):\n        if True:\n            name = 'in_blocks'\n"
        "            label = 'blocked'\n"
    },
    "with_methods": {
        "apps.py": HEAD
        + "def helper():\n    label = 'no'\n    class Inner(AppConfig):\n        name = 'no'\n"
        + config(name="with_methods", label="with_methods_label")
        + "    def other(self):\n        label = 'neither'\n        self.label = 'nor'\n"
    },
    "types_only": {
        "apps.py": "from typing import TYPE_CHECKING\n"
        + HEAD
        + "if TYPE_CHECKING:\n    from labelled.apps import Config as Unused\nelse:\n    pass\n"
        + config(name="types_only", label="types_only_label")
    },
    "redefined": {
        "apps.py": HEAD
        + config("B", name="redefined", label="outer")
        + config("A", base="B")
        + "B = A\n"
    },
    "same_name_as_base": {
        "apps.py": "from .conf import Config\n"
        + config(base="Config", name="same_name_as_base", label="same_name"),
        "conf.py": HEAD + config(),
    },
    "namespace.app": {
        "/__init__": "none",
        "apps.py": HEAD + config(name="namespace.app", label="ns"),
    },
    "spaces.inner.app": {"/__init__": "none", "apps.py": HEAD + config(name="spaces.inner.app")},
    "zipped": {"/zip": "", "apps.py": HEAD + config(name="zipped", label="zipped_label")},
    "zipped_without": {"/zip": ""},
    "editable": {
        "/editable": "",
        "apps.py": HEAD + config(name="editable", label="editable_label"),
    },
    "encoded": {
        "apps.py": "# coding: latin-1\n"
        + HEAD
        + config(name="encoded", label="encoded_label", verbose_name="x")
    },
    "not_an_app_config.apps.Other": {"apps.py": "class Other: pass\n"},
    "no_such_class.apps.Confg": {"apps.py": HEAD + config(name="no_such_class")},
    "wrong_name.apps.Config": {"apps.py": HEAD + config(name="no_such_package")},
    "syntax_error": {"apps.py": "class\n"},
    "django.contrib.admin": {},
    "django.contrib.admin.apps.SimpleAdminConfig": {},
    "custom_admin.apps.Admin": {
        "apps.py": "from django.contrib.admin.apps import AdminConfig\n"
        + config("Admin", base="AdminConfig", default_site="django.contrib.admin.sites.AdminSite")
    },
    "custom_admin_false.apps.Admin": {
        "apps.py": "from django.contrib.admin.apps import AdminConfig\n"
        + config("Admin", base="AdminConfig", default=False)
    },
    "custom_admin_twice": {
        "apps.py": "from django.contrib.admin.apps import AdminConfig\n"
        + config("Admin", base="AdminConfig")
    },
    "custom_admin_simple": {
        "apps.py": "from django.contrib import admin\n"
        "from django.contrib.admin.apps import SimpleAdminConfig\n"
        + config("Admin", base="SimpleAdminConfig", default=True)
    },
    "django.contrib.auth": {},
    "django.contrib.contenttypes": {},
    "django.contrib.sessions": {},
    "django.contrib.messages": {},
    "django.contrib.staticfiles": {},
    "django.contrib.sites.apps.SitesConfig": {},
    "appdb_router": {},
    "nowhere": {},
    "nowhere.apps.Config": {},
    "one.nowhere": {},
    "one.apps.missing": {},
}
# What Django refuses only when it imports the named package; here it is refused by discovery.
LATER = {"wrong_name.apps.Config"}
FAIL = [
    "several_defaults",
    "custom_admin_twice",
    "no_name",
    "not_an_app_config.apps.Other",
    "no_such_class.apps.Confg",
    "syntax_error",
    "nowhere",
    "nowhere.apps.Config",
    "one.nowhere",
    "one.apps.missing",
]

FINDER = """
import sys
from importlib.machinery import ModuleSpec, PathFinder


class Finder:
    # As the finder of an editable install: it knows one package and where it lies.
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "editable":
            return PathFinder.find_spec(name, ["elsewhere"])
        return None


sys.meta_path.append(Finder)
sys.path.append("packed.zip")
"""
COMPARE = """
import json
from pathlib import Path

from appdb_router.exceptions import ConfigurationError
from appdb_router.labels import LabelReader
from appdb_router.locate import Locator


def attempt(function, entry):
    try:
        app = function(entry)
    except Exception as error:
        return [type(error).__name__]
    return [app.label, app.name]


entries = json.loads(Path("entries.json").read_text())
before = set(sys.modules)
reader = LabelReader(Locator(), {})
static = {entry: attempt(reader.read, entry) for entry in entries["all"]}
imported = sorted(set(sys.modules) - before)

import django
from django.apps import AppConfig, apps
from django.conf import settings

settings.configure(INSTALLED_APPS=entries["registry"], SECRET_KEY="x")
django.setup()
registry = [[config.label, config.name] for config in apps.get_app_configs()]
created = {entry: attempt(AppConfig.create, entry) for entry in entries["all"]}
print(json.dumps([static, imported, created, registry]))
"""


def write_case(project: Project, entry: str, files: Mapping[str, str]) -> None:
    """Write the package of a case; a file with a slash in front says how it is installed."""
    if entry.startswith("django.") or entry in {"appdb_router", "nowhere"}:
        return
    name = entry
    while name.rpartition(".")[2][0].isupper() or name.endswith((".apps", ".conf", ".apps.one")):
        name = name.rpartition(".")[0]
    if "/zip" in files:
        with zipfile.ZipFile(project.root / "packed.zip", "a") as packed:
            for path, text in {"__init__.py": "", **files}.items():
                packed.writestr(f"{name}/{path}", text)
        return
    root = project.root / "elsewhere" if "/editable" in files else project.root
    folder = root.joinpath(*name.split("."))
    if "/__init__" not in files:
        for parent in (folder, *folder.parents[: name.count(".")]):
            project.write(parent / "__init__.py", "")
    for path, text in files.items():
        if not path.startswith("/"):
            project.write(folder / path, text)


Compared = tuple[dict[str, list[str]], list[str], dict[str, list[str]], list[list[str]]]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """What the text and what Django say of every case, asked in a process of its own."""
    project = Project(tmp_path_factory.mktemp("labels"))
    missing = {"one.nowhere", "one.apps.missing", "nowhere.apps.Config"}
    for entry, files in CASES.items():
        if entry not in missing:
            write_case(project, entry, files)
    # Labels are unique in the registry, so it takes one admin; the module_of_other is a second
    # config of one package.
    skipped = {*FAIL, *LATER, "module_of_other", "appdb_router"}
    registry = [
        entry
        for entry in CASES
        if entry not in skipped and ("admin" not in entry or entry == "custom_admin.apps.Admin")
    ]
    registry.remove("nested.deep.no_apps")
    project.write("entries.json", json.dumps({"all": list(CASES), "registry": registry}))
    result = project.python(FINDER + COMPARE, setup=False)
    static, imported, created, labels = json.loads(result.stdout)
    assert [static[entry] for entry in registry] == labels
    return static, imported, created, labels


def test_the_registry_has_the_labels_that_were_read(compared: Compared) -> None:
    assert len(compared[3]) > 40


@pytest.mark.parametrize("entry", [entry for entry in CASES if entry not in {*FAIL, *LATER}])
def test_the_text_says_what_django_says(compared: Compared, entry: str) -> None:
    static, _, created, _ = compared

    assert static[entry] == created[entry]
    assert len(static[entry]) == 2


@pytest.mark.parametrize("entry", FAIL)
def test_what_django_refuses_is_refused(compared: Compared, entry: str) -> None:
    static, _, created, _ = compared

    assert len(created[entry]) == 1
    assert static[entry] == ["ConfigurationError"]


def test_nothing_of_the_apps_is_imported(compared: Compared) -> None:
    # Codecs are for reading the files.
    assert [name for name in compared[1] if not name.startswith("encodings.")] == []


@pytest.fixture
def read(packages: Packages) -> Any:
    def read(entry: str, known: Mapping[str, str] | None = None, **files: str) -> InstalledApp:
        packages("shop", files={f"{name}.py": text for name, text in files.items()})
        return LabelReader(Locator(), known or {}).read(entry)

    return read


COMPUTED = (
    "The AppConfig of 'shop' computes its '{}' (line {}), so it cannot be known"
    " while settings load. Write a string, or pass labels={{'shop': '...'}} to build_databases() if"
    " it is the label."
)


@pytest.mark.parametrize(
    ("entry", "apps", "message"),
    [
        (
            "nowhere",
            "",
            "INSTALLED_APPS names 'nowhere', and no such package or AppConfig is on sys.path.",
        ),
        (
            "my-app",
            "",
            "INSTALLED_APPS names 'my-app', and no such package or AppConfig is on sys.path.",
        ),
        ("", "", "INSTALLED_APPS names '', and no such package or AppConfig is on sys.path."),
        (
            "nowhere.apps.Config",
            "",
            "INSTALLED_APPS names 'nowhere.apps.Config', and no such"
            " package or AppConfig is on sys.path.",
        ),
        (
            "shop.apps.Confg",
            HEAD + config(name="shop"),
            "INSTALLED_APPS names 'shop.apps.Confg',"
            " but 'shop.apps' has no AppConfig 'Confg'. Did you mean 'Config'?",
        ),
        (
            "shop.apps.Nothing",
            HEAD + config(name="shop"),
            "INSTALLED_APPS names"
            " 'shop.apps.Nothing', but 'shop.apps' has no AppConfig 'Nothing'. The classes are"
            " 'Config'.",
        ),
        (
            "shop.apps.Shop",
            "class Shop: pass",
            "INSTALLED_APPS names 'shop.apps.Shop', but"
            " 'shop.apps' has no AppConfig 'Shop'. Did you mean 'Shop'?",
        ),
        (
            "shop",
            HEAD + config(),
            "The AppConfig of 'shop' in INSTALLED_APPS has no 'name'. Set it"
            " to the dotted path of the app's package.",
        ),
        (
            "shop",
            HEAD + config("A", name="shop", default=True) + config("B", name="shop", default=True),
            "shop.apps declares more than one default AppConfig.",
        ),
        (
            "shop",
            HEAD + "class C(AppConfig):\n    name = 'shop'\n    label = 'a' + 'b'\n",
            COMPUTED.format("label", 4),
        ),
        (
            "shop",
            HEAD + "class C(AppConfig):\n    name = __name__.rpartition('.')[0]\n",
            COMPUTED.format("name", 3),
        ),
        (
            "shop",
            HEAD + "class C(AppConfig):\n    name, label = 'shop', 'x'\n",
            COMPUTED.format("name", 3),
        ),
        (
            "shop",
            HEAD + "X = f()\nclass C(AppConfig):\n    name = 'shop'\n    label = X\n",
            COMPUTED.format("label", 2),
        ),
        (
            "shop",
            HEAD + "class C(AppConfig):\n    name = 'shop'\n    label = 5\n",
            COMPUTED.format("label", 4),
        ),
        (
            "shop",
            HEAD + "\nclass C(AppConfig)\n",
            "The module 'shop.apps' cannot be read: expected ':' (apps.py, line 3).",
        ),
    ],
)
def test_bad(read: Any, entry: str, apps: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(entry, apps=apps)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("apps", "label"),
    [
        (CASES["annotated"]["apps.py"].replace("annotated", "shop"), "shop"),
        (CASES["types_only"]["apps.py"].replace("'types_only'", "'shop'"), "types_only_label"),
        (HEAD + config(base="make_mixin(), AppConfig", name="shop", label="made"), "made"),
        ("import typing\nif typing.TYPE_CHECKING:\n    x: int = 1\n", "shop"),
    ],
)
def test_good(read: Any, apps: str, label: str) -> None:
    assert read("shop", apps=apps) == InstalledApp("shop", label, "shop")


PLAIN = [
    config(name="app"),
    config(name="app", label="other"),
    config(label="other", name="app"),
    config("AppConfig", name="app", label="own_name"),
    config(name="app", label="it's"),
    config(name="app", default=True, default_auto_field="django.db.models.BigAutoField"),
    config(name="app", label="not_this", default=False),
    config(name="app", label="first") + "    label = 'second'\n",
    config(name="app") + "\n\n    label = 'far'",
    config(verbose_name="My app", name="app", name_of="x"),
    config(name=""),
]


@pytest.mark.parametrize("apps", PLAIN)
def test_the_usual_apps_module_is_read_by_its_text_as_by_its_tree(read: Any, apps: str) -> None:
    """A comment is enough for the syntax tree to be asked."""
    by_text = attempt(read, HEAD + "\n\n" + apps)
    by_tree = attempt(read, HEAD + "# As a tree.\n" + apps)

    assert by_text == by_tree


def attempt(read: Any, apps: str) -> object:
    try:
        return read("shop", apps=apps)
    except ConfigurationError as error:
        return str(error)


def test_labels_is_the_way_out_for_a_computed_label(read: Any) -> None:
    apps = HEAD + "class C(AppConfig):\n    name = 'shop'\n    label = f()\n"

    assert read("shop", {"shop": "known"}, apps=apps) == InstalledApp("shop", "known", "shop")


def test_labels_also_counts_for_an_app_without_config(read: Any) -> None:
    assert read("shop", {"shop": "known"}) == InstalledApp("shop", "known", "shop")


def test_labels_does_not_help_against_a_computed_name(read: Any) -> None:
    apps = HEAD + "class C(AppConfig):\n    name = f()\n"

    with pytest.raises(ConfigurationError, match="computes its 'name'"):
        read("shop", {"shop": "known"}, apps=apps)


@pytest.mark.parametrize(
    "apps",
    [
        # A circle of names within a module, and one of modules.
        HEAD + config("B") + config("A", base="B") + config("B", base="A", name="shop"),
        "from .other import Base\n" + config(base="Base", name="shop"),
        "from .apps import Config\n",
    ],
)
def test_circles_come_to_an_end(read: Any, apps: str) -> None:
    app = read("shop", apps=apps, other="from .apps import Base\n")

    assert app == InstalledApp("shop", "shop", "shop")


@pytest.mark.parametrize("content", [b"x = '\xff'", b"# coding: no-such-codec\n"])
def test_an_apps_module_that_cannot_be_decoded(packages: Packages, content: bytes) -> None:
    (packages("shop") / "apps.py").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"The module 'shop\.apps' cannot be read: "):
        LabelReader(Locator(), {}).read("shop")


def test_each_module_is_read_once(packages: Packages) -> None:
    folder = packages("shop", files={"apps.py": HEAD + config("A", name="shop", label="x")})
    reader = LabelReader(Locator(), {})

    first = reader.read("shop")
    (folder / "apps.py").unlink()

    assert reader.read("shop") == first


def test_a_module_without_source_counts_as_absent(packages: Packages) -> None:
    folder = packages("shop")
    (folder / "apps.pyc").touch()

    assert LabelReader(Locator(), {}).read("shop").label == "shop"


def test_a_single_module_is_an_app(tmp_path: Path, packages: Packages) -> None:
    (tmp_path / "single.py").touch()

    assert LabelReader(Locator(), {}).read("single") == InstalledApp("single", "single", "single")
