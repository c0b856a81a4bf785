"""Reading what PostgreSQL's output plug-in ``pgoutput`` tells of a write: the keys of its rows.

It is version 1 of the protocol of logical replication, with values as text. Numbers are big-endian,
and names end with a zero byte.
"""

from collections.abc import Iterator, Mapping, Sequence

# The values of a key as their types write them, which is not what a cast to text gives.
RawKey = tuple[str, ...]

_NULL, _UNCHANGED, _TEXT = b"n", b"u", b"t"
_OLD = (b"K", b"O")
# Begin, commit, origin, type and message: they tell of no row.
_OTHERS = b"BCOYM"


class ChangeReader:
    """Reads the messages of one call in their order.

    ``keys`` are the columns of the primary key by the number (OID) of their table; what is written
    to other tables is passed over.
    """

    def __init__(self, keys: Mapping[int, Sequence[str]]) -> None:
        self._keys = keys
        self._places: dict[int, list[int]] = {}

    def read(self, message: bytes) -> Iterator[tuple[int, RawKey | None]]:
        """Yield the table and the key of each row that ``message`` tells of.

        A row whose key was changed has two. ``None`` instead of a key stands for all rows. Raises
        ``ValueError`` for a message that version 1 does not have.
        """
        parts = _Parts(message)
        kind = parts.take(1)
        if kind == b"R":
            self._learn(parts)
        elif kind == b"T":
            count = parts.number(4)
            parts.take(1)
            tables = [parts.number(4) for _ in range(count)]
            yield from ((table, None) for table in tables if table in self._keys)
        elif kind in (b"I", b"U", b"D"):
            table = parts.number(4)
            if table in self._places:
                yield from ((table, key) for key in self._written(table, parts))
        elif kind not in _OTHERS:
            raise ValueError(f"pgoutput sent a message of the unknown kind {kind!r}")

    def _learn(self, parts: "_Parts") -> None:
        """Note where the key is in the rows of a table, which come in the order told here."""
        table = parts.number(4)
        parts.name()
        parts.name()
        parts.take(1)
        columns = []
        for _ in range(parts.number(2)):
            parts.take(1)
            columns.append(parts.name())
            parts.take(8)
        if table in self._keys:
            self._places[table] = [columns.index(name) for name in self._keys[table]]

    def _written(self, table: int, parts: "_Parts") -> Iterator[RawKey | None]:
        """Yield the keys that a row had and has."""
        rows = []
        while kind := parts.take(1):
            values = parts.row()
            rows.append((kind, [values[place] for place in self._places[table]]))
        old = next((key for kind, key in rows if kind in _OLD), None)
        for _, key in rows:
            # A long value that was not changed is sent with the old row only.
            yield _whole(key, old or key)


def _whole(key: list[str | bool], old: list[str | bool]) -> RawKey | None:
    """Return ``key`` with the unchanged values of ``old``, or ``None`` if they are not there."""
    values = [
        value if isinstance(value, str) else before for value, before in zip(key, old, strict=True)
    ]
    found = tuple(value for value in values if isinstance(value, str))
    return found if len(found) == len(values) else None


class _Parts:
    """The parts of a message, one after the other."""

    def __init__(self, message: bytes) -> None:
        self._message, self._at = message, 0

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes, or less at the end."""
        start, self._at = self._at, self._at + size
        return self._message[start : self._at]

    def number(self, size: int) -> int:
        """Return an unsigned number of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def name(self) -> str:
        """Return a name."""
        end = self._message.index(b"\0", self._at)
        name = self.take(end - self._at).decode()
        self.take(1)
        return name

    def row(self) -> list[str | bool]:
        """Return the values of a row: ``False`` where there is none, ``True`` where it stays."""
        return [self._value(self.take(1)) for _ in range(self.number(2))]

    def _value(self, kind: bytes) -> str | bool:
        if kind == _TEXT:
            return self.take(self.number(4)).decode()
        if kind in (_NULL, _UNCHANGED):
            return kind == _UNCHANGED
        raise ValueError(f"pgoutput sent a value of the unknown kind {kind!r}")
