"""What a migration that failed or was killed has left behind, where nothing rolled it back."""

from collections.abc import Iterator

from django.db import router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.migration import Migration
from django.db.migrations.state import ProjectState

from .connecting import separate_connection, standing_in
from .loading import SharedLoader

_INVALID_INDEXES = """
    SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT indisvalid AND pg_table_is_visible(pg_class.oid)
"""

# A table, or a table with a column, an index or a constraint of it.
_Thing = tuple[str, str, str]


def describe_leftovers(alias: str) -> str:
    """Say what is there of the next migration on ``alias``, and how to get on.

    Returns an empty string if nothing of it is there: the server has rolled it back, or nothing
    was begun. Tables, columns, and named indexes and constraints are seen; data are not.
    """
    try:
        with separate_connection(alias, direct=True) as connection, standing_in(connection):
            loader = SharedLoader(connection)
            pending = loader.pending()
            here = (item for item in pending if router.allow_migrate(alias, item.app_label))
            migration = next(here, None)
            return _describe(connection, loader, migration) if migration else ""
    except Exception:  # noqa: BLE001  There is an error to report already, perhaps of this cause.
        return ""


def _describe(connection: BaseDatabaseWrapper, loader: SharedLoader, migration: Migration) -> str:
    label, name = migration.app_label, migration.name
    loader.take_over_all()
    state = loader.project_state((label, name), at_end=False)
    before = set(_things(state, connection.alias))
    after = set(_things(migration.mutate_state(state), connection.alias))
    changed = before ^ after
    present = set(_present(connection, {table for _, table, _ in changed}))
    done = {thing for thing in changed if (thing in present) is (thing in after)}
    if not done:
        return ""
    open_ = changed - done
    facts = [f"done: {_listed(done, after)}", f"not done: {_listed(open_, after) or 'nothing'}"]
    if invalid := _invalid_indexes(connection, {name for _, _, name in changed}):
        facts.append(f"invalid, to be dropped: {', '.join(invalid)}")
    command = f"'migrate {label} {name} --fake --database {connection.alias}'"
    return (
        f" {label}.{name} is applied {'in part' if open_ else 'already'}, but not recorded:"
        f" {'; '.join(facts)}. Either complete it by hand, its data too, and record it with"
        f" {command}, or undo by hand what is done. Then run db_init again."
    )


def _things(state: ProjectState, alias: str) -> Iterator[_Thing]:
    """Yield what the models of ``state`` have in the database ``alias``."""
    for model in state.apps.get_models(include_auto_created=True):
        options = model._meta
        if not (options.managed and router.allow_migrate_model(alias, model)) or options.proxy:
            continue
        table = options.db_table
        yield "table", table, ""
        for field in options.local_concrete_fields:
            yield "column", table, str(field.column)
        for item in (*options.indexes, *options.constraints):
            yield "index", table, item.name


def _present(connection: BaseDatabaseWrapper, tables: set[str]) -> Iterator[_Thing]:
    introspection = connection.introspection
    with connection.cursor() as cursor:
        for table in tables.intersection(introspection.table_names(cursor)):
            yield "table", table, ""
            for column in introspection.get_table_description(cursor, table):
                yield "column", table, column.name
            for name in introspection.get_constraints(cursor, table):
                yield "index", table, name


def _invalid_indexes(connection: BaseDatabaseWrapper, names: set[str]) -> list[str]:
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(_INVALID_INDEXES)
        return sorted(names.intersection(name for (name,) in cursor.fetchall()))


def _listed(things: set[_Thing], after: set[_Thing]) -> str:
    """Return ``things`` in words; columns of a table that is listed itself are left out."""
    tables = {table for kind, table, _ in things if kind == "table"}
    shown = (
        (kind, f"{table}.{name}" if kind == "column" else name or table, thing in after)
        for thing in sorted(things)
        for kind, table, name in [thing]
        if kind == "table" or table not in tables
    )
    return ", ".join(f"{kind} {name}{'' if is_new else ' removed'}" for kind, name, is_new in shown)
