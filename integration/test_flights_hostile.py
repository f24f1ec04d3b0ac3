"""Flights whose leader does not go on, and clients that are read again after a wait."""
import pytest

from support import wire
from support.environment import Environment

CONFIG = {"pool": {"size": 4}}


@pytest.fixture
def cold(env):
    name = env.name("cold")
    env.run(f"CREATE TABLE {name} AS SELECT 1 AS v")
    return name


def backlog(env, count=120):
    """Hits of more than a client may have in line, and what they read."""
    warm = env.name("warm")
    env.run(f"CREATE TABLE {warm} AS SELECT 2 AS v")
    reader, truth = env.wire(), env.wire_direct()
    env.until_hit(lambda: reader.rows(f"SELECT v FROM {warm}"), lambda: truth.rows(f"SELECT v FROM {warm}"))
    return wire.query(f"SELECT v FROM {warm} /* {'x' * 10000} */") * count, f"SELECT v FROM {warm}"


def answered(client, count, sql):
    for _ in range(count):
        assert client.read_ready().rows == [("2",)]
    assert client.rows(sql) == [("2",)]


def test_a_client_whose_backlog_ends_in_hits_is_read_again(env, cold):
    padded, sql = backlog(env)
    locker = env.direct(autocommit=False)
    with locker.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {cold} IN ACCESS EXCLUSIVE MODE")
    leader, joiner = env.wire(), env.wire()
    leader.send(wire.query(f"SELECT v FROM {cold}"))
    env.until_lock_wait(cold)
    joiner.send(wire.query(f"SELECT v FROM {cold}") + padded)
    locker.rollback()
    assert leader.read_ready().rows == [("1",)]
    assert joiner.read_ready().rows == [("1",)]
    answered(joiner, 120, sql)


def execute(sql):
    return wire.parse("", sql) + wire.bind("", "") + wire.describe_portal("") + wire.execute("")


def test_nobody_waits_for_a_leader_that_has_its_rows(env, cold):
    """A pipeline of psycopg 3 sends Flush, and its Sync when the block ends."""
    sql = f"SELECT v FROM {cold}"
    leader, joiner = env.wire(), env.wire()
    leader.send(execute(sql) + wire.flush())
    assert leader.read_until("C").rows == [("1",)]
    joiner.send(execute(sql) + wire.sync())
    assert joiner.read_ready().rows == [("1",)]
    leader.send(wire.sync())
    leader.read_ready().checked()
    env.probe(sql).warm()


def test_nobody_waits_for_a_leader_whose_server_waits_for_a_sync(env, cold):
    sql = f"SELECT v FROM {cold}"
    leader, joiner = env.wire(), env.wire()
    while True:
        misses = env.stats().misses
        leader.send(execute(sql))
        env.until_activity("state = 'active'", sql, "the leader has asked")
        if env.stats().misses > misses:
            break
        leader.send(wire.sync())  # the catalog was being read
        leader.read_ready().checked()
    joiner.send(execute(sql) + wire.sync())
    assert joiner.read_ready().rows == [("1",)]
    leader.send(wire.sync())
    assert leader.read_ready().rows == [("1",)]


@pytest.mark.parametrize("extended", [False, True])
def test_nobody_waits_for_a_leader_that_does_not_read(env, extended):
    rows, table = 60000, env.name("large")
    env.run(f"CREATE TABLE {table} AS SELECT repeat('x', 1000) AS v FROM generate_series(1, {rows})")
    sql = f"SELECT v FROM {table}"
    leader, joiner = env.wire(receive_buffer=4096), env.wire()
    leader.send(execute(sql) + wire.sync() if extended else wire.query(sql))
    leader.read_message()  # it has begun
    joiner.send(execute(sql) + wire.sync() if extended else wire.query(sql))
    assert len(joiner.read_ready().rows) == rows


def test_nobody_waits_for_a_leader_that_does_not_read_what_could_be_stored(postgres, new_proxy, database):
    """Larger than what may wait for a client, smaller than the largest entry."""
    proxy = new_proxy(postgres.port, {"cache": {"entry_max": "512MB", "size": "1GB"}})
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database)
    try:
        rows, table = 60000, env.name("large")
        env.run(f"CREATE TABLE {table} AS SELECT repeat('x', 1000) AS v FROM generate_series(1, {rows})")
        sql = f"SELECT v FROM {table}"
        leader, joiner = env.wire(receive_buffer=4096), env.wire()
        env.probe(f"SELECT count(*) FROM {table}").warm()
        leader.send(wire.query(sql))
        leader.read_message()
        assert len(joiner.rows(sql)) == rows
    finally:
        env.close()
