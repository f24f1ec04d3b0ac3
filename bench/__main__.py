"""scripts/bench: see --help."""
import argparse
import contextlib
import json
import pathlib
import subprocess
import sys

from support.postgres import SUPERUSER, PostgresServer, Template, postgres_bin
from support.processes import new_folder, remove_folder

from . import ROOT, count, idle, peers
from .clients import Load
from .measure import Series, measure
from .report import PROTOCOLS, Report

POOL_SIZE = 20


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures a one-row SELECT side by side in one run: a canned responder, PostgreSQL, "
                    "PgBouncer, Pgpool-II with its memory cache, Redis GET, and pgrecall's hit, miss and "
                    "cache.mode = off. Prints ratios; each server's own counters prove what it did.")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (3)")
    parser.add_argument("--repetitions", type=int, default=5, help="of all series, interleaved (5)")
    parser.add_argument("--clients", type=int, default=8, help="connections of pgbench (8)")
    parser.add_argument("--threads", type=int, default=2, help="of the client (2)")
    parser.add_argument("--scale", type=int, default=1, help="of pgbench's tables (1)")
    parser.add_argument("--keys", type=int, default=1000, help="distinct keys that are asked for (1000)")
    parser.add_argument("--only", default="", help="names of servers, or parts of them, separated by commas")
    parser.add_argument("--quick", action="store_true", help="1 second, 1 repetition: shows that it works")
    parser.add_argument("--count", action="store_true", help="COUNT(*) of a large table instead")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of that table (10,000,000)")
    parser.add_argument("--idle", type=int, metavar="CLIENTS", help="memory of so many idle clients instead")
    parser.add_argument("--json", metavar="FILE", help="also writes everything there")
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="folder of the programs measured")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.repetitions = 1, 1
    return arguments


def tell(text):
    print(text, flush=True)


def load_tables(server, database, scale):
    server.create_database(database)
    subprocess.run([postgres_bin() / "pgbench", "-i", "-q", "-s", str(scale), "-h", "127.0.0.1",
                    "-p", str(server.port), "-U", SUPERUSER, database],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_peers(stack, arguments, server, load, programs):
    """Every server, each with a database of its own, so that PostgreSQL's counters tell them apart."""
    wanted = [word for word in arguments.only.lower().split(",") if word]
    server.sql("postgres", "CHECKPOINT")

    def database(name):
        server.create_database(name, template="bench")
        return name

    makers = {
        "canned responder": lambda: peers.Canned(programs / "canned_responder"),
        "Redis GET": lambda: peers.Redis(load),
        "pgrecall hit": lambda: peers.PgrecallPeer(
            programs / "pgrecall", server, "pgrecall hit", "hits", database("bench_hit"), POOL_SIZE),
        "pgrecall miss": lambda: peers.PgrecallPeer(
            programs / "pgrecall", server, "pgrecall miss", "misses", database("bench_miss"), POOL_SIZE),
        "pgrecall off": lambda: peers.PgrecallPeer(
            programs / "pgrecall", server, "pgrecall off", "bypasses", database("bench_off"), POOL_SIZE,
            {"cache": {"mode": "off"}}),
        "PostgreSQL direct": lambda: peers.Direct(server, database("bench_direct")),
        "PgBouncer": lambda: peers.PgBouncer(server, database("bench_pgbouncer"), POOL_SIZE),
        "Pgpool-II": lambda: peers.PgpoolII(server, database("bench_pgpool"), POOL_SIZE),
    }
    made = {}
    for name, make in makers.items():
        if wanted and not any(word in name.lower() for word in wanted):
            continue
        if name.startswith("pgrecall") and not (programs / "pgrecall").exists():
            tell(f"{name} is left out: {programs / 'pgrecall'} is not built")
            continue
        tell(f"starting {name}")
        made[name] = make()
        stack.callback(made[name].end)
    for peer in made.values():
        if isinstance(peer, peers.PgrecallPeer):
            peer.ready()
    return made


def choose_series(made, clients):
    """What is compared stands next to each other in time."""
    plan = [(name, "hit", protocol, clients) for protocol in ("GET", *PROTOCOLS)
            for name in ("Redis GET", "canned responder", "pgrecall hit", "Pgpool-II")]
    plan += [(name, "hit", protocol, clients) for protocol in PROTOCOLS
             for name in ("PostgreSQL direct", "PgBouncer", "pgrecall off")]
    plan += [(name, "miss", protocol, clients) for protocol in PROTOCOLS
             for name in ("PostgreSQL direct", "PgBouncer", "pgrecall miss")]
    plan += [(name, "hit", protocol, 1) for protocol in PROTOCOLS
             for name in ("canned responder", "pgrecall hit")]
    plan += [(name, "write", "simple", 1)
             for name in ("PostgreSQL direct", "pgrecall off", "pgrecall hit")]
    series = []
    for name, script, protocol, count_of_clients in plan:
        peer = made.get(name)
        if peer and protocol in peer.protocols:
            series.append(Series(peer, script, protocol, count_of_clients))
    return series


def compare(arguments, template):
    programs = pathlib.Path(arguments.build)
    folder = new_folder("bench")
    with contextlib.ExitStack() as stack:
        stack.callback(remove_folder, folder)
        # fsync as users have it: writes are measured too.
        server = PostgresServer(template, options={"fsync": "on", "shared_buffers": "256MB"})
        stack.callback(server.remove)
        load = Load(folder, arguments.threads, arguments.keys)
        load_tables(server, "bench", arguments.scale)
        made = start_peers(stack, arguments, server, load, programs)
        series = choose_series(made, arguments.clients)
        measure(series, load, arguments.seconds, arguments.repetitions, tell)
        report = Report(series, {
            "clients": arguments.clients, "client threads": arguments.threads, "scale": arguments.scale,
            "keys": arguments.keys, "seconds": arguments.seconds, "repetitions": arguments.repetitions,
            "pool size": POOL_SIZE, "result": "one row, one int4 column, 1 digit"})
        report.print()
        return report.as_dict(), report.void_reason() is None and not report.unproved()


def main():
    arguments = parse_arguments()
    template = Template()
    try:
        if arguments.count:
            result = count.run(template, pathlib.Path(arguments.build) / "pgrecall", arguments.rows,
                               max(3, arguments.repetitions), tell)
            good = result["ratio"] >= count.TARGET
        elif arguments.idle:
            result = idle.run(template, pathlib.Path(arguments.build) / "pgrecall", arguments.idle, tell)
            good = all(each["met"] for each in result.values())
        else:
            result, good = compare(arguments, template)
    finally:
        template.remove()
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=2, default=str) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
