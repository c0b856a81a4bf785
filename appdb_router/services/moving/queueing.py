"""The queue of what was written to moved tables, as their triggers leave it."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.backends.base.base import BaseDatabaseWrapper

from ...models import RowChange
from .keys import Key, quoted

# SQLite takes fewer parameters than this in no version that Django supports.
_MOST_IDS = 900
_FORGET = "DELETE FROM {} WHERE id = ANY(%s)"


@dataclass
class Written:
    """What was written to a table: the rows with ``keys``, or all of them."""

    keys: set[Key] = field(default_factory=set)
    is_whole: bool = False


@dataclass
class Changes:
    """Entries of the queue: their numbers, and what they say, by the name of each table."""

    ids: list[int] = field(default_factory=list)
    tables: dict[str, Written] = field(default_factory=dict)


def queue_length(giver: BaseDatabaseWrapper, label: str) -> int:
    """Return how many entries wait in the queue of the app ``label``."""
    return RowChange.objects.using(giver.alias).filter(label=label).count()


def read_queue(
    giver: BaseDatabaseWrapper, label: str, names: Collection[str], limit: int | None
) -> Changes:
    """Return what the queue of ``label`` says of the tables ``names``, at most ``limit`` entries.

    ``None`` is no limit.
    """
    entries = RowChange.objects.using(giver.alias).filter(label=label, table__in=names)
    found = Changes()
    for number, name, key in entries.order_by("id").values_list("id", "table", "key")[:limit]:
        found.ids.append(number)
        written = found.tables.setdefault(name, Written())
        if key is None:
            written.is_whole = True
        else:
            written.keys.add(tuple(json.loads(key)))
    return found


def forget(giver: BaseDatabaseWrapper, changes: Changes) -> None:
    """Take from the queue the entries that were read, and no others.

    Entries with lower numbers may be committed later than those with higher ones.
    """
    if giver.vendor == "postgresql":
        with giver.cursor() as cursor:
            cursor.execute(
                _FORGET.format(*quoted(giver, [RowChange._meta.db_table])), [changes.ids]
            )
        return
    for start in range(0, len(changes.ids), _MOST_IDS):
        batch = changes.ids[start : start + _MOST_IDS]
        RowChange.objects.using(giver.alias).filter(id__in=batch).delete()
