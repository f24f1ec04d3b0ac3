"""What the hostile suites share: ways to see what a client leaves behind and what code of users did."""
import select

from . import wire

SETS = "set_config('search_path', 'evil', false)"
LOCKS = "pg_try_advisory_lock(77)::text"
LOOK = ("SELECT pg_catalog.current_setting('search_path'), (SELECT count(*) FROM pg_catalog.pg_locks WHERE locktype"
        " OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())")


def connected(env, *statements, direct=False):
    """A client that has run `statements`."""
    client = env.wire_direct() if direct else env.wire()
    for each in statements:
        client.ok(each)
    return client


def probe_of(env, sql, *statements):
    """A probe whose connections have all run `statements`."""
    return env.probe(sql, connect=lambda: connected(env, *statements), direct=lambda: connected(env, *statements, direct=True))


def shows(client, sql, rows):
    """Also once it is remembered."""
    for _ in range(3):
        assert client.rows(sql) == rows


def writes_seen(env, names, act):
    """`act` runs {bump}, and who reads what that wrote sees it."""
    probe = env.probe("SELECT v FROM {counted}".format(**names))
    probe.warm()
    before = probe.expected()
    act()
    probe.changed(before)
    probe.check()


def asked_by(client, other, sql):
    """What `other` is answered on the one connection: at once if `client` does not keep it, else when that leaves."""
    other.send(wire.query(sql))
    if not select.select([other.socket], [], [], 0.3)[0]:
        client.close()
    return other.read_ready().checked().rows


def untouched(lone, act):
    """What `act` leaves on the connection is not there for another client."""
    client, other = lone.wire(), lone.wire()
    before = other.rows(LOOK)
    act(client)
    assert asked_by(client, other, LOOK) == before


def unit(client, data):
    """The answer to `data` and a Sync."""
    client.send(data + wire.sync())
    return client.read_ready()


def run_of(sql):
    """Parse, Bind and Execute of a statement without parameters."""
    return wire.parse("", sql) + wire.bind("", "") + wire.execute("")
