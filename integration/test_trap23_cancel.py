"""Trap 23: a cancel request stops the right query, and nothing else."""
import socket

from support import wire
from support.environment import Background
from support.waiting import wait_until

USES_GATE = True
CONFIG = {"pool": {"size": 3}}
SLEEP = "SELECT pg_sleep(60)"


def cancel(env, pid, secret):
    """Sends the request and waits until the peer has closed: it has then been acted on."""
    with socket.create_connection(("127.0.0.1", env.proxy.port), timeout=10) as connection:
        connection.sendall(wire.cancel_request(pid, secret))
        assert connection.recv(1) == b""


def running(env, marker):
    return env.postgres.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
                            f"'%{marker}%' AND pid <> pg_backend_pid()")[0][0]


def test_trap23_right_query(env):
    clients = [env.wire() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(wire.query(f"{SLEEP} /* sleeper {number} */"))
    wait_until(lambda: running(env, "sleeper %") == 3, "all three sleep")
    cancel(env, clients[1].pid, clients[1].secret)
    assert clients[1].read_ready().sqlstate == "57014"
    assert running(env, "sleeper %") == 2
    assert clients[1].rows("SELECT 1") == [("1",)]
    for client in (clients[0], clients[2]):
        assert client.silent()
        cancel(env, client.pid, client.secret)
        assert client.read_ready().sqlstate == "57014"


def test_trap23_wrong_secret_and_unknown_pid(env):
    client = env.wire()
    client.send(wire.query(f"{SLEEP} /* stubborn */"))
    wait_until(lambda: running(env, "stubborn"), "it sleeps")
    wrong = bytes(byte ^ 0xFF for byte in client.secret)
    cancel(env, client.pid, wrong)
    cancel(env, client.pid ^ 1, client.secret)
    cancel(env, client.pid, b"\0\0\0\0")
    assert running(env, "stubborn") == 1
    assert client.silent()
    cancel(env, client.pid, client.secret)
    assert client.read_ready().sqlstate == "57014"


def test_trap23_during_a_hit_changes_nothing(env):
    table = env.name("hit")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    client = env.wire()
    sql = f"SELECT v FROM {table}"
    env.until_hit(lambda: client.rows(sql), lambda: [("1",)])
    for _ in range(20):
        client.send(wire.query(sql))
        cancel(env, client.pid, client.secret)
        assert client.read_ready().rows == [("1",)] or env.proxy.identity
        assert client.rows(sql) == [("1",)] or env.proxy.identity


def test_trap23_while_idle_and_late_never_hits_the_next_client(env):
    """The canceled client's server connection serves others the moment it is free."""
    first, second = env.wire(), env.wire()
    for number in range(30):
        first.ok(f"SELECT {number}")
        cancel(env, first.pid, first.secret)
        reply = second.query(f"SELECT {number}, pg_sleep(0.002)")
        assert reply.sqlstate is None, f"somebody else's cancel reached this client: {reply}"
    assert first.rows("SELECT 1") == [("1",)]


def test_trap23_race_with_the_end_of_the_query(env):
    """Whatever wins, the session stays in step and nobody else is hit."""
    client, bystanders = env.wire(), [env.wire() for _ in range(2)]
    for number in range(30):
        client.send(wire.query(f"SELECT {number}, pg_sleep(0.003)"))
        cancel(env, client.pid, client.secret)
        reply = client.read_ready()
        assert reply.sqlstate in (None, "57014")
        for bystander in bystanders:
            assert bystander.query("SELECT pg_sleep(0.001)").sqlstate is None
        if not env.proxy.identity:  # PostgreSQL itself may hit the next query of the same session
            continue


def test_trap23_during_a_shared_fill_the_others_keep_theirs(env, gate):
    table = env.name("shared")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    sql = f"SELECT v FROM {table}"
    leader, others = env.wire(), [env.wire() for _ in range(3)]
    with gate.hold_replies(sql) as hold:
        leader.send(wire.query(sql))
        hold.wait_caught()
        waiting = [Background(client.rows, sql) for client in others]
        cancel(env, others[0].pid, others[0].secret)
        cancel(env, leader.pid, leader.secret)
    assert leader.read_ready().sqlstate in (None, "57014")
    answers = []
    for answer in waiting[1:]:
        answers.append(answer.result())
    assert answers == [[("1",)]] * 2
    try:
        assert waiting[0].result() == [("1",)]
    except wire.ServerError as error:  # its own cancel
        assert error.sqlstate == "57014"
    assert env.probe(sql).fresh() == [("1",)]


def test_trap23_while_waiting_for_a_connection(env):
    """All three connections are taken; the waiter's cancel ends its wait or is ignored, no more."""
    holders = [env.wire() for _ in range(3)]
    waiter = env.wire()
    for holder in holders:
        holder.ok("BEGIN")
        holder.ok("LOCK TABLE pg_class IN ACCESS SHARE MODE")
    waiter.send(wire.query("SELECT 1"))
    cancel(env, waiter.pid, waiter.secret)
    for holder in holders:
        assert holder.query("SELECT 2").rows == [("2",)]
        holder.ok("COMMIT")
    assert waiter.read_ready().sqlstate in (None, "57014")
    assert waiter.rows("SELECT 3") == [("3",)]


def test_trap23_in_a_transaction_and_of_a_write(env):
    table = env.name("written")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    probe = env.probe(f"SELECT v FROM {table}")
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    client.send(wire.query(f"UPDATE {table} SET v = 2 WHERE pg_sleep(60) IS NOT NULL /* long write */"))
    wait_until(lambda: running(env, "long write"), "the update runs")
    cancel(env, client.pid, client.secret)
    reply = client.read_ready()
    assert reply.sqlstate == "57014" and reply.status == "E"
    assert client.query("COMMIT").tags == ["ROLLBACK"]
    assert probe.fresh() == [("1",)]


def test_trap23_canceled_partial_result_is_not_stored(env):
    table = env.name("partial")
    env.run(f"CREATE TABLE {table} AS SELECT g AS v FROM generate_series(1, 3) g")
    env.run(f"CREATE FUNCTION {table}_slow(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1'")
    sql = f"SELECT v, CASE WHEN v = 3 THEN pg_sleep(60)::text END FROM {table} ORDER BY v"
    client = env.wire()
    for _ in range(2):
        client.send(wire.query(sql))
        wait_until(lambda: running(env, f"FROM {table} ORDER"), "it runs")
        cancel(env, client.pid, client.secret)
        assert client.read_ready().sqlstate == "57014"
