"""Indexes, constraints and triggers: away, and back, however often it is interrupted."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Role
from tests.moving.conftest import Fleet
from tests.support.servers import Server

FILL = """
fresh(source, target)
run(source, "INSERT INTO fleet_car (id, name, kind)"
            " SELECT n, 'car ' || n, n FROM generate_series(1, 9) n")
all_tables = list(found.values())
COUNT = "SELECT count(*) FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid" \
    " WHERE c.relname LIKE 'fleet%' AND contype NOT IN ('c', 'n')"
def back():
    parts.put_parts_back(all_tables, target, "token", report=lambda *part: print(*part))
"""


def test_away_and_back_after_interruptions(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
before = value(target, COUNT)
parts.take_parts_away(all_tables, target, "token")
print(value(target, COUNT), MovedTableState.objects.using("fleet").count() == len(all_tables))
parts.take_parts_away(all_tables, target, "token")
class Killed(Exception):
    pass
def killed(*part):
    raise Killed
made = 0
while True:
    try:
        parts.put_parts_back(all_tables, target, "token", report=killed)
        break
    except Killed:
        made += 1
print(made == sum(len(state.parts) for state in MovedTableState.objects.using("fleet").all()))
print(value(target, COUNT) == before)
back()
"""
    )

    assert lines == ["0 True", "True", "True"]


def test_rows_that_break_a_constraint_are_named_by_it(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
parts.take_parts_away(all_tables, target, "token")
run(target, "INSERT INTO fleet_car (id, name, parent_id) VALUES (1, 'secret', 77)")
try:
    back()
except MoveError as error:
    print(error)
run(target, "DELETE FROM fleet_car")
back()
"""
    )

    [error] = [line for line in lines if "cannot" in line]
    assert error.startswith("'fleet_car_parent_id_")
    assert "of 'fleet_car' cannot be made again: IntegrityError, 23503, table 'fleet_car'" in error
    assert "77" not in error.replace("_77", "")


def test_parts_that_may_not_be_dropped(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
run(target, "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE EXCEPTION USING errcode = ''XX000'', message = ''no''; END'")
run(target, "CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse()")
try:
    parts.take_parts_away(all_tables, target, "token")
except Error as error:
    print(type(error).__name__, MovedTableState.objects.using("fleet").count())
run(target, "SET lock_timeout = '100ms'")
run(target, "DROP EVENT TRIGGER refuse")
run(target, "DROP FUNCTION refuse()")
parts.take_parts_away(all_tables, target, "token")
from appdb_router.services.connecting import separate_connection
with separate_connection("fleet") as other, transaction.atomic(using="default"):
    other.set_autocommit(False)
    run(other, "LOCK TABLE fleet_car")
    try:
        back()
    except Error as error:
        print(type(error).__name__)
    other.rollback()
run(target, "RESET lock_timeout")
parts.put_parts_back(all_tables, target, "token", report=lambda *part: None)
"""
    )

    assert lines[0] == "InternalError 0"
    assert lines[-1] == "OperationalError"


def test_how_many_processes_make_an_index(on_postgres: Fleet) -> None:
    """One, if the target has something else to do meanwhile."""
    lines = on_postgres.run(
        FILL
        + """
run(target, "CREATE TABLE seen (workers text)")
run(target, "CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO"
            " seen VALUES (current_setting(''max_parallel_maintenance_workers'')); END'")
run(target, "CREATE EVENT TRIGGER see ON ddl_command_end WHEN TAG IN ('CREATE INDEX')"
            " EXECUTE FUNCTION see()")
run(target, "SET max_parallel_maintenance_workers = 3")
parts.take_parts_away(all_tables, target, "token")
for is_alone in (False, True):
    parts.put_parts_back(all_tables, target, "token", report=lambda *part: None,
                         only_keys=not is_alone, alone=lambda: is_alone)
    print(value(target, "SELECT string_agg(DISTINCT workers, ' ' ORDER BY workers) FROM seen"))
run(target, "RESET max_parallel_maintenance_workers")
run(target, "DROP EVENT TRIGGER see; DROP FUNCTION see; DROP TABLE seen")
"""
    )

    assert lines == ["0", "0 3"]


def test_triggers(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
run(target, "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.name := ''spoilt''; RETURN NEW; END'")
for name in ("spoil", "off", "appdb_router_mine", "gone"):
    run(target, f"CREATE TRIGGER {name} BEFORE UPDATE ON fleet_car"
                " FOR EACH ROW EXECUTE FUNCTION spoil()")
run(target, "ALTER TABLE fleet_car DISABLE TRIGGER off;"
            "ALTER TABLE fleet_car ENABLE REPLICA TRIGGER gone")
def states():
    print(value(target, "SELECT string_agg(concat(tgname, tgenabled), ' ' ORDER BY tgname)"
                        " FROM pg_trigger WHERE NOT tgisinternal"))
print(columns.stored_table(target, "fleet_car").triggers)
states()
for _ in range(2):
    parts.disable_triggers([found["Car"]], target, "token")
    states()
run(target, "DROP TRIGGER gone ON fleet_car")
for _ in range(2):
    parts.enable_triggers([found["Car"]], target, "token")
    states()
run(target, "DROP FUNCTION spoil CASCADE")
"""
    )

    assert lines == [
        "('gone', 'off', 'spoil')",
        "appdb_router_mineO goneR offD spoilO",
        "appdb_router_mineO goneD offD spoilD",
        "appdb_router_mineO goneD offD spoilD",
        "appdb_router_mineO offD spoilO",
        "appdb_router_mineO offD spoilO",
    ]


def test_where_nothing_is_taken_away(to_each: Fleet) -> None:
    """A whole move, with parts on PostgreSQL only; the next values are past both sides'."""
    lines = to_each.run(
        """
fresh(source, target)
if target.vendor == "postgresql":
    run(target, "ALTER SEQUENCE fleet_car_id_seq RESTART WITH 7 INCREMENT BY 10")
for number in (3, 40):
    Car.objects.using("default").create(id=number, name="é", kind=str(number), parent_id=number)
Car.friends.through.objects.using("default").create(from_car_id=3, to_car_id=40)
Car.objects.using("default").create(id=99)
run(source, "DELETE FROM fleet_car WHERE id = 99")
Line.objects.using("default").create(text=None)
Line.objects.using("default").create(text="x" * 100_000)
told = move_rows(source, target, chunk_rows=1)
print(sorted({item.table for item in told}) == sorted(table.name for table in found.values()))
print(all(
    list(rows.read_rows(table, source)) == list(rows.read_rows(table, target))
    for table in found.values()))
cars = [item.rows for item in told if item.table == "fleet_car"]
print(sum(item.bytes for item in told) > 100_000, cars)
print(Car.objects.using("fleet").create(name="next").id)
sequences.set_sequences(found.values(), source, target)
print(Car.objects.using("fleet").create(name="next").id)
parts.disable_triggers(found.values(), target, "token")
parts.enable_triggers(found.values(), target, "token")
whole = copying.copy_whole(found["Line"], source, target, "token")
print(Stop.objects.using("fleet").count(), whole)
sequences.set_sequences(found.values(), target, source)
print(Car.objects.using("default").create(name="back").id)
"""
    )

    first, second, back = int(lines[3]), int(lines[4]), int(lines[6])
    assert lines[:3] == ["True", "True", "True [1, 1, 0]"]
    assert first in {100, 107}
    assert second > first
    assert lines[5] == "0 2"
    assert back > second


def test_a_sequence_that_may_not_be_read(
    on_postgres: Fleet, postgres: Server, role: Callable[..., Role]
) -> None:
    lines = on_postgres.run(
        FILL
        + """
run(source, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}; SET ROLE {role}")
try:
    sequences.set_sequences(all_tables, source, target)
except MoveError as error:
    print(error)
run(source, "RESET ROLE; REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
""".replace("{role}", role(postgres).name)
    )

    assert lines == [
        "The sequence 'fleet_car_id_seq' in 'default' may not be read."
        " Grant SELECT and USAGE on it."
    ]


def test_a_table_with_two_sequences(on_postgres: Fleet) -> None:
    lines = on_postgres.run(
        FILL
        + """
for connection in (source, target):
    run(connection, "ALTER TABLE fleet_line ADD number serial")
run(source, "SELECT setval('fleet_line_number_seq', 70), setval('fleet_line_id_seq', 7000)")
sequences.set_sequences([found["Line"]], source, target)
for column in ("number", "id"):
    print(value(target, f"SELECT nextval('fleet_line_{column}_seq')"))
for connection in (source, target):
    run(connection, "ALTER TABLE fleet_line DROP number")
"""
    )

    assert lines == ["71", "7001"]
