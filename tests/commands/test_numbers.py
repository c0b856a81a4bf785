"""Numbers that commands take as options."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from appdb_router.management.numbers import byte_count


@pytest.mark.parametrize(
    ("text", "found"),
    [("1", 1), ("15000000", 15_000_000), ("9B", 9), ("15M", 15_000_000), ("20kB", 20_000),
     ("15 mb", 15_000_000), ("2GB", 2_000_000_000)],
)  # fmt: skip
def test_numbers_of_bytes(text: str, found: int) -> None:
    assert byte_count(text) == found


@pytest.mark.parametrize("text", ["", "0", "0kB", "-1", "1.5MB", "MB", "15TB", "15 MiB"])
def test_what_is_no_number_of_bytes(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a number of bytes, such as 15000000 or"):
        byte_count(text)
