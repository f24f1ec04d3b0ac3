"""The servers that are compared. Each is started on a free loopback port, asked with the same load,
observed through its own counters, and ended by its pid."""
import os
import pathlib

import psycopg2
import redis
from support import pgrecall as program
from support.postgres import SUPERUSER
from support.processes import Child, free_port, new_folder, remove_folder, wait_until_listening
from support.redis_server import RedisServer
from support.waiting import wait_until

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """Processor time of a process, its living children and those it has waited for."""
    total, children = 0, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append((int(stat.parent.name), fields))
        if int(stat.parent.name) == pid:
            total += sum(int(field) for field in fields[11:15])
    below = list(children.get(pid, []))
    while below:
        child, fields = below.pop()
        total += sum(int(field) for field in fields[11:15])
        below += children.get(child, [])
    return total / TICKS_PER_SECOND


class Peer:
    """`counted()` is the server's own count of what it did so far, called `counter`; a run of N
    questions must raise it by N, if `counts(script)`. `counters()` is what the report shows at the end."""

    name = ""
    counter = ""
    protocols = ("simple", "extended", "prepared")
    database = "postgres"

    def run(self, load, script, protocol, clients, seconds):
        return load.pgbench(self.port, self.database, script, protocol, clients, seconds)

    def counts(self, script):
        return bool(self.counter)

    def settle(self, at_least):
        """Some counters are written when a connection ends: waits until it has risen so far."""

    def cpu_seconds(self):
        return cpu_seconds(self.pid)


class Canned(Peer):
    """The least any server can do: one row from memory. pgbench's own count is its counter."""
    name = "canned responder"

    def __init__(self, binary):
        self.folder = new_folder("canned")
        self.port = free_port()
        self.child = Child([binary, str(self.port)], self.folder / "log")
        wait_until_listening(self.port, self.child, "the canned responder")
        self.pid = self.child.pid

    def counters(self):
        return {}

    def end(self):
        self.child.end()
        remove_folder(self.folder)


class Direct(Peer):
    """PostgreSQL itself."""
    name = "PostgreSQL direct"
    counter = "xact_commit"

    def __init__(self, server, database):
        self.server, self.port, self.database = server, server.port, database
        self.pid = server.child.pid

    def counted(self):
        return self.server.sql("postgres", "SELECT xact_commit FROM pg_stat_database "
                                           f"WHERE datname = '{self.database}'")[0][0]

    def settle(self, at_least):
        wait_until(lambda: self.counted() >= at_least, "pg_stat_database is up to date")

    def counters(self):
        rows = self.server.sql("postgres", "SELECT xact_commit, tup_returned, tup_fetched FROM "
                                           f"pg_stat_database WHERE datname = '{self.database}'")
        return dict(zip(("xact_commit", "tup_returned", "tup_fetched"), rows[0]))

    def end(self):
        """The server is its maker's."""


class PgBouncer(Peer):
    """Transaction pooling. 1.18 cannot keep prepared statements there."""
    name = "PgBouncer"
    counter = "total_xact_count"
    protocols = ("simple", "extended")

    def __init__(self, server, database, pool_size):
        self.folder, self.port, self.database = new_folder("pgbouncer"), free_port(), database
        path = self.folder / "pgbouncer.ini"
        path.write_text(f"""[databases]
{database} = host=127.0.0.1 port={server.port} user={SUPERUSER}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
admin_users = {SUPERUSER}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
log_connections = 0
log_disconnections = 0
""")
        self.child = Child(["pgbouncer", path], self.folder / "log")
        wait_until_listening(self.port, self.child, "PgBouncer")
        self.pid = self.child.pid

    def _stats(self):
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=SUPERUSER, dbname="pgbouncer")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW STATS")
                names = [column.name for column in cursor.description]
                rows = [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            connection.close()
        return next((row for row in rows if row["database"] == self.database), {})

    def counted(self):
        return int(self._stats().get("total_xact_count", 0))

    def counters(self):
        return {name: int(value) for name, value in self._stats().items() if name.startswith("total_")}

    def end(self):
        self.child.end()
        remove_folder(self.folder)


class PgpoolII(Peer):
    """Its memory cache is on: what it answers is a hit of that cache."""
    name = "Pgpool-II, memory cache"
    counter = "num_cache_hits"

    def __init__(self, server, database, pool_size):
        self.folder, self.port, self.database = new_folder("pgpool"), free_port(), database
        path = self.folder / "pgpool.conf"
        (self.folder / "oids").mkdir(mode=0o777)
        (self.folder / "oids").chmod(0o777)
        path.write_text(f"""listen_addresses = '127.0.0.1'
port = {self.port}
pcp_listen_addresses = '127.0.0.1'
pcp_port = {free_port()}
socket_dir = '{self.folder}'
pcp_socket_dir = '{self.folder}'
pid_file_name = '{self.folder}/pid'
logdir = '{self.folder}'
work_dir = '{self.folder}'
backend_clustering_mode = 'raw'
backend_hostname0 = '127.0.0.1'
backend_port0 = {server.port}
backend_weight0 = 1
num_init_children = {max(pool_size, 20)}
max_pool = 1
enable_pool_hba = off
memory_cache_enabled = on
memqcache_method = 'shmem'
memqcache_total_size = 64MB
memqcache_expire = 0
memqcache_oiddir = '{self.folder}/oids'
""")
        for name in ("pcp.conf", "pool_hba.conf"):
            (self.folder / name).touch()
        self.child = Child(["pgpool", "-n", "-f", path, "-F", self.folder / "pcp.conf",
                            "-a", self.folder / "pool_hba.conf"], self.folder / "log")
        wait_until_listening(self.port, self.child, "Pgpool-II")
        self.pid = self.child.pid

    def counters(self):
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=SUPERUSER,
                                      dbname=self.database)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW pool_cache")
                return dict(zip([column.name for column in cursor.description], cursor.fetchone()))
        finally:
            connection.close()

    def counted(self):
        return int(self.counters()["num_cache_hits"])

    def end(self):
        self.child.end()
        remove_folder(self.folder)


class Redis(Peer):
    """GET of a value as long as the row's column."""
    name = "Redis GET"
    counter = "keyspace_hits"
    protocols = ("GET",)

    def __init__(self, load):
        self.server = RedisServer()
        self.port, self.pid = self.server.port, self.server.child.pid
        load.redis_benchmark(self.port, "set", 8, 20 * load.keys)
        self.requests_per_second = 50_000

    def run(self, load, script, protocol, clients, seconds):
        requests = max(10_000, int(self.requests_per_second * seconds))
        run = load.redis_benchmark(self.port, "get", clients, requests)
        self.requests_per_second = run.per_second
        return run

    def _info(self):
        return redis.Redis(host="127.0.0.1", port=self.port).info("stats")

    def counted(self):
        return self._info()["keyspace_hits"]

    def counters(self):
        info = self._info()
        return {name: info[name] for name in ("keyspace_hits", "keyspace_misses")}

    def end(self):
        self.server.remove()


class PgrecallPeer(Peer):
    """One worker. `counter` is what each question must count as: hits, misses or bypasses."""

    def __init__(self, binary, server, name, counter, database, pool_size, config=None):
        self.name, self.counter, self.database = name, counter, database
        # Entries must not age away while they are measured, whatever feed the server allows. As PgBouncer
        # above it lets everybody in by itself: with passthrough each login makes a server connection, which
        # in runs of a few seconds would be measured as if it were the cost of the questions.
        settings = program.merged({"pool": {"size": pool_size}, "listen": {"unix_socket_dir": ""},
                                   "auth": {"mode": "trust"},
                                   "cache": {"max_age_without_feed": "1h"}}, config or {})
        self.proxy = program.Pgrecall(server.port, settings, ["--workers", "1"], program=binary)
        self.port, self.pid = self.proxy.port, self.proxy.pid

    def counts(self, script):
        return script != "write"  # its counter is about reads

    def counted(self):
        stats = self.proxy.stats()
        return stats.bypassed if self.counter == "bypasses" else stats[self.counter]

    def counters(self):
        stats = self.proxy.stats()
        return {name: stats[name] for name in ("hits", "misses", "read_hit_rate", "bypasses")}

    def ready(self):
        """Asks until an answer counts as what is to be measured: the catalog must be known first."""
        wait_until(lambda: self.proxy.get("/readyz")[0] == 200, f"{self.name} is ready", seconds=30)
        before, number = self.counted(), 0
        connection = self.proxy.connect(self.database)

        def counts():
            nonlocal number
            number += self.counter == "misses"
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT abalance FROM pgbench_accounts WHERE aid = 1 AND {number} >= 0")
            return self.counted() > before

        wait_until(counts, f"{self.name} counts {self.counter}", seconds=30)
        connection.close()

    def end(self):
        self.proxy.remove()
