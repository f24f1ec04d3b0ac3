"""Trap 37: what an object-relational mapper does, in its own SQL: each change is read back fresh on
another connection, and was a hit before."""
import pytest


@pytest.fixture
def shop(env):
    """Two models with a foreign key, a many-to-many table, multi-table inheritance, a generic relation."""
    p = env.name("shop")
    env.run(f"CREATE TABLE {p}_author (id serial PRIMARY KEY, name varchar(100) NOT NULL)",
            f"CREATE TABLE {p}_book (id serial PRIMARY KEY, title varchar(100) NOT NULL, price numeric(8,2),"
            f" author_id int NOT NULL REFERENCES {p}_author DEFERRABLE INITIALLY DEFERRED)",
            f"CREATE TABLE {p}_novel (book_ptr_id int PRIMARY KEY REFERENCES {p}_book DEFERRABLE INITIALLY DEFERRED,"
            " genre text)", f"CREATE TABLE {p}_tag (id serial PRIMARY KEY, name text)",
            f"CREATE TABLE {p}_book_tags (id serial PRIMARY KEY, book_id int REFERENCES {p}_book DEFERRABLE INITIALLY"
            f" DEFERRED, tag_id int REFERENCES {p}_tag DEFERRABLE INITIALLY DEFERRED, UNIQUE (book_id, tag_id))",
            f"CREATE TABLE {p}_note (id serial PRIMARY KEY, content_type_id int, object_id int, text text)",
            f"INSERT INTO {p}_author (name) VALUES ('Ann'), ('Bob')",
            f"INSERT INTO {p}_book (title, price, author_id) VALUES ('One', 1, 1), ('Two', 2, 1), ('Three', 3, 2)",
            f"INSERT INTO {p}_novel VALUES (1, 'crime')", f"INSERT INTO {p}_tag (name) VALUES ('red'), ('blue')",
            f"INSERT INTO {p}_book_tags (book_id, tag_id) VALUES (1, 1)",
            f"INSERT INTO {p}_note (content_type_id, object_id, text) VALUES (7, 1, 'good')")
    return p


READS = {
    "get": 'SELECT "{p}_book"."id", "{p}_book"."title", "{p}_book"."price", "{p}_book"."author_id" FROM "{p}_book"'
           ' WHERE "{p}_book"."id" = 1 LIMIT 21',
    "list": 'SELECT "{p}_book"."id", "{p}_book"."title" FROM "{p}_book" ORDER BY "{p}_book"."id" ASC',
    "count": 'SELECT COUNT(*) AS "__count" FROM "{p}_book"',
    "select_related": 'SELECT b."id", b."title", a."id", a."name" FROM "{p}_book" b INNER JOIN "{p}_author" a'
                      ' ON (b."author_id" = a."id") ORDER BY b."id"',
    "inherited": 'SELECT b."id", b."title", n."genre" FROM "{p}_novel" n INNER JOIN "{p}_book" b'
                 ' ON (n."book_ptr_id" = b."id") ORDER BY 1',
    "many_to_many": 'SELECT t."id", t."name" FROM "{p}_tag" t INNER JOIN "{p}_book_tags" bt ON (t."id" = bt."tag_id")'
                    ' WHERE bt."book_id" = 1 ORDER BY t."id"',
    "prefetch": 'SELECT (bt."book_id") AS "_prefetch", t."name" FROM "{p}_tag" t INNER JOIN "{p}_book_tags" bt'
                ' ON (t."id" = bt."tag_id") WHERE bt."book_id" IN (1, 2, 3) ORDER BY 1, 2',
    "exists": 'SELECT (1) AS "a" FROM "{p}_book" WHERE EXISTS(SELECT (1) AS "a" FROM "{p}_book_tags" U0 WHERE'
              ' U0."book_id" = "{p}_book"."id") LIMIT 1',
    "subquery": 'SELECT a."name", (SELECT MAX(b."price") FROM "{p}_book" b WHERE b."author_id" = a."id") AS m'
                ' FROM "{p}_author" a ORDER BY a."id"',
    "union": '(SELECT "title" FROM "{p}_book") UNION (SELECT "name" FROM "{p}_author") ORDER BY 1',
    "aggregate": 'SELECT a."id", COUNT(b."id") AS n, SUM(b."price") FROM "{p}_author" a LEFT OUTER JOIN "{p}_book" b'
                 ' ON (a."id" = b."author_id") GROUP BY a."id" ORDER BY a."id"',
    "generic": 'SELECT "text" FROM "{p}_note" WHERE "content_type_id" = 7 AND "object_id" = 1 ORDER BY "id"',
    "in_bulk": 'SELECT "id", "title" FROM "{p}_book" WHERE "id" IN (3, 1, 2) ORDER BY "id"',
    "values_distinct": 'SELECT DISTINCT "author_id" FROM "{p}_book" ORDER BY 1',
    "dates": 'SELECT DISTINCT DATE_TRUNC(\'year\', \'2020-05-05\'::date) AS d, "id" FROM "{p}_book" ORDER BY "id"',
    "isnull": 'SELECT b."id" FROM "{p}_book" b LEFT OUTER JOIN "{p}_novel" n ON (b."id" = n."book_ptr_id")'
              ' WHERE n."book_ptr_id" IS NULL ORDER BY 1',
}

# change: (statements, reads whose answer it must change)
CHANGES = {
    "create": (['INSERT INTO "{p}_book" ("title", "price", "author_id") VALUES (\'New\', 9, 2) RETURNING "{p}_book"."id"'],
               ["list", "count", "select_related", "union", "aggregate", "isnull"]),
    "save": (['UPDATE "{p}_book" SET "title" = \'Uno\', "price" = \'5.00\', "author_id" = 2 WHERE "{p}_book"."id" = 1'],
             ["get", "list", "select_related", "inherited", "subquery", "union", "aggregate", "in_bulk"]),
    "save_of_the_related_row": (['UPDATE "{p}_author" SET "name" = \'Anna\' WHERE "{p}_author"."id" = 1'],
                                ["select_related", "subquery", "union"]),
    "delete": (['DELETE FROM "{p}_book_tags" WHERE "book_id" IN (1)', 'DELETE FROM "{p}_novel" WHERE "book_ptr_id" IN (1)',
                'DELETE FROM "{p}_book" WHERE "{p}_book"."id" IN (1)'],
               ["get", "list", "count", "select_related", "inherited", "many_to_many", "exists"]),
    "update": (['UPDATE "{p}_book" SET "price" = ("{p}_book"."price" + 1)'], ["get", "subquery", "aggregate"]),
    "update_with_subquery": (['UPDATE "{p}_book" SET "price" = 0 WHERE "{p}_book"."id" IN (SELECT U0."id" FROM'
                              ' "{p}_book" U0 INNER JOIN "{p}_author" U1 ON (U0."author_id" = U1."id") WHERE U1."name"'
                              ' = \'Ann\')'], ["get", "aggregate"]),
    "bulk_create": (['INSERT INTO "{p}_book" ("title", "price", "author_id") VALUES ' +
                     ", ".join(f"('bulk {n}', {n}, 2)" for n in range(50)) + ' RETURNING "{p}_book"."id"'],
                    ["list", "count", "aggregate"]),
    "bulk_create_ignoring_conflicts": (['INSERT INTO "{p}_book_tags" ("book_id", "tag_id") VALUES (1, 1), (1, 2)'
                                        ' ON CONFLICT DO NOTHING'], ["many_to_many", "prefetch"]),
    "bulk_update": (['UPDATE "{p}_book" SET "title" = CASE WHEN ("{p}_book"."id" = 1) THEN \'a\' WHEN ("{p}_book"."id"'
                     ' = 2) THEN \'b\' ELSE NULL END::varchar(100) WHERE "{p}_book"."id" IN (1, 2)'],
                    ["get", "list", "in_bulk"]),
    "m2m_add": (['SELECT "tag_id" FROM "{p}_book_tags" WHERE "book_id" = 1 AND "tag_id" IN (2)',
                 'INSERT INTO "{p}_book_tags" ("book_id", "tag_id") VALUES (1, 2) ON CONFLICT DO NOTHING'],
                ["many_to_many", "prefetch"]),
    "m2m_clear": (['DELETE FROM "{p}_book_tags" WHERE "book_id" = 1'], ["many_to_many", "prefetch", "exists"]),
    "inherited_create": (['INSERT INTO "{p}_novel" ("book_ptr_id", "genre") VALUES (2, \'love\')'], ["inherited", "isnull"]),
    "inherited_save": (['UPDATE "{p}_book" SET "title" = \'X\' WHERE "id" = 1',
                        'UPDATE "{p}_novel" SET "genre" = \'x\' WHERE "book_ptr_id" = 1'], ["inherited", "get"]),
    "generic_create": (['INSERT INTO "{p}_note" ("content_type_id", "object_id", "text") VALUES (7, 1, \'bad\')'],
                       ["generic"]),
    "raw": (["/* raw */ update {p}_book set title = upper(title) where id in (select 2)"], ["list", "union"]),
}


@pytest.mark.parametrize("in_block", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_trap37_change_is_read_back_fresh(env, shop, change, in_block):
    statements, reads = CHANGES[change]
    reader, truth, writer = env.connect(), env.direct(), env.connect(autocommit=not in_block)

    def read(connection, name):
        with connection.cursor() as cursor:
            cursor.execute(READS[name].format(p=shop))
            return cursor.fetchall()

    for name in READS:
        if name != "dates":
            env.until_hit(lambda: read(reader, name), lambda: read(truth, name), what=name)  # noqa: B023
    before = {name: read(truth, name) for name in READS}
    with writer.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.replace("{p}", shop))
    if in_block:
        for name in reads:
            assert read(reader, name) == before[name]  # not committed
            assert read(writer, name) != before[name]  # own writes
        writer.commit()
    for name in READS:
        expected = read(truth, name)
        assert read(reader, name) == expected, name
        assert read(writer, name) == expected, name
        if name in reads:
            assert expected != before[name], f"{change} does not change {name}: a poor test"
    for name in reads:
        env.until_hit(lambda: read(reader, name), lambda: read(truth, name), what=name)  # noqa: B023


@pytest.mark.parametrize("statement", ["DELETE FROM {p}_author WHERE id = 2", "UPDATE {p}_book SET author_id = 99"])
def test_trap37_deferred_foreign_key_fails_at_the_end(env, shop, statement):
    """Django's foreign keys are deferred: the statement succeeds, COMMIT does not."""
    reader, writer = env.wire(), env.wire()
    sql = READS["select_related"].format(p=shop)
    rows = env.wire_direct().rows(sql)
    env.until_hit(lambda: reader.rows(sql), lambda: rows)
    writer.ok("BEGIN")
    writer.ok(statement.format(p=shop))
    assert writer.rows(sql) != rows
    assert writer.query("COMMIT").sqlstate == "23503"
    assert reader.rows(sql) == rows
    assert writer.rows(sql) == rows
    assert writer.query(statement.format(p=shop)).sqlstate == "23503"
    assert reader.rows(sql) == rows
    env.until_hit(lambda: reader.rows(sql), lambda: rows)


def test_trap37_savepoints_of_nested_atomic_blocks(env, shop):
    reader, writer = env.wire(), env.wire()
    sql = READS["list"].format(p=shop)
    rows = env.wire_direct().rows(sql)
    env.until_hit(lambda: reader.rows(sql), lambda: rows)
    for statement in ("BEGIN", 'SAVEPOINT "s1_x1"', f"UPDATE {shop}_book SET title = 'gone'", 'SAVEPOINT "s1_x2"',
                      f"DELETE FROM {shop}_note", 'RELEASE SAVEPOINT "s1_x2"', 'ROLLBACK TO SAVEPOINT "s1_x1"',
                      'RELEASE SAVEPOINT "s1_x1"', f"UPDATE {shop}_book SET title = 'kept' WHERE id = 2"):
        writer.ok(statement)
        assert reader.rows(sql) == rows
    writer.ok("COMMIT")
    truth = env.wire_direct().rows(sql)
    assert truth != rows
    assert reader.rows(sql) == truth
    env.until_hit(lambda: reader.rows(sql), lambda: truth)
    assert reader.rows(READS["generic"].format(p=shop)) == [("good",)]
