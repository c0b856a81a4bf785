"""The ``.env`` file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from appdb_router import read_env
from appdb_router.exceptions import EnvFileError

BOM = "\ufeff"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def read(path: Path, content: str | bytes, env: dict[str, str] | None = None) -> dict[str, str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    env = {} if env is None else env
    read_env(path, env)
    return env


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("", {}),
        ("\n\n", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  A=1  \n\tB=2", {"A": "1", "B": "2"}),
        ("a_1=x", {"a_1": "x"}),
        ("A=", {"A": ""}),
        ("A=b=c", {"A": "b=c"}),
        ("A='b c'", {"A": "b c"}),
        ('A="b c"', {"A": "b c"}),
        (r'A="b\"c"', {"A": 'b"c'}),
        ("export A=1", {"A": "1"}),
        ("# A=1\n#B=2\n   # C=3\nD=4", {"D": "4"}),
        (BOM + "A=1", {"A": "1"}),
        ("A=größe", {"A": "größe"}),
        (
            "DATABASE_URL=postgresql://u:p@h:5432/d?sslmode=require",
            {"DATABASE_URL": "postgresql://u:p@h:5432/d?sslmode=require"},
        ),
        ("DATABASE_URL='postgresql://u:p#w$x@h/d'", {"DATABASE_URL": "postgresql://u:p#w$x@h/d"}),
    ],
)
def test_good(path: Path, content: str, values: dict[str, str]) -> None:
    assert read(path, content) == values


@pytest.mark.parametrize("value", ["real", ""])
def test_the_environment_wins_also_when_it_is_empty(path: Path, value: str) -> None:
    assert read(path, "A=file\nB=file", {"A": value}) == {"A": value, "B": "file"}


def test_the_environment_of_the_process_is_the_default(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPDB_TEST_A", "real")
    monkeypatch.setenv("APPDB_TEST_B", "")
    monkeypatch.delenv("APPDB_TEST_B")  # so that what is read is removed again
    path.write_text("APPDB_TEST_A=file\nAPPDB_TEST_B=file")

    read_env(str(path))

    assert os.environ["APPDB_TEST_A"] == "real"
    assert os.environ["APPDB_TEST_B"] == "file"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("hush", 1),
        ("A=1\nhush hush=1", 2),
        ("A=1\n\n# comment\nA = hush", 4),
        ("=hush", 1),
        ("A-B=hush", 1),
        ("A: hush", 1),
        ("set A=hush", 1),
        ('A="first\nhush"', 2),
        ("A=1\x0bhush", 2),
    ],
)
def test_a_bad_line_is_named_by_its_number_alone(
    path: Path, content: str, line: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    env: dict[str, str] = {}

    with pytest.raises(EnvFileError) as raised:
        read(path, content, env)

    assert str(raised.value).startswith(
        f"Line {line} of {str(path)!r} is neither NAME=value, nor a comment, nor empty. Write"
        " NAME=value "
    )
    assert "hush" not in str(raised.value)
    assert env == {}
    assert "hush" not in caplog.text


def test_values_are_not_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    read(path, "A=hush\nB='hush\nC=hush'")

    assert "hush" not in caplog.text


def test_a_missing_file_is_no_error(path: Path) -> None:
    env: dict[str, str] = {}

    read_env(path, env)

    assert env == {}


def test_a_folder(path: Path) -> None:
    path.mkdir()

    with pytest.raises(EnvFileError) as raised:
        read_env(path, {})

    assert str(raised.value) == f"{str(path)!r} cannot be read: Is a directory."


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_without_the_right_to_read_it(path: Path) -> None:
    path.write_text("A=1")
    path.chmod(0)

    with pytest.raises(EnvFileError) as raised:
        read_env(path, {})

    assert str(raised.value) == f"{str(path)!r} cannot be read: Permission denied."


def test_a_symlink_to_itself(path: Path) -> None:
    path.symlink_to(path)

    with pytest.raises(EnvFileError, match="cannot be read: Too many levels of symbolic links"):
        read_env(path, {})


@pytest.mark.parametrize("content", [b"A=\xff", "A=1".encode("utf-16")])
def test_another_encoding(path: Path, content: bytes) -> None:
    with pytest.raises(EnvFileError) as raised:
        read(path, content)

    assert str(raised.value) == f"{str(path)!r} is not encoded in UTF-8."
