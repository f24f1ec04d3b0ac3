"""Every figure that the admin port exports is counted: real parts drive each of them away from zero.

The figures are found in the answers themselves (support/figures.py): one that is added and that no
scene moves fails the last test. The scenes run in order and share the proxies.
"""
import itertools

import pytest

from support import wire
from support.environment import Background, Environment
from support.figures import Figures, leaves, samples
from support.redis_server import RedisServer
from support.waiting import wait_until

DATABASE = "figures"
DOCUMENTS = 300
BODY_BYTES = 8_000  # together more than twice what tier one may hold


@pytest.fixture(scope="module")
def server(new_postgres, proxy_class):
    if proxy_class.identity:
        pytest.skip("--direct: there are no figures")
    made = new_postgres(options={"autovacuum": "off"})
    made.create_database(DATABASE)
    made.sql(DATABASE, "CREATE TABLE t (k int PRIMARY KEY, v int)", "INSERT INTO t SELECT i, i FROM generate_series(1, 9) i",
             "CREATE TABLE document (id int PRIMARY KEY, body text)",
             f"INSERT INTO document SELECT n, n || repeat('x', {BODY_BYTES}) FROM generate_series(1, {DOCUMENTS}) n",
             "CREATE TABLE big (id int)", "INSERT INTO big SELECT generate_series(1, 50000)",
             "CREATE TABLE touched (v int)",
             "CREATE FUNCTION touches() RETURNS int LANGUAGE plpgsql AS"
             " $$BEGIN INSERT INTO touched VALUES (1); RETURN 1; END$$")
    for statement in ("ANALYZE big", "INSERT INTO big SELECT generate_series(1, 50)"):
        made.sql(DATABASE, statement)  # each reports its counts when it ends
    return made


@pytest.fixture(scope="module")
def redis_server(server):
    del server
    made = RedisServer()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def figures():
    return Figures()


@pytest.fixture(scope="module")
def proxy(server, redis_server, new_proxy):
    made = new_proxy(server.port, {
        "auth": {"mode": "trust"}, "redis": {"url": redis_server.url, "timeout": "2s"},
        "cache": {"size": "1MB", "entry_max": "64KB", "max_age_without_feed": "1h"},
        "pool": {"size": 3, "wait_timeout": "4s"}, "feed": {"catalog_interval": "200ms"},
        "rule": [{"tables": ["big"], "count": "estimate", "min_rows": 1000, "max_error": 0.5}]})
    made.wait_catalog(DATABASE)
    wait_until(lambda: made.stats()["redis"]["available"], "Redis answers")
    return made


@pytest.fixture
def env(server, proxy):
    environment = Environment(server, proxy, DATABASE)
    environment.settle()
    yield environment
    environment.close()


@pytest.fixture
def seen(figures, proxy):
    """Waits until a look at the proxy shows what the condition wants, and returns that look."""
    def look(condition, what):
        def found():
            stats = figures.look(proxy)
            return stats if condition(stats) else None
        return wait_until(found, what)
    return look


def pool_of(stats):
    return next(row for row in stats["pools"] if row["database"] == DATABASE)


def table_of(stats, name):
    return next((row for row in stats["tables"] if row["table"] == name), {"writes": 0, "invalidations": 0})


def test_case13_reads_writes_and_what_a_write_outdates(env, seen):
    before = env.stats()
    sql = "SELECT v FROM t WHERE k = 1"
    client = env.wire()
    for _ in range(3):
        client.ok(sql)
    for _ in range(2):
        client.ok("UPDATE t SET v = v + 1 WHERE k = 1")
    client.ok(sql)
    client.ok("SELECT v FROM t WHERE k = 9")
    client.query("SELECT v / (v - v) FROM t")
    for statement in ("BEGIN", "COMMIT"):
        client.ok(statement)
    after = seen(lambda stats: stats["hits_tier1"] >= 2, "hits")
    table, was = table_of(after, "public.t"), table_of(before, "public.t")
    assert table["writes"] - was["writes"] == 2
    assert table["invalidations"] - was["invalidations"] == 2
    assert after["writes"] - before["writes"] == 2
    assert after["local_answers"] - before["local_answers"] == 2
    shape = next(row for row in after["fingerprints"] if row["sql"] == "select v from t where k = ?")
    assert shape["last_invalidator"] == "public.t"
    assert "server_error" in after["fill_refusals"]


def test_case13_an_opaque_write_outdates_the_whole_database(env, seen):
    sql = "SELECT k FROM t WHERE k = 1"
    client = env.wire()
    for _ in range(2):
        client.ok(sql)
    opaque = env.stats()["opaque_writes"]
    env.wire().ok("SELECT touches()")
    env.settle()
    client.ok(sql)
    after = seen(lambda stats: stats["opaque_writes"] == opaque + 1, "an opaque write")
    shape = next(row for row in after["fingerprints"] if row["sql"] == "select k from t where k = ?")
    assert shape["last_invalidator"] == "(whole database)"


def test_case13_an_answer_shared_by_two_clients(env, seen):
    sql = "SELECT k, v FROM t WHERE k = 3 /* shared */"
    lock = env.direct(autocommit=False)
    lock.cursor().execute("LOCK TABLE t")
    first = Background(env.wire().query, sql)
    env.until_lock_wait("shared")
    joins = env.stats()["joins"]
    second = env.wire()
    second.ok("SHOW work_mem")
    second.send(wire.query(sql))
    third = env.wire()  # its login shows that its worker, and in time the other, has read on
    third.ok("SHOW work_mem")
    lock.rollback()
    first.result()
    second.read_ready()
    seen(lambda stats: stats["joins"] > joins, "a join")


def test_case13_estimates(env, seen):
    client = env.wire()

    def estimated():
        client.ok("SELECT count(*) FROM big")
        return env.stats()["count_estimates"]
    wait_until(estimated, "an estimate")
    seen(lambda stats: any(row["age_seconds"] > 0 for row in stats["count_estimate_tables"]), "an estimate")


def test_case13_memory_runs_out_and_redis_gives_back(env, seen):
    client = env.wire()

    def body(number):
        return client.ok(f"SELECT body FROM document WHERE id = {number}").rows
    numbers, first = itertools.cycle(range(1, DOCUMENTS + 1)), {}

    def given_back(stats):
        """Always the one that was asked for longest ago."""
        for number in itertools.islice(numbers, 50):
            assert first.setdefault(number, body(number)) == body(number)
        return stats["hits_tier2"]
    after = seen(given_back, "a hit of tier two")
    assert after["cache"]["evictions"] > 0
    assert after["redis"]["hits"] == after["hits_tier2"]
    assert after["redis"]["puts"] > 0 and after["redis"]["gets"] > 0


def test_case13_pinned_connections_and_clients_that_wait(env, seen):
    pinned = env.wire()
    pinned.ok("LISTEN anything")
    row = seen(lambda stats: any(client["seconds"] for client in stats["pinned"]), "the age of a pin")
    assert [client["why"] for client in row["pinned"]] == ["LISTEN"]
    assert pool_of(row)["pinned"] == 1
    pinned.ok("UNLISTEN *")
    seen(lambda stats: pool_of(stats)["pinned"] == 0, "the pin is gone")
    before = pool_of(env.stats())
    waiting, *holders = [env.wire() for _ in range(4)]  # a login needs a connection, too
    for holder in holders:
        holder.ok("BEGIN")
        holder.ok("SELECT v FROM t WHERE k = 1 FOR SHARE")
    waiting.send(wire.query("SELECT v FROM t WHERE k = 1 FOR SHARE"))
    busy = seen(lambda stats: pool_of(stats)["waiting"], "a client waits")
    assert pool_of(busy)["active"] == 3 and pool_of(busy)["opening"] == 0
    assert waiting.read_message().type == "E"
    after = pool_of(seen(lambda stats: pool_of(stats)["wait_timeouts_total"], "a wait in vain"))
    assert after["wait_timeouts_total"] == before["wait_timeouts_total"] + 1
    assert after["wait_ms_max"] >= 4000
    for holder in holders:
        holder.ok("COMMIT")
    seen(lambda stats: pool_of(stats)["idle"] == 3, "all are idle")


def test_case13_connections_opened_closed_and_on_their_way(env, seen, server):
    def balance(stats):
        pool = pool_of(stats)
        return pool["opened_total"] - pool["closed_total"] == pool["active"] + pool["idle"]
    before = pool_of(seen(balance, "what was opened and not closed is there"))
    names = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s" \
            " AND query NOT LIKE '%%pg_stat%%' AND state = 'idle' AND backend_type = 'client backend'"
    connection = env.direct()
    connection.cursor().execute(names, (DATABASE,))
    after = pool_of(seen(lambda stats: pool_of(stats)["closed_total"] > before["closed_total"]
                         and not pool_of(stats)["idle"], "the idle ones are gone"))
    assert after["opened_total"] == before["opened_total"]
    client = env.wire()  # its own connection, for the login
    holder = env.wire()
    holder.ok("BEGIN")
    holder.ok("SELECT v FROM t WHERE k = 1 FOR SHARE")
    server.pause()
    try:
        client.send(wire.query("SELECT v FROM t WHERE k = 2 FOR SHARE"))
        other = wire.WireClient(env.proxy.port)
        other.send(wire.startup({"user": "postgres", "database": DATABASE}))
        seen(lambda stats: pool_of(stats)["opening"] or not pool_of(stats)["idle"], "nothing is idle")
        third = wire.WireClient(env.proxy.port)
        third.send(wire.startup({"user": "postgres", "database": DATABASE}))
        seen(lambda stats: pool_of(stats)["opening"], "a connection is on its way")
    finally:
        server.resume()
    for each in (other, third):
        each.close()
    holder.close()
    seen(lambda stats: balance(stats) and not pool_of(stats)["opening"], "all have come or gone")


def is_still(env):
    """Every value and look-up that was sent has been answered."""
    before = env.stats()["redis"]
    return before["round_trip"]["count"] == env.stats()["redis"]["round_trip"]["count"] \
        and before["puts"] == env.stats()["redis"]["puts"]


def test_case13_redis_refuses_and_is_silent(env, seen, figures, redis_server):
    client, numbers = env.wire(), iter(range(100_000))

    def read():
        client.ok(f"SELECT v, {next(numbers)} FROM t WHERE k = 5")

    def condition(what):
        def met(stats):
            read()
            return what(stats)
        return met
    wait_until(lambda: is_still(env), "nothing is under way to Redis")
    redis_server.client().config_set("maxmemory", 1)
    before = env.stats()["redis"]
    refused = seen(condition(lambda stats: stats["redis"]["errors"] > before["errors"] + 2), "errors of Redis")
    assert refused["redis"]["puts"] == before["puts"], "values that Redis refused are not stored"
    redis_server.client().config_set("maxmemory", 0)
    redis_server.pause()
    try:
        silent = seen(condition(lambda stats: stats["redis"]["timeouts"] and not stats["redis"]["available"]),
                      "Redis is silent")
        assert silent["redis"]["why"]
        away = env.stats()["redis"]
        tried = seen(condition(lambda stats: stats["redis"]["errors"] > away["errors"]), "a connection that fails")["redis"]
        assert tried["timeouts"] == away["timeouts"], "its login is not a look-up"
        assert tried["gets"] == away["gets"], "look-ups that were not sent"
        seen(condition(lambda _: not [path for path in figures.untouched("redis") if "off" not in path and "hits" not in path]),
             "every figure of Redis has moved")
    finally:
        redis_server.resume()
    seen(lambda stats: stats["redis"]["available"], "Redis is back")


def test_case13_a_proxy_that_observes(server, new_proxy, figures):
    proxy = new_proxy(server.port, {"auth": {"mode": "trust"}, "cache": {"mode": "observe"}})
    proxy.wait_catalog(DATABASE)
    env = Environment(server, proxy, DATABASE)
    env.settle()
    for _ in range(2):
        env.wire().ok("SELECT v FROM t WHERE k = 1")
    assert figures.look(proxy)["observed_hits"] == 1
    env.close()


def test_case13_a_control_role_that_may_not_log_in(server, new_proxy, figures):
    proxy = new_proxy(server.port, {"auth": {"mode": "trust"}, "upstream": {"user": "nobody_of_that_name"}})
    env = Environment(server, proxy, DATABASE)
    env.wire().ok("SELECT v FROM t WHERE k = 1")
    wait_until(lambda: any(row["error"] for row in figures.look(proxy)["control"]), "the error is shown")
    env.close()


def test_case13_every_exported_figure_has_moved(figures, proxy):
    figures.look(proxy)
    assert len(figures.moved) > 120
    assert figures.untouched() == []


def test_case13_a_figure_that_nothing_counts_is_found():
    figures = Figures()
    figures.note(leaves({"a": 0, "b": {"c": "", "d": 1}, "rows": [{"e": 0}, {"e": 2, "f": None}], "g": []}, "x"))
    figures.note(samples('# TYPE m counter\nm{tier="1",table="t"} 1\nm{tier="2",table="t"} 0\n# TYPE n gauge\n'))
    assert figures.untouched() == ['/metrics m{tier="2"}', "/metrics n", "x.a", "x.b.c", "x.g", "x.rows[].f"]
    figures.note(leaves({"g": [{"h": 1}]}, "x"))
    assert "x.g" not in figures.untouched()
