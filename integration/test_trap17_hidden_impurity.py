"""Traps 17, 56 and 59: results that are not a function of the rows."""
import pytest

from support import wire

CONFIG = {"pool": {"size": 5}}


@pytest.fixture(scope="module", autouse=True)
def schema(database, proxy):
    client = wire.WireClient.connect(proxy.port, database)
    for statement in (
            "CREATE TABLE one (v int)", "INSERT INTO one VALUES (1)", "CREATE SEQUENCE seq",
            "CREATE TABLE stamped (ts timestamptz, d date)",
            "INSERT INTO stamped VALUES ('2020-01-01', '2020-01-01'), (now() + interval '1 day', current_date + 1)",
            "CREATE VIEW clock AS SELECT v, clock_timestamp() AS t FROM one",
            "CREATE VIEW nowview AS SELECT v, now() AS t FROM one",
            "CREATE VIEW over_clock AS SELECT t FROM clock",
            "CREATE FUNCTION f_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT clock_timestamp()'",
            "CREATE FUNCTION f_immutable() RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS"
            " $$BEGIN RETURN random(); END$$",
            "CREATE FUNCTION f_default(t timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz LANGUAGE sql"
            " IMMUTABLE AS 'SELECT t'",
            "CREATE TABLE big AS SELECT g AS v FROM generate_series(1, 20000) g"):
        client.ok(statement)
    client.close()


NEVER_TWICE = [
    "SELECT clock_timestamp() FROM one", "SELECT now() FROM one", "SELECT current_timestamp, v FROM one",
    "SELECT statement_timestamp() FROM one", "SELECT transaction_timestamp() FROM one", "SELECT random() FROM one",
    "SELECT localtime FROM one", "SELECT localtimestamp(6) FROM one", "SELECT timeofday() FROM one",
    "SELECT gen_random_uuid() FROM one", "SELECT nextval('seq') FROM one", "SELECT t FROM clock", "SELECT t FROM nowview",
    "SELECT t FROM over_clock", "SELECT f_now() FROM one", "SELECT f_immutable() + 0 * v FROM one",
    "SELECT f_default() FROM one", "SELECT max(clock_timestamp()) FROM one", "SELECT (SELECT clock_timestamp()) FROM one",
    "WITH c AS (SELECT clock_timestamp() AS t) SELECT t FROM c, one",
    "SELECT t FROM one, LATERAL (SELECT clock_timestamp() AS t) q", "SELECT v, row_number() OVER (ORDER BY random()),"
    " random() FROM one", "SELECT age(clock_timestamp(), ts) FROM stamped LIMIT 1", "SELECT age(ts), now() FROM stamped"
    " LIMIT 1", "SELECT pg_backend_pid() + random() FROM one", "SELECT txid_current() FROM one",
    "SELECT pg_current_xact_id() FROM one", "SELECT 'now'::text::timestamptz FROM one",
    "SELECT ('no' || 'w')::timestamptz FROM one", "SELECT timestamptz 'now' FROM one",
    "SELECT CAST('now' AS timestamptz) FROM one", "SELECT '{now}'::timestamptz[] FROM one",
    "SELECT ('[2000-01-01,now]')::tstzrange FROM one", "SELECT make_interval(secs => random()) FROM one",
    "SELECT count(*) FROM (SELECT * FROM big TABLESAMPLE BERNOULLI (50)) q",
]


@pytest.mark.parametrize("sql", NEVER_TWICE)
def test_trap17_different_each_time(env, sql):
    """Many reads by two clients in both protocols: no answer repeats one that was given before."""
    clients = [env.wire(), env.wire()]
    with env.no_hits():
        seen = [repr(ask(sql).checked().rows) for _ in range(4) for client in clients
                for ask in (client.query, client.extended)]
    assert len(set(seen)) > len(seen) // 2, seen


SIDE_EFFECTS = {
    "nextval": ("SELECT nextval('seq') FROM one", "SELECT last_value FROM seq"),
    "setval": ("SELECT setval('seq', (SELECT last_value + 1 FROM seq)) FROM one", "SELECT last_value FROM seq"),
    "advisory_lock": ("SELECT pg_advisory_lock(5) FROM one", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                      " AND pid = pg_backend_pid()"),
    "set_config": ("SELECT set_config('app.x', current_setting('app.x', true) || 'y', false) FROM one",
                   "SELECT current_setting('app.x', true)"),
}


@pytest.mark.parametrize("name", SIDE_EFFECTS)
def test_trap17_functions_with_effects_always_run(env, name):
    sql, look = SIDE_EFFECTS[name]
    client, truth = env.wire(), env.wire_direct()
    for each in (client, truth):
        each.ok("SELECT set_config('app.x', '', false), pg_advisory_unlock_all()")
    results = []
    with env.no_hits():
        for each in (client, truth):
            each.ok("SELECT setval('seq', 100)")
            states = []
            for _ in range(3):
                each.ok(sql)
                states.append(each.rows(look))
                each.extended(sql).checked()
                states.append(each.rows(look))
            if name == "advisory_lock":
                states = [row[0][0] for row in states]  # one lock, held several times
            each.ok("SELECT pg_advisory_unlock_all()")
            results.append(states)
    assert results[0] == results[1]


def test_trap17_pg_notify_always_sends(env):
    listener, client = env.wire(), env.wire()
    listener.ok("LISTEN impure")
    for _ in range(3):
        client.ok("SELECT pg_notify('impure', 'x') FROM one")
    for _ in range(3):
        assert listener.read_message(timeout=10).type == "A"


def test_trap17_dblink(env):
    env.run("CREATE EXTENSION IF NOT EXISTS dblink")
    sql = f"SELECT * FROM dblink('host={env.postgres.folder} port={env.postgres.port} dbname={env.database}" \
          " user=postgres', 'SELECT v FROM linked') AS r (v int)"
    env.run("CREATE TABLE linked (v int)", "INSERT INTO linked VALUES (0)")
    client = env.wire()
    for value in range(1, 5):
        env.run(f"UPDATE linked SET v = {value}")
        assert client.rows(sql) == [(str(value),)]
        assert client.rows(sql) == [(str(value),)]


@pytest.mark.parametrize("sql", [
    "SELECT v FROM one FOR UPDATE", "SELECT v FROM one LIMIT 1 FOR UPDATE", "SELECT v FROM one FOR SHARE",
    "SELECT v FROM one FOR KEY SHARE OF one SKIP LOCKED", "WITH c AS (SELECT v FROM one FOR UPDATE) SELECT * FROM c",
    "SELECT * FROM (SELECT v FROM one FOR NO KEY UPDATE) q", "SELECT v FROM one FOR UPDATE NOWAIT"])
def test_trap17_locking_clauses_lock(env, sql):
    """Each time, also the third: another session cannot take the lock meanwhile."""
    holder, other = env.wire(), env.wire()
    for _ in range(3):
        holder.ok("BEGIN")
        with env.no_hits():
            assert holder.rows(sql) == [("1",)]
        assert other.query("SELECT v FROM one FOR UPDATE NOWAIT").sqlstate == "55P03"
        holder.ok("COMMIT")
    for _ in range(3):
        holder.ok("BEGIN")
        assert holder.extended(sql).rows == [("1",)]
        assert other.query("SELECT v FROM one FOR UPDATE NOWAIT").sqlstate == "55P03"
        holder.ok("ROLLBACK")


CLOCK_FILTERS = [
    "SELECT count(*) FROM stamped WHERE ts < now()", "SELECT count(*) FROM stamped WHERE ts < 'today'",
    "SELECT count(*) FROM stamped WHERE ts < 'now'", "SELECT count(*) FROM stamped WHERE d < 'tomorrow'",
    "SELECT count(*) FROM stamped WHERE d = current_date + 1", "SELECT count(*) FROM stamped WHERE ts <"
    " 'today'::timestamptz", "SELECT count(*) FROM stamped WHERE d IN ('yesterday', 'today', 'tomorrow')",
    "SELECT count(*) FROM stamped WHERE d = ANY ('{tomorrow}')", "SELECT count(*) FROM stamped WHERE ts BETWEEN 'epoch'"
    " AND 'now'", "SELECT count(*) FROM stamped WHERE tstzrange(ts, NULL) && '[now,tomorrow]'",
    "SELECT 'today'::date - d FROM stamped ORDER BY d", "SELECT date 'today' FROM stamped LIMIT 1",
]


@pytest.mark.parametrize("sql", CLOCK_FILTERS)
def test_trap17_clock_words_in_literals_are_not_cached(env, sql):
    client, truth = env.wire(), env.wire_direct()
    with env.no_hits():
        for _ in range(3):
            assert client.rows(sql) == truth.rows(sql)
            assert client.extended(sql).rows == truth.rows(sql)


# (statement, parameter) pairs of trap 56: text that becomes a date only inside the server.
PARAMETERS = [
    ("SELECT $1::timestamptz FROM one", "now", [25]), ("SELECT $1::timestamptz FROM one", "now", []),
    ("SELECT $1::date FROM one", " TODAY ", []), ("SELECT $1::date FROM one", "yesterday", [1082]),
    ("SELECT $1::date[] FROM one", "{today}", []), ("SELECT $1::daterange FROM one", "[yesterday,today]", []),
    ("SELECT count(*) FROM stamped WHERE ts < $1", "now", []), ("SELECT count(*) FROM stamped WHERE d = $1", "tomorrow",
                                                                []),
    ("SELECT count(*) FROM stamped WHERE d = ANY($1)", "{tomorrow,2020-01-01}", []),
    ("SELECT count(*) FROM stamped WHERE d <@ $1", "[yesterday,tomorrow]", [3912]),
    ("SELECT ($1 || 'ay')::date FROM one", "tod", [25]),
]


@pytest.mark.parametrize("sql, value, types", PARAMETERS)
def test_trap56_clock_words_in_parameters_are_not_cached(env, sql, value, types):
    client, truth = env.wire(), env.wire_direct()
    with env.no_hits():
        for _ in range(3):
            seen = client.extended(sql, [value], types=types).checked().rows
            expected = truth.extended(sql, [value], types=types).checked().rows
            assert seen == expected or "now" in value, sql
    client.send(wire.parse("s", sql, types) + wire.sync())
    client.read_ready().checked()
    with env.no_hits():
        for _ in range(3):
            client.send(wire.bind("", "s", [value]) + wire.execute() + wire.sync())
            client.read_ready().checked()


DATA = ["SELECT t::date FROM words", "SELECT CAST(t AS timestamptz) FROM words WHERE id = 2",
        "SELECT t::date = current_date FROM words", "SELECT ('{' || t || '}')::date[] FROM words WHERE id = 1",
        "SELECT ('[' || t || ',]')::daterange FROM words WHERE id = 1", "SELECT id FROM words WHERE t::date > '2021-01-01'",
        "SELECT to_json(t::date) FROM words WHERE id = 1", "SELECT (jsonb_populate_record(NULL::dated, jsonb_build_object("
        "'d', t))).d FROM words WHERE id = 1"]


def test_trap56_clock_words_in_rows_are_not_cached(env):
    env.run("CREATE TABLE words (id int, t text)", "INSERT INTO words VALUES (1, 'today'), (2, 'now')",
            "CREATE TYPE dated AS (d date)")
    client, truth = env.wire(), env.wire_direct()
    with env.no_hits():
        for sql in DATA:
            for _ in range(3):
                seen, expected = client.rows(sql), truth.rows(sql)
                assert seen == expected or "timestamptz" in sql, sql
                client.extended(sql).checked()


@pytest.mark.parametrize("column", ["xmax", "xmin", "ctid", "cmin", "cmax", "tableoid"])
def test_trap59_system_columns(env, column):
    """Before and after SELECT FOR UPDATE elsewhere, and after an update that changes no value."""
    table = env.name("systemic")
    env.run(f"CREATE TABLE {table} (id int PRIMARY KEY, v int)", f"INSERT INTO {table} VALUES (1, 1)")
    clients, truth = [env.wire(), env.wire()], env.wire_direct()
    statements = [f"SELECT {column} FROM {table}", f"SELECT q.{column} FROM (SELECT {column} FROM {table}) q",
                  f"SELECT t.{column}, t FROM {table} t", f"SELECT id FROM {table} WHERE {column}::text <> ''"]
    for event in ("SELECT 1", f"SELECT * FROM {table} FOR UPDATE", f"UPDATE {table} SET v = v",
                  f"SELECT * FROM {table} FOR SHARE", f"UPDATE {table} SET v = 2"):
        env.run(event)
        for sql in statements:
            for client in clients:
                assert client.rows(sql) == truth.rows(sql), event
                assert client.extended(sql).rows == truth.rows(sql), event


def test_trap17_system_catalogs_are_not_cached(env):
    client, truth = env.wire(), env.wire_direct()
    statements = ["SELECT count(*) FROM pg_class WHERE relname LIKE 'catalogued%'",
                  "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'catalogued%'",
                  "SELECT to_regclass('catalogued2') IS NULL FROM one",
                  "SELECT has_table_privilege('one', 'SELECT') FROM one",
                  "SELECT pg_relation_size('big') > 0 FROM one", "SELECT count(*) FROM pg_stat_user_tables",
                  "SELECT obj_description('one'::regclass) FROM one", "SELECT 'one'::regclass::oid = 0 FROM one",
                  "SELECT current_setting('work_mem') FROM one", "SELECT col_description('one'::regclass, 1) FROM one"]
    for number in range(4):
        env.run(f"CREATE TABLE catalogued{number} (v int)", f"COMMENT ON TABLE one IS 'version {number}'",
                f"COMMENT ON COLUMN one.v IS 'version {number}'")
        for sql in statements:
            for _ in range(2):
                assert client.rows(sql) == truth.rows(sql), sql


def test_trap17_temporary_unlogged_and_foreign_tables(env):
    env.run("CREATE UNLOGGED TABLE unlogged (v int)", "INSERT INTO unlogged VALUES (0)",
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
            f"CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{env.postgres.folder}',"
            f" port '{env.postgres.port}', dbname '{env.database}')",
            "CREATE USER MAPPING FOR postgres SERVER self OPTIONS (user 'postgres')", "CREATE TABLE behind (v int)",
            "INSERT INTO behind VALUES (0)",
            "CREATE FOREIGN TABLE abroad (v int) SERVER self OPTIONS (table_name 'behind')",
            "CREATE VIEW over_abroad AS SELECT v FROM abroad")
    client = env.wire()
    client.ok("CREATE TEMP TABLE mine (v int)")
    client.ok("INSERT INTO mine VALUES (0)")
    for value in range(1, 5):
        env.run(f"UPDATE unlogged SET v = {value}", f"UPDATE behind SET v = {value}")
        client.ok(f"UPDATE mine SET v = {value}")
        for table in ("unlogged", "abroad", "over_abroad", "mine"):
            for _ in range(3):
                assert client.rows(f"SELECT v FROM {table}") == [(str(value),)], table
