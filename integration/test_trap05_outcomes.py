"""Trap 5: what a transaction's end really was decides, not what was asked for."""
import pytest

from support import wire
from support.waiting import wait_until

USES_GATE = True


@pytest.fixture
def table(env):
    name = env.name("outcome")
    env.run(f"CREATE TABLE {name} (id int UNIQUE DEFERRABLE INITIALLY DEFERRED, v int)",
            f"INSERT INTO {name} VALUES (1, 1)")
    return name


@pytest.fixture
def probe(env, table):
    probe = env.probe(f"SELECT id, v FROM {table} ORDER BY id, v")
    probe.warm()
    return probe


def simple(client, sql):
    return client.query(sql)


def extended(client, sql):
    return client.extended(sql)


both_protocols = pytest.mark.parametrize("send", [simple, extended])


@both_protocols
def test_trap05_rollback(env, table, probe, send):
    writer = env.wire()
    send(writer, "BEGIN")
    send(writer, f"UPDATE {table} SET v = 2")
    with env.no_hits():
        assert send(writer, probe.sql).rows == [("1", "2")]  # own write
    assert probe.check() == [("1", "1")]
    assert send(writer, "ROLLBACK").tags == ["ROLLBACK"]
    assert send(writer, probe.sql).rows == [("1", "1")]
    assert probe.fresh() == [("1", "1")]


@both_protocols
def test_trap05_commit_of_a_failed_transaction(env, table, probe, send):
    writer = env.wire()
    send(writer, "BEGIN")
    send(writer, f"UPDATE {table} SET v = 2")
    assert send(writer, "SELECT 1/0").sqlstate == "22012"
    assert send(writer, probe.sql).sqlstate == "25P02"
    assert send(writer, "COMMIT").tags == ["ROLLBACK"]
    assert send(writer, probe.sql).rows == [("1", "1")]
    assert probe.fresh() == [("1", "1")]


@both_protocols
def test_trap05_deferred_constraint_fails_at_commit(env, table, probe, send):
    writer = env.wire()
    send(writer, "BEGIN")
    assert send(writer, f"INSERT INTO {table} VALUES (1, 2)").tags == ["INSERT 0 1"]
    with env.no_hits():
        assert send(writer, probe.sql).rows == [("1", "1"), ("1", "2")]
    assert send(writer, "COMMIT").sqlstate == "23505"
    assert send(writer, probe.sql).rows == [("1", "1")]
    assert probe.fresh() == [("1", "1")]


@both_protocols
def test_trap05_rollback_to_savepoint(env, table, probe, send):
    writer = env.wire()
    send(writer, "BEGIN")
    send(writer, f"UPDATE {table} SET v = 2")
    send(writer, "SAVEPOINT s")
    send(writer, f"UPDATE {table} SET v = 3")
    assert send(writer, probe.sql).rows == [("1", "3")]
    send(writer, "ROLLBACK TO SAVEPOINT s")
    with env.no_hits():
        assert send(writer, probe.sql).rows == [("1", "2")]
    assert probe.check() == [("1", "1")]
    assert send(writer, "COMMIT").tags == ["COMMIT"]
    assert probe.fresh() == [("1", "2")]


@both_protocols
def test_trap05_only_write_undone_by_rollback_to_savepoint(env, table, probe, send):
    writer = env.wire()
    for statement in ("BEGIN", "SAVEPOINT s", f"UPDATE {table} SET v = 3", "ROLLBACK TO s"):
        send(writer, statement)
    assert send(writer, probe.sql).rows == [("1", "1")]
    send(writer, "RELEASE s")
    send(writer, f"UPDATE {table} SET v = 4")
    send(writer, "COMMIT")
    assert probe.fresh() == [("1", "4")]


@both_protocols
def test_trap05_released_savepoint_and_commit_and_chain(env, table, probe, send):
    writer = env.wire()
    for statement in ("BEGIN", "SAVEPOINT s", f"UPDATE {table} SET v = 3", "RELEASE s", "COMMIT AND CHAIN"):
        send(writer, statement)
    assert probe.fresh() == [("1", "3")]
    send(writer, f"UPDATE {table} SET v = 4")
    send(writer, "ROLLBACK AND CHAIN")
    assert probe.fresh() == [("1", "3")]
    send(writer, "COMMIT")


def test_trap05_client_leaves_an_open_transaction(env, table, probe):
    writer = env.wire()
    writer.ok("BEGIN")
    writer.ok(f"UPDATE {table} SET v = 2")
    writer.abort()
    wait_until(lambda: not env.postgres.sql(
        env.database, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND state LIKE 'idle in transaction%'"), "the transaction is gone from the server")
    assert probe.fresh() == [("1", "1")]
    env.run(f"UPDATE {table} SET v = 3")  # no lock was left behind
    assert probe.fresh() == [("1", "3")]


@both_protocols
def test_trap05_prepare_here_commit_prepared_there(env, table, probe, send):
    gid = env.name("gid")
    writer, other = env.wire(), env.wire()
    for statement in ("BEGIN", f"UPDATE {table} SET v = 2", f"PREPARE TRANSACTION '{gid}'"):
        assert send(writer, statement).sqlstate is None
    assert probe.check() == [("1", "1")]
    assert send(writer, probe.sql).rows == [("1", "1")]
    assert send(other, f"COMMIT PREPARED '{gid}'").sqlstate is None
    assert probe.fresh() == [("1", "2")]


def test_trap05_rollback_prepared_there(env, table, probe):
    gid = env.name("gid")
    env.run("BEGIN", f"UPDATE {table} SET v = 2", f"PREPARE TRANSACTION '{gid}'")
    assert probe.check() == [("1", "1")]
    env.run(f"ROLLBACK PREPARED '{gid}'")
    assert probe.fresh() == [("1", "1")]


def test_trap05_commit_prepared_of_a_transaction_prepared_past_pgrecall(env, table, probe):
    gid = env.name("gid")
    env.postgres.sql(env.database, "BEGIN", f"UPDATE {table} SET v = 2", f"PREPARE TRANSACTION '{gid}'")
    env.run(f"COMMIT PREPARED '{gid}'")
    assert probe.fresh() == [("1", "2")]


@pytest.mark.parametrize("stop", ["C", "Z"])
@pytest.mark.parametrize("autocommit", [True, False])
def test_trap05_connection_cut_after_the_commit_took_place(env, gate, table, probe, stop, autocommit):
    writer = env.wire()
    last = f"UPDATE {table} SET v = 2" if autocommit else f"COMMIT /* {table} */"
    if not autocommit:
        writer.ok("BEGIN")
        writer.ok(f"UPDATE {table} SET v = 2")
    with gate.hold_replies(last, at=stop) as hold:
        writer.send(wire.query(last))
        hold.wait_caught()
        if stop == "Z":
            wait_until(lambda: env.postgres.sql(env.database, probe.sql) == [(1, 2)], "the commit is visible")
        hold.cut()
    reply = writer.read_to_end()
    assert env.proxy.identity or (reply.sqlstate or "")[:2] in ("57", "08"), reply
    wait_until(lambda: probe.expected() == [("1", "2")], "the server committed")
    assert probe.fresh() == [("1", "2")]


@pytest.mark.parametrize("autocommit", [True, False])
def test_trap05_connection_cut_before_the_commit_arrived(env, gate, table, probe, autocommit):
    writer = env.wire()
    last = f"UPDATE {table} SET v = 2" if autocommit else f"COMMIT /* {table} */"
    if not autocommit:
        writer.ok("BEGIN")
        writer.ok(f"UPDATE {table} SET v = 2")
    with gate.hold_requests(last) as hold:
        writer.send(wire.query(last))
        hold.wait_caught()
        hold.cut()
    writer.read_to_end()
    assert probe.fresh() == [("1", "1")]


def test_trap05_backend_killed_in_an_open_transaction(env, table, probe):
    writer = env.wire()
    writer.ok("BEGIN")
    writer.ok(f"UPDATE {table} SET v = 2")
    pid = writer.rows("SELECT pg_backend_pid()")[0][0]
    env.postgres.sql(env.database, f"SELECT pg_terminate_backend({pid})")
    reply = writer.read_to_end()  # at once, not with the next statement
    assert reply.sqlstate == "57P01" or (reply.sqlstate or "")[:2] == "08", reply
    assert probe.fresh() == [("1", "1")]


def test_trap05_proxy_killed_while_commit_is_in_flight(env, new_proxy, gate, table, probe):
    """The proxy that comes next remembers nothing and shows what was committed."""
    if env.proxy.identity:
        pytest.skip("--direct has no proxy to kill")
    doomed = new_proxy(gate.port)
    writer = wire.WireClient.connect(doomed.port, env.database)
    last = f"UPDATE {table} SET v = 2"
    with gate.hold_replies(last, at="Z") as hold:
        writer.send(wire.query(last))
        hold.wait_caught()
        doomed.kill()
    writer.close()
    doomed.start()
    reader = wire.WireClient.connect(doomed.port, env.database)
    assert reader.rows(probe.sql) == [("1", "2")]
    reader.close()
