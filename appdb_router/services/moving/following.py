"""Following what is written while rows are moved, and comparing both databases until they agree."""

from collections.abc import Iterable, Iterator, Mapping

from ...exceptions import MoveError
from .comparing import Difference, Range, compare_tables, differing_keys
from .copying import copy_whole
from .digests import compare_digests
from .draining import Drained, drain
from .journal import Phase
from .keys import Key
from .listening import hear
from .passing import passing
from .patience import stopped
from .queueing import queue_length
from .running import Run, Verification

# Keys of a range that are compared one by one; a range with more is compared as a whole again.
_MOST_KEYS = 10_000
# What differs without having been written shows in the second round already.
_ROUNDS = 5
# Keys that may be compared in the moment in which writers wait.
_FEW = 2000
# Keys that a message names.
_SHOWN = 10


def catch_up(run: Run) -> None:
    """Follow what was written, until little enough is left."""
    run.enter(Phase.CATCHING_UP)
    while (left := _waiting(run)) > run.options.max_lag:
        run.reporter.note(f"{left} changes to follow")
        follow_all(run)


def follow_all(run: Run) -> dict[str, set[Key]]:
    """Follow what has been written until now, and return the keys by table.

    They are also noted, to be compared once more. What is written meanwhile may be left.
    """
    # As many as there are now: with writers that are faster there would be no end.
    return _follow(run, _waiting(run))


def _waiting(run: Run) -> int:
    hear(run)
    return queue_length(run.giver, run.label)


def _follow(run: Run, left: int) -> dict[str, set[Key]]:
    touched: dict[str, set[Key]] = {}
    while left > 0:
        if run.stop.is_set():
            raise stopped()
        done = drain(run.tables, run.giver, run.taker, run.label, run.token)
        if not done.entries:
            raise MoveError(
                f"{left} changes noted for {run.label!r} in {run.giver.alias!r} are of tables that"
                " are none of its models'. Migrations of the app must wait until its move is over:"
                " begin again with --restart."
            )
        left -= done.entries
        _note(run, done)
        for table, keys in done.keys.items():
            touched.setdefault(table, set()).update(keys)
    return touched


def follow_whole(run: Run) -> None:
    """Follow all that has been written until now, the last of it in one transaction.

    Whatever was written between two steps is in the queue again, so the rows are those of one
    moment when a step has taken all; the steps before keep that one small.
    """
    follow_all(run)
    hear(run)
    done = drain(run.tables, run.giver, run.taker, run.label, run.token, limit=None)
    _note(run, done)


def verify(run: Run) -> None:
    """Compare all rows while they are written; what is then still to be compared is ``pending``.

    A key that differs because its row was just written is in the queue, and so is followed next.
    One that still differs, and was not, is a real difference. Raises ``MoveError``.
    """
    run.enter(Phase.VERIFYING)
    run.is_compared = True
    found = list(_first_look(run))
    for _ in range(_ROUNDS):
        if not found:
            break
        touched = follow_all(run)
        found = list(_look_again(run, found, touched))
    if found:
        raise difference(found)
    shorten(run)


def shorten(run: Run) -> None:
    """Compare what is pending until it is little enough to be compared while writers wait."""
    for _ in range(_ROUNDS):
        if run.pending_count <= _FEW:
            return
        follow_all(run)
        earlier, run.pending = run.pending, {}
        for name, keys in _differing(run, earlier).items():
            run.suspect(name, keys)


def settle(run: Run) -> None:
    """Bring both databases together, now that nobody writes.

    Raises ``MoveError`` if they differ.
    """
    # The slot goes with the flip; until then it need not forget.
    hear(run, forget=False)
    while left := queue_length(run.giver, run.label):
        _follow(run, left)
    for table in run.keyless:
        with passing(run.taker, run.token):
            copy_whole(table, run.giver, run.taker, run.token)
    found = list(_as_differences(_differing(run, run.pending)))
    whole = [table for table in run.tables if table.name in run.pending_tables or not table.key]
    found += _compare(run, {table.name: [(None, None)] for table in whole})
    if found:
        raise difference(found)
    run.pending, run.pending_tables = {}, set()


def _first_look(run: Run) -> Iterator[Difference]:
    if run.options.verify == Verification.STREAM and not run.journal.is_flipped:
        ranges = compare_digests(
            run.keyed,
            run.giver,
            run.taker,
            run.token,
            verified=run.reading.verified(run.stop) if run.reading else {},
            stop=run.stop,
        )
        yield from _compare(run, ranges)
    else:
        yield from _compare(run, None)


def _look_again(
    run: Run, found: Iterable[Difference], touched: Mapping[str, set[Key]]
) -> Iterator[Difference]:
    """Yield what of ``found`` still differs, without what was written meanwhile."""
    whole: dict[str, list[Range]] = {}
    keys: dict[str, set[Key]] = {}
    for item in found:
        if item.is_cut:
            whole.setdefault(item.table, []).append((item.lower, item.upper))
        else:
            keys.setdefault(item.table, set()).update(item.keys)
    if whole:
        yield from _compare(run, whole)
    untouched = {table: names - touched.get(table, set()) for table, names in keys.items()}
    yield from _as_differences(_differing(run, untouched))


def _compare(run: Run, ranges: Mapping[str, list[Range]] | None) -> Iterator[Difference]:
    tables = [
        table for table in run.tables if (table.key if ranges is None else table.name in ranges)
    ]
    yield from compare_tables(
        tables,
        run.giver,
        run.taker,
        chunk_rows=run.options.chunk_rows,
        ranges=ranges,
        keys_limit=_MOST_KEYS,
        stop=run.stop,
    )


def _differing(run: Run, keys: Mapping[str, set[Key]]) -> dict[str, set[Key]]:
    return {
        table.name: found
        for table in run.keyed
        if (wanted := keys.get(table.name))
        and (found := differing_keys(table, wanted, run.giver, run.taker))
    }


def _as_differences(found: Mapping[str, set[Key]]) -> Iterator[Difference]:
    for table, keys in found.items():
        yield Difference(table, None, None, tuple(sorted(keys)), 0, 0)


def _note(run: Run, done: Drained) -> None:
    """Note what is to be compared once more."""
    if run.reading:
        run.reading.forget({*done.keys, *done.whole})
    if not run.is_compared:
        # The comparison takes care of it.
        return
    for table, keys in done.keys.items():
        run.suspect(table, keys)
    # TRUNCATE: nobody knows which keys there were.
    run.pending_tables |= done.whole


def difference(found: Iterable[Difference]) -> MoveError:
    """Return the error for rows that are not the same on both databases."""
    places = "; ".join(map(describe_difference, found))
    return MoveError(
        f"Rows differ: {places}. The app stays where it is, and nothing was changed there. Look at"
        " these rows with 'manage.py db_compare', and begin again with --restart.",
        exit_code=10,
    )


def describe_difference(item: Difference) -> str:
    """Return in words where rows differ: table, range and keys, never a value."""
    keys = ", ".join("/".join(key) for key in item.keys[:_SHOWN])
    more = ", …" if item.is_cut or len(item.keys) > _SHOWN else ""
    where = ""
    if item.lower is not None or item.upper is not None:
        bounds = [f"behind {'/'.join(item.lower)}"] if item.lower else []
        bounds += [f"up to {'/'.join(item.upper)}"] if item.upper else []
        where = f" ({' '.join(bounds)})"
    return f"{item.table}{where}" + (f" at {keys}{more}" if keys else "")
