"""Code and names in places where an analysis of statements might not look: what runs there is seen, and stays with its client."""
import select

import pytest

from support import freshness, wire
from support.environment import Environment

SETS = "set_config('search_path', 'evil', false)"
LOCKS = "pg_try_advisory_lock(77)::text"
LOOK = ("SELECT pg_catalog.current_setting('search_path'), (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype"
        " OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())")


@pytest.fixture
def plain(env):
    """A table with one row; the catalog that counts knows it."""
    table = env.name("plain")
    env.run(f"CREATE TABLE {table} AS SELECT 'public' AS v")
    env.settle()
    return table


@pytest.fixture
def bump(env):
    """`counted` counts the calls of {bump}() and of {lies}(), which calls itself IMMUTABLE; {t} is a table, {x} a free name."""
    names = {each: env.name(each) for each in ("counted", "bump", "lies", "t", "x")}
    env.run(*(text.format(**names) for text in (
        "CREATE TABLE {counted} AS SELECT 1 AS v", "CREATE TABLE {t} AS SELECT 1 AS v",
        "CREATE FUNCTION {bump}() RETURNS int LANGUAGE plpgsql AS"
        " $$BEGIN UPDATE public.{counted} SET v = v + 1; RETURN 1; END$$",
        "CREATE FUNCTION {lies}(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
        " $$BEGIN PERFORM public.{bump}(); RETURN $1; END$$")))
    env.settle()
    return names


@pytest.fixture
def lone(postgres, database, proxy_class):
    """A pgrecall of this test alone with one server connection: what is left there, the next client finds."""
    made = proxy_class(postgres.port, {"pool": {"size": 1}}, ())
    made.wait_catalog(database)
    environment = Environment(postgres, made, database)
    environment.run("CREATE SCHEMA IF NOT EXISTS evil")
    yield environment
    environment.close()
    made.assert_alive()
    made.remove()


def known(env):
    """The catalog that counts is younger than all DDL so far: something was remembered under it."""
    table = env.name("steady")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    env.probe(f"SELECT v FROM {table}", modes=(freshness.SIMPLE,)).warm()


def connected(env, *statements, direct=False):
    client = env.wire_direct() if direct else env.wire()
    for each in statements:
        client.ok(each)
    return client


def probe_of(env, sql, *statements):
    """A probe whose connections have all run `statements`."""
    return env.probe(sql, connect=lambda: connected(env, *statements), direct=lambda: connected(env, *statements, direct=True))


def shows(client, sql, rows):
    """Also once it is remembered."""
    for _ in range(3):
        assert client.rows(sql) == rows


def writes_seen(env, names, act):
    """`act` runs {bump}, and who reads what that wrote sees it."""
    probe = env.probe("SELECT v FROM {counted}".format(**names))
    probe.warm()
    before = probe.expected()
    act()
    probe.changed(before)
    probe.check()


def asked_by(client, other, sql):
    """What `other` is answered on the one connection: at once if `client` does not keep it, else when that leaves."""
    other.send(wire.query(sql))
    if not select.select([other.socket], [], [], 0.3)[0]:
        client.close()
    return other.read_ready().checked().rows


def untouched(lone, act):
    """What `act` leaves on the connection is not there for another client."""
    client, other = lone.wire(), lone.wire()
    before = other.rows(LOOK)
    act(client)
    assert asked_by(client, other, LOOK) == before


# -- what names mean ------------------------------------------------------------------------------
OPENS = {"grant": "GRANT USAGE ON SCHEMA {closed} TO {r}", "everybody": "GRANT USAGE ON SCHEMA {closed} TO PUBLIC",
         "member": "GRANT {owner} TO {r}", "owner": "ALTER SCHEMA {closed} OWNER TO {r}", "superuser": "ALTER ROLE {r} SUPERUSER"}


@pytest.fixture
def closed(env):
    """{t} of a schema that {r} may not use stands before {t} of public."""
    names = {each: env.name(each) for each in ("closed", "owner", "r", "t")}
    env.run(*(text.format(**names) for text in (
        "CREATE ROLE {r}", "CREATE ROLE {owner}", "CREATE SCHEMA {closed} AUTHORIZATION {owner}",
        "CREATE TABLE {t} AS SELECT 1 AS v", "CREATE TABLE {closed}.{t} AS SELECT 2 AS v", "GRANT SELECT ON {t}, {closed}.{t} TO {r}")))
    env.settle()
    return names


def closed_probe(env, names):
    return probe_of(env, "SELECT v FROM {t}".format(**names), "SET search_path = {closed}, public".format(**names),
                    "SET ROLE {r}".format(**names))


def test_a_schema_without_usage_is_passed_over(env, closed):
    probe = closed_probe(env, closed)
    probe.warm()
    env.wire().ok("UPDATE public.{t} SET v = 3".format(**closed))
    assert probe.expected() == [("3",)]
    probe.fresh()


@pytest.mark.parametrize("how", OPENS)
def test_a_schema_that_becomes_usable_comes_first(env, closed, how):
    closed_probe(env, closed).warm()
    env.wire().ok(OPENS[how].format(**closed))
    probe = closed_probe(env, closed)  # a running session of PostgreSQL's does not notice a membership either
    assert probe.fresh() == [("2",)]
    env.wire().ok("UPDATE {closed}.{t} SET v = 3".format(**closed))
    assert probe.expected() == [("3",)]
    probe.fresh()


def test_a_schema_that_is_closed_again_is_passed_over(env, closed):
    env.run(OPENS["grant"].format(**closed))
    probe = closed_probe(env, closed)
    probe.warm()
    env.wire().ok("REVOKE USAGE ON SCHEMA {closed} FROM {r}".format(**closed))
    assert probe.fresh() == [("1",)]
    env.wire().ok("UPDATE public.{t} SET v = 3".format(**closed))
    assert probe.expected() == [("3",)]
    probe.fresh()


PATHS = {"long": "{schema}tail, public", "quoted": '"{schema}tail", public', "long_characters": "{schema}\u00e9, public",
         "carriage_return": "\\r{schema}, public", "tab_before_comma": "{schema}\\t, public", "form_feed": "{schema}\\f, public"}


# The server cuts names to 63 bytes, between characters, and knows five blanks.
@pytest.mark.parametrize("how", PATHS)
def test_a_schema_of_the_path_is_found_as_the_server_finds_it(env, how):
    schema, table = env.name("s"), env.name("pathed")
    if how in ("long", "quoted", "long_characters"):
        schema = schema.ljust(62 if how == "long_characters" else 63, "s")
    env.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {table} AS SELECT 1 AS v", f"CREATE TABLE {schema}.{table} AS SELECT 2 AS v")
    env.settle()
    path = PATHS[how].format(schema=schema)
    probe = probe_of(env, f"SELECT v FROM {table}", f"SELECT set_config('search_path', E'{path}', false)")
    probe.warm()
    env.wire().ok(f"UPDATE {schema}.{table} SET v = 3")
    assert probe.expected() == [("3",)]
    probe.fresh()


def test_a_role_named_none_in_capitals(env):
    env.run('CREATE ROLE "NONE"', 'CREATE SCHEMA "NONE"', 'CREATE TABLE "NONE".nonesuch AS SELECT 1 AS v',
            'GRANT USAGE ON SCHEMA "NONE" TO PUBLIC', 'GRANT ALL ON "NONE".nonesuch TO PUBLIC', "CREATE TABLE nonesuch AS SELECT 0 AS v")
    env.settle()
    probe = probe_of(env, "SELECT v FROM nonesuch", 'SET ROLE "NONE"')
    probe.warm()
    env.wire().ok('UPDATE "NONE".nonesuch SET v = 2')
    assert probe.expected() == [("2",)]
    probe.fresh()


# -- event triggers -------------------------------------------------------------------------------
@pytest.mark.parametrize("sql", ["COMMENT ON TABLE {t} IS 'x'", "CREATE INDEX ON {t} (v)", "CREATE TEMP TABLE {t}_mine (v int)",
                                 "CREATE STATISTICS {t}_both ON v, (v + 1) FROM {t}", "REFRESH MATERIALIZED VIEW {t}_kept",
                                 "SELECT v INTO TEMP {t}_mine FROM {t}", "GRANT SELECT ON {t} TO PUBLIC"])
def test_a_write_of_an_event_trigger_is_seen(env, bump, sql):
    name = env.name("on_ddl")
    env.run("CREATE MATERIALIZED VIEW {t}_kept AS SELECT v FROM {t}".format(**bump),
            "CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM public.{bump}(); END$$".format(
                name=name, **bump), f"CREATE EVENT TRIGGER {name} ON ddl_command_end EXECUTE FUNCTION {name}()")
    env.settle()
    client = env.wire()
    try:
        writes_seen(env, bump, lambda: client.ok(sql.format(**bump)))
    finally:
        env.run(f"DROP EVENT TRIGGER {name}")


@pytest.mark.parametrize("sql", ["CREATE TABLE {name}_table (v int)", "CREATE TEMP TABLE {name}_table AS SELECT 1 AS v"])
def test_what_an_event_trigger_leaves_stays_with_its_client(lone, sql):
    name = lone.name("on_ddl")
    lone.run(f"CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM {SETS}; END$$",
             f"CREATE EVENT TRIGGER {name} ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS')"
             f" EXECUTE FUNCTION {name}()")
    known(lone)
    try:
        untouched(lone, lambda client: client.ok(sql.format(name=name)))
    finally:
        lone.wire_direct().ok(f"DROP EVENT TRIGGER {name}")
        lone.settle()


def test_an_event_trigger_that_is_disabled_or_gone_costs_nothing(env, bump):
    """What a comment outdated with it, it leaves alone without it."""
    name = env.name("on_ddl")
    probe = env.probe("SELECT v FROM {counted}".format(**bump))
    env.run(f"CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$",
            f"CREATE EVENT TRIGGER {name} ON ddl_command_end EXECUTE FUNCTION {name}()")
    for end in (f"ALTER EVENT TRIGGER {name} DISABLE", f"DROP EVENT TRIGGER {name}"):
        env.run(end)
        probe.warm()
        with env.all_hits(len(probe.readers)):
            env.wire().ok("COMMENT ON TABLE {t} IS 'y'".format(**bump))
            probe.check()


# -- defaults and checks --------------------------------------------------------------------------
@pytest.mark.parametrize("what", [SETS, LOCKS])
@pytest.mark.parametrize("how", ["default", "check", "copy", "alter", "alter_parent"])
def test_what_a_default_or_a_check_leaves_stays_with_its_client(lone, what, how):
    table = lone.name("defaulted")
    column = {"default": f", v text DEFAULT {what}", "copy": f", v text DEFAULT {what}", "check": f", CHECK ({what} IS NOT NULL)"}
    lone.run(f"CREATE TABLE {table} (i int" + column.get(how, "") + ")",
             *([f"INSERT INTO {table} VALUES (1)"] if how == "alter" else []),
             *([f"CREATE TABLE {table}_child (CHECK ({what} IS NOT NULL)) INHERITS ({table})",
                f"INSERT INTO {table}_child VALUES (1)"] if how == "alter_parent" else []))
    known(lone)

    def act(client):
        if how == "copy":
            client.send(wire.query(f"COPY {table} (i) FROM STDIN") + wire.copy_data(b"1\n") + wire.copy_done())
            return client.read_ready().checked()
        return client.ok({"alter": f"ALTER TABLE {table} ADD v text DEFAULT {what}",
                          "alter_parent": f"ALTER TABLE {table} ALTER i TYPE bigint"}.get(how, f"INSERT INTO {table} (i) VALUES (1)"))

    untouched(lone, act)


def test_what_follows_a_write_that_moves_its_client_goes_where_its_name_leads(env):
    """A default sets the path, so the name of the next statement of the same text means another table."""
    names = {each: env.name(each) for each in ("elsewhere", "moving", "t")}
    env.run(*(text.format(**names) for text in (
        "CREATE SCHEMA {elsewhere}", "CREATE TABLE {t} AS SELECT 1 AS v", "CREATE TABLE {elsewhere}.{t} AS SELECT 1 AS v",
        "CREATE TABLE {moving} (i int, v text DEFAULT set_config('search_path', '{elsewhere}', false))")))
    env.settle()
    probe = env.probe("SELECT v FROM {elsewhere}.{t}".format(**names))
    probe.warm()
    env.wire().ok("INSERT INTO {moving} (i) VALUES (1); UPDATE {t} SET v = 2".format(**names))
    assert probe.expected() == [("2",)]
    probe.fresh()


# -- what a read says and does ---------------------------------------------------------------------
@pytest.mark.parametrize("column", ["(t).xmax", "(t.*).xmax", "xmax(t)"])
def test_a_system_column_by_another_notation_is_not_remembered(env, plain, column):
    sql = f"SELECT {column}, v FROM {plain} AS t"
    shows(env.wire(), sql, [("0", "public")])
    connected(env, "BEGIN", f"SELECT v FROM {plain} FOR UPDATE", "COMMIT")
    truth = env.wire_direct().rows(sql)
    assert truth != [("0", "public")]
    assert env.wire().rows(sql) == truth


def test_a_seed_stays_with_its_client(lone):
    """The numbers that follow are those of the seed, however many connections others take."""
    def numbers(environment_client, between):
        environment_client.ok("SELECT setseed(0.5)")
        seen = []
        for _ in range(3):
            between()
            seen += environment_client.rows("SELECT random()")
        return seen

    known(lone)
    client, other = lone.wire(), lone.wire()
    expected = numbers(lone.wire_direct(), lambda: None)
    asked = []

    def ask():
        if not asked:
            asked.append(other.send(wire.query("SELECT random()")))

    assert numbers(client, ask) == expected
    client.close()
    other.read_ready().checked()


def test_a_notice_that_one_client_did_not_want_is_not_kept_from_another(env, plain):
    sql = f"SELECT v AS {'n' * 70} FROM {plain}"
    shows(connected(env, "SET client_min_messages = error"), sql, [("public",)])
    assert len(env.wire().ok(sql).notices) == 1


@pytest.mark.parametrize("name,values", [("application_name", ("a", "b")), ("work_mem", ("'1MB'", "'2MB'")),
                                         ("statement_timeout", ("1000", "2000"))])
def test_a_setting_that_a_read_asks_for_decides_what_it_shows(env, plain, name, values):
    for value in values:
        client = connected(env, f"SET {name} = {value}")
        shows(client, f"SELECT current_setting('{name}') FROM {plain}", client.rows(f"SHOW {name}"))
