"""Trap 13: the same text names other tables under another path, role, or temporary schema."""
import pytest

from support import wire

USER = "tenant_user"


@pytest.fixture(scope="module", autouse=True)
def role(postgres):
    postgres.sql("postgres", f"CREATE ROLE {USER} LOGIN PASSWORD 'secret'")


@pytest.fixture
def tenants(env):
    """Two schemas with a table of one name; returns (schema a, schema b, table)."""
    a, b, table = env.name("a"), env.name("b"), env.name("tenant")
    for schema in (a, b):
        env.run(f"CREATE SCHEMA {schema}", f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC",
                f"CREATE TABLE {schema}.{table} (v text)", f"INSERT INTO {schema}.{table} VALUES ('{schema}')",
                f"GRANT SELECT ON {schema}.{table} TO PUBLIC")
    return a, b, table


def set_path(client, path):
    client.ok(f"SET search_path = {path}")


def set_by_config(client, path):
    client.ok(f"SELECT set_config('search_path', '{path}', false)")


def set_in_extended(client, path):
    client.extended(f"SET search_path TO {path}").checked()


@pytest.mark.parametrize("setter", [set_path, set_by_config, set_in_extended])
def test_trap13_search_path_per_tenant(env, tenants, setter):
    a, b, table = tenants
    sql = f"SELECT v FROM {table}"
    clients = {schema: env.wire() for schema in (a, b)}
    for schema, client in clients.items():
        setter(client, schema)
    for schema, client in clients.items():
        env.until_hit(lambda: client.rows(sql), lambda: [(schema,)])  # noqa: B023
        env.until_hit(lambda: client.extended(sql).rows, lambda: [(schema,)])  # noqa: B023
    for _ in range(3):
        for schema, client in clients.items():
            assert client.rows(sql) == [(schema,)]
            assert client.extended(sql).rows == [(schema,)]
    env.run(f"UPDATE {a}.{table} SET v = 'changed'")
    assert clients[a].rows(sql) == [("changed",)]
    assert clients[b].rows(sql) == [(b,)]
    env.until_hit(lambda: clients[a].rows(sql), lambda: [("changed",)])


def test_trap13_one_client_switches_between_tenants(env, tenants):
    a, b, table = tenants
    sql = f"SELECT v FROM {table}"
    client = env.wire()
    for _ in range(3):
        for schema in (a, b):
            set_path(client, schema)
            assert client.rows(sql) == [(schema,)]
            assert client.extended(sql).rows == [(schema,)]
    set_path(client, a)
    env.until_hit(lambda: client.rows(sql), lambda: [(a,)])
    client.ok("RESET search_path")
    assert client.query(sql).sqlstate == "42P01"


def test_trap13_set_local_and_its_rollback(env, tenants):
    a, b, table = tenants
    sql = f"SELECT v FROM {table}"
    client = env.wire()
    set_path(client, a)
    env.until_hit(lambda: client.rows(sql), lambda: [(a,)])
    for end in ("COMMIT", "ROLLBACK"):
        client.ok("BEGIN")
        assert client.rows(sql) == [(a,)]
        client.ok(f"SET LOCAL search_path = {b}")
        assert client.rows(sql) == [(b,)]
        assert client.extended(sql).rows == [(b,)]
        client.ok(end)
        assert client.rows(sql) == [(a,)]
    client.ok("BEGIN")
    client.ok(f"SET search_path = {b}")
    assert client.rows(sql) == [(b,)]
    client.ok("ROLLBACK")
    assert client.rows(sql) == [(a,)]
    client.ok("BEGIN")
    client.ok("SAVEPOINT s")
    client.ok(f"SET search_path = {b}")
    assert client.rows(sql) == [(b,)]
    client.ok("ROLLBACK TO s")
    assert client.rows(sql) == [(a,)]
    client.ok("COMMIT")
    assert client.rows(sql) == [(a,)]
    env.until_hit(lambda: client.rows(sql), lambda: [(a,)])


def test_trap13_alter_role_and_database_set(env, tenants):
    a, b, table = tenants
    sql = f"SELECT v FROM {table}"
    env.run(f"ALTER ROLE {USER} IN DATABASE {env.database} SET search_path = {a}")
    first = env.wire(user=USER)
    env.until_hit(lambda: first.rows(sql), lambda: [(a,)])
    env.run(f"ALTER ROLE {USER} IN DATABASE {env.database} SET search_path = {b}")
    second = env.wire(user=USER)
    truth = env.wire_direct(user=USER)
    assert truth.rows(sql) == [(b,)]
    env.until_hit(lambda: second.rows(sql), lambda: [(b,)])
    assert first.rows(sql) == [(a,)]  # its session had begun before
    first.ok("RESET search_path")
    assert first.rows(sql) == [(a,)]
    env.run(f"ALTER ROLE {USER} IN DATABASE {env.database} RESET search_path",
            f"ALTER DATABASE {env.database} SET search_path = {a}")
    third = env.wire(user=USER)
    assert third.rows(sql) == [(a,)]
    env.run(f"ALTER DATABASE {env.database} RESET search_path")
    assert env.wire(user=USER).query(sql).sqlstate == "42P01"
    assert second.rows(sql) == [(b,)]


def test_trap13_function_with_its_own_path(env, tenants):
    a, b, table = tenants
    pinned, floating = env.name("pinned"), env.name("floating")
    env.run(f"CREATE FUNCTION {pinned}() RETURNS text LANGUAGE sql STABLE SET search_path = {a}"
            f" AS 'SELECT v FROM {a}.{table}'", "SET check_function_bodies = off",
            f"CREATE FUNCTION {floating}() RETURNS text LANGUAGE sql STABLE AS 'SELECT v FROM {table}'")
    clients = {schema: env.wire() for schema in (a, b)}
    for schema, client in clients.items():
        set_path(client, f"{schema}, public")
    for _ in range(3):
        for schema, client in clients.items():
            assert client.rows(f"SELECT {pinned}()") == [(a,)]
            assert client.rows(f"SELECT {floating}()") == [(schema,)]
    env.run(f"UPDATE {a}.{table} SET v = 'x'", f"UPDATE {b}.{table} SET v = 'y'")
    assert clients[b].rows(f"SELECT {pinned}(), {floating}()") == [("x", "y")]
    assert clients[a].rows(f"SELECT {pinned}(), {floating}()") == [("x", "x")]


def test_trap13_temporary_table_shadows_a_real_one(env, tenants):
    a, _, table = tenants
    sql = f"SELECT v FROM {table}"
    shadowed, other = env.wire(), env.wire()
    for client in (shadowed, other):
        set_path(client, a)
        env.until_hit(lambda: client.rows(sql), lambda: [(a,)])  # noqa: B023
    shadowed.ok(f"CREATE TEMP TABLE {table} AS SELECT 'mine' AS v")
    with env.no_hits():
        assert shadowed.rows(sql) == [("mine",)]
        assert shadowed.extended(sql).rows == [("mine",)]
    assert other.rows(sql) == [(a,)]
    shadowed.ok(f"UPDATE {table} SET v = 'mine too'")
    assert shadowed.rows(sql) == [("mine too",)]
    assert other.rows(sql) == [(a,)]
    shadowed.ok(f"DROP TABLE {table}")
    assert shadowed.rows(sql) == [(a,)]


@pytest.mark.parametrize("how", ["SELECT 'mine' AS v INTO TEMP {t}", "CREATE TEMP VIEW {t} AS SELECT 'mine' AS v",
                                 "DO $$BEGIN EXECUTE 'CREATE TEMP TABLE {t} AS SELECT ''mine'' AS v'; END$$",
                                 "BEGIN; CREATE TEMP TABLE {t} ON COMMIT DROP AS SELECT 'mine' AS v"])
def test_trap13_other_ways_to_shadow(env, tenants, how):
    a, _, table = tenants
    sql = f"SELECT v FROM {table}"
    client, other = env.wire(), env.wire()
    for each in (client, other):
        set_path(each, a)
        env.until_hit(lambda: each.rows(sql), lambda: [(a,)])  # noqa: B023
    client.ok(how.replace("{t}", table))
    assert client.rows(sql) == [("mine",)]
    assert client.extended(sql).rows == [("mine",)]
    for _ in range(3):
        assert other.rows(sql) == [(a,)]
    if "BEGIN;" in how:
        client.ok("COMMIT")
        assert client.rows(sql) == [(a,)]
    client.ok("DISCARD ALL")
    set_path(client, a)
    assert client.rows(sql) == [(a,)]
    env.until_hit(lambda: other.rows(sql), lambda: [(a,)])


def test_trap13_unnamed_statement_parsed_again_under_another_path(env, tenants):
    a, b, table = tenants
    sql = f"SELECT v FROM {table}"
    client = env.wire()
    for turn in range(3):
        for schema in (a, b):
            set_path(client, schema)
            client.send(wire.parse("", sql) + wire.sync())
            client.read_ready().checked()
            for _ in range(2):
                client.send(wire.bind("", "") + wire.execute() + wire.sync())
                assert client.read_ready().rows == [(schema,)], f"turn {turn}"


def test_trap13_statement_parsed_under_one_path_and_bound_under_another(env, tenants):
    """PostgreSQL plans again under the path of the moment."""
    a, b, table = tenants
    for client, name in ((env.wire(), ""), (env.wire(), "named")):
        set_path(client, a)
        client.send(wire.parse(name, f"SELECT v FROM {table}") + wire.sync())
        client.read_ready().checked()
        for schema in (a, b, a, b):
            client.extended(f"SET search_path = {schema}", statement="setter").checked()
            client.send(wire.close_statement("setter") + wire.bind("", name) + wire.execute() + wire.sync())
            reply = client.read_ready()
            if name or not reply.errors:
                assert reply.rows == [(schema,)]


def test_trap13_table_created_earlier_in_the_path(env, tenants):
    a, b, _ = tenants
    table = env.name("late")
    env.run(f"CREATE TABLE {b}.{table} (v text)", f"INSERT INTO {b}.{table} VALUES ('behind')")
    sql = f"SELECT v FROM {table}"
    client, other = env.wire(), env.wire()
    for each in (client, other):
        set_path(each, f"{a}, {b}")
        env.until_hit(lambda: each.rows(sql), lambda: [("behind",)])  # noqa: B023
    env.run(f"CREATE TABLE {a}.{table} AS SELECT 'in front' AS v")
    for each in (client, other):
        assert each.rows(sql) == [("in front",)]
        assert each.extended(sql).rows == [("in front",)]
        env.until_hit(lambda: each.rows(sql), lambda: [("in front",)])  # noqa: B023
    env.run(f"ALTER TABLE {a}.{table} RENAME TO {table}_away")
    assert client.rows(sql) == [("behind",)]
    env.run(f"ALTER TABLE {a}.{table}_away SET SCHEMA {b}")
    assert client.rows(f"SELECT v FROM {table}_away") == [("in front",)]
    env.run(f"ALTER SCHEMA {b} RENAME TO {b}_away")
    assert client.query(sql).sqlstate == "42P01"
    env.run(f"ALTER SCHEMA {b}_away RENAME TO {b}")
    assert client.rows(sql) == [("behind",)]


def test_trap13_schema_created_after_the_path_was_set(env):
    schema, table = env.name("later"), env.name("t")
    env.run(f"CREATE TABLE public.{table} (v text)", f"INSERT INTO public.{table} VALUES ('public')")
    sql = f"SELECT v FROM {table}"
    client = env.wire()
    set_path(client, f"{schema}, public")
    env.until_hit(lambda: client.rows(sql), lambda: [("public",)])
    env.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.{table} AS SELECT 'schema' AS v")
    assert client.rows(sql) == [("schema",)]
    env.run(f"DROP SCHEMA {schema} CASCADE")
    assert client.rows(sql) == [("public",)]


def test_trap13_user_in_the_path_follows_the_role(env):
    table = env.name("own")
    env.run(f"CREATE SCHEMA IF NOT EXISTS {USER} AUTHORIZATION {USER}",
            f"CREATE TABLE public.{table} AS SELECT 'public' AS v", f"GRANT SELECT ON public.{table} TO PUBLIC",
            f"CREATE TABLE {USER}.{table} AS SELECT 'own' AS v", f"GRANT SELECT ON {USER}.{table} TO PUBLIC")
    sql = f"SELECT v FROM {table}"
    client, user = env.wire(), env.wire(user=USER)
    for _ in range(2):
        assert client.rows(sql) == [("public",)]
        assert user.rows(sql) == [("own",)]
    client.ok(f"SET ROLE {USER}")
    assert client.rows(sql) == [("own",)]
    env.until_hit(lambda: client.rows(sql), lambda: [("own",)])
    client.ok("RESET ROLE")
    assert client.rows(sql) == [("public",)]
    env.until_hit(lambda: client.rows(sql), lambda: [("public",)])


def test_trap13_pg_catalog_is_shadowed_only_when_listed(env):
    schema = env.name("own")
    env.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.pg_am (amname text)",
            f"CREATE FUNCTION {schema}.upper(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'own'$$")
    table = env.name("words")
    env.run(f"CREATE TABLE {table} AS SELECT 'a'::text AS w")
    client = env.wire()
    for path, rows, word in ((schema, True, "A"), (f"{schema}, pg_catalog", False, "own")):
        set_path(client, path + ", public")
        for _ in range(3):
            assert bool(client.rows("SELECT amname FROM pg_am")) is rows
            assert client.rows(f"SELECT upper(w) FROM {table}") == [(word,)]


def test_trap13_two_databases_of_one_server(env):
    other = env.name("other_database")
    table = env.name("same")
    env.run(f"CREATE DATABASE {other}")
    sql = f"SELECT v FROM {table}"
    clients = {name: env.wire(dbname=name) for name in (env.database, other)}
    for name, client in clients.items():
        client.ok(f"CREATE TABLE {table} AS SELECT '{name}' AS v")
    for name, client in clients.items():
        env.until_hit(lambda: client.rows(sql), lambda: [(name,)])  # noqa: B023
    for name, client in clients.items():
        assert client.rows(sql) == [(name,)]
