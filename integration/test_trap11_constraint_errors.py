"""Trap 11 (and 57): a constraint error proves that a row exists which the cache may not know."""
import threading

import psycopg2
import pytest

from support.waiting import wait_until

CONFIG = {"feed": {"mode": "off"}}  # the row comes from elsewhere and nothing tells of it


@pytest.fixture
def table(env):
    name = env.name("unique")
    env.run(f"CREATE TABLE {name} (id serial PRIMARY KEY, name text UNIQUE, other text)")
    return name


def select(table, name):
    return f"SELECT name FROM {table} WHERE name = '{name}'"


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("in_block", [False, True])
def test_trap11_get_or_create_finds_the_row_that_somebody_else_created(env, table, protocol, in_block):
    client = env.wire()
    run = client.query if protocol == "simple" else client.extended
    sql = select(table, "x")
    env.until_hit(lambda: run(sql).rows, list)
    env.postgres.sql(env.database, f"INSERT INTO {table} (name) VALUES ('x')")
    if in_block:
        run("BEGIN")
        run("SAVEPOINT s")
    else:
        run("SELECT 1")
    assert run(f"INSERT INTO {table} (name) VALUES ('x')").sqlstate == "23505"
    if in_block:
        run("ROLLBACK TO SAVEPOINT s")
    assert run(sql).rows == [("x",)]
    assert run(sql).rows == [("x",)]
    if in_block:
        run("COMMIT")
    assert run(sql).rows == [("x",)]
    assert env.wire().query(sql).rows == [("x",)]
    env.until_hit(lambda: run(sql).rows, lambda: [("x",)])


def test_trap11_failed_block_then_rollback(env, table):
    client = env.wire()
    sql = select(table, "x")
    env.until_hit(lambda: client.rows(sql), list)
    env.postgres.sql(env.database, f"INSERT INTO {table} (name) VALUES ('x')")
    client.ok("BEGIN")
    assert client.rows(sql) in ([], [("x",)])
    assert client.query(f"INSERT INTO {table} (name) VALUES ('x')").sqlstate == "23505"
    client.ok("ROLLBACK")
    assert client.rows(sql) == [("x",)]


def test_trap11_do_nothing_that_inserted_nothing(env, table):
    client = env.wire()
    sql = select(table, "x")
    env.until_hit(lambda: client.rows(sql), list)
    env.postgres.sql(env.database, f"INSERT INTO {table} (name) VALUES ('x')")
    assert client.ok(f"INSERT INTO {table} (name) VALUES ('x') ON CONFLICT DO NOTHING").tags == ["INSERT 0 0"]
    assert client.rows(sql) == [("x",)]
    env.postgres.sql(env.database, f"INSERT INTO {table} (name) VALUES ('y')")
    env.until_hit(lambda: client.rows(select(table, "z")), list)
    done = client.ok(f"INSERT INTO {table} (name) VALUES ('y'), ('z') ON CONFLICT (name) DO NOTHING")
    assert done.tags == ["INSERT 0 1"]
    assert client.rows(select(table, "y")) == [("y",)]
    assert client.rows(select(table, "z")) == [("z",)]


@pytest.mark.parametrize("outcome", ["COMMIT", "ROLLBACK"])
def test_trap11_insert_that_waited_for_another_transaction(env, table, outcome):
    """The other inserter is also a client of pgrecall and has not committed when ours starts."""
    first, second = env.wire(), env.connect()
    sql = select(table, "x")
    reader = env.wire()
    env.until_hit(lambda: reader.rows(sql), list)
    first.ok("BEGIN")
    first.ok(f"INSERT INTO {table} (name) VALUES ('x')")
    failure = []

    def insert():
        try:
            with second.cursor() as cursor:
                cursor.execute(f"INSERT INTO {table} (name) VALUES ('x')")
        except psycopg2.Error as error:
            failure.append(error.pgcode)

    thread = threading.Thread(target=insert)
    thread.start()
    wait_until(lambda: env.postgres.sql(env.database, "SELECT 1 FROM pg_locks WHERE NOT granted"),
               "the second insert waits")
    first.ok(outcome)
    thread.join(20)
    assert failure == (["23505"] if outcome == "COMMIT" else [])
    with second.cursor() as cursor:
        cursor.execute(sql)
        assert cursor.fetchall() == [("x",)]
    assert reader.rows(sql) == [("x",)]
    env.until_hit(lambda: reader.rows(sql), lambda: [("x",)])


def test_trap11_psycopg2_get_or_create_by_ten_threads(env, table):
    """Django's get_or_create: select, insert in a savepoint, select again."""
    failures = []

    def get_or_create(connection, name):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT name FROM {table} WHERE name = %s", (name,))
            if cursor.fetchall():
                return
            try:
                cursor.execute(f"INSERT INTO {table} (name) VALUES (%s)", (name,))
            except psycopg2.IntegrityError:
                cursor.execute(f"SELECT name FROM {table} WHERE name = %s", (name,))
                if cursor.fetchall() != [(name,)]:
                    failures.append(name)

    def work(connection):
        for number in range(40):
            get_or_create(connection, f"name {number}")

    threads = [threading.Thread(target=work, args=(env.connect(),)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures


def test_trap11_exclusion_constraint(env):
    table = env.name("exclusion")
    env.run(f"CREATE TABLE {table} (during int4range, EXCLUDE USING gist (during WITH &&))")
    client = env.wire()
    sql = f"SELECT during FROM {table}"
    env.until_hit(lambda: client.rows(sql), list)
    env.postgres.sql(env.database, f"INSERT INTO {table} VALUES ('[1,5)')")
    assert client.query(f"INSERT INTO {table} VALUES ('[4,9)')").sqlstate == "23P01"
    assert client.rows(sql) == [("[1,5)",)]


def test_trap57_a_foreign_key_error_may_mean_that_the_parent_is_stale(env):
    """23503 names the child; the row that is gone is the parent's."""
    parent, child = env.name("parent"), env.name("child")
    env.run(f"CREATE TABLE {parent} (id int PRIMARY KEY)", f"INSERT INTO {parent} VALUES (1)",
            f"CREATE TABLE {child} (id int REFERENCES {parent})")
    client = env.wire()
    sql = f"SELECT id FROM {parent}"
    env.until_hit(lambda: client.rows(sql), lambda: [("1",)])
    env.postgres.sql(env.database, f"DELETE FROM {parent}")
    assert client.query(f"INSERT INTO {child} VALUES (1)").sqlstate == "23503"
    assert client.rows(sql) == []
    assert client.extended(sql).rows == []


def test_trap57_a_delete_refused_for_a_child_nobody_has_seen(env):
    parent, child = env.name("parent"), env.name("child")
    env.run(f"CREATE TABLE {parent} (id int PRIMARY KEY)", f"INSERT INTO {parent} VALUES (1)",
            f"CREATE TABLE {child} (id int REFERENCES {parent})")
    client = env.wire()
    sql = f"SELECT id FROM {child}"
    env.until_hit(lambda: client.rows(sql), list)
    env.postgres.sql(env.database, f"INSERT INTO {child} VALUES (1)")
    assert client.query(f"DELETE FROM {parent}").sqlstate == "23503"
    assert client.rows(sql) == [("1",)]


def test_trap57_deferred_foreign_key_fails_at_commit(env):
    parent, child = env.name("parent"), env.name("child")
    env.run(f"CREATE TABLE {parent} (id int PRIMARY KEY)", f"INSERT INTO {parent} VALUES (1)",
            f"CREATE TABLE {child} (id int REFERENCES {parent} DEFERRABLE INITIALLY DEFERRED)")
    client = env.wire()
    sql = f"SELECT id FROM {parent}"
    env.until_hit(lambda: client.rows(sql), lambda: [("1",)])
    env.postgres.sql(env.database, f"DELETE FROM {parent}")
    client.ok("BEGIN")
    client.ok(f"INSERT INTO {child} VALUES (1)")
    assert client.query("COMMIT").sqlstate == "23503"
    assert client.rows(sql) == []
