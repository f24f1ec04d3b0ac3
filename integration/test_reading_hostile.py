"""Orders of events that were found by reading the code, branch by branch."""
import pytest

from support import wire
from support.environment import Environment
from support.waiting import wait_until

HIDES = "DO $$BEGIN PERFORM set_config('search_path', 'public, pg_catalog', false); END$$"


# -- definitions ----------------------------------------------------------------------------------
def blocked(watcher, condition, what):
    def shown():
        with watcher.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
                           f" WHERE NOT granted AND {condition}")
            return cursor.fetchone()[0] > 0
    wait_until(shown, what)


@pytest.mark.parametrize("how", ["hidden_names", "path_set_before"])
def test_a_read_waited_for_a_definition_by_a_client_whose_names_are_in_doubt(env, how):
    """The definition counts as one, whatever else it may be."""
    table, log, code, role = (env.name(each) for each in ("t", "log", "code", "reader"))
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE {log} AS SELECT 1 AS v", f"CREATE ROLE {role} LOGIN",
            f"GRANT ALL ON {table}, {log} TO {role}")
    env.settle()
    probe = env.probe(f"SELECT v FROM {log}")
    probe.warm()
    holder, watcher = env.direct(), env.direct()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4713)")
    ddl, reader = env.wire(), env.wire(user=role)
    assert reader.rows(f"SELECT v FROM {table}") == [("1",)]
    if how == "hidden_names":
        ddl.ok(HIDES)
        before = ""
    else:
        before = "SET search_path = public; "
    probe.warm()
    ddl.ok("BEGIN")
    ddl.ok(f"{before}CREATE FUNCTION {code}() RETURNS bool LANGUAGE plpgsql AS $$BEGIN UPDATE {log} SET v = 2;"
           " PERFORM pg_advisory_xact_lock(4713); RETURN true; END$$")
    ddl.ok(f"{before}DROP TABLE {table}; CREATE VIEW {table} AS SELECT {code}() AS v; GRANT ALL ON {table} TO {role}")
    reader.send(wire.query(f"SELECT v AS cold FROM {table}"))
    blocked(watcher, f"locktype = 'relation' AND query = 'SELECT v AS cold FROM {table}'", "the read waits")
    ddl.ok("COMMIT")
    blocked(watcher, "locktype = 'advisory'", "the read writes")
    probe.warm()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(4713)")
    reader.read_ready().checked()
    assert probe.fresh() == [("2",)]


@pytest.mark.parametrize("how", ["event_trigger", "materialized_view", "alter_table"])
def test_code_beside_a_definition_may_change_what_all_databases_share(new_proxy, postgres, database, how):
    """No poll comes to help."""
    other = f"{database}_{how}"
    postgres.create_database(other)
    proxy = new_proxy(postgres.port, {"feed": {"catalog_interval": "1h"}})
    proxy.wait_catalog(database)
    proxy.wait_catalog(other)
    here, there = Environment(postgres, proxy, database), Environment(postgres, proxy, other)
    try:
        team, bob, code = (here.name(each) for each in ("team", "bob", "code"))
        here.run(f"CREATE ROLE {team}", f"CREATE ROLE {bob} LOGIN IN ROLE {team}",
                 f"CREATE FUNCTION {code}() RETURNS int LANGUAGE plpgsql AS"
                 f" $$BEGIN REVOKE {team} FROM {bob}; RETURN 1; END$$")
        there.settle()
        there.run("CREATE TABLE secret AS SELECT 1 AS v", f"GRANT SELECT ON secret TO {team}")
        there.settle()
        if how == "event_trigger":
            here.run(f"CREATE FUNCTION {code}_t() RETURNS event_trigger LANGUAGE plpgsql AS"
                     f" $$BEGIN PERFORM {code}(); END$$",
                     f"CREATE EVENT TRIGGER {code} ON ddl_command_end EXECUTE FUNCTION {code}_t()")
        if how == "alter_table":
            here.run(f"CREATE TABLE {code}_a AS SELECT 1 AS v")
        here.settle()
        probe = there.probe("SELECT v FROM secret", connect=lambda: there.wire(user=bob),
                            direct=lambda: there.wire_direct(user=bob))
        probe.warm()
        here.wire().ok({"event_trigger": f"CREATE TABLE {code}_a (v int)",
                        "materialized_view": f"CREATE MATERIALIZED VIEW {code}_a AS SELECT {code}() AS v",
                        "alter_table": f"ALTER TABLE {code}_a ADD w int DEFAULT {code}()"}[how])
        assert probe.expected() == "42501"
        assert [reader.read() for reader in probe.readers] == ["42501"] * len(probe.readers)
    finally:
        if how == "event_trigger":
            postgres.sql(database, f"DROP EVENT TRIGGER IF EXISTS {code}")
        here.close()
        there.close()


# -- configuration --------------------------------------------------------------------------------
def test_a_configuration_read_before_the_control_connection_was_there_is_not_missed(new_postgres, new_proxy):
    """What repairs the control role's way in is a reload; it may change more."""
    server = new_postgres(hba_lines=["host all controller 127.0.0.1/32 reject"])
    server.sql("postgres", "CREATE ROLE controller SUPERUSER LOGIN PASSWORD 'secret'", "CREATE SCHEMA other",
               "CREATE TABLE other.t AS SELECT 'other' AS v", "CREATE TABLE public.t AS SELECT 'public' AS v")
    proxy = new_proxy(server.port, {"upstream": {"user": "controller", "password": "secret"}})
    env = Environment(server, proxy, "postgres")
    try:
        old = env.wire()
        assert old.rows("SELECT v FROM t") == [("public",)]
        hba = server.data / "pg_hba.conf"
        hba.write_text(hba.read_text().replace("controller 127.0.0.1/32 reject", "controller 127.0.0.1/32 trust"))
        server.sql("postgres", "ALTER SYSTEM SET search_path = other, public", "SELECT pg_reload_conf()")
        env.settle()
        env.until_hit(lambda: old.rows("SELECT v FROM t"), lambda: [("other",)])
        env.wire().ok("UPDATE other.t SET v = 'new'")
        assert old.rows("SELECT v FROM t") == [("new",)]
    finally:
        env.close()


# -- pools ----------------------------------------------------------------------------------------
def test_all_that_wait_for_a_pool_that_is_lost_are_told(new_postgres, new_proxy):
    server = new_postgres(auth="scram-sha-256")
    proxy = new_proxy(server.port, {"pool": {"size": 1, "wait_timeout": "1h"}})
    env = Environment(server, proxy, "postgres")
    try:
        clients = [env.wire() for _ in range(4)]
        clients[0].ok("BEGIN")
        pid, = clients[0].rows("SELECT pg_backend_pid()")[0]
        for waiting in clients[1:]:
            waiting.send(wire.query("SELECT 1"))
        wait_until(lambda: sum(pool["waiting"] for pool in proxy.stats()["pools"]) == 3, "three wait")
        server.sql("postgres", f"SELECT pg_terminate_backend({pid})")
        for waiting in clients[1:]:
            waiting.read_to_end()
    finally:
        env.close()


def test_a_changed_configuration_costs_a_pool_no_connection(new_postgres, new_proxy):
    """One that only a login can make is inspected again, not closed."""
    server = new_postgres(auth="scram-sha-256", trusted_users=["controller"])
    server.sql("postgres", "CREATE ROLE controller SUPERUSER LOGIN")
    proxy = new_proxy(server.port, {"pool": {"size": 4, "wait_timeout": "5s"}, "upstream": {"user": "controller"}})
    proxy.wait_catalog("postgres")
    env = Environment(server, proxy, "postgres")
    try:
        clients = [env.wire() for _ in range(4)]
        for client in clients:
            client.ok("BEGIN")
            client.ok("SHOW work_mem")
        version = proxy.stats()["control"][0]["catalog_version"]
        server.sql("postgres", "ALTER SYSTEM SET work_mem = '7MB'", "SELECT pg_reload_conf()")
        wait_until(lambda: proxy.stats()["control"][0]["catalog_version"] > version, "the reload is known")
        first, *others = clients
        first.ok("COMMIT")
        assert first.rows("SHOW work_mem") == [("7MB",)]
        for client in others:
            client.ok("COMMIT")
        for client in clients:
            client.ok("BEGIN")
            assert client.rows("SHOW work_mem") == [("7MB",)]
    finally:
        env.close()


# -- statements -----------------------------------------------------------------------------------
def test_what_code_has_prepared_is_deallocated(env):
    client = env.wire()
    client.ok("DO $$BEGIN EXECUTE 'PREPARE left_over AS SELECT 1'; END$$")
    assert client.rows("EXECUTE left_over") == [("1",)]
    client.ok("DEALLOCATE ALL")
    assert client.query("EXECUTE left_over").sqlstate == "26000"


# -- code without a word of it --------------------------------------------------------------------
@pytest.mark.parametrize("call", ["json_populate_record({t}, '{{\"d\": 1}}')", "jsonb_populate_record({t}, '{{\"d\": 1}}')",
                                  "({t} #= 'd=>1'::hstore)", "populate_record({t}, 'd=>1'::hstore)"])
def test_a_check_of_a_domain_that_a_row_is_filled_through_is_code(env, call):
    """The row is named, its types are not."""
    table, log, code = (env.name(each) for each in ("t", "log", "code"))
    env.run("CREATE EXTENSION IF NOT EXISTS hstore", f"CREATE TABLE {log} AS SELECT 1 AS v",
            f"CREATE FUNCTION {code}() RETURNS bool LANGUAGE plpgsql AS $$BEGIN UPDATE {log} SET v = v + 1; RETURN true; END$$",
            f"CREATE DOMAIN {code}_d AS int", f"CREATE TABLE {table} (d {code}_d)", f"INSERT INTO {table} VALUES (1)",
            f"ALTER DOMAIN {code}_d ADD CHECK ({code}()) NOT VALID")
    probe = env.probe(f"SELECT v FROM {log}")
    probe.warm()
    before = probe.expected()
    env.wire().ok(f"SELECT {call.format(t=table)} FROM {table}")
    assert probe.expected() != before
    probe.check()
