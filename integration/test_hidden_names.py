"""Code that pgrecall cannot read may change what names mean: then a plain read may be one of a view that writes."""
import pytest

from support import wire
from support.waiting import wait_until

MOVES = "DO $$BEGIN PERFORM set_config('{}', '{}', false); END$$"


@pytest.fixture
def trap(env):
    """`counted` is what the hidden view of the name `shown` counts up; `shown` is a plain table to everybody else."""
    names = {each: env.name(each) for each in ("counted", "shown", "count", "evil", "caller")}
    env.run("CREATE SCHEMA {evil}".format(**names),
            *(text.format(**names) for text in (
                "CREATE TABLE {counted} AS SELECT 1 AS v", "CREATE TABLE {shown} AS SELECT 1 AS v",
                "CREATE FUNCTION {count}() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS"
                " $$BEGIN UPDATE public.{counted} SET v = v + 1; RETURN 1; END$$",
                "CREATE VIEW {evil}.{shown} AS SELECT public.{count}() AS v",
                "CREATE ROLE {caller}", "CREATE SCHEMA AUTHORIZATION {caller}",
                "CREATE VIEW {caller}.{shown} AS SELECT public.{count}() AS v",
                "GRANT ALL ON {caller}.{shown} TO {caller}")))
    env.settle()
    return names


def execute(client, sql):
    client.send(wire.parse("", sql) + wire.bind("", "") + wire.execute("") + wire.sync())
    client.read_ready().checked()


HIDES = {
    "path": MOVES.format("search_path", "{evil}"),
    "role": MOVES.format("role", "{caller}"),
    "temporary_view": "DO $$BEGIN CREATE TEMP VIEW {shown} AS SELECT public.{count}() AS v; END$$",
}


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("how", ["query", "extended", "block", "cursor"])
@pytest.mark.parametrize("name", HIDES)
def test_a_read_that_writes_behind_a_hidden_name_is_seen(env, trap, name, how, looked):
    probe = env.probe("SELECT v FROM {counted}".format(**trap))
    probe.warm()
    client, read = env.wire(), "SELECT v FROM {shown}".format(**trap)
    client.ok(HIDES[name].format(**trap))
    if looked:
        client.ok("SELECT 1")
        probe.warm()
    if how == "extended":
        execute(client, read)
    elif how == "query":
        client.ok(read)
    else:
        client.ok("BEGIN")
        client.ok(read if how == "block" else f"DECLARE c CURSOR FOR {read}")
        if how == "cursor":
            client.ok("FETCH ALL FROM c")
        client.ok("COMMIT")
    assert probe.expected() == [("2",)]
    probe.fresh()


@pytest.mark.parametrize("how", [wire.query, lambda sql: wire.extended(sql) + wire.sync()], ids=["query", "extended"])
def test_a_read_right_behind_unknown_code_waits_for_the_names(env, trap, how):
    """Otherwise it would outdate everything, and the catalog with it."""
    client, before = env.wire(), env.stats()["opaque_writes"]
    client.send(wire.query("DO $$BEGIN NULL; END$$") + how("SELECT v FROM {shown}".format(**trap)) * 2)
    assert [client.read_ready().checked().rows for _ in range(3)] == [[], [("1",)], [("1",)]]
    assert env.stats()["opaque_writes"] == before + 1


@pytest.mark.parametrize("looked", [False, True])
def test_a_text_that_is_read_in_another_way_is_seen(env, trap, looked):
    """One SELECT of two strings to us, a SELECT and an UPDATE to the server."""
    probe = env.probe("SELECT v FROM {counted}".format(**trap))
    probe.warm()
    client = env.wire()
    client.ok(MOVES.format("standard_conforming_strings", "off"))
    if looked:
        client.ok("SELECT 1")
        probe.warm()
    client.ok("SELECT 'a\\' AS b, '; UPDATE {counted} SET v = 2; --'".format(**trap))
    assert probe.expected() == [("2",)]
    probe.fresh()


def test_a_name_that_is_hidden_later_is_seen(env, trap):
    """A temporary view hides nothing when it is made, and a table of its name comes after it."""
    late = env.name("late")
    probe = env.probe("SELECT v FROM {counted}".format(**trap))
    client = env.wire()
    client.ok("DO $$BEGIN CREATE TEMP VIEW {late} AS SELECT public.{count}() AS v; END$$".format(late=late, **trap))
    client.ok("SELECT 1")
    env.run(f"CREATE TABLE {late} AS SELECT 1 AS v")
    env.settle()
    probe.warm()
    client.ok(f"SELECT v FROM {late}")
    assert probe.expected() == [("2",)]
    probe.fresh()


HARMLESS = {
    "nothing": "DO $$BEGIN PERFORM 1; END$$",
    "another_setting": MOVES.format("work_mem", "8MB"),
    "a_table_of_its_own_name": "DO $$BEGIN CREATE TEMP TABLE {counted}_mine (v int DEFAULT 1); END$$",
    "a_move_and_back": "DO $$BEGIN SET search_path = {evil}; RESET search_path; END$$",
}


def wait_until_others_keep_their_hits(env, client, trap):
    """The client reads one table and writes another: what is remembered of the first stays. A catalog that is read again
    meanwhile (without need, after the fixture's DDL) makes pgrecall ask the server again: then it is not so at once."""
    probe = env.probe("SELECT v FROM {shown}".format(**trap))

    def kept():
        client.ok("SELECT 1")  # the server has been asked when this is answered
        probe.warm()
        before = env.stats().hits
        client.ok("SELECT v FROM {shown}".format(**trap))
        client.ok("UPDATE {counted} SET v = v + 1".format(**trap))
        probe.check()
        return env.stats().hits - before == len(probe.readers)

    wait_until(kept, "a write of a client whose names are known outdates one table only")


@pytest.mark.parametrize("name", HARMLESS)
def test_where_names_mean_what_they_did_only_what_is_written_is_outdated(env, trap, name):
    client = env.wire()
    client.ok(HARMLESS[name].format(**trap))
    wait_until_others_keep_their_hits(env, client, trap)


def test_names_are_known_again_once_the_client_has_set_its_path(env, trap):
    client = env.wire()
    client.ok(HIDES["path"].format(**trap))
    client.ok("SELECT 1")
    client.ok("SET search_path = public")
    wait_until_others_keep_their_hits(env, client, trap)
