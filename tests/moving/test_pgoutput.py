"""Messages of the plug-in as its protocol has them, byte for byte."""

from __future__ import annotations

from struct import pack

import pytest

from appdb_router.services.moving.pgoutput import ChangeReader, RawKey

ITEM, PAIR, OTHER = 16400, 16410, 16420
KEYS = {ITEM: ("id",), PAIR: ("right", "left")}

Value = str | None | bool


def relation(number: int, *columns: str) -> bytes:
    described = b"".join(b"\1" + name.encode() + b"\0" + pack(">ii", 25, -1) for name in columns)
    head = pack(">I", number) + b"public\0" + b"shop_item\0" + b"d"
    return b"R" + head + pack(">H", len(columns)) + described


def row(*values: Value) -> bytes:
    """`None` is NULL, and `True` what was not changed."""
    found = b""
    for value in values:
        if isinstance(value, str):
            text = value.encode()
            found += b"t" + pack(">I", len(text)) + text
        else:
            found += b"u" if value else b"n"
    return pack(">H", len(values)) + found


def change(kind: bytes, number: int, *parts: bytes) -> bytes:
    return kind + pack(">I", number) + b"".join(parts)


def read(*messages: bytes) -> list[tuple[int, RawKey | None]]:
    reader = ChangeReader(KEYS)
    return [found for message in messages for found in reader.read(message)]


DESCRIBED = (
    relation(ITEM, "slug", "id", "text"),
    relation(PAIR, "left", "right"),
    relation(OTHER, "name"),
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (change(b"I", ITEM, b"N", row(None, "1", "é")), [(ITEM, ("1",))]),
        (change(b"I", PAIR, b"N", row("5", "")), [(PAIR, ("", "5"))]),
        (change(b"U", ITEM, b"N", row("a", "1", True)), [(ITEM, ("1",))]),
        (
            change(b"U", ITEM, b"K", row(None, "1", None), b"N", row("a", "2", None)),
            [(ITEM, ("1",)), (ITEM, ("2",))],
        ),
        (
            change(b"U", PAIR, b"O", row("5", "long"), b"N", row("6", True)),
            [(PAIR, ("long", "5")), (PAIR, ("long", "6"))],
        ),
        (change(b"D", ITEM, b"K", row(None, "1", None)), [(ITEM, ("1",))]),
        (change(b"D", ITEM, b"O", row("a", "1", "t")), [(ITEM, ("1",))]),
        # A part of the key that nobody sends: any row may be meant.
        (change(b"U", PAIR, b"N", row("6", True)), [(PAIR, None)]),
        (
            b"T" + pack(">I", 3) + b"\1" + pack(">III", ITEM, OTHER, PAIR),
            [(ITEM, None), (PAIR, None)],
        ),
        (change(b"I", OTHER, b"N", row("x")), []),
        (b"B" + pack(">QQI", 1, 2, 3), []),
        (b"C" + pack(">BQQQ", 0, 1, 2, 3), []),
    ],
)
def test_a_message_tells_which_rows_were_written(
    message: bytes, expected: list[tuple[int, RawKey | None]]
) -> None:
    assert read(*DESCRIBED, message) == expected


def test_a_table_may_be_described_anew() -> None:
    insert = change(b"I", ITEM, b"N", row("1", "2"))

    found = read(relation(ITEM, "id", "size"), insert, relation(ITEM, "size", "id"), insert)

    assert found == [(ITEM, ("1",)), (ITEM, ("2",))]


@pytest.mark.parametrize(
    "message", [b"S", change(b"I", ITEM, b"N", pack(">H", 1) + b"b" + pack(">I", 0))]
)
def test_what_the_protocol_does_not_have_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"unknown kind b'[Sb]'"):
        read(*DESCRIBED, message)
