#!/usr/bin/python3
"""Django's own test suite: direct, then through pgrecall twice in a row. The same tests must fail (if
any), and the counters show that the cache took part."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent.parent)

from support.pgrecall import Pgrecall  # noqa: E402
from support.postgres import PASSWORD, PostgresServer, Template  # noqa: E402

LABELS = ["basic", "transactions", "get_or_create", "backends", "select_for_update", "multiple_database",
          "sessions_tests", "raw_query", "bulk_create", "introspection", "timezones"]


class Outcome:
    """One run of the suite: how many tests, which of them failed or raised, how long."""

    def __init__(self, output, seconds):
        self.output, self.seconds = output, seconds
        ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
        self.tests = int(ran.group(1)) if ran else 0
        self.failed = sorted(set(re.findall(r"^(?:ERROR|FAIL): (.+)$", output, re.M)))


def run_suite(tests, port, labels, log):
    environment = {**os.environ, "PGRECALL_TEST_PORT": str(port), "PGRECALL_TEST_PASSWORD": PASSWORD,
                   "PYTHONPATH": str(HERE)}
    start = time.monotonic()
    done = subprocess.run(["/usr/bin/python3", "runtests.py", "--settings=pgrecall_settings", "--parallel=1",
                           "--noinput", *labels], cwd=tests, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log.write(done.stdout)
    outcome = Outcome(done.stdout, time.monotonic() - start)
    if not outcome.tests:
        raise SystemExit(f"the suite did not run:\n{done.stdout[-3000:]}")
    return outcome


def report(name, outcome):
    print(f"{name}: {outcome.tests} tests, {len(outcome.failed)} failed, {outcome.seconds:.0f} s", flush=True)


def compare(name, outcome, baseline):
    report(name, outcome)
    if outcome.failed == baseline.failed and outcome.tests == baseline.tests:
        return True
    print(f"  only {name}: {sorted(set(outcome.failed) - set(baseline.failed))}")
    print(f"  only direct: {sorted(set(baseline.failed) - set(outcome.failed))}")
    return False


def print_counters(stats):
    print(f"hits {stats.hits}, misses {stats.misses}, bypasses {stats.bypassed}, hit rate {stats['hit_rate']:.3f}")
    for reason, count in sorted(stats["bypasses"].items(), key=lambda item: -item[1]):
        if count:
            print(f"  {reason}: {count}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["on", "off", "observe"], default="on", help="cache.mode")
    parser.add_argument("--only-direct", action="store_true", help="the baseline and nothing else")
    parser.add_argument("--pool-size", type=int, default=20)
    parser.add_argument("--log", default=None, help="keep the suite's output in this file")
    parser.add_argument("labels", nargs="*", default=LABELS)
    options = parser.parse_args()

    sys.path.append(str(HERE))
    from source import fetch
    tests = fetch()
    template = Template()
    server = PostgresServer(template)
    log = open(options.log or os.devnull, "w")
    try:
        baseline = run_suite(tests, server.port, options.labels, log)
        report("direct", baseline)
        for name in baseline.failed:
            print(f"  fails on PostgreSQL itself: {name}")
        if options.only_direct:
            return 0
        proxy = Pgrecall(server.port, {"cache": {"mode": options.mode}, "pool": {"size": options.pool_size}})
        try:
            same = [compare(f"pgrecall, cache {options.mode}, run {turn}",
                            run_suite(tests, proxy.port, options.labels, log), baseline) for turn in (1, 2)]
            proxy.assert_alive()
            stats = proxy.stats()
        finally:
            proxy.remove()
        print_counters(stats)
        cached = stats.hits > 0 or options.mode != "on"
        if not cached:
            print("nothing was ever answered from the cache: this proves nothing")
        return 0 if all(same) and cached else 1
    finally:
        server.remove()
        template.remove()
        log.close()


if __name__ == "__main__":
    sys.exit(main())
