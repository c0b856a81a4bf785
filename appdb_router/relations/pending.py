"""Deletions that other databases still have to follow: written down, and carried out."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from django.apps import apps
from django.db import OperationalError, ProgrammingError, connections, transaction
from django.db.models import QuerySet
from django.db.models.deletion import Collector

from ..blocks import is_in_block
from ..exceptions import DatabaseOperationError
from ..moves.refusal import is_refusal
from .homes import asked_home_of

_logger = logging.getLogger("appdb_router.relations")

# Values of a note: as many as a query may well have parameters.
_BATCH = 1000


@dataclass
class Followed:
    """How many relations were followed, and what the others failed with; these stay noted."""

    done: int = 0
    errors: list[Exception] = field(default_factory=list)


def _notes(using: str) -> Any:
    # The registry is not ready when the hooks are imported.
    return apps.get_model("appdb_router", "PendingDeletion").objects.using(using)


def note(using: str, values: Sequence[Any], relations: Sequence[str]) -> list[int]:
    """Write down on ``using``, in its transaction, what is to follow; return the keys of the notes.

    ``values`` are those of the deleted rows that ``relations``, as ``app.Model.field``, refer to.
    Raises ``DatabaseOperationError`` if they cannot be written.
    """
    batches = (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
    try:
        return [_notes(using).create(values=batch, relations=relations).pk for batch in batches]
    except (OperationalError, ProgrammingError) as error:
        raise DatabaseOperationError(
            f"What belongs in other databases to the deleted rows of {using!r} could not be noted,"
            " so nothing was deleted. 'manage.py db_init' makes the table for it, if that is"
            f" missing: {error}"
        ) from error


def pending_on(using: str) -> list[int]:
    """Return the keys of what is noted on ``using``, the oldest first."""
    return list(_notes(using).order_by("pk").values_list("pk", flat=True))


def carry_out_soon(using: str, keys: Sequence[int]) -> None:
    """Carry out the notes when the transaction on ``using`` has committed, or now without one.

    A failure is logged, and the note stays for ``db_cascade``. In a ``TestCase`` nothing ever
    commits, so if its own transaction is the only one, that is now too.
    """
    connection = connections[using]
    work = partial(_carry_out_logged, using, keys)
    if is_in_block(connection):
        transaction.on_commit(work, using=using)
    elif connection.in_atomic_block or connection.get_autocommit():
        work()
    # Without autocommit, nobody says when it has committed: that is for ``db_cascade``.


def _carry_out_logged(using: str, keys: Sequence[int]) -> None:
    errors: list[Exception] = []
    for key in keys:
        try:
            failed = carry_out(using, key).errors
            if any(map(is_refusal, failed)):
                # The app has moved in between.
                failed = carry_out(using, key).errors
            errors += failed
        except Exception as error:  # noqa: BLE001  What was asked for is done; this will follow.
            errors.append(error)
    for failure in errors:
        _logger.error(
            "A deletion on %r was not followed in another database; 'manage.py db_cascade' will,"
            " when that is mended.",
            using,
            exc_info=failure,
        )


def carry_out(using: str, key: int) -> Followed:
    """Do what the note ``key`` on ``using`` says.

    The note goes after the other databases have committed. Killed in between, it is carried out
    again, and finds nothing to do. Two processes do not work on one note. A relation that cannot be
    followed does not stop the others.
    """
    result = Followed()
    can_skip = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using):
        locked = _notes(using).select_for_update(skip_locked=can_skip)
        found = locked.filter(pk=key).first()
        if found is None:
            return result
        left = _follow_all(found.relations, found.values, using, result)
        if left:
            locked.filter(pk=key).update(relations=left)
        else:
            locked.filter(pk=key)._raw_delete(using)
    return result


@dataclass(frozen=True)
class _Step:
    """What one relation asks of its database ``alias``: to ``collect`` the ``objects``."""

    relation: str
    alias: str
    objects: "QuerySet[Any]"
    collect: Callable[[Collector, "QuerySet[Any]"], None]

    def take(self) -> None:
        """Do to the objects what the relation says; it may be done again after a rollback."""
        # A new queryset: one that was deleted keeps objects that have lost their keys.
        objects = self.objects.all()
        collector = Collector(using=self.alias, origin=objects)
        self.collect(collector, objects)
        collector.delete()


def _follow_all(
    relations: Iterable[str], values: Iterable[Any], using: str, result: Followed
) -> list[str]:
    """Follow ``relations``, each database in one transaction, and return those that failed."""
    left = []
    steps = []
    gone = _Gone(using, values)
    for relation in relations:
        try:
            steps += _steps(relation, gone)
        except Exception as error:  # noqa: BLE001  The model may be gone, or its table.
            result.errors.append(error)
            left.append(relation)
    result.done = len(steps)
    for alias, group in groupby(sorted(steps, key=_alias_of), key=_alias_of):
        together = list(group)
        try:
            _take(together, alias)
        except Exception:  # noqa: BLE001  Which one it was, shows when each is alone.
            for step in together:
                try:
                    _take([step], alias)
                except Exception as error:  # noqa: BLE001  A receiver may raise anything.
                    result.errors.append(error)
                    left.append(step.relation)
                    result.done -= 1
    return left


def _alias_of(step: _Step) -> str:
    return step.alias


def _take(steps: Iterable[_Step], alias: str) -> None:
    with transaction.atomic(using=alias):
        for step in steps:
            step.take()


def _steps(relation: str, gone: "_Gone") -> list[_Step]:
    """Return what is to be done, which is nothing if all rows are there again.

    Raises ``LookupError`` if the relation is no longer there.
    """
    label, model_name, name = relation.split(".")
    found: Any = apps.get_model(label, model_name)._meta.get_field(name)
    is_generic = hasattr(found, "bulk_related_objects")
    model = found.model if is_generic else found.remote_field.model
    target = model._meta.pk if is_generic else found.target_field
    values = gone.of(model, target)
    return [(_generic if is_generic else _foreign)(relation, found, values)] if values else []


class _Gone:
    """Which of ``values`` no row of ``using`` has now.

    A key that is no number may have been given again, and then its objects are not orphans.
    """

    def __init__(self, using: str, values: Iterable[Any]) -> None:
        self._using = using
        self._values = values
        self._known: dict[Any, list[Any]] = {}

    def of(self, model: Any, target: Any) -> list[Any]:
        """Return the values of the field ``target``; asked once, though many refer to it."""
        if target not in self._known:
            wanted = [target.to_python(value) for value in self._values]
            rows = model._base_manager.using(self._using)
            rows = rows.filter(**{f"{target.name}__in": wanted})
            there = set(rows.values_list(target.attname, flat=True))
            self._known[target] = [value for value in wanted if value not in there]
        return self._known[target]


def _foreign(relation: str, key: Any, gone: list[Any]) -> _Step:
    alias = asked_home_of(key.model)
    objects = key.model._base_manager.using(alias).filter(**{f"{key.name}__in": gone})
    on_delete = key.remote_field.on_delete

    def collect(collector: Collector, found: "QuerySet[Any]") -> None:
        if getattr(on_delete, "lazy_sub_objs", False) or found:
            on_delete(collector, key, found, alias)

    return _Step(relation, alias, objects, collect)


def _generic(relation: str, generic: Any, gone: list[Any]) -> _Step:
    alias = asked_home_of(generic.related_model)
    key = generic.model._meta.pk
    owners = [generic.model.from_db(None, [key.attname], [value]) for value in gone]
    objects = generic.bulk_related_objects(owners, alias)

    def collect(collector: Collector, found: "QuerySet[Any]") -> None:
        collector.collect(found, source=generic.model, nullable=True)

    return _Step(relation, alias, objects, collect)
