"""Statements that pgrecall does not parse: too long, too deep, or in a newer grammar than the one it was built with."""
import pytest

from support import freshness, wire
from support.hostile import run_of, unit, untouched

LONG = " /* " + "x" * 66_000 + " */"
DEEP = " ORDER BY " + "(" * 2_500 + "1" + ")" * 2_500

WRITES = {
    "view": "SELECT * FROM {view}",
    "quoted": 'SELECT * FROM "public" . "{view}"',
    "unicode": 'SELECT * FROM U&"{view}"',
    "joined": "SELECT * FROM {plain} a, {plain} b, {view}",
    "with": "WITH a AS (SELECT * FROM {view}) SELECT * FROM a",
    "functional": "SELECT a.{of_row} FROM {plain} a",
    "operator": "SELECT id {operator} 1 FROM {plain}",
    "domain": "SELECT 'a'::{domain}",
    "field": "SELECT ('a'::text).{domain}",
    "policy": "SELECT * FROM {secured}",
    "words": "SELECT substring(5)",
    "keyword": "SELECT * FROM values",
    "type": "SELECT 'x'::join",
    "like_function": "SELECT abs('x')",
    "over": "SELECT DISTINCT ON (1) over(id) FROM {plain}",
    "filter": "SELECT DISTINCT ON (1) filter(id) FROM {plain}",
    "coalesce": "SELECT * FROM {plain} {space}, LATERAL coalesce({space}.{inner}, true) c",
    "greatest": "SELECT * FROM {plain} {space}, LATERAL greatest({space}.{inner}, true) c",
}


@pytest.fixture
def coded(env):
    """Things whose use writes a row into {log}."""
    names = {each: env.name(each) for each in ("log", "plain", "view", "write", "of_row", "domain", "secured", "reader",
                                              "space", "inner")}
    names["operator"] = "<@@@>"
    env.run(*(text.format(**names) for text in (
        "CREATE TABLE {log} (i int)", "CREATE TABLE {plain} AS SELECT 1 AS id", "GRANT ALL ON {log}, {plain} TO PUBLIC",
        "CREATE FUNCTION {write}() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO {log} VALUES (1); RETURN true; END'",
        "CREATE VIEW {view} AS SELECT {write}() AS done", "GRANT SELECT ON {view} TO PUBLIC",
        "CREATE FUNCTION {of_row}({plain}) RETURNS boolean LANGUAGE sql AS 'SELECT {write}()'",
        "CREATE FUNCTION {write}(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT {write}()'",
        "DROP OPERATOR IF EXISTS {operator} (int, int)",
        "CREATE OPERATOR {operator} (LEFTARG = int, RIGHTARG = int, FUNCTION = {write})",
        "CREATE DOMAIN {domain} AS text CHECK ({write}())",
        "CREATE SCHEMA {space}", "CREATE TABLE {space}.{inner} (i int)", "GRANT ALL ON SCHEMA {space} TO PUBLIC",
        "GRANT ALL ON {space}.{inner} TO PUBLIC",
        "CREATE FUNCTION {inner}({plain}) RETURNS boolean LANGUAGE sql AS 'SELECT {write}()'",
        "CREATE OR REPLACE FUNCTION over(int) RETURNS boolean LANGUAGE sql AS 'SELECT {write}()'",
        "CREATE OR REPLACE FUNCTION filter(int) RETURNS boolean LANGUAGE sql AS 'SELECT {write}()'",
        'CREATE OR REPLACE FUNCTION "substring"(int) RETURNS boolean LANGUAGE sql AS \'SELECT {write}()\'',
        'CREATE OR REPLACE VIEW "values" AS SELECT {write}() AS done', 'GRANT SELECT ON "values" TO PUBLIC',
        'DROP DOMAIN IF EXISTS "join", abs', 'CREATE DOMAIN "join" AS text CHECK ({write}())',
        "CREATE DOMAIN abs AS text CHECK ({write}())",
        "CREATE TABLE {secured} AS SELECT 1 AS id", "GRANT ALL ON {secured} TO PUBLIC", "CREATE ROLE {reader}",
        "CREATE POLICY p ON {secured} USING ({write}())", "ALTER TABLE {secured} ENABLE ROW LEVEL SECURITY")))
    env.settle()
    return names


def writer(env, names):
    client = env.wire()
    client.ok("SET ROLE {reader}".format(**names))
    return client


@pytest.mark.parametrize("made", (LONG, DEEP), ids=("long", "deep"))
@pytest.mark.parametrize("how", WRITES)
def test_case07_a_select_that_is_not_parsed_may_write(env, since, coded, how, made):
    if how == "words":
        since(14, "substring(5) as a call of what the path finds")
    client = writer(env, coded)
    probe = env.probe("SELECT count(*) FROM {log}".format(**coded), modes=(freshness.SIMPLE,))
    probe.warm()
    before = probe.expected()
    client.ok(WRITES[how].format(**coded) + made)
    probe.changed(before)
    probe.check()


@pytest.mark.parametrize("made", (LONG, DEEP), ids=("long", "deep"))
def test_case07_what_it_wrote_is_not_shown_before_its_commit(env, coded, made):
    probe = env.probe("SELECT count(*) FROM {log}".format(**coded), modes=(freshness.SIMPLE,))
    probe.warm()
    client = writer(env, coded)
    client.ok("BEGIN")
    client.ok(WRITES["view"].format(**coded) + made)
    assert client.rows("SELECT count(*) FROM {log}".format(**coded)) == [("1",)]
    probe.check()
    client.ok("ROLLBACK")
    assert probe.check() == [("0",)]


@pytest.mark.parametrize("made", (LONG, DEEP), ids=("long", "deep"))
def test_case07_what_it_left_stays_with_its_client(lone, made):
    view = lone.name("leaves")
    lone.run(f"CREATE VIEW {view} AS SELECT set_config('search_path', 'evil', false)")
    untouched(lone, lambda client: client.ok(f"SELECT * FROM {view}{made}"))


@pytest.mark.parametrize("made", (LONG, DEEP), ids=("long", "deep"))
def test_case07_a_temporary_table_is_a_type_as_well(env, coded, made):
    client, table = writer(env, coded), env.name("temporary")
    client.ok("CREATE TEMP TABLE {table} (v {domain})".format(table=table, **coded))
    probe = env.probe("SELECT count(*) FROM {log}".format(**coded), modes=(freshness.SIMPLE,))
    probe.warm()
    before = probe.expected()
    client.ok(f"SELECT ROW('x')::{table}{made}")
    probe.changed(before)
    probe.check()


ANALYSES = {"parse": wire.parse, "bind": lambda name, sql: wire.parse(name, sql) + wire.bind("", name)}
RUNS = {**ANALYSES, "execute": lambda name, sql: ANALYSES["bind"](name, sql) + wire.execute("")}


@pytest.mark.parametrize("name", ("", "named"), ids=("unnamed", "named"))
@pytest.mark.parametrize("made", (LONG, DEEP), ids=("long", "deep"))
@pytest.mark.parametrize("how", ANALYSES)
def test_case07_the_row_type_of_a_temporary_table_checks_its_literals_before_execute(env, coded, how, made, name):
    client, table = writer(env, coded), env.name("temporary")
    client.ok("CREATE TEMP TABLE {table} (v {domain})".format(table=table, **coded))
    probe = env.probe("SELECT count(*) FROM {log}".format(**coded), modes=(freshness.SIMPLE,))
    probe.warm()
    before = probe.expected()
    unit(client, ANALYSES[how](name, f"SELECT '(x)'::{table}{made}")).checked()
    probe.changed(before)
    probe.check()


@pytest.mark.parametrize("how", RUNS)
def test_case07_a_temporary_table_of_the_same_unit_is_a_type_as_well(env, coded, how):
    client, table = writer(env, coded), env.name("temporary")
    probe = env.probe("SELECT count(*) FROM {log}".format(**coded), modes=(freshness.SIMPLE,))
    probe.warm()
    before = probe.expected()
    create = run_of("CREATE TEMP TABLE {table} (v {domain})".format(table=table, **coded))
    unit(client, create + RUNS[how]("", f"SELECT '(x)'::{table}{LONG}")).checked()
    probe.changed(before)
    probe.check()


@pytest.mark.parametrize("how", ANALYSES)
def test_case07_what_such_a_check_left_before_execute_stays_with_its_client(lone, how):
    table, domain, check = lone.name("temporary"), lone.name("domain"), lone.name("check")
    lone.run(f"CREATE FUNCTION {check}() RETURNS boolean LANGUAGE plpgsql AS"
             " $$BEGIN PERFORM set_config('search_path', 'evil', false); RETURN true; END$$",
             f"CREATE DOMAIN {domain} AS text CHECK (public.{check}())")

    def act(client):
        client.ok(f"CREATE TEMP TABLE {table} (v {domain})")
        unit(client, ANALYSES[how]("", f"SELECT '(x)'::{table}{LONG}")).checked()
        client.ok(f"DROP TABLE {table}")
        lone.settle()
        client.ok("SELECT 1")
    untouched(lone, act)


FORGETS = {"drop": "DROP TABLE {table}", "discard": "DISCARD TEMP", "commit": "COMMIT"}


# 65,500 bytes are parsed; what is left of such a text without its relations may be longer.
@pytest.mark.parametrize("length", (65_500, 66_500))
@pytest.mark.parametrize("protocol", ("simple", "extended"))
@pytest.mark.parametrize("how", FORGETS)
def test_case07_what_a_row_type_of_a_temporary_table_left_stays_with_its_client(lone, how, protocol, length):
    table, domain, check = lone.name("temporary"), lone.name("domain"), lone.name("check")
    lone.run(f"CREATE FUNCTION {check}() RETURNS boolean LANGUAGE plpgsql AS"
             " $$BEGIN PERFORM set_config('search_path', 'evil', false); RETURN true; END$$",
             f"CREATE DOMAIN {domain} AS text CHECK (public.{check}())")

    def act(client):
        if how == "commit":
            client.ok("BEGIN")
        client.ok(f"CREATE TEMP TABLE {table} (v {domain})" + (" ON COMMIT DROP" if how == "commit" else ""))
        sql = f"SELECT 1 WHERE ROW('x')::{table} IS NOT NULL"
        sql += " /* " + "x" * (length - len(sql) - 7) + " */"
        (client.query if protocol == "simple" else client.extended)(sql).checked()
        client.ok(FORGETS[how].format(table=table))
        lone.settle()
        client.ok("SELECT 1")
    untouched(lone, act)


HARMLESS = {"long": "SELECT id FROM {t}" + LONG, "deep": "SELECT id FROM {t}" + DEEP, "hexadecimal": "SELECT id, 0x1F FROM {t}",
            "underscore": "SELECT id, 1_000 FROM {t}", "constructor": "SELECT JSON_OBJECT('a' VALUE id RETURNING jsonb) FROM {t}"}


# Older servers refuse some of them: that changes nothing.
@pytest.mark.parametrize("protocol", ("simple", "extended"))
@pytest.mark.parametrize("how", HARMLESS)
def test_case44_a_read_that_is_not_parsed_outdates_nothing_and_pins_nobody(lone, how, protocol):
    table, other = lone.name("t"), lone.name("other")
    lone.run(f"CREATE TABLE {table} AS SELECT 1 AS id", f"CREATE TABLE {other} AS SELECT 1 AS v")
    probe = lone.probe(f"SELECT v FROM {other}", modes=(freshness.SIMPLE,))
    probe.warm()
    client, direct, sql = lone.wire(), lone.wire_direct(), HARMLESS[how].format(t=table)
    ask = getattr(client, "query" if protocol == "simple" else "extended")
    seen, truth = ask(sql), direct.query(sql)
    assert (seen.sqlstate, seen.rows) == (truth.sqlstate, truth.rows)
    with lone.all_hits(1):
        assert probe.reads() == [[("1",)]]
    assert lone.stats()["pinned"] == []
    second = lone.wire()  # while the first one stays
    assert second.rows("SELECT pg_backend_pid() > 0") == [("t",)]
