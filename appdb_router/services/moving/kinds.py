"""Kinds of values: how each is read from one engine, exactly, and written to another.

Values that a field makes of what is stored (decrypted, for instance) are not asked for: what is
stored moves. What the drivers would bend (a date of no year, infinity) is read as text.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_duration, parse_time
from django.utils.duration import duration_microseconds

_MODULES = ("django.db.models.fields", "django.db.models.fields.files")


class UnfitValueError(ValueError):
    """A stored value that is none of its kind; the message never holds it."""


class JsonValue:
    """JSON as it is stored; equal to other JSON that says the same.

    SQL's NULL is ``None``, and JSON's is not.
    """

    __slots__ = ("_canonical", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        loaded = json.loads(
            text,
            object_pairs_hook=lambda pairs: dict(sorted(dict(pairs).items())),
            parse_float=_fraction,
            parse_int=_whole,
            parse_constant=_refuse,
        )
        self._canonical = repr(loaded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonValue) and self._canonical == other._canonical

    def __hash__(self) -> int:
        return hash(self._canonical)

    def __repr__(self) -> str:
        return f"JSON {self._canonical}"


class _Number(NamedTuple):
    """A number of JSON, and what Python reads: of a fraction, not all of its digits."""

    exact: str
    read: str


def _whole(text: str) -> _Number:
    return _Number(_plain(Decimal(text)), _plain(Decimal(text)))


def _fraction(text: str) -> _Number:
    # Equal however many zeros it ends with, unless Python reads another number if it is whole.
    return _Number(_plain(Decimal(text)), _plain(Decimal(float(text))))


def _plain(number: Decimal) -> str:
    digits = len(number.as_tuple().digits)
    return str(number.normalize(Context(prec=digits))) if number else "0"


def _refuse(name: str) -> Any:
    raise UnfitValueError(name)


@dataclass(frozen=True)
class Kind:
    """Values of one kind, whatever field has them.

    ``reading`` has the expression in which the column stands as ``{}``, by vendor, where it is
    not the column. ``parse`` makes a plain value of what the driver gave, and raises one of
    ``VALUE_ERRORS`` for what is none; ``write`` makes of that what the driver takes. Both are given
    the field and the connection.
    """

    name: str
    parse: Callable[[Any, Any, BaseDatabaseWrapper], Any]
    write: Callable[[Any, Any, BaseDatabaseWrapper], Any] = field(default=lambda value, *_: value)
    reading: Mapping[str, str] = field(default_factory=dict)

    def expression(self, column: str, connection: BaseDatabaseWrapper) -> str:
        """Return the expression that reads ``column``, a quoted name."""
        # On SQLite the sign keeps the driver's converters away, and the value as it is.
        plain = "+{}" if connection.vendor == "sqlite" else "{}"
        return self.reading.get(connection.vendor, plain).format(column)


def kind_of(model_field: Any) -> Kind | None:
    """Return the kind of the values of a field, by the first of Django's fields that it is."""
    for parent in type(model_field).__mro__:
        if parent.__module__.startswith(_MODULES) and parent.__name__ in _KINDS:
            return _KINDS[parent.__name__]
    return None


def _exactly(*types: type) -> Callable[[Any, Any, BaseDatabaseWrapper], Any]:
    def parse(value: Any, *_: Any) -> Any:
        if type(value) not in types:
            raise UnfitValueError("of another type")
        return types[0](value)

    return parse


def _write_text(value: str, _field: Any, connection: BaseDatabaseWrapper) -> str:
    # In the middle of a COPY the driver would find it, and log other values with it.
    if connection.vendor == "postgresql" and not value.isascii():
        value.encode()
    if connection.vendor == "postgresql" and "\x00" in value:
        raise UnfitValueError("a NUL character")
    return value


def _parse_boolean(value: Any, *_: Any) -> bool:
    if value not in (0, 1):
        raise UnfitValueError("neither true nor false")
    return bool(value)


def _parse_decimal(value: Any, model_field: Any, connection: BaseDatabaseWrapper) -> Decimal:
    if connection.vendor != "sqlite":
        return Decimal(value)
    if isinstance(value, int):
        return Decimal(value)
    if not isinstance(value, float):
        raise UnfitValueError("no number")
    # What Django reads there, if that is what is stored.
    found = Decimal(f"{value:.15g}")
    if model_field.decimal_places is not None:
        found = found.quantize(Decimal(1).scaleb(-model_field.decimal_places))
    if float(found) != value:
        raise UnfitValueError("more digits than the field has")
    return found


def _write_decimal(value: Decimal, *_: Any) -> Any:
    return format(value, "f")


def _parsed(parse: Callable[[str], Any]) -> Callable[[Any, Any, BaseDatabaseWrapper], Any]:
    def checked(value: Any, *_: Any) -> Any:
        found = parse(value.decode() if isinstance(value, bytes) else value)
        if found is None:
            raise UnfitValueError("not understood")
        return found

    return checked


def _parse_datetime(value: Any, _field: Any, connection: BaseDatabaseWrapper) -> datetime:
    found: datetime = _parsed(parse_datetime)(value, _field, connection)
    if not settings.USE_TZ:
        # As Django reads it: what PostgreSQL gives is in the time zone of the session.
        return found.replace(tzinfo=None)
    if timezone.is_naive(found):
        found = timezone.make_aware(found, connection.timezone)
    return found.astimezone(UTC)


def _write_datetime(value: datetime, _field: Any, connection: BaseDatabaseWrapper) -> Any:
    return connection.ops.adapt_datetimefield_value(value)


def _parse_duration(value: Any, _field: Any, connection: BaseDatabaseWrapper) -> timedelta:
    if connection.vendor == "postgresql":
        found: timedelta = _parsed(parse_duration)(value, _field, connection)
        return found
    return timedelta(microseconds=_exactly(int)(value, _field, connection))


def _write_duration(value: timedelta, _field: Any, connection: BaseDatabaseWrapper) -> Any:
    return value if connection.vendor == "postgresql" else duration_microseconds(value)


def _write_uuid(value: uuid.UUID, _field: Any, connection: BaseDatabaseWrapper) -> str:
    return str(value) if connection.features.has_native_uuid_field else value.hex


def _parse_bytes(value: Any, *_: Any) -> bytes:
    if not isinstance(value, bytes | memoryview):
        raise UnfitValueError("no bytes")
    return bytes(value)


def _parse_address(value: Any, *_: Any) -> str:
    address: str = _exactly(str)(value, None, None)  # type: ignore[arg-type]
    # PostgreSQL's text of a whole address has the length of its mask.
    return address.removesuffix("/128" if ":" in address else "/32")


def _write_json(value: JsonValue, *_: Any) -> str:
    return value.text


_AS_TEXT = {"postgresql": "{}::text", "mysql": "CAST({} AS CHAR)"}
_TEXT = Kind("TextField", _exactly(str), _write_text, {"postgresql": "{}::text"})

_KINDS = {
    "BinaryField": Kind("BinaryField", _parse_bytes),
    "BooleanField": Kind("BooleanField", _parse_boolean),
    "CharField": _TEXT,
    "DateField": Kind(
        "DateField",
        _parsed(parse_date),
        lambda value, _, connection: connection.ops.adapt_datefield_value(value),
        _AS_TEXT,
    ),
    "DateTimeField": Kind("DateTimeField", _parse_datetime, _write_datetime, _AS_TEXT),
    "DecimalField": Kind("DecimalField", _parse_decimal, _write_decimal, _AS_TEXT),
    "DurationField": Kind(
        "DurationField", _parse_duration, _write_duration, {"postgresql": "{}::text"}
    ),
    "FileField": _TEXT,
    "FilePathField": _TEXT,
    "FloatField": Kind("FloatField", _exactly(float, int)),
    "GenericIPAddressField": Kind(
        "GenericIPAddressField", _parse_address, reading={"postgresql": "{}::text"}
    ),
    "IntegerField": Kind("IntegerField", _exactly(int)),
    "JSONField": Kind("JSONField", _parsed(JsonValue), _write_json, _AS_TEXT),
    "TextField": _TEXT,
    "TimeField": Kind(
        "TimeField",
        _parsed(parse_time),
        lambda value, _, connection: connection.ops.adapt_timefield_value(value),
        _AS_TEXT,
    ),
    "UUIDField": Kind("UUIDField", _parsed(uuid.UUID), _write_uuid, _AS_TEXT),
}

# What reading or writing a value that does not fit raises.
VALUE_ERRORS = (ValueError, TypeError, ArithmeticError, InvalidOperation, OverflowError)
