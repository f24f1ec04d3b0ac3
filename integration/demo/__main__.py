"""Entry point of scripts/demo."""
import argparse
import os
import signal
import sys

from integration.support.postgres import PASSWORD
from integration.support.pgrecall import ROOT

from . import report, runs, versions
from .client import SITE, Task
from .servers import CHECKER, DATABASE, SITE_USER, Servers

EXIT_STATUS = """
exit status: 0 everything promised was seen; 1 something was not (a stale answer, a failed page, a hit
rate or a page below what is expected), so also the right one under --sabotage; 2 wrong usage; 3 under
--sabotage the checker found nothing, so that it is worth nothing.
"""
SABOTAGE = "no-advance"


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/demo", allow_abbrev=False, epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Shows a Django site before and after pgrecall, with a checker beside it.")
    parser.add_argument("--small", action="store_true", help="a hundredth of the data")
    parser.add_argument("--seconds", type=float, default=60, help="length of the direct run (60)")
    parser.add_argument("--clients", type=int, default=4, help="client processes (4)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another sequence of pages")
    parser.add_argument("--keep", action="store_true",
                        help="leave everything running, and the site served, until Ctrl-C")
    parser.add_argument("--sabotage", action="store_true",
                        help="break a freshness rule on purpose: the checker must find stale answers")
    arguments = parser.parse_args()
    if not 1 <= arguments.clients <= 10:
        parser.error("--clients must be 1 to 10")
    if arguments.seconds <= 0:
        parser.error("--seconds must be positive")
    return arguments


class Demo:
    """One demo from start to exit status."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.servers = Servers()
        self.misses = []

    def close(self):
        self.servers.close()

    def run(self):
        self._start()
        direct, proxied, fast = self._measure()
        found = self._test_versions()
        stale = self._report(direct, proxied, fast, found)
        if self.arguments.keep:
            self._keep()
        if self.arguments.sabotage:
            return 1 if stale else 3
        return 1 if self.misses else 0

    # -- start --------------------------------------------------------------------------------
    def _start(self):
        arguments, servers = self.arguments, self.servers
        print("Starting PostgreSQL, loading the site ...", flush=True)
        servers.start_postgres()
        servers.start_redis()
        servers.load_site(arguments.small)
        program = ROOT / "build" / ("dev" if arguments.sabotage else "release") / "pgrecall"
        servers.start_proxy(os.environ.get("PGRECALL_BIN", program), [SABOTAGE] if arguments.sabotage else [])
        from .journey import Size

        self.size = Size(servers.count("publication_article"), servers.count("auth_user"),
                         *servers.slugs())
        print(f"PostgreSQL on 127.0.0.1:{servers.postgres.port}, pgrecall on 127.0.0.1:"
              f"{servers.proxy.port} with no rules and Redis as second tier, its dashboard on "
              f"http://127.0.0.1:{servers.proxy.admin_port}/", flush=True)

    # -- measure ------------------------------------------------------------------------------
    def _tasks(self):
        address = ("127.0.0.1", self.servers.postgres.port)
        return [Task(run="d", client=client, clients=self.arguments.clients, seed=self.arguments.seed,
                     size=self.size, site_address=address, direct_address=address, database=DATABASE,
                     user=SITE_USER, checker=CHECKER, password=PASSWORD,
                     check_share=0.07, warm_seconds=self.arguments.seconds / 6,
                     seconds=self.arguments.seconds)
                for client in range(self.arguments.clients)]

    def _measure(self):
        """The same pages direct, through pgrecall at the same pace, which shows the latencies of equal
        traffic, and through pgrecall as fast as they come. Under sabotage only the last."""
        tasks = self._tasks()
        address = {"site_address": ("127.0.0.1", self.servers.proxy.port)}
        if self.arguments.sabotage:
            return None, self._run("through pgrecall", [
                Task(**{**vars(task), **address, "run": "f"}) for task in tasks]), None
        direct = self._run("direct", tasks)
        proxied = self._run("through pgrecall, at the same pace",
                            runs.same_again(tasks, direct.outcomes, True, run="p", **address))
        fast = self._run("through pgrecall, at its own pace",
                         runs.same_again(tasks, direct.outcomes, False, run="f", **address))
        return direct, proxied, fast

    def _run(self, name, tasks):
        outcomes = runs.run_pages(name, tasks, self._start_counting)
        return report.Run(outcomes, self.servers.query_count(), self.stats_before,
                          self.servers.proxy.stats())

    def _start_counting(self):
        """All clients have warmed up and none has gone on yet."""
        self.servers.reset_query_count()
        self.stats_before = self.servers.proxy.stats()

    def _test_versions(self):
        servers = self.servers
        before = servers.proxy.stats().hits
        parameters = {"host": "127.0.0.1", "port": servers.proxy.port, "dbname": DATABASE,
                      "user": SITE_USER, "password": PASSWORD}
        found = runs.run_versions(parameters, 2, max(2, self.arguments.clients - 1),
                                  min(10.0, self.arguments.seconds / 4))
        self.version_hits = servers.proxy.stats().hits - before
        return found

    # -- report -------------------------------------------------------------------------------
    def _report(self, direct, proxied, fast, found):
        print()
        checked = [proxied]
        if direct:
            self._compare(direct, proxied, fast)
            checked.append(fast)
        stale = report.stale_answers(checked, found)
        print("\n".join(report.checker_lines(checked, found)))
        print(f"  of these reads {self.version_hits:,} were hits")
        print(f"stale answers: {stale:,}")
        if direct:
            self._expect("the checker is right about PostgreSQL itself",
                         not report.stale_answers([direct], None))
            self._expect("no page failed", not sum(run.total("failures") for run in (direct, *checked)))
            rate = proxied.read_hit_rate()
            self._expect(f"read_hit_rate is at least {report.READ_HIT_RATE_MIN}",
                         rate >= report.READ_HIT_RATE_MIN)
        self._expect("no stale answer", not stale)
        verdicts = report.verdicts(checked)
        self._expect(f"at least {report.CHECKED_SHARE_MIN:.0%} of the answers were checked",
                     verdicts.checked >= report.CHECKED_SHARE_MIN * verdicts.answers)
        self._expect("the version test saw hits", self.version_hits > 0)
        print(f"dashboard: http://127.0.0.1:{self.servers.proxy.admin_port}/")
        return stale

    def _compare(self, direct, proxied, fast):
        lines, slower = report.page_table(direct, proxied)
        print("\n".join(lines) + "\n")
        print(f"{'':42}{'direct':>10}{'pgrecall':>10}")
        for name, values in (
                ("queries reaching PostgreSQL", [direct.queries, proxied.queries]),
                ("requests per second, as fast as they come",
                 [direct.requests_per_second(), fast.requests_per_second()])):
            print(f"{name:42}{values[0]:10,.0f}{values[1]:10,.0f}")
        print(f"{'read_hit_rate':42}{'':10}{proxied.read_hit_rate():10.3f}")
        print(report.not_hits_line(proxied.stats_before, proxied.stats_after) + "\n")
        self._expect(f"no page has a p50 above its direct one by more than {report.NOISE_SHARE:.0%} and "
                     f"{1000 * report.NOISE_SECONDS} ms" + (f" ({', '.join(slower)})" if slower else ""),
                     not slower)

    def _expect(self, what, holds):
        if not holds:
            self.misses.append(what)
            print(f"NOT SEEN: {what}")

    def _keep(self):
        servers = self.servers
        print(f"\nEverything is left running until Ctrl-C:\n"
              f"  site (user1 / password is an editor)  {servers.start_site()}\n"
              f"  dashboard                             http://127.0.0.1:{servers.proxy.admin_port}/\n"
              f"  pgrecall                              psql -h 127.0.0.1 -p {servers.proxy.port} "
              f"-U {SITE_USER} {DATABASE}  (password: {PASSWORD})\n"
              f"  PostgreSQL                            psql -h 127.0.0.1 -p {servers.postgres.port} "
              f"-U {SITE_USER} {DATABASE}", flush=True)
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            print()


def main():
    arguments = parse_arguments()
    sys.path.insert(0, str(SITE))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo(arguments)
    try:
        return demo.run()
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        demo.close()


if __name__ == "__main__":
    sys.exit(main())
