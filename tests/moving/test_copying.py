"""Chunks: stopped and gone on with, slowed down, refused, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import Role
from tests.moving.conftest import Fleet
from tests.support.servers import Server

FILL = """
fresh(source, target)
run(source, "ALTER SEQUENCE fleet_car_id_seq RESTART")
run(source, "INSERT INTO fleet_car (name, kind)"
            " SELECT 'car ' || n, n FROM generate_series(1, 95) n")
run(source, "INSERT INTO fleet_line (text) SELECT repeat('x', 1000) FROM generate_series(1, 200)")
def copy(name="Car", stop=Event(), report=lambda copied: None, **options):
    options = copying.CopyOptions(**{"chunk_rows": 10, **options})
    copying.copy_table(found[name], source, target, "token", options, report=report, stop=stop)
"""


def test_a_copy_goes_on_where_it_stopped(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
stop = Event()
told = []
def report(copied):
    told.append(copied)
    if len(told) == 3:
        stop.set()
try:
    copy(stop=stop, report=report, digest=True)
except MoveError as error:
    print(error, error.exit_code)
print(value(target, "SELECT count(*) FROM fleet_car"), MovedTableState.objects.using("fleet").get())
copy(report=told.append, digest=True)
copy(report=told.append)
print(json.dumps([[item.table, item.rows, item.total_rows] for item in told]))
print(value(target, "SELECT count(*) FROM fleet_car"), MovedTableState.objects.using("fleet").get())
read = []
for chunk in MovedChunk.objects.using("fleet").order_by("number"):
    import hashlib
    bounds = [None if key is None else tuple(key) for key in (chunk.lower, chunk.upper)]
    wanted = keys.between(found["Car"], target, *bounds)
    statement, _ = raw_copying.copy_statements(found["Car"], target, target, wanted)
    sent = b"".join(raw_copying.stream(target, statement))
    read.append(hashlib.sha256(sent).hexdigest() == chunk.digest and len(sent) == chunk.bytes)
print(read == [True] * 10)
print(value(target, "SELECT setting = reset_val FROM pg_settings"
                    " WHERE name = 'synchronous_commit'"), settling.is_slow_driver())
"""
    )

    assert lines == [
        "Stopped while 'fleet_car' was copied. 130",
        "30 fleet_car: being copied",
        json.dumps([["fleet_car", 10, 95]] * 9 + [["fleet_car", 5, 95]]),
        "95 fleet_car: copied",
        "True",
        "True False",
    ]


def test_a_connection_that_is_lost(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
reading_ahead._ROOM = 1
others = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
          f" WHERE datname = '{source.settings_dict['NAME']}'")
try:
    copy(report=lambda copied: value(target, others))
except Error as error:
    print(settling.is_about_server(error), 0 < MovedChunk.objects.using("fleet").count() < 10)
source.close()
copy()
print(value(target, "SELECT count(*) FROM fleet_car"))
"""
    )

    assert lines == ["True True", "95"]


def test_a_connection_that_is_lost_while_rows_are_sent(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
import threading, time
run(source, "INSERT INTO fleet_line (text) SELECT repeat('x', 1000000) FROM generate_series(1, 50)")
reading_ahead._ROOM = 1
reader = (" FROM pg_stat_activity WHERE query LIKE 'COPY (%'"
          f" AND datname = '{source.settings_dict['NAME']}'")
def lose():
    with separate_connection("fleet") as other:
        while not value(other, "SELECT count(*)" + reader):
            time.sleep(0.05)
        time.sleep(0.5)
        value(other, "SELECT pg_terminate_backend(pid)" + reader)
thread = threading.Thread(target=lose)
thread.start()
try:
    copy("Line", chunk_rows=10000, rate_limit=10_000_000)
except Error as error:
    print(settling.is_about_server(error), MovedChunk.objects.using("fleet").count())
thread.join()
"""
    )

    assert lines == ["True 0"]


def test_nothing_is_read_any_more_when_the_copy_has_ended(on_postgres: Fleet) -> None:
    """Whether it ends while a block waits to be taken, or between two chunks."""
    lines = on_postgres.run(
        FILL
        + """
import threading, time
run(source, "INSERT INTO fleet_line (text) SELECT repeat('x', 100000) FROM generate_series(1, 50)")
reading_ahead._ROOM, reading_ahead._PAUSE = 1, 0.05
class Full(Exception):
    pass
def fill(copied):
    time.sleep(0.3)
    raise Full
for name, rows in (("Line", 50), ("Line", 10000), ("Car", 10)):
    try:
        copy(name, report=fill, chunk_rows=rows)
    except Full:
        # The server notices that a connection was closed a moment later.
        for _ in range(100):
            sessions = value(target, "SELECT count(*) FROM pg_stat_activity"
                                     f" WHERE datname = '{source.settings_dict['NAME']}'")
            if sessions == 1:
                break
            time.sleep(0.1)
        print(threading.active_count(), sessions)
"""
    )

    assert lines == ["1 1", "1 1", "1 1"]


def test_chunks_are_read_back_when_all_are_there(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
from appdb_router.services.moving import digests, reading_back
from appdb_router.services.moving.reading_ahead import Place

EMPTY = ("TRUNCATE fleet_car, fleet_line CASCADE; TRUNCATE appdb_router_moved_chunk;"
         "TRUNCATE appdb_router_moved_table")
def begin(reading):
    reading.begin()
def begin_late(reading):
    reading.forget({"fleet_car"})
    reading.begin()
def begin_and_end(reading):
    with transaction.atomic(using="fleet"), target.cursor() as cursor:
        cursor.execute("LOCK TABLE fleet_car IN ACCESS EXCLUSIVE MODE")
        reading.begin()
        while not cursor.rowcount == 1:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"
                           " AND relation = 'fleet_car'::regclass")

def read(name="Car", before=EMPTY, begin=begin, change=lambda reading: None, **options):
    run(target, before)
    with reading_back.reading_back(source, target) as reading:
        options = copying.CopyOptions(**{"chunk_rows": 40, "digest": True, **options})
        copying.copy_table(found[name], source, target, "token", options, reading=reading,
                           report=lambda copied: None, stop=Event())
        begin(reading)
        known = dict(reading.verified(Event()))
        change(reading)
        verified = reading.verified(Event())
    unlike = digests.compare_digests([found[name]], source, target, "token", verified=verified)
    print(*(sorted(numbers) for numbers in known.values()), unlike)

read()
read("Line")
read(digest=False)
read(change=lambda reading: reading.forget({"fleet_car"}))
read(begin=begin_late)
print("What is verified is not read again,")
read(change=lambda reading: run(target, "UPDATE fleet_car SET name = 'x' WHERE id = 50"))
print("but counted, and then all is.")
read(change=lambda reading: run(target, "UPDATE fleet_car SET name = 'x' WHERE id = 50;"
                                        "INSERT INTO fleet_car (id, name) VALUES (5000, 'x')"))
print("Rows may be elsewhere.")
run(target, EMPTY)
run(target, "INSERT INTO fleet_car (id, name) SELECT n, 'x' FROM generate_series(1, 2000) n;"
            "DELETE FROM fleet_car WHERE id < 2000")
run(target, "VACUUM fleet_car")
read(before="DELETE FROM fleet_car")
print("The session may be lost.")
run(target, EMPTY)
read(begin=begin_and_end)
with reading_back.reading_back(source, target) as reading, transaction.atomic(using="fleet"):
    run(target, "LOCK TABLE fleet_line IN ACCESS EXCLUSIVE MODE")
    reading.add(reading_back.WrittenChunk(found["Line"], Place(0, None, None), "", (0, 9)))
    reading.begin()
    stop = Event()
    stop.set()
    try:
        reading.verified(stop)
    except MoveError as error:
        print(error, error.exit_code)
    # It waits for the lock, and is not waited for.
    reading.leave()
"""
    )

    [*known, last] = lines
    everything = "{'fleet_car': [(None, ('40',)), (('40',), ('80',)), (('80',), None)]}"
    assert known == [
        "[0, 1, 2] {}",
        "[0, 1, 2, 3, 4, 5] {}",
        everything,
        "[0, 1, 2] {}",
        "{}",
        "What is verified is not read again,",
        "[0, 1, 2] {}",
        "but counted, and then all is.",
        "[0, 1, 2] {'fleet_car': [(('40',), ('80',)), (('80',), None)]}",
        "Rows may be elsewhere.",
        "{}",
        "The session may be lost.",
        "{}",
    ]
    assert last == "The verification was stopped before its end. 130"


def test_a_copy_that_is_slowed_down(on_postgres: Fleet) -> None:
    [line] = on_postgres.run(
        FILL
        + """
import time
began = time.monotonic()
copy("Line", rate_limit=400_000, chunk_rows=50)
slow = time.monotonic() - began
stop = Event()
stop.set()
throttle = copying.Throttle(1, stop)
throttle.spend(10**9)
print(0.4 < slow < 10, copying.rows_and_bytes(found["Line"], source))
"""
    )

    assert line.startswith("True (200, ")


def test_rows_that_the_taker_refuses(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
run(target, "INSERT INTO fleet_car (id, name, kind) VALUES (1000, 'secret', '15')")
try:
    copy()
except MoveError as error:
    print(error)
print(MovedChunk.objects.using("fleet").count(), value(target, "SELECT count(*) FROM fleet_car"))
run(target, "DELETE FROM fleet_car WHERE id = 1000")
copy()
print(value(target, "SELECT count(*) FROM fleet_car"))
"""
    )

    assert lines == [
        "The rows of 'fleet_car' cannot be copied: IntegrityError, 23505, table 'fleet_car',"
        " constraint 'fleet_car_kind_key'.",
        "1 11",
        "95",
    ]


def test_a_table_without_a_key(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
run(source, "ALTER TABLE fleet_line DROP CONSTRAINT fleet_line_pkey")
[line] = [table for table in tables.moved_tables(["fleet"], source) if table.name == "fleet_line"]
print(line.key)
copying.copy_table(line, source, target, "token", copying.CopyOptions(chunk_rows=3),
                   report=lambda copied: print(copied.rows), stop=Event())
run(source, "DELETE FROM fleet_line WHERE id % 2 = 0")
with transaction.atomic(using="default"):
    print(copying.copy_whole(line, source, target, "token"))
print(value(target, "SELECT count(*) FROM fleet_line"))
MovedTableState.objects.using("fleet").all().delete()
print(copying.copy_whole(line, source, target, "token"))
print(MovedTableState.objects.using("fleet").get())
print(fitting.find_misfits([line], source, target, report=print))
run(source, "ALTER TABLE fleet_line ADD PRIMARY KEY (id)")
"""
    )

    assert lines == ["()", "200", "100", "100", "100", "fleet_line: copied", "[]"]


def test_a_stream_that_is_left(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        """
many = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000)) TO STDOUT"
with transaction.atomic(using="default"):
    print(value(source, "SELECT 1"))
    print(sum(map(len, raw_copying.stream(source, many))))
    print(value(source, "SELECT 2"))
with closing(raw_copying.stream(source, many)) as blocks:
    print(len(next(blocks)) >= 1 << 17)
print(value(source, "SELECT 3"))
try:
    broken = "COPY (SELECT 1 / (n - 5000) FROM generate_series(1, 9000) n) TO STDOUT"
    for block in raw_copying.stream(source, broken):
        pass
except Error as error:
    print(settling.refusal("No", error), settling.is_about_server(error))
print(value(source, "SELECT 4"))
print(list(raw_copying.stream(source, "COPY (SELECT 1 WHERE false) TO STDOUT")))
"""
    )

    assert lines == [
        "1",
        "10010000",
        "2",
        "True",
        "3",
        "No: DataError, 22012. False",
        "4",
        "[]",
    ]


def test_the_rows_that_policies_hide_are_not_left_out(
    on_postgres: Fleet, postgres: Server, role: Callable[..., Role]
) -> None:
    """A role that would see only some of the rows is refused."""
    name = role(postgres).name
    lines = on_postgres.run(
        FILL
        + """
run(source, "GRANT SELECT ON fleet_car TO {role}; ALTER TABLE fleet_car ENABLE ROW LEVEL SECURITY;"
            "CREATE POLICY few ON fleet_car USING (id < 3); SET ROLE {role}")
# The rows are read in another session.
database = source.ops.quote_name(source.settings_dict["NAME"])
with separate_connection("default") as owner:
    run(owner, f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET role = {role}")
try:
    copy()
except MoveError as error:
    print(error)
with separate_connection("default") as owner:
    run(owner, f"RESET ROLE; ALTER ROLE CURRENT_USER IN DATABASE {database} RESET role")
run(source, "RESET ROLE; REVOKE ALL ON fleet_car FROM {role}; DROP POLICY few ON fleet_car;"
            "ALTER TABLE fleet_car DISABLE ROW LEVEL SECURITY")
""".replace("{role}", name)
    )

    assert lines == ["The rows of 'fleet_car' cannot be copied: ProgrammingError, 42501."]


def test_types_that_users_made_go_as_text(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
for connection, first in ((source, "a"), (target, "c")):
    # In another order the types have other numbers.
    for name in sorted("abc", reverse=first == "c"):
        run(connection, f"CREATE TYPE mood_{name} AS ENUM ('sad', 'ok')")
    run(connection, "CREATE DOMAIN age AS integer CHECK (VALUE > 0);"
                    "CREATE TYPE pair AS (n age, m mood_a)")
    run(connection, "ALTER TABLE fleet_line ADD m mood_a, ADD ms mood_a[], ADD p pair, ADD a age")
    run(connection, "ALTER TABLE fleet_line ALTER id SET GENERATED ALWAYS")
    stored = columns.stored_table(connection, "fleet_line").columns
    print({name: stored[name].is_plain for name in ("id", "m", "ms", "p", "a")})
run(source, "UPDATE fleet_line SET m = 'ok', ms = '{sad,NULL,ok}', p = '(7,sad)', a = 3")
found = {table.model.__name__: table for table in tables.moved_tables(["fleet"], source)}
print(raw_copying.copy_statements(
    found["Line"], source, target, keys.between(found["Line"], source, ("1",), None))[0])
print(suiting.column_problems(found.values(), source, target))
copy("Line", digest=True)
print(value(target, "SELECT string_agg(DISTINCT row(m, ms, p, a)::text, ' ') FROM fleet_line"))
for connection in (source, target):
    run(connection, "ALTER TABLE fleet_line DROP m, DROP ms, DROP p, DROP a,"
                    " ALTER id SET GENERATED BY DEFAULT")
"""
    )

    plain = "{'id': True, 'm': True, 'ms': False, 'p': False, 'a': True}"
    assert lines == [
        plain,
        plain,
        'COPY (SELECT "id", "text", "m", "ms", "p", "a" FROM "fleet_line" WHERE "id" > \'1\''
        ' ORDER BY "fleet_line"."id") TO STDOUT (FORMAT text)',
        "[]",
        '(ok,"{sad,NULL,ok}","(7,sad)",3)',
    ]


@pytest.mark.parametrize("extension", ["citext", "hstore"])
def test_types_of_extensions(on_postgres: Fleet, postgres: Server, extension: str) -> None:
    names = postgres.fetch("SELECT name FROM pg_available_extensions")
    if (extension,) not in names:
        # Those of a server that comes with a wheel are few.
        return
    lines = on_postgres.run(
        FILL
        + """
for connection in (source, target):
    run(connection, "CREATE EXTENSION {name}; ALTER TABLE fleet_line ADD e {name}, ADD es {name}[]")
run(source, "UPDATE fleet_line SET e = 'Ä=>b', es = ARRAY['Ä=>NULL', NULL]::{name}[]")
found = {table.model.__name__: table for table in tables.moved_tables(["fleet"], source)}
stored = columns.stored_table(target, "fleet_line").columns
print(stored["e"].is_plain, stored["es"].is_plain)
copy("Line")
texts = "SELECT string_agg(DISTINCT e::text || es::text, ' ') FROM fleet_line"
print(value(source, texts) == value(target, texts))
for connection in (source, target):
    run(connection, "DROP EXTENSION {name} CASCADE")
""".replace("{name}", extension)
    )

    assert lines == ["True False", "True"]
