"""COUNT(*) of a large table: exact, and estimated by pgrecall under a rule."""
import statistics
import time

from support import pgrecall as program
from support.postgres import PostgresServer
from support.waiting import wait_until

STATEMENT = "SELECT COUNT(*) FROM big"
TARGET = 1000


def timed(connection):
    """(seconds, the count) of one COUNT(*)."""
    with connection.cursor() as cursor:
        begin = time.perf_counter()
        cursor.execute(STATEMENT)
        count = cursor.fetchone()[0]
        return time.perf_counter() - begin, count


def run(template, binary, rows, repetitions, tell):
    server = PostgresServer(template, options={"shared_buffers": "512MB", "max_wal_size": "8GB",
                                               "max_parallel_workers_per_gather": "2"})
    try:
        server.create_database("bench")
        tell(f"loading {rows} rows")
        server.sql("bench", "CREATE UNLOGGED TABLE big (id int8, value int4)",
                   f"INSERT INTO big SELECT g, g % 1000 FROM generate_series(1, {rows}) g",
                   "VACUUM (ANALYZE) big", "ALTER TABLE big SET LOGGED", "VACUUM (ANALYZE) big")
        proxy = program.Pgrecall(server.port, {
            "listen": {"unix_socket_dir": ""},
            # The cache is off: what is compared is counting, not remembering a count.
            "rule": [{"tables": ["big"], "cache": False, "count": "estimate"}]}, ["--workers", "1"],
            program=binary)
        try:
            return compare(server, proxy, rows, repetitions, tell)
        finally:
            proxy.remove()
    finally:
        server.remove()


def compare(server, proxy, rows, repetitions, tell):
    direct, through = server.direct("bench"), proxy.connect("bench")
    exact, estimated = [], []
    timed(direct)
    wait_until(lambda: timed(through) and proxy.stats()["count_estimates"] > 0,
               "pgrecall knows the table and estimates", seconds=60)
    estimates_before = proxy.stats()["count_estimates"]
    for _ in range(repetitions):
        seconds, count = timed(direct)
        exact.append(seconds)
        assert count == rows
        for _ in range(100):
            seconds, estimate = timed(through)
            estimated.append(seconds)
    counted = proxy.stats()["count_estimates"] - estimates_before
    assert counted == len(estimated), f"{counted} of {len(estimated)} answers were estimates"
    direct.close()
    through.close()
    result = {
        "rows": rows, "estimate": estimate, "error": abs(estimate - rows) / rows,
        "exact_ms": statistics.median(exact) * 1e3, "estimated_ms": statistics.median(estimated) * 1e3,
        "count_estimates": counted,
    }
    result["ratio"] = result["exact_ms"] / result["estimated_ms"]
    tell(f"exact {result['exact_ms']:.1f} ms, estimated {result['estimated_ms']:.3f} ms "
         f"({estimate} for {rows}, error {result['error']:.3%}): {result['ratio']:.0f} times faster, "
         f"target {TARGET}: {'met' if result['ratio'] >= TARGET else 'NOT MET'}")
    return result
