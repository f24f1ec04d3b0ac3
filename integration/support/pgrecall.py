"""The program under test, started from a TOML file and observed through its admin port."""
import http.client
import json
import os
import pathlib
import signal

import psycopg2

from .postgres import PASSWORD, SUPERUSER
from .processes import Child, free_port, new_folder, remove_folder, wait_until_listening
from .waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIVE = []  # every Pgrecall that has not been removed: their logs are shown when a test fails


def binary():
    """PGRECALL_BIN, or the newest of the dev and release builds."""
    named = os.environ.get("PGRECALL_BIN")
    if named:
        return pathlib.Path(named)
    built = [p for p in (ROOT / "build/dev/pgrecall", ROOT / "build/release/pgrecall") if p.exists()]
    if not built:
        raise RuntimeError("no pgrecall binary: build it, or name one with PGRECALL_BIN")
    return max(built, key=lambda path: path.stat().st_mtime)


def to_toml(config):
    """Sections as dicts; a list of dicts becomes an array of tables; `section.sub` keys nest."""
    lines = []
    for section, content in config.items():
        for table in content if isinstance(content, list) else [content]:
            brackets = ("[[", "]]") if isinstance(content, list) else ("[", "]")
            lines.append(f"{brackets[0]}{section}{brackets[1]}")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def merged(base, changes):
    """Two levels of sections; an option set to None is left out."""
    result = {name: dict(value) if isinstance(value, dict) else value for name, value in base.items()}
    for section, content in changes.items():
        if isinstance(content, dict):
            result.setdefault(section, {}).update(content)
        else:
            result[section] = content
    return {name: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
            for name, value in result.items()}


class AdminError(AssertionError):
    """The admin port did not answer as it should."""


class Statistics(dict):
    """One answer of /api/stats; two of them can be subtracted."""

    @property
    def hits(self):
        return self["hits"]

    @property
    def misses(self):
        return self["misses"]

    @property
    def bypassed(self):
        return sum(self["bypasses"].values())

    @property
    def reads(self):
        return self.hits + self.misses + self.bypassed


class Pgrecall:
    """One process. `config` is merged over what connects it to `upstream_port`. `arguments` are
    added to the command line. The fixture that made it removes it."""

    identity = False

    def __init__(self, upstream_port, config=None, arguments=(), program=None):
        self.folder = new_folder("proxy")
        self.port = free_port()
        self.admin_port = free_port()
        self.config = merged({
            "listen": {"host": "127.0.0.1", "port": self.port, "unix_socket_dir": str(self.folder)},
            "admin": {"host": "127.0.0.1", "port": self.admin_port},
            "upstream": {"host": "127.0.0.1", "port": upstream_port, "user": SUPERUSER,
                         "password": PASSWORD},
        }, config or {})
        self.arguments = list(arguments)
        self.program = program or binary()
        self.child = None
        LIVE.append(self)
        self.start()

    # -- life ---------------------------------------------------------------------------------
    def start(self):
        path = self.folder / "pgrecall.toml"
        path.write_text(to_toml(self.config))
        self.child = Child([self.program, "--config", path, *self.arguments], self.folder / "log", cwd="/")
        wait_until(self._healthy, "pgrecall is healthy", interval=0.01)
        wait_until_listening(self.port, self.child, "pgrecall")

    def _healthy(self):
        self.assert_alive()
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def assert_alive(self):
        if not self.child.alive():
            raise AssertionError(f"pgrecall ended with status {self.child.process.returncode}:\n"
                                 f"{self.log()[-6000:]}")

    def stop(self):
        """SIGTERM twice: the second ends a drain."""
        if self.child.alive():
            self.child.send_signal(signal.SIGTERM)
        return self.child.end(signal.SIGTERM)

    def kill(self):
        return self.child.end(signal.SIGKILL)

    def restart(self):
        self.stop()
        self.start()

    def remove(self):
        crashed = not self.child.alive()
        status = self.stop()
        log = self.log()
        LIVE.remove(self)
        remove_folder(self.folder)
        if crashed and status not in (0, -signal.SIGKILL):
            raise AssertionError(f"pgrecall had ended with status {status}:\n{log[-6000:]}")

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        return self.child.log()

    # -- admin port ---------------------------------------------------------------------------
    def get(self, path, method="GET", body=None):
        """(status, text) of one HTTP request to the admin port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def stats(self):
        status, text = self.get("/api/stats")
        if status != 200:
            raise AdminError(f"/api/stats: {status} {text[:500]}")
        return Statistics(json.loads(text))

    def wait_catalog(self, dbname):
        """Uses the database once and waits until pgrecall knows its catalog: before, nothing is
        cacheable."""
        connection = self.connect(dbname)
        connection.cursor().execute("SELECT 1")
        connection.close()
        wait_until(lambda: any(row["database"] == dbname and row["catalog_version"]
                               for row in self.stats()["control"]), f"the catalog of {dbname} is loaded")

    # -- client port --------------------------------------------------------------------------
    def connect(self, dbname, user=SUPERUSER, autocommit=True, **keywords):
        """A psycopg2 connection through pgrecall."""
        keywords = {"host": "127.0.0.1", "port": self.port, "password": PASSWORD, "connect_timeout": 10,
                    **keywords}
        connection = psycopg2.connect(dbname=dbname, user=user, **keywords)
        connection.autocommit = autocommit
        return connection


class Identity:
    """Stands in for pgrecall under `--direct`: its port is PostgreSQL's own, it counts nothing. It
    proves that what the tests expect of the proxy is what PostgreSQL does."""

    identity = True
    pid = None

    def __init__(self, upstream_port, config=None, arguments=(), program=None):
        del config, arguments, program
        self.port = upstream_port

    connect = Pgrecall.connect

    def assert_alive(self):
        """Nothing can have ended."""

    remove = stop = assert_alive

    def wait_catalog(self, dbname):
        """PostgreSQL knows its catalog."""
