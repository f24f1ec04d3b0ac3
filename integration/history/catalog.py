"""DDL and privileges as versions: a view, a column and a grant whose generation only grows. Client 0 writes
them; everybody reads."""
from . import board as boards
from . import keys
from .reads import number_of
from .sessions import DbError, Statement

VIEW = Statement("SELECT g FROM generation WHERE id = $1")
COLUMNS = "SELECT * FROM d WHERE id = 1"
GRANTED = Statement("SELECT v FROM g WHERE id = $1")
DUPLICATE_COLUMN, UNDEFINED_COLUMN, PLAN_CHANGED, DENIED = "42701", "42703", "0A000", "42501"
_VIEW, _COLUMNS, _GRANT = number_of("generation of a view"), number_of("newest column of d"), number_of("privilege on g")


class Changer:
    """DDL of client 0. Each statement is repeated until its outcome is known."""

    def __init__(self, writer):
        self.writer = writer
        self.board = writer.board

    def _apply(self, key, name, statement):
        """`statement(generation)` is sent for the oldest generation that is not acknowledged."""
        board = self.board
        generation = board.acknowledged[key] + 1
        board.attempted[key] = generation
        self.writer.name = name
        begin = boards.now()
        self.writer.reader.note(begin, boards.SENT, name, key, generation, 0)
        try:
            self.writer.session.run(statement(generation))
        except DbError as error:
            if error.sqlstate not in (DUPLICATE_COLUMN, UNDEFINED_COLUMN):
                raise
        self.writer.acknowledge(key, generation, begin)

    def view(self):
        self._apply(keys.GENERATION_OF_VIEW, _VIEW,
                    lambda n: f"CREATE OR REPLACE VIEW generation AS SELECT id, {n} AS g FROM g")

    def columns(self):
        self._apply(keys.GENERATION_OF_COLUMNS, _COLUMNS,
                    lambda n: f"ALTER TABLE d ADD COLUMN g_{n} int NOT NULL DEFAULT {n}, DROP COLUMN g_{n - 1}")

    def grants(self):
        """Even generations are granted."""
        self._apply(keys.GENERATION_OF_GRANTS, _GRANT,
                    lambda n: f"REVOKE SELECT ON g FROM reader -- {n}" if n % 2 else f"GRANT SELECT ON g TO reader -- {n}")


class Observer:
    """Reads of generations by any client; `other` is a session of the role `reader`, or None."""

    def __init__(self, reader):
        self.reader = reader
        self.other = None

    def view(self):
        reader, key = self.reader, keys.GENERATION_OF_VIEW
        floor, begin = reader.board.floor(key), boards.now()
        rows = reader.session.fetch(VIEW, (1,))
        self._note(key, _VIEW, rows[0][0], floor, begin)

    def columns(self):
        reader, key = self.reader, keys.GENERATION_OF_COLUMNS
        floor, begin = reader.board.floor(key), boards.now()
        try:
            rows = reader.session.run(COLUMNS)
        except DbError as error:
            if error.sqlstate == PLAN_CHANGED:
                return
            raise
        described = reader.session.columns()
        generation = rows[0][-1]
        if described != ["id", f"g_{generation}"] or len(rows[0]) != 2:
            raise reader.violation("row and description", key, COLUMNS, begin, (described, rows[0]), floor)
        self._note(key, _COLUMNS, generation, floor, begin)

    def grants(self):
        """Allowed or denied must be what the newest settled generation says."""
        if self.other is None:
            return
        reader, key, board = self.reader, keys.GENERATION_OF_GRANTS, self.reader.board
        settled, begin = board.acknowledged[key], boards.now()
        try:
            self.other.fetch(GRANTED, (1,))
            allowed = True
        except DbError as error:
            if error.sqlstate != DENIED:
                raise
            allowed = False
        started = board.attempted[key]
        reader.note(begin, boards.READ, _GRANT, key, int(allowed), settled)
        if started == settled and allowed != (settled % 2 == 0):
            raise reader.violation("F5 privileges", key, "SELECT by reader", begin, allowed, settled)
        board.counters[reader.client][boards.READS] += 1

    def _note(self, key, name, version, floor, begin):
        reader = self.reader
        reader.note(begin, boards.READ, name, key, version, floor)
        reader.check(key, version, floor, "generation", begin)
        reader.board.counters[reader.client][boards.READS] += 1
