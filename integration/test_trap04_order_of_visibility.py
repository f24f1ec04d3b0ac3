"""Trap 4: around a COMMIT nobody sees new-then-old, and once it is acknowledged everybody sees new."""
import threading

import pytest

from support import wire

USES_GATE = True


@pytest.fixture
def table(env):
    name = env.name("seen")
    env.run(f"CREATE TABLE {name} (id int PRIMARY KEY, v int)", f"INSERT INTO {name} VALUES (1, 1)")
    return name


COMMITS = {
    "autocommit": ([], "UPDATE {t} SET v = 2 WHERE id = 1"),
    "commit": (["BEGIN", "UPDATE {t} SET v = 2 WHERE id = 1"], "COMMIT /* {t} */"),
}


@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize("stop", ["request", "C", "Z"])
def test_trap04_never_new_then_old_while_a_commit_is_in_flight(env, gate, table, commit, stop):
    before, last = COMMITS[commit]
    last = last.format(t=table)
    sql = f"SELECT v FROM {table} WHERE id = 1"
    probe = env.probe(sql)
    probe.warm()
    writer = env.wire()
    for statement in before:
        writer.ok(statement.format(t=table))
    hold = gate.hold_requests(last) if stop == "request" else gate.hold_replies(last, at=stop)
    seen = []
    with hold:
        writer.send(wire.query(last))
        hold.wait_caught()
        for _ in range(3):
            seen += [rows[0][0] for rows in probe.reads()]
        if stop != "request":
            assert set(seen) <= {"1", "2"}
    assert writer.read_ready().sqlstate is None
    seen += [rows[0][0] for rows in probe.reads()]
    assert seen == sorted(seen), f"new, then old: {seen}"
    assert probe.fresh() == [("2",)]


def test_trap04_after_the_acknowledgement_a_second_connection_sees_new_at_once(env, table):
    sql = f"SELECT v FROM {table} WHERE id = 1"
    writer, reader = env.wire(), env.wire()
    env.until_hit(lambda: reader.rows(sql), lambda: [("1",)])
    for value in range(2, 200):
        if value % 3:
            writer.ok(f"UPDATE {table} SET v = {value} WHERE id = 1")
        else:
            for statement in ("BEGIN", f"UPDATE {table} SET v = {value} WHERE id = 1", "COMMIT"):
                writer.ok(statement)
        assert reader.rows(sql) == [(str(value),)]
        assert reader.rows(sql) == [(str(value),)]
    env.until_hit(lambda: reader.rows(sql), lambda: [("199",)])


def test_trap04_readers_under_load_never_go_back(env, table):
    """One writer counts up; four readers check that what they see only grows, and that it is never
    older than what was acknowledged before they asked."""
    sql = f"SELECT v FROM {table} WHERE id = 1"
    acknowledged = [1]
    failures = []
    finished = threading.Event()

    def read(client, extended):
        newest = 0
        while not finished.is_set():
            at_least = acknowledged[0]
            reply = client.extended(sql) if extended else client.query(sql)
            value = int(reply.rows[0][0])
            if value < max(newest, at_least):
                failures.append((value, newest, at_least))
                return
            newest = value

    clients = [(env.wire(), number % 2 == 0) for number in range(4)]
    threads = [threading.Thread(target=read, args=client) for client in clients]
    for thread in threads:
        thread.start()
    writer = env.wire()
    for value in range(2, 400):
        writer.ok(f"UPDATE {table} SET v = {value} WHERE id = 1")
        acknowledged[0] = value
    finished.set()
    for thread in threads:
        thread.join(30)
    assert not failures, f"(seen, newest seen, acknowledged): {failures}"


def test_trap04_a_listener_told_in_the_committing_transaction_sees_new(env, table):
    """on_commit by NOTIFY: PostgreSQL sends it when the row is visible."""
    sql = f"SELECT v FROM {table} WHERE id = 1"
    listener, writer, reader = env.wire(), env.wire(), env.wire()
    listener.ok(f"LISTEN {table}")
    for value in range(2, 20):
        env.until_hit(lambda: reader.rows(sql), lambda: [(str(value - 1),)])  # noqa: B023
        writer.send(wire.query(f"UPDATE {table} SET v = {value} WHERE id = 1; NOTIFY {table}"))
        while listener.read_message().type != "A":
            pass
        assert reader.rows(sql) == [(str(value),)]
        assert writer.read_ready().sqlstate is None
