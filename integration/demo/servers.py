"""The throw-away servers of a demo: PostgreSQL, Redis, pgrecall, and on request the site itself."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import urllib.request

from integration.support.pgrecall import ROOT, Pgrecall
from integration.support.postgres import PASSWORD, PostgresServer, Template
from integration.support.processes import Child, free_port, new_folder, remove_folder, wait_until_listening
from integration.support.redis_server import RedisServer

from . import versions

DATABASE = "publication"
FIRST_LOOK = "first_look"
SITE_USER = "publication"
CHECKER = "checker"
SITE = ROOT / "integration" / "django_site"

# What is written past pgrecall is followed by `forget`, so that entries may be old: a slow machine then
# has the same hits as a quick one.
ENTRY_AGE = "1h"
# What a small production server would have: writes are durable, so that their latency is real.
POSTGRES_OPTIONS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "shared_buffers": "512MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "autovacuum": "on",
    "max_connections": "100",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "10000",
    "pg_stat_statements.track_utility": "on",
}


class Servers:
    """Owns everything it starts; `close` ends it all, newest first, and removes the folders."""

    def __init__(self):
        self._stack = contextlib.ExitStack()
        self.postgres = self.redis = self.proxy = self.proxy_release = None

    def close(self):
        self._stack.close()

    def start_postgres(self):
        template = Template()
        try:
            self.postgres = PostgresServer(template, auth="scram-sha-256", options=POSTGRES_OPTIONS)
        finally:
            template.remove()
        self._stack.callback(self.postgres.remove)
        for user in (SITE_USER, CHECKER):
            self.postgres.sql("postgres", f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
        self.postgres.sql("postgres", f"CREATE DATABASE {DATABASE} OWNER {SITE_USER}")
        self.postgres.sql(DATABASE, "CREATE EXTENSION pg_stat_statements")

    def start_redis(self):
        self.redis = RedisServer()
        self._stack.callback(self.redis.remove)

    def start_proxy(self, program, faults):
        """`program` is copied to where the unprivileged user may run it."""
        folder = new_folder("program")
        self._stack.callback(remove_folder, folder)
        copy = pathlib.Path(shutil.copy(program, folder))
        copy.chmod(0o755)
        arguments = [part for fault in faults for part in ("--fault", fault)]
        config = {"redis": {"url": self.redis.url}, "cache": {"max_age_without_feed": ENTRY_AGE}}
        self.proxy = Pgrecall(self.postgres.port, config, arguments, copy)
        self._stack.callback(self.proxy.remove)

    def forget(self):
        """Tells pgrecall that all it remembers may be outdated."""
        urllib.request.urlopen(urllib.request.Request(
            f"http://127.0.0.1:{self.proxy.admin_port}/api/invalidate", b'{"all": true}',
            {"Content-Type": "application/json"}), timeout=30).close()

    def migrate(self):
        """Past pgrecall: the site's tables in its database, and a few rows in another one of the same kind."""
        self._manage(DATABASE, "migrate", "--verbosity", "0")
        self.postgres.sql("postgres", f"CREATE DATABASE {FIRST_LOOK} TEMPLATE {DATABASE} OWNER {SITE_USER}")
        self._manage(FIRST_LOOK, "seed", "--size", "small")

    def seed(self, size):
        """Past pgrecall; its output is shown as it comes."""
        self._manage(DATABASE, "seed", "--size", size)
        self.postgres.sql(DATABASE, *versions.create_table(SITE_USER))
        self.postgres.sql(DATABASE, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {CHECKER}")

    def _manage(self, database, *arguments):
        subprocess.run([sys.executable, SITE / "manage.py", *arguments], check=True,
                       env=self.site_environment(self.postgres.port, database))

    def site_environment(self, port, database=DATABASE):
        return {**os.environ, "SITE_DB_HOST": "127.0.0.1", "SITE_DB_PORT": str(port),
                "SITE_DB_NAME": database, "SITE_DB_USER": SITE_USER, "SITE_DB_PASSWORD": PASSWORD}

    def start_site(self):
        """Serves the site through pgrecall; returns its address."""
        port = free_port()
        folder = new_folder("site")
        self._stack.callback(remove_folder, folder)
        child = Child([sys.executable, SITE / "manage.py", "runserver", "--noreload", "--insecure",
                       f"127.0.0.1:{port}"], folder / "log",
                      env=self.site_environment(self.proxy.port), cwd="/")
        self._stack.callback(child.end, signal.SIGTERM)
        wait_until_listening(port, child, "the site")
        return f"http://127.0.0.1:{port}/"

    # -- what PostgreSQL itself counts --------------------------------------------------------
    def reset_query_count(self):
        self.postgres.sql(DATABASE, "SELECT pg_stat_statements_reset()")

    def query_count(self, user=SITE_USER):
        """Statements that a role executed since the last reset, BEGIN and COMMIT included."""
        forgotten = self.postgres.sql(DATABASE, "SELECT dealloc FROM pg_stat_statements_info")[0][0]
        if forgotten:
            raise RuntimeError("pg_stat_statements had no room for all statements: its count is too low")
        return int(self._sum("calls", user))

    def query_seconds(self, user=SITE_USER):
        """The time that PostgreSQL spent in executing them."""
        return float(self._sum("total_exec_time", user)) / 1000

    def _sum(self, column, user):
        return self.postgres.sql(DATABASE, f"SELECT coalesce(sum({column}), 0) FROM pg_stat_statements "
                                           f"WHERE userid = '{user}'::regrole")[0][0]

    def slugs(self):
        """Slugs of authors and tags, in the order of their ids."""
        return tuple(tuple(row[0] for row in self.postgres.sql(
            DATABASE, f"SELECT slug FROM publication_{table} ORDER BY id")) for table in ("author", "tag"))

    def count(self, table):
        return self.postgres.sql(DATABASE, f"SELECT count(*) FROM {table}")[0][0]
