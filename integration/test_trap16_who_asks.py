"""Trap 16 (and 41, 49): nobody is shown a row that PostgreSQL would have refused them."""
import pytest

ALICE, BOB, CHIEF, GROUP = "alice16", "bob16", "chief16", "managers16"


@pytest.fixture(scope="module", autouse=True)
def roles(postgres):
    postgres.sql("postgres", *[f"CREATE ROLE {name} LOGIN PASSWORD 'secret'" for name in (ALICE, BOB, CHIEF)],
                 f"CREATE ROLE {GROUP}", f"ALTER ROLE {CHIEF} BYPASSRLS")


@pytest.fixture
def table(env):
    """A table with row-level security: everybody sees the rows of which they are the owner."""
    name = env.name("owned")
    env.run(f"CREATE TABLE {name} (owner text, v text)",
            f"INSERT INTO {name} VALUES ('{ALICE}', 'a'), ('{BOB}', 'b')",
            f"GRANT SELECT ON {name} TO {ALICE}, {BOB}, {CHIEF}")
    return name


def protect(env, table, condition="owner = current_user"):
    env.run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY own ON {table} FOR SELECT USING ({condition})")


def warm(env, client, sql, rows):
    env.until_hit(lambda: client.rows(sql), lambda: rows)
    env.until_hit(lambda: client.extended(sql).rows, lambda: rows)


def both(client, sql):
    """The answer in both protocols, which must agree: rows, or the SQLSTATE."""
    simple, extended = client.query(sql), client.extended(sql)
    answers = [reply.sqlstate or reply.rows for reply in (simple, extended)]
    assert answers[0] == answers[1]
    return answers[0]


def test_trap16_two_users_and_row_level_security(env, table):
    protect(env, table)
    sql = f"SELECT v FROM {table} ORDER BY v"
    clients = {user: env.wire(user=user) for user in (ALICE, BOB, CHIEF)}
    rows = {ALICE: [("a",)], BOB: [("b",)], CHIEF: [("a",), ("b",)]}
    for user, client in clients.items():
        warm(env, client, sql, rows[user])
    for user, client in clients.items():
        assert both(client, sql) == rows[user]
        assert both(env.wire(user=user), sql) == rows[user]


def test_trap16_user_without_privilege(env):
    table = env.name("secret")
    env.run(f"CREATE TABLE {table} AS SELECT 'x' AS v")
    sql = f"SELECT v FROM {table}"
    owner = env.wire()
    warm(env, owner, sql, [("x",)])
    assert both(env.wire(user=ALICE), sql) == "42501"
    assert both(owner, sql) == [("x",)]


def test_trap16_column_privileges(env):
    table = env.name("columns")
    env.run(f"CREATE TABLE {table} AS SELECT 'open' AS a, 'closed' AS b", f"GRANT SELECT (a) ON {table} TO {ALICE}")
    owner, alice = env.wire(), env.wire(user=ALICE)
    warm(env, owner, f"SELECT a, b FROM {table}", [("open", "closed")])
    warm(env, alice, f"SELECT a FROM {table}", [("open",)])
    assert both(alice, f"SELECT a, b FROM {table}") == "42501"
    env.run(f"REVOKE SELECT (a) ON {table} FROM {ALICE}")
    assert both(alice, f"SELECT a FROM {table}") == "42501"


def test_trap16_set_role_accepted_and_rejected(env, table):
    protect(env, table)
    sql = f"SELECT v FROM {table} ORDER BY v"
    client, alice = env.wire(), env.wire(user=ALICE)
    everything = [("a",), ("b",)]
    warm(env, client, sql, everything)
    warm(env, alice, sql, [("a",)])
    client.ok(f"SET ROLE {ALICE}")
    assert both(client, sql) == [("a",)]
    client.ok(f"SET ROLE {BOB}")
    assert both(client, sql) == [("b",)]
    client.ok("RESET ROLE")
    assert both(client, sql) == everything
    client.ok("BEGIN")
    client.ok(f"SET LOCAL ROLE {BOB}")
    assert both(client, sql) == [("b",)]
    client.ok("ROLLBACK")
    assert both(client, sql) == everything
    client.ok(f"SELECT set_config('role', '{ALICE}', false)")
    assert both(client, sql) == [("a",)]
    client.ok("SET ROLE NONE")
    assert both(client, sql) == everything
    assert alice.query(f"SET ROLE {BOB}").sqlstate == "42501"
    assert both(alice, sql) == [("a",)]
    alice.ok("BEGIN")
    assert alice.query(f"SET LOCAL ROLE {BOB}").sqlstate == "42501"
    alice.ok("ROLLBACK")
    assert both(alice, sql) == [("a",)]
    client.ok(f"SET SESSION AUTHORIZATION {BOB}")
    assert both(client, sql) == [("b",)]
    client.ok("RESET SESSION AUTHORIZATION")
    assert both(client, sql) == everything
    warm(env, client, sql, everything)


def test_trap16_discard_all_ends_a_role(env, table):
    protect(env, table)
    sql = f"SELECT v FROM {table} ORDER BY v"
    client = env.wire()
    client.ok(f"SET SESSION AUTHORIZATION {BOB}")
    warm(env, client, sql, [("b",)])
    client.ok("DISCARD ALL")
    assert both(client, sql) == [("a",), ("b",)]
    assert client.rows("SELECT current_user, session_user") == [("postgres", "postgres")]


@pytest.mark.parametrize("in_block", [False, True])
@pytest.mark.parametrize("how", ["REVOKE SELECT ON {t} FROM {user}", "DO $$BEGIN REVOKE SELECT ON {t} FROM {user}; END$$",
                                 "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {user}",
                                 "REVOKE USAGE ON SCHEMA {schema} FROM {user}", "DROP OWNED BY {user}",
                                 "ALTER TABLE {t} RENAME TO {t_bare}_moved"])
def test_trap16_revoke(env, how, in_block):
    schema, bare = env.name("guarded"), env.name("t")
    table = f"{schema}.{bare}"
    env.run(f"CREATE SCHEMA {schema}", f"GRANT USAGE ON SCHEMA {schema} TO {ALICE}, {BOB}",
            f"CREATE TABLE {table} AS SELECT 'x' AS v", f"GRANT SELECT ON {table} TO {ALICE}, {BOB}")
    sql = f"SELECT v FROM {table}"
    alice, bob = env.wire(user=ALICE), env.wire(user=BOB)
    warm(env, alice, sql, [("x",)])
    warm(env, bob, sql, [("x",)])
    statement = how.format(t=table, t_bare=bare, schema=schema, user=ALICE)
    if in_block:
        client = env.wire()
        client.ok("BEGIN")
        client.ok(statement)
        client.ok("ROLLBACK")
        assert both(alice, sql) == [("x",)]
        client.ok("BEGIN")
        client.ok(statement)
        client.ok("COMMIT")
    else:
        env.run(statement)
    assert both(alice, sql) in ("42501", "42P01")
    if "RENAME" not in how:
        assert both(bob, sql) == [("x",)]
        warm(env, bob, sql, [("x",)])


def test_trap16_role_membership(env):
    table = env.name("grouped")
    env.run(f"CREATE TABLE {table} AS SELECT 'x' AS v", f"GRANT SELECT ON {table} TO {GROUP}",
            f"GRANT {GROUP} TO {ALICE}")
    sql = f"SELECT v FROM {table}"
    alice, bob = env.wire(user=ALICE), env.wire(user=BOB)
    warm(env, alice, sql, [("x",)])
    assert both(bob, sql) == "42501"
    env.run(f"REVOKE {GROUP} FROM {ALICE}")
    assert both(alice, sql) == "42501"
    env.run(f"GRANT {GROUP} TO {ALICE}")
    warm(env, alice, sql, [("x",)])
    env.run(f"REVOKE SELECT ON {table} FROM {GROUP}")
    assert both(alice, sql) == "42501"
    env.run(f"GRANT SELECT ON {table} TO {GROUP}")
    warm(env, alice, sql, [("x",)])
    # From 16 on each membership says for itself whether it inherits.
    each_says = env.postgres.version() >= 160000
    env.run(f"GRANT {GROUP} TO {ALICE} WITH INHERIT FALSE" if each_says else f"ALTER ROLE {ALICE} NOINHERIT")
    assert both(alice, sql) == "42501"
    env.run(f"ALTER ROLE {ALICE} INHERIT", f"REVOKE {GROUP} FROM {ALICE}")


def test_trap49_membership_revoked_from_another_database(env):
    """The REVOKE runs while connected to `postgres`; the rows are those of this database."""
    table = env.name("grouped")
    env.run(f"CREATE TABLE {table} AS SELECT 'x' AS v", f"GRANT SELECT ON {table} TO {GROUP}",
            f"GRANT {GROUP} TO {ALICE}")
    sql = f"SELECT v FROM {table}"
    alice = env.wire(user=ALICE)
    elsewhere = env.wire(dbname="postgres")
    warm(env, alice, sql, [("x",)])
    elsewhere.ok(f"REVOKE {GROUP} FROM {ALICE}")
    assert both(alice, sql) == "42501"
    elsewhere.ok(f"GRANT {GROUP} TO {ALICE}")
    warm(env, alice, sql, [("x",)])
    elsewhere.ok(f"DO $$BEGIN REVOKE {GROUP} FROM {ALICE}; END$$")
    assert both(alice, sql) == "42501"


@pytest.mark.parametrize("by", ["SET", "set_config", "startup", "local"])
def test_trap16_policy_reads_a_setting(env, table, by):
    protect(env, table, "owner = current_setting('app.tenant', true)")
    sql = f"SELECT v FROM {table} ORDER BY v"

    def connect(tenant):
        if by == "startup":
            return env.wire(user=ALICE, parameters={"options": f"-c app.tenant={tenant}"})
        client = env.wire(user=ALICE)
        if by == "local":
            client.ok("BEGIN")
        client.ok({"SET": f"SET app.tenant = '{tenant}'",
                   "set_config": f"SELECT set_config('app.tenant', '{tenant}', false)",
                   "local": f"SET LOCAL app.tenant = '{tenant}'"}[by])
        return client

    first, second, nobody = connect(ALICE), connect(BOB), env.wire(user=ALICE)
    for _ in range(3):
        assert both(first, sql) == [("a",)]
        assert both(second, sql) == [("b",)]
        assert both(nobody, sql) == []
    if by == "local":
        for client in (first, second):
            client.ok("COMMIT")
            assert both(client, sql) == []
        return
    warm(env, first, sql, [("a",)])
    first.ok(f"SET app.tenant = '{BOB}'")
    assert both(first, sql) == [("b",)]
    first.ok("BEGIN")
    first.ok(f"SET LOCAL app.tenant = '{ALICE}'")
    assert both(first, sql) == [("a",)]
    first.ok("ROLLBACK")
    assert both(first, sql) == [("b",)]
    first.ok("RESET app.tenant")
    assert both(first, sql) == ([("a",)] if by == "startup" else [])


def test_trap16_setting_changed_inside_a_function(env, table):
    protect(env, table, "owner = current_setting('app.tenant', true)")
    sql = f"SELECT v FROM {table} ORDER BY v"
    function = env.name("become")
    env.run(f"CREATE FUNCTION {function}(text) RETURNS void LANGUAGE plpgsql AS"
            " $$BEGIN PERFORM set_config('app.tenant', $1, false); END$$")
    client, other = env.wire(user=ALICE), env.wire(user=ALICE)
    for tenant, rows in ((ALICE, [("a",)]), (BOB, [("b",)]), (ALICE, [("a",)])):
        client.ok(f"SELECT {function}('{tenant}')")
        assert both(client, sql) == rows
        assert both(other, sql) == []


@pytest.mark.parametrize("change, rows", [
    ("ALTER POLICY own ON {t} USING (true)", [("a",), ("b",)]),
    ("ALTER POLICY own ON {t} USING (false)", []),
    ("DROP POLICY own ON {t}", []),
    ("CREATE POLICY more ON {t} FOR SELECT USING (owner = '{bob}')", [("a",), ("b",)]),
    ("CREATE POLICY less ON {t} AS RESTRICTIVE FOR SELECT USING (false)", []),
    ("ALTER TABLE {t} DISABLE ROW LEVEL SECURITY", [("a",), ("b",)]),
    ("ALTER ROLE {alice} BYPASSRLS", [("a",), ("b",)]),
    ("ALTER ROLE {alice} SUPERUSER", [("a",), ("b",)]),
    ("DO $$BEGIN ALTER POLICY own ON {t} USING (false); END$$", []),
])
def test_trap16_policy_changed(env, table, change, rows):
    protect(env, table)
    sql = f"SELECT v FROM {table} ORDER BY v"
    alice = env.wire(user=ALICE)
    warm(env, alice, sql, [("a",)])
    env.run(change.format(t=table, alice=ALICE, bob=BOB))
    try:
        assert both(alice, sql) == rows
        warm(env, alice, sql, rows)
    finally:
        env.run(f"ALTER ROLE {ALICE} NOBYPASSRLS NOSUPERUSER")
    if "ALTER ROLE" in change:
        assert both(alice, sql) == [("a",)]


def test_trap16_force_row_level_security_for_the_owner(env):
    table = env.name("forced")
    env.run(f"GRANT CREATE ON SCHEMA public TO {ALICE}")
    alice = env.wire(user=ALICE)
    alice.ok(f"CREATE TABLE {table} AS SELECT 'x' AS v")
    alice.ok(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    sql = f"SELECT v FROM {table}"
    warm(env, alice, sql, [("x",)])
    alice.ok(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    assert both(alice, sql) == []


def test_trap16_row_security_off_must_fail(env, table):
    protect(env, table)
    sql = f"SELECT v FROM {table} ORDER BY v"
    alice, chief = env.wire(user=ALICE), env.wire(user=CHIEF)
    warm(env, alice, sql, [("a",)])
    warm(env, chief, sql, [("a",), ("b",)])
    alice.ok("SET row_security = off")
    assert both(alice, sql) == "42501"
    chief.ok("SET row_security = off")
    assert both(chief, sql) == [("a",), ("b",)]
    alice.ok("RESET row_security")
    assert both(alice, sql) == [("a",)]
    assert both(env.wire(user=ALICE, parameters={"options": "-c row_security=off"}), sql) == "42501"


def test_trap16_security_definer_view_and_function(env, since):
    table, view, function = env.name("hidden"), env.name("shown"), env.name("definer")
    env.run(f"CREATE TABLE {table} AS SELECT 'x' AS v", f"CREATE VIEW {view} AS SELECT v FROM {table}",
            f"GRANT SELECT ON {view} TO {ALICE}",
            f"CREATE FUNCTION {function}() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS"
            f" 'SELECT v FROM public.{table}'")
    alice = env.wire(user=ALICE)
    warm(env, alice, f"SELECT v FROM {view}", [("x",)])
    assert both(alice, f"SELECT v FROM {table}") == "42501"
    assert both(alice, f"SELECT {function}()") == [("x",)]
    env.run(f"UPDATE {table} SET v = 'y'")
    assert both(alice, f"SELECT v FROM {view}") == [("y",)]
    assert both(alice, f"SELECT {function}()") == [("y",)]
    since(15, "security_invoker")  # all before it has been tried
    env.run(f"ALTER VIEW {view} SET (security_invoker = true)")
    assert both(alice, f"SELECT v FROM {view}") == "42501"
    env.run(f"REVOKE EXECUTE ON FUNCTION {function}() FROM PUBLIC")
    assert both(alice, f"SELECT {function}()") == "42501"


@pytest.mark.parametrize("write", ["DELETE FROM {m} WHERE who = '{alice}'",
                                   "UPDATE {m} SET who = 'nobody' WHERE who = '{alice}'",
                                   "TRUNCATE {m}", "BEGIN; DELETE FROM {m}; COMMIT",
                                   "DO $$BEGIN DELETE FROM {m}; END$$"])
def test_trap41_policy_reads_another_table(env, write):
    docs, members = env.name("docs"), env.name("members")
    env.run(f"CREATE TABLE {members} (who text)", f"INSERT INTO {members} VALUES ('{ALICE}')",
            f"CREATE TABLE {docs} AS SELECT 'paper' AS v",
            f"GRANT SELECT ON {docs}, {members} TO {ALICE}")
    protect(env, docs, f"EXISTS (SELECT 1 FROM {members} WHERE who = current_user)")
    sql = f"SELECT v FROM {docs}"
    alice = env.wire(user=ALICE)
    warm(env, alice, sql, [("paper",)])
    env.run(write.format(m=members, alice=ALICE))
    assert both(alice, sql) == []
    warm(env, alice, sql, [])
    env.run(f"INSERT INTO {members} VALUES ('{ALICE}')")
    assert both(alice, sql) == [("paper",)]
    warm(env, alice, sql, [("paper",)])


def test_trap41_policy_calls_a_function_that_reads_another_table(env):
    docs, members, function = env.name("docs"), env.name("members"), env.name("may_read")
    env.run(f"CREATE TABLE {members} (who text)", f"INSERT INTO {members} VALUES ('{ALICE}')",
            f"CREATE TABLE {docs} AS SELECT 'paper' AS v", f"GRANT SELECT ON {docs} TO {ALICE}",
            f"CREATE FUNCTION {function}() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS"
            f" 'SELECT EXISTS (SELECT 1 FROM public.{members} WHERE who = session_user)'")
    protect(env, docs, f"{function}()")
    sql = f"SELECT v FROM {docs}"
    alice = env.wire(user=ALICE)
    for _ in range(3):
        assert both(alice, sql) == [("paper",)]
    env.run(f"DELETE FROM {members}")
    assert both(alice, sql) == []
    env.run(f"INSERT INTO {members} VALUES ('{ALICE}')")
    assert both(alice, sql) == [("paper",)]


def test_trap41_policy_on_a_table_behind_a_view_and_a_join(env, since):
    since(15, "security_invoker")
    docs, members, view = env.name("docs"), env.name("members"), env.name("listed")
    env.run(f"CREATE TABLE {members} (who text)", f"INSERT INTO {members} VALUES ('{ALICE}')",
            f"CREATE TABLE {docs} AS SELECT 1 AS id, 'paper' AS v", f"GRANT SELECT ON {docs}, {members} TO {ALICE}",
            f"CREATE VIEW {view} WITH (security_invoker = true) AS SELECT * FROM {docs}",
            f"GRANT SELECT ON {view} TO {ALICE}")
    protect(env, docs, f"EXISTS (SELECT 1 FROM {members} WHERE who = current_user)")
    sql = f"SELECT a.v, b.v FROM {view} a JOIN {docs} b USING (id)"
    alice = env.wire(user=ALICE)
    warm(env, alice, sql, [("paper", "paper")])
    env.run(f"DELETE FROM {members}")
    assert both(alice, sql) == []
