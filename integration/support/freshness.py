"""Probes: reads of one statement through pgrecall in every protocol mode, compared with a direct
connection, with the counters as witness that hits really happened."""
from . import wire
from .waiting import HIT_SECONDS, Deadline, wait_until


CACHED_PLAN_CHANGED = "0A000"


class Reader:
    """One client connection that reads the probe's statement its own way."""

    def __init__(self, client, sql, values=()):
        self.client, self.sql, self.values = client, sql, values

    def read(self):
        reply = self.fetch()
        return reply.sqlstate or reply.rows

    def fetch(self):
        raise NotImplementedError


class SimpleReader(Reader):
    def fetch(self):
        return self.client.query(self.sql)


class ExtendedReader(Reader):
    """Parse, Bind, Describe, Execute each time through the unnamed statement."""

    def fetch(self):
        return self.client.extended(self.sql, self.values)


class PreparedReader(Reader):
    """Parse once, then Bind and Execute of the named statement. When DDL has changed the result type
    it prepares again, as drivers do."""

    prepared = False

    def fetch(self):
        reply = self._execute()
        if reply.sqlstate == CACHED_PLAN_CHANGED:
            self.client.send(wire.close_statement("probe") + wire.sync())
            self.client.read_ready().checked()
            self.prepared = False
            reply = self._execute()
        return reply

    def _execute(self):
        start = b"" if self.prepared else wire.parse("probe", self.sql)
        self.client.send(start + wire.bind("", "probe", self.values) + wire.execute() + wire.sync())
        reply = self.client.read_ready()
        self.prepared = self.prepared or "1" in reply.types
        return reply


SIMPLE, EXTENDED, PREPARED = SimpleReader, ExtendedReader, PreparedReader
EVERY_MODE = (SimpleReader, ExtendedReader, PreparedReader)


class Probe:
    """A statement watched through pgrecall on several connections. `values` makes it extended only.

    Usage: probe.warm(); <event>; probe.fresh(). `warm` proves that every reader gets a hit, `fresh`
    that every reader then sees what PostgreSQL says, and that hits come back.
    """

    def __init__(self, env, sql, values=(), modes=EVERY_MODE, connect=None, direct=None):
        self.env, self.sql, self.values = env, sql, values
        if values:
            modes = tuple(mode for mode in modes if mode is not SimpleReader)
        connect = connect or env.wire
        self.readers = [mode(connect(), sql, values) for mode in modes]
        self.truth = ExtendedReader(direct() if direct else env.wire_direct(), sql, values)

    def expected(self):
        return self.truth.read()

    def reads(self):
        """What every reader sees now, in order."""
        return [reader.read() for reader in self.readers]

    def warm(self, seconds=HIT_SECONDS):
        """Reads until every reader was answered by a hit, always comparing with PostgreSQL."""
        for reader in self.readers:
            self.env.until_hit(reader.read, self.expected, seconds, f"{type(reader).__name__}: {self.sql}")

    def changed(self, before):
        """PostgreSQL's answer, which must differ from `before`: an event that changes nothing
        proves nothing."""
        now = self.expected()
        assert now != before, f"the event did not change the answer of {self.sql}: {now}"
        return now

    def check(self):
        """Every reader sees what PostgreSQL says."""
        expected = self.expected()
        for reader in self.readers:
            seen = reader.read()
            assert seen == expected, f"{type(reader).__name__} of {self.sql!r}: stale {seen}, truth {expected}"
        return expected

    def fresh(self, hit_again=True):
        expected = self.check()
        if hit_again:
            self.warm()
        return expected


def until_hit(proxy, read, expected, seconds, what):
    """Calls `read` until the hit counter shows that it was answered from the cache; every answer on
    the way must equal `expected()`."""

    def hit():
        before = proxy.stats()
        truth, seen = expected(), read()
        assert seen == truth, f"{what}: got {seen}, PostgreSQL says {truth}"
        return proxy.stats().hits > before.hits

    try:
        wait_until(hit, f"a hit for {what}", seconds)
    except Deadline as error:
        raise Deadline(f"{error}; bypasses {proxy.stats()['bypasses']}, hits {proxy.stats().hits}, "
                       f"misses {proxy.stats().misses}, pinned {proxy.stats()['pinned'][:4]}") from None
