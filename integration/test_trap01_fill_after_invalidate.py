"""Trap 1: a slow SELECT is under way while a write to its table is acknowledged."""
import pytest

from support import wire
from support.environment import Background

USES_GATE = True


def simple(client, sql):
    client.send(wire.query(sql))


def extended(client, sql):
    client.send(wire.extended(sql) + wire.sync())


WRITES = {
    "autocommit": ["UPDATE {t} SET v = 3"],
    "transaction": ["BEGIN", "UPDATE {t} SET v = 3", "COMMIT"],
    "opaque": ["DO $$BEGIN UPDATE {t} SET v = 3; END$$"],
}


@pytest.mark.parametrize("send", [simple, extended])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("stop_at", ["T", "D", "C", "Z"])
def test_trap01_rows_that_arrive_after_a_write_are_not_stored(env, gate, send, write, stop_at):
    table = env.name("slow")
    env.run(f"CREATE TABLE {table} (id int PRIMARY KEY, v bigint)", f"INSERT INTO {table} VALUES (1, 1)")
    sql = f"SELECT v FROM {table} WHERE id = 1"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")

    slow = env.wire()
    with gate.hold_replies(sql, at=stop_at) as hold:
        send(slow, sql)
        hold.wait_caught()
        env.run(*[statement.format(t=table) for statement in WRITES[write]])
        if stop_at in "TD":
            assert env.wire().rows(sql) == [("3",)]
    assert slow.read_ready().rows == [("2",)]  # its own snapshot, as PostgreSQL gave it
    if stop_at in "CZ":  # nobody has read since the write: there is nothing that could be hit
        with env.no_hits():
            assert probe.readers[0].read() == [("3",)]
    assert probe.fresh() == [("3",)]


def test_trap01_rows_that_arrive_after_ddl_are_not_stored(env, gate):
    """The SELECT holds its lock until it has ended, so the DDL is one that waits for nobody."""
    table = env.name("slow")
    env.run(f"CREATE TABLE {table} (id int, v int)", f"INSERT INTO {table} VALUES (1, 1)")
    view = env.name("shown")
    env.run(f"CREATE VIEW {view} AS SELECT v FROM {table}")
    sql = f"SELECT * FROM {view}"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    slow = env.wire()
    with gate.hold_replies(sql, at="D") as hold:
        simple(slow, sql)
        hold.wait_caught()
        env.run(f"GRANT SELECT ON {table} TO PUBLIC", f"UPDATE {table} SET v = 3")
    assert slow.read_ready().rows == [("2",)]
    assert probe.fresh() == [("3",)]


def test_trap01_a_read_that_starts_after_the_write_is_not_given_the_slow_ones_rows(env, gate):
    """Readers that come while the slow read is still under way and the write is acknowledged."""
    table = env.name("slow")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    slow = env.wire()
    with gate.hold_replies(sql, at="D") as hold:
        simple(slow, sql)
        hold.wait_caught()
        early = Background(env.wire().rows, sql)  # may join the slow one: it started before the write
        env.run(f"UPDATE {table} SET v = 3")
        late = [env.wire().rows(sql) for _ in range(3)]
        assert late == [[("3",)]] * 3
    assert slow.read_ready().rows == [("2",)]
    assert early.result() in ([("2",)], [("3",)])
    assert probe.fresh() == [("3",)]


def test_trap01_write_rolled_back_while_rows_arrive(env, gate):
    table = env.name("slow")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    slow = env.wire()
    with gate.hold_replies(sql, at="D") as hold:
        simple(slow, sql)
        hold.wait_caught()
        env.run("BEGIN", f"UPDATE {table} SET v = 3", "ROLLBACK")
    assert slow.read_ready().rows == [("2",)]
    assert probe.fresh() == [("2",)]


def test_trap01_write_of_another_table_of_the_join(env, gate):
    left, right = env.name("left"), env.name("right")
    env.run(f"CREATE TABLE {left} (id int, v int)", f"CREATE TABLE {right} (id int, v int)",
            f"INSERT INTO {left} VALUES (1, 1)", f"INSERT INTO {right} VALUES (1, 1)")
    sql = f"SELECT l.v, r.v FROM {left} l JOIN {right} r USING (id)"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {left} SET v = 2")
    slow = env.wire()
    with gate.hold_replies(sql, at="C") as hold:
        extended(slow, sql)
        hold.wait_caught()
        env.run(f"UPDATE {right} SET v = 3")
    assert slow.read_ready().rows == [("2", "1")]
    assert probe.fresh() == [("2", "3")]
