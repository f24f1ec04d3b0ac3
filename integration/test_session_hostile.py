"""Settings, portals and transactions in orders that few clients choose: what is shown, written and left behind is as without
pgrecall."""
import pytest

from support import wire
from support.hostile import LOCKS, SETS, asked_by, connected, probe_of, run_of, shows, unit, untouched, writes_seen


@pytest.fixture
def evil(env):
    """A table of one name in two schemas; the catalog that counts knows both."""
    table = env.name("both")
    env.run("CREATE SCHEMA IF NOT EXISTS evil", f"CREATE TABLE {table} AS SELECT 'public' AS v",
            f"CREATE TABLE evil.{table} AS SELECT 'evil' AS v")
    env.probe(f"SELECT count(*) FROM {table}").warm()
    return table


@pytest.mark.parametrize("how", ["FETCH ALL FROM p", "MOVE FORWARD ALL IN p"])
@pytest.mark.parametrize("block", [True, False])
def test_a_bound_portal_that_writes_is_fetched_from(env, bump, how, block):
    client = env.wire()
    bound = wire.parse("", "UPDATE {counted} SET v = v + 1 RETURNING v".format(**bump)) + wire.bind("p", "")

    def act():
        if not block:
            return unit(client, bound + run_of(how)).checked()
        client.ok("BEGIN")
        unit(client, bound).checked()
        client.ok(how)
        return client.ok("COMMIT")

    writes_seen(env, bump, act)


def test_the_own_write_of_a_portal_that_was_fetched_from_is_seen(env, evil):
    sql = f"SELECT v FROM {evil}"
    env.probe(sql).warm()
    client = connected(env, "BEGIN")
    unit(client, wire.parse("", f"UPDATE {evil} SET v = 'own' RETURNING v") + wire.bind("p", "")).checked()
    client.ok("FETCH ALL FROM p")
    assert client.rows(sql) == [("own",)]


@pytest.mark.parametrize("what", [SETS, LOCKS])
def test_what_a_portal_that_was_fetched_from_leaves_stays_with_its_client(lone, what):
    untouched(lone, lambda client: unit(client, wire.parse("", f"SELECT {what}") + wire.bind("p", "")
                                        + run_of("FETCH ALL FROM p")).checked())


@pytest.mark.parametrize("how", ["SET LOCAL search_path TO DEFAULT", "SELECT set_config('search_path', NULL, true)"])
def test_a_local_default_ends_with_its_transaction(env, evil, how):
    sql = f"SELECT v FROM {evil}"
    client = connected(env, "SET search_path = evil", "BEGIN", how, "COMMIT")
    shows(client, sql, [("evil",)])
    client.close()
    shows(env.wire(), sql, [("public",)])


def test_a_block_that_began_as_a_snapshot_hits_nothing(env, evil):
    sql, committed = f"SELECT v FROM {evil}", "SET default_transaction_isolation = 'read committed'"
    client = connected(env, "SET default_transaction_isolation = 'repeatable read'", "BEGIN", sql, committed)
    env.wire().ok(f"UPDATE {evil} SET v = 'new'")
    probe_of(env, sql, committed).warm()
    assert client.rows(sql) == [("public",)]


def test_a_block_that_began_as_a_snapshot_stores_nothing(env, evil):
    sql, committed = f"SELECT v FROM {evil}", "SET default_transaction_isolation = 'read committed'"
    client = connected(env, "SET default_transaction_isolation = 'repeatable read'", "BEGIN", sql, committed)
    other = connected(env, committed)
    env.wire().ok(f"UPDATE {evil} SET v = 'new'")
    assert client.rows(sql) == [("public",)]
    assert other.rows(sql) == [("new",)]


def test_what_is_created_under_a_path_that_begins_with_pg_temp_stays_with_its_client(lone):
    table = lone.name("plain")
    lone.run(f"CREATE TABLE {table} AS SELECT 'public' AS v")
    lone.settle()
    client, other = lone.wire(), lone.wire()
    other.ok("SELECT 1")
    client.ok("SET search_path = pg_temp, public")
    client.ok(f"CREATE TABLE {table} AS SELECT 'leaked' AS v")
    assert asked_by(client, other, f"SELECT v FROM {table}") == [("public",)]


def test_a_relation_made_under_a_path_that_begins_with_pg_temp_is_its_clients(env, evil):
    sql = f"SELECT v FROM {evil}"
    client, other = (connected(env, "SET search_path = pg_temp, public") for _ in range(2))
    client.ok(f"CREATE TABLE {evil} AS SELECT 'mine' AS v")
    env.probe(f"SELECT count(*) FROM public.{evil}").warm()
    shows(client, sql, [("mine",)])
    shows(other, sql, [("public",)])


@pytest.mark.parametrize("local", ["SET LOCAL SESSION AUTHORIZATION DEFAULT", "SET LOCAL SESSION AUTHORIZATION postgres"])
def test_a_local_authorization_of_the_login_role_ends_the_role(env, local):
    """What the superuser sees is not remembered for a role that a policy hides it from."""
    names = {each: env.name(each) for each in ("a", "t")}
    env.run(*(text.format(**names) for text in (
        "CREATE ROLE {a}", "CREATE TABLE {t} AS SELECT 'secret' AS v", "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
        "GRANT SELECT ON {t} TO {a}")))
    env.probe("SELECT count(*) FROM {t}".format(**names)).warm()
    sql, role = "SELECT v FROM {t}".format(**names), "SET ROLE {a}".format(**names)
    client = connected(env, role, "BEGIN", local)
    shows(client, sql, [("secret",)])
    client.ok("COMMIT")
    shows(client, sql, connected(env, role, "BEGIN", local, "COMMIT", direct=True).rows(sql))
    shows(connected(env, role), sql, [])


def test_a_local_authorization_ends_the_role(env):
    names = {each: env.name(each) for each in ("a", "b", "t")}
    env.run(*(text.format(**names) for text in (
        "CREATE ROLE {a}", "CREATE ROLE {b}", "CREATE TABLE {t} AS SELECT 'secret' AS v", "GRANT {a} TO {b}",
        "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", "GRANT SELECT ON {t} TO {a}, {b}",
        "CREATE POLICY p ON {t} TO {b} USING (true)")))
    env.probe("SELECT count(*) FROM {t}".format(**names)).warm()
    sql = "SELECT v FROM {t}".format(**names)
    local = [text.format(**names) for text in ("SET ROLE {a}", "BEGIN", "SET LOCAL SESSION AUTHORIZATION {b}")]
    shows(connected(env, *local), sql, [("secret",)])
    shows(connected(env, "SET SESSION AUTHORIZATION {b}".format(**names), "SET ROLE {a}".format(**names)), sql, [])


def test_a_portal_that_is_executed_again_sets_nothing_again(env, evil):
    sql = f"SELECT v FROM {evil}"
    client = connected(env, "BEGIN")
    unit(client, wire.parse("", f"SELECT {SETS}") + wire.bind("p", "") + wire.execute("p")).checked()
    client.ok("SET search_path = public")
    assert unit(client, wire.execute("p")).checked().rows == []
    client.ok("COMMIT")
    shows(client, sql, [("public",)])
    shows(connected(env, "SET search_path = evil"), sql, [("evil",)])


def test_a_datestyle_that_keeps_a_part_of_the_last_one_is_another(env):
    table = env.name("dated")
    env.run(f"CREATE TABLE {table} AS SELECT date '2020-02-01' AS d")
    env.probe(f"SELECT count(*) FROM {table}").warm()
    sql = f"SELECT d FROM {table} WHERE d = '01/02/2020'"
    shows(connected(env, "SET datestyle = 'SQL, DMY'", "SET datestyle = 'ISO'"), sql, [("2020-02-01",)])
    shows(connected(env, "SET datestyle = 'ISO'"), sql, [])


def test_a_datestyle_follows_its_client(lone):
    client, other = lone.wire(), lone.wire()
    client.ok("SET datestyle = 'SQL, DMY'")
    client.ok("SET datestyle = 'ISO'")
    other.ok("SELECT 1")
    assert client.rows("SHOW datestyle") == [("ISO, DMY",)]


@pytest.mark.parametrize("how", ["parse", "describe", "bind", "prepare"])
def test_a_statement_that_writes_when_it_is_read_or_planned_is_seen(env, bump, how):
    row = env.name("row")
    env.run("CREATE DOMAIN {row}_d AS int CHECK ({bump}() = 1)".format(row=row, **bump), f"CREATE TYPE {row} AS (v {row}_d)")
    env.settle()
    client = env.wire()
    parsed = wire.parse("", f"SELECT '(1)'::{row}")

    def act():
        if how == "prepare":
            return client.ok(f"PREPARE p AS SELECT '(1)'::{row}")
        return unit(client, {"parse": parsed, "describe": parsed + wire.describe_statement(""),
                             "bind": wire.parse("", "SELECT {lies}(1)".format(**bump)) + wire.bind("", "")}[how]).checked()

    writes_seen(env, bump, act)


@pytest.mark.parametrize("how", ["parse", "describe", "parameter", "prepare"])
def test_what_reading_a_statement_leaves_stays_with_its_client(lone, how):
    row = lone.name("leaving")
    lone.run(f"CREATE FUNCTION {row}_f() RETURNS bool LANGUAGE plpgsql AS $$BEGIN PERFORM {SETS}; RETURN true; END$$",
             f"CREATE DOMAIN {row}_d AS int CHECK (public.{row}_f())", f"CREATE TYPE {row} AS (v {row}_d)",
             f"CREATE TABLE {row}_t (v int)")
    lone.settle()
    oid = int(lone.wire_direct().rows(f"SELECT '{row}_d'::regtype::oid")[0][0])
    parsed = wire.parse("", f"SELECT '(1)'::{row}")

    def act(client):
        if how == "prepare":
            client.ok(f"PREPARE p AS SELECT '(1)'::public.{row}")
            return client.ok("DEALLOCATE p")
        typed = wire.parse("", f"SELECT v FROM public.{row}_t WHERE v = $1", [oid]) + wire.bind("", "", ["1"]) + wire.execute("")
        return unit(client, {"parse": parsed, "describe": parsed + wire.describe_statement(""), "parameter": typed}[how]).checked()

    untouched(lone, act)


def test_a_parameter_of_a_domain_that_writes_is_seen(env, bump):
    domain = env.name("domain")
    env.run("CREATE DOMAIN {domain} AS int CHECK ({bump}() = 1)".format(domain=domain, **bump))
    env.settle()
    oid = int(env.wire_direct().rows(f"SELECT '{domain}'::regtype::oid")[0][0])
    client = env.wire()
    writes_seen(env, bump, lambda: unit(client, wire.parse("", "SELECT v FROM {t} WHERE v = $1".format(**bump), [oid])
                                        + wire.bind("", "", ["1"]) + wire.execute("")).checked())


@pytest.mark.parametrize("check", ["CHECK ({bump}() = 1)", ""])
def test_a_write_of_a_temporary_child_that_nobody_saw_is_seen(env, bump, check):
    client = env.wire()
    client.ok(("DO $$BEGIN CREATE TEMP TABLE {t}_child (" + check + ") INHERITS (public.{t}); INSERT INTO {t}_child VALUES (4);"
               + ("" if check else " CREATE INDEX ON {t}_child (public.{lies}(v));") + " END$$").format(**bump))
    for _ in range(3):
        client.ok("SELECT 1")  # the server has been asked what names mean
    writes_seen(env, bump, lambda: client.ok("UPDATE {t} SET v = v + 1".format(**bump)))


def test_a_statement_that_was_parsed_under_definitions_that_never_were_is_not_shared(lone):
    table = lone.name("typed")
    lone.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    lone.probe(f"SELECT count(*) FROM {table}").warm()
    client, other = lone.wire(), lone.wire()
    parsed = wire.parse("s", f"SELECT v FROM {table} WHERE v = $1")
    other.ok("SELECT 1")
    client.ok("BEGIN")
    client.ok(f"ALTER TABLE {table} ALTER v TYPE text")
    unit(client, parsed).checked()
    client.ok("ROLLBACK")
    reply = unit(other, parsed + wire.bind("", "s", ["1"]) + wire.execute())
    assert reply.checked().rows == [("1",)]


@pytest.mark.parametrize("then", ["fetch", "bind"])
def test_a_portal_that_a_hit_answered_is_there(env, evil, then):
    bound = wire.parse("", f"SELECT v FROM {evil}") + wire.bind("p", "") + wire.execute("p")
    seen = []
    for client in (env.wire_direct(), env.wire(), env.wire(), env.wire()):
        client.ok("BEGIN")
        unit(client, bound).checked()
        reply = client.query("FETCH ALL FROM p") if then == "fetch" else unit(client, bound)
        seen.append((reply.sqlstate, reply.tags, reply.status))
    assert seen[1:] == seen[:1] * 3


def test_discard_all_stays_done_when_the_rest_of_its_unit_fails(env, evil):
    sql = f"SELECT v FROM {evil}"
    client = connected(env, "SET search_path = evil")
    assert unit(client, run_of("DISCARD ALL") + run_of("SELECT 1/0")).sqlstate == "22012"
    shows(client, sql, [("public",)])
    shows(connected(env, "SET search_path = evil"), sql, [("evil",)])


def test_an_authorization_that_discard_all_took_away_is_gone(env):
    names = {each: env.name(each) for each in ("a", "t")}
    env.run(*(text.format(**names) for text in (
        "CREATE ROLE {a}", "CREATE TABLE {t} AS SELECT 'secret' AS v", "ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",
        "GRANT SELECT ON {t} TO {a}")))
    env.probe("SELECT count(*) FROM {t}".format(**names)).warm()
    sql, become = "SELECT v FROM {t}".format(**names), "SET SESSION AUTHORIZATION {a}".format(**names)
    client = connected(env, become)
    unit(client, run_of("DISCARD ALL") + run_of("SELECT 1/0"))
    shows(client, sql, [("secret",)])
    shows(connected(env, become), sql, [])


def test_a_second_begin_with_modes_after_a_hit_is_refused(env, evil):
    sql = f"SELECT v FROM {evil}"
    env.probe(sql).warm()
    for client in (env.wire_direct(), env.wire()):
        client.ok("BEGIN")
        client.ok(sql)
        assert client.query("BEGIN ISOLATION LEVEL REPEATABLE READ").sqlstate == "25001"


@pytest.mark.parametrize("back", ["RESET default_transaction_isolation", "RESET ALL"])
def test_the_isolation_of_an_open_transaction_is_the_one_it_began_with(env, back):
    table = env.name("t")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    env.settle()
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    old = env.wire()
    old.ok("SET default_transaction_isolation = 'repeatable read'")
    old.ok("BEGIN")
    assert old.rows(sql) == [("1",)]
    old.ok(back)
    env.wire().ok(f"UPDATE {table} SET v = 2")
    probe.warm()
    seen = old.rows(sql)
    old.ok("COMMIT")
    assert seen == [("1",)], "a hit inside a snapshot transaction"


@pytest.mark.parametrize("back", ["RESET default_transaction_isolation", "RESET ALL"])
def test_nothing_read_under_an_old_snapshot_is_remembered(env, back):
    table = env.name("t")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    env.settle()
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    old = env.wire()
    old.ok("SET default_transaction_isolation = 'repeatable read'")
    old.ok("BEGIN")
    assert old.rows(sql) == [("1",)]
    old.ok(back)
    env.wire().ok(f"UPDATE {table} SET v = 2")
    assert old.rows(sql) == [("1",)]
    probe.check()
    old.ok("COMMIT")
    probe.check()


@pytest.mark.parametrize("how", ["SET LOCAL search_path = elsewhere", "SET search_path = elsewhere",
                                 "SELECT set_config('search_path', 'elsewhere', true)"])
def test_a_portal_writes_where_its_names_led_when_it_was_bound(env, how):
    table = env.name("t")
    env.run("CREATE SCHEMA IF NOT EXISTS elsewhere", f"CREATE TABLE {table} AS SELECT 1 AS v",
            f"CREATE TABLE elsewhere.{table} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM public.{table}")
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    client.send(wire.parse("s", f"UPDATE {table} SET v = 2") + wire.bind("p", "s") + wire.sync())
    client.read_ready().checked()
    client.query(how).checked()
    client.send(wire.execute("p") + wire.sync())
    client.read_ready().checked()
    client.ok("COMMIT")
    assert probe.fresh() == [("2",)]


def test_a_statement_means_what_its_text_meant_when_it_was_parsed(env):
    log = env.name("log")
    env.run(f"CREATE TABLE {log} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM {log}")
    probe.warm()
    client = env.wire()
    text = f"WITH w AS (SELECT '\\' AS a -- '), x AS (UPDATE {log} SET v = 2 RETURNING 1\n) SELECT 1 FROM w"
    client.ok("SET standard_conforming_strings = off")
    client.ok("SET escape_string_warning = off")
    client.send(wire.parse("s", text) + wire.sync())
    client.read_ready().checked()
    client.ok("SET standard_conforming_strings = on")
    client.send(wire.bind("", "s") + wire.execute("") + wire.sync())
    client.read_ready().checked()
    assert probe.fresh() == [("2",)]


@pytest.mark.parametrize("how", ["refused", "skipped"])
def test_a_portal_stays_what_it_was_if_its_bind_failed(env, how):
    """Named portals outlive an error inside a savepoint."""
    table, other = env.name("t"), env.name("u")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE {other} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM {table}")
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    client.send(wire.parse("s", f"UPDATE {table} SET v = 2") + wire.parse("r", f"UPDATE {other} SET v = 2")
                + wire.bind("p", "s") + wire.sync())
    client.read_ready().checked()
    client.ok("SAVEPOINT a")
    if how == "refused":
        client.send(wire.bind("p", "r") + wire.sync())
    else:
        client.send(wire.bind("", "nosuch") + wire.close_portal("p") + wire.bind("p", "r") + wire.sync())
    assert client.read_ready().sqlstate
    client.ok("ROLLBACK TO a")
    client.send(wire.execute("p") + wire.sync())
    client.read_ready().checked()
    client.ok("COMMIT")
    assert probe.fresh() == [("2",)]


@pytest.mark.parametrize("fetch", ["FETCH ALL FROM p", "MOVE ALL IN p"])
@pytest.mark.parametrize("text", ["UPDATE {} SET v = 2 RETURNING v",
                                  "WITH w AS (UPDATE {} SET v = 2 RETURNING v) SELECT v FROM w"])
def test_a_portal_that_is_fetched_from_writes(env, fetch, text):
    """Portals of the protocol and cursors of SQL have one space of names."""
    table = env.name("t")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM {table}")
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    client.send(wire.parse("s", text.format(table)) + wire.bind("p", "s") + wire.sync())
    client.read_ready().checked()
    client.ok(fetch)
    client.ok("COMMIT")
    assert probe.fresh() == [("2",)]


@pytest.mark.parametrize("text", ["EXPLAIN EXECUTE s", "CREATE TEMP TABLE made AS EXECUTE s", "EXPLAIN ANALYZE EXECUTE s"])
def test_a_statement_of_the_protocol_is_there_for_sql(env, text):
    client = env.wire()
    client.send(wire.parse("s", "SELECT 1 AS v") + wire.sync())
    client.read_ready().checked()
    client.query(text).checked()


ENDS = [(["BEGIN", "SET LOCAL search_path = elsewhere"], "COMMIT"),
        (["BEGIN", "SET LOCAL search_path = elsewhere"], "ROLLBACK"),
        (["BEGIN", "SAVEPOINT a", "SET search_path = elsewhere"], "ROLLBACK TO a"),
        (["BEGIN", "SET search_path = elsewhere"], "ROLLBACK"),
        (["SET search_path = elsewhere"], "DISCARD ALL")]


@pytest.mark.parametrize("protocol,before,last", [(protocol, *end) for protocol in ("query", "pipeline") for end in ENDS
                                                  if (protocol, end[1]) != ("query", "DISCARD ALL")])  # not allowed there
def test_the_end_of_a_setting_and_a_write_in_one_go(env, protocol, before, last):
    """What follows the end of a SET LOCAL is written where the names lead then."""
    table = env.name("t")
    env.run("CREATE SCHEMA IF NOT EXISTS elsewhere", f"CREATE TABLE {table} AS SELECT 1 AS v",
            f"CREATE TABLE elsewhere.{table} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM public.{table}")
    probe.warm()
    client = env.wire()
    for statement in before:
        client.ok(statement)
    write = f"UPDATE {table} SET v = 2"
    if protocol == "query":
        client.ok(f"{last}; {write}")
    else:
        client.send(wire.parse("", last) + wire.bind("", "") + wire.execute("")
                    + wire.parse("", write) + wire.bind("", "") + wire.execute("") + wire.sync())
        client.read_ready().checked()
    if last.startswith("ROLLBACK TO"):
        client.ok("COMMIT")
    assert probe.fresh() == [("2",)]


def test_the_end_of_a_setting_and_a_query_in_one_go(env):
    t = env.name("t")
    env.run("CREATE SCHEMA IF NOT EXISTS elsewhere", f"CREATE TABLE {t} AS SELECT 1 AS v", f"CREATE TABLE elsewhere.{t} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM public.{t}")
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    client.ok("SET LOCAL search_path = elsewhere")
    client.send(wire.parse("", "COMMIT") + wire.bind("", "") + wire.execute("") + wire.query(f"UPDATE {t} SET v = 2"))
    client.read_ready().checked()
    assert probe.fresh() == [("2",)]


def test_a_portal_bound_before_a_query_writes_where_its_names_led(env):
    """Portal bound, held back, then the path changes in between by a Query in the unit."""
    t = env.name("t")
    env.run("CREATE SCHEMA IF NOT EXISTS elsewhere", f"CREATE TABLE {t} AS SELECT 1 AS v", f"CREATE TABLE elsewhere.{t} AS SELECT 1 AS v")
    env.settle()
    probe = env.probe(f"SELECT v FROM public.{t}")
    probe.warm()
    client = env.wire()
    client.ok("BEGIN")
    client.send(wire.parse("s", f"UPDATE {t} SET v = 2") + wire.bind("p", "s") + wire.query("SET search_path = elsewhere"))
    client.read_ready().checked()
    client.send(wire.execute("p") + wire.sync())
    client.read_ready().checked()
    client.ok("COMMIT")
    assert probe.fresh() == [("2",)]


def test_a_text_that_was_parsed_before_a_definition_is_parsed_again_after_it(lone):
    table = lone.name("defined")
    parsed = wire.parse("s", "SELECT 1 AS v")
    client, other = lone.wire(), lone.wire()
    unit(client, parsed).checked()
    client.ok(f"CREATE TABLE {table} (v int)")
    unit(other, parsed).checked()


def test_the_unnamed_statement_of_one_client_is_not_anothers_after_a_definition(lone):
    table = lone.name("defined")
    client, other, third = lone.wire(), lone.wire(), lone.wire()
    client.ok(f"CREATE TABLE {table} AS SELECT 'mine' AS v")
    unit(client, wire.parse("", f"SELECT v FROM {table}")).checked()
    unit(third, wire.parse("", "SELECT 1") + wire.bind("", "") + wire.execute("")).checked()
    with lone.direct().cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD w int")
    lone.settle()
    assert unit(other, wire.bind("", "") + wire.execute("")).sqlstate == "26000"

