"""The checker: asks PostgreSQL itself what a sampled SELECT should have answered.

A sampled SELECT is first read directly, then as the site reads it, then directly again. Both direct
reads are taken with their snapshot. Three verdicts:

- *fresh*: the site's answer equals the second direct one;
- *stale*: it differs, and the two direct snapshots are equal. No transaction ended between them, so
  that there was one state only, from before the site asked until after it was answered;
- *undecided*: it differs, but something was committed in between.

A write therefore can never be mistaken for a stale answer, not even one that was undone at once.
"""
import random
import re
import time
from dataclasses import dataclass, field

# What cannot be asked again elsewhere: locks, and texts that are no plain read.
SAMPLED = re.compile(r"^\s*SELECT\b(?!.*\bFOR (UPDATE|SHARE|NO KEY UPDATE|KEY SHARE)\b)", re.I | re.S)
EXAMPLES_MAX = 3


@dataclass
class Verdicts:
    """Counts of one client."""

    answers: int = 0
    fresh: int = 0
    stale: int = 0
    undecided: int = 0
    examples: list = field(default_factory=list)

    @property
    def checked(self):
        return self.fresh + self.stale

    def add(self, other):
        self.answers += other.answers
        self.fresh += other.fresh
        self.stale += other.stale
        self.undecided += other.undecided
        self.examples = (self.examples + other.examples)[:EXAMPLES_MAX]


class Rereader:
    """A Django execute wrapper. `direct` is a psycopg2 connection past pgrecall whose settings are
    the site's; `share` of the SELECTs is re-read. `seconds_spent` is what that cost so far."""

    def __init__(self, direct, share, seed):
        direct.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        self.direct = direct
        self.share = share
        self.generator = random.Random(seed)
        self.verdicts = Verdicts()
        self.seconds_spent = 0.0
        self._wrote = False

    def clock(self):
        """The time that passes for the site, which knows nothing of being checked."""
        return time.perf_counter() - self.seconds_spent

    def __call__(self, execute, sql, params, many, context):
        connection = context["connection"]
        if not connection.in_atomic_block:
            self._wrote = False
        if many or not isinstance(sql, str) or not SAMPLED.match(sql):
            self._wrote = connection.in_atomic_block
            return execute(sql, params, many, context)
        self.verdicts.answers += 1
        # A transaction that wrote sees what nobody else can.
        if self._wrote or context["cursor"].cursor.name or self.generator.random() >= self.share:
            return execute(sql, params, many, context)
        return self._checked(execute, sql, params, context)

    def _checked(self, execute, sql, params, context):
        cursor = context["cursor"].cursor
        before = self._timed(self._read_direct, sql, params, cursor.tzinfo_factory)
        result = execute(sql, params, False, context)
        # The site has not fetched yet: read all rows, then put the cursor back to the first.
        started = time.perf_counter()
        rows = cursor.fetchall()
        if rows:
            cursor.scroll(0, mode="absolute")
        after = self._read_direct(sql, params, cursor.tzinfo_factory)
        self._judge(sql, params, before, rows, after)
        self.seconds_spent += time.perf_counter() - started
        return result

    def _timed(self, function, *arguments):
        started = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            self.seconds_spent += time.perf_counter() - started

    def _read_direct(self, sql, params, tzinfo_factory):
        """(snapshot, rows) of one REPEATABLE READ transaction."""
        with self.direct.cursor() as cursor:
            cursor.tzinfo_factory = tzinfo_factory
            cursor.execute("SELECT pg_current_snapshot()::text")
            snapshot = cursor.fetchone()[0]
            cursor.execute(sql, params)
            rows = cursor.fetchall()
        self.direct.rollback()
        return snapshot, rows

    def _judge(self, sql, params, before, rows, after):
        if _comparable(rows) == _comparable(after[1]):
            self.verdicts.fresh += 1
        elif before[0] == after[0]:
            self.verdicts.stale += 1
            if len(self.verdicts.examples) < EXAMPLES_MAX:
                self.verdicts.examples.append(
                    f"stale at {time.strftime('%H:%M:%S')}: {str(rows)[:120]}, not {str(after[1])[:120]} "
                    f"(snapshot {after[0]}), for {sql[:60]} ... {sql[-160:]} with {params}")
        else:
            self.verdicts.undecided += 1

    def close(self):
        self.direct.close()


def _comparable(rows):
    """SQL without ORDER BY may give its rows in any order."""
    return sorted(map(repr, rows))
