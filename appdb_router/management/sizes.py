"""Numbers of bytes, for people."""

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def bytes_text(number: int | None) -> str:
    """Return a number of bytes in the unit that suits it; ``None`` is not known."""
    if number is None:
        return "bytes not known"
    size, unit = float(number), "bytes"
    for larger in _UNITS:
        if size >= 1024:
            size, unit = size / 1024, larger
    return f"{number} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
