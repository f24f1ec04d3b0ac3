"""PostgreSQL servers of the tests: copies of one initdb, each on its own port and folder."""
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess

import psycopg2

from .processes import Child, free_port, new_folder, remove_folder, run_unprivileged
from .waiting import wait_until

SUPERUSER = "postgres"
PASSWORD = "secret"
DEFAULT_OPTIONS = {
    "fsync": "off",
    "wal_level": "logical",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_prepared_transactions": "20",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "autovacuum": "off",
    "log_line_prefix": "%m [%p] %d %q",
    "timezone": "UTC",
    "lc_messages": "C",
}


def installed_servers(folder="/usr/lib/postgresql"):
    """{major version: folder of its binaries} of the servers that Debian's packages installed. One before
    version 10, as "9.6", is of no use here."""
    found = pathlib.Path(folder).glob("*/bin/initdb")
    return {int(path.parts[-3]): path.parent for path in found if path.parts[-3].isdecimal()}


@functools.lru_cache(maxsize=None)
def postgres_bin():
    """The folder of initdb and postgres: the newest ones installed, or those named by PGRECALL_PG_BIN."""
    named = os.environ.get("PGRECALL_PG_BIN")
    if named:
        return pathlib.Path(named)
    found = installed_servers()
    if not found:
        raise RuntimeError("no PostgreSQL server is installed")
    return found[max(found)]


class Template:
    """One initdb per session: superuser `postgres` with a password known in SCRAM and none else."""

    def __init__(self):
        self.folder = new_folder("template")
        password_file = self.folder / "password"
        password_file.write_text(PASSWORD + "\n")
        password_file.chmod(0o644)
        run_unprivileged([postgres_bin() / "initdb", "-D", self.folder / "data", "-U", SUPERUSER,
                          "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-A", "scram-sha-256",
                          f"--pwfile={password_file}"], cwd="/")

    def remove(self):
        remove_folder(self.folder)


class PostgresServer:
    """One server on 127.0.0.1. `auth` is the pg_hba method of every TCP login except those of
    `trusted_users`; `options` are added to postgresql.conf. Owned by the fixture that made it."""

    def __init__(self, template, auth="trust", trusted_users=(), options=None, hba_lines=()):
        self.folder = new_folder("postgres")
        self.data = self.folder / "data"
        self.port = free_port()
        self._copy(template.folder / "data")
        self._write_configuration(options or {}, auth, trusted_users, hba_lines)
        self.child = None
        self.start()

    def _copy(self, source):
        run_unprivileged(["cp", "-a", "--reflink=auto", source, self.data], cwd="/")

    def _write_configuration(self, options, auth, trusted_users, hba_lines):
        settings = {**DEFAULT_OPTIONS, "port": str(self.port), "listen_addresses": "127.0.0.1",
                    "unix_socket_directories": str(self.folder), **options}
        with open(self.data / "postgresql.conf", "a") as file:
            for name, value in settings.items():
                file.write(f"{name} = '{value}'\n")
        lines = ["local all all trust", *hba_lines,
                 *[f"host all {user} 127.0.0.1/32 trust" for user in trusted_users],
                 f"host all all 127.0.0.1/32 {auth}", "host replication all 127.0.0.1/32 trust"]
        (self.data / "pg_hba.conf").write_text("\n".join(lines) + "\n")

    # -- life ---------------------------------------------------------------------------------
    def start(self):
        self.child = Child([postgres_bin() / "postgres", "-D", self.data], self.folder / "log",
                           death_signal="QUIT", env={**os.environ, "LC_ALL": "C.UTF-8"}, cwd="/")
        wait_until(self._answers, "PostgreSQL accepts connections", seconds=60, interval=0.02)

    def _answers(self):
        if not self.child.alive():
            raise RuntimeError(f"PostgreSQL ended:\n{self.log()[-4000:]}")
        try:
            self.direct(user=SUPERUSER, host=str(self.folder)).close()
            return True
        except psycopg2.OperationalError:
            return False

    def stop(self):
        """Fast shutdown: clients are disconnected."""
        return self.child.end(signal.SIGINT, seconds=60)

    def kill(self):
        """kill -9 of the postmaster and every backend, as a crash of the machine's processes."""
        backends = self.backend_pids()
        self.child.process.kill()
        self.child.process.wait(10)
        for pid in backends:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for pid in backends:
            wait_until(lambda pid=pid: not pathlib.Path(f"/proc/{pid}").exists(), f"backend {pid} is gone")

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        self.child.send_signal(signal.SIGSTOP)
        for pid in self.backend_pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in self.backend_pids():
            os.kill(pid, signal.SIGCONT)
        self.child.send_signal(signal.SIGCONT)

    def backend_pids(self):
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.child.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found

    def remove(self):
        self.child.end(signal.SIGQUIT, seconds=60)
        remove_folder(self.folder)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def reload(self):
        self.sql("postgres", "SELECT pg_reload_conf()")

    # -- use ----------------------------------------------------------------------------------
    def direct(self, dbname="postgres", user=SUPERUSER, autocommit=True, **keywords):
        """A psycopg2 connection past pgrecall."""
        keywords = {"host": "127.0.0.1", "port": self.port, "password": PASSWORD, "connect_timeout": 10,
                    **keywords}
        connection = psycopg2.connect(dbname=dbname, user=user, **keywords)
        connection.autocommit = autocommit
        return connection

    def sql(self, dbname, *statements):
        """Runs statements past pgrecall as superuser; returns the rows of the last one, if any."""
        connection = self.direct(dbname, host=str(self.folder))
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def create_database(self, name, template=None):
        clause = f' TEMPLATE "{template}"' if template else ""
        self.sql("postgres", f'CREATE DATABASE "{name}"{clause}')

    def version(self):
        return int(self.sql("postgres", "SHOW server_version_num")[0][0])


