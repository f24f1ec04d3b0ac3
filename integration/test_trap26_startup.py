"""Traps 26 and 31: start-up and authentication. The bytes of most variants are compared by the
conversations; here are those that need other servers, or where pgrecall answers for itself."""
import struct

import psycopg2
import pytest

from support import wire
from support.waiting import wait_until

METHODS = ["trust", "password", "md5", "scram-sha-256"]


@pytest.fixture(scope="module")
def secured(new_postgres, new_proxy):
    """(server, proxy) by authentication method, made when first asked for."""
    made = {}

    def get(method):
        if method not in made:
            options = {"password_encryption": "md5"} if method == "md5" else {}
            server = new_postgres(auth=method, trusted_users=["postgres"], options=options)
            server.sql("postgres", "CREATE ROLE alice LOGIN PASSWORD 'wonder'", "CREATE ROLE nologin NOLOGIN PASSWORD"
                       " 'x'", "CREATE ROLE expired LOGIN PASSWORD 'old' VALID UNTIL '2000-01-01'",
                       "CREATE ROLE limited LOGIN PASSWORD 'few' CONNECTION LIMIT 1",
                       "CREATE TABLE t AS SELECT 1 AS v", "GRANT SELECT ON t TO PUBLIC",
                       "CREATE DATABASE closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
                       "CREATE DATABASE unavailable", "ALTER DATABASE unavailable ALLOW_CONNECTIONS false")
            made[method] = (server, new_proxy(server.port))
        return made[method]

    return get


def outcome(port, dbname, user, password):
    """None if the login succeeds, else (severity, SQLSTATE)."""
    try:
        client = wire.WireClient.connect(port, dbname, user, password)
    except wire.ServerError as error:
        return error.fields.get("S"), error.sqlstate
    assert client.rows("SELECT v FROM t") == [("1",)]
    client.close()
    return None


LOGINS = [("postgres", "alice", "wonder"), ("postgres", "alice", "wrong"), ("postgres", "alice", ""),
          ("postgres", "nobody", "x"), ("nodatabase", "alice", "wonder"), ("nodatabase", "nobody", "x"),
          ("postgres", "nologin", "x"), ("postgres", "expired", "old"), ("closed", "alice", "wonder"),
          ("unavailable", "alice", "wonder"), ("postgres", "x" * 70, "x"), ("y" * 70, "alice", "wonder")]


@pytest.mark.parametrize("method", METHODS)
def test_trap26_logins_end_as_they_do_on_a_direct_connection(secured, method):
    server, proxy = secured(method)
    for dbname, user, password in LOGINS:
        expected = outcome(server.port, dbname, user, password)
        for _ in range(2):
            assert outcome(proxy.port, dbname, user, password) == expected, (dbname, user, password)


@pytest.mark.parametrize("method", METHODS)
def test_trap26_psycopg2_logs_in(secured, method):
    _, proxy = secured(method)
    for _ in range(3):
        connection = psycopg2.connect(host="127.0.0.1", port=proxy.port, dbname="postgres", user="alice",
                                      password="wonder")
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, session_user, v FROM t")
            assert cursor.fetchall() == [("alice", "alice", 1)]
        connection.close()
    with pytest.raises(psycopg2.OperationalError) if method != "trust" else nothing_raised():
        psycopg2.connect(host="127.0.0.1", port=proxy.port, dbname="postgres", user="alice", password="wrong").close()


class nothing_raised:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize("method", ["md5", "scram-sha-256"])
def test_trap31_password_changes_and_lapses_are_honoured(secured, method):
    server, proxy = secured(method)
    server.sql("postgres", "CREATE ROLE changing LOGIN PASSWORD 'first'", "GRANT SELECT ON t TO changing")
    assert outcome(proxy.port, "postgres", "changing", "first") is None
    server.sql("postgres", "ALTER ROLE changing PASSWORD 'second'")
    assert outcome(proxy.port, "postgres", "changing", "first") == ("FATAL", "28P01")
    assert outcome(proxy.port, "postgres", "changing", "second") is None
    server.sql("postgres", "ALTER ROLE changing VALID UNTIL '2000-01-01'")
    assert outcome(proxy.port, "postgres", "changing", "second") == ("FATAL", "28P01")
    server.sql("postgres", "ALTER ROLE changing VALID UNTIL 'infinity' NOLOGIN")
    assert outcome(proxy.port, "postgres", "changing", "second") == ("FATAL", "28000")


@pytest.mark.parametrize("method", METHODS)
def test_trap26_pool_is_shared_after_login_and_each_user_has_its_own(secured, method):
    server, proxy = secured(method)
    clients = [wire.WireClient.connect(proxy.port, "postgres", user, password)
               for user, password in (("alice", "wonder"), ("postgres", "secret"), ("alice", "wonder"))]
    for _ in range(3):
        assert [client.rows("SELECT current_user")[0][0] for client in clients] == ["alice", "postgres", "alice"]
    for client in clients:
        client.close()
    if method == "trust":
        return
    with pytest.raises(wire.ServerError) as refused:  # pooled connections open no door
        wire.WireClient.connect(proxy.port, "postgres", "alice", "wrong")
    assert refused.value.sqlstate == "28P01"


def test_trap26_gss_request_is_declined_and_startup_goes_on(env):
    if env.proxy.identity:
        pytest.skip("PostgreSQL built with GSSAPI accepts it")
    client = wire.WireClient(env.proxy.port)
    client.send(wire.untyped(wire.GSSENC_REQUEST))
    assert client.read_bytes(1) == b"N"
    client.send(wire.untyped(wire.SSL_REQUEST))
    assert client.read_bytes(1) == b"N"
    client.login({"user": "postgres", "database": env.database})
    assert client.rows("SELECT 1") == [("1",)]
    client.close()


def test_trap26_libpq_preferences(env):
    for options in ({"sslmode": "prefer"}, {"sslmode": "disable"}, {"gssencmode": "prefer"}, {"gssencmode": "disable"},
                    {"sslmode": "allow"}):
        connection = env.connect(**options)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
    with pytest.raises(psycopg2.OperationalError):
        env.connect(sslmode="require")


def test_trap26_replication_is_passed_or_refused_clearly(env):
    """Never a normal session that takes replication commands for SQL."""
    client = wire.WireClient(env.proxy.port)
    client.send(wire.startup({"user": "postgres", "database": env.database, "replication": "database"}))
    try:
        client.finish_login("postgres", "secret")
        assert client.query("IDENTIFY_SYSTEM").columns == ["systemid", "timeline", "xlogpos", "dbname"]
    except wire.ServerError as error:
        assert error.sqlstate in ("0A000", "28000"), error
    client.close()


def test_trap26_version_2_and_nonsense_end_without_a_session(env):
    for first in (wire.startup({"user": "postgres"}, protocol=2 << 16), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                  b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100, b"\0" * 64,
                  struct.pack("!ii", 0x7FFFFFFF, wire.PROTOCOL_3_0)):
        client = wire.WireClient(env.proxy.port)
        client.send(first)
        try:
            data = client.socket.recv(4096)
        except ConnectionResetError:
            data = b""
        assert data == b"" or data[:1] == b"E", data
        client.close()
    assert env.wire().rows("SELECT 1") == [("1",)]


def test_trap31_password_before_startup_and_second_startup(env):
    if env.proxy.identity:
        pytest.skip("PostgreSQL waits for the rest of what it takes for a start-up packet")
    client = wire.WireClient(env.proxy.port)
    client.send(wire.password("secret"))
    assert client.read_to_end().types in ("", "E")
    client.close()
    client = env.wire()
    client.send(wire.startup({"user": "postgres", "database": "postgres"}))
    reply = client.read_to_end()
    assert reply.sqlstate in ("08P01", None)
    assert env.wire().rows("SELECT 1") == [("1",)]


def test_trap31_login_that_never_comes_is_ended(new_proxy, postgres, database):
    proxy = new_proxy(postgres.port, {"auth": {"login_timeout": "300ms"}})
    if proxy.identity:
        pytest.skip("PostgreSQL waits a minute")
    silent, half = wire.WireClient(proxy.port), wire.WireClient(proxy.port)
    half.send(wire.startup({"user": "postgres", "database": database})[:12])
    for client in (silent, half):
        client.read_to_end()
        client.close()
    assert wire.WireClient.connect(proxy.port, database).rows("SELECT 1") == [("1",)]


def test_trap31_startup_parameters_do_not_reach_the_control_connection(env):
    """A client's options are its own: the catalog is still read under the control role's settings."""
    schema = env.name("evil")
    env.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.pg_class (relname text)")
    client = env.wire(parameters={"options": f"-c search_path={schema},pg_catalog"})
    table = env.name("seen")
    client.ok(f"CREATE TABLE public.{table} AS SELECT 1 AS v")
    env.settle()
    other = env.wire()
    env.until_hit(lambda: other.rows(f"SELECT v FROM {table}"), lambda: [("1",)])


@pytest.mark.parametrize("config", [{"upstream": {"user": "nosuch"}}, {"upstream": {"password": "wrong"}},
                                    {"upstream": {"database": "nosuch"}}])
def test_control_role_that_does_not_work_means_bypass(new_postgres, new_proxy, config):
    """Everything is forwarded, nothing is cached, and the admin port says why."""
    server = new_postgres(auth="scram-sha-256")
    server.sql("postgres", "CREATE ROLE alice LOGIN PASSWORD 'wonder'", "CREATE TABLE t (v int)",
               "INSERT INTO t VALUES (1)", "GRANT ALL ON t TO alice")
    proxy = new_proxy(server.port, config)
    if proxy.identity:
        pytest.skip("--direct has no control role")
    client = wire.WireClient.connect(proxy.port, "postgres", "alice", "wonder")
    for value in range(2, 5):
        client.ok(f"UPDATE t SET v = {value}")
        assert client.rows("SELECT v FROM t") == [(str(value),)]
        assert client.rows("SELECT v FROM t") == [(str(value),)]
    if "database" not in config["upstream"]:
        assert proxy.stats().hits == 0
        wait_until(lambda: any(row["error"] for row in proxy.stats()["control"]), "the admin port says why")
    client.close()
