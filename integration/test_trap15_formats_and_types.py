"""Trap 15: statements that look alike but answer differently never share an entry."""
import struct

import pytest

from support import wire

INT2, INT4, INT8, TEXT, NUMERIC, FLOAT8 = 21, 23, 20, 25, 1700, 701

SCHEMA = (
    "CREATE TABLE kinds (id int, small int2, big int8, n numeric(8,3), f float8, t text, c char(5), j jsonb,"
    ' a int[], "Mixed" text, mixed text)',
    "INSERT INTO kinds SELECT g, g, g, g + 0.5, g / 2.0, 'text ' || g, 'c' || g, jsonb_build_object('k', g),"
    " ARRAY[g, g], 'quoted', 'folded' FROM generate_series(1, 6) g",
)


@pytest.fixture(scope="module", autouse=True)
def schema(database, proxy):
    client = wire.WireClient.connect(proxy.port, database)
    for statement in SCHEMA:
        client.ok(statement)
    client.close()


# Each group: statements that a careless key would mix up.
LOOK_ALIKES = {
    "numbers": ["SELECT 1 FROM kinds LIMIT 1", "SELECT 1.0 FROM kinds LIMIT 1", "SELECT '1' FROM kinds LIMIT 1",
                "SELECT 1.00 FROM kinds LIMIT 1", "SELECT 1e0 FROM kinds LIMIT 1", "SELECT -1 FROM kinds LIMIT 1",
                "SELECT - 1 FROM kinds LIMIT 1", "SELECT 01 FROM kinds LIMIT 1",
                "SELECT 9999999999 FROM kinds LIMIT 1", "SELECT 1::int8 FROM kinds LIMIT 1",
                "SELECT true FROM kinds LIMIT 1", "SELECT NULL FROM kinds LIMIT 1", "SELECT B'1' FROM kinds LIMIT 1",
                "SELECT X'1' FROM kinds LIMIT 1"],
    "numeric_scale": ["SELECT n * 1 FROM kinds ORDER BY id", "SELECT n * 1.0 FROM kinds ORDER BY id",
                      "SELECT n * 1.000 FROM kinds ORDER BY id", "SELECT n::numeric(8,1) FROM kinds ORDER BY id",
                      "SELECT n::numeric(8,2) FROM kinds ORDER BY id"],
    "order_by": ["SELECT id, -id FROM kinds ORDER BY 1", "SELECT id, -id FROM kinds ORDER BY 2",
                 "SELECT id, -id FROM kinds ORDER BY '1'::text, 2", "SELECT id, -id FROM kinds ORDER BY 1 DESC"],
    "group_by": ["SELECT id % 2, id % 3, count(*) FROM kinds GROUP BY 1, 2 ORDER BY 1, 2",
                 "SELECT id % 2, id % 3, count(*) FROM kinds GROUP BY 2, 1 ORDER BY 2, 1",
                 "SELECT id % 2, count(*) FROM kinds GROUP BY 1 ORDER BY 1"],
    "limit": ["SELECT id FROM kinds ORDER BY id LIMIT 1", "SELECT id FROM kinds ORDER BY id LIMIT 2",
              "SELECT id FROM kinds ORDER BY id LIMIT 2 OFFSET 1", "SELECT id FROM kinds ORDER BY id OFFSET 2",
              "SELECT id FROM kinds ORDER BY id FETCH FIRST 3 ROWS ONLY", "SELECT id FROM kinds ORDER BY id LIMIT ALL"],
    "in_lists": ["SELECT id FROM kinds WHERE id IN (1, 2) ORDER BY id", "SELECT id FROM kinds WHERE id IN (2, 1) ORDER BY id",
                 "SELECT id FROM kinds WHERE id IN (1, 2, 2) ORDER BY id", "SELECT id FROM kinds WHERE id IN (12) ORDER BY id",
                 "SELECT id FROM kinds WHERE id IN (1, 2, 3) ORDER BY id", "SELECT id FROM kinds WHERE id NOT IN (1, 2) ORDER BY id",
                 "SELECT id FROM kinds WHERE t IN ('text 1', 'text 2') ORDER BY id",
                 "SELECT id FROM kinds WHERE t IN ('text 1'', ''text 2') ORDER BY id",
                 "SELECT CASE WHEN id IN (2, 1) THEN 'a' ELSE 'b' END FROM kinds ORDER BY id"],
    "identifiers": ['SELECT "Mixed" FROM kinds', "SELECT Mixed FROM kinds", 'SELECT "mixed" FROM kinds',
                    "SELECT MIXED AS Mixed FROM KINDS", 'SELECT mixed AS "Mixed" FROM kinds',
                    'SELECT U&"m\\0069xed" FROM kinds'],
    "aliases": ["SELECT id AS a FROM kinds ORDER BY id", "SELECT id AS b FROM kinds ORDER BY id",
                'SELECT id AS "A" FROM kinds ORDER BY id', "SELECT id a FROM kinds ORDER BY id"],
    "strings": [r"SELECT 'a\n' FROM kinds LIMIT 1", r"SELECT E'a\n' FROM kinds LIMIT 1",
                r"SELECT E'a\\n' FROM kinds LIMIT 1", "SELECT $$a\\n$$ FROM kinds LIMIT 1",
                "SELECT $x$a$$b$x$ FROM kinds LIMIT 1", "SELECT 'a' 'b' FROM kinds LIMIT 1".replace("' '", "'\n'"),
                "SELECT 'ab' FROM kinds LIMIT 1", "SELECT 'it''s' FROM kinds LIMIT 1", "SELECT '''' FROM kinds LIMIT 1",
                "SELECT '' FROM kinds LIMIT 1", "SELECT U&'\\0061' FROM kinds LIMIT 1", "SELECT N'a' FROM kinds LIMIT 1"],
    "white_space_in_strings": ["SELECT 'a  b' FROM kinds LIMIT 1", "SELECT 'a b' FROM kinds LIMIT 1",
                               "SELECT 'a\tb' FROM kinds LIMIT 1", "SELECT 'a /* x */ b' FROM kinds LIMIT 1",
                               "SELECT 'a -- b' FROM kinds LIMIT 1", 'SELECT 1 AS "a  b" FROM kinds LIMIT 1',
                               'SELECT 1 AS "a b" FROM kinds LIMIT 1'],
    "comments": ["SELECT id FROM kinds /* WHERE id = 1 */ ORDER BY id", "SELECT id FROM kinds WHERE id = 1 ORDER BY id",
                 "SELECT id FROM kinds -- x\nWHERE id = 2 ORDER BY id", "SELECT id -- FROM x\nFROM kinds ORDER BY id",
                 "SELECT /* 1 */ 2 FROM kinds LIMIT 1", "SELECT 4/*comment*/-1 FROM kinds LIMIT 1",
                 "SELECT 4--1\n FROM kinds LIMIT 1", "SELECT /* a /* nested */ 1 */ 3 FROM kinds LIMIT 1"],
    "typed_literals": ["SELECT date '2020-01-02' FROM kinds LIMIT 1", "SELECT text '2020-01-02' FROM kinds LIMIT 1",
                       "SELECT '2020-01-02'::date FROM kinds LIMIT 1", "SELECT CAST('1' AS int) FROM kinds LIMIT 1",
                       "SELECT CAST('1' AS char(3)) FROM kinds LIMIT 1", "SELECT interval '1' day FROM kinds LIMIT 1",
                       "SELECT interval '1' year FROM kinds LIMIT 1", "SELECT interval '1 day' FROM kinds LIMIT 1"],
    "distinct": ["SELECT id % 2 FROM kinds ORDER BY 1", "SELECT DISTINCT id % 2 FROM kinds ORDER BY 1",
                 "SELECT ALL id % 2 FROM kinds ORDER BY 1", "SELECT count(id % 2) FROM kinds",
                 "SELECT count(DISTINCT id % 2) FROM kinds", "SELECT count(*) FILTER (WHERE id > 2) FROM kinds"],
    "json_operators": ["SELECT j -> 'k' FROM kinds ORDER BY id", "SELECT j ->> 'k' FROM kinds ORDER BY id",
                       "SELECT j #> '{k}' FROM kinds ORDER BY id", "SELECT j ? 'k' FROM kinds ORDER BY id",
                       "SELECT id FROM kinds WHERE j @> '{\"k\": 1}' ORDER BY id"],
    "padding": ["SELECT id FROM kinds WHERE c = 'c1' ORDER BY id", "SELECT id FROM kinds WHERE c = 'c1  ' ORDER BY id",
                "SELECT id FROM kinds WHERE c::text = 'c1   ' ORDER BY id", "SELECT c || '|' FROM kinds ORDER BY id"],
}


@pytest.mark.parametrize("group", LOOK_ALIKES)
def test_trap15_look_alikes(env, group):
    statements = LOOK_ALIKES[group]
    truth = env.wire_direct()
    expected = {sql: (truth.query(sql).messages, truth.extended(sql).messages,
                      truth.extended(sql, result_formats=[1]).messages) for sql in statements}
    clients = [env.wire(), env.wire()]
    for turn in range(3):
        client = clients[turn % 2]
        for sql in statements if turn % 2 else reversed(statements):
            assert client.query(sql).messages == expected[sql][0], sql
            assert client.extended(sql, result_formats=[1]).messages == expected[sql][2], sql
            assert client.extended(sql).messages == expected[sql][1], sql
    first = statements[0]
    env.until_hit(lambda: clients[0].query(first).messages, lambda: expected[first][0])


# (sql, values, types, value formats, result formats)
PARAMETERS = {
    "declared_types": [("SELECT $1 FROM kinds LIMIT 1", ["1"], [oid], [], []) for oid in
                       (0, INT2, INT4, INT8, TEXT, NUMERIC, FLOAT8)],
    "declared_types_binary_result": [("SELECT $1 FROM kinds LIMIT 1", ["1"], [oid], [], [1]) for oid in
                                     (0, INT2, INT4, INT8, TEXT, NUMERIC, FLOAT8)],
    "binary_values": [("SELECT id FROM kinds WHERE id = $1", [struct.pack("!i", 3)], [INT4], [1], []),
                      ("SELECT id FROM kinds WHERE id = $1", [struct.pack("!q", 3)], [INT8], [1], []),
                      ("SELECT id FROM kinds WHERE id = $1", ["3"], [INT4], [], []),
                      ("SELECT id FROM kinds WHERE id = $1", ["4"], [INT4], [0], []),
                      ("SELECT $1 FROM kinds LIMIT 1", [b"1234"], [TEXT], [1], []),
                      ("SELECT $1 FROM kinds LIMIT 1", [b"1234"], [INT4], [1], [])],
    "boundaries": [("SELECT $1 || $2 FROM kinds LIMIT 1", values, [TEXT, TEXT], [], []) for values in
                   (["ab", "c"], ["a", "bc"], ["abc", ""], ["", "abc"], [None, "abc"], ["abc", None])],
    "nulls": [("SELECT $1::text IS NULL FROM kinds LIMIT 1", [value], [], [], []) for value in
              (None, "", "NULL", "null")],
    "result_formats": [("SELECT id, n, t, f FROM kinds ORDER BY id", [], [], [], formats) for formats in
                       ([], [0], [1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0])],
    "mixed_value_formats": [("SELECT id FROM kinds WHERE id > $1 AND t <> $2 ORDER BY id", values, [INT4, TEXT],
                             formats, []) for values, formats in
                            ((["3", "x"], []), ([struct.pack("!i", 3), "x"], [1, 0]),
                             ([struct.pack("!i", 4), "x"], [1, 1]), (["4", "text 5"], [0, 0]))],
    "arrays": [("SELECT id FROM kinds WHERE id = ANY($1) ORDER BY id", [value], [1007], [], []) for value in
               ("{1,2}", "{2,1}", "{12}", "{1,2,NULL}", "{}")],
    "equal_numbers": [("SELECT n = $1, $1 FROM kinds ORDER BY id LIMIT 2", [value], [NUMERIC], [], []) for value in
                      ("1.5", "1.50", "01.5", "1.5e0", " 1.5")],
}


@pytest.mark.parametrize("group", PARAMETERS)
def test_trap15_parameters(env, group):
    cases = PARAMETERS[group]

    def ask(client, case):
        sql, values, types, value_formats, result_formats = case
        return client.extended(sql, values, types=types, value_formats=value_formats,
                               result_formats=result_formats).messages

    truth = env.wire_direct()
    expected = [ask(truth, case) for case in cases]
    clients = [env.wire(), env.wire()]
    for turn in range(3):
        order = list(zip(cases, expected))
        for case, answer in order if turn % 2 else reversed(order):
            assert ask(clients[turn % 2], case) == answer, case
    env.until_hit(lambda: ask(clients[0], cases[0]), lambda: expected[0])


def test_trap15_parameter_and_literal_are_different_statements(env):
    truth, client = env.wire_direct(), env.wire()
    for _ in range(2):
        for sql, values in (("SELECT id, '$1' FROM kinds WHERE id = 1", []),
                            ("SELECT id, $1 FROM kinds WHERE id = 1", ["1"]),
                            ("SELECT id, $1 FROM kinds WHERE id = 1", ["$1"]),
                            ("SELECT id, 1 FROM kinds WHERE id = 1", [])):
            assert client.extended(sql, values).messages == truth.extended(sql, values).messages


def test_trap15_many_similar_keys(env):
    """Two thousand keys that differ in one number: each keeps its own answer."""
    client = env.wire()
    for turn in range(2):
        for number in range(2000):
            assert client.rows(f"SELECT {number} FROM kinds WHERE id = 1") == [(str(number),)], turn
    env.until_hit(lambda: client.rows("SELECT 7 FROM kinds WHERE id = 1"), lambda: [("7",)])


def test_trap15_white_space_and_case_share_an_entry(env):
    """Not a matter of right and wrong, but of being useful."""
    client = env.wire()
    env.until_hit(lambda: client.rows("SELECT id FROM kinds WHERE id = 1"), lambda: [("1",)])
    with env.all_hits(2):
        client.rows("select  id\n from KINDS /* note */ where id = 1")
        client.rows("SELECT id FROM kinds WHERE id = 1;")
