"""What versions after 15 brought and could make a remembered answer wrong; each test names the version
that it needs. The truth is what PostgreSQL itself says."""
import io

import pytest

from support import wire
from support.freshness import SIMPLE

CONFIG = {"pool": {"size": 5}}


def seen(env, read, write, setup=()):
    """A write through pgrecall, however it is spelled, is seen by reads that were answered by hits."""
    env.run(*setup)
    probe = env.probe(read)
    probe.warm()
    before = probe.expected()
    env.wire().ok(write)
    probe.changed(before)
    probe.fresh()


# -- statements that write ------------------------------------------------------------------------
TABLE = ("CREATE TABLE {t} (id int PRIMARY KEY, v int)", "INSERT INTO {t} VALUES (1, 10), (2, 20)",
         "CREATE TABLE {t}_source AS SELECT 2 AS id, 99 AS v UNION SELECT 3, 30",
         "CREATE VIEW {t}_view AS SELECT id, v FROM {t}",
         "CREATE TABLE {t}_part (id int PRIMARY KEY, v int) PARTITION BY RANGE (id)",
         "CREATE TABLE {t}_low PARTITION OF {t}_part FOR VALUES FROM (0) TO (100)",
         "INSERT INTO {t}_part VALUES (1, 10)")
MERGE = "MERGE INTO {t} USING {t}_source s ON {t}.id = s.id WHEN MATCHED THEN UPDATE SET v = s.v"
WRITES = {
    "merge_returning": (17, MERGE + " RETURNING merge_action(), {t}.id"),
    "merge_returning_in_with": (17, f"WITH m AS ({MERGE} RETURNING merge_action()) SELECT count(*) FROM m"),
    "merge_not_matched_by_source": (17, "MERGE INTO {t} USING {t}_source s ON {t}.id = s.id"
                                        " WHEN NOT MATCHED BY SOURCE THEN DELETE"),
    "merge_into_a_view": (17, "MERGE INTO {t}_view w USING {t}_source s ON w.id = s.id"
                              " WHEN MATCHED THEN UPDATE SET v = s.v"),
    "returning_old_and_new": (18, "UPDATE {t} SET v = v + 1 RETURNING old.v, new.v"),
    "returning_with_aliases": (18, "UPDATE {t} SET v = v + 1 RETURNING WITH (OLD AS o, NEW AS n) o.v, n.v"),
    "returning_old_in_with": (18, "WITH gone AS (DELETE FROM {t} RETURNING old.id) SELECT count(*) FROM gone"),
    "insert_select_any_value": (16, "INSERT INTO {t} SELECT 7, any_value(v) FROM {t}"),
    "explain_analyze_serialize": (17, "EXPLAIN (ANALYZE, SERIALIZE, MEMORY) UPDATE {t} SET v = v + 1 RETURNING v"),
}


@pytest.mark.parametrize("how", WRITES)
def test_trap6_a_write_in_newer_words_is_seen(env, since, how):
    major, write = WRITES[how]
    since(major, how)
    t = env.name("newer")
    seen(env, f"SELECT * FROM {t} ORDER BY 1", write.format(t=t), [text.format(t=t) for text in TABLE])


def test_trap6_merge_into_a_partitioned_table_is_seen_in_the_partition(env, since):
    since(17, "MERGE ... RETURNING")
    t = env.name("newer")
    seen(env, f"SELECT * FROM {t}_low ORDER BY 1",
         f"MERGE INTO {t}_part p USING {t}_source s ON p.id = s.id WHEN NOT MATCHED THEN"
         " INSERT VALUES (s.id, s.v) RETURNING p.*", [text.format(t=t) for text in TABLE])


def test_trap6_copy_that_passes_over_errors_is_seen(env, since):
    since(17, "COPY ... ON_ERROR")
    t = env.name("copied")
    env.run(f"CREATE TABLE {t} (v int)")
    probe = env.probe(f"SELECT v FROM {t} ORDER BY 1")
    probe.warm()
    connection = env.connect()
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {t} FROM STDIN (ON_ERROR ignore)", io.StringIO("1\nno number\n2\n"))
    assert probe.expected() == [("1",), ("2",)]
    probe.fresh()


# -- definitions ----------------------------------------------------------------------------------
def test_trap7_a_virtual_generated_column_follows_its_expression(env, since):
    since(18, "a virtual generated column")
    t = env.name("generated")
    env.run(f"CREATE TABLE {t} (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)", f"INSERT INTO {t} VALUES (1), (2)")
    probe = env.probe(f"SELECT a, b FROM {t} ORDER BY 1")
    probe.warm()
    env.wire().ok(f"UPDATE {t} SET a = a + 10")
    assert probe.expected() == [("11", "22"), ("12", "24")]
    probe.fresh()
    env.wire().ok(f"ALTER TABLE {t} ALTER COLUMN b SET EXPRESSION AS (a * 3)")
    assert probe.expected() == [("11", "33"), ("12", "36")]
    probe.fresh()


@pytest.mark.parametrize("expression", ["now() - '2000-01-01'::timestamptz", "random()", "{name}_own(a)"])
def test_trap17_a_virtual_generated_column_has_no_code_that_could_lie(env, since, expression):
    """What a read of such a column runs: built-in, and immutable. If the server ever allows more, this fails."""
    since(18, "a virtual generated column")
    name = env.name("generated")
    env.run(f"CREATE FUNCTION {name}_own(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN random() * 1000; END$$")
    refused = env.wire_direct().query(
        f"CREATE TABLE {name} (a int, b text GENERATED ALWAYS AS ((" + expression.format(name=name) + ")::text) VIRTUAL)")
    assert refused.sqlstate in ("42P17", "0A000"), refused


def test_trap7_a_stored_expression_that_is_changed(env, since):
    since(17, "ALTER COLUMN ... SET EXPRESSION")
    t = env.name("generated")
    seen(env, f"SELECT b FROM {t}", f"ALTER TABLE {t} ALTER COLUMN b SET EXPRESSION AS (a * 3)",
         (f"CREATE TABLE {t} (a int, b int GENERATED ALWAYS AS (a * 2) STORED)", f"INSERT INTO {t} VALUES (1)"))


def test_trap7_a_temporal_foreign_key_cannot_be_crossed_unseen(env, since):
    since(18, "WITHOUT OVERLAPS")
    t = env.name("temporal")
    env.run(f"CREATE TABLE {t} (id int4range, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS))",
            f"CREATE TABLE {t}_child (id int4range, during daterange,"
            f" FOREIGN KEY (id, PERIOD during) REFERENCES {t} (id, PERIOD during))",
            f"INSERT INTO {t} VALUES ('[1,2)', '[2020-01-01,2021-01-01)')")
    probe = env.probe(f"SELECT count(*) FROM {t}_child")
    both = env.probe(f"SELECT p.during, c.during FROM {t} p LEFT JOIN {t}_child c ON p.id = c.id ORDER BY 1")
    probe.warm()
    both.warm()
    client = env.wire()
    assert client.query(f"INSERT INTO {t}_child VALUES ('[1,2)', '[2022-01-01,2023-01-01)')").sqlstate == "23503"
    client.ok(f"INSERT INTO {t}_child VALUES ('[1,2)', '[2020-02-01,2020-03-01)')")
    assert client.query(f"DELETE FROM {t}").sqlstate == "23503"
    client.ok(f"UPDATE {t} SET during = '[2020-01-01,2022-01-01)'")
    assert probe.fresh() == [("1",)]
    both.fresh()


def test_trap7_a_foreign_key_that_is_not_enforced_and_then_is(env, since):
    since(18, "NOT ENFORCED")
    t = env.name("loose")
    env.run(f"CREATE TABLE {t} (id int PRIMARY KEY)", f"INSERT INTO {t} VALUES (1), (2)",
            f"CREATE TABLE {t}_child (id int, CONSTRAINT {t}_fk FOREIGN KEY (id) REFERENCES {t} ON DELETE CASCADE NOT ENFORCED)",
            f"INSERT INTO {t}_child VALUES (1), (2)")
    probe = env.probe(f"SELECT id FROM {t}_child ORDER BY 1")
    probe.warm()
    client = env.wire()
    client.ok(f"DELETE FROM {t} WHERE id = 1")
    assert probe.fresh() == [("1",), ("2",)]
    client.ok(f"DELETE FROM {t}_child WHERE id = 1")
    client.ok(f"ALTER TABLE {t}_child ALTER CONSTRAINT {t}_fk ENFORCED")
    env.settle()
    probe.warm()
    client.ok(f"DELETE FROM {t} WHERE id = 2")
    assert probe.expected() == []
    probe.fresh()


# -- functions ------------------------------------------------------------------------------------
NEVER_TWICE = {
    "random_normal": (16, "random_normal()"), "array_shuffle": (16, "array_shuffle(ARRAY(SELECT generate_series(1, 500)))"),
    "array_sample": (16, "array_sample(ARRAY(SELECT generate_series(1, 5000)), 20)"),
    "random_between": (17, "random(1, 1000000000)"), "uuidv7": (18, "uuidv7()"), "uuidv4": (18, "uuidv4()"),
    "uuidv7_shifted": (18, "uuidv7(interval '1 day')"),
    "clock_in_date_add": (16, "date_add(clock_timestamp(), interval '1 day')"),
    "clock_in_any_value": (16, "any_value(clock_timestamp())"),
    "clock_as_json": (16, "json_agg_strict(clock_timestamp())"),
}


@pytest.mark.parametrize("how", NEVER_TWICE)
def test_trap17_a_newer_function_is_different_each_time(env, since, how):
    major, call = NEVER_TWICE[how]
    since(major, how)
    t = env.name("one")
    env.run(f"CREATE TABLE {t} AS SELECT 1 AS v")
    clients = [env.wire(), env.wire()]
    with env.no_hits():
        answers = [repr(ask(f"SELECT {call} FROM {t}").checked().rows) for _ in range(3) for client in clients
                   for ask in (client.query, client.extended)]
    assert len(set(answers)) == len(answers), answers


# In the answer: what follows a setting, so that it must not be shared between settings.
FOLLOWS_TIME_ZONE = {"date_add": (16, "date_add(ts, interval '1 month')"),
                     "date_subtract": (16, "date_subtract(ts, interval '1 month')"),
                     "json_agg_strict": (16, "json_agg_strict(ts)"), "jsonb_agg_strict": (16, "jsonb_agg_strict(ts)"),
                     "any_value": (16, "any_value(ts)"), "to_json_via_scalar": (17, "json_scalar(ts)")}


@pytest.mark.parametrize("how", FOLLOWS_TIME_ZONE)
def test_trap14_a_newer_function_follows_the_time_zone(env, since, how):
    major, call = FOLLOWS_TIME_ZONE[how]
    since(major, how)
    t = env.name("stamped")
    env.run(f"CREATE TABLE {t} AS SELECT timestamptz '2020-03-20 00:30+00' AS ts")
    sql, answers = f"SELECT {call} FROM {t}", {}
    for zone in ("UTC", "America/New_York", "Europe/Berlin"):
        through, past = env.wire(), env.wire_direct()
        for client in (through, past):
            client.ok(f"SET timezone = '{zone}'")
        for _ in range(3):
            answers[zone] = past.ok(sql).rows
            assert through.ok(sql).rows == answers[zone]
    assert len({repr(rows) for rows in answers.values()}) == 3, answers


READS_A_VALUE = {
    "domain_in": (13, "domain_in('7', '{t}_checked'::regtype, -1) IS NULL"),
    "array_in": (13, "array_in('{{7}}', '{t}_checked'::regtype, -1) IS NULL"),
    "record_in": (13, "record_in('(7)', '{t}_pair'::regtype, -1) IS NULL"),
    "pg_input_is_valid": (16, "pg_input_is_valid('7', '{t}_checked')"),
    "pg_input_error_info": (16, "pg_input_error_info('7', '{t}_checked') IS NULL"),
    "jsonb_populate_record_valid": (17, "jsonb_populate_record_valid(NULL::{t}_pair, '{{\"a\": 7}}')"),
}


@pytest.mark.parametrize("how", READS_A_VALUE)
def test_trap6_reading_a_value_of_a_domain_runs_its_checks(env, since, how):
    """A check may call a function that writes."""
    major, call = READS_A_VALUE[how]
    since(major, how)
    t = env.name("checked")
    seen(env, f"SELECT v FROM {t}", f"SELECT {call.format(t=t)}", (
        f"CREATE TABLE {t} AS SELECT 1 AS v",
        f"CREATE FUNCTION {t}_count(int) RETURNS bool LANGUAGE plpgsql AS"
        f" $$BEGIN UPDATE public.{t} SET v = v + 1; RETURN true; END$$",
        f"CREATE DOMAIN {t}_checked AS int CHECK ({t}_count(VALUE))",
        f"CREATE TYPE {t}_pair AS (a {t}_checked)"))


def test_trap16_system_user_is_not_shared(env, since):
    since(16, "SYSTEM_USER")
    t = env.name("one")
    env.run(f"CREATE TABLE {t} AS SELECT 1 AS v")
    probe = env.probe(f"SELECT system_user, v FROM {t}")
    for _ in range(3):
        probe.check()


def test_restored_statistics_change_no_answer(env, since):
    since(18, "pg_restore_relation_stats")
    t = env.name("counted")
    seen(env, f"SELECT reltuples FROM pg_class WHERE relname = '{t}'" if env.proxy.identity else f"SELECT v FROM {t}",
         f"DELETE FROM {t} WHERE v = 1", (f"CREATE TABLE {t} AS SELECT generate_series(1, 3) AS v",))
    probe = env.probe(f"SELECT reltuples FROM pg_class WHERE relname = '{t}'")
    probe.check()
    env.wire().ok(f"SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', '{t}', 'reltuples', 4711::real)")
    assert probe.check() == [("4711",)]


# -- settings and privileges ----------------------------------------------------------------------
def test_trap14_a_setting_that_closes_views_is_heeded(env, postgres):
    if not postgres.sql("postgres", "SELECT 1 FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'"):
        pytest.skip("this server has no restrict_nonsystem_relation_kind")
    t = env.name("seen")
    env.run(f"CREATE TABLE {t} AS SELECT 1 AS v", f"CREATE VIEW {t}_view AS SELECT v FROM {t}")
    probe = env.probe(f"SELECT v FROM {t}_view")
    probe.warm()
    through, past = env.wire(), env.wire_direct()
    for client in (through, past):
        client.ok("SET restrict_nonsystem_relation_kind = 'view'")
    refused = past.query(probe.sql).sqlstate
    assert refused and [through.query(probe.sql).sqlstate for _ in range(2)] == [refused, refused]
    probe.check()


def test_trap14_transaction_timeout_is_the_clients(env, since):
    since(17, "transaction_timeout")
    first, second = env.wire(), env.wire()
    first.ok("SET transaction_timeout = '7min'")
    assert [client.ok("SHOW transaction_timeout").rows for client in (first, second, first)] == [
        [("7min",)], [("0",)], [("7min",)]]


def test_trap16_a_membership_without_inherit_gives_no_rights(env, since):
    since(16, "GRANT ... WITH INHERIT FALSE")
    name = env.name("member")
    env.run(f"CREATE TABLE {name} AS SELECT 1 AS v", f"CREATE ROLE {name}_group", f"CREATE ROLE {name} LOGIN",
            f"GRANT SELECT ON {name} TO {name}_group", f"GRANT {name}_group TO {name} WITH INHERIT TRUE")
    probe = env.probe(f"SELECT v FROM public.{name}", connect=lambda: env.wire(user=name),
                      direct=lambda: env.wire_direct(user=name))
    probe.warm()
    env.wire().ok(f"GRANT {name}_group TO {name} WITH INHERIT FALSE")
    assert probe.expected() == "42501"
    probe.check()


def test_trap16_maintain_is_no_right_to_read(env, since):
    since(17, "MAINTAIN")
    name = env.name("keeper")
    env.run(f"CREATE TABLE {name}_source AS SELECT 1 AS v",
            f"CREATE MATERIALIZED VIEW {name} AS SELECT v FROM {name}_source", f"CREATE ROLE {name} LOGIN",
            f"GRANT MAINTAIN ON {name} TO {name}", f"INSERT INTO {name}_source VALUES (2)")
    probe = env.probe(f"SELECT v FROM {name} ORDER BY 1")
    probe.warm()
    keeper = env.wire(user=name)
    assert keeper.query(probe.sql).sqlstate == "42501"
    keeper.ok(f"REFRESH MATERIALIZED VIEW {name}")
    assert probe.expected() == [("1",), ("2",)]
    probe.fresh()
    assert keeper.query(probe.sql).sqlstate == "42501"


# -- the protocol ----------------------------------------------------------------------------------
@pytest.mark.parametrize("end", [wire.sync(), b"", wire.query("SELECT 1"), wire.query("COMMIT")])
def test_trap42_a_query_inside_a_unit_leaves_nothing_to_the_next_client(lone, end):
    """From version 18 on the Query does not end the transaction, and Sync leaves it open, unseen."""
    t = lone.name("mixed")
    lone.run(f"CREATE TABLE {t} AS SELECT 1 AS v")
    probe = lone.probe(f"SELECT v FROM {t}")
    probe.warm()
    client = lone.wire()
    client.send(wire.parse("", "SELECT 1") + wire.bind("", "") + wire.execute("") + wire.query(f"UPDATE {t} SET v = v + 1"))
    client.read_ready()
    if end:
        client.send(end)
        client.read_ready()
    client.close()
    for _ in range(3):
        other = lone.wire()
        assert other.query(f"UPDATE {t} SET v = v + 1").sqlstate is None
        other.close()
        probe.check()


# -- code that runs at login ------------------------------------------------------------------------
@pytest.fixture
def at_login(env, since):
    """An event trigger of every login that counts logins in the table that it is named after."""
    since(17, "an event trigger ON login")
    t = env.name("logins")
    env.run(f"CREATE TABLE {t} AS SELECT 0 AS v", f"GRANT ALL ON {t} TO PUBLIC",
            f"CREATE FUNCTION {t}_count() RETURNS event_trigger LANGUAGE plpgsql AS"
            f" $$BEGIN UPDATE public.{t} SET v = v + 1; END$$",
            f"CREATE EVENT TRIGGER {t} ON login EXECUTE FUNCTION {t}_count()")
    yield t
    env.wire_direct().ok(f"DROP EVENT TRIGGER {t}")
    env.settle()


def test_trap7_a_login_that_pgrecall_makes_is_a_write(env, at_login, new_proxy):
    """Each new server connection runs the trigger: no client has sent a write, and the rows change."""
    proxy = new_proxy(env.postgres.port, CONFIG)
    proxy.wait_catalog(env.database)
    reader, past = proxy.connect(env.database), env.wire_direct()

    def read():
        with reader.cursor() as cursor:
            cursor.execute(f"SELECT v::text FROM {at_login}")
            return cursor.fetchall()

    for _ in range(3):
        read()
    before = past.ok(f"SELECT v FROM {at_login}").rows
    holders = [proxy.connect(env.database, autocommit=False) for _ in range(3)]
    for holder in holders:
        holder.cursor().execute("SELECT txid_current()")
    now = past.ok(f"SELECT v FROM {at_login}").rows
    assert now != before, "no login was made"
    assert [read() for _ in range(3)] == [now] * 3
    for holder in holders:
        holder.close()
    reader.close()


def test_trap7_without_login_triggers_hits_come_back(env, at_login):
    sql = f"SELECT v FROM {at_login}"
    with env.no_hits():
        for _ in range(3):
            env.wire().ok(sql)
    env.wire_direct().ok(f"ALTER EVENT TRIGGER {at_login} DISABLE")
    env.settle()
    env.probe(sql, modes=(SIMPLE,)).warm()
