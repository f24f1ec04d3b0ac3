"""Trap 6: statements that write without looking like UPDATE."""
import io

import pytest

from support import wire

SETUP = """
CREATE TABLE {t} (id int PRIMARY KEY, v int);
CREATE TABLE {t}_child (id int REFERENCES {t}, note text);
CREATE TABLE {t}_log (n serial, v int);
CREATE TABLE {t}_source (id int, v int);
CREATE MATERIALIZED VIEW {t}_mat AS SELECT sum(v) AS total FROM {t}_source;
CREATE UNIQUE INDEX ON {t}_mat (total);
INSERT INTO {t} SELECT g, g * 10 FROM generate_series(1, 4) g;
INSERT INTO {t}_source VALUES (1, 111), (9, 999);
CREATE FUNCTION {t}_plpgsql(int) RETURNS int LANGUAGE plpgsql AS
  $$BEGIN UPDATE {t} SET v = v + $1; RETURN 1; END$$;
CREATE FUNCTION {t}_sql(int) RETURNS int LANGUAGE sql AS
  $$UPDATE {t} SET v = v + $1 WHERE id = 1 RETURNING v$$;
CREATE FUNCTION {t}_rows() RETURNS SETOF int LANGUAGE sql AS
  $$INSERT INTO {t} VALUES (50, 500) RETURNING v$$;
CREATE FUNCTION {t}_dynamic(name text) RETURNS void LANGUAGE plpgsql AS
  $$BEGIN EXECUTE format('UPDATE %I SET v = v + 7', name); END$$;
CREATE PROCEDURE {t}_procedure() LANGUAGE plpgsql AS
  $$BEGIN UPDATE {t} SET v = v + 5; END$$;
CREATE PROCEDURE {t}_committing() LANGUAGE plpgsql AS
  $$BEGIN UPDATE {t} SET v = v + 1; COMMIT; UPDATE {t} SET v = v + 1; END$$;
"""

READ = "SELECT * FROM {t} ORDER BY 1"

WRITES = {
    "cte_update": "WITH x AS (UPDATE {t} SET v = v + 1 RETURNING id) SELECT count(*) FROM x",
    "cte_insert_unread": "WITH x AS (INSERT INTO {t} VALUES (60, 1)) SELECT 1",
    "cte_delete_in_insert":
        "WITH gone AS (DELETE FROM {t} WHERE id > 3 RETURNING *) INSERT INTO {t}_log (v) SELECT v FROM gone",
    "cte_nested": "SELECT * FROM (VALUES (1)) q WHERE EXISTS (SELECT 1) AND 1 = 2; "
                  "WITH a AS (WITH b AS (SELECT 1) SELECT * FROM b), c AS (DELETE FROM {t} WHERE id = 1)"
                  " SELECT * FROM a",
    "merge_update": "MERGE INTO {t} USING {t}_source s ON {t}.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v",
    "merge_insert": "MERGE INTO {t} USING {t}_source s ON {t}.id = s.id"
                    " WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)",
    "merge_delete": "MERGE INTO {t} USING {t}_source s ON {t}.id = s.id WHEN MATCHED THEN DELETE",
    "explain_analyze": "EXPLAIN ANALYZE UPDATE {t} SET v = v + 1",
    "explain_analyze_option": "EXPLAIN (COSTS OFF, ANALYZE true) DELETE FROM {t} WHERE id = 2",
    "explain_analyze_cte": "EXPLAIN ANALYZE WITH x AS (DELETE FROM {t} WHERE id = 2) SELECT 1",
    "explain_analyze_function": "EXPLAIN ANALYZE SELECT {t}_plpgsql(3)",
    "several_statements": "SELECT 1; UPDATE {t} SET v = v + 1; SELECT 2",
    "several_with_block": "BEGIN; UPDATE {t} SET v = v + 1; COMMIT; SELECT 2",
    "do_block": "DO $$BEGIN UPDATE {t} SET v = v + 1; END$$",
    "do_dynamic": "DO $$BEGIN EXECUTE 'UPD' || 'ATE {t} SET v = v + 1'; END$$",
    "call": "CALL {t}_procedure()",
    "call_that_commits": "CALL {t}_committing()",
    "function_plpgsql": "SELECT {t}_plpgsql(4)",
    "function_sql": "SELECT {t}_sql(4)",
    "function_in_from": "SELECT * FROM {t}_rows()",
    "function_in_where": "SELECT 1 WHERE {t}_plpgsql(4) = 1",
    "function_dynamic": "SELECT {t}_dynamic('{t}')",
    "function_in_values": "VALUES ({t}_plpgsql(2))",
    "on_conflict_do_update": "INSERT INTO {t} VALUES (1, 77) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v",
    "on_conflict_do_nothing_that_inserts": "INSERT INTO {t} VALUES (70, 77) ON CONFLICT DO NOTHING",
    "insert_unnest_returning":
        "INSERT INTO {t} (id, v) SELECT * FROM UNNEST(ARRAY[80, 81]::int[], ARRAY[1, 2]::int[]) RETURNING id",
    "update_from": "UPDATE {t} SET v = s.v FROM {t}_source s WHERE s.id = {t}.id",
    "delete_using": "DELETE FROM {t} USING {t}_source s WHERE s.id = {t}.id",
    "delete_everything": "DELETE FROM ONLY {t}",
    "truncate": "TRUNCATE {t} CASCADE",
    "truncate_with_others": "TRUNCATE {t}_log, {t}, {t}_child RESTART IDENTITY",
    "select_into": "DROP TABLE {t} CASCADE; SELECT 3 AS id, 4 AS v INTO {t}",
    "create_table_as": "DROP TABLE {t} CASCADE; CREATE TABLE {t} AS SELECT 5 AS id",
    "update_with_comment_first": "/* SELECT */ -- read\nUPDATE {t} SET v = v + 1",
    "update_in_odd_case": "uPdAtE {t} sEt v = v + 1",
    "quoted_and_qualified": 'UPDATE "public"."{t}" SET v = v + 1',
    "alter_type": "ALTER TABLE {t} ALTER v TYPE text USING v::text || '!'",
    "update_where_current_of": "BEGIN; DECLARE c CURSOR FOR SELECT * FROM {t} WHERE id = 1 FOR UPDATE; FETCH c;"
                               " UPDATE {t} SET v = -1 WHERE CURRENT OF c; COMMIT",
}

SEVERAL = {name for name, sql in WRITES.items() if ";" in sql and "$$" not in sql}


@pytest.fixture
def table(env):
    name = env.name("disguise")
    env.run(SETUP.replace("{t}", name))
    return name


def warm_probe(env, table, sql=READ):
    probe = env.probe(sql.replace("{t}", table))
    probe.warm()
    return probe, probe.expected()


def run(env, sql, protocol):
    client = env.wire()
    reply = client.query(sql) if protocol == "simple" else client.extended(sql)
    reply.checked()


@pytest.mark.parametrize("name, protocol", [(name, "simple") for name in WRITES]
                         + [(name, "extended") for name in WRITES if name not in SEVERAL])
def test_trap06_write_in_disguise_is_seen(env, since, table, name, protocol):
    if name.startswith("merge"):
        since(15, "MERGE")
    probe, before = warm_probe(env, table)
    run(env, WRITES[name].replace("{t}", table), protocol)
    probe.changed(before)
    probe.fresh()


@pytest.mark.parametrize("name", [name for name in WRITES if name not in SEVERAL and name != "call_that_commits"])
def test_trap06_write_in_disguise_inside_a_transaction(env, since, table, name):
    """Own writes are seen inside, by nobody else before COMMIT, by everybody after."""
    if name.startswith("merge"):
        since(15, "MERGE")
    probe, before = warm_probe(env, table)
    writer = env.wire()
    writer.ok("BEGIN")
    writer.ok(WRITES[name].replace("{t}", table))
    if "ALTER" not in WRITES[name] and "TRUNCATE" not in WRITES[name]:  # these lock out every reader
        with env.no_hits():
            assert writer.query(probe.sql).rows != before
        assert probe.check() == before
    else:
        assert writer.query(probe.sql).rows != before
    writer.ok("COMMIT")
    probe.changed(before)
    probe.fresh()


@pytest.mark.parametrize("mode", ["text", "csv", "binary_refused"])
def test_trap06_copy_from(env, table, mode):
    probe, before = warm_probe(env, table)
    client = env.wire()
    option = "(FORMAT csv)" if mode == "csv" else ""
    client.send(wire.query(f"COPY {table} FROM STDIN {option}"))
    client.read_until("G")
    line = b"90,900\n" if mode == "csv" else b"90\t900\n"
    if mode == "binary_refused":
        client.send(wire.copy_data(line) + wire.copy_fail("no"))
        assert client.read_ready().sqlstate == "57014"
        assert probe.fresh() == before
        return
    client.send(wire.copy_data(line) + wire.copy_done())
    client.read_ready().checked()
    probe.changed(before)
    probe.fresh()


def test_trap06_copy_from_in_extended_protocol(env, table):
    probe, before = warm_probe(env, table)
    client = env.wire()
    client.send(wire.extended(f"COPY {table} FROM STDIN") + wire.flush())
    client.read_until("G")
    client.send(wire.copy_data(b"90\t900\n") + wire.copy_done() + wire.sync())
    client.read_ready().checked()
    probe.changed(before)
    probe.fresh()


def test_trap06_copy_by_psycopg2(env, table):
    probe, before = warm_probe(env, table)
    connection = env.connect()
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO("91\t910\n92\t920\n"))
    probe.changed(before)
    probe.fresh()


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("statement", ["REFRESH MATERIALIZED VIEW {t}_mat",
                                       "REFRESH MATERIALIZED VIEW CONCURRENTLY {t}_mat"])
def test_trap06_refresh_materialized_view(env, table, statement, protocol):
    probe, before = warm_probe(env, table, "SELECT total FROM {t}_mat")
    env.run(f"INSERT INTO {table}_source VALUES (2, 1)")
    assert probe.fresh() == before  # a materialised view changes by REFRESH only
    run(env, statement.replace("{t}", table), protocol)
    probe.changed(before)
    probe.fresh()


def test_trap06_truncate_cascade_reaches_the_child(env, table):
    env.run(f"INSERT INTO {table}_child VALUES (1, 'x')")
    child, before_child = warm_probe(env, table, "SELECT * FROM {t}_child")
    parent, before_parent = warm_probe(env, table)
    env.run(f"TRUNCATE {table} CASCADE")
    child.changed(before_child)
    parent.changed(before_parent)
    child.fresh()
    parent.fresh()


def test_trap06_truncate_restart_identity(env, table):
    env.run(f"INSERT INTO {table}_log (v) VALUES (1), (2)")
    probe, before = warm_probe(env, table, "SELECT * FROM {t}_log ORDER BY n")
    env.run(f"TRUNCATE {table}_log RESTART IDENTITY", f"INSERT INTO {table}_log (v) VALUES (3)")
    assert probe.changed(before) == [("1", "3")]
    probe.fresh()


def test_trap06_sql_prepare_and_execute(env, table):
    writer = env.wire()
    writer.ok(f"PREPARE up (int) AS UPDATE {table} SET v = v + $1")
    for protocol in ("simple", "extended"):
        probe, before = warm_probe(env, table)
        if protocol == "simple":
            writer.ok("EXECUTE up(1)")
        else:
            writer.extended("EXECUTE up(1)").checked()
        probe.changed(before)
        probe.fresh()
    probe, before = warm_probe(env, table)
    writer.send(wire.bind("", "up", ["5"]) + wire.execute() + wire.sync())
    writer.read_ready().checked()
    probe.changed(before)
    probe.fresh()
    writer.ok("DEALLOCATE up")


def test_trap06_execute_again_without_parse(env, table):
    writer = env.wire()
    writer.send(wire.parse("w", f"UPDATE {table} SET v = v + $1") + wire.sync())
    writer.read_ready().checked()
    probe, before = warm_probe(env, table)
    for _ in range(3):
        writer.send(wire.bind("", "w", ["1"]) + wire.execute() + wire.sync())
        writer.read_ready().checked()
        before = probe.changed(before)
        probe.fresh()


def test_trap06_execute_of_the_unnamed_statement_again(env, table):
    writer = env.wire()
    writer.send(wire.parse("", f"UPDATE {table} SET v = v + 1") + wire.sync())
    writer.read_ready().checked()
    probe, before = warm_probe(env, table)
    for _ in range(2):
        writer.send(wire.bind("", "") + wire.execute() + wire.sync())
        writer.read_ready().checked()
        before = probe.changed(before)
        probe.fresh()


def test_trap06_execute_with_a_row_limit(env, table):
    probe, before = warm_probe(env, table)
    writer = env.wire()
    writer.send(wire.parse("", f"UPDATE {table} SET v = v + 1 RETURNING id") + wire.bind("", "")
                + wire.execute("", 2) + wire.sync())
    assert writer.read_ready().types == "12DDsZ"
    probe.changed(before)
    probe.fresh()


def test_trap06_executes_in_one_sync_with_reads_between(env, table):
    probe, before = warm_probe(env, table)
    writer = env.wire()
    write = wire.extended(f"UPDATE {table} SET v = v + 1")
    read = wire.extended(f"SELECT max(v) FROM {table}")
    writer.send(read + write + read + write + read + wire.sync())
    assert [row[0] for row in writer.read_ready().checked().rows] == ["40", "41", "42"]
    probe.changed(before)
    probe.fresh()


@pytest.mark.parametrize("kibibytes", [100, 1500])
@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_trap06_bulk_update_of_huge_text(env, table, kibibytes, protocol):
    """As Django's bulk_update writes it: longer than what is ever parsed."""
    probe, before = warm_probe(env, table)
    cases = " ".join(f"WHEN id = {number} THEN {number + 1}" for number in range(kibibytes * 1024 // 30))
    run(env, f"UPDATE {table} SET v = CASE {cases} ELSE v END WHERE id < 100000", protocol)
    probe.changed(before)
    probe.fresh()


def test_trap06_long_text_with_the_write_at_its_end(env, table):
    probe, before = warm_probe(env, table)
    padding = "x" * 100_000
    env.run(f"SELECT '{padding}'; UPDATE {table} SET v = v + 1")
    before = probe.changed(before)
    probe.fresh()
    env.run(f"WITH a AS (SELECT '{padding}'), b AS (UPDATE {table} SET v = v + 1) SELECT 1")
    probe.changed(before)
    probe.fresh()


def test_trap06_deeply_nested_text_with_a_write(env, table):
    probe, before = warm_probe(env, table)
    chain = "+1" * 3000
    env.run(f"WITH b AS (UPDATE {table} SET v = v + 1 RETURNING v) SELECT 1{chain} FROM b LIMIT 1")
    probe.changed(before)
    probe.fresh()


def test_trap06_sequences_are_never_stale(env, table):
    sequence = f"{table}_log_n_seq"
    reader = env.wire()
    for expected in ("1", "2", "3"):
        env.run(f"SELECT nextval('{sequence}')")
        assert reader.rows(f"SELECT last_value FROM {sequence}") == [(expected,)]
        assert reader.extended(f"SELECT last_value FROM {sequence}").rows == [(expected,)]
    env.run(f"SELECT setval('{sequence}', 100)")
    assert reader.rows(f"SELECT last_value FROM {sequence}") == [("100",)]


def test_trap06_function_call_message(env, table):
    """The fast path: a function that writes, called by its oid."""
    oid = int(env.wire_direct().rows(f"SELECT '{table}_plpgsql'::regproc::oid")[0][0])
    probe, before = warm_probe(env, table)
    client = env.wire()
    client.send(wire.function_call(oid, [b"5"]))
    assert client.read_ready().types == "VZ"
    probe.changed(before)
    probe.fresh()


def test_trap06_large_objects(env, table):
    reader = env.wire()
    oid = reader.rows("SELECT lo_from_bytea(0, 'one')")[0][0]
    assert reader.rows(f"SELECT convert_from(lo_get({oid}), 'UTF8')") == [("one",)]
    env.run(f"SELECT lo_put({oid}, 0, 'two')")
    for _ in range(2):
        assert reader.rows(f"SELECT convert_from(lo_get({oid}), 'UTF8')") == [("two",)]
    env.run(f"SELECT lo_unlink({oid})")
