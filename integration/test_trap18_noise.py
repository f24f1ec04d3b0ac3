"""Trap 18: literals that never come again fill no memory, comments split no keys."""
CONFIG = {"cache": {"size": "8MB", "memo_size": "8MB"}}
GROWTH_MAX_KIB = 48 * 1024


def test_trap18_ever_new_literals_keep_memory_flat(env):
    table = env.name("session")
    env.run(f"CREATE TABLE {table} (session_key text PRIMARY KEY, session_data text, expire_date timestamptz)",
            f"INSERT INTO {table} VALUES ('abc', '{'d' * 500}', '2100-01-01')")
    client = env.wire()

    def read(count, start):
        for number in range(start, start + count):
            day, rest = divmod(number, 86400)
            when = f"2026-01-{1 + day % 28:02d} {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}.{number:06d}"
            rows = client.rows(f"SELECT session_key, session_data, expire_date FROM {table} WHERE "
                               f"(expire_date > '{when}+00'::timestamptz AND session_key = 'abc')")
            assert len(rows) == 1

    read(4000, 0)
    if env.proxy.identity:
        return
    before = env.proxy.child.memory_kib()
    read(16000, 4000)
    growth = env.proxy.child.memory_kib() - before
    assert growth < GROWTH_MAX_KIB, f"memory grew by {growth} KiB over 16,000 statements"
    cache = env.stats()["cache"]
    assert cache["bytes"] <= cache["bytes_max"]
    assert cache["memo_bytes"] <= 8 * 1024 * 1024


def test_trap18_ever_new_parameters_keep_memory_flat(env):
    table = env.name("session")
    env.run(f"CREATE TABLE {table} AS SELECT g AS id, repeat('x', 300) AS data FROM generate_series(1, 100) g")
    client = env.wire()

    def read(count, start):
        for number in range(start, start + count):
            client.extended(f"SELECT data FROM {table} WHERE id = $1 AND id < $2", ["5", str(1000 + number)]).checked()

    read(4000, 0)
    if env.proxy.identity:
        return
    before = env.proxy.child.memory_kib()
    read(16000, 4000)
    growth = env.proxy.child.memory_kib() - before
    assert growth < GROWTH_MAX_KIB, f"memory grew by {growth} KiB over 16,000 statements"


def test_trap18_comments_do_not_split_keys(env):
    table = env.name("commented")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    client = env.wire()
    plain = f"SELECT v FROM {table}"
    env.until_hit(lambda: client.rows(plain), lambda: [("1",)])
    with env.all_hits(3):
        client.rows(f"{plain} /*controller='index',traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-01'*/")
        client.rows(f"/* request 4711 */ {plain}")
        client.rows(f"{plain} -- request 4712")


def test_trap18_comments_do_not_split_keys_in_extended(env):
    table = env.name("commented")
    env.run(f"CREATE TABLE {table} AS SELECT 1 AS v")
    client = env.wire()
    plain = f"SELECT v FROM {table} WHERE v = $1"
    env.until_hit(lambda: client.extended(plain, ["1"]).rows, lambda: [("1",)])
    with env.all_hits(2):
        client.extended(f"{plain} /*traceparent='1'*/", ["1"]).checked()
        client.extended(f"{plain} /*traceparent='2'*/", ["1"]).checked()
