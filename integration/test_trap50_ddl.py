"""Traps 10, 47 and 50: definitions change under load, inside transactions, between two reads."""
import os
import signal
import threading

import pytest

from support import wire
from support.waiting import wait_until


def both(client, sql):
    """Description and rows, or the SQLSTATE; both protocols must agree."""
    simple, extended = client.query(sql), client.extended(sql)
    answers = [reply.sqlstate or (reply.of("T"), reply.rows) for reply in (simple, extended)]
    assert answers[0] == answers[1]
    return answers[0]


@pytest.fixture
def table(env):
    name = env.name("ddl")
    env.run(f"CREATE TABLE {name} (id int, v int)", f"INSERT INTO {name} VALUES (1, 1)")
    return name


CHANGES = {
    "add_column": "ALTER TABLE {t} ADD COLUMN more text DEFAULT 'x'",
    "drop_column": "ALTER TABLE {t} DROP COLUMN v",
    "rename_column": "ALTER TABLE {t} RENAME v TO w",
    "alter_type": "ALTER TABLE {t} ALTER v TYPE text",
    "drop_and_create": "DROP TABLE {t}; CREATE TABLE {t} (other text)",
    "rename_and_create": "ALTER TABLE {t} RENAME TO {t}_old; CREATE TABLE {t} (a int, b int, c int)",
    "swap": "CREATE TABLE {t}_new (z int); ALTER TABLE {t} RENAME TO {t}_old; ALTER TABLE {t}_new RENAME TO {t}",
    "drop": "DROP TABLE {t}",
    "in_do": "DO $$BEGIN ALTER TABLE {t} ADD COLUMN more int; END$$",
    "in_dynamic_do": "DO $$BEGIN EXECUTE 'ALT' || 'ER TABLE {t} ADD COLUMN more int'; END$$",
    "default_changes_nothing_seen": "ALTER TABLE {t} ALTER v SET DEFAULT 5; INSERT INTO {t} (id) VALUES (2)",
    "view_over_it": "ALTER TABLE {t} RENAME TO {t}_old; CREATE VIEW {t} AS SELECT id + 100 AS id FROM {t}_old",
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("how", ["several", "one_by_one", "block"])
def test_trap10_definition_changes_between_reads(env, table, name, how):
    sql = f"SELECT * FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    truth = env.wire_direct()
    before = both(truth, sql)
    client = env.wire()
    statement = CHANGES[name].replace("{t}", table)
    parts = [statement] if "$$" in statement else statement.split("; ")
    if how == "several":
        client.ok(statement)
    else:
        for part in (["BEGIN"] if how == "block" else []) + parts + (["COMMIT"] if how == "block" else []):
            client.ok(part)
    assert both(truth, sql) != before, "the change is not visible: a poor test"
    assert both(client, sql) == both(truth, sql)
    for _ in range(2):
        assert both(env.wire(), sql) == both(truth, sql)
    probe.fresh(hit_again=name != "drop")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("ddl", ["ALTER TABLE {t} ADD COLUMN more int DEFAULT 7", "CREATE OR REPLACE VIEW {t}_view AS"
                                 " SELECT v + 1000 AS v FROM {t}", "REVOKE SELECT ON {t}_view FROM reader50"])
def test_trap50_ddl_inside_a_transaction(env, table, ddl, end):
    """Nothing that was filled between the statement and COMMIT survives; ROLLBACK changes nothing."""
    view = f"{table}_view"
    env.run("DO $$BEGIN CREATE ROLE reader50 LOGIN PASSWORD 'secret'; EXCEPTION WHEN duplicate_object THEN NULL; END$$",
            f"CREATE VIEW {view} AS SELECT v FROM {table}", f"GRANT SELECT ON {view} TO reader50")
    sql = f"SELECT * FROM {view}"
    reader = env.wire(user="reader50")
    env.until_hit(lambda: reader.query(sql).rows, lambda: [("1",)])
    writer = env.wire()
    writer.ok("BEGIN")
    writer.ok(ddl.format(t=table))
    with env.no_hits():
        writer.query(sql)
        writer.query(f"SELECT * FROM {table}")
    if "REVOKE" in ddl:  # the others lock out every reader
        for _ in range(3):
            assert reader.query(sql).rows == [("1",)]
    writer.ok(f"UPDATE {table} SET v = 2")
    writer.ok(end)
    truth = env.wire_direct(user="reader50")
    for _ in range(3):
        assert both(reader, sql) == both(truth, sql)
    env.run(f"UPDATE {table} SET v = 3")
    assert both(reader, sql) == both(truth, sql)
    assert both(env.wire(), f"SELECT * FROM {table}") == both(env.wire_direct(), f"SELECT * FROM {table}")
    if "REVOKE" not in ddl or end == "ROLLBACK":
        env.until_hit(lambda: reader.query(sql).rows, lambda: truth.query(sql).rows)


def test_trap50_a_migration(env):
    """As Django does it: one transaction with DDL, data and DDL again; then everything is fresh."""
    table = env.name("migrated")
    env.run(f"CREATE TABLE {table} (id serial PRIMARY KEY, name text)", f"INSERT INTO {table} (name) VALUES ('a')")
    sql = f"SELECT * FROM {table} ORDER BY id"
    reader, writer = env.wire(), env.connect(autocommit=False)
    env.until_hit(lambda: reader.query(sql).rows, lambda: [("1", "a")])
    with writer.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD COLUMN size int DEFAULT 1 NOT NULL")
        cursor.execute(f"ALTER TABLE {table} ALTER COLUMN size DROP DEFAULT")
        cursor.execute(sql)
        assert cursor.fetchall() == [(1, "a", 1)]
        cursor.execute(f"UPDATE {table} SET size = length(name) + 1")
        cursor.execute(sql)
        assert cursor.fetchall() == [(1, "a", 2)]
        cursor.execute(f"CREATE INDEX ON {table} (size)")
    writer.commit()
    assert reader.query(sql).rows == [("1", "a", "2")]
    env.until_hit(lambda: reader.query(sql).rows, lambda: [("1", "a", "2")])
    env.run(f"UPDATE {table} SET size = 9")
    assert reader.query(sql).rows == [("1", "a", "9")]


def test_trap47_view_redefined_again_and_again(env):
    """After each re-definition a write to the table that the view now reads must be seen."""
    left, right, view = env.name("left"), env.name("right"), env.name("either")
    env.run(f"CREATE TABLE {left} (v int)", f"INSERT INTO {left} VALUES (0)",
            f"CREATE TABLE {right} (v int)", f"INSERT INTO {right} VALUES (0)",
            f"CREATE VIEW {view} AS SELECT v FROM {left}")
    owner, reader, writer, truth = env.wire(), env.wire(), env.wire(), env.wire_direct()
    sql = f"SELECT v FROM {view}"
    for turn in range(1, 40):
        source = (left, right)[turn % 2]
        owner.ok(f"CREATE OR REPLACE VIEW {view} AS SELECT v FROM {source}")
        assert reader.rows(sql) == truth.rows(sql)
        assert reader.rows(sql) == truth.rows(sql)
        writer.ok(f"UPDATE {source} SET v = {turn}")
        assert reader.rows(sql) == [(str(turn),)]
        assert reader.extended(sql).rows == [(str(turn),)]
    env.settle()
    fresh = env.wire()
    env.until_hit(lambda: fresh.rows(sql), lambda: truth.rows(sql))


def test_trap47_trigger_created_between_writes(env):
    """The trigger writes a second table; its first firing must be seen there."""
    first, second = env.name("first"), env.name("second")
    env.run(f"CREATE TABLE {first} (v int)", f"CREATE TABLE {second} (v int)",
            f"CREATE FUNCTION {first}_copy() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$BEGIN INSERT INTO {second} VALUES (NEW.v); RETURN NEW; END$$")
    writer = env.wire()
    sql = f"SELECT v FROM {second} ORDER BY v"
    for turn in range(8):
        reader = env.wire()
        writer.ok(f"INSERT INTO {first} VALUES ({turn})")
        env.settle()
        env.until_hit(lambda: reader.rows(sql), lambda: env.wire_direct().rows(sql))
        count = len(reader.rows(sql))
        writer.ok(f"CREATE TRIGGER copy{turn} AFTER INSERT ON {first} FOR EACH ROW EXECUTE FUNCTION {first}_copy()")
        writer.ok(f"INSERT INTO {first} VALUES ({100 + turn})")
        assert len(reader.rows(sql)) == count + 1
        writer.ok(f"DROP TRIGGER copy{turn} ON {first}")


def test_trap47_function_replaced(env):
    left, right, function = env.name("left"), env.name("right"), env.name("reads")
    env.run(f"CREATE TABLE {left} AS SELECT 1 AS v", f"CREATE TABLE {right} AS SELECT 1 AS v")
    owner, reader, writer = env.wire(), env.wire(), env.wire()
    for turn in range(2, 20):
        source = (left, right)[turn % 2]
        owner.ok(f"CREATE OR REPLACE FUNCTION {function}() RETURNS int LANGUAGE sql STABLE AS 'SELECT v FROM {source}'")
        for _ in range(3):
            reader.ok(f"SELECT {function}()")
        writer.ok(f"UPDATE {source} SET v = {turn}")
        assert reader.rows(f"SELECT {function}()") == [(str(turn),)]
        assert reader.rows(f"SELECT {function}() FROM {left}") == [(str(turn),)]


def test_trap10_ddl_under_load(env):
    """Readers with SELECT * while columns come and go: each reply is whole, and what comes after an
    acknowledged change has its columns."""
    table = env.name("load")
    env.run(f"CREATE TABLE {table} (id int)", f"INSERT INTO {table} VALUES (1)")
    columns = [1]  # acknowledged number of columns
    failures = []
    finished = threading.Event()

    def read(client, extended):
        while not finished.is_set():
            known = columns[0]
            reply = client.extended(f"SELECT * FROM {table}") if extended else client.query(f"SELECT * FROM {table}")
            if reply.errors:
                continue  # PostgreSQL may refuse while the definition changes under a plan
            width = len(reply.columns)
            if any(len(row) != width for row in reply.rows) or width < known:
                failures.append((width, known, reply.rows))

    threads = [threading.Thread(target=read, args=(env.wire(), number % 2 == 0)) for number in range(4)]
    for thread in threads:
        thread.start()
    writer = env.wire()
    for number in range(2, 25):
        writer.ok(f"ALTER TABLE {table} ADD COLUMN c{number} int DEFAULT {number}")
        columns[0] = number
    finished.set()
    for thread in threads:
        thread.join(20)
    assert not failures


def test_trap10_create_extension(env):
    table = env.name("words")
    env.run(f"CREATE TABLE {table} AS SELECT 'Größe'::text AS w")
    client = env.wire()
    assert client.query(f"SELECT w::citext = 'gRÖSSE' FROM {table}").sqlstate == "42704"
    env.run("CREATE EXTENSION citext")
    for _ in range(2):
        assert client.rows(f"SELECT w::citext = 'GRÖßE'::citext FROM {table}") == [("t",)]
    env.run("DROP EXTENSION citext")
    assert client.query(f"SELECT w::citext FROM {table}").sqlstate == "42704"


@pytest.mark.parametrize("statement", ["DROP DATABASE {d}", "DROP DATABASE {d} WITH (FORCE)",
                                       "ALTER DATABASE {d} RENAME TO {d}_renamed",
                                       "CREATE DATABASE {d}_copy TEMPLATE {d}"])
def test_trap10_database_commands_with_idle_pooled_connections(env, statement):
    """The clients are gone, their server connections stay in the pool: the command succeeds at once."""
    database = env.name("disposable")
    admin = env.wire()
    admin.ok(f"CREATE DATABASE {database}")
    clients = [env.wire(dbname=database) for _ in range(4)]
    for client in clients:
        client.ok("CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS v")
        client.ok("SELECT v FROM t")
    for client in clients:
        client.send(wire.terminate())
        client.close()
    admin.ok(statement.format(d=database))
    if statement.startswith("DROP"):
        admin.ok(f"CREATE DATABASE {database}")
        again = env.wire(dbname=database)
        assert again.query("SELECT v FROM t").sqlstate == "42P01"
        again.ok("CREATE TABLE t AS SELECT 2 AS v")
        assert again.rows("SELECT v FROM t") == [("2",)]


def test_trap10_drop_and_create_the_same_database_twice(env):
    """As Django's test runner does: what was cached in the first is not seen in the second."""
    database = env.name("again")
    admin = env.wire()
    for turn in range(3):
        admin.ok(f"CREATE DATABASE {database}")
        client = env.wire(dbname=database)
        client.ok(f"CREATE TABLE t AS SELECT {turn} AS v")
        other = env.wire(dbname=database)
        for _ in range(4):
            assert other.rows("SELECT v FROM t") == [(str(turn),)]
        client.close()
        other.close()
        admin.ok(f"DROP DATABASE {database}")


def test_trap50_prepared_statement_whose_result_type_changed(env, table):
    """Trap 21: as on a direct connection, or as after a new Parse; never rows of the old shape."""
    client = env.wire()
    client.send(wire.parse("s", f"SELECT * FROM {table}") + wire.sync())
    client.read_ready().checked()
    for _ in range(3):
        client.send(wire.bind("", "s") + wire.execute() + wire.sync())
        assert client.read_ready().rows == [("1", "1")]
    env.run(f"ALTER TABLE {table} ADD COLUMN more int DEFAULT 5")
    client.send(wire.bind("", "s") + wire.execute() + wire.sync())
    reply = client.read_ready()
    assert reply.sqlstate == "0A000" or reply.rows == [("1", "1", "5")], reply
    client.send(wire.close_statement("s") + wire.parse("s", f"SELECT * FROM {table}") + wire.sync())
    client.read_ready().checked()
    for _ in range(3):
        client.send(wire.bind("", "s") + wire.describe_portal("") + wire.execute() + wire.sync())
        reply = client.read_ready()
        assert reply.rows == [("1", "1", "5")], reply
        assert reply.columns == ["id", "v", "more"]


def test_a_catalog_that_nobody_confirms_does_not_count_for_long(env, table):
    """The control connection hangs: its backend is stopped, and the kernel still answers for it."""
    if env.proxy.identity:
        pytest.skip("--direct has no control connection")
    sql = f"SELECT id FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    client, seen = env.wire(), env.stats().hits
    stopped = [pid for pid, in env.postgres.sql("postgres", "SELECT pid FROM pg_stat_activity WHERE application_name"
                                                " LIKE 'pgrecall%'")]
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert client.rows(sql) == [("1",)]
        assert env.stats().hits > seen
        env.postgres.sql(env.database, f"ALTER TABLE {table} RENAME TO {table}_old",
                         f"CREATE VIEW {table} AS SELECT id + 100 AS id FROM {table}_old")
        wait_until(lambda: client.rows(sql) == [("101",)], "the change past pgrecall is seen", seconds=30)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    env.until_hit(lambda: client.rows(sql), lambda: [("101",)])
