"""The pages of the documentation: links, snippets, order."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.markdown import CHANGELOG, DOCS, README, block, blocks, broken_links, pages, read
from tests.support.project import REPOSITORY

STOCK_DJANGO = DOCS / "explanation" / "stock-django.md"

each_page = pytest.mark.parametrize(
    "page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY))
)


@each_page
def test_internal_links_resolve(page: Path) -> None:
    assert broken_links(page) == []


@each_page
def test_python_snippets_parse(page: Path) -> None:
    for item in blocks(read(page)):
        if item.language == "python":
            ast.parse(item.text)


@each_page
def test_every_fence_is_closed_and_seen(page: Path) -> None:
    text = read(page)
    assert len(re.findall(r"^```", text, re.M)) == 2 * len(blocks(text))


def test_the_documentation_includes_parts_that_exist() -> None:
    readme = read(README)
    included = {
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r'^:(?:start-after|end-before): "(.+)"$', read(page), re.M)
    }
    assert included == set(re.findall(r"^(<!-- (?:part|end) \w+ -->)$", readme, re.M))


def test_the_tests_named_in_the_documentation_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)(?:\[(\w+)\])?`", read(STOCK_DJANGO))
    assert len(named) > 15
    for path, name, case in named:
        source = read(REPOSITORY / "tests" / path)
        assert f"def {name}(" in source, f"{path}::{name}"
        assert f'"{case}"' in source or not case, f"{path}::{name}[{case}]"


def test_each_fact_about_migrations_has_its_row_and_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\|.*\|(.*)\|$", read(STOCK_DJANGO), re.M)
    assert [int(number) for number, _ in rows] == list(range(1, 12))
    assert all("::test_" in tests for _, tests in rows)


def test_unreleased_changes_stand_on_top() -> None:
    headings = re.findall(r"^## (.+)$", read(CHANGELOG), re.M)
    assert headings[0] == "[Unreleased]"


def test_the_two_commands_stand_first() -> None:
    shown = [item.text.strip() for item in blocks(read(README))]
    assert shown[:2] == ["python3 dev.py demo", "python3 dev.py test"]


def test_marked_blocks_are_unique() -> None:
    for mark in ("db_list", "json", "install", "settings", "commands", "env"):
        assert block(read(README), f"test {mark}")
