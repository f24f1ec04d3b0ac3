"""What one database, one login or one client may do to the rest of the process."""
import os
import signal
import threading

import pytest

from support import freshness, wire
from support.environment import Environment
from support.waiting import wait_until


@pytest.fixture
def own(postgres, new_proxy, database):
    """A pgrecall of its own: what breaks there must not break other tests."""
    proxy = new_proxy(postgres.port)
    proxy.wait_catalog(database)
    environment = Environment(postgres, proxy, database)
    yield environment
    environment.close()
    proxy.assert_alive()


def table_of(env):
    name = env.name("t")
    env.run(f"CREATE TABLE {name} AS SELECT 1 AS v")
    return name


def fails_to_log_in(env, count):
    for number in range(count):
        with pytest.raises(Exception):
            env.wire(dbname=f"a_bogus_{number}")


def test_a_database_dropped_under_a_write_does_not_end_the_cache_of_all_others(own):
    doomed = own.name("doomed")
    own.postgres.create_database(doomed)
    own.proxy.wait_catalog(doomed)
    probe = own.probe(f"SELECT v FROM {table_of(own)}")
    probe.warm()
    own.wire(dbname=doomed).send(wire.query("DO $$BEGIN PERFORM pg_sleep(600); END$$"))
    own.until_activity(f"datname = '{doomed}'", "DO %", "the write runs")
    own.wire().ok(f"DROP DATABASE {doomed} WITH (FORCE)")
    probe.warm()


def test_a_dropped_database_that_is_made_again_is_cached_again(own):
    name = own.name("again")
    for value in (1, 2):
        own.postgres.create_database(name)
        client, truth = own.wire(dbname=name), own.wire_direct(dbname=name)
        client.ok(f"CREATE TABLE t AS SELECT {value} AS v")
        own.until_hit(lambda: client.rows("SELECT v FROM t"), lambda: truth.rows("SELECT v FROM t"))
        client.close()
        truth.close()
        own.postgres.sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

        def refused():
            return any(each["database"] == name and "does not exist" in each["error"] for each in own.stats()["control"])
        wait_until(refused, "pgrecall knows that the database is gone")


def test_names_of_databases_that_do_not_exist_do_not_end_the_cache(own):
    probe = own.probe(f"SELECT v FROM {table_of(own)}")
    probe.warm()
    fails_to_log_in(own, 400)
    own.wire().ok(f"CREATE ROLE {own.name('role')}")
    probe.warm()
    stats = own.stats()
    assert not [each for each in stats["pools"] + stats["control"] if each["database"].startswith("a_bogus")]


def test_logins_that_fail_leave_nothing_behind(own):
    own.wire().ok("SELECT 1")
    before = len(own.stats()["pools"])
    fails_to_log_in(own, 100)
    wait_until(lambda: len(own.stats()["pools"]) == before, "no pool of a failed login is left")
    for number in range(10):
        with pytest.raises(Exception):
            own.wire(user=f"a_bogus_{number}")
    assert len(own.stats()["pools"]) == before


def test_ddl_in_one_database_does_not_stop_the_cache_of_another(own):
    quiet = "zz_" + own.name("quiet")
    own.postgres.create_database(quiet)
    own.proxy.wait_catalog(quiet)
    client = own.wire(dbname=quiet)
    client.ok("CREATE TABLE t AS SELECT 1 AS v")
    stop = threading.Event()

    def define(busy, name):
        while not stop.is_set():
            busy.ok(f"CREATE TABLE {name} (v int)")
            busy.ok(f"DROP TABLE {name}")
    threads = [threading.Thread(target=define, args=(own.wire(), own.name("busy"))) for _ in range(2)]
    reader, truth = own.wire(dbname=quiet), own.wire_direct(dbname=quiet)

    def cached():
        own.until_hit(lambda: reader.rows("SELECT v FROM t"), lambda: truth.rows("SELECT v FROM t"))
    cached()
    for thread in threads:
        thread.start()
    try:
        client.ok("ALTER TABLE t ADD COLUMN w int")
        cached()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


COMMANDS = ["DROP DATABASE {}", "CREATE DATABASE mine TEMPLATE {}", "ALTER DATABASE {} RENAME TO mine"]


@pytest.fixture(scope="module")
def guarded(new_postgres, new_proxy):
    """A server that asks for passwords: pgrecall's pools are made of its clients' logins."""
    server = new_postgres(auth="scram-sha-256")
    server.sql("postgres", "CREATE ROLE nobody LOGIN PASSWORD 'secret'")
    return server, new_proxy(server.port)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_refused_command_about_a_database_disconnects_nobody(guarded, command):
    server, proxy = guarded
    env = Environment(server, proxy, f"victim_{COMMANDS.index(command)}")
    server.create_database(env.database)
    try:
        proxy.wait_catalog(env.database)
        client = env.wire()
        assert client.rows("SELECT 1") == [("1",)]
        attacker = env.wire(user="nobody", dbname="postgres")
        assert attacker.query(command.format(env.database)).sqlstate == "42501"
        ticks = env.stats()["uptime_seconds"] + 0.5
        wait_until(lambda: env.stats()["uptime_seconds"] > ticks, "what is done about it later is done")
        assert client.rows("SELECT 1") == [("1",)]
    finally:
        env.close()


def test_a_database_whose_last_client_leaves_meanwhile_can_be_dropped(own):
    """PostgreSQL waits five seconds for other sessions to end."""
    name = own.name("leaving")
    own.postgres.create_database(name)
    client = own.wire(dbname=name)
    client.send(wire.query("SELECT pg_sleep(1)"))
    own.until_activity("state = 'active'", "SELECT pg_sleep(1)", "the query runs")
    dropper = own.wire()
    dropper.send(wire.query(f"DROP DATABASE {name}"))
    own.until_activity("state = 'active'", "DROP DATABASE%", "the command runs")
    client.read_ready().checked()
    client.close()
    dropper.read_ready().checked()


@pytest.fixture
def configured(new_postgres, new_proxy, request):
    """A server of its own, whose configuration may change."""
    server = new_postgres(**getattr(request, "param", {}))
    server.create_database("own")
    proxy = new_proxy(server.port)
    proxy.wait_catalog("own")
    environment = Environment(server, proxy, "own")
    yield environment
    environment.close()
    proxy.assert_alive()


def reload_with(env, setting):
    """Past pgrecall: until it has noticed, its reads are as old as feed.catalog_interval allows."""
    def version():
        return next(each["catalog_version"] for each in env.stats()["control"] if each["database"] == "own")
    before = version()
    with env.direct().cursor() as cursor:
        cursor.execute(f"ALTER SYSTEM SET {setting}")
        cursor.execute("SELECT pg_reload_conf()")
    wait_until(lambda: version() > before, "the reload is known")


BOTH_LOGINS = pytest.mark.parametrize("configured", [{}, {"auth": "scram-sha-256"}], indirect=True,
                                      ids=["trusted", "relayed"])


@BOTH_LOGINS
@pytest.mark.parametrize("pinned", ["", "LISTEN news", "CREATE TEMP TABLE mine (v int)", "SET work_mem = '8MB'"])
def test_a_search_path_changed_by_a_reload_decides_what_names_mean(configured, pinned):
    env = configured
    env.run("CREATE SCHEMA other", "CREATE TABLE t AS SELECT 1 AS v", "CREATE TABLE other.t AS SELECT 2 AS v")
    probe = env.probe("SELECT v FROM t", modes=(freshness.SIMPLE,))
    writer = env.wire()
    if pinned:
        writer.ok(pinned)
        assert writer.rows("SELECT v FROM t") == [("1",)]
    probe.warm()
    reload_with(env, "search_path = other, public")
    probe.warm()
    assert probe.reads() == [[("2",)]]
    writer.ok("UPDATE t SET v = 3")
    assert writer.rows("SELECT v FROM t") == [("3",)]
    assert probe.fresh() == [("3",)]


@BOTH_LOGINS
def test_an_isolation_changed_by_a_reload_counts(configured):
    env = configured
    env.run("CREATE TABLE t AS SELECT 1 AS v")
    probe = env.probe("SELECT v FROM t", modes=(freshness.SIMPLE,))
    old, writer = env.wire(), env.wire()
    probe.warm()
    reload_with(env, "default_transaction_isolation = 'repeatable read'")
    with env.no_hits():
        old.ok("BEGIN")
        assert old.rows("SHOW transaction_isolation") == [("repeatable read",)]
        assert old.rows("SELECT v FROM t") == [("1",)]
        writer.ok("UPDATE t SET v = 2")
        assert old.rows("SELECT v FROM t") == [("1",)]
        assert probe.check() == [("2",)]
        old.ok("COMMIT")
        assert old.rows("SELECT v FROM t") == [("2",)]
    reload_with(env, "default_transaction_isolation = 'read committed'")
    probe.fresh()


def test_a_reload_inside_a_transaction_is_not_missed(configured):
    """Where a connection cannot be asked again what it writes counts as anything."""
    env = configured
    env.run("CREATE SCHEMA other", "CREATE TABLE t AS SELECT 1 AS v", "CREATE TABLE other.t AS SELECT 1 AS v")
    probe = env.probe("SELECT v FROM other.t", modes=(freshness.SIMPLE, freshness.EXTENDED))
    probe.warm()
    writer, reader = env.wire(), env.wire()
    writer.ok("BEGIN")
    writer.ok("SELECT count(*) FROM pg_class")
    reload_with(env, "search_path = other, public")
    assert reader.rows("SHOW search_path") == [("other, public",)]
    env.probe("SELECT v FROM t", modes=(freshness.SIMPLE,)).warm()
    probe.warm()
    writer.ok("UPDATE t SET v = 2")
    writer.ok("COMMIT")
    assert probe.fresh() == [("2",)]


@pytest.mark.parametrize("pinned", [False, True])
def test_a_server_that_hangs_while_it_is_asked_again_costs_its_client_an_error(new_postgres, new_proxy, pinned):
    """The connection is much older than the time that a login may take."""
    server = new_postgres()
    server.create_database("own")
    proxy = new_proxy(server.port, {"pool": {"size": 1}, "auth": {"mode": "trust"}, "upstream": {"connect_timeout": "1s"}})
    proxy.wait_catalog("own")
    env = Environment(server, proxy, "own")
    client = env.wire()
    if pinned:
        client.ok("LISTEN news")
    pid = int(client.rows("SELECT pg_backend_pid()")[0][0])
    wait_until(lambda: server.sql("own", f"SELECT clock_timestamp() - backend_start > interval '1.1 s' FROM pg_stat_activity"
                                         f" WHERE pid = {pid}")[0][0], "it is older than connect_timeout")
    reload_with(env, "work_mem = '5MB'")
    os.kill(pid, signal.SIGSTOP)
    try:
        client.send(wire.query("SELECT 1"))
        assert client.read_to_end().sqlstate == "08006"
        assert env.wire().rows("SELECT 1") == [("1",)]
    finally:
        os.kill(pid, signal.SIGCONT)
    env.close()
    proxy.assert_alive()


def test_invalidations_are_counted(own):
    table = table_of(own)
    own.probe(f"SELECT v FROM {table}").warm()
    before = own.stats()["invalidations"]
    own.wire().ok(f"UPDATE {table} SET v = 2")
    assert own.stats()["invalidations"] > before


def resident_kb(proxy):
    for line in open(f"/proc/{proxy.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize("size,count", [(100_000, 3000), (10_000, 20_000)])
def test_texts_that_are_parsed_once_do_not_stay(own, size, count):
    """An ORM that writes its literals, or a trace id, into the text."""
    client, padding = own.wire(), "x" * size

    def parse(numbers):
        for number in numbers:
            client.send(wire.parse("", f"SELECT {number} /* {padding} */") + wire.sync())
            client.read_ready().checked()
    parse(range(1000))
    before = resident_kb(own.proxy)
    parse(range(1000, 1000 + count))
    grown = resident_kb(own.proxy) - before
    assert grown < 100_000, f"{grown} kB for {count} texts of {size} bytes"


@pytest.fixture(scope="module")
def two_phase(new_postgres, new_proxy):
    """The catalog is read again only where pgrecall knows that it must be."""
    server = new_postgres(options={"max_prepared_transactions": "10"})
    for name in ("own", "another"):
        server.create_database(name)
    proxy = new_proxy(server.port, {"feed": {"catalog_interval": "10min"}})
    for name in ("own", "another"):
        proxy.wait_catalog(name)
    return server, proxy


@pytest.fixture
def prepared(two_phase):
    environment = Environment(*two_phase, "own")
    yield environment
    environment.close()


def test_what_a_prepared_transaction_wrote_under_a_newer_catalog_is_seen(prepared):
    env = prepared
    env.run("CREATE TABLE t AS SELECT 1 AS v", "CREATE TABLE log AS SELECT 1 AS v",
            "CREATE FUNCTION code() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN UPDATE log SET v = 2; RETURN NEW; END$$")
    probe = env.probe("SELECT v FROM log")
    probe.warm()
    ddl, writer = env.wire(), env.wire()
    ddl.ok("BEGIN")
    ddl.ok("CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION code()")
    writer.ok("BEGIN")
    writer.send(wire.query("UPDATE t SET v = 2"))  # planned before the trigger is known
    env.until_lock_wait("UPDATE t SET")
    ddl.ok("COMMIT")
    writer.read_ready().checked()
    env.settle()
    probe.warm()
    writer.ok("PREPARE TRANSACTION 'g'")
    env.settle()
    probe.warm()
    env.wire().ok("COMMIT PREPARED 'g'")
    assert probe.fresh() == [("2",)]


def test_a_role_changed_by_a_prepared_transaction_is_known_in_other_databases(prepared):
    env = prepared
    env.run("CREATE ROLE managers", "CREATE ROLE reader LOGIN", "GRANT managers TO reader")
    env.run("CREATE TABLE secrets AS SELECT 1 AS v", "GRANT SELECT ON secrets TO managers", dbname="another")
    reader = env.wire(user="reader", dbname="another")
    truth = env.wire_direct(user="reader", dbname="another")

    def read(client):
        reply = client.query("SELECT v FROM secrets")
        return reply.sqlstate or reply.rows
    env.until_hit(lambda: read(reader), lambda: read(truth))
    changer = env.wire()
    changer.ok("BEGIN")
    changer.ok("REVOKE managers FROM reader")
    changer.ok("PREPARE TRANSACTION 'r'")
    env.until_hit(lambda: read(reader), lambda: read(truth))
    version = {each["database"]: each["catalog_version"] for each in env.stats()["control"]}
    env.wire().ok("COMMIT PREPARED 'r'")
    assert read(reader) == read(truth) == "42501"

    def reread():
        return all(each["catalog_version"] > version[each["database"]] for each in env.stats()["control"])
    wait_until(reread, "every catalog is read again")


@pytest.fixture
def counting(postgres, new_proxy, database):
    proxy = new_proxy(postgres.port, {"rule": [{"name": "counts", "count": "estimate", "min_rows": 1000}]})
    proxy.wait_catalog(database)
    environment = Environment(postgres, proxy, database)
    yield environment
    environment.close()


@pytest.mark.parametrize("how", ["truncate", "delete", "off", "hint", "snapshot"])
def test_no_estimate_where_it_must_be_exact(counting, how):
    env = counting
    table = env.name("big")
    with env.direct().cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} AS SELECT n AS v FROM generate_series(1, 20000) n")

        def analyzed():  # a backend tells what it has done with its next command, before 15 in any order
            cursor.execute(f"ANALYZE {table}")
            cursor.execute("SELECT n_tup_ins, n_mod_since_analyze FROM pg_stat_user_tables WHERE relname = %s", (table,))
            return cursor.fetchone() == (20000, 0)
        wait_until(analyzed, "the figures of ANALYZE")
    sql = f"SELECT count(*) FROM {table}"
    client, writer, truth = env.wire(), env.wire(), env.wire_direct()
    if how == "off":
        client.ok("SET pgrecall.cache = off")
    if how == "hint":
        sql += " /* pgrecall: off */"
    if how == "snapshot":
        client.ok("SET default_transaction_isolation = 'repeatable read'")
        client.ok("BEGIN")
        client.ok("SELECT 1")
        client.ok("RESET default_transaction_isolation")

    def estimated():
        before = env.stats()["count_estimates"]
        writer.ok(f"SELECT count(*) FROM {table}")
        return env.stats()["count_estimates"] > before
    wait_until(estimated, "an estimate")
    before = env.stats()["count_estimates"]
    if how == "truncate":
        writer.ok(f"TRUNCATE {table}")
    if how == "delete":
        writer.ok(f"DELETE FROM {table}")
    seen = client.rows(sql)
    after = env.stats()["count_estimates"]
    assert seen == truth.rows(sql) and after == before, (seen, after - before)
