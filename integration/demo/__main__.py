"""Entry point of scripts/demo."""
import contextlib
import os
import signal
import sys
import traceback

from integration.support.postgres import PASSWORD
from integration.support.pgrecall import ROOT

from . import report, runs
from .arguments import parse_arguments
from .client import SITE, Task
from .phases import Phases
from .servers import CHECKER, DATABASE, ENTRY_AGE, FIRST_LOOK, SITE_USER, Servers

BROKEN_OFF = 4
SABOTAGE = "no-advance"
# With --small each client takes so many steps, first to warm up, then measured: as many on any machine.
SMALL_STEPS = 25, 60


class Demo:
    """One demo from start to exit status."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.servers = Servers()
        self.phases = Phases()
        self.misses = []

    def close(self):
        self.servers.close()

    def run(self):
        with self.phases.phase("first look"):
            self._start()
            self._first_look()
        with self.phases.phase("data"):
            self._load()
        pages = None
        if not self.arguments.sabotage:
            with self.phases.phase("pages one by one"):
                pages = self._pages()
        with self.phases.phase("journey"):
            direct, proxied, fast = self._measure()
        with self.phases.phase("versions"):
            found = self._test_versions()
        stale = self._report(pages, direct, proxied, fast, found)
        if not self.arguments.sabotage:
            self._next()
        if self.arguments.keep:
            self._keep()
        if self.arguments.sabotage:
            return 1 if stale else 3
        return 1 if self.misses else 0

    # -- start --------------------------------------------------------------------------------
    def _start(self):
        servers = self.servers
        print("Starting a throw-away PostgreSQL, Redis and pgrecall ...", flush=True)
        servers.start_postgres()
        servers.start_redis()
        servers.migrate()
        program = ROOT / "build" / ("dev" if self.arguments.sabotage else "release") / "pgrecall"
        servers.start_proxy(os.environ.get("PGRECALL_BIN", program),
                            [SABOTAGE] if self.arguments.sabotage else [])
        servers.proxy.wait_catalog(FIRST_LOOK)
        print(f"PostgreSQL on 127.0.0.1:{servers.postgres.port}, pgrecall on 127.0.0.1:"
              f"{servers.proxy.port} without a rule, with Redis as second tier\nand entries that live for "
              f"{ENTRY_AGE}, its dashboard on http://127.0.0.1:{servers.proxy.admin_port}/", flush=True)

    def _first_look(self):
        from . import look

        costs = look.first_look(self.servers, FIRST_LOOK)
        print(f"\nThe page {look.FIRST_PAGE} of a small site, as a miss and as a hit (direct and again: the least "
              f"of {look.REPEATS} times):")
        print("\n".join(report.first_look_lines(costs)))
        self._expect("the page's second time through pgrecall was answered by hits", costs[-1][1].hits > 0)

    def _load(self):
        from .journey import Size

        servers = self.servers
        servers.seed("medium" if self.arguments.small else "full")
        servers.proxy.wait_catalog(DATABASE)
        self.size = Size(servers.count("publication_article"), servers.count("auth_user"),
                         *servers.slugs())

    # -- measure ------------------------------------------------------------------------------
    def _pages(self):
        from . import look

        pages = look.page_costs(self.servers, DATABASE)
        print(f"Each asked for {look.REPEATS} times with no write between; "
              "the least of each figure (PostgreSQL's work: the mean):\n")
        print("\n".join(report.cost_lines(pages)))
        for page in pages:
            if page.bound:
                self._expect(f"PostgreSQL works at least {report.GAIN_MIN} times less for \"{page.name}\"", page.gains())
        return pages

    def _tasks(self):
        address = ("127.0.0.1", self.servers.postgres.port)
        warm_steps, steps = SMALL_STEPS if self.arguments.small else (None, None)
        return [Task(run="d", client=client, clients=self.arguments.clients, seed=self.arguments.seed,
                     size=self.size, site_address=address, direct_address=address, database=DATABASE,
                     user=SITE_USER, checker=CHECKER, password=PASSWORD,
                     check_share=0.07, warm_seconds=self.arguments.seconds / 6,
                     seconds=self.arguments.seconds, warm_steps=warm_steps, steps=steps)
                for client in range(self.arguments.clients)]

    def _measure(self):
        """The same pages direct, through pgrecall at the same pace, which shows the latencies of equal
        traffic, and through pgrecall as fast as they come. Small: direct, then through pgrecall, both as
        fast as they come. Under sabotage only through pgrecall."""
        tasks = self._tasks()
        address = {"site_address": ("127.0.0.1", self.servers.proxy.port)}
        if self.arguments.sabotage:
            return None, self._run("through pgrecall", [
                Task(**{**vars(task), **address, "run": "f"}) for task in tasks]), None
        direct = self._run("direct", tasks)
        # These writes went past pgrecall.
        self.servers.forget()
        if self.arguments.small:
            return direct, self._run("through pgrecall", runs.same_again(
                tasks, direct.outcomes, False, run="p", **address)), None
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
        seconds = 4.0 if self.arguments.small else min(10.0, self.arguments.seconds / 4)
        found = runs.run_versions(parameters, 2, max(2, self.arguments.clients - 1), seconds)
        self.version_hits = servers.proxy.stats().hits - before
        return found

    # -- report -------------------------------------------------------------------------------
    def _report(self, pages, direct, proxied, fast, found):
        print("\n== result")
        checked = [run for run in (proxied, fast) if run]
        if direct:
            self._compare(direct, proxied, fast)
        stale = report.stale_answers(checked, found)
        print("\n".join(report.checker_lines(checked, found)))
        print(f"  of these reads {self.version_hits:,} were hits")
        print(f"stale answers: {stale:,}")
        if direct:
            self._expect("the checker is right about PostgreSQL itself",
                         not report.stale_answers([direct], None))
            self._expect("no page failed", not sum(run.total("failures") for run in (direct, *checked)))
        self._expect("no stale answer", not stale)
        verdicts = report.verdicts(checked)
        self._expect(f"at least {report.CHECKED_SHARE_MIN:.0%} of the answers were checked",
                     verdicts.checked >= report.CHECKED_SHARE_MIN * verdicts.answers)
        self._expect("the version test saw hits", self.version_hits > 0)
        if pages and not self.misses:
            gains = ", ".join(f"\"{page.name}\" {1000 * page.direct.executing:.0f} ms to "
                              f"{1000 * page.warm.executing:.0f} ms" for page in pages if page.bound)
            print(f"everything promised was seen; PostgreSQL's work for pages: {gains}")
        print(self.phases.line())
        return stale

    def _compare(self, direct, proxied, fast):
        if not self.arguments.small:
            lines, slower = report.page_table(direct, proxied)
            print("\n".join(lines) + "\n")
            self._expect(f"no page has a p50 above its direct one by more than {report.NOISE_SHARE:.0%} and "
                         f"{1000 * report.NOISE_SECONDS} ms" + (f" ({', '.join(slower)})" if slower else ""),
                         not slower)
        print("\n".join(report.run_lines(direct, proxied, fast or proxied)))
        if self.arguments.small:
            # A run of so many seconds may be too short for repeats; one of so many steps is not.
            self._expect(f"at most 1 in {report.FEWER_QUERIES_MIN} queries reaches PostgreSQL",
                         proxied.queries * report.FEWER_QUERIES_MIN <= direct.queries)
        least = report.HITS_OF_DUE_MIN * proxied.due_rate()
        self._expect(f"read_hit_rate is at least {least:.3f}, {report.HITS_OF_DUE_MIN:.0%} of what was due",
                     proxied.hits() and proxied.read_hit_rate() >= least)

    def _expect(self, what, holds):
        if not holds:
            self.misses.append(what)
            print(f"NOT SEEN: {what}")

    # -- afterwards ---------------------------------------------------------------------------
    def _next(self):
        print("\nFor a Django site of yours:\n"
              "  build/release/pgrecall --upstream postgres://USER:PASSWORD@HOST:5432/\n"
              "and in its settings, in DATABASES[\"default\"], two lines:\n"
              "  \"HOST\": \"127.0.0.1\",\n"
              "  \"PORT\": \"6432\",\n"
              "The dashboard is then at http://127.0.0.1:6433/; that of this demo can be looked at with --keep.")

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
    try:
        with contextlib.closing(Demo(arguments)) as demo:
            return demo.run()
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    except Exception:
        traceback.print_exc()  # 1, Python's own answer to it, would be the right one under --sabotage
        return BROKEN_OFF


if __name__ == "__main__":
    sys.exit(main())
