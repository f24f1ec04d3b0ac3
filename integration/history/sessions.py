"""Two kinds of clients with one face: psycopg2 and a lean raw client that speaks every protocol mode.

`fetch` runs one statement and returns its rows as tuples; `tag` is its command tag afterwards. A read is
a `Statement`, so that the raw client can prepare it; everything else is plain text."""
import re
import struct

import psycopg2

from support import wire
from support.waiting import Deadline

TIMEOUT_SECONDS = 60.0


class DbError(Exception):
    """The server refused the statement; the connection lives on."""

    def __init__(self, sqlstate, text):
        super().__init__(f"{sqlstate}: {text}")
        self.sqlstate = sqlstate


class Gone(Exception):
    """The connection is lost; what was under way has an unknown outcome."""

    def __init__(self, text, sqlstate=None):
        super().__init__(f"{sqlstate}: {text}")
        self.sqlstate = sqlstate


class Statement:
    """A read with integer parameters $1, $2, ..."""

    _count = 0

    def __init__(self, text):
        self.text = text
        self.name = f"s{Statement._count}"
        Statement._count += 1
        self._literal = {}
        self._bound = {}

    def literal(self, values):
        found = self._literal.get(values)
        if found is None:
            found = re.sub(r"\$(\d+)", lambda match: str(values[int(match.group(1)) - 1]), self.text)
            self._literal[values] = found
        return found

    def bound(self, values, prepared):
        """Bind, Execute and Sync; before them Parse where the statement is not prepared."""
        found = self._bound.get((values, prepared))
        if found is None:
            name = self.name if prepared else ""
            found = wire.bind("", name, values) + wire.execute() + wire.sync()
            if not prepared:
                found = wire.parse("", self.text) + found
            self._bound[(values, prepared)] = found
        return found


class PsycopgSession:
    """psycopg2: the simple protocol."""

    extended = False

    def __init__(self, port, database, user):
        try:
            self.connection = psycopg2.connect(host="127.0.0.1", port=port, dbname=database, user=user,
                                               password="secret", connect_timeout=20)
        except psycopg2.OperationalError as error:
            raise Gone(str(error)) from None
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def fetch(self, statement, values=()):
        return self.run(statement.literal(values))

    def run(self, sql):
        try:
            self.cursor.execute(sql)
            return self.cursor.fetchall() if self.cursor.description else []
        except psycopg2.Error as error:
            self._raise(error)

    def copy_in(self, sql, data):
        try:
            self.cursor.copy_expert(sql, data)
        except psycopg2.Error as error:
            self._raise(error)

    def discard_all(self):
        self.run("DISCARD ALL")

    def columns(self):
        """Of the last result."""
        return [column.name for column in self.cursor.description]

    def _raise(self, error):
        if self.connection.closed or not error.pgcode:
            raise Gone(str(error).strip(), error.pgcode) from None
        raise DbError(error.pgcode, str(error).strip()) from None

    @property
    def tag(self):
        return self.cursor.statusmessage

    def close(self):
        self.connection.close()


class RawSession:
    """The wire itself; `mode` chooses how reads are sent: simple, extended or prepared."""

    extended = True

    def __init__(self, port, database, user):
        self.prepared = set()
        self.mode = "extended"
        self.tag = None
        self._description = b""
        self._buffer = bytearray()
        try:
            self.client = wire.WireClient.connect(port, database, user, timeout=TIMEOUT_SECONDS)
        except (wire.Closed, wire.ServerError, OSError, Deadline) as error:
            raise Gone(str(error), getattr(error, "sqlstate", None)) from None
        self.socket = self.client.socket

    def fetch(self, statement, values=()):
        if self.mode == "simple":
            return self.run(statement.literal(values))
        prepared = self.mode == "prepared"
        if prepared and statement.name not in self.prepared:
            self._exchange(wire.parse(statement.name, statement.text) + wire.sync())
            self.prepared.add(statement.name)
        return self._exchange(statement.bound(values, prepared))

    def run(self, sql):
        if self.mode == "simple" or ";" in sql:
            return self._exchange(wire.query(sql))
        return self._exchange(wire.extended(sql) + wire.sync())

    def unsynced(self, sql):
        """Parse, Bind, Execute, Flush: the statement has run and is not committed. Needs `sync`."""
        self._send(wire.parse("", sql) + wire.bind("", "") + wire.execute() + wire.message("H"))
        return self._read((b"C", b"E"))

    def sync(self):
        return self._exchange(wire.sync())

    def pipeline(self, steps):
        """(text, values) of several statements before one Sync; all their rows."""
        return self._exchange(b"".join(wire.parse("", text) + wire.bind("", "", values) + wire.execute()
                                       for text, values in steps) + wire.sync())

    def bind_early(self, statement, values):
        """Parse, Bind, Flush: the snapshot is taken, nothing is read yet. Needs `execute_late`."""
        self._send(wire.parse("", statement.text) + wire.bind("early", "", values) + wire.message("H"))
        return self._read((b"2", b"E"))

    def execute_late(self):
        return self._exchange(wire.execute("early") + wire.sync())

    def copy_in(self, sql, data):
        self._send(wire.query(sql))
        self._read((b"G", b"Z"))
        self._exchange(wire.copy_data(data.read().encode()) + wire.copy_done())

    def discard_all(self):
        self.prepared.clear()
        self._exchange(wire.query("DISCARD ALL"))

    def columns(self):
        return [column.name for column in wire.row_description(self._description)]

    def close(self):
        self.client.close()

    # -- bytes --------------------------------------------------------------------------------
    def _send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from None

    def _exchange(self, data):
        self._send(data)
        return self._read((b"Z",))

    def _read(self, last):
        """Rows of everything up to a message whose type is in `last`."""
        rows, error, buffer, position = [], None, self._buffer, 0
        while True:
            while len(buffer) >= position + 5:
                length = int.from_bytes(buffer[position + 1:position + 5], "big")
                if len(buffer) < position + 1 + length:
                    break
                kind = bytes(buffer[position:position + 1])
                payload = buffer[position + 5:position + 1 + length]
                position += 1 + length
                if kind == b"D":
                    rows.append(_row(payload))
                elif kind == b"C":
                    self.tag = payload[:-1].decode()
                elif kind == b"T":
                    self._description = bytes(payload)
                elif kind == b"E":
                    error = wire.error_fields(bytes(payload))
                if kind in last:
                    del buffer[:position]
                    if error:
                        self._fail(error, kind)
                    return rows
            try:
                data = self.socket.recv(65536)
            except OSError as failure:
                raise Gone(f"{failure}, after {error}") from None
            if not data:
                self._lost(error)
            buffer += data

    def _fail(self, error, kind):
        if kind == b"E":  # nothing was synced yet
            self._send(wire.sync())
            try:
                self._read((b"Z",))
            except DbError:
                pass
        raise DbError(error.get("C"), error.get("M"))

    @staticmethod
    def _lost(error):
        raise Gone(error.get("M") if error else "end of the connection", error.get("C") if error else None)


_LENGTH = struct.Struct("!i")


def _row(payload):
    """Columns of a DataRow as integers, or as text where they are none."""
    offset, columns = 2, []
    for _ in range(payload[0] << 8 | payload[1]):
        (length,) = _LENGTH.unpack_from(payload, offset)
        offset += 4
        if length < 0:
            columns.append(None)
            continue
        raw = bytes(payload[offset:offset + length])
        offset += length
        try:
            columns.append(int(raw))
        except ValueError:
            columns.append(raw.decode())
    return tuple(columns)
