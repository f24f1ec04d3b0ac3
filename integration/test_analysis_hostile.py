"""Code and names in places where an analysis of statements might not look: what runs there is seen, and stays with its client."""
import pytest

from support import freshness, wire
from support.hostile import LOCKS, SETS, connected, probe_of, shows, untouched, writes_seen
from support.waiting import wait_until


@pytest.fixture
def plain(env):
    """A table with one row; the catalog that counts knows it."""
    table = env.name("plain")
    env.run(f"CREATE TABLE {table} AS SELECT 'public' AS v")
    env.settle()
    return table


def known(env):
    """The catalog that counts is younger than all DDL so far: something was remembered under it."""
    table = env.name("steady")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    env.probe(f"SELECT v FROM {table}", modes=(freshness.SIMPLE,)).warm()


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
def test_a_write_of_an_event_trigger_is_seen(env, since, bump, sql):
    if "STATISTICS" in sql:
        since(14, "statistics of expressions")
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


def test_a_lock_of_a_default_that_the_catalog_did_not_know_yet_stays_with_its_client(lone):
    """The statement is opaque at first; a newer catalog shows what it left, and that it is not unknown."""
    table = lone.name("defaulted")
    untouched(lone, lambda client: [client.ok(f"CREATE TABLE {table} (i int, v text DEFAULT {LOCKS})"),
                                    client.ok(f"INSERT INTO {table} VALUES (1)")])


def test_a_lock_that_is_given_back_lifts_its_pin(lone):
    """As above; once it is gone the connection is anybody's."""
    table = lone.name("defaulted")
    client, other = lone.wire(), lone.wire()
    client.ok(f"CREATE TABLE {table} (i int, v text DEFAULT {LOCKS})")
    client.ok(f"INSERT INTO {table} VALUES (1)")
    wait_until(lambda: client.rows("SELECT pg_advisory_unlock(77)") == [("f",)], "nothing is locked")
    assert other.rows("SELECT 1") == [("1",)]


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


# -- indexes, keys and exclusion constraints --------------------------------------------------------
BUILT_IN = ("<", "<=", "=", ">=", ">")
CLASS = ("CREATE FUNCTION {x}_cmp({type}, {type}) RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM public.{bump}();"
         " RETURN CASE WHEN $1::text < $2::text THEN -1 WHEN $1::text > $2::text THEN 1 ELSE 0 END; END$$",
         "CREATE OPERATOR CLASS {x}_ops {default} FOR TYPE {type} USING btree AS OPERATOR 1 {o}<, OPERATOR 2 {o}<=,"
         " OPERATOR 3 {o}=, OPERATOR 4 {o}>=, OPERATOR 5 {o}>, FUNCTION 1 {x}_cmp({type}, {type})")


def make(env, names, *statements):
    env.run(*(each.format(**names) for each in statements))
    known(env)


@pytest.fixture
def compared(env, bump):
    """An operator class for int that is not the default one."""
    names = dict(bump, type="int", default="", o="")
    make(env, names, *CLASS, "INSERT INTO {t} VALUES (7)")
    return names


@pytest.mark.parametrize("sql", ["INSERT INTO {t} VALUES (2)", "UPDATE {t} SET v = 5",
                                 "SET enable_seqscan = off; DELETE FROM {t} WHERE v = 7", "CREATE INDEX ON {t} (v {x}_ops)",
                                 "SET enable_seqscan = off; SELECT v FROM {t} WHERE v = 1", "REINDEX TABLE {t}", "VACUUM FULL {t}"])
def test_a_write_of_an_operator_class_is_seen(env, compared, sql):
    make(env, compared, "CREATE INDEX ON {t} (v {x}_ops)")
    client = env.wire()
    for each in sql.format(**compared).split("; ")[:-1]:
        client.ok(each)
    writes_seen(env, compared, lambda: client.ok(sql.format(**compared).split("; ")[-1]))


def test_an_index_that_is_made_past_pgrecall_counts(env, compared):
    """The digest of the catalog shows it, whether it has expressions or not."""
    env.probe("SELECT v FROM {counted}".format(**compared)).warm()
    env.wire_direct().ok("CREATE INDEX ON {t} (v {x}_ops)".format(**compared))
    client = env.wire()

    def opaque():
        before = env.stats()["opaque_writes"]
        client.ok("UPDATE {t} SET v = v + 1".format(**compared))
        return env.stats()["opaque_writes"] > before

    if not env.proxy.identity:
        wait_until(opaque, "the index is known")
    writes_seen(env, compared, lambda: client.ok("UPDATE {t} SET v = v + 1".format(**compared)))


@pytest.mark.parametrize("sql", ["INSERT INTO {t}_child VALUES (1)", "DELETE FROM {t} WHERE v = 7"])
def test_a_write_of_the_index_that_a_foreign_key_looks_into_is_seen(env, compared, sql):
    make(env, compared, "ALTER TABLE {t} ADD UNIQUE (v)", "CREATE TABLE {t}_child (v int REFERENCES {t} (v))",
         "INSERT INTO {t}_child SELECT 1 FROM generate_series(1, 1000)", "CREATE INDEX ON {t}_child (v {x}_ops)",
         "ANALYZE {t}_child")
    client = env.wire()
    writes_seen(env, compared, lambda: client.ok(sql.format(**compared)))


def test_a_write_of_the_planning_of_a_foreign_keys_look_up_is_seen(env, bump):
    make(env, bump, "ALTER TABLE {t} ADD UNIQUE (v)", "CREATE INDEX ON {t} (v) WHERE v > {lies}(0)",
         "CREATE TABLE {t}_child (v int REFERENCES {t} (v))")
    client = env.wire()
    writes_seen(env, bump, lambda: client.ok("INSERT INTO {t}_child VALUES (1)".format(**bump)))


def test_a_write_of_an_index_of_a_materialised_view_is_seen(env, bump):
    make(env, bump, "CREATE MATERIALIZED VIEW {x}_kept AS SELECT v FROM {t}", "CREATE INDEX ON {x}_kept ({lies}(v))")
    client = env.wire()
    writes_seen(env, bump, lambda: client.ok("REFRESH MATERIALIZED VIEW {x}_kept".format(**bump)))


def test_a_write_of_an_operator_in_an_index_is_seen(env, bump):
    make(env, bump, "CREATE FUNCTION {x}_plus(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
         " $$BEGIN PERFORM public.{bump}(); RETURN $1; END$$",
         "CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = {x}_plus)", "CREATE INDEX ON {t} ((v <+> 1))")
    client = env.wire()
    writes_seen(env, bump, lambda: client.ok("INSERT INTO {t} VALUES (2)".format(**bump)))


def test_a_write_of_an_exclusion_constraint_is_seen(env, bump):
    make(env, bump, "CREATE FUNCTION {x}_eq(int, int) RETURNS bool LANGUAGE plpgsql AS"
         " $$BEGIN PERFORM public.{bump}(); RETURN false; END$$",
         "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = {x}_eq, COMMUTATOR = ===)",
         "CREATE FUNCTION {x}_h(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN $1; END$$",
         "CREATE OPERATOR CLASS {x}_h FOR TYPE int USING hash AS OPERATOR 1 ===, FUNCTION 1 {x}_h(int)",
         "ALTER TABLE {t} ADD EXCLUDE USING hash (v {x}_h WITH ===)")
    client = env.wire()
    writes_seen(env, bump, lambda: client.ok("INSERT INTO {t} VALUES (1)".format(**bump)))


@pytest.mark.parametrize("table", ["{t}_p", "{t}_p1"])
@pytest.mark.parametrize("key", ["HASH (v {x}_h)", "HASH ({lies}(v))"])
def test_a_write_of_a_partition_key_is_seen(env, bump, table, key):
    make(env, bump, "CREATE FUNCTION {x}_h(int, bigint) RETURNS bigint LANGUAGE plpgsql AS"
         " $$BEGIN PERFORM public.{bump}(); RETURN $1; END$$",
         "CREATE OPERATOR CLASS {x}_h FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 2 {x}_h(int, bigint)",
         "CREATE TABLE {t}_p (v int) PARTITION BY " + key,
         "CREATE TABLE {t}_p1 PARTITION OF {t}_p FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    client = env.wire()
    writes_seen(env, bump, lambda: client.ok(f"INSERT INTO {table} VALUES (2)".format(**bump)))


READS = {"order": "SELECT v FROM {t}_e ORDER BY v", "distinct": "SELECT DISTINCT v FROM {t}_e", "group": "SELECT count(*) FROM {t}_e GROUP BY v",
         "union": "SELECT v FROM {t}_e UNION SELECT v FROM {t}_e", "array": "SELECT a FROM {t}_e ORDER BY a",
         "row": "SELECT e FROM {t}_e e ORDER BY e", "made_here": "SELECT v FROM (VALUES ('a'::{type}), ('b')) AS s(v) ORDER BY v",
         "field": "SELECT r FROM {t}_e ORDER BY r", "write": "INSERT INTO {t}_e SELECT v, a, r FROM {t}_e ORDER BY 1"}


@pytest.mark.parametrize("how", READS)
def test_a_write_of_a_default_operator_class_of_a_read_is_seen(env, bump, how):
    names = dict(bump, type=env.name("mood"), default="DEFAULT", o="#")
    compares = [text.format(i=i, op=op, **names) for i, op in enumerate(BUILT_IN) for text in (
        "CREATE FUNCTION {x}_{i}({type}, {type}) RETURNS bool LANGUAGE sql AS 'SELECT $1::text {op} $2::text'",
        "CREATE OPERATOR #{op} (LEFTARG = {type}, RIGHTARG = {type}, FUNCTION = {x}_{i})")]
    make(env, names, "CREATE TYPE {type} AS ENUM ('a', 'b')", *compares, *CLASS, "CREATE TYPE {x}_row AS (m {type})",
         "CREATE TABLE {t}_e (v {type}, a {type}[], r {x}_row)",
         "INSERT INTO {t}_e VALUES ('b', '{{b}}', '(b)'), ('a', '{{a}}', '(a)')")
    client = env.wire()
    writes_seen(env, names, lambda: client.ok(READS[how].format(**names)))
    make(env, names, "DROP TYPE {type} CASCADE")


@pytest.mark.parametrize("how", ["CREATE INDEX ON {t} (v) WHERE v > {lies}(0)", "CREATE INDEX ON {t} ((v + {lies}(0)))",
                                 "CREATE TABLE {t}_c (CHECK (v > {lies}(0))) INHERITS ({t})"])
def test_a_write_of_the_planning_of_a_plain_read_is_seen(env, bump, how):
    make(env, bump, how)
    client = env.wire()
    writes_seen(env, bump, lambda: client.rows("SELECT v FROM {t} WHERE v = 1".format(**bump)))


def test_an_index_on_what_a_function_makes_of_a_column_keeps_its_readers_hits(env, bump):
    make(env, bump, "CREATE INDEX ON {t} ({lies}(v))")
    probe = env.probe("SELECT v FROM {t} WHERE v = 1".format(**bump))
    probe.warm()
    env.wire().ok("UPDATE {t} SET v = v + 1".format(**bump))
    probe.fresh()


@pytest.mark.parametrize("extension,columns,index", [
    ("citext", "c citext UNIQUE", "btree (c)"), ("hstore", "c hstore", "gin (c)"), ("ltree", "c ltree", "gist (c)"),
    ("pg_trgm", "c text", "gin (c gin_trgm_ops)"), ("btree_gist", "c int", "gist (c)"), ("hstore", "c hstore", "btree ((c -> 'a'))"),
    ("btree_gist", "c int, d int4range, EXCLUDE USING gist (c WITH =, d WITH &&)", "btree (c)")])
def test_a_write_to_an_index_of_a_known_extension_outdates_one_table_only(env, plain, extension, columns, index):
    table = env.name("indexed")
    env.run(f"CREATE EXTENSION IF NOT EXISTS {extension}", f"CREATE TABLE {table} ({columns})",
            f"CREATE INDEX ON {table} USING {index}")
    probe = env.probe(f"SELECT v FROM {plain}")
    probe.warm()
    with env.all_hits(len(probe.readers)):
        env.wire().ok(f"INSERT INTO {table} (c) VALUES (NULL)")
        probe.check()
