"""One run of the history: PostgreSQL, the relay, pgrecall, the clients, and what disturbs them."""
import contextlib
import multiprocessing
import os
import pathlib
import queue
import random
import signal
import time

from support.pgrecall import Pgrecall
from support.postgres import PostgresServer
from support.processes import wait_until_listening
from support.redis_server import RedisServer
from support.waiting import wait_until

from . import board as boards
from . import client as clients
from . import keys, report, schema
from .board import Board
from .relay import Relay

DATABASE = "history"
CONFIG = {"pool": {"size": 12}, "cache": {"max_age_without_feed": "1d"}, "log": {"level": "warn"}}
SERVER_OPTIONS = {"deadlock_timeout": "100ms", "max_connections": "300", "log_min_messages": "fatal"}
STUCK_SECONDS = 90
TEXTS_MAX = 5
_CONTEXT = multiprocessing.get_context("fork")


class Options:
    """What varies between runs."""

    def __init__(self, **values):
        self.clients = 16
        self.seed = 1
        self.mix = clients.ALL
        self.fault = None
        self.direct = False      # no pgrecall: proves the checker against PostgreSQL itself
        self.config = {}
        self.delay = (3000, 4000)  # share of answers on slow connections, longest delay in us
        self.stall = (200, 40_000)
        self.cut = 4
        self.redis = False
        self.terminate_seconds = 2.5
        self.crash_seconds = None
        self.server_options = {}
        self.__dict__.update(values)


class World:
    """Owns every process of one run; `close` ends them all."""

    def __init__(self, template, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.terminated = self.crashes = self.lost_commits = 0
        self.violations, self.errors, self.texts = [], [], []
        self.board = Board(options.clients)
        self.client_processes = []
        self._cleanup = contextlib.ExitStack()
        try:
            self._start(template)
        except BaseException:
            self.close()
            raise

    def _start(self, template):
        options = self.options
        self.server = PostgresServer(template, options={**SERVER_OPTIONS, **options.server_options})
        self._cleanup.callback(self.server.remove)
        self.server.create_database(DATABASE)
        schema.create(self.server, DATABASE)
        relay = Relay(self.server.port, self.board, options.seed)
        self.relay = self._fork(relay.run)
        relay.listener.close()
        self.proxy, self.redis, self.port = None, None, relay.port
        if not options.direct:
            arguments = ("--fault", options.fault) if options.fault else ()
            config = {**CONFIG, **options.config}
            if options.redis:
                self.redis = RedisServer()
                self._cleanup.callback(self.redis.remove)
                config["redis"] = {"url": self.redis.url}
            self.proxy = Pgrecall(relay.port, config, arguments)
            self._cleanup.callback(self.proxy.remove)
            wait_until_listening(self.proxy.port, self.proxy.child, "pgrecall")
            self.proxy.wait_catalog(DATABASE)
            self.port = self.proxy.port
        self._disturb(True)
        for number in range(options.clients):
            self.client_processes.append(self._fork(clients.main, self.board, number, self.port, self.server.port,
                                                    DATABASE, options.seed, options.mix))
        self.started = time.monotonic()
        self.next_termination = self.started + 3
        self.next_crash = self.started + 5
        self._progress = [(0, self.started)] * options.clients

    def _fork(self, function, *arguments):
        process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
        process.start()
        self._cleanup.callback(_end, process)
        return process

    def close(self):
        """Clients first, so that none sees the servers go."""
        self.board.switches[boards.STOP] = 1
        for process in self.client_processes:
            self._collect()
            process.join(10)
        self._collect()
        self._cleanup.close()

    # -- disturbances -------------------------------------------------------------------------
    def _disturb(self, on):
        switches, options = self.board.switches, self.options
        switches[boards.DELAY_SHARE], switches[boards.DELAY_US] = options.delay if on else (0, 0)
        switches[boards.STALL_SHARE], switches[boards.STALL_US] = options.stall if on else (0, 0)
        switches[boards.CUT_SHARE] = options.cut if on else 0
        switches[boards.LOSSES] = bool(options.cut or options.terminate_seconds or options.mix.get("late_commit"))

    def step(self, seconds=0.05):
        """One turn of the run: collects what clients found and disturbs what is due."""
        time.sleep(seconds)
        self._collect()
        now = time.monotonic()
        if self.options.terminate_seconds and now >= self.next_termination:
            self.next_termination = now + self.options.terminate_seconds * (0.5 + self.random.random())
            self.terminate_backend()
        if self.options.crash_seconds and now >= self.next_crash:
            self.crash_losing_commits()
            time.sleep(1.5)
            self.end_outage()
            self.next_crash = time.monotonic() + self.options.crash_seconds
        if self.proxy:
            self.proxy.assert_alive()
        self._watch_progress(now)

    def _collect(self):
        for source, found in ((self.board.violations, self.violations), (self.board.errors, self.errors)):
            with contextlib.suppress(queue.Empty):
                while True:
                    found.append(source.get_nowait())
                    if found is self.violations and len(found) <= TEXTS_MAX:  # the diary is still there
                        self.texts.append(report.violation_text(self.board, found[-1]))

    def _watch_progress(self, now):
        for number, process in enumerate(self.client_processes):
            if not process.is_alive():
                raise RuntimeError(f"client {number} ended with {process.exitcode}")
            done = sum(self.board.counters[number])
            if done != self._progress[number][0]:
                self._progress[number] = (done, now)
            elif now - self._progress[number][1] > STUCK_SECONDS:
                self.errors.append(f"client {number} has been stuck for {STUCK_SECONDS} s")
                self._progress[number] = (done, now)

    def terminate_backend(self):
        """pg_terminate_backend of a random server connection, pgrecall's control connection among them."""
        rows = self.server.sql(DATABASE, "SELECT pid FROM pg_stat_activity WHERE datname = 'history' AND pid <> "
                                         "pg_backend_pid() AND backend_type = 'client backend' AND client_port IN "
                                         "(SELECT client_port FROM pg_stat_activity) AND query NOT LIKE 'INSERT INTO x%'")
        if rows:
            self.server.sql(DATABASE, f"SELECT pg_terminate_backend({self.random.choice(rows)[0]})")
            self.terminated += 1

    def crash_losing_commits(self):
        """kill -9 of the whole server while acknowledged asynchronous commits are in its memory only. Until
        `end_outage` clients only read what may have been lost."""
        self._pause()
        self.server.sql(DATABASE, "CHECKPOINT")
        writers = [pid for pid in self.server.backend_pids() if "walwriter" in _title(pid)]
        for pid in writers:
            os.kill(pid, signal.SIGSTOP)
        switches = self.board.switches
        switches[boards.LOSING] = 1
        switches[boards.PAUSE] = 0
        time.sleep(0.7)
        self._pause()
        switches[boards.LOSING], switches[boards.OUTAGE] = 2, 1
        self.server.kill()
        self.server.start()
        for row, version in self.server.sql(DATABASE, "SELECT id, v FROM y"):
            self.lost_commits += max(0, self.board.acknowledged[keys.ASYNC + row] - version)
            self.board.forget(keys.ASYNC + row, version)
        self.crashes += 1
        switches[boards.PAUSE] = 0

    def end_outage(self):
        self.board.switches[boards.OUTAGE] = self.board.switches[boards.LOSING] = 0

    def _pause(self):
        self.board.switches[boards.PAUSE] = 1
        wait_until(lambda: all(paused[0] for paused in self.board.paused), "all clients pause", seconds=90)

    # -- figures ------------------------------------------------------------------------------
    def processor_seconds(self):
        """CPU time so far by kind of process."""
        kinds = {"clients": [process.pid for process in self.client_processes], "relay": [self.relay.pid],
                 "PostgreSQL": self.server.backend_pids()}
        if self.proxy:
            kinds["pgrecall"] = [self.proxy.pid]
        return {kind: sum(_cpu_seconds(pid) for pid in pids) for kind, pids in kinds.items()}


def _end(process):
    if process.is_alive():
        process.kill()
    process.join(10)


def _title(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def _cpu_seconds(pid):
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
