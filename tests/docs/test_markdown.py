"""The checkers of the documentation find what they look for."""

from pathlib import Path

import pytest

from tests.docs.markdown import Block, block, blocks, broken_links, missing, part, section

TEXT = """\
# Title

Use `--app LABEL` and `pool`.

<!-- test it -->
```shell
run --check
```

## First

One.

### `inner`

Two.

<!-- part p -->
Three.
<!-- end p -->

## Second
"""


def test_a_name_is_mentioned_by_inline_code_that_begins_with_it() -> None:
    assert missing(["--app", "pool"], TEXT) == []


@pytest.mark.parametrize("name", ["--ap", "--application", "LABEL", "Use", "--check", "pool_size"])
def test_a_name_that_is_not_mentioned_is_found(name: str) -> None:
    assert missing(["--app", name], TEXT) == [name]


def test_a_longer_name_does_not_mention_a_shorter_one() -> None:
    assert missing(["pool", "app"], "`pool_size`, `app-name`, `app`") == ["pool"]


def test_blocks_have_the_comment_above_them() -> None:
    assert blocks(TEXT) == [Block("test it", "shell", "run --check\n")]
    assert block(TEXT, "test it") == "run --check\n"


def test_a_section_ends_at_the_next_heading_of_its_level() -> None:
    assert "Two." in section(TEXT, "First")
    assert "One." not in section(TEXT, "`inner`")
    assert "Second" not in section(TEXT, "First")
    with pytest.raises(AssertionError, match="no heading 'Third'"):
        section(TEXT, "Third")


def test_a_part_stands_between_its_comments() -> None:
    assert part(TEXT, "p") == "Three.\n"
    with pytest.raises(AssertionError, match="no part 'q'"):
        part(TEXT, "q")
    with pytest.raises(AssertionError, match="has no end"):
        part(TEXT.replace("end p", "end"), "p")


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` c\n\n[](#a-b-c) [](other.md#there) [](https://example.com/x)\n"
        "[](#nowhere) [](gone.md) [](other.md#gone)\n\n```\n[](in-code.md)\n```\n"
    )
    (tmp_path / "other.md").write_text("## There\n")
    assert broken_links(page) == ["#nowhere", "gone.md", "other.md#gone"]
