"""Trap 53: where the parser and the server would read different statements, nothing is assumed."""
import pytest

from support import wire


@pytest.fixture
def table(env):
    name = env.name("victim")
    env.run(f"CREATE TABLE {name} (v text)", f"INSERT INTO {name} VALUES ('row')")
    return name


def off(client):
    client.ok("SET standard_conforming_strings = off")


def off_by_config(client):
    client.ok("SELECT set_config('standard_conforming_strings', 'off', false)")


def off_by_function(client):
    client.ok("DO $$BEGIN PERFORM set_config('standard_conforming_strings', 'off', false); END$$")


def off_in_extended(client):
    client.extended("SET standard_conforming_strings TO off").checked()


@pytest.mark.parametrize("turn_off", [off, off_by_config, off_by_function, off_in_extended, None])
def test_trap53_one_select_to_the_parser_and_a_delete_to_the_server(env, table, turn_off):
    sql = f"SELECT v FROM {table}"
    probe = env.probe(sql)
    probe.warm()
    client = env.wire() if turn_off else \
        env.wire(parameters={"options": "-c standard_conforming_strings=off"})
    if turn_off:
        turn_off(client)
    client.query(rf"SELECT 'a\' , '; DELETE FROM {table}; --'")
    assert probe.expected() == [], "the server did not delete: a poor test"
    assert probe.fresh() == []


def test_trap53_setting_of_the_role(env, table):
    role = env.name("off_role")
    env.run(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' SUPERUSER",
            f"ALTER ROLE {role} SET standard_conforming_strings = off")
    probe = env.probe(f"SELECT v FROM {table}")
    probe.warm()
    env.wire(user=role).query(rf"SELECT 'a\' , '; DELETE FROM {table}; --'")
    assert probe.expected() == []
    assert probe.fresh() == []


def test_trap53_setting_changed_in_the_same_query(env, table):
    probe = env.probe(f"SELECT v FROM {table}")
    probe.warm()
    client = env.wire()
    client.query("SET standard_conforming_strings = off")
    client.query(rf"SET standard_conforming_strings = off; SELECT 'a\' , '; DELETE FROM {table}; --'")
    assert probe.expected() == []
    assert probe.fresh() == []


def test_trap53_the_same_bytes_under_both_settings(env, table):
    sql = rf"SELECT v, 'a\\b' FROM {table}"
    on, other = env.wire(), env.wire()
    off(other)
    for _ in range(3):
        assert on.rows(sql) == [("row", r"a\\b")]
        assert other.rows(sql) == [("row", r"a\b")]
    env.until_hit(lambda: on.rows(sql), lambda: [("row", r"a\\b")])


ENCODINGS = ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "LATIN1", "JOHAB"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_trap53_client_encodings(env, table, encoding):
    """A character whose second byte is a quote or a backslash, where the encoding has one."""
    characters = {"SJIS": "ソ表", "BIG5": "功許", "GBK": "誠運", "GB18030": "誠運", "UHC": "한글", "LATIN1": "é",
                  "JOHAB": "한글"}[encoding]
    codec = {"UHC": "cp949", "LATIN1": "latin-1"}.get(encoding, encoding.lower())
    raw = characters.encode(codec)

    def play(client):
        client.ok(f"SET client_encoding = '{encoding}'")
        seen = []
        for _ in range(3):
            seen.append(client.query(b"SELECT v, '" + raw + b"' FROM " + table.encode()).messages)
            seen.append(client.extended(f"SELECT v, $1 FROM {table}", [raw], types=[25]).messages)
            seen.append(client.query(b"SELECT v AS \"" + raw + b"\" FROM " + table.encode()).messages)
        return seen

    assert play(env.wire()) == play(env.wire_direct())


@pytest.mark.parametrize("encoding", ["SJIS", "BIG5", "GBK"])
def test_trap53_bytes_that_end_a_string_in_one_encoding_only(env, table, encoding):
    """Lead byte, then a backslash or quote: whatever the server makes of it, reads stay true."""
    probe = env.probe(f"SELECT v FROM {table}")
    probe.warm()
    client = env.wire()
    client.ok(f"SET client_encoding = '{encoding}'")
    for lead in (b"\x95", b"\xa4", b"\x81"):
        for second in (b"\x5c", b"\x27", b"\x22"):
            client.query(b"SELECT '" + lead + second + b"; DELETE FROM " + table.encode() + b"; --'")
            client.query(b"SELECT E'" + lead + second + b"'; DELETE FROM " + table.encode() + b"; --'")
            probe.check()
    probe.fresh()


def test_trap53_text_written_in_one_encoding_is_read_in_another(env, table):
    sql = f"SELECT v FROM {table}"
    utf8, latin = env.wire(), env.wire(parameters={"client_encoding": "LATIN1"})
    env.run(f"UPDATE {table} SET v = 'Größe'")
    for _ in range(3):
        assert utf8.query(sql).raw_rows == [("Größe".encode(),)]
        assert latin.query(sql).raw_rows == [("Größe".encode("latin-1"),)]
    latin.query(f"UPDATE {table} SET v = '".encode() + "é".encode("latin-1") + b"'")
    assert utf8.query(sql).raw_rows == [("é".encode(),)]
    assert latin.query(sql).raw_rows == [(b"\xe9",)]
    utf8.ok(f"UPDATE {table} SET v = '雪'")
    assert latin.query(sql).sqlstate == "22P05"
    assert utf8.rows(sql) == [("雪",)]


def test_trap53_sql_ascii_client(env, table):
    client = env.wire(parameters={"client_encoding": "SQL_ASCII"})
    truth = env.wire_direct(parameters={"client_encoding": "SQL_ASCII"})
    for sql in (f"SELECT v, 'é' FROM {table}".encode(), b"SELECT v, '\xc3\xa9' FROM " + table.encode(),
                b"SELECT v, '\xff' FROM " + table.encode()):
        for _ in range(2):
            assert client.query(sql).messages == truth.query(sql).messages


def test_trap53_prepared_text_is_not_parsed_again_under_the_other_setting(env, table):
    """The connection that knows the statement is taken by somebody else meanwhile."""
    client, blocker = env.wire(), env.wire()
    off(client)
    client.send(wire.parse("s", rf"SELECT v, 'a\\b' FROM {table}") + wire.sync())
    client.read_ready().checked()
    for _ in range(2):
        blocker.ok("BEGIN")
        blocker.ok(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        client.ok("SET standard_conforming_strings = on")
        client.send(wire.bind("", "s") + wire.execute() + wire.sync())
        assert client.read_ready().rows == [("row", r"a\b")]
        blocker.ok("COMMIT")


def test_trap53_prepared_text_parsed_under_the_other_setting(env, table):
    client, truth = env.wire(), env.wire_direct()
    for each in (client, truth):
        off(each)
        each.send(wire.parse("s", rf"SELECT v, 'a\\b' FROM {table}") + wire.sync())
        each.read_ready().checked()
        each.ok("SET standard_conforming_strings = on")
    for _ in range(3):
        answers = []
        for each in (client, truth):
            each.send(wire.bind("", "s") + wire.execute() + wire.sync())
            answers.append(each.read_ready().messages)
        assert answers[0] == answers[1]
