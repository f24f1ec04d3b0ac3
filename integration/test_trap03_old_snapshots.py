"""Trap 3: a transaction with a snapshot of its own never sees the cache and never feeds it."""
import psycopg2.extensions
import pytest

ROLE = "snapshot_reader"


@pytest.fixture(scope="module", autouse=True)
def role(postgres, database):
    postgres.sql(database, f"CREATE ROLE {ROLE} LOGIN PASSWORD 'secret'",
                 f"ALTER ROLE {ROLE} SET default_transaction_isolation = 'repeatable read'",
                 f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {ROLE}")


@pytest.fixture
def table(env):
    name = env.name("snap")
    env.run(f"CREATE TABLE {name} (v int)", f"INSERT INTO {name} VALUES (1)")
    return name


ENTRIES = {
    "begin_repeatable_read": ({}, [], ["BEGIN ISOLATION LEVEL REPEATABLE READ"]),
    "begin_serializable": ({}, [], ["BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE"]),
    "start_serializable_read_only_deferrable":
        ({}, [], ["START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE"]),
    "set_transaction": ({}, [], ["BEGIN", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"]),
    "set_local": ({}, [], ["BEGIN", "SET LOCAL transaction_isolation = 'serializable'"]),
    "default_set": ({}, ["SET default_transaction_isolation = 'repeatable read'"], ["BEGIN"]),
    "default_to": ({}, ["SET SESSION default_transaction_isolation TO SERIALIZABLE"], ["START TRANSACTION"]),
    "default_set_config":
        ({}, ["SELECT set_config('default_transaction_isolation', 'serializable', false)"], ["BEGIN"]),
    "session_characteristics":
        ({}, ["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"], ["BEGIN"]),
    "startup_option": ({"parameters": {"options": "-c default_transaction_isolation=serializable"}}, [], ["BEGIN"]),
    "startup_parameter": ({"parameters": {"default_transaction_isolation": "repeatable read"}}, [], ["BEGIN"]),
    "role_setting": ({"user": ROLE}, [], ["BEGIN"]),
    "chained": ({}, [], ["BEGIN ISOLATION LEVEL REPEATABLE READ", "COMMIT AND CHAIN"]),
    "in_one_query": ({}, [], ["BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"]),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_trap03_snapshot_transactions_neither_hit_nor_fill(env, table, entry):
    login, session, begin = ENTRIES[entry]
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    client = env.wire(**login)
    for statement in session + begin:
        client.ok(statement)
    with env.no_hits():
        assert client.rows(sql) == [("1",)]
        assert client.extended(sql).rows == [("1",)]
    assert client.rows("SHOW transaction_isolation") != [("read committed",)]

    env.run(f"UPDATE {table} SET v = 2")
    probe.fresh()  # the cache now holds the new row
    with env.no_hits():
        assert client.rows(sql) == [("1",)]
        assert client.extended(sql).rows == [("1",)]
    assert probe.check() == [("2",)]  # what the old snapshot read was not stored

    env.run(f"UPDATE {table} SET v = 3")
    with env.no_hits():
        assert client.rows(sql) == [("1",)]  # a miss for the others, and not a fill
    assert probe.fresh() == [("3",)]
    client.ok("COMMIT")


def test_trap03_autocommit_reads_with_a_default_isolation_stay_right(env, table):
    """Outside a block each statement has a fresh snapshot: a hit is allowed, a stale row is not."""
    client = env.wire()
    client.ok("SET default_transaction_isolation = 'repeatable read'")
    sql = f"SELECT v FROM {table}"
    for value in range(2, 6):
        env.run(f"UPDATE {table} SET v = {value}")
        assert client.rows(sql) == [(str(value),)]


def test_trap03_imported_snapshot(env, table):
    exporter = env.direct(autocommit=False)
    exporter.set_session(isolation_level=psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ)
    with exporter.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot = cursor.fetchone()[0]
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    probe.fresh()
    client = env.wire()
    client.ok("BEGIN ISOLATION LEVEL REPEATABLE READ")
    client.ok(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
    with env.no_hits():
        assert client.rows(sql) == [("1",)]
    client.ok("COMMIT")
    assert probe.fresh() == [("2",)]


def test_trap03_psycopg2_isolation_levels(env, table):
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    for level in (psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ,
                  psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE):
        env.run(f"UPDATE {table} SET v = 1")
        connection = env.connect(autocommit=False)
        connection.set_session(isolation_level=level)
        with connection.cursor() as cursor:
            with env.no_hits():
                cursor.execute(sql)
                assert cursor.fetchall() == [(1,)]
            env.run(f"UPDATE {table} SET v = 2")
            probe.fresh()
            cursor.execute(sql)
            assert cursor.fetchall() == [(1,)]
            connection.commit()
            cursor.execute(sql)
            assert cursor.fetchall() == [(2,)]
        connection.close()


def test_trap03_hits_return_after_the_snapshot_transaction(env, table):
    """The same client, back at READ COMMITTED, is served again and sees the new row."""
    sql = f"SELECT v FROM {table}"
    client = env.wire()
    client.ok("BEGIN ISOLATION LEVEL SERIALIZABLE")
    assert client.rows(sql) == [("1",)]
    client.ok("ROLLBACK")
    env.run(f"UPDATE {table} SET v = 2")
    assert client.rows(sql) == [("2",)]
    env.until_hit(lambda: client.rows(sql), lambda: [("2",)])
    client.ok("BEGIN")
    env.until_hit(lambda: client.rows(sql), lambda: [("2",)])
    client.ok("COMMIT")
