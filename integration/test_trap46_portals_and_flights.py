"""Traps 46 and 51: a snapshot taken at Bind, and clients that join another's flight."""
import pytest

from support import wire
from support.environment import Background, Environment

USES_GATE = True
CONFIG = {"pool": {"size": 4}}


@pytest.fixture
def table(env):
    name = env.name("flight")
    env.run(f"CREATE TABLE {name} (id int, v int)", f"INSERT INTO {name} VALUES (1, 1)")
    return name


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("describe", [False, True])
def test_trap46_write_between_bind_and_execute(env, table, named, describe):
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    client = env.wire()
    name = "s" if named else ""
    client.send(wire.parse(name, sql) + wire.bind("", name) + (wire.describe_portal("") if describe else b"")
                + wire.flush())
    client.read_until("T" if describe else "2")
    env.run(f"UPDATE {table} SET v = 3")
    client.send(wire.execute() + wire.sync())
    assert client.read_ready().rows in ([("2",)], [("3",)])
    assert probe.check() == [("3",)]
    assert client.rows(sql) == [("3",)]
    assert probe.fresh() == [("3",)]


def test_trap46_bind_that_could_have_been_a_hit(env, table):
    """The entry is true at Bind and outdated at Execute; either row may be shown, none stored."""
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    for value in range(2, 8):
        probe.warm()
        client = env.wire()
        client.send(wire.parse("", sql) + wire.bind("", "") + wire.flush())
        client.read_until("2")
        env.run(f"UPDATE {table} SET v = {value}")
        client.send(wire.execute() + wire.sync())
        assert client.read_ready().rows in ([(str(value - 1),)], [(str(value),)])
        assert probe.check() == [(str(value),)]
    probe.fresh()


def test_trap46_several_portals_bound_before_the_write(env, table):
    sql = f"SELECT v FROM {table} WHERE id = $1"
    client = env.wire()
    client.ok("BEGIN")
    client.send(wire.parse("s", sql) + wire.bind("a", "s", ["1"]) + wire.bind("b", "s", ["1"]) + wire.flush())
    client.read_until("2")
    client.read_until("2")
    env.run(f"UPDATE {table} SET v = 2")
    client.send(wire.execute("a") + wire.bind("c", "s", ["1"]) + wire.execute("c") + wire.execute("b") + wire.sync())
    seen = client.read_ready().rows
    assert seen[1] == ("2",)
    client.ok("COMMIT")
    probe = env.probe(sql, ["1"])
    assert probe.fresh() == [("2",)]


def test_trap46_suspended_portal_and_a_write_between(env, table):
    env.run(f"INSERT INTO {table} SELECT g, 1 FROM generate_series(2, 6) g")
    sql = f"SELECT v FROM {table} ORDER BY id"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    client = env.wire()
    client.send(wire.parse("", sql) + wire.bind("", "") + wire.execute("", 2) + wire.flush())
    client.read_until("s")
    env.run(f"UPDATE {table} SET v = 3")
    client.send(wire.execute("", 0) + wire.sync())
    client.read_ready().checked()
    assert probe.fresh() == [("3",)] * 6


@pytest.mark.parametrize("ask", ["simple", "extended"])
def test_trap51_a_client_that_comes_after_the_write_does_not_get_the_leaders_rows(env, gate, table, ask):
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    leader, late = env.wire(), env.wire()
    message = wire.query(sql) if ask == "simple" else wire.extended(sql) + wire.sync()
    with gate.hold_replies(sql, at="D") as hold:
        leader.send(message)
        hold.wait_caught()  # the leader's snapshot is taken
        env.run(f"UPDATE {table} SET v = 3")
        late.send(message)
        assert late.read_ready().rows == [("3",)]
    assert leader.read_ready().rows == [("2",)]
    assert probe.fresh() == [("3",)]


def test_trap51_joiners_before_the_write_and_after_it(env, gate, table):
    """Whoever joined before the acknowledgement may get the old rows; nobody who came after does."""
    sql = f"SELECT v FROM {table}"
    clients = [env.wire() for _ in range(6)]
    probe = env.probe(sql)
    probe.warm()
    env.run(f"UPDATE {table} SET v = 2")
    with gate.hold_replies(sql, at="D") as hold:
        clients[0].send(wire.query(sql))
        hold.wait_caught()
        for client in clients[1:3]:
            client.send(wire.query(sql))
        env.run(f"UPDATE {table} SET v = 3")
        for client in clients[3:]:
            client.send(wire.query(sql))
    answers = [client.read_ready().rows for client in clients]
    assert answers[0] == [("2",)]
    assert all(answer in ([("2",)], [("3",)]) for answer in answers[1:3])
    assert answers[3:] == [[("3",)]] * 3
    assert probe.fresh() == [("3",)]


def test_trap51_leaders_error_is_the_leaders_alone(env, gate, table):
    sql = f"SELECT v FROM {table}"
    leader, others = env.wire(), [env.wire() for _ in range(3)]
    env.run(f"UPDATE {table} SET v = 2")
    with gate.hold_replies(sql) as hold:
        leader.send(wire.query(sql))
        hold.wait_caught()
        waiting = [Background(client.rows, sql) for client in others]
        hold.cut()
    reply = leader.read_to_end()
    assert env.proxy.identity or reply.sqlstate is not None
    if env.proxy.identity:
        return
    for answer in waiting:
        assert answer.result() == [("2",)]


def test_trap51_leader_that_leaves(env, gate, table):
    sql = f"SELECT v FROM {table}"
    leader, others = env.wire(), [env.wire() for _ in range(3)]
    env.run(f"UPDATE {table} SET v = 2")
    with gate.hold_replies(sql, at="D") as hold:
        leader.send(wire.query(sql))
        hold.wait_caught()
        waiting = [Background(client.rows, sql) for client in others]
        leader.abort()
    for answer in waiting:
        assert answer.result() == [("2",)]
    assert env.probe(sql).fresh() == [("2",)]


def test_trap51_many_cold_readers_share_one_flight_and_get_the_right_rows(env, table):
    clients = [env.wire() for _ in range(12)]
    for value in range(2, 30):
        sql = f"SELECT v, {value} FROM {table}"
        env.run(f"UPDATE {table} SET v = {value}")
        for client in clients:
            client.send(wire.query(sql))
        for client in clients:
            assert client.read_ready().rows == [(str(value), str(value))]


@pytest.fixture
def narrow(new_proxy, postgres, database):
    """An environment whose pgrecall has a pool of one connection."""
    proxy = new_proxy(postgres.port, {"pool": {"size": 1}})
    proxy.wait_catalog(database)
    environment = Environment(postgres, proxy, database)
    yield environment
    environment.close()
    proxy.assert_alive()


def test_trap51_joiner_that_holds_the_only_lease(narrow):
    """At pool.size = 1: the holder of the lease asks what another client waits to ask. No deadlock."""
    table = narrow.name("narrow")
    narrow.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    sql = f"SELECT v FROM {table}"
    holder, other = narrow.wire(), narrow.wire()
    for value in range(2, 10):
        holder.ok("BEGIN")
        holder.ok(f"LOCK TABLE {table} IN ACCESS SHARE MODE")  # the block now has the connection
        if not narrow.proxy.identity:
            other.send(wire.query(sql))  # a cold read that leads and waits for a connection
        assert holder.rows(sql) == [(str(value - 1),)]
        holder.ok("COMMIT")
        if not narrow.proxy.identity:
            assert other.read_ready().rows == [(str(value - 1),)]
        holder.ok(f"UPDATE {table} SET v = {value}")
        assert other.rows(sql) == [(str(value),)]


def test_trap51_many_clients_at_pool_size_one(narrow):
    table = narrow.name("narrow")
    narrow.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)")
    sql = f"SELECT v FROM {table}"
    clients = [narrow.wire() for _ in range(8)]
    for value in range(2, 12):
        for client in clients[:4]:
            client.send(wire.query("BEGIN") + wire.query(sql) + wire.query("COMMIT"))
        for client in clients[4:]:
            client.send(wire.extended(sql) + wire.sync())
        for client in clients[:4]:
            replies = [client.read_ready() for _ in range(3)]
            assert replies[1].rows == [(str(value - 1),)]
        for client in clients[4:]:
            assert client.read_ready().rows == [(str(value - 1),)]
        clients[0].ok(f"UPDATE {table} SET v = {value}")
    assert clients[1].rows(sql) == [("11",)]
