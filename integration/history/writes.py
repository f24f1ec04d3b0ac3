"""The ways in which versions grow. A write takes its version from the row lock (RETURNING), or owns its row
and never lowers it (greatest). `Transaction` keeps what is acknowledged only at COMMIT."""
import io
import time

from . import board as boards
from . import keys, reads
from .reads import row_by_chance
from .sessions import DbError, Statement

WHO_WROTE = {table: Statement(f"SELECT v, w FROM {table} WHERE id = $1") for table in keys.PLAIN_TABLES}
CONFLICT = "23505"


class Writer:
    """Writes of one client, beside its Reader."""

    def __init__(self, board, client, chance, reader):
        self.board, self.client, self.chance, self.reader = board, client, chance, reader
        self.session = None
        self.in_transaction = False
        self.pinned = False  # triggers ran: pgrecall cannot know what they left behind
        self.pending = []  # (key, version) that the next COMMIT acknowledges
        self.name = 0
        self._sequence = 0
        self._counters = board.counters[client]

    # -- bookkeeping --------------------------------------------------------------------------
    def mark(self):
        """A value of w that nobody used before."""
        self._sequence += 1
        return (self.client + 1) << 32 | self._sequence

    def acknowledge(self, key, version, begin):
        self.board.acknowledge(key, version)
        self.reader.note(begin, boards.ACKNOWLEDGED, self.name, key, version, 0)
        self._counters[boards.WRITES] += 1

    def sent(self, key):
        """Notes that a write leaves whose version is not known yet; returns when."""
        begin = boards.now()
        self.reader.note(begin, boards.SENT, self.name, key, 0, 0)
        return begin

    def attempt(self, key):
        """The next version of a row that only this client writes."""
        version = max(self.board.attempted[key], keys.first(key)) + 1
        self.board.attempted[key] = version
        self.reader.note(boards.now(), boards.SENT, self.name, key, version, 0)
        return version

    def begin(self, isolation=""):
        self.session.run("BEGIN" + isolation)
        self.in_transaction, self.pending = True, []

    def wrote(self, key, version):
        self.pending.append((key, version))

    def commit(self):
        begin = boards.now()
        for key, version in self.pending:
            self.reader.note(begin, boards.SENT, self.name, key, version, 0)
        self.session.run("COMMIT")
        self.in_transaction = False
        if self.session.tag != "COMMIT":
            self._rolled_back(begin)
            return
        for key, version in self.pending:
            self.acknowledge(key, version, begin)
        self._counters[boards.TRANSACTIONS] += 1

    def rollback(self):
        begin = boards.now()
        if self.in_transaction:
            self.session.run("ROLLBACK")
        self.in_transaction = False
        self._rolled_back(begin)

    def _rolled_back(self, begin):
        for key, version in self.pending:
            self.reader.note(begin, boards.ROLLED_BACK, self.name, key, version, 0)
        self.pending = []
        self._counters[boards.ROLLBACKS] += 1

    def forget(self):
        """The connection is gone: nothing that was under way is acknowledged."""
        for key, version in self.pending:
            self.reader.note(boards.now(), boards.UNKNOWN, self.name, key, version, 0)
        self.in_transaction, self.pending = False, []
        self._counters[boards.UNKNOWNS] += 1

    def linger(self):
        """Time for others to get between two steps of a transaction."""
        if self.chance.random() < 0.4:
            time.sleep(self.chance.random() * 0.004)

    def _table(self):
        """Seldom the one whose triggers make every write opaque."""
        if self.chance.random() < 0.02:
            self.pinned = True
            return "t2"
        return self.chance.choice(("t0", "t1", "t3"))

    def _update(self, table, row):
        """UPDATE inside a transaction; None if a DELETE and INSERT of another client got between."""
        self.sent(keys.plain(table, row))
        rows = self.session.run(f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = {row} RETURNING v")
        if not rows:
            return None
        self.wrote(keys.plain(table, row), rows[0][0])
        return rows[0][0]

    def _single(self, table, row, sql):
        """One autocommit statement that returns the row's new version."""
        begin = self.sent(keys.plain(table, row))
        rows = self.session.run(sql)
        if rows and rows[0][0] is not None:
            self.acknowledge(keys.plain(table, row), rows[0][0], begin)

    # -- autocommit ---------------------------------------------------------------------------
    def update(self):
        table, row = self._table(), row_by_chance(self.chance)
        self._single(table, row, f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = {row} RETURNING v")

    def update_partition(self):
        row = row_by_chance(self.chance)
        partition = "t1_low" if row < 3 else "t1_high"
        self._single("t1", row, f"UPDATE {partition} SET v = v + 1, w = {self.mark()} WHERE id = {row} RETURNING v")

    def update_view(self):
        row = row_by_chance(self.chance)
        self._single("t3", row, f"UPDATE t3_view SET v = v + 1, w = {self.mark()} WHERE id = {row} RETURNING v")

    def cte(self):
        table, row = self._table(), row_by_chance(self.chance)
        self._single(table, row, f"WITH x AS (UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = {row} "
                                 "RETURNING v) SELECT v FROM x")

    def upsert(self):
        table, row = self.chance.choice(("t0", "t0", "t3")), row_by_chance(self.chance)
        self._single(table, row, f"INSERT INTO {table} (id, v, w) VALUES ({row}, 1, {self.mark()}) ON CONFLICT (id) "
                                 f"DO UPDATE SET v = {table}.v + 1, w = excluded.w RETURNING v")

    def sql_function(self):
        row = row_by_chance(self.chance)
        self._single("t3", row, f"SELECT bump({row}, {self.mark()})")

    def dynamic_function(self):
        table, row = self._table(), row_by_chance(self.chance)
        self._single(table, row, f"SELECT bump_dynamic('{table}', {row}, {self.mark()})")

    def many_rows(self):
        table = self._table()
        begin = [self.sent(keys.plain(table, row)) for row in (1, 2, 4)][0]
        rows = self.session.run(f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id IN (1, 2, 4) RETURNING id, v")
        for row, version in rows:
            self.acknowledge(keys.plain(table, row), version, begin)

    def two_statements(self):
        """One Query of two statements: an implicit transaction."""
        table, row = self._table(), row_by_chance(self.chance)
        begin = self.sent(keys.plain(table, row))
        rows = self.session.run(f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = {row}; "
                                f"SELECT v FROM {table} WHERE id = {row}")
        self.acknowledge(keys.plain(table, row), rows[-1][0], begin)

    def unsynced(self):
        """Execute and Flush: CommandComplete arrives, the commit comes with Sync."""
        if not self.session.extended:
            return self.update()
        table, row = self._table(), row_by_chance(self.chance)
        begin = self.sent(keys.plain(table, row))
        rows = self.session.unsynced(f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = {row} RETURNING v")
        time.sleep(self.chance.random() * 0.03)
        self.session.sync()
        if rows:
            self.acknowledge(keys.plain(table, row), rows[0][0], begin)

    def pipeline(self):
        """Read, write and read again before one Sync: an implicit transaction that sees its own write."""
        if not self.session.extended:
            return self.update()
        table, row = self._table(), row_by_chance(self.chance)
        shape, key = self.chance.choice(reads.PLAIN[table][:2]), keys.plain(table, row)
        floor, begin = self.board.floor(key), self.sent(key)
        update = f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = $1 RETURNING v"
        rows = self.session.pipeline([(shape.statement.text, (row,)), (update, (row,)), (shape.statement.text, (row,))])
        self.reader.judge(shape, row, rows[:1], floor, begin)
        if len(rows) != 3:  # a DELETE and INSERT of another client got between
            return None
        written = rows[1][0]
        self.acknowledge(key, written, begin)
        if rows[2][0] != written:
            raise self.reader.violation("own write", key, shape.name, begin, rows[2], written)
        return None

    def late_commit(self):
        """The relay cuts the connection as soon as this was forwarded; the server goes on and commits."""
        table, row = self._table(), row_by_chance(self.chance)
        self._single(table, row, f"UPDATE {table} SET v = v + 1, w = {self.mark()} WHERE id = {row} "
                                 "AND 'late-commit' <> '' RETURNING v, pg_sleep(0.4)")

    # -- transactions -------------------------------------------------------------------------
    def transaction(self):
        table, row = self._table(), row_by_chance(self.chance)
        self.begin()
        self.reader.read(self.chance.choice(reads.PLAIN[table]), row)
        self.linger()
        version = self._update(table, row)
        if version is not None:
            for shape in self.chance.sample(reads.PLAIN[table], 2):
                self.reader.read_own(shape, row, version)
        self.linger()
        if self.chance.random() < 0.7:
            self.commit()
        else:
            self._roll_back_and_look(table, row)

    def _roll_back_and_look(self, table, row):
        mine = (self.client + 1) << 32 | self._sequence
        self.rollback()
        begin = boards.now()
        rows = self.session.fetch(WHO_WROTE[table], (row,))
        if rows[0][1] == mine:
            raise self.reader.violation("rolled back write", keys.plain(table, row), "own look", begin, rows, 0)

    def savepoint(self):
        table = self._table()
        kept, dropped, last = 1, 2, 3
        self.begin()
        self._update(table, kept)
        self.session.run("SAVEPOINT inside")
        version = self._update(table, dropped)
        if version is not None:
            self.reader.read_own(reads.PLAIN[table][0], dropped, version)
            self.pending.pop()
        self.session.run("ROLLBACK TO inside")
        self.reader.read(reads.PLAIN[table][0], dropped)
        if self.chance.random() < 0.5:
            self.session.run("RELEASE inside")
        self._update(table, last)
        self.commit()

    def pair(self):
        """Two tables written together; whoever sees one of them new must not see the other old."""
        row = row_by_chance(self.chance)
        self.begin()
        self.sent(keys.PAIR + row)
        version = self.session.run(f"UPDATE pa SET v = v + 1 WHERE id = {row} RETURNING v")[0][0]
        self.reader.read_own(reads.PAIR_A, row, version)
        self.linger()
        self.session.run(f"UPDATE pb SET v = {version} WHERE id = {row}")
        self.wrote(keys.PAIR + row, version)
        self.reader.read_own(self.chance.choice((reads.PAIR_B, reads.PAIR_JOIN)), row, version)
        if self.chance.random() < 0.85:
            self.commit()
        else:
            self.rollback()

    def snapshot_write(self):
        """REPEATABLE READ or SERIALIZABLE: may fail to serialise, never works on an old row."""
        table, row = self._table(), row_by_chance(self.chance)
        shape = reads.PLAIN[table][0]
        self.begin(self.chance.choice((" ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL SERIALIZABLE")))
        before = self.reader.read(shape, row)
        self.linger()
        version = self._update(table, row)
        if version is not None:
            if version != before + 1:
                raise self.reader.violation("F4 snapshot", keys.plain(table, row), "UPDATE", boards.now(), version,
                                            before + 1)
            self.reader.read_own(shape, row, version)
        self.commit()

    def delete_and_insert(self):
        table, row = self._table(), row_by_chance(self.chance)
        self.begin()
        self.sent(keys.plain(table, row))
        rows = self.session.run(f"DELETE FROM {table} WHERE id = {row} RETURNING v")
        if not rows:
            return self.rollback()
        self.linger()
        version = rows[0][0] + 1
        self.session.run(f"INSERT INTO {table} (id, v, w) VALUES ({row}, {version}, {self.mark()})")
        self.reader.read_own(reads.PLAIN[table][-1], row, version)  # in t2: the trigger's copy
        self.wrote(keys.plain(table, row), version)
        self.commit()

    def cascade(self):
        row = row_by_chance(self.chance)
        begin = self.sent(keys.CASCADE + row)
        version = self.session.run(f"UPDATE ca SET v = v + 1 WHERE id = {row} RETURNING v")[0][0]
        self.acknowledge(keys.CASCADE + row, version, begin)

    def deferred(self):
        """A unique constraint that is checked, and sometimes violated, only at COMMIT."""
        row = row_by_chance(self.chance)
        fails = self.chance.random() < 0.5
        slot = row % keys.ROWS + 1 if fails else row
        self.begin()
        self.sent(keys.DEFERRED + row)
        version = self.session.run(f"UPDATE u SET v = v + 1, slot = {slot} WHERE id = {row} RETURNING v")[0][0]
        self.wrote(keys.DEFERRED + row, version)
        self.reader.read_own(reads.DEFERRED, row, version)
        try:
            self.commit()
        except DbError as error:
            if error.sqlstate != CONFLICT or not fails:
                raise
            self.rollback_after_failed_commit()
            self.reader.read(reads.DEFERRED, row)

    def rollback_after_failed_commit(self):
        self.in_transaction = False
        self._rolled_back(boards.now())

    def deferred_autocommit(self):
        """The same in one statement: the error comes with the implicit commit."""
        row = row_by_chance(self.chance)
        self.sent(keys.DEFERRED + row)
        try:
            self.session.run(f"UPDATE u SET v = v + 1, slot = {row % keys.ROWS + 1} WHERE id = {row}")
        except DbError as error:
            if error.sqlstate != CONFLICT:
                raise
        self.reader.read(reads.DEFERRED, row)

    # -- rows of this client ------------------------------------------------------------------
    def do_block(self):
        row = self.client + 1
        begin = boards.now()
        version = self.attempt(keys.OWNED + row)
        self.session.run(f"DO $$ BEGIN EXECUTE 'UPDATE o SET v = greatest(v, {version}) WHERE id = {row}'; END $$")
        self.acknowledge(keys.OWNED + row, version, begin)

    def call(self):
        """A procedure that commits twice."""
        row = self.client + 1
        begin = boards.now()
        self.attempt(keys.OWNED + row)
        version = self.attempt(keys.OWNED + row)
        self.session.run(f"CALL bump_twice({row}, {version})")
        self.acknowledge(keys.OWNED + row, version, begin)

    def copy(self):
        row = self.client + 1
        begin = boards.now()
        key = keys.COPIED + row
        versions = [self.attempt(key) for _ in range(3)]
        self.session.copy_in("COPY copied FROM STDIN", io.StringIO("".join(f"{row}\t{v}\n" for v in versions)))
        self.acknowledge(key, versions[-1], begin)
        if versions[0] % 50 < 3:
            self.session.run(f"DELETE FROM copied WHERE id = {row} AND v < {versions[-1] - 100}")

    def asynchronous(self):
        """Synchronous after all, unless the server is about to lose such commits."""
        row = self.client + 1
        begin = boards.now()
        version = self.attempt(keys.ASYNC + row)
        self.begin()
        if self.board.switches[boards.LOSING]:
            self.session.run("SET LOCAL synchronous_commit = off")
        self.session.run(f"UPDATE y SET v = greatest(v, {version}) WHERE id = {row}")
        self.commit()
        self.acknowledge(keys.ASYNC + row, version, begin)

    def materialised(self):
        """Row 1 belongs to client 0, who alone refreshes."""
        if self.client:
            return self.do_block()
        begin = boards.now()
        version = self.attempt(keys.SOURCE + 1)
        self.session.run(f"UPDATE m SET v = greatest(v, {version}) WHERE id = 1")
        self.acknowledge(keys.SOURCE + 1, version, begin)
        begin = boards.now()
        self.session.run("REFRESH MATERIALIZED VIEW mv")
        self.acknowledge(keys.REFRESHED + 1, version, begin)


class Outside:
    """Rows inserted past pgrecall that pgrecall's client then meets as 23505 (get_or_create)."""

    READ = Statement("SELECT count(*) FROM x WHERE id = $1 AND v = $2")

    def __init__(self, writer, connect):
        self.writer, self.connect = writer, connect

    def get_or_create(self):
        writer = self.writer
        row = writer.client + 1
        key = keys.MISSING + row
        version = writer.attempt(key)
        for _ in range(2):
            self._expect(0, "phantom", key, row, version)
        direct = self.connect()
        direct.run(f"INSERT INTO x VALUES ({row}, {version})")
        direct.close()
        try:
            writer.session.run(f"INSERT INTO x VALUES ({row}, {version})")
            raise writer.reader.violation("constraint", key, "INSERT of an existing row", boards.now(), "success", 0)
        except DbError as error:
            if error.sqlstate != CONFLICT:
                raise
        self._expect(1, "constraint error forgotten", key, row, version)
        writer.board.counters[writer.client][boards.OUTSIDE] += 1

    def _expect(self, count, rule, key, row, version):
        reader, begin = self.writer.reader, boards.now()
        found = self.writer.session.fetch(self.READ, (row, version))[0][0]
        reader.note(begin, boards.READ, self.writer.name, key, version if found else 0, version if count else 0)
        if found != count:
            raise reader.violation(rule, key, "get_or_create", begin, found, count)
