"""An app's ``database.py``: what is ours, what it says, and every way in which it may fail."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appdb_router.database_module import (
    DATABASE_KEYS,
    TUNING_TYPES,
    DatabaseModule,
    names_in,
    read_database_module,
)
from appdb_router.exceptions import DatabaseModuleError
from tests.support.project import Project

PATH = "/srv/project/driver/database.py"
LITE = "django.db.backends.sqlite3"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", set()),
        ("DATABASE_URL = 'x'", {"DATABASE_URL"}),
        ("DATABASE_URL: str = 'x'", {"DATABASE_URL"}),
        ("DATABASE = {}\nENGINE_OPTIONS = {}", {"DATABASE", "ENGINE_OPTIONS"}),
        ("DATABASE_URL = DATABASE = None", {"DATABASE_URL", "DATABASE"}),
        ("DATABASE_URL, OPTIONS = f()", {"DATABASE_URL", "OPTIONS"}),
        ("(_, [DATABASE_URL, *_]) = f()", {"DATABASE_URL"}),
        ("if DATABASE_URL := f(): pass", {"DATABASE_URL"}),
        ("for DATABASE_URL in []: pass", {"DATABASE_URL"}),
        ("with f() as DATABASE_URL: pass", {"DATABASE_URL"}),
        ("if True:\n    DATABASE_URL = 'x'", {"DATABASE_URL"}),
        ("try:\n    pass\nexcept E:\n    DATABASE_URL = 'x'", {"DATABASE_URL"}),
        ("try:\n    pass\nfinally:\n    OPTIONS = 'x'", {"OPTIONS"}),
        ("match x:\n    case 1:\n        TEST = {}", {"TEST"}),
        ("from conf import DATABASE_URL", {"DATABASE_URL"}),
        ("if x:\n    from conf import url as DATABASE_URL", {"DATABASE_URL"}),
        ("import conf as OPTIONS", {"OPTIONS"}),
        ("from conf import DATABASE_URL as url", set()),
        # Somebody else's: SQLAlchemy, a pool, a repository.
        ("engine = create_engine('x')\nSession = sessionmaker(engine)\nBase = f()", set()),
        ("SQLALCHEMY_DATABASE_URL = 'x'", set()),
        ("def get(DATABASE_URL):\n    OPTIONS = 1", set()),
        ("async def get():\n    DATABASE_URL = 1", set()),
        ("class Settings:\n    DATABASE_URL = 'x'\n    OPTIONS: dict = {}", set()),
        ("f = lambda: (DATABASE_URL := 1)", set()),
        ("x.DATABASE_URL = 1\nx['DATABASE'] = 2", set()),
        ("print(DATABASE_URL)", set()),
    ],
)
def test_names_in(text: str, names: set[str]) -> None:
    assert names_in(PATH, text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", f"{PATH}, line 1: SyntaxError: '(' was never closed"),
        ("\n\nDATABASE_URL = = 1", f"{PATH}, line 3: SyntaxError: invalid syntax"),
        ("x = '\0'", f"{PATH}: SyntaxError: source code string cannot contain null bytes"),
        ("\nfrom x import *", f"{PATH}, line 2: 'import *' hides whether it names a database."),
    ],
)
def test_names_in_cannot_tell(text: str, message: str) -> None:
    with pytest.raises(DatabaseModuleError) as raised:
        names_in(PATH, text)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DATABASE_URL = 'x'", {"url": "x"}),
        ("import os\nDATABASE_URL = os.environ.get('APPDB_NOT_SET')", {}),
        ("DATABASE_URL = ''", {}),
        ("DATABASE_URL = None\nDATABASE = {'ENGINE': 'e'}", {"database": {"ENGINE": "e"}}),
        ("from os import sep as DATABASE_URL", {"url": "/"}),
        ("if False:\n    DATABASE_URL = 'x'", {}),
        ("DATABASE_URL = __file__", {"url": PATH}),
        ("DATABASE_URL = __name__", {"url": "database"}),
        (
            "ENGINE_OPTIONS = {'pool_size': 5}\nOPTIONS = {}\nTEST = {}\nENGINE = 'e'\n"
            "CONN_MAX_AGE = 5\nCONN_HEALTH_CHECKS = True\nDISABLE_SERVER_SIDE_CURSORS = True\n"
            "ATOMIC_REQUESTS = True\nAUTOCOMMIT = False\nTIME_ZONE = 'UTC'\nOTHER = 1",
            {
                "tuning": {
                    "ENGINE_OPTIONS": {"pool_size": 5},
                    "OPTIONS": {},
                    "TEST": {},
                    "ENGINE": "e",
                    "CONN_MAX_AGE": 5,
                    "CONN_HEALTH_CHECKS": True,
                    "DISABLE_SERVER_SIDE_CURSORS": True,
                    "ATOMIC_REQUESTS": True,
                    "AUTOCOMMIT": False,
                    "TIME_ZONE": "UTC",
                }
            },
        ),
        (
            "CONN_MAX_AGE = TIME_ZONE = None",
            {"tuning": {"CONN_MAX_AGE": None, "TIME_ZONE": None}},
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'NAME': 'n', 'USER': 'u', 'PASSWORD': 'p', 'HOST': 'h',"
            " 'PORT': 1, 'OPTIONS': {}}\nCONN_MAX_AGE = 1",
            {
                "database": {
                    "ENGINE": "e",
                    "NAME": "n",
                    "USER": "u",
                    "PASSWORD": "p",
                    "HOST": "h",
                    "PORT": 1,
                    "OPTIONS": {},
                },
                "tuning": {"CONN_MAX_AGE": 1},
            },
        ),
        ("from __future__ import annotations\nDATABASE_URL: str = 'x'", {"url": "x"}),
    ],
)
def test_good(text: str, expected: dict[str, Any]) -> None:
    assert read_database_module(PATH, text) == DatabaseModule(PATH, **expected)


RELATIVE = (
    "it is run without its package, so a relative import cannot work. Import by the absolute name,"
    " or write the values here."
)
SETTINGS = (
    "django.conf.settings is not ready: it is being built from this file. Read os.environ, or write"
    " the values here."
)
KEYS = (
    "'ATOMIC_REQUESTS', 'AUTOCOMMIT', 'CONN_HEALTH_CHECKS', 'CONN_MAX_AGE',"
    " 'DISABLE_SERVER_SIDE_CURSORS', 'ENGINE', 'HOST', 'NAME', 'OPTIONS', 'PASSWORD', 'PORT',"
    " 'TEST', 'TIME_ZONE', 'USER'"
)


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("x = (", 1, "SyntaxError: '(' was never closed"),
        ("\nreturn 1", 2, "SyntaxError: 'return' outside function"),
        ("import appdb_no_such", 1, "ModuleNotFoundError: No module named 'appdb_no_such'"),
        (
            "\nfrom json import nothing_like_it",
            2,
            "ImportError: cannot import name 'nothing_like_it' from 'json'",
        ),
        ("import os\nDATABASE_URL = os.environ['APPDB_NOT_SET']", 2, "KeyError: 'APPDB_NOT_SET'"),
        ("def f():\n    1 / 0\nf()", 2, "ZeroDivisionError: division by zero"),
        ("import json\n\njson.loads('{')", 3, "JSONDecodeError: "),
        ("exec('1 +')", 1, "SyntaxError: "),
        ("import sys\nsys.exit()", 2, "SystemExit: "),
        ("def f(): f()\nf()", 1, "RecursionError: "),
        # Secrets in the text of the exception.
        (
            "raise ValueError('bad: postgresql://u:hush@h/d!')",
            1,
            "ValueError: bad: postgresql://***",
        ),
        (
            "raise ValueError('postgresql://u:hu sh\"\\n\\'hush@h/d hush')",
            1,
            "ValueError: postgresql://***",
        ),
        ("raise KeyError('postgresql://h/d?password=hush')", 1, "KeyError: 'postgresql://***"),
        # What cannot work while settings load.
        ("from . import conf", 1, RELATIVE),
        ("from .conf import DATABASE_URL", 1, RELATIVE),
        ("def f():\n    from ..conf import x", 2, RELATIVE),
        ("from django.conf import settings", 1, SETTINGS),
        ("\nimport django.conf", 2, SETTINGS),
        ("import os, django.conf as c", 1, SETTINGS),
        ("from django import conf", 1, SETTINGS),
        ("def f():\n    from django.conf import settings", 2, SETTINGS),
        # Types.
        ("DATABASE_URL = 1", 0, "DATABASE_URL is of type int, and must be str or None."),
        ("DATABASE = 'x'", 0, "DATABASE is of type str, and must be dict."),
        ("DATABASE = None", 0, "DATABASE is of type NoneType, and must be dict."),
        ("OPTIONS = []", 0, "OPTIONS is of type list, and must be dict."),
        ("ENGINE_OPTIONS = 5", 0, "ENGINE_OPTIONS is of type int, and must be dict."),
        ("TEST = 'x'", 0, "TEST is of type str, and must be dict."),
        ("ENGINE = 1", 0, "ENGINE is of type int, and must be str."),
        ("CONN_MAX_AGE = '60'", 0, "CONN_MAX_AGE is of type str, and must be int or None."),
        ("CONN_MAX_AGE = True", 0, "CONN_MAX_AGE is of type bool, and must be int or None."),
        ("CONN_HEALTH_CHECKS = 1", 0, "CONN_HEALTH_CHECKS is of type int, and must be bool."),
        ("ATOMIC_REQUESTS = 'x'", 0, "ATOMIC_REQUESTS is of type str, and must be bool."),
        ("TIME_ZONE = 1", 0, "TIME_ZONE is of type int, and must be str or None."),
        ("import json as OPTIONS", 0, "OPTIONS is of type module, and must be dict."),
        # DATABASE.
        (
            "DATABASE = {}",
            0,
            "DATABASE needs an 'ENGINE', such as 'django.db.backends.postgresql'.",
        ),
        (
            "DATABASE = {'ENGINE': 1}",
            0,
            "DATABASE needs an 'ENGINE', such as 'django.db.backends.postgresql'.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'NAMES': 1, 5: 6}",
            0,
            f"DATABASE has no key '5', 'NAMES'. The keys are {KEYS}.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'ENGINE_OPTIONS': {}}",
            0,
            f"DATABASE has no key 'ENGINE_OPTIONS'. The keys are {KEYS}.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'OPTIONS': None}",
            0,
            "OPTIONS is of type NoneType, and must be dict.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'CONN_MAX_AGE': '9'}",
            0,
            "CONN_MAX_AGE is of type str, and must be int or None.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'NAME': ['x']}",
            0,
            "NAME is of type list, and must be str or Path or None.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'HOST': 5}",
            0,
            "HOST is of type int, and must be str or None.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'PORT': 1.5}",
            0,
            "PORT is of type float, and must be str or int or None.",
        ),
        (
            "DATABASE = {'ENGINE': 'e', 'OPTIONS': {}}\nOPTIONS = {}\nENGINE = 'x'",
            0,
            "'ENGINE', 'OPTIONS' stand in DATABASE and beside it. Keep one.",
        ),
        (
            "DATABASE = {'ENGINE': 'e'}\nDATABASE_URL = 'x'",
            0,
            "DATABASE_URL and DATABASE exclude each other. Keep one.",
        ),
    ],
)
def test_bad(text: str, line: int, cause: str) -> None:
    with pytest.raises(DatabaseModuleError) as raised:
        read_database_module(PATH, text)

    where = f"{PATH}, line {line}" if line else PATH
    message = str(raised.value)
    assert message.startswith(f"{where}: {cause}")
    assert cause.endswith(("Error: ", "Exit: ", "'json'")) or message == f"{where}: {cause}"
    assert "hush" not in message
    assert raised.value.__suppress_context__


def test_it_is_run_by_its_location() -> None:
    before = set(sys.modules)

    read_database_module(PATH, "import sys\nassert 'driver' not in sys.modules\nOPTIONS = {}")

    assert set(sys.modules) == before


def test_the_type_of_every_key_is_known() -> None:
    connection = {"NAME", "USER", "PASSWORD", "HOST", "PORT"}

    assert connection | TUNING_TYPES.keys() - {"ENGINE_OPTIONS"} == DATABASE_KEYS


def test_an_error_somewhere_else_has_the_line_that_led_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "appdb_failing.py").write_text("\n\n\nraise OSError('gone')")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(DatabaseModuleError) as raised:
        read_database_module(PATH, "\nimport appdb_failing")

    assert str(raised.value) == f"{PATH}, line 2: OSError: gone"


# What happens with django.conf.settings needs a process that is just loading them.

LOADED = (
    "something that it imports reads django.conf.settings, which is being built from this file and"
    " so is incomplete for the whole process. Import less here."
)


def test_settings_that_are_loaded_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = SimpleNamespace(settings=SimpleNamespace(configured=False))
    monkeypatch.setitem(sys.modules, "django.conf", conf)

    with pytest.raises(DatabaseModuleError) as raised:
        read_database_module(PATH, "import sys\nsys.modules['django.conf'].settings.configured = 1")

    assert str(raised.value) == f"{PATH}: {LOADED}"


def failure(project: Project) -> str:
    """Return the error of a project that does not start, without where it was raised."""
    result = project.python("", check=False)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert "During handling" not in result.stderr
    return lines[-1]


def test_settings_through_another_module(project: Project) -> None:
    project.app("driver", files={"database.py": "from helper import X\n\nDATABASE_URL = X\n"})
    project.write(
        "helper.py",
        "from django.conf import settings\n\nX = 'sqlite:///x' if settings.USE_TZ else ''\n",
    )

    assert failure(project) == (
        "appdb_router.exceptions.DatabaseModuleError:"
        f" {project.root / 'driver' / 'database.py'}: {LOADED}"
    )


def test_a_module_that_only_imports_settings_is_fine(project: Project) -> None:
    project.app("driver", files={"database.py": "from helper import X\n\nDATABASE_URL = X\n"})
    project.write("helper.py", "from django.conf import settings\n\nX = 'sqlite:///x.sqlite3'\n")

    result = project.python(
        "from django.conf import settings\nprint(settings.DATABASES['driver']['NAME'])"
    )

    assert result.stdout == f"{project.root / 'x.sqlite3'}\n"


def test_a_models_module(project: Project) -> None:
    package = project.app(
        "driver",
        models="""
            class Trip(models.Model):
                pass
        """,
        files={"database.py": "from driver.models import Trip\n\nDATABASE_URL = 'x'\n"},
    )

    assert failure(project) == (
        "appdb_router.exceptions.DatabaseModuleError:"
        f" {package / 'database.py'}, line 1: AppRegistryNotReady: Apps aren't loaded yet."
    )


def test_settings_that_were_configured_before_do_no_harm(project: Project) -> None:
    project.app("driver", files={"database.py": "DATABASE_URL = 'sqlite:///x'\n"})

    result = project.python(
        """
        from django.conf import settings
        settings.configure()
        from appdb_router import build_databases
        print(sorted(build_databases(["driver"], base_dir=".", default="sqlite://", env={})))
        """,
        setup=False,
    )

    assert result.stdout == "['default', 'driver']\n"
