"""The blocks of ``atomic()`` that are open on a connection."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def is_in_block(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a block is open on ``connection`` that will commit or be rolled back.

    The blocks that a ``TestCase`` has around its tests do neither while a test runs.
    """
    # The attribute is Django's own, and its stubs do not have it.
    blocks: list[Any] = [*connection.atomic_blocks]
    return not all(block._from_testcase for block in blocks)
