"""Code and names in places where an analysis of statements might not look: what runs there is seen, and stays with its client."""
import select

import pytest

from support import wire
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
