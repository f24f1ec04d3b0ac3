"""Trap 14: settings that change the bytes of a result are part of its key."""
import subprocess

import pytest

from support import wire

TABLE = "formats"
SCHEMA = (f"CREATE TABLE {TABLE} (ts timestamptz, d date, i interval, y bytea, f float8, r real, m money, t text,"
          " x xml, n numeric)",
          f"INSERT INTO {TABLE} VALUES ('2020-06-01 12:00+00', '2020-02-03', '1 year 2 days 03:04:05', '\\x00ff41',"
          " 1.1::float8 / 3, 1.1::real / 3, 12.34, 'Größe', '<a/>', 1.50)")


@pytest.fixture(scope="module", autouse=True)
def schema(database, proxy):
    client = wire.WireClient.connect(proxy.port, database)
    for statement in SCHEMA:
        client.ok(statement)
    client.close()


def locales():
    found = subprocess.run(["locale", "-a"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return [name for name in found if name.startswith(("en_", "de_", "fr_", "ja_"))]


SETTINGS = {
    "TimeZone": ("ts", ["UTC", "Asia/Tokyo", "America/New_York", "+05:30"]),
    "DateStyle": ("d, ts", ["ISO, MDY", "German", "SQL, DMY", "Postgres, YMD"]),
    "IntervalStyle": ("i", ["postgres", "iso_8601", "sql_standard", "postgres_verbose"]),
    "bytea_output": ("y", ["hex", "escape"]),
    "extra_float_digits": ("f, r", ["1", "0", "-15"]),
    "client_encoding": ("t", ["UTF8", "LATIN1"]),
    "xmlbinary": ("xmlelement(name a, y)", ["base64", "hex"]),
    "quote_all_identifiers": ("quote_ident('a')", ["off", "on"]),
}
if locales():
    SETTINGS["lc_monetary"] = ("m", ["C.UTF-8", *locales()[:1]])


def by_set(env, name, value, port_of):
    client = port_of()
    client.ok(f"SET {name} = '{value}'")
    return client


def by_set_config(env, name, value, port_of):
    client = port_of()
    client.ok(f"SELECT set_config('{name}', '{value}', false)")
    return client


def by_set_in_extended(env, name, value, port_of):
    client = port_of()
    client.extended(f"SET {name} TO '{value}'").checked()
    return client


def by_parameter(env, name, value, port_of):
    return port_of(parameters={name: value})


def by_options(env, name, value, port_of):
    return port_of(parameters={"options": f"-c {name}={value}".replace(", ", ",")})


def by_set_in_a_block(env, name, value, port_of):
    client = port_of()
    client.ok("BEGIN")
    client.ok(f"SET LOCAL {name} = '{value}'")
    return client


def by_several_statements(env, name, value, port_of):
    client = port_of()
    client.ok(f"SELECT 1; SET {name} = '{value}'; SELECT 2")
    return client


def by_function(env, name, value, port_of):
    client = port_of()
    client.ok(f"DO $$BEGIN PERFORM set_config('{name}', '{value}', false); END$$")
    return client


WAYS = [by_set, by_set_config, by_set_in_extended, by_parameter, by_options, by_set_in_a_block,
        by_several_statements, by_function]


def answers(client, sql):
    """Raw bytes in both protocols."""
    return (client.ok(sql).raw_rows, client.extended(sql).checked().raw_rows,
            client.extended(sql, result_formats=[1]).checked().raw_rows)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SETTINGS)
def test_trap14_each_client_gets_its_own_bytes(env, name, way):
    columns, values = SETTINGS[name]
    sql = f"SELECT {columns} FROM {TABLE}"
    truth = [answers(way(env, name, value, env.wire_direct), sql) for value in values]
    assert len({repr(answer) for answer in truth}) == len(values), "the setting changes nothing: a poor test"
    clients = [way(env, name, value, env.wire) for value in values]
    for _ in range(3):
        for client, expected in zip(clients, truth):
            assert answers(client, sql) == expected
    if way is not by_function:  # opaque code: its client may stay uncached
        for client, expected in zip(clients, truth):
            env.until_hit(lambda: client.ok(sql).raw_rows, lambda: expected[0])  # noqa: B023


@pytest.mark.parametrize("name", SETTINGS)
def test_trap14_end_of_a_setting(env, name):
    """ROLLBACK, SET LOCAL's end, RESET, RESET ALL, DISCARD ALL: back to what was before."""
    columns, values = SETTINGS[name]
    sql = f"SELECT {columns} FROM {TABLE}"

    def play(client):
        seen = []
        for script in (["BEGIN", "SET {n} = '{v}'", "?", "ROLLBACK", "?"],
                       ["BEGIN", "SET LOCAL {n} = '{v}'", "?", "COMMIT", "?"],
                       ["BEGIN", "SAVEPOINT s", "SET {n} = '{v}'", "?", "ROLLBACK TO s", "?", "COMMIT", "?"],
                       ["BEGIN", "SET {n} = '{v}'", "COMMIT", "?", "RESET {n}", "?"],
                       ["SET {n} = '{v}'", "?", "RESET ALL", "?"],
                       ["SET {n} = '{v}'", "?", "SET {n} TO DEFAULT", "?"],
                       ["SET {n} = '{v}'", "DISCARD ALL", "?"],
                       ["BEGIN; SET {n} = '{v}'; ROLLBACK", "?"],
                       ["BEGIN", "SET {n} = '{v}'", "SET {n} = 'no such value'", "ROLLBACK", "?"]):
            for step in script:
                if step == "?":
                    seen.append(answers(client, sql))
                else:
                    client.query(step.format(n=name, v=values[1]))
        return seen

    expected = play(env.wire_direct())
    for _ in range(2):
        assert play(env.wire()) == expected


def test_trap14_settings_given_to_the_role(env):
    """ALTER ROLE SET decides for sessions that begin afterwards."""
    role = env.name("tokyo")
    env.run(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'", f"GRANT SELECT ON {TABLE} TO {role}")
    sql = f"SELECT ts FROM {TABLE}"
    before = env.wire(user=role)
    env.until_hit(lambda: before.rows(sql), lambda: [("2020-06-01 12:00:00+00",)])
    env.run(f"ALTER ROLE {role} SET TimeZone = 'Asia/Tokyo'")
    after = env.wire(user=role)
    for _ in range(3):
        assert after.rows(sql) == [("2020-06-01 21:00:00+09",)]
        assert before.rows(sql) == [("2020-06-01 12:00:00+00",)]
    env.until_hit(lambda: after.rows(sql), lambda: [("2020-06-01 21:00:00+09",)])
    assert after.parameters["TimeZone"] == "Asia/Tokyo"


def test_trap14_inert_settings_do_not_split_the_key(env):
    sql = f"SELECT n FROM {TABLE}"
    first, second = env.wire(), env.wire(parameters={"application_name": "another"})
    env.until_hit(lambda: first.rows(sql), lambda: [("1.50",)])
    second.ok("SET statement_timeout = '1min'")
    second.ok("SET work_mem = '8MB'")
    with env.all_hits(1):
        assert second.rows(sql) == [("1.50",)]


def test_trap14_unknown_settings_split_the_key_or_stay_uncached(env):
    """A custom setting read by a function of the statement."""
    function = env.name("tenant")
    env.run(f"CREATE FUNCTION {function}() RETURNS text LANGUAGE sql STABLE AS"
            " $$SELECT current_setting('app.tenant', true)$$")
    sql = f"SELECT {function}(), n FROM {TABLE}"
    clients = {tenant: env.wire() for tenant in ("a", "b")}
    for tenant, client in clients.items():
        client.ok(f"SET app.tenant = '{tenant}'")
    for _ in range(3):
        for tenant, client in clients.items():
            assert client.rows(sql) == [(tenant, "1.50")]
            assert client.rows(f"SELECT n FROM {TABLE} WHERE current_setting('app.tenant') = 'a'") == \
                ([("1.50",)] if tenant == "a" else [])
