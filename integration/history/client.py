"""One client process: picks activities by weight, checks every answer, survives lost connections."""
import gc
import time
import traceback

from . import board as boards
from . import keys, reads
from .catalog import Changer, Observer
from .reads import Reader, Violation, number_of, row_by_chance
from .sessions import DbError, Gone, PsycopgSession, RawSession
from .writes import Outside, Writer

EXPECTED_ERRORS = {"40001", "40P01"}  # a serialisation failure, a deadlock
LOST = ("08", "57P")  # a connection or a server went away
OUTAGE = LOST + ("53300",)
RECONNECT_SECONDS = 0.02
DDL_SECONDS = 4.0

READS = {"plain": 800, "range": 40, "sum": 40, "pairs": 160, "cascades": 30, "deferred_rows": 8, "owned": 60,
         "owned_function": 0.1, "copied": 8, "asynchronous_rows": 6, "materialised_rows": 6, "uncached": 10, "read_transaction": 12,
         "snapshot": 10, "read_pipeline": 15, "early_portal": 10,
         "generation": 16, "columns": 8, "privileges": 8}
WRITES = {"update": 4, "update_partition": 1, "update_view": 1, "cte": 1, "upsert": 1, "sql_function": 0.1,
          "dynamic_function": 0.1, "many_rows": 1, "two_statements": 1, "unsynced": 1, "pipeline": 1, "transaction": 4,
          "savepoint": 1, "pair": 3, "snapshot_write": 1, "delete_and_insert": 1, "cascade": 1, "deferred": 1,
          "deferred_autocommit": 0.5, "do_block": 0.1, "call": 0.05, "copy": 1, "asynchronous": 0.5,
          "materialised": 0.1, "late_commit": 0.1}
OTHERS = {"get_or_create": 0.3}
PINNING = {"dynamic_function", "do_block", "call", "sql_function", "owned_function", "ddl"}
ALL = {**READS, **WRITES, **OTHERS}


NUMBERS = {name: number_of(name) for name in ALL}  # the same in every process


class Client:
    """Runs in its own process until the board says stop."""

    def __init__(self, board, number, port, direct_port, database, seed, mix, ddl=True):
        self.board, self.number = board, number
        self.port, self.database = port, database
        self.chance = reads.seeded(seed, number)
        self.reader = Reader(board, number, self.chance)
        self.writer = Writer(board, number, self.chance, self.reader)
        self.observer = Observer(self.reader)
        self.changer = Changer(self.writer) if number == 0 and ddl else None
        self.outside = Outside(self.writer, lambda: PsycopgSession(direct_port, database, "postgres"))
        self.session = None
        self.mix = [(name, weight) for name, weight in mix.items() if weight]
        self.next_ddl = time.monotonic() + DDL_SECONDS

    # -- life ---------------------------------------------------------------------------------
    def run(self):
        gc.disable()
        activities = {name: getattr(self, name, None) or getattr(self.writer, name) for name, _ in self.mix}
        names, weights = [name for name, _ in self.mix], [weight for _, weight in self.mix]
        while not self.board.stopping():
            for name in self.chance.choices(names, weights, k=256):
                if self.board.stopping():
                    break
                self._pause()
                if self.board.switches[boards.LOSING]:
                    self._guarded(self.losing, "asynchronous")
                    continue
                self.writer.name = NUMBERS[name]
                self._guarded(activities[name], name)
            self._change_catalog()
        self._close()

    def _pause(self):
        while self.board.switches[boards.PAUSE] and not self.board.stopping():
            self.board.paused[self.number][0] = 1
            time.sleep(0.001)
        self.board.paused[self.number][0] = 0

    def _change_catalog(self):
        if self.changer is None or time.monotonic() < self.next_ddl or self.board.switches[boards.LOSING]:
            return
        self.next_ddl = time.monotonic() + DDL_SECONDS * (0.5 + self.chance.random())
        change = self.chance.choice((self.changer.view, self.changer.columns, self.changer.grants))
        self._guarded(change, "ddl")

    def _guarded(self, activity, name):
        try:
            if self.session is None:
                self._connect()
            activity()
            if name in PINNING or self.writer.pinned:
                self._unpin()
        except Violation as violation:
            self.board.violations.put((violation.time, violation.rule, violation.key, f"{name}: {violation}"))
            self._abandon()
        except DbError as error:
            if error.sqlstate not in EXPECTED_ERRORS and not self._excused(error.sqlstate):
                self.board.errors.put(f"client {self.number} in {name}: {error}")
            self.reader._counters[boards.REFUSED] += 1
            self._abandon()
        except Gone as gone:
            if not self._excused(gone.sqlstate or "08006"):
                self.board.errors.put(f"client {self.number} lost its connection in {name}: {gone}")
            self.writer.forget()
            self._close()
            time.sleep(RECONNECT_SECONDS)
        except Exception:  # a defect of the checker must not look like silence
            self.board.errors.put(f"client {self.number} in {name}: {traceback.format_exc()}")
            self._abandon()

    def _unpin(self):
        """Opaque code leaves its client pinned, all reads bypassed: start afresh."""
        self.writer.pinned = False
        if self.chance.random() < 0.5:
            self._close()
        else:
            self.session.discard_all()

    def _excused(self, sqlstate):
        """Errors that are no defect while connections are being cut, or the server is down."""
        switches = self.board.switches
        if switches[boards.OUTAGE]:
            return sqlstate.startswith(OUTAGE)
        return bool(switches[boards.LOSSES]) and sqlstate.startswith(LOST)

    def _abandon(self):
        """Leaves whatever transaction is open."""
        if self.session is None:
            return
        self.writer.in_transaction = True
        try:
            self.writer.rollback()
        except (DbError, Gone):
            self.writer.forget()
            self._close()

    def _connect(self):
        kind = RawSession if self.number % 2 else PsycopgSession
        self.session = kind(self.port, self.database, "postgres")
        self.reader.session = self.writer.session = self.session
        if self.number % 4 == 1:
            self.observer.other = PsycopgSession(self.port, self.database, "reader")
        self.reader._counters[boards.RECONNECTS] += 1

    def _close(self):
        for session in (self.session, self.observer.other):
            if session is not None:
                session.close()
        self.session = self.observer.other = None

    # -- reading activities -------------------------------------------------------------------
    def _mode(self):
        if self.session.extended:
            self.session.mode = self.chance.choice(("simple", "extended", "prepared"))

    def plain(self):
        self._mode()
        table = self.chance.choice(keys.PLAIN_TABLES)
        row = row_by_chance(self.chance)
        for shape in self.chance.sample(reads.PLAIN[table], 3):
            self.reader.read(shape, row)

    def range(self):
        self.reader.read_range(self.chance.choice(keys.PLAIN_TABLES))

    def sum(self):
        self.reader.read_sum(self.chance.choice(keys.PLAIN_TABLES))

    def pairs(self):
        row = row_by_chance(self.chance)
        for shape in self.chance.sample(reads.PAIRS, 3):
            self.reader.read(shape, row)

    def cascades(self):
        row = row_by_chance(self.chance)
        for shape in reads.CASCADE:
            self.reader.read(shape, row)

    def deferred_rows(self):
        self.reader.read(reads.DEFERRED, row_by_chance(self.chance))

    def _anybody(self):
        return self.chance.randrange(min(4, self.board.clients)) + 1

    def owned(self):
        row = self._anybody()
        for shape in reads.OWNED:
            self.reader.read(shape, row)

    def owned_function(self):
        self.reader.read(reads.OWNED_FUNCTION, self._anybody())

    def copied(self):
        self.reader.read(reads.COPIED, self._anybody())

    def asynchronous_rows(self):
        row = self._anybody()
        for shape in reads.ASYNC:
            self.reader.read(shape, row)

    def losing(self):
        """All that runs around a crash that loses commits: before it (1) a synchronous one would save them, after it (2)
        any write to the table would hide that what was remembered of it should have been forgotten."""
        self.writer.name = NUMBERS["asynchronous"]
        self.asynchronous_rows()
        if self.board.switches[boards.LOSING] == 1 and self.chance.random() < 0.1:
            self.writer.asynchronous()

    def materialised_rows(self):
        self.reader.read(reads.SOURCE, 1)
        self.reader.read(reads.REFRESHED, 1)

    def uncached(self):
        self.reader.read_uncached(self.chance.choice(keys.PLAIN_TABLES), row_by_chance(self.chance))

    def read_pipeline(self):
        """Several reads before one Sync: hits behind misses and misses behind hits."""
        if not self.session.extended:
            return self.plain()
        steps = []
        for _ in range(self.chance.randrange(2, 6)):
            table = self.chance.choice(keys.PLAIN_TABLES)
            steps.append((self.chance.choice(reads.PLAIN[table]), row_by_chance(self.chance)))
        floors = [self.board.floor(shape.base + row) for shape, row in steps]
        begin = boards.now()
        rows = self.session.pipeline([(shape.statement.text, (row,)) for shape, row in steps])
        for index, (shape, row) in enumerate(steps):
            self.reader.judge(shape, row, rows[index:index + 1], floors[index], begin)
        return None

    def early_portal(self):
        """Bind long before Execute: the old row may be returned, and must never be stored."""
        if not self.session.extended:
            return self.plain()
        table, row = self.chance.choice(keys.PLAIN_TABLES), row_by_chance(self.chance)
        shape = self.chance.choice(reads.PLAIN[table])
        floor, begin = self.board.floor(shape.base + row), boards.now()
        self.session.bind_early(shape.statement, (row,))
        time.sleep(self.chance.random() * 0.01)
        self.reader.judge(shape, row, self.session.execute_late(), floor, begin)
        return None

    def generation(self):
        self.observer.view()

    def columns(self):
        self.observer.columns()

    def privileges(self):
        self.observer.grants()

    def read_transaction(self):
        """READ COMMITTED: every statement has a snapshot of its own."""
        self.writer.begin()
        for _ in range(self.chance.randrange(1, 5)):
            table, row = self.chance.choice(keys.PLAIN_TABLES), row_by_chance(self.chance)
            self.reader.read(self.chance.choice(reads.PLAIN[table]), row)
        self.writer.commit() if self.chance.random() < 0.7 else self.writer.rollback()

    def snapshot(self):
        """REPEATABLE READ: everything shows the state of the first statement."""
        row, table = row_by_chance(self.chance), self.chance.choice(keys.PLAIN_TABLES)
        shapes = reads.PLAIN[table]
        floor, pair_floor = self.board.floor(keys.plain(table, row)), self.board.floor(keys.PAIR + row)
        self.writer.begin(self.chance.choice((" ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL REPEATABLE READ",
                                              " ISOLATION LEVEL SERIALIZABLE READ ONLY")))
        first = self.reader.read(reads.PAIR_A, row, pair_floor)
        version = self.reader.read(self.chance.choice(shapes), row, floor)
        self.writer.linger()
        for shape in (reads.PAIR_B, reads.PAIR_JOIN):
            self._same(shape, row, first, pair_floor)
        self._same(self.chance.choice(shapes), row, version, floor)
        self.writer.commit()

    def _same(self, shape, row, expected, floor):
        begin = boards.now()
        version = self.reader.read(shape, row, floor)
        if version != expected:
            raise self.reader.violation("F4 isolation", shape.base + row, shape.name, begin, version, expected)

    def get_or_create(self):
        self.outside.get_or_create()


def main(*arguments):
    """Entry of the forked process."""
    try:
        Client(*arguments).run()
    except KeyboardInterrupt:
        return
