"""What transaction pooling breaks elsewhere: settings follow the client, state pins it, servers die."""
import threading

import psycopg2
import psycopg2.extensions
import pytest

from support import wire
from support.environment import Background
from support.waiting import wait_until

CONFIG = {"pool": {"size": 1}}
LOOK = "SELECT current_setting('TimeZone'), current_setting('work_mem'), current_setting('app.name', true)"


def looks(client):
    """What the client's session looks like; a custom setting that was reset shows as empty."""
    zone, memory, name = client.rows(LOOK)[0]
    return zone, memory, name or ""


SCRIPTS = {
    "set": ["SET TimeZone = 'Asia/Tokyo'", "?", "SET work_mem = '7MB'", "?", "SET app.name = 'x'", "?"],
    "set_local": ["BEGIN", "SET LOCAL TimeZone = 'Asia/Tokyo'", "?", "COMMIT", "?"],
    "set_local_rolled_back": ["BEGIN", "SET LOCAL work_mem = '7MB'", "?", "ROLLBACK", "?"],
    "reset": ["SET TimeZone = 'Asia/Tokyo'", "SET work_mem = '7MB'", "?", "RESET TimeZone", "?", "RESET work_mem",
              "?"],
    "reset_all": ["SET TimeZone = 'Asia/Tokyo'", "SET work_mem = '7MB'", "SET app.name = 'x'", "?", "RESET ALL", "?"],
    "discard_all": ["SET TimeZone = 'Asia/Tokyo'", "SET app.name = 'x'", "?", "DISCARD ALL", "?"],
    "set_config": ["SELECT set_config('TimeZone', 'Asia/Tokyo', false)", "?",
                   "SELECT set_config('app.name', 'y', false)", "?", "SELECT set_config('TimeZone', 'UTC', false)",
                   "?"],
    "set_config_local": ["BEGIN", "SELECT set_config('TimeZone', 'Asia/Tokyo', true)", "?", "COMMIT", "?"],
    "set_config_computed": ["SELECT set_config('TimeZone', 'Asia/' || 'Tokyo', false)", "?"],
    "rollback_of_set": ["BEGIN", "SET TimeZone = 'Asia/Tokyo'", "?", "ROLLBACK", "?"],
    "commit_of_set": ["BEGIN", "SET TimeZone = 'Asia/Tokyo'", "?", "COMMIT", "?"],
    "failed_transaction_of_set": ["BEGIN", "SET TimeZone = 'Asia/Tokyo'", "SELECT 1/0", "COMMIT", "?"],
    "savepoint": ["BEGIN", "SET work_mem = '5MB'", "SAVEPOINT a", "SET work_mem = '6MB'", "?", "ROLLBACK TO a", "?",
                  "COMMIT", "?"],
    "released_savepoint": ["BEGIN", "SAVEPOINT a", "SET work_mem = '6MB'", "RELEASE a", "?", "COMMIT", "?"],
    "nested_savepoints": ["BEGIN", "SET work_mem = '5MB'", "SAVEPOINT a", "SET work_mem = '6MB'", "SAVEPOINT b",
                          "SET work_mem = '7MB'", "ROLLBACK TO a", "?", "SET work_mem = '8MB'", "RELEASE a", "ROLLBACK",
                          "?"],
    "set_over_set_local": ["BEGIN", "SET LOCAL work_mem = '6MB'", "SET work_mem = '7MB'", "?", "COMMIT", "?"],
    "set_local_over_set": ["BEGIN", "SET work_mem = '7MB'", "SET LOCAL work_mem = '6MB'", "?", "COMMIT", "?"],
    "to_default": ["SET TimeZone = 'Asia/Tokyo'", "SET TimeZone TO DEFAULT", "?", "SET TIME ZONE 'Europe/Rome'", "?",
                   "SET TIME ZONE LOCAL", "?", "SET TIME ZONE -3", "?"],
    "rejected": ["SET TimeZone = 'Asia/Tokyo'", "SET TimeZone = 'Nowhere'", "?", "SET nosuch = 1", "?"],
    "several_in_one_query": ["SET work_mem = '5MB'; SET TimeZone = 'Asia/Tokyo'; SELECT 1", "?",
                             "SET work_mem = '6MB'; SELECT 1/0", "?", "BEGIN; SET work_mem = '9MB'; ROLLBACK", "?"],
    "reset_in_a_rolled_back_block": ["SET work_mem = '5MB'", "BEGIN", "RESET work_mem", "?", "ROLLBACK", "?"],
    "reset_all_in_a_rolled_back_block": ["SET work_mem = '5MB'", "BEGIN", "RESET ALL", "?", "ROLLBACK", "?"],
    "set_by_function": ["DO $$BEGIN PERFORM set_config('work_mem', '11MB', false); END$$", "?", "RESET work_mem", "?"],
}
OPAQUE = {"set_config_computed", "set_by_function"}  # what they changed is not known: they keep the connection
LOGINS = {
    "plain": {},
    "parameters": {"TimeZone": "America/New_York"},
    "options": {"options": "-c work_mem=9MB -c app.name=started"},
}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_settings_follow_the_client_over_one_server_connection(env, script, login, protocol):
    """Two clients share the only connection; another one disturbs between every two steps."""
    truth = env.wire_direct(parameters=LOGINS[login])
    client = env.wire(parameters=LOGINS[login])
    disturber = env.wire()
    in_block = False
    for step in SCRIPTS[script]:
        if step == "?":
            assert looks(client) == looks(truth)
        else:
            for each in (client, truth):
                if protocol == "simple" or "; " in step:
                    reply = each.query(step)
                else:
                    reply = each.extended(step)
            in_block = reply.status != "I"
        if not in_block and script not in OPAQUE:
            disturber.ok("SET TimeZone = 'Pacific/Auckland'")
            assert looks(disturber) == ("Pacific/Auckland", "4MB", "")
            disturber.ok("RESET TimeZone")
    assert looks(client) == looks(truth)
    assert client.parameters["TimeZone"] == truth.parameters["TimeZone"]
    client.close()
    disturber.ok("SET TimeZone = 'Pacific/Auckland'")
    assert looks(disturber) == ("Pacific/Auckland", "4MB", "")


def test_two_clients_with_different_settings_take_turns(env):
    clients = [env.wire(parameters={"options": f"-c work_mem={number + 1}MB -c app.name=client{number}"})
               for number in range(5)]
    for number, client in enumerate(clients):
        client.ok(f"SET TimeZone = 'Etc/GMT+{number}'")
    for _ in range(5):
        for number, client in enumerate(clients):
            assert looks(client) == (f"Etc/GMT+{number}", f"{number + 1}MB", f"client{number}")


def test_psycopg2_clients_take_turns_in_transactions(env):
    first, second = env.connect(autocommit=False), env.connect(autocommit=False)
    for turn in range(5):
        for number, connection in enumerate((first, second)):
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL app.name = 'turn {turn} of {number}'")
                cursor.execute("SELECT current_setting('app.name')")
                assert cursor.fetchone() == (f"turn {turn} of {number}",)
            connection.commit()


PINS = {
    "temporary_table": (["CREATE TEMP TABLE mine AS SELECT 7 AS v"], "SELECT v FROM mine", [("7",)],
                        ["DROP TABLE mine"]),
    "temporary_view": (["CREATE TEMP VIEW mine AS SELECT 7 AS v"], "SELECT v FROM mine", [("7",)],
                       ["DROP VIEW mine"]),
    "temporary_in_block": (["BEGIN", "CREATE TEMP TABLE mine AS SELECT 7 AS v", "COMMIT"], "SELECT v FROM mine",
                           [("7",)], ["DISCARD TEMP"]),
    "temporary_sequence": (["CREATE TEMP SEQUENCE mine_seq"], "SELECT count(*) FROM pg_class WHERE relnamespace = "
                           "pg_my_temp_schema()", [("1",)], ["BEGIN", "DROP SEQUENCE mine_seq", "COMMIT"]),
    "listen": (["LISTEN here"], "SELECT pg_listening_channels()", [("here",)], ["UNLISTEN *"]),
    "listen_one": (["LISTEN here"], "SELECT pg_listening_channels()", [("here",)], ["UNLISTEN here"]),
    "listen_after_rollback": (["LISTEN here", "BEGIN", "UNLISTEN *", "ROLLBACK"], "SELECT pg_listening_channels()",
                              [("here",)], ["BEGIN", "UNLISTEN *", "COMMIT"]),
    "advisory_lock": (["SELECT pg_advisory_lock(77)"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                      " AND pid = pg_backend_pid()", [("1",)], ["SELECT pg_advisory_unlock(77)"]),
    "advisory_locks": (["SELECT pg_advisory_lock(77)", "SELECT pg_try_advisory_lock_shared(78)",
                        "SELECT pg_advisory_unlock(77)"], "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                       " AND pid = pg_backend_pid()", [("1",)], ["SELECT pg_advisory_unlock_all()"]),
    "hold_cursor": (["DECLARE held CURSOR WITH HOLD FOR SELECT 7"], "SELECT name FROM pg_cursors WHERE name = 'held'",
                    [("held",)], ["CLOSE held"]),
    "hold_cursors": (["DECLARE a CURSOR WITH HOLD FOR SELECT 7", "DECLARE held CURSOR WITH HOLD FOR SELECT 7",
                      "CLOSE a"], "SELECT name FROM pg_cursors", [("held",)], ["BEGIN", "CLOSE ALL", "ROLLBACK"]),
    "sql_prepare": (["PREPARE mine AS SELECT 7"], "EXECUTE mine", [("7",)], ["DEALLOCATE mine"]),
    "sql_prepare_all": (["PREPARE mine AS SELECT 7"], "EXECUTE mine", [("7",)], ["DISCARD ALL"]),
}


def queue_behind(env, client, text):
    """Begins a query that has to wait until the only server connection is free."""
    waiting = Background(client.query, text)
    if not env.proxy.identity:
        wait_until(lambda: any(pool["waiting"] for pool in env.stats()["pools"]), "it waits for the connection")
    return waiting


HARMLESS = {
    "on_commit_drop": ["BEGIN", "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 7 AS v", "SELECT * FROM mine", "COMMIT"],
    "shadowed_by_cte": ["CREATE TEMP TABLE mine (v int)", "WITH mine AS (SELECT 1) SELECT * FROM mine",
                        "WITH other AS (SELECT * FROM mine) SELECT count(*), max(v) FROM other ORDER BY 1;  ",
                        "SELECT a.v FROM mine a JOIN mine b USING (v) -- twice", "DROP TABLE mine"],
    "two_tables": ["CREATE TEMP TABLE one AS SELECT 1 AS v", "CREATE TEMP TABLE two AS SELECT v FROM one",
                   "SELECT * FROM one, two", "DROP TABLE one, two"],
    "view": ["CREATE TEMP VIEW seen AS SELECT 1 + 1 AS v", "SELECT * FROM seen", "DROP VIEW seen"],
    "prepared_with_constants": ["PREPARE p (int, varchar) AS SELECT $1, $2", "EXECUTE p(-1, E'a')", "EXECUTE p(NULL, 'b')",
                                "DEALLOCATE p"],
    "prepared_lock": ["PREPARE p AS SELECT pg_advisory_lock(84)", "EXECUTE p", "SELECT pg_advisory_unlock(84)",
                      "DEALLOCATE p"],
}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_known_to_be_harmless_pins_no_longer_than_its_state(env, name, protocol):
    client, other = env.wire(), env.wire()
    env.settle()
    for statement in HARMLESS[name]:
        (client.query if protocol == "simple" else client.extended)(statement).checked()
    assert other.rows("SELECT 1") == [("1",)]
    assert client.rows("SELECT 2") == [("2",)]


CODE = {
    "view": ["CREATE TEMP VIEW mine AS SELECT {f}() AS v", "SELECT * FROM mine", "DROP VIEW mine"],
    "view_hides_a_table": ["CREATE TEMP VIEW {t} AS SELECT {f}() AS v", "SELECT * FROM {t}", "DROP VIEW pg_temp.{t}"],
    "view_replaced": ["CREATE TEMP VIEW mine AS SELECT 'a' AS v", "CREATE OR REPLACE TEMP VIEW mine AS SELECT {f}() AS v",
                      "SELECT * FROM mine", "DROP VIEW mine"],
    "view_in_view": ["CREATE TEMP VIEW one AS SELECT {f}() AS v", "CREATE TEMP VIEW two AS SELECT v FROM one",
                     "SELECT * FROM two", "DROP VIEW one CASCADE"],
    "rule": ["CREATE TEMP TABLE mine (v text)", "CREATE RULE runs AS ON INSERT TO mine DO ALSO SELECT {f}()",
             "INSERT INTO mine VALUES ('a')", "DROP TABLE mine"],
    "renamed": ["CREATE TEMP TABLE mine (v text)", "CREATE TEMP VIEW yours AS SELECT {f}() AS v", "DROP TABLE mine",
                "ALTER VIEW yours RENAME TO mine", "SELECT * FROM mine", "DROP VIEW mine"],
    "default": ["CREATE TEMP TABLE mine (a int, v text DEFAULT {f}())", "INSERT INTO mine VALUES (1)", "DROP TABLE mine"],
    "rolled_back_name": ["BEGIN", "CREATE TEMP TABLE mine (v text)", "ROLLBACK", "CREATE TEMP VIEW mine AS SELECT {f}() AS v",
                         "SELECT * FROM mine", "DROP VIEW mine"],
    "call_beside_it": ["CREATE TEMP TABLE mine (v text)", "SELECT count(v), {f}() FROM mine", "DROP TABLE mine"],
    "execute": ["PREPARE p AS SELECT {f}()", "EXECUTE p", "DEALLOCATE p"],
    "execute_argument": ["PREPARE p (text) AS SELECT $1", "EXECUTE p({f}())", "DEALLOCATE p"],
    "prepared_again": ["PREPARE p AS SELECT 'a'", "DEALLOCATE p", "PREPARE p AS SELECT {f}()", "EXECUTE p",
                       "DEALLOCATE p"],
}


@pytest.mark.parametrize("name", CODE)
def test_trap42_code_reached_through_the_clients_own_objects_leaves_nothing_to_others(env, name):
    """The objects are gone, but a function has left a setting behind that shows nowhere."""
    function, table = env.name("leaves"), env.name("hidden")
    env.run(f"CREATE FUNCTION {function}() RETURNS text LANGUAGE sql AS "
            "$$SELECT set_config('app.left', 'behind', false)$$", f"CREATE TABLE {table} (v text)")
    client, other = env.wire(), env.wire()
    for statement in CODE[name]:
        client.query(statement.format(f=function, t=table))
    left = "SELECT current_setting('app.left', true)"
    waiting = queue_behind(env, other, left)
    assert client.rows(left) == [("behind",)]
    client.close()
    assert waiting.result().rows in ([(None,)], [("",)])
    env.run(f"DROP TABLE {table}", f"DROP FUNCTION {function}")


@pytest.mark.parametrize("name", PINS)
def test_state_pins_its_client_until_it_is_gone(env, name):
    """While pinned the client has the only connection; afterwards another one gets it, clean."""
    make, look, expected, undo = PINS[name]
    env.settle()  # a view that is created while the catalog is read again pins until DISCARD ALL
    pinned, other = env.wire(), env.wire()
    for statement in make:
        pinned.ok(statement)
    for _ in range(3):
        assert pinned.rows(look) == expected
    if not env.proxy.identity:
        wait_until(lambda: env.stats()["pinned"], "the admin port shows the pinned client")
    waiting = queue_behind(env, other, look)
    for statement in undo:
        pinned.ok(statement)
    reply = waiting.result()
    assert reply.rows != expected
    other.close()
    pinned.ok("SELECT 1")


@pytest.mark.parametrize("name", PINS)
def test_state_ends_with_its_client(env, name):
    make, look, expected, _ = PINS[name]
    for leave in ("close", "abort"):
        pinned = env.wire()
        for statement in make:
            pinned.ok(statement)
        getattr(pinned, leave)()
        other = env.wire()
        assert other.query(look).rows != expected
        other.close()


@pytest.mark.parametrize("statement", ["SELECT * FROM nosuch", "SELECT nosuch()", "SELECT nosuch FROM pg_class", "SELEC 1",
                                       "EXECUTE nosuch", "SELECT 'x'::nosuch", "bind"])
def test_a_statement_that_never_ran_pins_nobody(env, statement):
    """PostgreSQL refused it before anything was executed: the only connection is free again."""
    client, other = env.wire(), env.wire()
    if statement == "bind":
        client.send(wire.bind("", "nosuch") + wire.execute() + wire.sync())
        assert client.read_ready().sqlstate == "26000"
    else:
        assert client.query(statement).sqlstate is not None
    assert other.rows("SELECT 1") == [("1",)]
    assert client.rows("SELECT 2") == [("2",)]


RAN_AND_FAILED = {
    "inner_text": (["SELECT {f}('selec 1')"], "42601"),
    "inner_name": (["SELECT {f}('SELECT nosuch')"], "42703"),
    "inner_execute": (["SELECT {f}('EXECUTE nosuch')"], "26000"),
    "type_by_text": (["SELECT {f}('SELECT 1'), v::regtype FROM {t}"], "42704"),
    "plan_made_anew": (["PREPARE again (int) AS SELECT v FROM {t} WHERE $1 = 1", "DROP TABLE {t}",
                        "EXECUTE again({f}('SELECT 1'))"], "42P01"),
}


@pytest.mark.parametrize("name, protocol", [(name, protocol) for name in RAN_AND_FAILED
                                            for protocol in ("simple", "extended")
                                            # Describe makes the plan anew, before anything ran.
                                            if (name, protocol) != ("plan_made_anew", "extended")])
def test_a_statement_that_ran_and_failed_in_the_parser_keeps_its_connection(env, name, protocol):
    """The same errors as of a statement that never ran, but a lock was taken: nobody inherits it."""
    statements, sqlstate = RAN_AND_FAILED[name]
    function, table = env.name("ran"), env.name("ran_table")
    env.run(f"CREATE FUNCTION {function}(t text) RETURNS int LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_advisory_lock(78); EXECUTE t; RETURN 1; END$$",
            f"CREATE TABLE {table} AS SELECT 'nosuch' AS v")
    env.proxy.wait_catalog(env.database)
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    client, other = env.wire(), env.wire()
    send = client.query if protocol == "simple" else client.extended
    for statement in statements:
        reply = send(statement.format(f=function, t=table))
    assert reply.sqlstate == sqlstate
    waiting = queue_behind(env, other, locks)
    assert client.rows(locks) == [("1",)]
    client.close()
    assert waiting.result().rows == [("0",)]
    env.run(f"DROP TABLE IF EXISTS {table}", f"DROP FUNCTION {function}")


@pytest.mark.parametrize("statement", ["SELECT pg_advisory_lock(79), 1/(0 * random())",
                                       "SELECT pg_advisory_lock(79); SELECT 1/0"])
def test_a_lock_taken_by_a_statement_that_failed_pins_until_it_is_gone(env, statement):
    client, other = env.wire(), env.wire()
    assert client.query(statement).sqlstate == "22012"
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    waiting = queue_behind(env, other, locks)
    assert client.rows(locks) == [("1",)]
    client.ok("SELECT pg_advisory_unlock_all()")
    assert waiting.result().rows == [("0",)]


def test_a_lock_that_was_not_got_pins_nobody(env):
    holder = env.direct()
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(80)")
    client, other = env.wire(), env.wire()
    assert client.rows("SELECT pg_try_advisory_lock(80)") == [("f",)]
    assert other.rows("SELECT 1") == [("1",)]
    assert client.query("SELECT pg_advisory_lock(81), 1/0").sqlstate == "22012"  # while it was planned
    assert other.rows("SELECT 1") == [("1",)]


def test_a_check_that_runs_while_a_statement_is_analysed_leaves_nothing_to_others(env):
    """A constant of a row type is made in parse analysis, and a check of a domain may take a lock."""
    function, domain, row = env.name("checks"), env.name("checked"), env.name("checked_row")
    env.run(f"CREATE FUNCTION {function}(int) RETURNS bool LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_advisory_lock(81); RETURN true; END$$",
            f"CREATE DOMAIN {domain} AS int CHECK ({function}(VALUE))", f"CREATE TYPE {row} AS (v {domain})")
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    client, other = env.wire(), env.wire()
    assert client.query(f"SELECT '(1)'::{row}, nosuch").sqlstate == "42703"
    waiting = queue_behind(env, other, locks)
    assert client.rows(locks) == [("1",)]
    client.close()
    assert waiting.result().rows == [("0",)]
    env.run(f"DROP TYPE {row}", f"DROP DOMAIN {domain}", f"DROP FUNCTION {function}")


TEMPORARY = {
    "on_commit_drop": ["BEGIN", "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 7 AS v", "COMMIT"],
    "rolled_back": ["BEGIN", "CREATE TEMP TABLE mine (v int)", "ROLLBACK"],
    "rolled_back_to": ["BEGIN", "SAVEPOINT a", "CREATE TEMP TABLE mine (v int)", "ROLLBACK TO a", "COMMIT"],
    "failed": ["BEGIN", "CREATE TEMP TABLE mine (v int)", "SELECT 1/0", "COMMIT"],
    "failed_in_one_query": ["CREATE TEMP TABLE mine (v int); SELECT 1/0"],
    "autocommit": ["CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 7 AS v"],
    "listen_rolled_back": ["BEGIN", "LISTEN here", "ROLLBACK"],
    "cursor_rolled_back": ["BEGIN", "DECLARE held CURSOR WITH HOLD FOR SELECT 7", "ROLLBACK"],
}


@pytest.mark.parametrize("protocol", ["simple", "extended"])
@pytest.mark.parametrize("name", TEMPORARY)
def test_state_that_ended_with_its_transaction_pins_nobody(env, name, protocol):
    client, other = env.wire(), env.wire()
    for statement in TEMPORARY[name]:
        if protocol == "simple" or "; " in statement:
            client.query(statement)
        else:
            client.extended(statement)
    assert other.rows("SELECT count(*) FROM pg_class WHERE relname = 'mine'") == [("0",)]
    assert client.rows("SELECT 1") == [("1",)]


def test_what_is_asked_about_pins_cannot_be_hidden_by_the_clients_names(env):
    """Operators, functions and views of the client's own stand before those of pg_catalog."""
    schema = env.name("hostile")
    env.run(f"CREATE SCHEMA {schema}", f"CREATE VIEW {schema}.pg_locks AS SELECT 'x' AS locktype, 0 AS pid WHERE false",
            f"CREATE FUNCTION {schema}.no(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false'",
            f"CREATE OPERATOR {schema}.= (LEFTARG = text, RIGHTARG = text, FUNCTION = {schema}.no)")
    client, other = env.wire(), env.wire()
    client.ok(f"SET search_path = {schema}, pg_catalog")
    client.ok("SELECT pg_advisory_lock(82), pg_advisory_lock(83)")
    client.ok("SELECT pg_advisory_unlock(83)")
    waiting = queue_behind(env, other, "SELECT 1")
    locks = "SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory'"
    assert client.rows(locks) == [("1",)]
    client.ok("SELECT pg_advisory_unlock(82)")
    assert waiting.result().rows == [("1",)]
    env.run(f"DROP SCHEMA {schema} CASCADE")


def test_notifications_reach_a_pinned_listener(env, new_proxy, postgres, database):
    proxy = new_proxy(postgres.port, {"pool": {"size": 3}})
    listener = proxy.connect(database)
    with listener.cursor() as cursor:
        cursor.execute("LISTEN news")
    sender = proxy.connect(database)
    with sender.cursor() as cursor:
        for number in range(3):
            cursor.execute(f"NOTIFY news, '{number}'")

    def received():
        listener.poll()
        return len(listener.notifies) == 3

    wait_until(received, "three notifications")
    assert [notify.payload for notify in listener.notifies] == ["0", "1", "2"]
    listener.close()
    sender.close()


@pytest.fixture
def three(new_proxy, postgres, database):
    """A pgrecall with three connections of its own."""
    proxy = new_proxy(postgres.port, {"pool": {"size": 3}})
    proxy.wait_catalog(database)
    yield proxy
    proxy.assert_alive()


def open_client(proxy, database, **keywords):
    return wire.WireClient.connect(proxy.port, database, **keywords)


def test_killed_server_ends_who_used_it_and_nobody_else(env, three):
    victim, idle, pinned, busy = (open_client(three, env.database) for _ in range(4))
    victim.ok("BEGIN")
    pid = victim.rows("SELECT pg_backend_pid()")[0][0]
    pinned.ok("CREATE TEMP TABLE mine AS SELECT 5 AS v")
    env.postgres.sql(env.database, f"SELECT pg_terminate_backend({pid})")
    reply = victim.read_to_end()
    assert reply.sqlstate in ("57P01", "08006"), reply
    assert idle.rows("SELECT 1") == [("1",)]
    assert pinned.rows("SELECT v FROM mine") == [("5",)]
    assert busy.rows("SELECT 2") == [("2",)]
    pid = pinned.rows("SELECT pg_backend_pid()")[0][0]
    env.postgres.sql(env.database, f"SELECT pg_terminate_backend({pid})")
    assert pinned.read_to_end().sqlstate in ("57P01", "08006")
    assert idle.rows("SELECT 1") == [("1",)]


def test_killed_idle_servers(env, three):
    """Some connections of the pool left: nobody notices. None left: the clients are told to log in
    again, for the pool of passthrough grows by logins only."""
    if env.proxy.identity:
        pytest.skip("--direct: a client's connection ends with its server")
    clients = [open_client(three, env.database) for _ in range(3)]
    for client in clients:
        client.ok("SELECT 1")
    victims = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = " \
        f"'{env.database}' AND usename = 'postgres' AND state = 'idle' AND application_name <> 'pgrecall'"
    env.postgres.sql("postgres", victims + " LIMIT 1")
    for client in clients:
        assert client.rows("SELECT 1") == [("1",)]
    env.postgres.sql("postgres", victims)
    for client in clients:
        client.send(wire.query("SELECT 1"))
        reply = client.read_until("Z", "E")
        assert reply.rows == [("1",)] or reply.sqlstate in ("57P01", "08006")
    assert open_client(three, env.database).rows("SELECT 1") == [("1",)]


def test_server_killed_in_the_middle_of_a_result(env, three):
    client, other = open_client(three, env.database), open_client(three, env.database)
    client.send(wire.query("SELECT pg_backend_pid(), pg_sleep(60)"))
    pid = wait_until(lambda: env.postgres.sql(env.database, "SELECT pid FROM pg_stat_activity WHERE wait_event = "
                                              "'PgSleep'"), "the sleep runs")[0][0]
    env.postgres.sql(env.database, f"SELECT pg_terminate_backend({pid})")
    assert client.read_to_end().sqlstate in ("57P01", "08006")
    assert other.rows("SELECT 1") == [("1",)]


def test_more_clients_than_connections(env, three):
    """Forty clients in transactions over three connections: all are served."""
    failures = []

    def work(number):
        try:
            client = open_client(three, env.database)
            for turn in range(10):
                client.ok("BEGIN")
                client.ok(f"SET LOCAL app.name = '{number}.{turn}'")
                if client.rows("SELECT current_setting('app.name')") != [(f"{number}.{turn}",)]:
                    failures.append((number, turn))
                client.ok("COMMIT")
            client.close()
        except Exception as error:
            failures.append((number, repr(error)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    if not env.proxy.identity:
        assert env.postgres.sql("postgres", "SELECT count(*) <= 3 + 2 FROM pg_stat_activity WHERE datname = "
                                f"'{env.database}' AND application_name NOT LIKE 'psycopg%'")


def test_pool_size_is_exact_for_the_process(env, three):
    if env.proxy.identity:
        pytest.skip("--direct has no pool")
    clients = [open_client(three, env.database) for _ in range(8)]
    threads = [Background(client.query, "SELECT pg_sleep(0.2), pg_backend_pid()") for client in clients]
    pids = {thread.result().rows[0][1] for thread in threads}
    assert len(pids) <= 3


def test_exhausted_pool_gives_a_clear_error_after_the_wait_timeout(env, new_proxy, postgres, database):
    proxy = new_proxy(postgres.port, {"pool": {"size": 1, "wait_timeout": "300ms"}})
    if proxy.identity:
        pytest.skip("--direct has no pool")
    holder, waiter = open_client(proxy, database), open_client(proxy, database)
    holder.ok("BEGIN")
    holder.ok("LOCK TABLE pg_class IN ACCESS SHARE MODE")
    waiter.send(wire.query("SELECT 1"))
    reply = waiter.read_message()
    assert reply.type == "E"
    fields = wire.error_fields(reply.payload)
    assert fields["C"] in ("53300", "57014", "08006"), fields
    holder.ok("COMMIT")
    assert open_client(proxy, database).rows("SELECT 1") == [("1",)]


def test_client_that_vanishes_while_it_waits_for_a_connection(env):
    holder, waiter, last = env.wire(), env.wire(), env.wire()
    holder.ok("BEGIN")
    holder.ok("LOCK TABLE pg_class IN ACCESS SHARE MODE")
    waiter.send(wire.query("SELECT 1"))
    waiter.abort()
    last.send(wire.query("SELECT 2"))
    holder.ok("COMMIT")
    assert last.read_ready().rows == [("2",)]
    assert holder.rows("SELECT 3") == [("3",)]


def test_client_that_vanishes_in_the_middle_of_a_large_result(env):
    client = env.wire(receive_buffer=4096)
    client.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)"))
    client.read_message()
    client.abort()
    assert env.wire().rows("SELECT 1") == [("1",)]


def test_client_that_vanishes_in_the_middle_of_copy_in(env):
    table = env.name("copied")
    env.run(f"CREATE TABLE {table} (a int)")
    client = env.wire()
    client.send(wire.query(f"COPY {table} FROM STDIN"))
    client.read_until("G")
    client.send(wire.copy_data(b"1\n" * 1000))
    client.abort()
    other = env.wire()
    assert other.rows(f"SELECT count(*) FROM {table}") == [("0",)]
    other.ok(f"INSERT INTO {table} VALUES (5)")
    assert other.rows(f"SELECT a FROM {table}") == [("5",)]


def test_client_that_vanishes_in_the_middle_of_copy_out(env):
    client = env.wire(receive_buffer=4096)
    client.send(wire.query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) TO STDOUT"))
    client.read_until("H")
    client.abort()
    assert env.wire().rows("SELECT 1") == [("1",)]


def test_client_that_vanishes_in_the_middle_of_a_message(env):
    client = env.wire()
    client.send(wire.query("SELECT 1")[:7])
    client.abort()
    client = env.wire()
    client.send(wire.extended("SELECT 1"))  # no Sync will come
    client.abort()
    assert env.wire().rows("SELECT 1") == [("1",)]


def test_prepared_statements_of_many_clients_over_one_connection(env):
    """Same names, different texts; and the same texts under different names."""
    clients = [env.wire() for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(wire.parse("s", f"SELECT {number} + $1::int") + wire.parse(f"x{number}", "SELECT 'same'")
                    + wire.sync())
        client.read_ready().checked()
    for turn in range(5):
        for number, client in enumerate(clients):
            client.send(wire.bind("", "s", [str(turn)]) + wire.execute() + wire.bind("", f"x{number}")
                        + wire.execute() + wire.sync())
            assert client.read_ready().checked().rows == [(str(number + turn),), ("same",)]


def test_more_prepared_statements_than_a_server_keeps(new_proxy, postgres, database):
    proxy = new_proxy(postgres.port, {"pool": {"size": 1, "prepared_statements_max": 10}})
    client = open_client(proxy, database)
    for number in range(50):
        client.send(wire.parse(f"s{number}", f"SELECT {number}") + wire.sync())
        client.read_ready().checked()
    for number in [*range(50), *reversed(range(50))]:
        client.send(wire.bind("", f"s{number}") + wire.execute() + wire.sync())
        assert client.read_ready().rows == [(str(number),)]
    client.close()


def test_discard_all_of_one_client_leaves_the_statements_of_others(env):
    first, second = env.wire(), env.wire()
    for client in (first, second):
        client.send(wire.parse("s", "SELECT 1") + wire.sync())
        client.read_ready().checked()
    for statement in ("DISCARD ALL", "DEALLOCATE ALL"):
        first.ok(statement)
        second.send(wire.bind("", "s") + wire.execute() + wire.sync())
        assert second.read_ready().rows == [("1",)]
        first.send(wire.bind("", "s") + wire.execute() + wire.sync())
        assert first.read_ready().sqlstate == "26000"


def test_psycopg2_server_side_cursor(env):
    """Django's .iterator(): a named cursor in a transaction, fetched in chunks."""
    connection, other = env.connect(autocommit=False), env.connect(autocommit=False)
    with connection.cursor(name="chunks") as cursor:
        cursor.itersize = 2000
        cursor.execute("SELECT g FROM generate_series(1, 50000) g")
        assert sum(row[0] for row in cursor) == 50000 * 50001 // 2
    connection.commit()
    with other.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    other.commit()


def test_psycopg2_status_follows_the_server(env):
    connection = env.connect(autocommit=False)
    states = psycopg2.extensions
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert connection.info.transaction_status == states.TRANSACTION_STATUS_INTRANS
        with pytest.raises(psycopg2.errors.DivisionByZero):
            cursor.execute("SELECT 1/0")
        assert connection.info.transaction_status == states.TRANSACTION_STATUS_INERROR
        connection.rollback()
        assert connection.info.transaction_status == states.TRANSACTION_STATUS_IDLE


def test_trap23_psycopg2_cancel(env):
    """Not in the module with the gate: libpq waits for the answer to a cancel without letting any
    other Python thread run, and the gate is one."""
    connection = env.connect()

    def sleep():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(60) /* psycopg */")

    thread = Background(sleep)
    wait_until(lambda: env.postgres.sql(env.database, "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"),
               "it sleeps")
    connection.cancel()
    with pytest.raises(Exception, match="canceling statement"):
        thread.result()


def test_a_read_of_a_table_not_known_yet_keeps_the_connection_only_until_it_is(env):
    """A client that went idle then must not keep the only connection from the others."""
    idle, other = env.wire(), env.wire()
    for number in range(20):
        table = env.name(f"unknown{number}")
        env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
        assert idle.rows(f"SELECT v FROM {table}") == [("1",)]
        assert other.rows(f"SELECT v FROM {table}") == [("1",)]
