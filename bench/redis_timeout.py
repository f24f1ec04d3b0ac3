#!/usr/bin/python3
"""How long Redis takes to answer as pgrecall sees it, on a machine that is busy, and what redis.timeout
makes of it. Figures of docs/adr/022-redis-timeout.md.

Tier one is kept too small, so that reads ask Redis again and again; busy loops take the cores away from
all of them alike. Ends by itself: SECONDS for each line of the table.

  bench/redis_timeout.py [--seconds 15] [--busy 0,2,4] [--timeouts 50ms,250ms,1s] [--program FILE]
"""
import argparse
import multiprocessing
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))

from support import wire  # noqa: E402
from support.pgrecall import Pgrecall, binary  # noqa: E402
from support.postgres import PostgresServer, Template  # noqa: E402
from support.redis_server import RedisServer  # noqa: E402
from support.waiting import wait_until  # noqa: E402

ROWS = 400
BODY_BYTES = 4_000
READERS = 4
COLUMNS = ["busy loops", "redis.timeout", "reads", "asked", "hits", "not awaited", "time-outs",
           "p50 ms", "p99 ms", "p99.9 ms"]


def burn():
    while True:
        pass


def read(port, first, until, counts):
    client = wire.WireClient.connect(port, "postgres")
    number = first
    while time.monotonic() < until:
        number = number % ROWS + 1
        client.query(f"SELECT body FROM document WHERE id = {number}")
        counts.append(1)
    client.close()


def measure(postgres, redis, timeout, busy, seconds, program):
    redis.client().flushall()
    proxy = Pgrecall(postgres.port, {"redis": {"url": redis.url, "timeout": timeout},
                                     "cache": {"size": "1MB"}}, program=program)
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(busy)]
    try:
        proxy.wait_catalog("postgres")
        wait_until(lambda: proxy.stats()["redis"]["available"], "Redis is in use", 30)
        for burner in burners:
            burner.start()
        counts, until = [], time.monotonic() + seconds
        readers = [threading.Thread(target=read, args=(proxy.port, ROWS // READERS * reader, until, counts))
                   for reader in range(READERS)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        stats = proxy.stats()["redis"]
    finally:
        for burner in burners:
            burner.terminate()
        proxy.remove()
    took = stats.get("round_trip", {})
    times = [f"{took[key] / 1e3:.2f}" if key in took else "-" for key in ("p50_us", "p99_us", "p999_us")]
    return [busy, timeout, len(counts), stats["gets"], stats["hits"], stats.get("unawaited", "-"),
            stats["timeouts"], *times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--busy", default=f"0,{os.cpu_count()},{2 * os.cpu_count()}")
    parser.add_argument("--timeouts", default="50ms,250ms,1s")
    parser.add_argument("--program", type=pathlib.Path, default=None)
    arguments = parser.parse_args()
    template = Template()
    postgres, redis = PostgresServer(template), RedisServer()
    try:
        postgres.sql("postgres", "CREATE TABLE document (id int PRIMARY KEY, body text NOT NULL)",
                     f"INSERT INTO document SELECT n, repeat('x', {BODY_BYTES}) "
                     f"FROM generate_series(1, {ROWS}) n")
        print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
        for busy in map(int, arguments.busy.split(",")):
            for timeout in arguments.timeouts.split(","):
                row = measure(postgres, redis, timeout, busy, arguments.seconds,
                              arguments.program or binary())
                print("| " + " | ".join(map(str, row)) + " |", flush=True)
    finally:
        redis.remove()
        postgres.remove()
        template.remove()


if __name__ == "__main__":
    main()
