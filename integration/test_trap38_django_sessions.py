"""Traps 38 and 39: health checks of persistent connections, and pages under ATOMIC_REQUESTS."""
import psycopg2
import pytest

from support import wire
from support.waiting import wait_until


@pytest.fixture
def own(new_postgres, new_proxy):
    """A PostgreSQL that this test may stop, and its pgrecall."""
    server = new_postgres()
    return server, new_proxy(server.port)


@pytest.mark.parametrize("check", ["SELECT 1", "", "-- ping", ";", "SELECT true"])
def test_trap38_health_checks_are_answered_only_while_a_server_lives(own, check):
    server, proxy = own
    if proxy.identity:
        pytest.skip("--direct: a client's connection ends with its server")
    client = wire.WireClient.connect(proxy.port, "postgres")
    assert client.query(check).sqlstate is None
    assert client.extended(check).sqlstate is None
    server.stop()
    try:
        reply = None
        try:
            reply = client.query(check)
            assert reply.sqlstate is not None, "a health check succeeded without a server"
            assert reply.sqlstate[:2] in ("08", "57")
        except wire.Closed:
            assert reply is None
    finally:
        client.close()
        server.start()
    healthy(proxy, check)


def healthy(proxy, check):
    """Clients are served again, without a restart of pgrecall."""
    def served():
        try:
            client = wire.WireClient.connect(proxy.port, "postgres")
        except (wire.ServerError, wire.Closed, OSError):
            return False
        try:
            return client.query(check).sqlstate is None
        except wire.Closed:
            return False
        finally:
            client.close()

    wait_until(served, "clients are served again")


def test_trap38_persistent_connection_over_many_requests(env):
    """CONN_MAX_AGE None: set_config at connect, then requests that each begin with a health check."""
    table = env.name("page")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    connection = env.connect(autocommit=False)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', 'UTC', false)")
        for request in range(2, 20):
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
            cursor.execute(f"SELECT v FROM {table}")
            assert cursor.fetchall() == [(request - 1,)]
            cursor.execute(f"UPDATE {table} SET v = {request}")
            cursor.execute(f"SELECT v FROM {table}")
            assert cursor.fetchall() == [(request,)]


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_trap39_a_page_of_reads_under_atomic_requests_is_made_of_hits(env, protocol):
    table = env.name("page")
    env.run(f"CREATE TABLE {table} (id int, v int)", f"INSERT INTO {table} VALUES (1, 1), (2, 2)")
    queries = [f"SELECT v FROM {table} WHERE id = 1", f"SELECT v FROM {table} WHERE id = 2",
               f"SELECT count(*) FROM {table}"]
    client = env.wire()
    ask = client.query if protocol == "simple" else client.extended

    def page():
        assert ask("BEGIN").status == "T"
        answers = []
        for sql in queries:
            reply = ask(sql)
            assert reply.status == "T"
            answers.append(reply.rows)
        assert ask("COMMIT").status == "I"
        return answers

    expected = [[("1",)], [("2",)], [("2",)]]
    for sql in queries:
        env.until_hit(lambda: ask(sql).rows, lambda: env.wire_direct().query(sql).rows)  # noqa: B023
    with env.all_hits(3):
        assert page() == expected
    env.run(f"UPDATE {table} SET v = 10 WHERE id = 1")
    assert page() == [[("10",)], [("2",)], [("2",)]]


def test_trap39_a_page_of_hits_uses_no_server_connection(env):
    if env.proxy.identity:
        pytest.skip("--direct has no pool")
    table = env.name("page")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    client = env.wire()
    sql = f"SELECT v FROM {table}"
    env.until_hit(lambda: client.rows(sql), lambda: [("1",)])
    client.ok("BEGIN")
    client.ok("SAVEPOINT a")
    with env.all_hits(1):
        assert client.rows(sql) == [("1",)]
    assert sum(pool["active"] + pool["pinned"] for pool in env.stats()["pools"]
               if pool["database"] == env.database) == 0
    assert env.postgres.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                            f"'{env.database}' AND state LIKE 'idle in transaction%'") == [(0,)]
    client.ok("RELEASE a")
    client.ok("COMMIT")


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_trap39_error_inside_atomic(env, protocol):
    """After an error every read is 25P02, cached or not, until ROLLBACK."""
    table = env.name("page")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    client = env.wire()
    ask = client.query if protocol == "simple" else client.extended
    sql = f"SELECT v FROM {table}"
    env.until_hit(lambda: ask(sql).rows, lambda: [("1",)])
    ask("BEGIN")
    assert ask(sql).rows == [("1",)]
    assert ask("SELECT 1/0").sqlstate == "22012"
    assert ask(sql).sqlstate == "25P02"
    assert ask("SELECT 1").sqlstate == "25P02"
    assert ask("SAVEPOINT s").sqlstate == "25P02"
    ask("ROLLBACK")
    assert ask(sql).rows == [("1",)]
    ask("BEGIN")
    ask("SAVEPOINT s")
    assert ask("SELECT nosuch").sqlstate == "42703"
    assert ask(sql).sqlstate == "25P02"
    ask("ROLLBACK TO SAVEPOINT s")
    assert ask(sql).rows == [("1",)]
    ask("RELEASE SAVEPOINT s")
    assert ask(sql).rows == [("1",)]
    assert ask("COMMIT").tags == ["COMMIT"]


def test_trap39_error_after_nothing_but_hits(env):
    """The block has not reached the server when the failing statement comes."""
    table = env.name("page")
    env.run(f"CREATE TABLE {table} (v int PRIMARY KEY)", f"INSERT INTO {table} VALUES (1)")
    connection = env.connect()
    with connection.cursor() as cursor:
        sql = f"SELECT v FROM {table}"

        def read():
            cursor.execute(sql)
            return cursor.fetchall()

        env.until_hit(read, lambda: [(1,)])
        cursor.execute("BEGIN")
        assert read() == [(1,)]
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
            cursor.execute(sql)
        cursor.execute("COMMIT")
        assert cursor.statusmessage == "ROLLBACK"
        assert read() == [(1,)]


def test_trap39_write_in_a_block_that_began_with_hits(env):
    table = env.name("page")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    assert client.rows(sql) == [("1",)]
    client.ok(f"UPDATE {table} SET v = v + 1")
    with env.no_hits():
        assert client.rows(sql) == [("2",)]
        assert client.extended(sql).rows == [("2",)]
    assert probe.check() == [("1",)]
    client.ok("COMMIT")
    assert probe.fresh() == [("2",)]
