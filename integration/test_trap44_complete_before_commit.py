"""Trap 44 (and 45): CommandComplete comes before the commit, and sometimes the commit before both."""
import pytest

from support import wire
from support.waiting import wait_until

USES_GATE = True


@pytest.fixture
def table(env):
    name = env.name("late")
    env.run(f"CREATE TABLE {name} (id int UNIQUE DEFERRABLE INITIALLY DEFERRED, v int)",
            f"INSERT INTO {name} VALUES (1, 1)")
    return name


@pytest.fixture
def probe(env, table):
    probe = env.probe(f"SELECT id, v FROM {table} ORDER BY id, v")
    probe.warm()
    return probe


def test_trap44_deferred_unique_in_extended_protocol(env, table, probe):
    """CommandComplete says INSERT 0 1; the Sync then fails the commit."""
    client = env.wire()
    client.send(wire.extended(f"INSERT INTO {table} VALUES (1, 2)") + wire.flush())
    assert client.read_until("C").tags == ["INSERT 0 1"]
    assert probe.check() == [("1", "1")]
    client.send(wire.sync())
    assert client.read_ready().sqlstate == "23505"
    assert probe.fresh() == [("1", "1")]


def test_trap44_deferred_unique_in_simple_protocol(env, table, probe):
    assert env.wire().query(f"INSERT INTO {table} VALUES (1, 2)").sqlstate == "23505"
    assert probe.fresh() == [("1", "1")]


@pytest.mark.parametrize("committer", ["query", "sync", "begin", "function_call", "commit"])
def test_trap44_execute_without_sync_is_committed_by_what_comes_next(env, table, probe, committer):
    client = env.wire()
    client.send(wire.extended(f"UPDATE {table} SET v = 2") + wire.flush())
    client.read_until("C")
    assert probe.check() == [("1", "1")]
    client.send({"query": wire.query("SELECT 7"), "sync": wire.sync(), "begin": wire.query("BEGIN"),
                 "function_call": wire.function_call(177, [b"1", b"2"]),
                 "commit": wire.extended("COMMIT") + wire.sync()}[committer])
    assert client.read_ready().sqlstate is None
    if committer == "begin":  # it opens a block around the update, which is not committed
        assert probe.check() == env_truth(probe)
        client.ok("COMMIT")
    if committer in ("query", "function_call") and env.postgres.version() >= 180000:
        assert probe.fresh() == [("1", "1")], "18 does not commit at these, and fails at the next statement"
        return
    assert probe.fresh() == [("1", "2")]


def env_truth(probe):
    return probe.expected()


def test_trap44_update_then_commit_then_flush(env, table, probe):
    client = env.wire()
    client.send(wire.extended(f"UPDATE {table} SET v = 2") + wire.extended("COMMIT") + wire.flush())
    client.read_until("C")
    client.read_until("C")
    wait_until(lambda: probe.expected() == [("1", "2")], "committed without a Sync")
    assert probe.check() == [("1", "2")]
    client.send(wire.sync())
    client.read_ready()
    assert probe.fresh() == [("1", "2")]


def test_trap44_update_read_by_its_own_client_before_sync(env, table, probe):
    client = env.wire()
    client.send(wire.extended(f"UPDATE {table} SET v = 2") + wire.extended(probe.sql) + wire.flush())
    client.read_until("C")
    assert client.read_until("C").rows == [("1", "2")]
    assert probe.check() == [("1", "1")]
    client.send(wire.extended("SELECT 1/0") + wire.sync())
    assert client.read_ready().sqlstate == "22012"
    assert probe.fresh() == [("1", "1")]


@pytest.mark.parametrize("sql, rows", [
    ("BEGIN; UPDATE {t} SET v = 2; COMMIT; SELECT 1/0", [("1", "2")]),
    ("BEGIN; UPDATE {t} SET v = 2; COMMIT; BEGIN; UPDATE {t} SET v = 3; ROLLBACK; SELECT 1/0", [("1", "2")]),
    ("UPDATE {t} SET v = 2; SELECT 1/0", [("1", "1")]),
    ("UPDATE {t} SET v = 2; COMMIT; SELECT 1/0", [("1", "2")]),
    ("UPDATE {t} SET v = 2; ROLLBACK; UPDATE {t} SET id = 5", [("5", "1")]),
    ("UPDATE {t} SET v = 2; COMMIT; UPDATE {t} SET v = 3; ROLLBACK", [("1", "2")]),
    ("SELECT 1; UPDATE {t} SET v = 2; SELECT 2", [("1", "2")]),
])
def test_trap44_several_statements_with_their_own_ends(env, table, probe, sql, rows):
    env.wire().query(sql.format(t=table))
    assert probe.fresh() == rows


def test_trap44_update_then_begin_in_one_query(env, table, probe):
    """BEGIN turns the implicit transaction into a block: the update commits later."""
    client = env.wire()
    reply = client.ok(f"UPDATE {table} SET v = 2; BEGIN")
    assert reply.status == "T"
    assert probe.check() == [("1", "1")]
    with env.no_hits():
        assert client.rows(probe.sql) == [("1", "2")]
    client.ok("COMMIT")
    assert probe.fresh() == [("1", "2")]
    client.ok(f"UPDATE {table} SET v = 3; BEGIN")
    client.ok("ROLLBACK")
    assert probe.fresh() == [("1", "2")]


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_trap44_call_that_commits_then_raises(env, table, probe, protocol):
    procedure = env.name("commits")
    env.run(f"CREATE PROCEDURE {procedure}() LANGUAGE plpgsql AS $$BEGIN UPDATE {table} SET v = 2; COMMIT;"
            f" UPDATE {table} SET v = 3; RAISE EXCEPTION 'too late'; END$$")
    probe.warm()
    client = env.wire()
    ask = client.query if protocol == "simple" else client.extended
    assert ask(f"CALL {procedure}()").sqlstate == "P0001"
    assert probe.fresh() == [("1", "2")]


def test_trap44_do_that_commits_then_raises(env, table, probe):
    client = env.wire()
    assert client.query(f"DO $$BEGIN UPDATE {table} SET v = 2; COMMIT; RAISE EXCEPTION 'x'; END$$").sqlstate \
        == "P0001"
    assert probe.fresh() == [("1", "2")]


def test_trap44_concurrently_that_fails_half_way(env, table, probe):
    """An invalid index is left behind; rows are as before."""
    env.run(f"ALTER TABLE {table} DROP CONSTRAINT {table}_id_key", f"INSERT INTO {table} VALUES (1, 1)")
    assert env.wire().query(f"CREATE UNIQUE INDEX CONCURRENTLY ON {table} (id)").sqlstate == "23505"
    assert probe.fresh() == [("1", "1"), ("1", "1")]


@pytest.mark.parametrize("autocommit", [True, False])
def test_trap44_backend_terminated_while_waiting_for_a_synchronous_standby(new_postgres, new_proxy, autocommit):
    """The client is told FATAL, yet the row is there."""
    from support.environment import Environment
    server = new_postgres()
    proxy = new_proxy(server.port)
    env = Environment(server, proxy, "postgres")
    try:
        env.run("CREATE TABLE waited (v int)", "INSERT INTO waited VALUES (1)")
        probe = env.probe("SELECT v FROM waited")
        probe.warm()
        server.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
        writer = env.wire()
        wait_until(lambda: writer.rows("SHOW synchronous_standby_names") == [("nobody",)], "the setting is live")
        last = "UPDATE waited SET v = 2"
        if not autocommit:
            writer.ok("BEGIN")
            writer.ok(last)
            last = "COMMIT"
        writer.send(wire.query(last))
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        (pid,) = wait_until(lambda: server.sql("postgres", waiting), "the commit waits for a standby")[0]
        assert probe.check() == [("1",)]  # durable here, visible to nobody
        server.sql("postgres", f"SELECT pg_terminate_backend({pid})")
        reply = writer.read_to_end()
        assert "E" in reply.types or "N" in reply.types
        wait_until(lambda: probe.expected() == [("2",)], "the row is there")
        assert probe.check() == [("2",)]
        server.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        assert probe.fresh() == [("2",)]
    finally:
        env.close()


@pytest.mark.parametrize("how", ["abort", "terminate"])
def test_trap45_client_dies_during_an_update_that_goes_on(env, table, probe, how):
    """The backend waits for a lock, the client is gone, the lock is given, the backend commits."""
    lock = env.direct(autocommit=False)
    with lock.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE; SELECT * FROM {table} WHERE id = 1 FOR UPDATE")
    writer = env.wire()
    marker = f"UPDATE {table} SET v = 2"
    writer.send(wire.query(marker))
    wait_until(lambda: env.postgres.sql(env.database, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                        f" AND query = '{marker}'"), "the update waits for the lock")
    if how == "terminate":
        writer.send(wire.terminate())
        writer.close()
    else:
        writer.abort()
    assert probe.check() == [("1", "1")]
    lock.rollback()
    wait_until(lambda: not env.postgres.sql(env.database, "SELECT 1 FROM pg_stat_activity WHERE state = 'active'"
                                            f" AND query = '{marker}'"), "the update has ended")
    probe.fresh()


def test_trap45_client_dies_between_bind_and_execute(env, table, probe):
    writer = env.wire()
    writer.send(wire.extended(f"UPDATE {table} SET v = 2") + wire.flush())
    writer.read_until("C")
    writer.abort()  # no Sync was ever sent: nothing commits
    wait_until(lambda: not env.postgres.sql(env.database, "SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = "
                                            f"l.relation WHERE relname = '{table}' AND mode = 'RowExclusiveLock'"),
               "the server has let go of the table")
    assert probe.fresh() == [("1", "1")]
