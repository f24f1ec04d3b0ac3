"""Tier two: results in Redis come back when the process has forgotten them, and only while they are
true. Redis stopped, paused, emptied or full of lies costs hits and nothing else (trap 29); a rule keeps
tables out of it (trap 62)."""
import contextlib

import pytest

from support import wire
from support.redis_server import RedisServer
from support.waiting import wait_until

DOCUMENTS = 500
BODY_BYTES = 4_000  # together twice what tier one may hold
RETURN_SECONDS = 30  # the pauses between tries double up to 5 s
VALUE_MAGIC = b"PGRE"


@pytest.fixture(scope="module")
def redis_server(proxy_class):
    if proxy_class.identity:
        pytest.skip("--direct: there is no second tier")
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def proxy(postgres, database, redis_server, new_proxy):
    made = new_proxy(postgres.port, {
        "redis": {"url": redis_server.url},
        "cache": {"size": "1MB"},
        "rule": [{"tables": ["secret"], "redis": False}],
    })
    made.wait_catalog(database)
    wait_available(made)
    return made


@pytest.fixture(scope="module")
def tables(postgres, database):
    """Made past pgrecall, before anything is read through it."""
    connection = postgres.direct(database)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE document (id int PRIMARY KEY, body text NOT NULL)")
    cursor.execute("INSERT INTO document SELECT n, n || repeat(chr(97 + n %% 26), %s) "
                   "FROM generate_series(1, %s) n", (BODY_BYTES, DOCUMENTS))
    cursor.execute("CREATE TABLE secret (id int PRIMARY KEY, body text NOT NULL)")
    cursor.execute("INSERT INTO secret VALUES (1, 'hash-of-a-password')")
    connection.close()


@pytest.fixture
def site(env, tables, redis_server):
    """The environment, with an empty Redis that answers and nothing remembered of the documents."""
    del tables
    redis_server.client().flushall()
    wait_available(env.proxy)
    env.settle()
    env.wire().ok("UPDATE document SET body = body")
    return env


def wait_available(proxy, expected=True):
    wait_until(lambda: proxy.stats()["redis"]["available"] is expected,
               f"/api/stats says redis.available = {expected}", RETURN_SECONDS)


def document(number):
    return f"SELECT body FROM document WHERE id = {number}"


def tier_two(env):
    return env.stats()["hits_tier2"]


def sweep(client, truth, numbers=range(1, DOCUMENTS + 1)):
    """Reads documents through pgrecall; every answer is, byte for byte, PostgreSQL's."""
    for number in numbers:
        sql = document(number)
        assert client.query(sql).messages == truth.query(sql).messages, sql


def works(env, client, truth):
    """Tier two answers again: documents that tier one cannot all hold are found there."""
    def hits():
        before = tier_two(env)
        sweep(client, truth, range(1, DOCUMENTS + 1, 2))
        return tier_two(env) > before

    wait_until(hits, "tier two answers", RETURN_SECONDS)


def test_what_tier_one_has_no_room_for_comes_from_redis(site, redis_server):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    wait_until(lambda: redis_server.client().dbsize() >= DOCUMENTS, "all of them are in Redis")
    wait_until(lambda: site.stats()["redis"]["puts"] >= DOCUMENTS, "Redis's answers have arrived")
    before = site.stats()
    assert before["redis"]["configured"]
    sweep(client, truth)
    after = site.stats()
    hits = after["hits_tier2"] - before["hits_tier2"]
    assert hits > DOCUMENTS / 4, f"{hits} hits of tier two"
    assert after["redis"]["hits"] == after["hits_tier2"]
    assert after["redis"]["gets"] >= before["redis"]["gets"] + hits
    assert after.misses - before.misses + after.hits - before.hits == DOCUMENTS
    assert after.bypassed == before.bypassed


def test_extended_protocol_and_formats(site):
    """Text and binary, with and without a description: each its own bytes."""
    client, truth = site.wire(), site.wire_direct()
    sql = "SELECT id, body FROM document WHERE id = $1"
    before = tier_two(site)
    for _ in range(2):
        for number in range(1, DOCUMENTS + 1, 2):
            formats = [[], [1], [0, 1]][number % 3]
            values = [str(number).encode()]
            seen = client.extended(sql, values, result_formats=formats)
            assert seen.messages == truth.extended(sql, values, result_formats=formats).messages
    assert tier_two(site) > before


def test_a_write_makes_them_fresh(site):
    client, truth, writer = site.wire(), site.wire_direct(), site.wire()
    sweep(client, truth)
    works(site, client, truth)
    before = site.stats()
    writer.ok("UPDATE document SET body = 'changed ' || body")
    sweep(client, truth)
    after = site.stats()
    assert after.hits == before.hits, "an outdated value was served"
    assert after["redis"]["gets"] > before["redis"]["gets"], "the outdated values were looked at"
    works(site, client, truth)


def test_a_writer_inside_a_transaction_sees_its_own_rows(site):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    works(site, client, truth)
    client.ok("BEGIN")
    client.ok("UPDATE document SET body = 'mine'")
    before = tier_two(site)
    for number in range(1, 50):
        assert client.ok(document(number)).rows == [("mine",)]
    client.ok("ROLLBACK")
    assert tier_two(site) == before
    sweep(client, truth)


def test_trap62_a_rule_keeps_a_table_out_of_redis(site, redis_server):
    client, truth = site.wire(), site.wire_direct()
    direct = redis_server.client()
    statements = ["SELECT body FROM secret WHERE id = 1",
                  "SELECT d.id, s.body FROM document d JOIN secret s USING (id)"]
    before = site.stats()
    for sql in statements:
        for _ in range(3):
            assert client.query(sql).messages == truth.query(sql).messages
    assert site.stats().hits >= before.hits + 4, "they are kept in the process"
    sweep(client, truth, range(1, 20))
    wait_until(lambda: direct.dbsize() >= 19, "the documents are in Redis")
    values = [direct.get(key) for key in direct.scan_iter()]
    assert all(value.startswith(VALUE_MAGIC) for value in values)
    for value in values:
        assert b"hash-of-a-password" not in value and b"secret" not in value


def test_trap29_poisoned_values_are_misses(site, redis_server):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    works(site, client, truth)
    direct = redis_server.client()
    keys = sorted(direct.scan_iter())
    good = {key: direct.get(key) for key in keys}
    for index, key in enumerate(keys):
        value = good[key]
        at = len(value) - 20
        lies = [b"", b"nonsense", value[:at], value + b"x", value[:at] + b"?" + value[at + 1:],
                good[keys[index - 1]]]
        direct.set(key, lies[index % len(lies)])
    before = site.stats()
    for number in range(1, DOCUMENTS + 1):  # what is refused is put anew: the other keys stay bad
        sql = document(number)
        assert client.query(sql).messages == truth.query(sql).messages, sql
    after = site.stats()
    assert after["hits_tier2"] == before["hits_tier2"]
    assert after["redis"]["gets"] > before["redis"]["gets"]
    direct.flushall()
    direct.set("pgrecall", "unrelated")
    works(site, client, truth)


def test_trap29_values_of_another_type_are_misses(site, redis_server):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    works(site, client, truth)
    direct = redis_server.client()
    for key in direct.scan_iter():
        direct.delete(key)
        direct.rpush(key, "a list")
    before = site.stats()
    sweep(client, truth)
    after = site.stats()
    assert after["hits_tier2"] == before["hits_tier2"]
    wait_until(lambda: site.stats()["redis"]["errors"] > before["redis"]["errors"], "errors are counted")
    works(site, client, truth)


@contextlib.contextmanager
def paused(server):
    server.pause()
    try:
        yield
    finally:
        server.resume()


def test_trap29_redis_paused(site, redis_server):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    works(site, client, truth)
    timeouts = site.stats()["redis"]["timeouts"]
    with paused(redis_server):
        sweep(client, truth)
        sweep(client, truth, range(1, DOCUMENTS, 7))
        wait_until(lambda: site.stats()["redis"]["timeouts"] > timeouts, "the time-out is counted")
        stats = site.stats()["redis"]
        assert not stats["available"] and stats["why"]
    wait_available(site.proxy)
    works(site, client, truth)


def test_trap29_a_write_while_redis_is_away(site, redis_server):
    """What Redis still holds when it comes back is older than the write."""
    client, truth, writer = site.wire(), site.wire_direct(), site.wire()
    sweep(client, truth)
    works(site, client, truth)
    with paused(redis_server):
        writer.ok("UPDATE document SET body = 'again ' || body")
        wait_until(lambda: client.query(document(1)).rows == truth.query(document(1)).rows
                   and not site.stats()["redis"]["available"], "Redis is found away")
    wait_available(site.proxy)
    before = tier_two(site)
    sweep(client, truth)
    assert tier_two(site) == before


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_trap29_redis_gone_and_back_empty(site, redis_server, end):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    works(site, client, truth)
    getattr(redis_server, end)()
    try:
        wait_available(site.proxy, False)
        sweep(client, truth)
    finally:
        redis_server.start()
    assert redis_server.client().dbsize() == 0
    wait_available(site.proxy)
    works(site, client, truth)


def test_redis_down_at_start_is_no_error(postgres, database, tables, redis_server, new_proxy):
    del tables
    redis_server.stop()
    try:
        proxy = new_proxy(postgres.port, {"redis": {"url": redis_server.url}, "cache": {"size": "1MB"}})
        proxy.wait_catalog(database)
        client = wire.WireClient.connect(proxy.port, database)
        truth = wire.WireClient.connect(postgres.port, database)
        sweep(client, truth)
        status = proxy.stats()["redis"]
        assert status["configured"] and not status["available"] and status["why"]
    finally:
        redis_server.start()
    wait_available(proxy)
    before = proxy.stats()["hits_tier2"]
    sweep(client, truth)
    sweep(client, truth)
    assert proxy.stats()["hits_tier2"] > before
    client.close()
    truth.close()


def test_values_of_an_earlier_process_are_never_served(site, redis_server):
    client, truth = site.wire(), site.wire_direct()
    sweep(client, truth)
    works(site, client, truth)
    site.proxy.restart()
    site.proxy.wait_catalog(site.database)
    wait_available(site.proxy)
    assert redis_server.client().dbsize() > DOCUMENTS // 2  # the queue to Redis may drop some of a burst
    client = site.wire()
    sweep(client, truth)
    stats = site.stats()
    assert stats["redis"]["gets"] > 0 and stats["hits_tier2"] == 0
    works(site, client, truth)


def test_without_redis_there_is_no_second_tier(postgres, database, tables, new_proxy):
    del tables
    proxy = new_proxy(postgres.port, {"cache": {"size": "1MB"}})
    proxy.wait_catalog(database)
    client = wire.WireClient.connect(proxy.port, database)
    truth = wire.WireClient.connect(postgres.port, database)
    sweep(client, truth)
    sweep(client, truth)
    stats = proxy.stats()
    if not proxy.identity:
        assert not stats["redis"]["configured"]
        assert stats["redis"]["gets"] == stats["redis"]["puts"] == stats["hits_tier2"] == 0
    client.close()
    truth.close()
