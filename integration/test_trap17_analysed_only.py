"""Trap 17 where nothing is executed: Parse, Describe and Bind run checks of domains and functions that call themselves
IMMUTABLE. What these write is seen, and what they leave stays with its client."""
import pytest

from support import freshness, wire
from support.hostile import run_of, unit, untouched
from support.waiting import wait_until

LONG = " /* " + "x" * 66_000 + " */"
HOW = {"parse": lambda sql: wire.parse("", sql), "bind": lambda sql: wire.parse("", sql) + wire.bind("", ""), "execute": run_of}
AGAIN = {"describe": wire.describe_statement("s"), "bind": wire.bind("", "s"),
         "execute": wire.bind("", "s") + wire.execute("")}
hows = pytest.mark.parametrize("how", HOW)
agains = pytest.mark.parametrize("how", AGAIN)
lengths = pytest.mark.parametrize("made", ("", LONG), ids=("short", "long"))

# {oid} is that of the domain. The path decides about {ty}, a temporary table hides {kind}.
MADE = (
    "CREATE TABLE {log} (i int)",
    "CREATE FUNCTION {write}() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.{log} VALUES (1); RETURN true; END'",
    "CREATE DOMAIN {domain} AS text CHECK (public.{write}())", "CREATE SCHEMA {space}",
    "CREATE TYPE {ty} AS (v text)", "CREATE TYPE {space}.{ty} AS (v public.{domain})", "CREATE TYPE {kind} AS ENUM ('x')",
    "CREATE FUNCTION {space}.abs(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.{write}(); RETURN 1; END'",
    "CREATE FUNCTION {moves}() RETURNS int LANGUAGE plpgsql AS"
    " $$BEGIN PERFORM set_config('search_path', '{space}, pg_catalog', false); RETURN 1; END$$",
    "CREATE FUNCTION {makes}() RETURNS int LANGUAGE plpgsql AS"
    " $$BEGIN CREATE TEMP TABLE {mine} (v public.{domain}); RETURN 1; END$$",
    "CREATE TABLE {changed} (v text)")
NAMES = ("log", "write", "domain", "space", "ty", "kind", "moves", "makes", "mine", "changed")


class Scene:
    """A client, and a probe of the table that the hidden code writes."""

    def __init__(self, env):
        self.env, self.names = env, {each: env.name(each) for each in NAMES}
        env.run(*(text.format(**self.names) for text in MADE))
        env.settle()
        self.client = env.wire()
        self.probe = env.probe(f"SELECT count(*) FROM {self.names['log']}", modes=(freshness.SIMPLE,))

    def ok(self, sql):
        self.client.ok(sql.format(**self.names))
        self.env.settle()

    def sees(self, data):
        """`data` makes the server write, and the probe shows it."""
        self.probe.warm()
        before = self.probe.expected()
        unit(self.client, data).checked()
        self.probe.changed(before)
        self.probe.check()


@pytest.fixture
def scene(env):
    return Scene(env)


@lengths
@pytest.mark.parametrize("how", ["bind", "execute"])
def test_trap17_a_parameter_of_a_domain(scene, how, made):
    oid = int(scene.env.wire_direct().rows("SELECT '{domain}'::regtype::oid".format(**scene.names))[0][0])
    scene.sees(wire.parse("", "SELECT $1 IS NULL" + made, (oid,)) + wire.bind("", "", ("x",))
               + (wire.execute("") if how == "execute" else b""))


# What gives a type's name another meaning.
MOVES = {"path": ("{ty}", "SET search_path = {space}, public"),
         "temporary": ("{kind}", "CREATE TEMP TABLE {kind} (v public.{domain})")}


@lengths
@hows
@pytest.mark.parametrize("same_unit", [False, True])
@pytest.mark.parametrize("by", MOVES)
def test_trap17_a_type_of_another_meaning(scene, by, how, same_unit, made):
    kind, change = (text.format(**scene.names) for text in MOVES[by])
    if not same_unit:
        scene.ok(change)
    scene.sees((run_of(change) if same_unit else b"") + HOW[how](f"SELECT '(x)'::{kind} IS NULL{made}"))


@lengths
@pytest.mark.parametrize("how", ["bind", "execute"])
@pytest.mark.parametrize("by", ["SET", "set_config", "code"])
def test_trap17_a_function_that_the_path_puts_before_a_built_in_one(scene, by, how, made):
    begin = b""
    if by == "code":
        scene.ok("SELECT {moves}()")
    else:
        begin = run_of({"SET": "SET search_path = {space}, pg_catalog",
                        "set_config": "SELECT set_config('search_path', '{space}, pg_catalog', false)"}[by].format(**scene.names))
    scene.sees(begin + HOW[how]("SELECT abs(-1)" + made))


@lengths
@hows
def test_trap17_a_row_type_of_a_temporary_table_that_code_made(scene, how, made):
    scene.ok("SELECT {makes}()")
    scene.ok("SELECT 1")
    scene.sees(HOW[how]("SELECT '(x)'::{mine}".format(**scene.names) + made))


@hows
def test_trap17_a_type_of_another_sessions_temporary_schema(scene, how):
    other = scene.env.wire_direct()
    other.ok("CREATE TYPE pg_temp.theirs AS (v public.{domain})".format(**scene.names))
    schema = other.rows("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")[0][0]
    scene.sees(HOW[how](f"SELECT '(x)'::{schema}.theirs" + LONG))


CHANGES = {
    "path": ("{ty}", "SET search_path = {space}, public"),
    "temporary": ("{ty}", "CREATE TEMP TABLE {ty} (v public.{domain})"),
    "definition": ("{changed}", "ALTER TABLE {changed} ALTER v TYPE public.{domain}"),
}


@lengths
@agains
@pytest.mark.parametrize("change", CHANGES)
def test_trap17_a_statement_that_the_server_analyses_anew(scene, change, how, made):
    kind, text = CHANGES[change]
    unit(scene.client, wire.parse("s", f"SELECT '(x)'::{kind} IS NULL".format(**scene.names) + made)).checked()
    scene.ok(text)
    scene.sees(AGAIN[how])


@lengths
@pytest.mark.parametrize("how", ["parameter", "describe"])
def test_trap17_what_it_left_stays_with_its_client(lone, how, made):
    domain, check, table = lone.name("domain"), lone.name("check"), lone.name("changed")
    lone.run(f"CREATE FUNCTION {check}() RETURNS boolean LANGUAGE plpgsql AS"
             " $$BEGIN PERFORM set_config('search_path', 'evil', false); RETURN true; END$$",
             f"CREATE DOMAIN {domain} AS text CHECK (public.{check}())", f"CREATE TABLE {table} (v text)")
    oid = int(lone.wire_direct().rows(f"SELECT '{domain}'::regtype::oid")[0][0])

    def act(client):
        if how == "parameter":
            unit(client, wire.parse("", "SELECT $1 IS NULL" + made, (oid,)) + wire.bind("", "", ("x",))).checked()
            return
        unit(client, wire.parse("s", f"SELECT '(x)'::{table} IS NULL{made}")).checked()
        lone.run(f"ALTER TABLE {table} ALTER v TYPE public.{domain}")
        lone.settle()
        client.ok("SELECT 1")
        unit(client, wire.describe_statement("s")).checked()
    untouched(lone, act)


@pytest.mark.parametrize("pipeline", [["SET search_path = public", "SET timezone = 'UTC'", "BEGIN", "COMMIT"],
                                      ["CREATE TEMP TABLE plain_mine (v int) ON COMMIT DROP", "SELECT 1"]])
def test_trap17_a_pipeline_that_hides_nothing_pins_nobody(lone, pipeline):
    client = lone.wire()
    unit(client, b"".join(run_of(sql) for sql in pipeline)).checked()
    client.ok("SELECT 1")
    wait_until(lambda: lone.stats()["pinned"] == [], "the server has said that nothing is left")
    assert lone.wire().rows("SELECT 1") == [("1",)]  # on the one connection, while the first one stays


# Beside its row a literal becomes one, and a cast from the row type is one of its name. Of texts that are parsed: not yet.
ROWS = {"coalesce": "SELECT coalesce(a, '(x)') FROM {changed} a", "case": "SELECT CASE WHEN true THEN a ELSE '(x)' END FROM {changed} a",
        "union": "SELECT a FROM {changed} a UNION ALL SELECT '(x)'", "array": "SELECT ARRAY[a, '(x)'] FROM {changed} a"}


@pytest.mark.parametrize("how", ROWS)
def test_trap17_a_literal_beside_a_row_in_a_text_that_is_not_parsed(scene, how):
    scene.ok("INSERT INTO {changed} VALUES ('a')")
    scene.ok("ALTER TABLE {changed} ALTER v TYPE {domain}")
    scene.sees(run_of(ROWS[how].format(**scene.names) + LONG))
