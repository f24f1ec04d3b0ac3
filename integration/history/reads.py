"""The shapes of reads and what each must show. `Reader` runs one and checks it against the floor that was
taken before it was sent (F1: what was acknowledged; F2: what anybody saw)."""
import random

from . import board as boards
from . import keys
from .sessions import Statement

NAMES = []  # of shapes and of writes, by number: for the diary


def number_of(name):
    if name not in NAMES:
        NAMES.append(name)
    return NAMES.index(name)


class Shape:
    """A statement with the row id as $1; each column of its row shows the version of key base + id."""

    def __init__(self, name, base, sql, source=None):
        self.name, self.base = name, base
        self.source = base if source is None else source  # whose versions it shows
        self.number = number_of(name)
        self.statement = Statement(sql)


def _plain_shapes(table):
    base = keys.PLAIN[table]
    yield Shape(f"{table} by id", base, f"SELECT v FROM {table} WHERE id = $1")
    yield Shape(f"{table} with its writer", base, f"SELECT v, v FROM {table} t WHERE t.id = $1 AND w >= 0")
    yield Shape(f"max of {table}", base, f"SELECT max(v) FROM {table} WHERE id = $1")


PLAIN = {table: list(_plain_shapes(table)) for table in keys.PLAIN_TABLES}
PLAIN["t0"] += [
    Shape("t0 in a list", keys.PLAIN["t0"], "SELECT v FROM t0 WHERE id IN ($1, -1)"),
    Shape("t0 through EXISTS", keys.PLAIN["t0"],
          "SELECT v FROM t0 a WHERE id = $1 AND EXISTS (SELECT FROM t0 b WHERE b.v = a.v)"),
]
PLAIN["t1"] += [
    Shape("t1 in a subquery", keys.PLAIN["t1"], "SELECT (SELECT v FROM t1 WHERE id = $1)"),
    Shape("union of t1's partitions", keys.PLAIN["t1"],
          "SELECT v FROM t1_low WHERE id = $1 UNION ALL SELECT v FROM t1_high WHERE id = $1"),
]
PLAIN["t2"] += [
    Shape("view joining t2 and s0", keys.PLAIN["t2"], "SELECT v, v2 FROM t2_and_s0 WHERE id = $1"),
    Shape("join of t2 and s2", keys.PLAIN["t2"], "SELECT t2.v, s2.v FROM t2 JOIN s2 USING (id) WHERE id = $1"),
    Shape("s0, written by a trigger", keys.PLAIN["t2"], "SELECT v FROM s0 WHERE id = $1"),
    Shape("s2, written by a dynamic trigger", keys.PLAIN["t2"], "SELECT v FROM s2 WHERE id = $1"),
]
PLAIN["t3"] += [
    Shape("view of t3", keys.PLAIN["t3"], "SELECT v FROM t3_view WHERE id = $1"),
    Shape("view of a view of t3", keys.PLAIN["t3"], "SELECT v FROM t3_view2 WHERE id = $1"),
    Shape("t3 through CTE", keys.PLAIN["t3"], "WITH c AS (SELECT id, v FROM t3) SELECT v FROM c WHERE id = $1"),
]
PAIR_A = Shape("pa by id", keys.PAIR, "SELECT v FROM pa WHERE id = $1")
PAIR_B = Shape("pb by id", keys.PAIR, "SELECT v FROM pb WHERE id = $1")
PAIR_JOIN = Shape("join of pa and pb", keys.PAIR, "SELECT pa.v, pb.v FROM pa JOIN pb USING (id) WHERE id = $1")
PAIRS = [PAIR_A, PAIR_B, PAIR_JOIN,
         Shape("max over pa and pb", keys.PAIR,
               "SELECT max(v), min(v) FROM (SELECT v FROM pa WHERE id = $1 UNION ALL SELECT v FROM pb WHERE id = $1) q")]
CASCADE = [
    Shape("ca by id", keys.CASCADE, "SELECT v FROM ca WHERE id = $1"),
    Shape("cb, written by a cascade", keys.CASCADE, "SELECT v FROM cb WHERE id = $1"),
    Shape("join of cb and ca", keys.CASCADE, "SELECT cb.v, ca.v FROM cb JOIN ca ON cb.v = ca.v WHERE cb.id = $1"),
]
DEFERRED = Shape("u by id", keys.DEFERRED, "SELECT v FROM u WHERE id = $1")
OWNED = [
    Shape("o by id", keys.OWNED, "SELECT v FROM o WHERE id = $1"),
    Shape("o in a join", keys.OWNED, "SELECT o.v FROM o JOIN g ON g.id = 1 WHERE o.id = $1"),
]
OWNED_FUNCTION = Shape("o through a function", keys.OWNED, "SELECT read_owned($1)")
COPIED = Shape("newest copied row", keys.COPIED, "SELECT max(v) FROM copied WHERE id = $1")
ASYNC = [Shape("y by id", keys.ASYNC, "SELECT v FROM y WHERE id = $1"),
         Shape("max of y", keys.ASYNC, "SELECT max(v) FROM y WHERE id = $1")]
SOURCE = Shape("m by id", keys.SOURCE, "SELECT v FROM m WHERE id = $1")
REFRESHED = Shape("materialised view of m", keys.REFRESHED, "SELECT v FROM mv WHERE id = $1", keys.SOURCE)

UNIQUE = {table: Shape(f"{table}, never asked before", keys.PLAIN[table], f"SELECT v FROM {table} WHERE id = $1 AND $2::bigint > 0")
          for table in keys.PLAIN_TABLES}
RANGES = {table: Statement(f"SELECT id, v FROM {table} WHERE id BETWEEN $1 AND $2 ORDER BY id")
          for table in keys.PLAIN_TABLES}
SUMS = {table: Statement(f"SELECT sum(v)::bigint, count(*) FROM {table} WHERE id BETWEEN $1 AND $2")
        for table in keys.PLAIN_TABLES}
_RANGE, _SUM = number_of("range"), number_of("sum")


class Violation(Exception):
    """A wrong answer: rule, key, text."""

    def __init__(self, rule, key, text):
        super().__init__(text)
        self.rule, self.key, self.time = rule, key, boards.now()


class Reader:
    """Reads of one client. `session` is replaced when the client reconnects."""

    def __init__(self, board, client, chance):
        self.board, self.client, self.chance = board, client, chance
        self.session = None
        self._counters = board.counters[client]
        self._unique = client << 40

    def read(self, shape, row, floor=None):
        """Runs the shape for a row and returns the version it shows. `floor` replaces the one taken now
        inside a transaction whose snapshot is older."""
        return self._checked(shape, row, (row,), floor)

    def read_uncached(self, table, row):
        """A text that nobody sent before: always answered by PostgreSQL."""
        self._unique += 1
        return self._checked(UNIQUE[table], row, (row, self._unique), None)

    def _checked(self, shape, row, values, floor):
        if floor is None:
            floor = self.board.floor(shape.base + row)
        begin = boards.now()
        return self.judge(shape, row, self.session.fetch(shape.statement, values), floor, begin)

    def judge(self, shape, row, rows, floor, begin):
        """Checks the answer to `shape`; returns its version."""
        board, key = self.board, shape.base + row
        if len(rows) != 1:
            raise self.violation("no row", key, shape.name, begin, rows, floor)
        versions = rows[0]
        version = versions[0] or 0
        self.note(begin, boards.READ, shape.number, key, version, floor)
        if version // keys.STEP != shape.source + row:
            raise self.violation("another answer", key, shape.name, begin, describe(version), floor)
        if len(versions) > 1 and versions[1] != versions[0]:
            raise self.violation("torn", key, shape.name, begin, versions, floor)
        self.check(key, version, floor, shape.name, begin)
        self._counters[boards.READS] += 1
        return version

    def check(self, key, version, floor, what, begin):
        """A committed version that a read has shown."""
        board = self.board
        if version < floor:
            rule = "F1 fresh" if version < board.acknowledged[key] and floor <= board.acknowledged[key] else "F2 never back"
            raise self.violation(rule, key, what, begin, version, floor)
        most = board.attempted[key]
        if most and version > most:
            raise self.violation("never written", key, what, begin, version, most)
        if version > board.seen[key]:
            board.see(key, version)

    def read_own(self, shape, row, expected):
        """Inside the transaction that wrote `expected` and holds the row's lock."""
        begin = boards.now()
        rows = self.session.fetch(shape.statement, (row,))
        version = rows[0][0] if rows else 0
        self.note(begin, boards.OWN_READ, shape.number, shape.base + row, version, expected)
        if version != expected:
            raise self.violation("own write", shape.base + row, shape.name, begin, rows, expected)
        self._counters[boards.OWN_READS] += 1

    def read_range(self, table):
        base = keys.PLAIN[table]
        first = self.chance.choice((1, 1, 1, 3))
        last = first + 3
        floors = [self.board.floor(base + row) for row in range(first, last + 1)]
        begin = boards.now()
        rows = self.session.fetch(RANGES[table], (first, last))
        if [(row, v // keys.STEP) for row, v in rows] != [(row, base + row) for row in range(first, last + 1)]:
            raise self.violation("another answer", base + first, f"range of {table}", begin, rows, floors)
        for (row, version), floor in zip(rows, floors):
            self.note(begin, boards.READ, _RANGE, base + row, version, floor)
            self.check(base + row, version, floor, f"range of {table}", begin)
        self._counters[boards.READS] += 1

    def read_sum(self, table):
        base = keys.PLAIN[table]
        floor = sum(self.board.floor(base + row) for row in range(1, 5))
        begin = boards.now()
        total, count = self.session.fetch(SUMS[table], (1, 4))[0]
        self.note(begin, boards.READ, _SUM, base + 1, total, floor)
        if total < floor or count != 4:
            raise self.violation("F1/F2 sum", base + 1, f"sum over {table}", begin, (total, count), floor)
        self._counters[boards.READS] += 1

    def note(self, begin, kind, name, key, version, floor):
        self.board.write_diary(self.client, begin, kind, name, key, version, floor)

    def violation(self, rule, key, what, begin, seen, floor):
        return Violation(rule, key, f"{what} of {keys.NAMES[key]}: got {describe(seen)}, expected at least "
                                    f"{describe(floor)} (acknowledged {describe(self.board.acknowledged[key])}, seen "
                                    f"{describe(self.board.seen[key])}); "
                                    f"sent {(boards.now() - begin) / 1e6:.2f} ms before the answer by client "
                                    f"{self.client} ({type(self.session).__name__})")


def describe(version):
    """A version without its key, or with the key it belongs to: t0[1]#17."""
    if isinstance(version, int) and keys.STEP < version < len(keys.NAMES) * keys.STEP:
        return f"{keys.NAMES[version // keys.STEP]}#{version % keys.STEP}"
    return version


def row_by_chance(chance):
    """Most of the time one of two hot rows."""
    return chance.randrange(1, 3) if chance.random() < 0.8 else chance.randrange(1, keys.ROWS + 1)


def seeded(seed, client):
    return random.Random(f"{seed}/{client}")
