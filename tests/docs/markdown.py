"""Reading Markdown as far as the tests of the documentation need it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import REPOSITORY

README = REPOSITORY / "README.md"
CHANGELOG = REPOSITORY / "CHANGELOG.md"
DOCS = REPOSITORY / "docs"

_FENCE = re.compile(
    r"^(?:<!-- (?P<mark>[^>]+) -->\n)?```(?P<language>.*)\n(?P<text>[^`]*)^```$", re.M
)
_HEADING = re.compile(r"^(#+) (.+)$", re.M)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `mark` is the text of the comment right above it."""

    mark: str
    language: str
    text: str


def pages() -> list[Path]:
    """Return every page of the documentation, README and CHANGELOG included."""
    return [README, CHANGELOG, *sorted(DOCS.rglob("*.md"))]


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    return [Block(m["mark"] or "", m["language"], m["text"]) for m in _FENCE.finditer(text)]


def block(text: str, mark: str) -> str:
    """Return the text of the one block under the comment `mark`."""
    [found] = [item.text for item in blocks(text) if item.mark == mark]
    return found


def part(text: str, name: str) -> str:
    """Return what stands between the comments that open and close the part `name`."""
    _, opening, rest = text.partition(f"<!-- part {name} -->\n")
    found, closing, _ = rest.partition(f"<!-- end {name} -->\n")
    assert opening, f"there is no part {name!r}"
    assert closing, f"the part {name!r} has no end"
    return found


def section(text: str, title: str) -> str:
    """Return the text below the heading `title`, up to the next heading of its level or above."""
    prose = without_blocks(text)
    for heading in _HEADING.finditer(prose):
        if heading[2] == title:
            rest = prose[heading.end() :]
            end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.M)
            return rest[: end.start()] if end else rest
    raise AssertionError(f"there is no heading {title!r}")


def without_blocks(text: str) -> str:
    return _FENCE.sub("", text)


def missing(names: Iterable[str], text: str) -> list[str]:
    """Return the names that no inline code of `text` begins with."""
    spans = _SPAN.findall(without_blocks(text))
    return sorted(
        name
        for name in set(names)
        if not any(re.match(re.escape(name) + r"(?![\w-])", span) for span in spans)
    )


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings."""
    titles = (title for _, title in _HEADING.findall(without_blocks(text)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Return the internal links of a page that lead nowhere."""
    return [link for link in _LINK.findall(without_blocks(read(page))) if not _leads(page, link)]


def _leads(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in anchors(read(target)))
