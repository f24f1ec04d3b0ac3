"""What a site asks of its database: how long that takes, and which reads a cache could have answered.

A read is *due* as a hit if the same text with the same values was asked before, by whichever client,
and no table in it was written to since. That follows from the pages asked for and not from the speed
of the machine, so that a hit rate can be judged by it.
"""
import hashlib
import re
import time
from typing import NamedTuple

READ = re.compile(r"\s*SELECT\b", re.I)
WRITE = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.I)
LOCKS = re.compile(r"\bFOR (UPDATE|SHARE|NO KEY UPDATE|KEY SHARE)\b", re.I)
TABLE = re.compile(r'\b(?:FROM|JOIN|INTO|UPDATE)\s+"(\w+)"', re.I)


class Statement(NamedTuple):
    """`key` is None for a read that no cache may answer. `at` is a time that all clients share."""

    at: float
    measured: bool
    writes: bool
    tables: tuple
    key: bytes


class Journal:
    """A Django execute wrapper, to be the innermost. `seconds` only grows; `statements` holds the reads
    and writes of one client in their order."""

    def __init__(self):
        self.seconds = 0.0
        self.measuring = False
        self.statements = []
        self._wrote = False

    def __call__(self, execute, sql, params, many, context):
        self._note(sql, params, context)
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds += time.perf_counter() - started

    def _note(self, sql, params, context):
        in_block = context["connection"].in_atomic_block
        writes = bool(WRITE.match(sql))
        if not writes and not READ.match(sql):
            return
        if not in_block:
            self._wrote = False
        key = None
        if not writes and not self._wrote and not LOCKS.search(sql) and not context["cursor"].cursor.name:
            key = hashlib.blake2b(repr((sql, params)).encode(), digest_size=12).digest()
        self._wrote = self._wrote or (writes and in_block)
        self.statements.append(Statement(time.monotonic(), self.measuring, writes,
                                         tuple(set(TABLE.findall(sql))), key))


def due_share(statements):
    """Of the measured reads of all clients together, the share that was due as a hit."""
    asked, written = {}, {}
    reads = due = 0
    for number, statement in enumerate(sorted(statements, key=lambda each: each.at)):
        if statement.writes:
            written.update((table, number) for table in statement.tables)
            continue
        reads += statement.measured
        if statement.key is None:
            continue
        before = asked.get(statement.key, -1)
        if before >= 0 and all(written.get(table, -1) < before for table in statement.tables):
            due += statement.measured
        asked[statement.key] = number
    return due / max(1, reads)
