"""Discovery: labels, places, and whose ``database.py`` is run."""

from __future__ import annotations

import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appdb_router.database_module import DatabaseModule
from appdb_router.discovery import App, discover_apps
from appdb_router.exceptions import ConfigurationError, DatabaseModuleError
from tests.settings_time.conftest import Packages

OURS = "DATABASE_URL = 'sqlite:///x'\n"
CONFIG = (
    "from django.apps import AppConfig\nclass C(AppConfig):\n    name = {!r}\n    label = {!r}\n"
)


@pytest.fixture
def discover(tmp_path: Path, packages: Packages) -> Any:
    def discover(*entries: str, base_dir: Path = tmp_path, **arguments: Any) -> dict[str, App]:
        return discover_apps(entries, base_dir=base_dir, **arguments)

    return discover


def test_apps_by_label_in_their_order(packages: Packages, discover: Any) -> None:
    packages("zebra")
    packages("apps.driver", files={"apps.py": CONFIG.format("apps.driver", "cars")})
    packages("ant")

    apps = discover("zebra", "apps.driver", "django.contrib.auth", "ant")

    assert list(apps.items()) == [
        ("zebra", App("zebra", True, None, None)),
        ("cars", App("cars", True, None, None)),
        ("auth", App("auth", False, None, None)),
        ("ant", App("ant", True, None, None)),
    ]
    assert apps["cars"].variable == "CARS_DATABASE_URL"


def test_no_apps(discover: Any) -> None:
    assert discover() == {}


@pytest.mark.parametrize(
    ("database", "module"),
    [
        (None, None),
        ("", None),
        ("x = 1\n", None),
        (OURS, {"url": "sqlite:///x"}),
        ("CONN_MAX_AGE = 5\n", {"tuning": {"CONN_MAX_AGE": 5}}),
        ("from sqlalchemy_not_installed import x\nengine = x()\n", None),
        ("raise SystemExit\n", None),
    ],
)
def test_whose_database_module(
    packages: Packages, discover: Any, database: str | None, module: dict[str, Any] | None
) -> None:
    path = packages("driver", database) / "database.py"

    assert discover("driver")["driver"].module == (module and DatabaseModule(str(path), **module))


def test_the_package_is_that_of_the_app_config(packages: Packages, discover: Any) -> None:
    path = packages("real", OURS) / "database.py"
    packages("facade", "raise SystemExit", {"apps.py": CONFIG.format("real", "facade")})

    assert discover("facade")["facade"].module == DatabaseModule(str(path), "sqlite:///x")


def test_a_database_package(packages: Packages, discover: Any) -> None:
    path = packages("driver", files={"database/__init__.py": OURS}) / "database" / "__init__.py"

    assert discover("driver")["driver"].module == DatabaseModule(str(path), "sqlite:///x")


def test_a_database_package_without_init(packages: Packages, discover: Any) -> None:
    packages("driver", files={"database/other.py": OURS})

    assert discover("driver")["driver"] == App("driver", True, None, None)


def test_a_database_module_without_source(packages: Packages, discover: Any) -> None:
    (packages("driver") / "database.pyc").touch()

    assert discover("driver")["driver"] == App("driver", True, None, None)


def test_an_app_that_is_a_single_module(tmp_path: Path, packages: Packages, discover: Any) -> None:
    (tmp_path / "single.py").touch()

    assert discover("single") == {"single": App("single", True, None, None)}


def test_an_app_in_a_zip_file(
    tmp_path: Path, packages: Packages, discover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("zipped/__init__.py", "")
        packed.writestr("zipped/database.py", OURS)
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))

    app = discover("zipped")["zipped"]

    assert app.is_local
    assert app.module is not None
    assert app.module.url == "sqlite:///x"


@pytest.mark.parametrize(
    "folder", ["../elsewhere", ".venv/lib/python3/site-packages", "x/dist-packages"]
)
def test_outside_of_the_project(
    tmp_path: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    base_dir, place = tmp_path / "project", tmp_path / "project" / folder
    base_dir.mkdir()
    path = packages("other", OURS, root=place) / "database.py"
    monkeypatch.syspath_prepend(str(place))

    refused = discover_apps(["other"], base_dir=base_dir)
    trusted = discover_apps(["other"], base_dir=base_dir, trust=["other"])

    assert refused == {"other": App("other", False, None, str(path))}
    assert trusted == {"other": App("other", False, DatabaseModule(str(path), "sqlite:///x"), None)}


@pytest.mark.parametrize(
    "content", [b"engine = 1\n", b"x = (", b"from x import *\n", b"x = '\xff'\n", b"# coding: x\n"]
)
def test_what_else_lies_outside_is_nobodys_business(
    tmp_path: Path, packages: Packages, discover: Any, content: bytes
) -> None:
    (packages("other") / "database.py").write_bytes(content)

    apps = discover("other", base_dir=tmp_path / "project")

    assert apps == {"other": App("other", False, None, None)}


def test_base_dir_may_be_a_symlink(tmp_path: Path, packages: Packages, discover: Any) -> None:
    packages("driver", OURS)
    (tmp_path / "link").symlink_to(tmp_path)

    assert discover("driver", base_dir=tmp_path / "link")["driver"].is_local


def test_a_package_that_is_a_symlink_to_the_outside(
    tmp_path: Path, packages: Packages, discover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages("driver", OURS, root=tmp_path / "outside")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "driver").symlink_to(tmp_path / "outside" / "driver")

    monkeypatch.syspath_prepend(str(tmp_path / "project"))

    assert not discover("driver", base_dir=tmp_path / "project")["driver"].is_local


def test_appdb_router_itself_is_never_local(discover: Any) -> None:
    root = Path(__file__).resolve().parents[2]

    assert not discover("appdb_router", base_dir=root)["appdb_router"].is_local


def test_an_app_without_a_place(
    packages: Packages, discover: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = SimpleNamespace(
        find_spec=lambda name, *_: ModuleSpec(name, None) if name == "placeless" else None
    )
    monkeypatch.setattr("sys.meta_path", [finder])

    assert discover("placeless") == {"placeless": App("placeless", False, None, None)}


class Unreadable:
    """A loader of a file that is there, and that may not be read."""

    def get_source(self, name: str) -> str:
        raise ImportError("source not available through get_data()", name=name)


@pytest.mark.parametrize("kind", ["database", "apps"])
def test_a_file_that_cannot_be_read(
    discover: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    loader: Any = Unreadable()
    specs = {
        "driver": ModuleSpec("driver", None, is_package=True),
        f"driver.{kind}": ModuleSpec(f"driver.{kind}", loader),
    }
    specs["driver"].submodule_search_locations = ["nowhere"]
    finder = SimpleNamespace(find_spec=lambda name, *_: specs.get(name))
    monkeypatch.setattr("sys.meta_path", [finder])

    with pytest.raises(ConfigurationError) as raised:
        discover("driver", trust=["driver"])

    assert str(raised.value) == (
        f"The module 'driver.{kind}' cannot be read: source not available through get_data()."
    )


BAD = [
    ({"trust": "driver"}, "INSTALLED_APPS and trust are sequences of strings, not strings."),
    ({"trust": ["drivr"]}, "trust= names 'drivr', which is not installed. Did you mean 'driver'?"),
    ({"trust": ["xyz"]}, "trust= names 'xyz', which is not installed. The choices are 'driver'."),
    (
        {"labels": {"diver": "x"}},
        "labels= names 'diver', which is not installed. Did you mean 'driver'?",
    ),
    (
        {"labels": {"driver": "default"}},
        "'driver' has the label 'default', which is Django's name of the default database. Set"
        " another 'label' in its AppConfig.",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(
    packages: Packages, discover: Any, arguments: dict[str, Any], message: str
) -> None:
    packages("driver")

    with pytest.raises(ConfigurationError) as raised:
        discover("driver", **arguments)

    assert str(raised.value) == message


def test_installed_apps_is_no_string(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not strings"):
        discover_apps("driver", base_dir=tmp_path)


@pytest.mark.parametrize("label", ["auth", "Auth", "AUTH"])
def test_labels_that_share_a_variable(packages: Packages, discover: Any, label: str) -> None:
    packages("apps.auth", files={"apps.py": CONFIG.format("apps.auth", label)})

    with pytest.raises(ConfigurationError) as raised:
        discover("django.contrib.auth", "apps.auth")

    assert str(raised.value) == (
        "Application labels aren't unique: 'django.contrib.auth' has the label 'auth', and"
        f" 'apps.auth' has {label!r}. Set another 'label' in one of the AppConfigs."
    )


def test_a_config_of_a_package_that_is_not_there(packages: Packages, discover: Any) -> None:
    packages("driver", files={"apps.py": CONFIG.format("no_such.cars", "driver")})

    with pytest.raises(ConfigurationError) as raised:
        discover("driver")

    assert str(raised.value) == (
        "The AppConfig of 'driver' names the package 'no_such.cars', which is not on sys.path."
        " Correct its 'name'."
    )


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"x = (", "line 1: SyntaxError: '(' was never closed"),
        (b"from x import *", "line 1: 'import *' hides whether it names a database."),
        (b"OPTIONS = {}\n1 / 0", "line 2: ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_of_the_project_that_fails(
    packages: Packages, discover: Any, content: bytes, cause: str
) -> None:
    path = packages("driver") / "database.py"
    path.write_bytes(content)

    with pytest.raises(DatabaseModuleError) as raised:
        discover("driver")

    assert str(raised.value) == f"{path}, {cause}"


@pytest.mark.parametrize("content", [b"x = '\xff'", b"# coding: no-such-codec\n"])
def test_a_module_of_the_project_that_cannot_be_decoded(
    packages: Packages, discover: Any, content: bytes
) -> None:
    (packages("driver") / "database.py").write_bytes(content)

    with pytest.raises(DatabaseModuleError, match=r"driver.database(\.py)?\b.+cod"):
        discover("driver")
