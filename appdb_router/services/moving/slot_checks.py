"""What stands in the way of a replication slot, and what it costs."""

from collections.abc import Iterable, Iterator

from django.db.backends.base.base import BaseDatabaseWrapper

from .decoding import slot_name
from .keys import quoted
from .tables import MovedTable

# Amazon RDS has a role instead of the attribute.
_SERVER = """
    SELECT current_setting('wal_level'),
           current_setting('max_replication_slots')::int
               - (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> %s),
           (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)
               OR coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles
                            WHERE rolname = 'rds_replication'), false),
           has_database_privilege(current_database(), 'CREATE')
"""
# Tables of which nothing is logged, and those of which the log does not have the whole primary key
# of a row that was written. A publication for these would make the app's own writes fail.
_TABLES = """
    SELECT c.relname, c.relpersistence <> 'p',
           CASE c.relreplident
               WHEN 'f' THEN true
               WHEN 'd' THEN p.indimmediate
               WHEN 'i' THEN EXISTS (
                   SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident
                   AND p.indkey::int2[] <@ i.indkey::int2[])
               ELSE false
           END AND NOT EXISTS (
               SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> ''
               AND a.attnum = ANY(p.indkey::int2[]))
    FROM pg_class c JOIN pg_index p ON p.indrelid = c.oid AND p.indisprimary
    WHERE c.oid = ANY(SELECT to_regclass(quoted) FROM unnest(%s::text[]) AS quoted)
    ORDER BY 1
"""
_INSTEAD = "or leave out --replication, for triggers instead"


def slot_problems(
    tables: Iterable[MovedTable], source: BaseDatabaseWrapper, label: str, *, offline: bool
) -> Iterator[str]:
    """Yield what stands in the way of following what is written by a slot at ``source``."""
    if offline:
        yield (
            "--replication follows an app that writes while it moves, out of PostgreSQL. This move"
            " refuses its writes from the beginning: leave it out."
        )
        return
    yield from _server_problems(source, label)
    yield from _table_problems(tables, source)


def slot_note(source: BaseDatabaseWrapper, label: str) -> str:
    """Return what has to be known of a slot, also by those who give the move up."""
    with source.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_slot_wal_keep_size')")
        [limit] = cursor.fetchone()
    bound = "without limit" if limit == "-1" else f"up to max_slot_wal_keep_size, {limit}"
    return (
        f"A replication slot makes the server of {source.alias!r} keep its write-ahead log until"
        f" it was read, {bound}: a move that is left alone fills the disk. --status shows how much"
        " is kept. Whoever gives the move up drops the slot:"
        f" SELECT pg_drop_replication_slot('{slot_name(source, label)}')."
    )


def _server_problems(source: BaseDatabaseWrapper, label: str) -> Iterator[str]:
    with source.cursor() as cursor:
        cursor.execute(_SERVER, [slot_name(source, label)])
        level, free, may_replicate, may_publish = cursor.fetchone()
    if level != "logical":
        yield (
            f"The server of {source.alias!r} has wal_level = {level}, and --replication needs"
            f" logical. Set that and start the server again, {_INSTEAD}."
        )
    if free < 1:
        yield (
            f"The server of {source.alias!r} has no replication slot left. Drop one that nobody"
            " reads, or set a higher max_replication_slots and start the server again,"
            f" {_INSTEAD}."
        )
    if not may_replicate:
        yield (
            f"In {source.alias!r} this role may not use replication slots. Give it the attribute"
            f" REPLICATION (on Amazon RDS, the role rds_replication), {_INSTEAD}."
        )
    if not may_publish:
        yield (
            f"In {source.alias!r} this role may not make a publication. GRANT CREATE ON DATABASE"
            f" to it, {_INSTEAD}."
        )


def _table_problems(tables: Iterable[MovedTable], source: BaseDatabaseWrapper) -> Iterator[str]:
    names = quoted(source, (table.name for table in tables))
    with source.cursor() as cursor:
        cursor.execute(_TABLES, [names])
        found = cursor.fetchall()
    if unlogged := [name for name, is_unlogged, _ in found if is_unlogged]:
        yield (
            f"In {source.alias!r} nothing is logged of {', '.join(unlogged)}. ALTER TABLE … SET"
            f" LOGGED, {_INSTEAD}."
        )
    if unknown := [name for name, _, has_key in found if not has_key]:
        yield (
            f"In {source.alias!r} the log does not have the whole primary key of the rows of"
            f" {', '.join(unknown)} (REPLICA IDENTITY). ALTER TABLE … REPLICA IDENTITY DEFAULT, or"
            f" FULL where the key is deferrable, {_INSTEAD}."
        )
