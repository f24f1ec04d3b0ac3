"""Trap 42 (and 54): what a function leaves on its backend reaches no other client."""
import pytest

from support import wire

CONFIG = {"pool": {"size": 1}}

LEAVERS = {
    "custom_setting": ("PERFORM set_config('app.tenant', 'leaked', false)", "SELECT current_setting('app.tenant', true)"),
    "known_setting": ("PERFORM set_config('TimeZone', 'Asia/Tokyo', false)", "SHOW TimeZone"),
    "search_path": ("PERFORM set_config('search_path', 'pg_catalog', false)", "SHOW search_path"),
    "role": ("SET ROLE left_behind", "SELECT current_user"),
    "session_authorization": ("SET SESSION AUTHORIZATION left_behind", "SELECT session_user"),
    "temporary_table": ("CREATE TEMP TABLE leaked AS SELECT 1", "SELECT to_regclass('pg_temp.leaked') IS NULL"),
    "advisory_lock": ("PERFORM pg_advisory_lock(4242)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                      " AND pid = pg_backend_pid()"),
    "prepared_statement": ("EXECUTE 'PREPARE leaked AS SELECT 1'", "SELECT count(*) FROM pg_prepared_statements"
                           " WHERE name = 'leaked'"),
    "listen": ("EXECUTE 'LISTEN leaked'", "SELECT count(*) FROM pg_listening_channels()"),
    "statement_timeout": ("PERFORM set_config('statement_timeout', '7min', false)", "SHOW statement_timeout"),
}


@pytest.fixture(scope="module", autouse=True)
def role(postgres, database):
    postgres.sql(database, "CREATE ROLE left_behind", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO left_behind")


@pytest.mark.parametrize("how", ["DO", "function", "procedure"])
@pytest.mark.parametrize("name", LEAVERS)
def test_trap42_the_next_client_sees_nothing_of_it(env, name, how):
    leave, look = LEAVERS[name]
    expected = env.wire_direct().rows(look)
    function = env.name("leaver")
    if how == "function":
        env.run(f"CREATE FUNCTION {function}() RETURNS void LANGUAGE plpgsql AS $$BEGIN {leave}; END$$")
    if how == "procedure":
        env.run(f"CREATE PROCEDURE {function}() LANGUAGE plpgsql AS $$BEGIN {leave}; END$$")
    statement = {"DO": f"DO $${'BEGIN ' + leave + '; END'}$$", "function": f"SELECT {function}()",
                 "procedure": f"CALL {function}()"}[how]
    truth = env.wire_direct()
    truth.ok(statement)
    left = truth.rows(look)
    truth.ok("SELECT pg_advisory_unlock_all()")
    truth.close()
    dirty = env.wire()
    dirty.ok(statement)
    assert dirty.rows(look) == left  # for its own client it is as it would be
    dirty.close()
    clean = env.wire()
    assert clean.rows(look) == expected
    assert clean.extended(look).rows == expected


@pytest.mark.parametrize("name", ["custom_setting", "known_setting", "search_path", "role"])
def test_trap42_no_row_is_stored_under_a_wrong_key(env, name):
    """The same text before and after the function, by the same client and by another."""
    leave, _ = LEAVERS[name]
    table = env.name("keyed")
    env.run(f"CREATE TABLE {table} (ts timestamptz, tenant text)",
            f"INSERT INTO {table} VALUES ('2020-01-01 00:00+00', 'leaked')",
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY", f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY p ON {table} USING (tenant = current_setting('app.tenant', true))")
    sql = f"SELECT ts, current_user FROM public.{table}"
    truth = env.wire_direct()
    client = env.wire()
    env.until_hit(lambda: client.rows(sql), lambda: truth.rows(sql))
    before = truth.rows(sql)
    statement = f"DO $$BEGIN {leave}; END$$"
    client.ok(statement)
    truth.ok(statement)
    for _ in range(3):
        assert client.rows(sql) == truth.rows(sql)
        assert client.extended(sql).rows == truth.rows(sql)
    client.close()
    other = env.wire()
    for _ in range(3):
        assert other.rows(sql) == before
        assert other.extended(sql).rows == before


def test_trap54_clients_of_one_user_with_different_start_up_options(env):
    schema = env.name("tenant_a")
    env.run(f"CREATE SCHEMA {schema}")
    special = env.wire(parameters={"options": f"-c search_path={schema} -c app.tenant=A"})
    plain = env.wire()
    look = "SELECT current_setting('search_path'), current_setting('app.tenant', true)"

    def check():
        assert special.rows(look) == [(schema, "A")]
        assert plain.rows(look)[0][0] == '"$user", public'
        assert plain.rows(look)[0][1] in (None, "")

    check()
    for statement in ("RESET ALL", "DISCARD ALL", "SET search_path TO DEFAULT", "RESET search_path"):
        special.ok("SET search_path = public")
        special.ok(statement)
        plain.ok("SET search_path = pg_catalog")
        plain.ok(statement)
        check()


def test_trap42_client_that_vanishes_after_leaving_things(env):
    client = env.wire()
    client.send(wire.query("DO $$BEGIN PERFORM set_config('app.tenant', 'leaked', false); "
                           "CREATE TEMP TABLE leaked AS SELECT 1; PERFORM pg_advisory_lock(99); END$$"))
    client.read_ready().checked()
    client.abort()
    other = env.wire()
    assert other.rows("SELECT current_setting('app.tenant', true), to_regclass('pg_temp.leaked') IS NULL")[0][1] == "t"
    assert other.rows("SELECT coalesce(current_setting('app.tenant', true), '')") == [("",)]
    assert other.rows("SELECT pg_try_advisory_lock(99), pg_advisory_unlock(99)") == [("t", "t")]
