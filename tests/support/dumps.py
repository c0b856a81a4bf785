"""What is in a database, schema and rows, in a form that two databases can be compared by."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

POSTGRESQL = {
    "columns": """
        SELECT c.relname, c.relkind, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
            a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid), a.attcollation,
            col_description(c.oid, a.attnum), obj_description(c.oid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY 1, 3""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": """
        SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index JOIN pg_class ON oid = indrelid
        WHERE relnamespace = 'public'::regnamespace ORDER BY 1""",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, increment_by, last_value
        FROM pg_sequences WHERE schemaname = 'public' AND sequencename !~ '^django_migrations'
        ORDER BY 1""",
    "extensions": "SELECT extname FROM pg_extension ORDER BY 1",
}
SQLITE = {"schema": "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"}
# When a row was written, and which number it got while a run made notes in the same table.
VARYING = {"django_migrations": {"id", "applied"}}


def dump(connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the schema, and the rows of each table in the order of their first column."""
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        tables = sorted(connection.introspection.table_names(cursor))
        for name, sql in {"postgresql": POSTGRESQL, "sqlite": SQLITE}.get(
            connection.vendor, {}
        ).items():
            cursor.execute(sql)
            found[name] = cursor.fetchall()
        for table in tables:
            if connection.vendor == "mysql":
                cursor.execute(f"SHOW CREATE TABLE `{table}`")
                text = cursor.fetchone()[1].splitlines()
                found[f"schema of {table}"] = [
                    line for line in text if "AUTO_INCREMENT=" not in line
                ]
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
            kept = [
                number
                for number, column in enumerate(cursor.description or ())
                if column[0] not in VARYING.get(table, ())
            ]
            rows = [tuple(row[number] for number in kept) for row in cursor.fetchall()]
            found[f"rows of {table}"] = rows
    return found
