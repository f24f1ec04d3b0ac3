"""Statements that were planned under one catalog and run, or are lost, under the next."""
import select

import pytest

from support import wire
from support.environment import Environment
from support.hostile import untouched
from support.waiting import wait_until

USES_GATE = True


def waits_for_a_lock(direct, text):
    def waiting():
        with direct.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
                           (f"%{text}%",))
            return cursor.fetchone()[0] > 0
    wait_until(waiting, "the leader waits for a lock")


def test_a_lost_write_that_ran_under_a_newer_catalog_is_seen(env, gate):
    table, log, code = (env.name(each) for each in ("t", "log", "code"))
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE {log} AS SELECT 1 AS v",
            f"CREATE FUNCTION {code}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$BEGIN UPDATE {log} SET v = 2; RETURN NEW; END$$")
    env.settle()
    probe = env.probe(f"SELECT v FROM {log}")
    probe.warm()
    ddl, writer, watcher = env.wire(), env.wire(), env.direct()
    ddl.ok("BEGIN")
    ddl.ok(f"CREATE TRIGGER g BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {code}()")
    writer.send(wire.query(f"UPDATE {table} SET v = 2"))
    waits_for_a_lock(watcher, f"UPDATE {table} SET v")
    holder = env.direct(autocommit=False)
    with holder.cursor() as cursor:  # the write goes on when this ends
        cursor.execute(f"SELECT * FROM {log} FOR UPDATE")
    ddl.ok("COMMIT")
    env.settle()
    gate.cut_all()
    assert writer.read_to_end().sqlstate
    probe.check()  # no hits: it may still commit, and reach what was not known when it was planned
    holder.rollback()
    wait_until(lambda: probe.expected() == [("2",)], "the write is committed")
    assert probe.fresh() == [("2",)]


def test_a_plan_of_one_stale_catalog_is_not_one_of_the_next(postgres, database, gate, new_proxy):
    """`t` was a table the first time that the catalog was in doubt, and is a view that writes the second time."""
    proxy = new_proxy(gate.port, arguments=["--workers", "1"])
    proxy.wait_catalog("postgres")  # its first look makes every connection's defaults doubtful
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database, gate)
    try:
        table, log, code = (env.name(each) for each in ("plain", "log", "code"))
        env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE {log} AS SELECT 1 AS v",
                f"CREATE FUNCTION {code}() RETURNS int LANGUAGE plpgsql AS"
                f" $$BEGIN UPDATE {log} SET v = 2; PERFORM pg_advisory_xact_lock(4712); RETURN 1; END$$")
        probe = env.probe(f"SELECT v FROM {log}")
        probe.warm()
        reader, other, watcher, holder = env.wire(), env.wire(), env.direct(), env.direct()
        sql = f"SELECT v FROM {table}"
        with gate.hold_requests("catalog_digest") as hold:
            hold.wait_caught()
            other.ok("DO $$BEGIN END$$")
            before = env.stats()["bypasses"].get("stale_catalog", 0)
            assert reader.rows(sql) == [("1",)]
            assert env.stats()["bypasses"]["stale_catalog"] > before
        probe.warm()
        env.run(f"DROP TABLE {table}", f"CREATE VIEW {table} AS SELECT {code}() AS v")
        env.settle()
        probe.warm()
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(4712)")
        with gate.hold_requests("catalog_digest") as hold:
            hold.wait_caught()
            other.ok("DO $$BEGIN END$$")
            reader.send(wire.query(sql))
            waits_for_a_lock(watcher, sql)
        env.settle()
        for _ in range(5):  # with a fence up this is no hit, and right
            assert probe.check() == [("1",)]
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(4712)")
        reader.read_ready().checked()
        assert probe.fresh() == [("2",)]
    finally:
        env.close()


@pytest.mark.parametrize("how", ["view", "policy"])
def test_a_read_that_waited_for_a_definition_may_write(env, how):
    table, log, code, role = (env.name(each) for each in ("t", "log", "code", "reader"))
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE {log} AS SELECT 1 AS v", f"CREATE ROLE {role} LOGIN",
            f"GRANT ALL ON {table}, {log} TO {role}")
    env.settle()
    probe = env.probe(f"SELECT v FROM {log}")
    probe.warm()
    holder, watcher = env.direct(), env.direct()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4711)")
    ddl, reader = env.wire(), env.wire(user=role)
    assert reader.rows(f"SELECT v FROM {table}") == [("1",)]
    ddl.ok("BEGIN")
    ddl.ok(f"CREATE FUNCTION {code}() RETURNS bool LANGUAGE plpgsql AS $$BEGIN UPDATE {log} SET v = 2;"
           " PERFORM pg_advisory_xact_lock(4711); RETURN true; END$$")
    if how == "view":
        ddl.ok(f"DROP TABLE {table}")
        ddl.ok(f"CREATE VIEW {table} AS SELECT {code}() AS v")
        ddl.ok(f"GRANT ALL ON {table} TO {role}")
    else:
        ddl.ok(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        ddl.ok(f"CREATE POLICY p ON {table} USING ({code}())")
    reader.send(wire.query(f"SELECT v FROM {table}"))
    waits_for_a_lock(watcher, f"SELECT v FROM {table}")
    ddl.ok("COMMIT")

    def inside():
        with watcher.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            return cursor.fetchone()[0] > 0
    wait_until(inside, "the read writes")
    probe.warm()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(4711)")
    reader.read_ready().checked()
    probe.check()


def test_a_text_that_is_prepared_while_the_catalog_is_read_again_may_have_run_code(postgres, database, gate, new_proxy):
    """What PREPARE ran is not forgotten when the next catalog shows that PREPARE itself does nothing."""
    proxy = new_proxy(gate.port, {"pool": {"size": 1}}, arguments=["--workers", "1"])
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database, gate)
    try:
        row = env.name("leaving")
        env.run("CREATE SCHEMA IF NOT EXISTS evil",
                f"CREATE FUNCTION {row}_f() RETURNS bool LANGUAGE plpgsql AS"
                " $$BEGIN PERFORM set_config('search_path', 'evil', false); RETURN true; END$$",
                f"CREATE DOMAIN {row}_d AS int CHECK (public.{row}_f())", f"CREATE TYPE {row} AS (v {row}_d)")
        env.settle()
        client, other = env.wire(), env.wire()
        with gate.hold_requests("catalog_digest") as hold:
            hold.wait_caught()
            other.ok(f"CREATE TABLE {row}_x (v int)")
            client.ok(f"PREPARE p AS SELECT '(1)'::public.{row}")
            client.ok("DEALLOCATE p")
        env.settle()
        other.send(wire.query("SHOW search_path"))
        if not select.select([other.socket], [], [], 0.5)[0]:  # the client keeps its connection
            client.close()
        assert other.read_ready().rows == [('"$user", public',)]
    finally:
        env.close()



@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_what_a_view_that_was_just_replaced_left_stays_with_its_client(postgres, database, gate, new_proxy, protocol):
    proxy = new_proxy(gate.port, {"pool": {"size": 1}}, arguments=["--workers", "1"])
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database, gate)
    try:
        view = env.name("replaced")
        env.run("CREATE SCHEMA IF NOT EXISTS evil", f"CREATE VIEW {view} AS SELECT 'x' AS v")
        with gate.hold_requests("catalog_digest") as hold:
            hold.wait_caught()
            env.wire().ok(f"CREATE OR REPLACE VIEW {view} AS SELECT set_config('search_path', 'evil', false) AS v")
            untouched(env, lambda client: getattr(client, "query" if protocol == "simple" else "extended")(
                f"SELECT * FROM {view}").checked())
    finally:
        env.close()


def test_a_view_that_is_read_while_the_catalog_is_stale_pins_only_until_it_is_known(postgres, database, gate, new_proxy):
    proxy = new_proxy(gate.port, {"pool": {"size": 1}}, arguments=["--workers", "1"])
    proxy.wait_catalog(database)
    env = Environment(postgres, proxy, database, gate)
    try:
        view = env.name("kept")
        env.run(f"CREATE VIEW {view} AS SELECT 1 AS v")
        client = env.wire()
        with gate.hold_requests("catalog_digest") as hold:
            hold.wait_caught()
            other = env.wire()
            other.ok("DO $$BEGIN END$$")
            other.close()
            client.ok(f"SELECT * FROM {view}")
        env.settle()
        client.ok("SELECT 1")
        wait_until(lambda: not env.stats()["pinned"], "nobody is pinned")
        assert env.wire().rows("SELECT 2") == [("2",)]
    finally:
        env.close()
