"""Random programs about a session's settings: every client sees through pgrecall what it sees on PostgreSQL itself,
whatever the clients that share its server connections do.

A program is a list of steps per client; a step is one or several units sent in one go. Each runs on a connection of its
own direct and, interleaved with the others, through pgrecall. A failure prints its seed and the shortest program that
still fails. PGRECALL_PROPERTY_SEEDS=1000 or 500-1500 runs other seeds than the fixed ones."""
import os
import random
import select
import time

import pytest

from support import wire
from support.waiting import Deadline

FIXED_SEEDS = range(100)
SILENCE_SECONDS = 4
PATIENCE_SECONDS = 0.2
SHRINKING_SECONDS = 60

SCHEMA = """
CREATE ROLE ann; CREATE ROLE bob; CREATE ROLE eve LOGIN; GRANT ann TO eve; GRANT bob TO ann;
CREATE SCHEMA one; CREATE SCHEMA two; CREATE SCHEMA ann; CREATE SCHEMA "O dd";
GRANT USAGE ON SCHEMA one, ann, "O dd" TO PUBLIC;
CREATE TABLE public.t AS SELECT 'public' AS v; CREATE TABLE one.t AS SELECT 'one' AS v;
CREATE TABLE two.t AS SELECT 'two' AS v; CREATE TABLE ann.t AS SELECT 'ann' AS v; CREATE TABLE "O dd".t AS SELECT 'odd' AS v;
GRANT SELECT ON public.t, one.t, two.t, ann.t, "O dd".t TO PUBLIC;
CREATE TABLE public.rows AS SELECT unnest(ARRAY['ann', 'bob', 'eve', 'postgres', 'x', 'y']) AS owner;
ALTER TABLE public.rows ENABLE ROW LEVEL SECURITY; GRANT SELECT ON public.rows TO PUBLIC;
CREATE POLICY p ON public.rows USING (owner = current_user OR owner = current_setting('app.a', true));
CREATE TABLE public.forms AS SELECT date '2020-02-01' AS d, timestamptz '2020-02-01 12:00:00+00' AS z,
  interval '1 day 02:03:04' AS i, '\\x4142'::bytea AS b, 0.1::float8 + 0.2::float8 AS f, NULL::int AS n;
GRANT SELECT ON public.forms TO PUBLIC;
CREATE FUNCTION public.dated() RETURNS text LANGUAGE sql STABLE SET datestyle = 'German' SET search_path = two
  AS $$SELECT date '2020-02-01' || v FROM t$$;
CREATE FUNCTION public.leaves() RETURNS text LANGUAGE plpgsql AS
  $$BEGIN PERFORM set_config('search_path', 'two', false); SET timezone = 'Asia/Seoul'; RETURN 'done'; END$$;
"""

VALUES = {
    "search_path": ["one", "two", "one, public", '"O dd", two', '"$user", public', "nowhere", "", "pg_temp, one"],
    "datestyle": ["ISO", "German", "SQL", "DMY", "SQL, DMY", "ISO, YMD", "Postgres", "Default"],
    "timezone": ["UTC", "Asia/Tokyo", "-3", "America/New_York"],
    "intervalstyle": ["postgres", "iso_8601", "sql_standard"],
    "bytea_output": ["hex", "escape"],
    "extra_float_digits": ["0", "-3", "3"],
    "client_encoding": ["UTF8", "LATIN1", "unicode"],
    "standard_conforming_strings": ["on", "off", "1"],
    "row_security": ["on", "off"],
    "default_transaction_isolation": ["read committed", "repeatable read", "serializable"],
    "default_transaction_read_only": ["on", "off"],
    "transaction_isolation": ["repeatable read", "read committed"],
    "transaction_read_only": ["on", "off"],
    "application_name": ["one", "it's", ""],
    "app.a": ["x", "y", "it's", "back\\slash", ""],
    "app.b": ["x", "1"],
    "work_mem": ["1MB", "2048"],
    "transform_null_equals": ["on", "off"],
    # quote_all_identifiers is not here: how SHOW search_path is spelt hangs on what it was when the path was set.
    "log_statement": ["none", "mod"],  # superusers only
    "track_io_timing": ["on"],  # superusers only
    "session_replication_role": ["origin", "replica"],  # superusers only
    "statement_timeout": ["10min", "0"],
    "shared_buffers": ["1MB"],  # not at run time
    "nonsense": ["1"],
}
NAMES = list(VALUES)
SHOWN = [name for name in NAMES if name != "nonsense"]
WRONG = ["SET timezone = 'Nowhere/Land'", "SET extra_float_digits = 99", "SET ROLE nobody", "SET SESSION AUTHORIZATION nobody",
         "SELECT 1/0", "SELEC", "SELECT v FROM missing", "SET client_encoding = 'nonsense'", "SET datestyle = 'ISO, sql'"]
ROLES = ["ann", "bob", "none", "eve", "'ann'", "postgres"]
SAVEPOINTS = ["a", "A", '"A"', "b", '"o dd"']
MODES = ["", "", "", "ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL SERIALIZABLE READ ONLY", "READ ONLY", "READ WRITE",
         "ISOLATION LEVEL READ COMMITTED", "DEFERRABLE"]

DATED_TEXT = "SELECT d FROM public.forms WHERE d = '01/02/2020'"
# A custom setting that some client had set on a connection is '' there and not NULL: README, "Limits".
READS = [
    "SELECT v FROM t",
    "SELECT owner FROM public.rows",
    "SELECT d, z, i, b, f FROM public.forms",
    DATED_TEXT,
    "SELECT count(*) FROM public.forms WHERE n = NULL",
    "SELECT v, 'a\\b' AS w FROM t",
    "SELECT v, current_user, session_user FROM public.t",
    "SELECT current_user, session_user",
    "SELECT v, current_setting('timezone') FROM one.t",
    "SELECT v, coalesce(current_setting('app.a', true), '') FROM one.t",
    "SELECT " + ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in SHOWN),
    "SHOW role", "SHOW search_path", "SHOW transaction_isolation", "SHOW session_authorization",
]
STARTUPS = [{"TimeZone": "Pacific/Fiji"}, {"options": "-c search_path=one -c app.a=x"}, {"DateStyle": "SQL, DMY"},
            {"client_encoding": "LATIN1"}, {"application_name": "started"}, {"options": "-c default_transaction_isolation=serializable"},
            {"options": "-c intervalstyle=iso_8601 -c row_security=off"}, {"options": "-c role=ann"}]


# -- programs -------------------------------------------------------------------------------------
def literal(text):
    return "'" + text.replace("'", "''") + "'"


def assigned(rng, name, started=False):
    value = rng.choice([value for value in VALUES[name] if not (started and value == "Default")])
    if name == "search_path" and value and rng.random() < 0.8:
        return value
    return literal(value)


def setting(rng, started):
    name = rng.choice(NAMES[:15]) if rng.random() < 0.7 else rng.choice(NAMES)
    shown = name.upper() if rng.random() < 0.1 else name
    scope = rng.choice(["", "", "LOCAL ", "LOCAL ", "SESSION "])
    form = rng.random()
    if form < 0.50:
        return f"SET {scope}{shown} {rng.choice(['=', 'TO'])} {assigned(rng, name)}"
    if form < 0.62:
        return f"SET {scope}{shown} TO DEFAULT"
    if form < 0.72:
        return f"RESET {shown}"
    local = rng.choice(["true", "false"])
    if started and name == "datestyle":
        return "RESET datestyle"
    if form < 0.90 or started and form < 0.95:  # what set_config(..., NULL, ...) shows is the server's default, see below
        return f"SELECT set_config('{shown}', {literal(rng.choice(VALUES[name]))}, {local})"
    if form < 0.95:
        return f"SELECT set_config('{shown}', NULL, {local})"
    other = rng.choice(NAMES[:15])
    return (f"SELECT set_config('{shown}', {literal(rng.choice(VALUES[name]))}, {local}),"
            f" set_config('{other}', {literal(rng.choice(VALUES[other]))}, {rng.choice(['true', 'false'])})")


def special(rng):
    scope = rng.choice(["", "", "LOCAL ", "SESSION "])
    role = rng.choice(ROLES)
    return rng.choice([
        f"SET {scope}TIME ZONE 'Asia/Tokyo'", f"SET {scope}TIME ZONE LOCAL", f"SET {scope}TIME ZONE -7",
        f"SET {scope}TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "SET NAMES 'LATIN1'", "SET NAMES DEFAULT",
        f"SET {scope}SCHEMA 'two'", "RESET ALL", "RESET TIME ZONE", "SET TRANSACTION READ ONLY",
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "DISCARD ALL", "DISCARD PLANS", "RESET ALL", "DISCARD ALL",
        f"SELECT set_config('role', {literal(role.strip(chr(39)))}, {rng.choice(['true', 'false'])})"])


def roles(rng):
    scope = rng.choice(["", "", "LOCAL ", "SESSION "])
    role = rng.choice(ROLES)
    return rng.choice([
        f"SET {scope}ROLE {role}", f"SET {scope}ROLE {role}", f"SET {scope}ROLE NONE", "RESET ROLE", f"SET {scope}role TO DEFAULT",
        f"SET {scope}SESSION AUTHORIZATION {role if role != 'none' else 'bob'}",
        f"SET {scope}SESSION AUTHORIZATION DEFAULT", "RESET SESSION AUTHORIZATION"])


def transaction(rng):
    name = rng.choice(SAVEPOINTS)
    return rng.choice([
        f"BEGIN {rng.choice(MODES)}".strip(), "BEGIN", f"START TRANSACTION {rng.choice(MODES)}".strip(), "COMMIT", "COMMIT",
        "ROLLBACK", "END", "ABORT", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", f"SAVEPOINT {name}", f"SAVEPOINT {name}",
        f"RELEASE {name}", f"RELEASE SAVEPOINT {name}", f"ROLLBACK TO {name}", f"ROLLBACK TO SAVEPOINT {name}", f"ROLLBACK TO {name}"])


def statement(rng, started, opaque):
    kind = rng.random()
    if kind < 0.40:
        return setting(rng, started)
    if kind < 0.50:
        return special(rng)
    if kind < 0.60:
        return roles(rng)
    if kind < 0.87:
        return transaction(rng)
    if kind < 0.92:
        return rng.choice(WRONG)
    if kind < 0.94:
        return rng.choice(["PREPARE TRANSACTION '%gid'", "COMMIT PREPARED '%gid'", "ROLLBACK PREPARED '%gid'"])
    if opaque and kind < 0.96:
        return rng.choice(["SELECT public.leaves()", "DO $$BEGIN SET search_path = two; SET ROLE ann; END$$",
                           "DO $$BEGIN PERFORM set_config('app.a', 'y', true); END$$", "SELECT public.dated()"])
    return rng.choice(READS)


def gives_back(text):
    upper = text.upper()
    return any(word in upper for word in ("RESET", "DEFAULT", "DISCARD", "TIME ZONE LOCAL"))


def statements(rng, started, opaque, count):
    """After a RESET the rest of a unit sees the server's default, not the start-up value: README, "Limits"."""
    made = []
    for _ in range(count):
        made.append(statement(rng, started, opaque))
        if started and gives_back(made[-1]):
            break
    return made


def unit(rng, started, opaque):
    count = rng.choice([1, 1, 1, 2, 3, 4])
    if rng.random() < 0.6:
        return ("Q", *statements(rng, started, opaque, count))
    operations = []
    for text in statements(rng, started, opaque, count):
        # Such texts mean another thing under other settings. PostgreSQL keeps what they meant; pgrecall refuses them, or
        # reads a date anew where it has to parse them on another connection: README, "Limits".
        named = rng.random() < 0.3 and "\\" not in text and text != DATED_TEXT
        operations.append(("p", rng.choice("st"), text) if named else ("u", text))
    if rng.random() < 0.3:
        operations.insert(0, ("e", rng.choice("st")))
    # A hit before it is no query to the server, so what must come first in its transaction is not refused.
    operations = [operation for i, operation in enumerate(operations) if not i or not comes_first(operation[-1])]
    if started:  # what a statement does that was prepared before is not known here
        operations = [operation for operation in operations if operation[0] != "p"]
    return ("X", *operations) if operations else ("Q", "SELECT 1")


def comes_first(text):
    return any(word in text.upper() for word in ("ISOLATION", "DISCARD ALL", "SET TRANSACTION", "TRANSACTION_", "PREPARED"))


def observation(rng):
    text = rng.choice(READS)
    return ("Q", text) if rng.random() < 0.6 else ("X", ("u", text))


def program(rng, user):
    """(login, steps): a step is a tuple of units."""
    # Another session authorization may not be allowed to return to a role of the start-up packet: such a client ends.
    started = rng.choice(STARTUPS if user == "eve" else STARTUPS[:-1]) if rng.random() < 0.25 else {}
    opaque = rng.random() < 0.04
    steps = []
    for _ in range(rng.randint(4, 14)):
        steps.append(tuple(unit(rng, started, opaque) for _ in range(rng.choice([1, 1, 1, 1, 2]))))
        for _ in range(rng.choice([0, 1, 2, 3])):
            seen = observation(rng)
            steps += [(seen,)] * rng.choice([1, 2])
    return started, steps


class Case:
    """Clients of one user and the order of their steps."""

    def __init__(self, user, logins, order):
        self.user, self.logins, self.order = user, logins, order

    @classmethod
    def of_seed(cls, seed):
        rng = random.Random(seed)
        user = "eve" if rng.random() < 0.25 else "postgres"
        programs = [program(rng, user) for _ in range(rng.choice([1, 2, 2, 3]))]
        turns = [index for index, (_, steps) in enumerate(programs) for _ in steps]
        if rng.random() < 0.8:
            rng.shuffle(turns)
        left = [iter(steps) for _, steps in programs]
        return cls(user, [login for login, _ in programs],
                   [(turn, next(left[turn])) for turn in turns])

    def without(self, start, end):
        return Case(self.user, self.logins, self.order[:start] + self.order[end:])

    def smaller(self):
        """Cases with one unit, operation or statement less in some step."""
        for at, (turn, step) in enumerate(self.order):
            for number, each in enumerate(step):
                shorter = [each[:i] + each[i + 1:] for i in range(1, len(each))] if len(each) > 2 else []
                rests = [step[:number] + (less,) + step[number + 1:] for less in shorter]
                if len(step) > 1:
                    rests.append(step[:number] + step[number + 1:])
                for rest in rests:
                    yield Case(self.user, self.logins, self.order[:at] + [(turn, rest)] + self.order[at + 1:])
        for index, login in enumerate(self.logins):
            if login:
                yield Case(self.user, self.logins[:index] + [{}] + self.logins[index + 1:], self.order)

    def __str__(self):
        lines = [f"user {self.user}, logins {self.logins}"]
        return "\n".join(lines + [f"  client {turn}: {step}" for turn, step in self.order])


# -- running --------------------------------------------------------------------------------------
class Side:
    """One client on one route; `gid` keeps the names of prepared transactions apart."""

    def __init__(self, port, dbname, case, turn, gid, on_silence):
        self.gid, self.on_silence = f"{gid}{turn}", on_silence
        self.status = "I"
        self.client = wire.WireClient(port, timeout=SILENCE_SECONDS)
        self.client.send(wire.startup({"user": case.user, "database": dbname, **case.logins[turn]}))
        self._await()
        try:
            self.client.finish_login(case.user, "secret")
            self.greeting = [sorted(self.client.parameters.items())]
        except (wire.ServerError, wire.Closed, Deadline) as error:
            self.greeting = [[("no login", str(error))]]

    def _await(self):
        if not self.client.buffer and not select.select([self.client.socket], [], [], PATIENCE_SECONDS)[0]:
            self.on_silence()

    def run(self, step):
        """What the client is shown, unit by unit."""
        shown = []
        try:
            self.client.send(b"".join(self._bytes(each) for each in step))
            for _ in step:
                self._await()
                shown.append(self._shown(self.client.read_ready()))
        except (wire.Closed, Deadline) as error:
            shown.append([(type(error).__name__, "")])
        return shown

    def _bytes(self, each):
        if each[0] == "Q":
            return wire.query(self._text("; ".join(each[1:])))
        sent = b""
        for kind, *rest in each[1:]:
            name = rest[0] if kind != "u" else ""
            if kind != "e":
                sent += wire.parse(name, self._text(rest[-1]))
            sent += wire.bind("", name) + wire.describe_portal("") + wire.execute("")
        return sent + wire.sync()

    def _text(self, text):
        return text.replace("%gid", self.gid)

    def _shown(self, reply):
        shown = []
        for kind, payload in reply.messages:
            if kind == "S":
                self.client._note_parameter(payload)
            elif kind in "EN":
                fields = wire.error_fields(payload)
                shown.append((kind, fields.get("S"), fields.get("C")))
            else:
                shown.append((kind, payload))
        self.status = reply.status
        return shown + sorted(self.client.parameters.items())


def _only(these, those):
    """What is shown here and not there; all of it if only the order differs."""
    flat, other = ([item for shown in side for item in shown] for side in (these, those))
    return [item for item in flat if item not in other] or flat


class Difference(Exception):
    """What pgrecall shows is not what PostgreSQL shows."""

    def __init__(self, what, direct, pooled):
        super().__init__(f"{what}\n  direct:   {_only(direct, pooled)}\n  pgrecall: {_only(pooled, direct)}")


def runs_opaque_code(step):
    return any(word in str(step) for word in ("leaves()", "DO $$", "dated()"))


class Player:
    """Plays one case. A client in a transaction, or that ran opaque code, keeps its server connection: while there is
    none left, only such clients go on. Who keeps one for another reason is counted, and leaves when it is needed."""

    def __init__(self, postgres, proxy, database, size, case):
        self.postgres, self.proxy, self.database, self.size, self.case = postgres, proxy, database, size, case
        self.pairs, self.opaque, self.left = {}, set(), list(case.order)
        self.current, self.reasons = None, []

    def play(self):
        try:
            while self.left:
                self._step()
        finally:
            for turn in list(self.pairs):
                self._leave(turn)
            self._forget_prepared()
        return self.reasons

    def _keeps(self, turn):
        return turn in self.opaque or (turn in self.pairs and self.pairs[turn][0].status != "I")

    def _step(self):
        free = sum(map(self._keeps, self.pairs)) < self.size
        at = next(i for i, (turn, _) in enumerate(self.left) if free or self._keeps(turn))
        turn, step = self.left.pop(at)
        self.current = turn
        if turn not in self.pairs:
            self._open(turn)
        direct, pooled = (side.run(step) for side in self.pairs[turn])
        if direct != pooled:
            raise Difference(f"client {turn}: {step}", direct, pooled)
        if runs_opaque_code(step):
            self.opaque.add(turn)
        if all(other != turn for other, _ in self.left):
            self._leave(turn)

    def _open(self, turn):
        direct, pooled = self.pairs[turn] = tuple(
            Side(server.port, self.database, self.case, turn, gid, on_silence)
            for server, gid, on_silence in ((self.postgres, "direct", lambda: None), (self.proxy, "pooled", self._make_room)))
        if direct.greeting != pooled.greeting:
            raise Difference(f"client {turn} logs in", direct.greeting, pooled.greeting)

    def _make_room(self):
        self.reasons += [str(each) for each in self.proxy.stats()["pinned"]]
        for turn in list(self.pairs):
            if turn != self.current and not self._keeps(turn):
                self.left = [each for each in self.left if each[0] != turn]
                self._leave(turn)

    def _leave(self, turn):
        for side in self.pairs.pop(turn):
            side.client.close()
        self.opaque.discard(turn)

    def _forget_prepared(self):
        if "PREPARE TRANSACTION" in str(self.case.order):
            for (gid,) in self.postgres.sql(self.database, "SELECT gid FROM pg_prepared_xacts"):
                self.postgres.sql(self.database, f"ROLLBACK PREPARED '{gid}'")


def difference(*player):
    """What differs, or None; and why clients were pinned that had run nothing opaque."""
    player = Player(*player)
    try:
        return None, player.play()
    except Difference as found:
        return str(found), player.reasons


def shrunk(player, case):
    """The shortest case found that still differs, by leaving out steps, then parts of steps."""
    postgres, proxy, database, size, _ = player
    fails = lambda smaller: bool(smaller.order) and difference(postgres, proxy, database, size, smaller)[0]  # noqa: E731
    end = time.monotonic() + SHRINKING_SECONDS
    part = len(case.order) // 2
    while part and time.monotonic() < end:
        at = 0
        while at < len(case.order) and time.monotonic() < end:
            smaller = case.without(at, at + part)
            case, at = (smaller, at) if fails(smaller) else (case, at + part)
        part //= 2
    while time.monotonic() < end:
        found = next((smaller for smaller in case.smaller() if fails(smaller)), None)
        if found is None:
            break
        case = found
    return case


# -- tests ----------------------------------------------------------------------------------------
def seeds():
    asked = os.environ.get("PGRECALL_PROPERTY_SEEDS")
    if not asked:
        return FIXED_SEEDS
    first, _, last = asked.rpartition("-")
    return range(int(first or 0), int(last))


@pytest.fixture(scope="module")
def database(postgres):
    postgres.create_database("settings_property")
    postgres.sql("settings_property", SCHEMA)
    yield "settings_property"
    postgres.sql("postgres", "DROP DATABASE settings_property WITH (FORCE)", "DROP ROLE ann, bob, eve")


@pytest.fixture(scope="module")
def pools(postgres, database, new_proxy):
    """A pgrecall with one server connection and one with two."""
    made = {size: new_proxy(postgres.port, {"pool": {"size": size}, "auth": {"mode": "trust"}}) for size in (1, 2)}
    for each in made.values():
        each.wait_catalog(database)
    return made


def test_random_programs_see_what_postgresql_shows(postgres, pools, database):
    played, reasons = 0, []
    for seed in seeds():
        size = 1 if seed % 3 else 2
        player = (postgres, pools[size], database, size, Case.of_seed(seed))
        found, why = difference(*player)
        played, reasons = played + 1, reasons + why
        if found:
            case = shrunk(player, player[-1])
            again = difference(*player[:-1], case)[0]
            pytest.fail(f"seed {seed}, {size} server connections: {found}\nshrunk to\n{case}\n{again}", pytrace=False)
    if any(pool.identity for pool in pools.values()):
        return
    stats = [pool.stats() for pool in pools.values()]
    hits, reads = sum(each.hits for each in stats), sum(each.hits + each.misses for each in stats)
    print(f"{played} programs, {hits} hits of {reads} cacheable reads, {len(reasons)} clients pinned by what is not opaque:"
          f" {sorted(set(reasons))}")
    assert hits > reads // 3, "too few reads were hits to prove anything"
    assert len(reasons) < played, "too many clients were pinned"


def played(postgres, proxy, database, *order, logins=({}, {}), user="postgres", size=1):
    """Plays (client, step) one after the other; nothing may differ."""
    found, _ = difference(postgres, proxy, database, size, Case(user, list(logins), list(order)))
    assert found is None, found


Q = lambda *texts: (("Q", *texts),)  # noqa: E731
X = lambda *operations: (("X", *operations),)  # noqa: E731
DATED = Q(DATED_TEXT)
FIJI = {"TimeZone": "Pacific/Fiji"}


@pytest.mark.parametrize("style", ["Postgres", "ISO", "DMY"])
def test_a_part_of_a_datestyle_is_not_completed_by_another_clients(postgres, pools, database, style):
    other = (1, Q("SET datestyle = 'SQL, DMY'"))
    played(postgres, pools[1], database, (0, Q(f"SET datestyle = '{style}'")), other, (0, DATED), (1, DATED), (0, DATED))


def test_what_a_role_may_not_set_follows_its_client(postgres, pools, database):
    for become in ("SET ROLE bob", "SET SESSION AUTHORIZATION bob"):
        for name, value in (("log_statement", "mod"), ("session_replication_role", "replica")):
            look = Q(f"SHOW {name}")
            played(postgres, pools[1], database, (0, Q(f"SET {name} = '{value}'")), (0, Q(become)), (1, look), (0, look),
                   (0, Q("RESET SESSION AUTHORIZATION")), (1, look), (0, look))


@pytest.mark.parametrize("text", ["back\\slash", "caf\u00e9"])
@pytest.mark.parametrize("reading", ["SET standard_conforming_strings = off", "SET client_encoding = 'LATIN1'"])
def test_a_value_is_not_read_as_another_clients_texts_are(postgres, pools, database, text, reading):
    look = Q("SELECT v, coalesce(current_setting('app.a', true), '') FROM one.t")
    played(postgres, pools[1], database, (0, Q(f"SET app.a = '{text}'")), (1, Q(reading)), (0, look), (1, look))


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK", None])
def test_a_local_default_is_the_start_up_value(postgres, pools, database, ends):
    """Also one that ends at once, because it stands outside a block."""
    look, local = Q("SHOW timezone"), Q("SET LOCAL timezone TO DEFAULT")
    block = [(0, Q("BEGIN")), (0, local), (0, look), (0, Q(ends)), (0, look)] if ends else [(0, local), (0, look)]
    played(postgres, pools[1], database, (0, Q("SET timezone = 'Asia/Tokyo'")), *block, (1, look), (0, look), logins=(FIJI, {}))
    played(postgres, pools[1], database, *block, (1, look), (0, look), logins=(FIJI, {}))


def test_what_follows_a_reset_in_its_block_is_not_undone(postgres, pools, database):
    look = Q("SHOW timezone")
    played(postgres, pools[1], database, (0, Q("BEGIN")), (0, Q("SET timezone = 'UTC'")),
           (0, Q("RESET timezone", "SET LOCAL timezone = 'Asia/Tokyo'")), (0, look), (0, Q("COMMIT")), (0, look), (1, look),
           logins=(FIJI, {}))


def test_the_default_of_a_datestyle_is_the_start_up_value(postgres, pools, database):
    played(postgres, pools[1], database, (0, Q("SET datestyle = 'German'")), (0, Q("SET datestyle = 'default'")), (0, DATED),
           (1, DATED), (0, Q("BEGIN")), (0, Q("SET LOCAL datestyle = 'DEFAULT'")), (0, DATED), logins=({"DateStyle": "SQL, DMY"}, {}))


@pytest.mark.parametrize("how", ["SET ROLE none", "RESET ROLE", "SET SESSION AUTHORIZATION bob", "RESET SESSION AUTHORIZATION",
                                 "BEGIN; SET LOCAL SESSION AUTHORIZATION DEFAULT", "DISCARD ALL"])
def test_a_role_of_the_start_up_packet_is_left_and_returned_to(postgres, pools, database, how):
    look = Q("SELECT owner FROM public.rows")
    played(postgres, pools[1], database, (0, look), (0, Q(*how.split("; "))), (0, look), (0, Q("COMMIT")), (1, look), (0, look),
           logins=({"options": "-c role=ann"}, {}))


@pytest.mark.parametrize("ends", ["", "BEGIN; SELECT 1/0", "BEGIN"])
def test_prepare_transaction_where_there_is_no_block_takes_nothing_back(postgres, pools, database, ends):
    """Its tag is ROLLBACK, as that of one that ends a failed block."""
    before = [(0, Q(each)) for each in ends.split("; ") if each]
    played(postgres, pools[1], database, *before, (0, X(("u", "ROLLBACK"), ("u", "SET datestyle = 'DMY'"),
                                                        ("u", "PREPARE TRANSACTION '%gid'"))), (1, DATED), (0, DATED), (1, DATED))


@pytest.mark.parametrize("drops", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_is_prepared_behind_a_discard_in_its_pipeline_is_there(postgres, pools, database, drops):
    again = X(("e", "t"))
    for earlier in ("SELECT v FROM t", "SELECT v FROM one.t"):
        played(postgres, pools[1], database, (0, X(("p", "t", earlier))), (0, X(("u", drops), ("p", "t", "SELECT v FROM t"))),
               (0, again), (1, again), (0, again), (0, X(("u", drops), ("e", "t"))), (0, again))


def test_a_name_that_is_taken_is_refused_in_a_failed_block_too(postgres, pools, database):
    """Also if what has it, of which only the Parse succeeded, was to be put there anew in the unit that failed."""
    named = ("p", "t", "SELECT 1/0")
    played(postgres, pools[1], database, (0, X(named)), (0, Q("SET timezone = 'Asia/Tokyo'")),
           (0, X(("u", "BEGIN"), ("u", "SELECT v FROM missing"), ("p", "t", "SELECT 1"))), (0, X(("p", "t", "ROLLBACK TO a"))),
           (0, Q("ROLLBACK")), (1, X(named)), (0, X(("e", "t"))))
