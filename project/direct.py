"""Ask a physical database for rows over a raw connection: no ORM, no router."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

Config = Mapping[str, Any]
# One number for each row that was asked for; None where there is no such table.
Counts = list[int | None]

TLS_AND_SCHEMA = ("options", "sslmode", "sslrootcert", "sslcert", "sslkey")


class Row(NamedTuple):
    """What recognises a row: its table, and a value in one of its columns."""

    table: str
    column: str
    value: str


def address(config: Config) -> str:
    """Name a physical database without user and password; two aliases may share one."""
    if is_sqlite(config):
        return f"sqlite {sqlite_path(config)}"
    if not config["ENGINE"].endswith("postgresql"):
        raise ValueError(f"Only SQLite and PostgreSQL can be asked, not {config['ENGINE']}.")
    host = "127.0.0.1" if config["HOST"] in {"", "localhost", "::1"} else config["HOST"]
    schema = config["OPTIONS"].get("options", "")
    return f"postgresql {host}:{config['PORT'] or 5432}/{config['NAME']} {schema}".rstrip()


def count(config: Config, rows: Sequence[Row]) -> Counts:
    return count_sqlite(config, rows) if is_sqlite(config) else count_postgresql(config, rows)


def is_sqlite(config: Config) -> bool:
    return str(config["ENGINE"]).endswith("sqlite3")


def sqlite_path(config: Config) -> Path:
    return Path(config["NAME"]).resolve()


def count_sqlite(config: Config, rows: Sequence[Row]) -> Counts:
    # Read-only: a missing file is an error, where SQLite would otherwise create an empty one.
    with closing(sqlite3.connect(f"{sqlite_path(config).as_uri()}?mode=ro", uri=True)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        counts: Counts = []
        for table, column, value in rows:
            query = f'SELECT count(*) FROM "{table}" WHERE "{column}" = ?'  # noqa: S608
            found = database.execute(query, [value]).fetchone()[0] if table in tables else None
            counts.append(found)
    return counts


def count_postgresql(config: Config, rows: Sequence[Row]) -> Counts:
    # Imported here because a laptop on SQLite need not have psycopg.
    import psycopg
    from psycopg import sql

    options = {
        name: config["OPTIONS"][name] for name in TLS_AND_SCHEMA if name in config["OPTIONS"]
    }
    connection = psycopg.connect(
        host=config["HOST"] or None,
        port=config["PORT"] or None,
        dbname=config["NAME"],
        user=config["USER"] or None,
        password=config["PASSWORD"] or None,
        **options,
    )
    with connection:
        counts: Counts = []
        for table, column, value in rows:
            exists = connection.execute("SELECT to_regclass(quote_ident(%s))", [table]).fetchone()
            if exists is None or exists[0] is None:
                counts.append(None)
                continue
            query = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            found = connection.execute(query, [value]).fetchone()
            counts.append(found[0] if found else None)
    return counts
