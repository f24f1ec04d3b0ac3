"""What one test works with: a database, a pgrecall in front of it, and connections that are closed
when the test ends."""
import contextlib
import itertools
import threading

from . import freshness
from .waiting import HIT_SECONDS, wait_until
from .wire import WireClient

_numbers = itertools.count(1)


class Environment:
    """Made per test by the fixture `env`; owns the connections it hands out, not the servers."""

    def __init__(self, postgres, proxy, database, gate=None):
        self.postgres, self.proxy, self.database, self.gate = postgres, proxy, database, gate
        self._cleanup = contextlib.ExitStack()

    def close(self):
        self._cleanup.close()

    def name(self, stem):
        """A name used by no other test."""
        return f"{stem}_{next(_numbers)}"

    # -- connections --------------------------------------------------------------------------
    def connect(self, autocommit=True, **keywords):
        """psycopg2 through pgrecall."""
        dbname = keywords.pop("dbname", self.database)
        connection = self.proxy.connect(dbname, autocommit=autocommit, **keywords)
        self._cleanup.callback(connection.close)
        return connection

    def direct(self, autocommit=True, **keywords):
        """psycopg2 past pgrecall."""
        dbname = keywords.pop("dbname", self.database)
        connection = self.postgres.direct(dbname, autocommit=autocommit, **keywords)
        self._cleanup.callback(connection.close)
        return connection

    def wire(self, user="postgres", dbname=None, **keywords):
        """Raw client through pgrecall."""
        return self._wire(self.proxy.port, user, dbname, keywords)

    def wire_direct(self, user="postgres", dbname=None, **keywords):
        """Raw client past pgrecall."""
        return self._wire(self.postgres.port, user, dbname, keywords)

    def _wire(self, port, user, dbname, keywords):
        client = WireClient.connect(port, dbname or self.database, user, **keywords)
        self._cleanup.callback(client.close)
        return client

    def run(self, *statements, **keywords):
        """Statements one by one through pgrecall on a connection of their own."""
        client = self.wire(**keywords)
        try:
            for statement in statements:
                reply = client.ok(statement)
            return reply.rows
        finally:
            client.close()
            self.settle()

    def settle(self):
        """Waits until pgrecall has read the catalog again after DDL: a session that writes before is
        bypassed from then on, for what it left on its server connection is not known."""
        if self.proxy.identity:
            return
        wait_until(lambda: any(row["database"] == self.database and row["catalog_current"] for row in self.stats()["control"]),
                   "pgrecall knows the catalog")

    # -- observation --------------------------------------------------------------------------
    def probe(self, sql, values=(), **keywords):
        return freshness.Probe(self, sql, values, **keywords)

    def until_hit(self, read, expected, seconds=HIT_SECONDS, what="read"):
        if self.proxy.identity:
            assert read() == expected()
            return
        freshness.until_hit(self.proxy, read, expected, seconds, what)

    def stats(self):
        return self.proxy.stats()

    def until_activity(self, condition, text, what):
        """Waits until PostgreSQL shows a session that runs a statement LIKE `text` under `condition`."""
        connection = self.direct()

        def shown():
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {condition} AND query LIKE %s"
                               " AND pid <> pg_backend_pid()", (text,))
                return cursor.fetchone()[0] > 0
        wait_until(shown, what)

    def until_lock_wait(self, text):
        self.until_activity("wait_event_type = 'Lock'", f"%{text}%", f"{text} waits for a lock")

    @contextlib.contextmanager
    def no_hits(self):
        """Nothing inside the block is answered from the cache."""
        if self.proxy.identity:
            yield
            return
        before = self.stats().hits
        yield
        assert self.stats().hits == before, "a read was answered from the cache that must not be"

    @contextlib.contextmanager
    def all_hits(self, count):
        """The block causes exactly `count` hits."""
        if self.proxy.identity:
            yield
            return
        before = self.stats().hits
        yield
        assert self.stats().hits - before == count, f"{self.stats().hits - before} hits, not {count}"


class Background:
    """One call on a thread of its own; `result` waits for it and re-raises what it raised."""

    def __init__(self, function, *arguments):
        self._outcome = None
        self._error = None
        self._thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self._thread.start()

    def _run(self, function, arguments):
        try:
            self._outcome = function(*arguments)
        except BaseException as error:  # handed to whoever asks for the result
            self._error = error

    def done(self):
        return not self._thread.is_alive()

    def result(self, seconds=30):
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the background call did not end"
        if self._error:
            raise self._error
        return self._outcome
