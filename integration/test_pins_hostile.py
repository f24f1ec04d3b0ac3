"""Statements that leave something behind in a roundabout way: nothing of it reaches the next client."""
import select

import pytest

from support import wire

CONFIG = {"pool": {"size": 1}}
LOOK = ("SELECT current_setting('search_path'), current_user::text, (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype "
        "= 'advisory' AND pid = pg_catalog.pg_backend_pid()), (SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE "
        "name NOT LIKE 'pgr\\_%'), (SELECT count(*) FROM pg_catalog.pg_listening_channels()), (SELECT count(*) FROM "
        "pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema())")


def extended(client, sql, max_rows=0, execute=True):
    client.send(wire.parse("", sql) + wire.bind("", "") + (wire.execute("", max_rows) if execute else b"") + wire.sync())
    client.read_ready()


def named(client, name, sql):
    client.send(wire.parse(name, sql) + wire.sync())
    client.read_ready().checked()


SIMPLE = {
    "executed_set_config": ["PREPARE p AS SELECT set_config('search_path', 'evil', false)", "EXECUTE p", "DEALLOCATE p"],
    "executed_role": ["PREPARE p AS SELECT set_config('role', 'reader', false)", "EXECUTE p", "DEALLOCATE p"],
    "table_as_set_config": ["CREATE TEMP TABLE x AS SELECT set_config('search_path', 'evil', false)", "DROP TABLE x"],
    "view_that_locks": ["CREATE TEMP VIEW v AS SELECT pg_advisory_lock(7) AS l", "SELECT * FROM v", "DROP VIEW v"],
    "view_that_sets": ["CREATE TEMP VIEW v AS SELECT set_config('search_path', 'evil', false) AS s", "SELECT * FROM v",
                       "DROP VIEW v"],
    "check_that_prepares": ["SELECT '(1)'::{row}, nosuch"],
    "argument_that_locks": ["PREPARE p ({locker}) AS SELECT 1 WHERE $1 IS NOT NULL", "EXECUTE p(1)", "DEALLOCATE p"],
}


@pytest.fixture
def objects(env):
    names = {each: env.name(each) for each in ("checker", "preparer", "locker", "row", "lying")}
    env.run("CREATE SCHEMA IF NOT EXISTS evil",
            f"CREATE FUNCTION {names['checker']}(int) RETURNS bool LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM pg_advisory_lock(9); RETURN true; END$$",
            f"CREATE DOMAIN {names['locker']} AS int CHECK ({names['checker']}(VALUE))",
            f"CREATE FUNCTION {names['checker']}_p(int) RETURNS bool LANGUAGE plpgsql AS"
            " $$BEGIN EXECUTE 'PREPARE evil AS SELECT 42'; RETURN true; END$$",
            f"CREATE DOMAIN {names['preparer']} AS int CHECK ({names['checker']}_p(VALUE))",
            f"CREATE TYPE {names['row']} AS (v {names['preparer']})",
            f"CREATE FUNCTION {names['lying']}() RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
            " $$BEGIN PERFORM pg_advisory_lock(11); RETURN 1; END$$")
    env.settle()
    return names


def untouched(other, before, client):
    """What the other client finds on the connection: as it is if `client` does not keep it, else when that leaves."""
    other.send(wire.query(LOOK))
    if not select.select([other.socket], [], [], 0.3)[0]:
        client.close()
    assert other.read_ready().rows == before
    client.close()


@pytest.mark.parametrize("name", SIMPLE)
def test_what_is_left_in_a_roundabout_way_stays_with_its_client(env, objects, name):
    other, client = env.wire(), env.wire()
    before = other.rows(LOOK)
    for sql in SIMPLE[name]:
        client.query(sql.format(**objects))
    untouched(other, before, client)


EXTENDED = {
    "a_row_of_a_lock": lambda client, names: extended(client, "SELECT pg_advisory_lock(13)", 1),
    "a_row_of_a_setting": lambda client, names: extended(client, "SELECT set_config('search_path', 'evil', false)", 1),
    "bound_only": lambda client, names: extended(client, f"SELECT {names['lying']}()", execute=False),
    "listen_by_name": lambda client, names: (named(client, "l", "LISTEN chan"), client.ok("EXECUTE l"),
                                             client.ok("DEALLOCATE l")),
    "path_by_name": lambda client, names: (named(client, "s", "SET search_path = evil"), client.ok("EXECUTE s"),
                                           client.ok("DEALLOCATE s")),
    "table_by_name": lambda client, names: (named(client, "t", "CREATE TEMP TABLE mine (v int)"), client.ok("EXECUTE t"),
                                            client.ok("DEALLOCATE t")),
}


@pytest.mark.parametrize("name", EXTENDED)
def test_what_the_extended_protocol_leaves_stays_with_its_client(env, objects, name):
    other, client = env.wire(), env.wire()
    before = other.rows(LOOK)
    EXTENDED[name](client, objects)
    if name == "a_row_of_a_setting":  # a setting follows its client; it is known and pins nobody
        assert client.rows("SHOW search_path") == [("evil",)]
    untouched(other, before, client)


def test_rows_read_under_a_path_that_execute_has_set_are_nobody_elses(env, objects):
    table = env.name("both")
    env.run(f"CREATE TABLE {table} AS SELECT 'public' AS v", f"CREATE TABLE evil.{table} AS SELECT 'evil' AS v")
    env.settle()
    sql = f"SELECT v FROM {table}"
    client = env.wire()
    client.ok("PREPARE p AS SELECT set_config('search_path', 'evil', false)")
    client.query("EXECUTE p")
    for _ in range(3):
        assert client.rows(sql) == [("evil",)]
    client.close()
    for _ in range(3):
        assert env.wire().rows(sql) == [("public",)]


@pytest.mark.parametrize("how", ["query", "pipeline", "role"])
def test_a_write_behind_a_change_of_the_path_in_one_go_is_seen(env, objects, how):
    """Both tables have the name; the write goes to the second one."""
    table, role = env.name("moved"), env.name("mover")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE evil.{table} AS SELECT 1 AS v")
    if how == "role":
        env.run(f"CREATE ROLE {role}", f"CREATE SCHEMA {role} AUTHORIZATION {role}",
                f"CREATE TABLE {role}.{table} AS SELECT 1 AS v", f"GRANT ALL ON {role}.{table} TO {role}")
    env.settle()
    schema = role if how == "role" else "evil"
    probe = env.probe(f"SELECT v FROM {schema}.{table}")
    probe.warm()
    writer = env.wire()
    change = f"SET ROLE {role}" if how == "role" else "SET search_path = evil"
    if how == "pipeline":
        writer.send(wire.parse("", change) + wire.bind("", "") + wire.execute("")
                    + wire.parse("", f"UPDATE {table} SET v = 2") + wire.bind("", "") + wire.execute("") + wire.sync())
        writer.read_ready().checked()
    else:
        writer.ok(f"{change}; UPDATE {table} SET v = 2")
    writer.close()
    assert probe.expected() == [("2",)]
    probe.fresh()


def test_a_body_that_cannot_be_parsed_proves_nothing_of_what_came_before(env, objects):
    """One Query too long to be analysed commits a write, and then fails with the parser's own error."""
    table = env.name("early")
    env.run(f"CREATE TABLE {table} (v int)")
    env.settle()
    probe = env.probe(f"SELECT count(*) FROM {table}")
    probe.warm()
    text = (f"BEGIN; INSERT INTO {table} VALUES (1); COMMIT; CREATE FUNCTION {table}_bad() RETURNS int LANGUAGE sql AS 'selec 1'"
            f" /* {'x' * 200_000} */")
    writer = env.wire()
    assert writer.query(text).sqlstate == "42601"
    writer.close()
    assert probe.expected() == [("1",)]
    probe.fresh()


HIDDEN_CHANGES = {
    "do": "DO $$BEGIN PERFORM set_config('search_path', 'evil', false); END$$",
    "computed_value": "SELECT set_config('search_path', 'ev' || 'il', false)",
    "computed_name": "SELECT set_config('search_' || 'path', 'evil', false)",
}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("name", HIDDEN_CHANGES)
def test_a_write_behind_a_hidden_change_of_the_path_is_seen(env, objects, name, together):
    table = env.name("hidden")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE evil.{table} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM evil.{table}")
    probe.warm()
    writer = env.wire()
    if together:
        writer.ok(f"{HIDDEN_CHANGES[name]}; UPDATE {table} SET v = 2")
    else:
        writer.ok(HIDDEN_CHANGES[name])
        writer.ok(f"UPDATE {table} SET v = 2")
    writer.close()
    assert probe.expected() == [("2",)]
    probe.fresh()


def test_a_query_inside_a_unit_that_has_changed_the_path_is_seen(env, postgres, objects):
    if postgres.version() >= 180000:
        pytest.skip("PostgreSQL 18 does not commit a Query inside a unit at its ReadyForQuery")
    table = env.name("mixed")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE evil.{table} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM evil.{table}")
    probe.warm()
    writer = env.wire()
    writer.send(wire.parse("", "SET search_path = evil") + wire.bind("", "") + wire.execute("")
                + wire.query(f"UPDATE {table} SET v = 2"))
    writer.read_ready().checked()
    writer.close()
    assert probe.expected() == [("2",)]
    probe.fresh()
