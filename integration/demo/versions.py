"""The version test: who has been told that version n is written never reads an older one.

Each writer owns some rows of one table and counts their version up. Once PostgreSQL's answer has
come back through pgrecall, it puts the version into shared memory. A reader takes that number (and
the highest version that any reader saw) before it asks, and must not be answered with less.
"""
import random
import time
from dataclasses import dataclass, field

import psycopg2

TABLE = "demo_version"
ROWS = 8
WRITES_PER_SECOND = 25
EXAMPLES_MAX = 3


@dataclass
class Findings:
    """Counts of one process."""

    reads: int = 0
    writes: int = 0
    behind_acknowledged: int = 0
    behind_seen: int = 0
    examples: list = field(default_factory=list)

    @property
    def stale(self):
        return self.behind_acknowledged + self.behind_seen

    def add(self, other):
        self.reads += other.reads
        self.writes += other.writes
        self.behind_acknowledged += other.behind_acknowledged
        self.behind_seen += other.behind_seen
        self.examples = (self.examples + other.examples)[:EXAMPLES_MAX]


def create_table(owner):
    """The statements that do."""
    return [f"CREATE TABLE {TABLE} (id int PRIMARY KEY, version bigint NOT NULL)",
            f"INSERT INTO {TABLE} SELECT n, 0 FROM generate_series(0, {ROWS - 1}) n",
            f'ALTER TABLE {TABLE} OWNER TO "{owner}"']


def _connect(parameters):
    connection = psycopg2.connect(**parameters)
    connection.autocommit = True
    return connection


def write(parameters, writer, writers, acknowledged, seconds, results):
    """Counts up the rows of this writer, some in a transaction, some rolled back first."""
    connection = _connect(parameters)
    generator = random.Random(writer)
    findings = Findings()
    own = [row for row in range(ROWS) if row % writers == writer]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        row = generator.choice(own)
        version = acknowledged[row] + 1
        with connection.cursor() as cursor:
            kind = generator.randrange(3)
            if kind == 1:
                cursor.execute("BEGIN")
                cursor.execute(f"UPDATE {TABLE} SET version = %s WHERE id = %s", [-1, row])
                cursor.execute("ROLLBACK")
            if kind == 2:
                cursor.execute("BEGIN")
            cursor.execute(f"UPDATE {TABLE} SET version = %s WHERE id = %s", [version, row])
            if kind == 2:
                cursor.execute("COMMIT")
        acknowledged[row] = version
        findings.writes += 1
        time.sleep(generator.expovariate(WRITES_PER_SECOND))
    connection.close()
    results.put(findings)


def read(parameters, reader, acknowledged, seen, seconds, results):
    connection = _connect(parameters)
    generator = random.Random(-1 - reader)
    findings = Findings()
    end = time.monotonic() + seconds
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            row = generator.randrange(ROWS)
            told, known = acknowledged[row], seen[row]
            cursor.execute(f"SELECT version FROM {TABLE} WHERE id = %s", [row])
            version = cursor.fetchone()[0]
            _judge(findings, row, version, told, known)
            with seen.get_lock():
                seen[row] = max(seen[row], version)
    connection.close()
    results.put(findings)


def _judge(findings, row, version, told, known):
    findings.reads += 1
    if version < told:
        findings.behind_acknowledged += 1
    elif version < known:
        findings.behind_seen += 1
    else:
        return
    if len(findings.examples) < EXAMPLES_MAX:
        findings.examples.append(f"version test: row {row} read as {version}, acknowledged was {told}, "
                                 f"seen was {known}")
