"""Every read that a client sends is counted as exactly one hit, miss or bypass (see stats.h)."""
import random

import pytest

from support import wire
from support.environment import Background, Environment
from support.waiting import wait_until

CONFIG = {"auth": {"mode": "trust"}}

MANY = "k IN (" + "0, " * 30_000 + "0)"
LONG = "SELECT v FROM t WHERE " + MANY
DEEP = "SELECT " + "(" * 2_500 + "1" + ")" * 2_500


class Mix:
    """One client of either protocol; counts what it sends. A reason of None: hit or miss."""

    def __init__(self, client, extended):
        self.client, self.is_extended, self.sent = client, extended, []

    def send(self, sql, *reasons):
        (self.client.extended if self.is_extended else self.client.query)(sql)
        self.sent += reasons

    def read(self):
        self.send("SELECT v FROM t WHERE k = 1", None)
        self.send("SELECT v FROM t WHERE k = 1", None)
        self.send("TABLE t", None)

    def opaque(self):
        self.send("SELECT touches()", "user_function")

    def sequence(self):
        self.send("SELECT nextval('numbers')", "volatile_function")

    def without_relation(self):
        self.send("VALUES (1)", "no_relation")

    def locking(self):
        self.send("SELECT v FROM t WHERE k = 1 FOR UPDATE", "locking_clause")

    def writing(self):
        self.send("WITH w AS (UPDATE t SET v = v WHERE k = 0 RETURNING 1) SELECT count(*) FROM w", "writes_inside")

    def long(self):
        self.send(LONG, "too_long")

    def long_with(self):
        self.send("WITH a AS (SELECT 1) " + LONG, "too_long")

    def deep(self):
        self.send(DEEP, "too_deep")

    def unknown(self):
        self.send("SELECT * FROM nosuch", "unknown_relation")

    def refused(self):
        self.send("SELECT FROM FROM t", "unparsed")

    def none(self):
        for sql in ("SHOW work_mem", "SET work_mem = '5MB'", "SELECT set_config('work_mem', '6MB', false)",
                    "INSERT INTO t VALUES (0, 0)", "EXPLAIN SELECT v FROM t", "BEGIN", "COMMIT",
                    "UPDATE t SET v = v WHERE " + MANY, "WITH w AS (SELECT 1) UPDATE t SET v = v WHERE " + MANY):
            self.send(sql)

    def cursor(self):
        for sql, *reasons in (("BEGIN",), ("DECLARE c CURSOR FOR SELECT v FROM t",), ("FETCH 1 FROM c", "cursor"),
                              ("FETCH ALL FROM c", "cursor"), ("MOVE BACKWARD ALL IN c",), ("CLOSE c",), ("COMMIT",)):
            self.send(sql, *reasons)

    def prepared(self):
        for sql, *reasons in (("PREPARE r(int) AS SELECT v FROM t WHERE k = $1",), ("EXECUTE r(1)", "execute"),
                              ("EXECUTE r(2)", "execute"), ("PREPARE w AS UPDATE t SET v = v WHERE k = 0",),
                              ("EXECUTE w",), ("DEALLOCATE ALL",)):
            self.send(sql, *reasons)

    def several(self):
        if self.is_extended:
            return self.portal()
        return self.send("SELECT v FROM t WHERE k = 1; SHOW work_mem; SELECT 1", "multi_statement", "multi_statement")

    def portal(self):
        """One Bind, three Executes: each is a read."""
        self.client.send(wire.parse("", "SELECT v FROM t") + wire.bind("p", "")
                         + wire.execute("p", 1) * 3 + wire.sync())
        self.client.read_ready()
        self.sent += ["row_limit", "owed", "owed"]

    def sql_cursor_by_message(self):
        """Execute of a portal that SQL declared."""
        self.client.query("BEGIN")
        self.client.query("DECLARE d CURSOR FOR SELECT v FROM t")
        self.client.send(wire.execute("d", 1) + wire.sync())
        self.client.read_ready()
        self.client.query("COMMIT")
        self.sent.append("cursor")


KINDS = [name for name in vars(Mix) if not name.startswith("_") and name != "send"]


@pytest.fixture(scope="module", autouse=True)
def schema(postgres, database, proxy):
    postgres.sql(database, "CREATE TABLE t (k int, v int)", "INSERT INTO t SELECT i, i FROM generate_series(1, 9) i",
                 "CREATE SEQUENCE numbers", "CREATE TABLE touched (v int)",
                 "CREATE FUNCTION touches() RETURNS int LANGUAGE plpgsql AS"
                 " $$BEGIN INSERT INTO touched VALUES (1); RETURN 1; END$$")
    known(proxy, database, "t")


def known(proxy, database, table):
    """A catalog change made past pgrecall is seen within feed.catalog_interval."""
    client = wire.WireClient.connect(proxy.port, database)

    def found():
        client.query(f"SELECT * FROM {table} /* {table} */")
        return proxy.stats()["hits"]
    wait_until(found, f"pgrecall knows {table}")
    client.close()


def counted(proxy, before):
    """What each reason, and hits and misses under None, grew by."""
    after = proxy.stats()
    grown = {reason: count - before["bypasses"].get(reason, 0) for reason, count in after["bypasses"].items()}
    grown[None] = after.hits + after.misses - before.hits - before.misses
    return after.reads - before.reads, {reason: count for reason, count in grown.items() if count}


def tally(sent):
    return {reason: sent.count(reason) for reason in set(sent)}


@pytest.mark.parametrize("extended", (False, True), ids=("simple", "extended"))
@pytest.mark.parametrize("kind", KINDS)
def test_case53_each_kind_of_read_is_counted_once(env, kind, extended):
    env.settle()
    before = env.stats()
    mix = Mix(env.wire(), extended)
    getattr(mix, kind)()
    assert counted(env.proxy, before) == (len(mix.sent), tally(mix.sent))


@pytest.mark.parametrize("seed", range(4))
def test_case53_hits_misses_and_bypasses_are_the_reads_of_any_mix(env, seed):
    """Clients of both protocols, any order; what one leaves behind may give another its reason."""
    dice = random.Random(seed)
    env.settle()
    before = env.stats()
    mixes = [Mix(env.wire(), extended) for extended in (False, True, False, True)]
    for _ in range(60):
        getattr(dice.choice(mixes), dice.choice(KINDS))()
    reads, _ = counted(env.proxy, before)
    assert reads == sum(len(mix.sent) for mix in mixes)


def test_case53_reads_without_a_catalog_are_counted(postgres, database, new_proxy):
    proxy = new_proxy(postgres.port, {"upstream": {"user": "nobody_of_that_name"}, **CONFIG})
    env = Environment(postgres, proxy, database)
    before = proxy.stats()
    for extended in (False, True):
        Mix(env.wire(), extended).send("SELECT v FROM t")
    assert counted(proxy, before) == (2, {"no_catalog": 2})
    env.close()


def test_case53_a_read_that_is_cancelled_while_it_waits_is_counted(env):
    """It waits for another client's answer, so no server ever sees it."""
    env.settle()
    lock = env.direct(autocommit=False)
    lock.cursor().execute("LOCK TABLE t")
    sql = "SELECT v FROM t WHERE k = 2 /* waits */"
    before = env.stats()
    leader = Background(env.wire().query, sql)
    env.until_lock_wait("waits")
    waiting = env.wire()
    waiting.send(wire.query(sql))
    while waiting.silent():
        canceller = wire.WireClient(env.proxy.port)
        canceller.send(wire.cancel_request(waiting.pid, waiting.secret))
        canceller.read_to_end()
    assert waiting.read_ready().sqlstate == "57014"
    lock.rollback()
    leader.result()
    assert counted(env.proxy, before) == (2, {None: 1, "interrupted": 1})


@pytest.mark.parametrize("extended", (False, True), ids=("simple", "extended"))
def test_case53_a_read_whose_client_leaves_while_it_waits_is_counted(env, extended):
    env.settle()
    lock = env.direct(autocommit=False)
    lock.cursor().execute("LOCK TABLE t")
    sql = f"SELECT v FROM t WHERE k = {6 if extended else 7} /* leaves */"
    before = env.stats()
    leader = env.wire()
    leader = Background(leader.extended if extended else leader.query, sql)
    env.until_lock_wait("leaves")
    waiting = env.wire()
    message = wire.parse("", sql) + wire.bind("", "") + wire.describe_portal("") + wire.execute("") + wire.sync()
    waiting.send(message if extended else wire.query(sql))
    waiting.close()
    wait_until(lambda: counted(env.proxy, before)[1].get("interrupted"), "it has left")
    lock.rollback()
    leader.result()
    assert counted(env.proxy, before) == (2, {None: 1, "interrupted": 1})


@pytest.mark.parametrize("extended", (False, True), ids=("simple", "extended"))
def test_case53_a_read_that_gets_no_connection_is_counted(postgres, database, new_proxy, extended):
    proxy = new_proxy(postgres.port, {"pool": {"size": 1, "wait_timeout": "200ms"}, **CONFIG})
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database)
    client, holder = env.wire(), env.wire()
    holder.ok("BEGIN")
    holder.ok("SELECT v FROM t FOR UPDATE")
    before = proxy.stats()
    sql = "SELECT v FROM t WHERE k = 4"
    client.send(wire.parse("", sql) + wire.bind("", "") + wire.execute("") + wire.sync() if extended else wire.query(sql))
    assert client.read_to_end().sqlstate == "53300"
    assert counted(proxy, before) == (1, {"interrupted": 1})
    env.close()


def test_case53_a_would_be_hit_is_observed_once(postgres, database, new_proxy):
    proxy = new_proxy(postgres.port, {"cache": {"mode": "observe"}, **CONFIG})
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database)
    env.settle()
    before = proxy.stats()
    mix = Mix(env.wire(), False)
    for _ in range(5):
        mix.send("SELECT v FROM t WHERE k = 3", None)
    mix.is_extended = True
    for _ in range(5):
        mix.send("SELECT v FROM t WHERE k = 3", None)
    assert counted(proxy, before) == (10, {None: 10})
    assert proxy.stats()["observed_hits"] - before["observed_hits"] == 8
    env.close()


def test_case53_what_an_error_kept_from_being_stored_says_so(env):
    env.settle()
    before = env.stats()["fill_refusals"]
    env.wire().query("SELECT v / (v - v) FROM t")
    after = env.stats()["fill_refusals"]
    assert "no_bypass" not in after
    assert after.get("server_error", 0) == before.get("server_error", 0) + 1
