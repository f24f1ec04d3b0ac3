"""Traps 7, 8 and 48: writes that reach other relations than the one they name."""
import pytest

from support import wire


def warm(env, sql):
    probe = env.probe(sql)
    probe.warm()
    return probe, probe.expected()


def run(env, sql, protocol):
    client = env.wire()
    (client.query(sql) if protocol == "simple" else client.extended(sql)).checked()


ACTIONS = [
    ("ON DELETE CASCADE", "DELETE FROM {p} WHERE id = 1"),
    ("ON DELETE SET NULL", "DELETE FROM {p} WHERE id = 1"),
    ("ON DELETE SET DEFAULT", "DELETE FROM {p} WHERE id = 1"),
    ("ON UPDATE CASCADE", "UPDATE {p} SET id = 10 WHERE id = 1"),
    ("ON UPDATE SET NULL", "UPDATE {p} SET id = 10 WHERE id = 1"),
    ("ON UPDATE SET DEFAULT", "UPDATE {p} SET id = 10 WHERE id = 1"),
    ("ON DELETE CASCADE", "WITH gone AS (DELETE FROM {p} WHERE id = 1 RETURNING id) SELECT * FROM gone"),
    ("ON DELETE CASCADE", "MERGE INTO {p} USING (VALUES (1)) s (id) ON {p}.id = s.id WHEN MATCHED THEN DELETE"),
    ("ON UPDATE CASCADE", "INSERT INTO {p} VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 11"),
    ("ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED", "DELETE FROM {p} WHERE id = 1"),
]


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("action, write", ACTIONS)
def test_trap07_foreign_key_actions(env, since, action, write, protocol):
    if write.startswith("MERGE"):
        since(15, "MERGE")
    parent, child = env.name("parent"), env.name("child")
    env.run(f"CREATE TABLE {parent} (id int PRIMARY KEY)", f"INSERT INTO {parent} VALUES (0), (1), (2)",
            f"CREATE TABLE {child} (n int, parent int DEFAULT 0 REFERENCES {parent} {action})",
            f"INSERT INTO {child} VALUES (1, 1), (2, 2)")
    probe, before = warm(env, f"SELECT * FROM {child} ORDER BY n")
    run(env, write.replace("{p}", parent), protocol)
    probe.changed(before)
    probe.fresh()


def test_trap07_cascade_over_three_levels(env):
    names = [env.name("level") for _ in range(4)]
    env.run(f"CREATE TABLE {names[0]} (id int PRIMARY KEY)",
            *[f"CREATE TABLE {name} (id int PRIMARY KEY REFERENCES {above} ON DELETE CASCADE ON UPDATE CASCADE)"
              for above, name in zip(names, names[1:])],
            *[f"INSERT INTO {name} VALUES (1), (2)" for name in names])
    probe, before = warm(env, f"SELECT * FROM {names[3]} ORDER BY 1")
    env.run(f"DELETE FROM {names[0]} WHERE id = 1")
    before = probe.changed(before)
    probe.fresh()
    env.run(f"UPDATE {names[0]} SET id = 20 WHERE id = 2")
    assert probe.changed(before) == [("20",)]
    probe.fresh()


def test_trap07_cascade_through_a_self_reference(env):
    table = env.name("tree")
    env.run(f"CREATE TABLE {table} (id int PRIMARY KEY, up int REFERENCES {table} ON DELETE CASCADE)",
            f"INSERT INTO {table} VALUES (1, NULL), (2, 1), (3, 2)")
    probe, before = warm(env, f"SELECT id FROM {table}")
    env.run(f"DELETE FROM {table} WHERE id = 1")
    assert probe.changed(before) == []
    probe.fresh()


TRIGGERS = {
    "readable": "INSERT INTO {log} VALUES (NEW.v)",
    "dynamic": "EXECUTE format('INSERT INTO %I VALUES ($1)', '{log}') USING NEW.v",
    "computed_name": "EXECUTE 'INS' || 'ERT INTO ' || TG_ARGV[0] || ' VALUES (1)'",
    "through_function": "PERFORM {log}_write(NEW.v)",
}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("when", ["BEFORE", "AFTER", "CONSTRAINT"])
@pytest.mark.parametrize("name", TRIGGERS)
def test_trap07_triggers(env, name, when, protocol):
    table, log = env.name("traced"), env.name("log")
    body = TRIGGERS[name].replace("{log}", log)
    kind = "CONSTRAINT TRIGGER" if when == "CONSTRAINT" else "TRIGGER"
    timing = "AFTER" if when == "CONSTRAINT" else when
    options = "DEFERRABLE INITIALLY DEFERRED" if when == "CONSTRAINT" else ""
    env.run(f"CREATE TABLE {table} (v int)", f"CREATE TABLE {log} (v int)",
            f"CREATE FUNCTION {log}_write(int) RETURNS void LANGUAGE sql AS 'INSERT INTO {log} VALUES ($1)'",
            f"CREATE FUNCTION {log}_trigger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {body}; RETURN NEW; END$$",
            f"CREATE {kind} x {timing} INSERT OR UPDATE ON {table} {options} FOR EACH ROW"
            f" EXECUTE FUNCTION {log}_trigger('{log}')")
    probe, before = warm(env, f"SELECT count(*) FROM {log}")
    run(env, f"INSERT INTO {table} VALUES (5)", protocol)
    before = probe.changed(before)
    probe.fresh()
    run(env, f"UPDATE {table} SET v = 6", protocol)
    probe.changed(before)
    probe.fresh()


def test_trap07_statement_trigger_on_truncate(env):
    table, log = env.name("traced"), env.name("log")
    env.run(f"CREATE TABLE {table} (v int)", f"CREATE TABLE {log} (v int)",
            f"CREATE FUNCTION {log}_trigger() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$BEGIN INSERT INTO {log} VALUES (1); RETURN NULL; END$$",
            f"CREATE TRIGGER x BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {log}_trigger()")
    probe, before = warm(env, f"SELECT count(*) FROM {log}")
    env.run(f"TRUNCATE {table}")
    probe.changed(before)
    probe.fresh()


def test_trap07_trigger_written_in_c(env):
    """refint and autoinc of contrib: their bodies cannot be read."""
    parent, child = env.name("parent"), env.name("child")
    env.run("CREATE EXTENSION IF NOT EXISTS refint", f"CREATE TABLE {parent} (id int)",
            f"CREATE TABLE {child} (ref int)", f"INSERT INTO {parent} VALUES (1)", f"INSERT INTO {child} VALUES (1)",
            f"CREATE TRIGGER x AFTER DELETE ON {parent} FOR EACH ROW EXECUTE FUNCTION"
            f" check_foreign_key(1, 'cascade', 'id', '{child}', 'ref')")
    probe, before = warm(env, f"SELECT * FROM {child}")
    env.run(f"DELETE FROM {parent}")
    assert probe.changed(before) == []
    probe.fresh()


@pytest.mark.parametrize("rule", ["DO ALSO INSERT INTO {log} VALUES (NEW.v)",
                                  "DO INSTEAD INSERT INTO {log} VALUES (NEW.v)",
                                  "DO ALSO (DELETE FROM {log}; INSERT INTO {log} VALUES (NEW.v + 1))"])
def test_trap07_rules(env, rule):
    table, log = env.name("ruled"), env.name("log")
    env.run(f"CREATE TABLE {table} (v int)", f"CREATE TABLE {log} (v int)",
            f"CREATE RULE r AS ON INSERT TO {table} {rule.replace('{log}', log)}")
    probe, before = warm(env, f"SELECT * FROM {log}")
    env.run(f"INSERT INTO {table} VALUES (5)")
    probe.changed(before)
    probe.fresh()


def test_trap07_updatable_views(env):
    table, view, over = env.name("base"), env.name("view"), env.name("over")
    env.run(f"CREATE TABLE {table} (id int, v int)", f"INSERT INTO {table} VALUES (1, 1), (2, 2)",
            f"CREATE VIEW {view} AS SELECT * FROM {table} WHERE id < 10",
            f"CREATE VIEW {over} AS SELECT id, v FROM {view} WITH CHECK OPTION")
    for statement in (f"UPDATE {view} SET v = 5", f"INSERT INTO {over} VALUES (3, 3)", f"DELETE FROM {over} WHERE id = 1",
                      f"UPDATE {over} SET v = v + 1"):
        probe, before = warm(env, f"SELECT * FROM {table} ORDER BY id")
        env.run(statement)
        probe.changed(before)
        probe.fresh()


def test_trap07_view_with_instead_of_trigger(env):
    table, view = env.name("base"), env.name("view")
    env.run(f"CREATE TABLE {table} (v int)", f"CREATE VIEW {view} AS SELECT v FROM {table}",
            f"CREATE FUNCTION {view}_insert() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$BEGIN INSERT INTO {table} VALUES (NEW.v * 2); RETURN NEW; END$$",
            f"CREATE TRIGGER x INSTEAD OF INSERT ON {view} FOR EACH ROW EXECUTE FUNCTION {view}_insert()")
    probe, before = warm(env, f"SELECT v FROM {table}")
    env.run(f"INSERT INTO {view} VALUES (4)")
    assert probe.changed(before) == [("8",)]
    probe.fresh()


def test_trap07_security_definer_function_writes(env):
    table, function = env.name("guarded"), env.name("definer")
    role = env.name("caller")
    env.run(f"CREATE TABLE {table} (v int)", f"CREATE ROLE {role} LOGIN PASSWORD 'secret'",
            f"CREATE FUNCTION {function}(int) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public AS"
            f" 'INSERT INTO {table} VALUES ($1)'")
    probe, before = warm(env, f"SELECT v FROM {table} ORDER BY v")
    for number, caller in enumerate((env.wire(user=role).query, env.wire(user=role).extended)):
        caller(f"SELECT {function}({number})").checked()
        before = probe.changed(before)
        probe.fresh()


LABELS = {
    "stable_sql": "CREATE FUNCTION {f}() RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RETURN {w}(); END$$",
    "immutable_sql": "CREATE FUNCTION {f}() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN {w}(); END$$",
    "stable_wrapper": "CREATE FUNCTION {f}() RETURNS int LANGUAGE sql STABLE AS 'SELECT {w}()'",
}


@pytest.mark.parametrize("use", ["SELECT {f}()", "SELECT {f}() FROM {t} LIMIT 1", "SELECT * FROM {t} WHERE v = {f}()",
                                 "SELECT 1 ORDER BY {f}()", "SELECT * FROM {v}", "EXPLAIN ANALYZE SELECT {f}()",
                                 "BEGIN; DECLARE c CURSOR FOR SELECT {f}(); FETCH c; COMMIT",
                                 "PREPARE p AS SELECT {f}(); EXECUTE p; DEALLOCATE p",
                                 "COPY (SELECT {f}()) TO STDOUT", "VALUES ({f}())"])
@pytest.mark.parametrize("label", LABELS)
def test_trap48_writes_behind_labels(env, label, use):
    """A function that calls a volatile one which writes, whatever it calls itself."""
    table, writer, function, view = env.name("behind"), env.name("writer"), env.name("labelled"), env.name("view")
    names = {"t": table, "w": writer, "f": function, "v": view}
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)",
            f"CREATE FUNCTION {writer}() RETURNS int LANGUAGE plpgsql VOLATILE AS"
            f" $$BEGIN UPDATE {table} SET v = v + 1; RETURN 1; END$$",
            LABELS[label].format(**names), f"CREATE VIEW {view} AS SELECT {function}() AS v")
    probe, before = warm(env, f"SELECT v FROM {table}")
    client, truth = env.wire(), env.wire_direct()
    reply = client.query(use.format(**names))
    if reply.sqlstate:  # PostgreSQL may refuse a write from a read-only function: then nothing changed
        assert truth.query(use.format(**names)).sqlstate == reply.sqlstate
        client.query("ROLLBACK")
    else:
        probe.changed(before)
    probe.fresh()


@pytest.mark.parametrize("place", ["DEFAULT {w}()", "CHECK ({w}() = 1)", "GENERATED ALWAYS AS ({i}(id)) STORED"])
def test_trap48_defaults_checks_and_generated_columns_that_write(env, place):
    table, other, writer = env.name("defaults"), env.name("written"), env.name("writer")
    immutable = env.name("immutable")
    env.run(f"CREATE TABLE {other} (v int)", f"INSERT INTO {other} VALUES (1)",
            f"CREATE FUNCTION {writer}() RETURNS int LANGUAGE plpgsql VOLATILE AS"
            f" $$BEGIN UPDATE {other} SET v = v + 1; RETURN 1; END$$",
            f"CREATE FUNCTION {immutable}(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
            f" $$BEGIN RETURN {writer}(); END$$",
            f"CREATE TABLE {table} (id int, x int {place.format(w=writer, i=immutable)})")
    probe, before = warm(env, f"SELECT v FROM {other}")
    env.run(f"INSERT INTO {table} (id) VALUES (1)")
    probe.changed(before)
    probe.fresh()


def test_trap48_operator_cast_and_aggregate_that_write(env):
    table, name = env.name("written"), env.name("op")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)",
            f"CREATE FUNCTION {name}(int, int) RETURNS int LANGUAGE plpgsql AS"
            f" $$BEGIN UPDATE {table} SET v = v + 1; RETURN $1; END$$",
            f"CREATE OPERATOR public.@%@ (LEFTARG = int, RIGHTARG = int, FUNCTION = {name})",
            f"CREATE AGGREGATE {name}_sum (int) (SFUNC = {name}, STYPE = int, INITCOND = '0')",
            f"CREATE TYPE {name}_type AS (v int)",
            f"CREATE FUNCTION {name}_cast(int) RETURNS {name}_type LANGUAGE plpgsql AS"
            f" $$BEGIN UPDATE {table} SET v = v + 1; RETURN ROW($1)::{name}_type; END$$",
            f"CREATE CAST (int AS {name}_type) WITH FUNCTION {name}_cast(int)")
    for statement in ("SELECT 1 @%@ 2", f"SELECT {name}_sum(g) FROM generate_series(1, 2) g", f"SELECT 1::{name}_type"):
        probe, before = warm(env, f"SELECT v FROM {table}")
        env.run(statement)
        probe.changed(before)
        probe.fresh()
    env.run("DROP OPERATOR public.@%@ (int, int)")


# -- families (trap 8) -------------------------------------------------------------------------
@pytest.fixture
def partitioned(env):
    name = env.name("part")
    env.run(f"CREATE TABLE {name} (id int, v int) PARTITION BY RANGE (id)",
            f"CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES FROM (0) TO (100)",
            f"CREATE TABLE {name}_2 PARTITION OF {name} FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id)",
            f"CREATE TABLE {name}_2a PARTITION OF {name}_2 FOR VALUES FROM (100) TO (150)",
            f"CREATE TABLE {name}_loose (id int, v int)", f"INSERT INTO {name} VALUES (1, 1), (101, 101)",
            f"INSERT INTO {name}_loose VALUES (250, 250)")
    return name


@pytest.mark.parametrize("write", ["UPDATE {p}_1 SET v = 0", "INSERT INTO {p}_2a VALUES (102, 1)", "DELETE FROM {p}_2a",
                                   "TRUNCATE {p}_1", "UPDATE {p} SET id = id + 99 WHERE id = 1",
                                   "INSERT INTO {p} VALUES (5, 5)", "DELETE FROM {p}_2",
                                   "ALTER TABLE {p} ATTACH PARTITION {p}_loose FOR VALUES FROM (200) TO (300)",
                                   "ALTER TABLE {p} DETACH PARTITION {p}_1", "DROP TABLE {p}_1",
                                   "CREATE TABLE {p}_3 PARTITION OF {p} FOR VALUES FROM (500) TO (600);"
                                   " INSERT INTO {p} VALUES (555, 1)",
                                   "COPY {p}_1 FROM STDIN"])
def test_trap08_partitions(env, partitioned, write):
    probe, before = warm(env, f"SELECT * FROM {partitioned} ORDER BY id")
    statement = write.replace("{p}", partitioned)
    if statement.startswith("COPY"):
        client = env.wire()
        client.send(wire.query(statement) + wire.copy_data(b"7\t7\n") + wire.copy_done())
        client.read_ready().checked()
    else:
        env.run(statement)
    probe.changed(before)
    probe.fresh()


def test_trap08_a_read_of_one_partition_sees_writes_to_the_parent(env, partitioned):
    probe, before = warm(env, f"SELECT * FROM {partitioned}_2a ORDER BY id")
    for statement in (f"UPDATE {partitioned} SET v = v + 1", f"INSERT INTO {partitioned} VALUES (140, 0)",
                      f"DELETE FROM {partitioned} WHERE id = 140", f"TRUNCATE {partitioned}"):
        env.run(statement)
        before = probe.changed(before)
        probe.fresh()


def test_trap08_detach_concurrently_and_write(env, since, partitioned):
    since(14, "DETACH PARTITION ... CONCURRENTLY")
    probe, before = warm(env, f"SELECT * FROM {partitioned} ORDER BY id")
    env.run(f"ALTER TABLE {partitioned} DETACH PARTITION {partitioned}_1 CONCURRENTLY")
    before = probe.changed(before)
    probe.fresh()
    env.run(f"UPDATE {partitioned}_1 SET v = 77")
    assert probe.fresh() == before


def test_trap08_inheritance_with_equal_names_in_several_schemas(env):
    schema, name = env.name("family"), env.name("kin")
    env.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {name} (v int)", f"INSERT INTO {name} VALUES (1)",
            f"CREATE TABLE {schema}.{name} () INHERITS (public.{name})", f"INSERT INTO {schema}.{name} VALUES (2)")
    parent, before = warm(env, f"SELECT v FROM {name} ORDER BY v")
    assert before == [("1",), ("2",)]
    env.run(f"UPDATE {schema}.{name} SET v = 3")
    before = parent.changed(before)
    parent.fresh()
    only, only_before = warm(env, f"SELECT v FROM ONLY {name}")
    child, child_before = warm(env, f"SELECT v FROM {schema}.{name}")
    env.run(f"UPDATE {name} SET v = v + 10")
    for probe, old in ((parent, before), (only, only_before), (child, child_before)):
        probe.changed(old)
        probe.fresh()
    env.run(f"CREATE TABLE {name}_late (v int)", f"INSERT INTO {name}_late VALUES (99)",
            f"ALTER TABLE {name}_late INHERIT {name}")
    assert ("99",) in parent.fresh()
    env.run(f"UPDATE {name}_late SET v = 98")
    assert ("98",) in parent.fresh()
    env.run(f"ALTER TABLE {name}_late NO INHERIT {name}")
    assert ("98",) not in parent.fresh()


def test_trap08_views_over_views(env):
    table, names = env.name("base"), [env.name("view") for _ in range(3)]
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)",
            f"CREATE VIEW {names[0]} AS SELECT v FROM {table}",
            f"CREATE VIEW {names[1]} AS SELECT v + 1 AS v FROM {names[0]}",
            f"CREATE VIEW {names[2]} AS SELECT a.v, b.v AS w FROM {names[1]} a, {names[0]} b")
    probe, before = warm(env, f"SELECT * FROM {names[2]}")
    env.run(f"UPDATE {table} SET v = 5")
    before = probe.changed(before)
    probe.fresh()
    env.run(f"CREATE OR REPLACE VIEW {names[0]} AS SELECT v * 100 AS v FROM {table}")
    before = probe.changed(before)
    probe.fresh()
    env.run(f"UPDATE {table} SET v = 6")
    probe.changed(before)
    probe.fresh()


def test_trap08_materialised_view_over_a_view(env):
    table, view, mat = env.name("base"), env.name("view"), env.name("mat")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)",
            f"CREATE VIEW {view} AS SELECT v FROM {table}", f"CREATE MATERIALIZED VIEW {mat} AS SELECT v FROM {view}")
    probe, before = warm(env, f"SELECT v FROM {mat}")
    env.run(f"UPDATE {table} SET v = 2")
    assert probe.fresh() == before
    env.run(f"REFRESH MATERIALIZED VIEW {mat}")
    assert probe.changed(before) == [("2",)]
    probe.fresh()
    env.run(f"REFRESH MATERIALIZED VIEW {mat} WITH NO DATA")
    assert probe.expected() == "55000"
    probe.fresh(hit_again=False)


FUNCTIONS = {
    "sql": "LANGUAGE sql STABLE AS 'SELECT v FROM {t}'",
    "sql_body": "LANGUAGE sql STABLE RETURN (SELECT v FROM {t})",
    "plpgsql": "LANGUAGE plpgsql STABLE AS $$BEGIN RETURN (SELECT v FROM {t}); END$$",
    "plpgsql_dynamic": "LANGUAGE plpgsql STABLE AS $$DECLARE r int; BEGIN EXECUTE 'SELECT v FR' || 'OM {t}' INTO r;"
                       " RETURN r; END$$",
    "labelled_immutable": "LANGUAGE sql IMMUTABLE AS 'SELECT v FROM {t}'",
    "plpgsql_labelled_immutable": "LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN (SELECT v FROM {t}); END$$",
}


@pytest.mark.parametrize("body", FUNCTIONS)
def test_trap08_functions_that_read_tables(env, since, body):
    """Cached or not, the answer follows the table they read."""
    if body == "sql_body":
        since(14, "a body that is no string")
    table, other, function = env.name("base"), env.name("other"), env.name("reads")
    env.run(f"CREATE TABLE {table} (v int)", f"INSERT INTO {table} VALUES (1)",
            f"CREATE TABLE {other} AS SELECT 7 AS id",
            f"CREATE FUNCTION {function}() RETURNS int {FUNCTIONS[body].replace('{t}', table)}",
            f"CREATE VIEW {function}_view AS SELECT id, {function}() AS v FROM {other}")
    readers = [env.wire(), env.wire()]
    for value in range(2, 6):
        for sql in (f"SELECT {function}()", f"SELECT {function}() FROM {other}", f"SELECT v FROM {function}_view",
                    f"SELECT id FROM {other} WHERE {function}() = {value - 1}"):
            truth = env.wire_direct().rows(sql)
            for _ in range(2):
                for reader in readers:
                    assert reader.rows(sql) == truth
                    assert reader.extended(sql).rows == truth
        env.run(f"UPDATE {table} SET v = {value}")
