"""Trap 12: the seven interleavings of a reader with another client's transaction."""
import pytest

MOMENTS = {
    "before": ("old", None, None),
    "during": (None, "old", None),
    "after": (None, None, "end"),
    "before_and_during": ("old", "old", None),
    "before_and_after": ("old", None, "end"),
    "during_and_after": (None, "old", "end"),
    "before_during_and_after": ("old", "old", "end"),
}


@pytest.mark.parametrize("reader_in_block", [False, True])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("moments", MOMENTS)
@pytest.mark.parametrize("warm", [False, True])
def test_trap12_interleaving(env, moments, end, reader_in_block, warm):
    table = env.name("seven")
    env.run(f"CREATE TABLE {table} (v text)", f"INSERT INTO {table} VALUES ('old')")
    sql = f"SELECT v FROM {table}"
    final = "new" if end == "COMMIT" else "old"
    expected = [None if moment is None else final if moment == "end" else moment for moment in MOMENTS[moments]]
    reader, writer, other = env.wire(), env.wire(), env.wire()
    if warm:
        env.until_hit(lambda: other.rows(sql), lambda: [("old",)])
    if reader_in_block:
        reader.ok("BEGIN")

    def read_at(moment):
        if expected[moment]:
            assert reader.rows(sql) == [(expected[moment],)]
            assert reader.extended(sql).rows == [(expected[moment],)]

    read_at(0)
    writer.ok("BEGIN")
    writer.ok(f"UPDATE {table} SET v = 'new'")
    read_at(1)
    assert writer.rows(sql) == [("new",)]
    read_at(1)
    writer.ok(end)
    read_at(2)
    if reader_in_block:
        reader.ok("COMMIT")
    for client in (reader, writer, other):
        assert client.rows(sql) == [(final,)]
    env.until_hit(lambda: other.rows(sql), lambda: [(final,)])


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_trap12_two_writers_and_a_reader_by_psycopg2(env, end):
    table = env.name("seven")
    env.run(f"CREATE TABLE {table} (id int, v int)", f"INSERT INTO {table} VALUES (1, 1), (2, 1)")
    sql = f"SELECT id, v FROM {table} ORDER BY id"
    reader = env.connect()
    first, second = env.connect(autocommit=False), env.connect(autocommit=False)

    def read(connection):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def write(connection, statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    env.until_hit(lambda: read(reader), lambda: [(1, 1), (2, 1)])
    write(first, f"UPDATE {table} SET v = 2 WHERE id = 1")
    write(second, f"UPDATE {table} SET v = 2 WHERE id = 2")
    assert read(reader) == [(1, 1), (2, 1)]
    assert read(first) == [(1, 2), (2, 1)]
    assert read(second) == [(1, 1), (2, 2)]
    first.commit()
    assert read(reader) == [(1, 2), (2, 1)]
    assert read(second) == [(1, 2), (2, 2)]
    second.commit() if end == "COMMIT" else second.rollback()
    final = [(1, 2), (2, 2 if end == "COMMIT" else 1)]
    assert read(reader) == final
    assert read(first) == final
    env.until_hit(lambda: read(reader), lambda: final)
