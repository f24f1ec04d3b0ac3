"""A raw PostgreSQL v3 client: every frontend message, any order, any split of the bytes.

Manual: "Frontend/Backend Protocol", sections "Message Flow" and "Message Formats".
"""
import base64
import collections
import hashlib
import hmac
import os
import select
import socket
import struct

from .waiting import Deadline

PROTOCOL_3_0 = 196608
SSL_REQUEST, GSSENC_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
TIMEOUT_SECONDS = 20.0

Message = collections.namedtuple("Message", "type payload")


# -- frontend messages ------------------------------------------------------------------------
def message(kind, payload=b""):
    return kind.encode() + struct.pack("!i", len(payload) + 4) + payload


def untyped(code, payload=b""):
    return struct.pack("!ii", len(payload) + 8, code) + payload


def cstring(text):
    return (text if isinstance(text, bytes) else text.encode()) + b"\0"


def startup(parameters, protocol=PROTOCOL_3_0):
    body = b"".join(cstring(name) + cstring(value) for name, value in parameters.items())
    return untyped(protocol, body + b"\0")


def cancel_request(pid, secret):
    return untyped(CANCEL_REQUEST, struct.pack("!I", pid) + secret)


def query(sql):
    return message("Q", cstring(sql))


def parse(name, sql, types=()):
    return message("P", cstring(name) + cstring(sql) + struct.pack("!h", len(types))
                   + b"".join(struct.pack("!I", oid) for oid in types))


def bind(portal, statement, values=(), value_formats=(), result_formats=()):
    """Values are None, bytes, or anything str() makes text of."""
    parts = [cstring(portal), cstring(statement), struct.pack("!h", len(value_formats))]
    parts += [struct.pack("!h", code) for code in value_formats]
    parts.append(struct.pack("!h", len(values)))
    for value in values:
        if value is None:
            parts.append(struct.pack("!i", -1))
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
            parts.append(struct.pack("!i", len(raw)) + raw)
    parts.append(struct.pack("!h", len(result_formats)))
    parts += [struct.pack("!h", code) for code in result_formats]
    return message("B", b"".join(parts))


def describe_statement(name):
    return message("D", b"S" + cstring(name))


def describe_portal(name):
    return message("D", b"P" + cstring(name))


def execute(portal="", rows_max=0):
    return message("E", cstring(portal) + struct.pack("!i", rows_max))


def close_statement(name):
    return message("C", b"S" + cstring(name))


def close_portal(name):
    return message("C", b"P" + cstring(name))


def sync():
    return message("S")


def flush():
    return message("H")


def terminate():
    return message("X")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(reason):
    return message("f", cstring(reason))


def password(secret):
    return message("p", cstring(secret))


def function_call(oid, arguments, argument_formats=(), result_format=0):
    parts = [struct.pack("!Ih", oid, len(argument_formats))]
    parts += [struct.pack("!h", code) for code in argument_formats]
    parts.append(struct.pack("!h", len(arguments)))
    for value in arguments:
        parts.append(struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value)
    parts.append(struct.pack("!h", result_format))
    return message("F", b"".join(parts))


def extended(sql, values=(), types=(), value_formats=(), result_formats=(), statement="", portal=""):
    """Parse, Bind, Describe, Execute without Sync."""
    return (parse(statement, sql, types) + bind(portal, statement, values, value_formats, result_formats)
            + describe_portal(portal) + execute(portal))


# -- backend messages -------------------------------------------------------------------------
def data_row(payload):
    """The columns of a DataRow as bytes or None."""
    (count,) = struct.unpack_from("!h", payload)
    offset, columns = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", payload, offset)
        offset += 4
        if length < 0:
            columns.append(None)
        else:
            columns.append(payload[offset:offset + length])
            offset += length
    return tuple(columns)


Column = collections.namedtuple("Column", "name table attribute type size modifier format")


def row_description(payload):
    (count,) = struct.unpack_from("!h", payload)
    offset, columns = 2, []
    for _ in range(count):
        end = payload.index(b"\0", offset)
        name = payload[offset:end].decode(errors="replace")
        columns.append(Column(name, *struct.unpack_from("!IhIhih", payload, end + 1)))
        offset = end + 19
    return columns


def error_fields(payload):
    """Fields of an ErrorResponse or NoticeResponse by their letter."""
    parts = [part for part in payload.split(b"\0") if part]
    return {part[:1].decode(): part[1:].decode(errors="replace") for part in parts}


class ServerError(Exception):
    """An ErrorResponse where none was expected."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')}: {fields.get('M')}")
        self.fields = fields
        self.sqlstate = fields.get("C")


class Closed(Exception):
    """The peer closed the connection."""


class Reply:
    """Everything up to and including one ReadyForQuery (or the end of the connection)."""

    def __init__(self, messages):
        self.messages = messages

    @property
    def types(self):
        return "".join(m.type for m in self.messages)

    def of(self, kind):
        return [m.payload for m in self.messages if m.type == kind]

    @property
    def raw_rows(self):
        return [data_row(payload) for payload in self.of("D")]

    @property
    def rows(self):
        return [tuple(None if v is None else v.decode(errors="surrogateescape") for v in row)
                for row in self.raw_rows]

    @property
    def columns(self):
        described = self.of("T")
        return [column.name for column in row_description(described[-1])] if described else None

    @property
    def tags(self):
        return [payload[:-1].decode() for payload in self.of("C")]

    @property
    def errors(self):
        return [error_fields(payload) for payload in self.of("E")]

    @property
    def sqlstate(self):
        """Of the first error, None without one."""
        return self.errors[0].get("C") if self.errors else None

    @property
    def status(self):
        """I, T or E of the last ReadyForQuery."""
        ready = self.of("Z")
        return ready[-1].decode() if ready else None

    @property
    def notices(self):
        return [error_fields(payload) for payload in self.of("N")]

    def checked(self):
        if self.errors:
            raise ServerError(self.errors[0])
        return self

    def __repr__(self):
        return f"Reply({self.types!r}, rows={self.rows[:5]}, errors={self.errors})"


class WireClient:
    """One TCP connection. Not thread-safe. `connect` logs in; `open` only opens the socket."""

    def __init__(self, port, host="127.0.0.1", timeout=TIMEOUT_SECONDS, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.parameters = {}
        self.pid = self.secret = None
        self.messages_of_login = []

    @classmethod
    def connect(cls, port, dbname, user="postgres", password="secret", parameters=None, **keywords):
        client = cls(port, **keywords)
        try:
            client.login({"user": user, "database": dbname, **(parameters or {})}, password)
        except BaseException:
            client.close()
            raise
        return client

    # -- bytes --------------------------------------------------------------------------------
    def send(self, data):
        self.socket.sendall(data)

    def _fill(self, timeout=None):
        if timeout is not None and not select.select([self.socket], [], [], timeout)[0]:
            raise Deadline(f"no bytes within {timeout} s")
        try:
            data = self.socket.recv(65536)
        except socket.timeout as error:
            raise Deadline(f"no bytes within {self.socket.gettimeout()} s; have {bytes(self.buffer[:200])}") \
                from error
        except ConnectionResetError as error:
            raise Closed("connection reset") from error
        if not data:
            raise Closed("end of the connection")
        self.buffer += data

    def read_bytes(self, count):
        while len(self.buffer) < count:
            self._fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_message(self, timeout=None):
        while len(self.buffer) < 5:
            self._fill(timeout)
        (length,) = struct.unpack_from("!i", self.buffer, 1)
        while len(self.buffer) < length + 1:
            self._fill(timeout)
        frame = bytes(self.buffer[:length + 1])
        del self.buffer[:length + 1]
        return Message(chr(frame[0]), frame[5:])

    def read_until(self, *types):
        """Messages up to and including the first one of these types."""
        messages = []
        while True:
            messages.append(self.read_message())
            if messages[-1].type in types:
                return Reply(messages)

    def read_ready(self):
        return self.read_until("Z")

    def read_to_end(self):
        """Messages until the peer closes."""
        messages = []
        try:
            while True:
                messages.append(self.read_message())
        except Closed:
            return Reply(messages)

    def silent(self):
        """True if nothing has arrived so far. Says nothing about what is under way."""
        return not self.buffer and not select.select([self.socket], [], [], 0)[0]

    def close(self):
        self.socket.close()

    def abort(self):
        """Closes with a reset, as a killed client's kernel would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # -- login --------------------------------------------------------------------------------
    def login(self, parameters, secret="secret", protocol=PROTOCOL_3_0):
        """Start-up and authentication; raises ServerError if the server refuses."""
        self.send(startup(parameters, protocol))
        return self.finish_login(parameters.get("user", ""), secret)

    def finish_login(self, user, secret):
        messages = []
        scram = Scram(secret)
        while True:
            received = self.read_message()
            messages.append(received)
            if received.type == "R":
                self._authenticate(received.payload, user, secret, scram)
            elif received.type == "S":
                self._note_parameter(received.payload)
            elif received.type == "K":
                self.pid, self.secret = struct.unpack_from("!I", received.payload)[0], received.payload[4:]
            elif received.type == "E":
                raise ServerError(error_fields(received.payload))
            elif received.type == "Z":
                self.messages_of_login = messages
                return Reply(messages)

    def _note_parameter(self, payload):
        name, value, _ = payload.split(b"\0", 2)
        self.parameters[name.decode()] = value.decode()

    def _authenticate(self, payload, user, secret, scram):
        (method,) = struct.unpack_from("!i", payload)
        if method == 3:
            self.send(password(secret))
        elif method == 5:
            inner = hashlib.md5((secret + user).encode()).hexdigest()
            outer = hashlib.md5(inner.encode() + payload[4:8]).hexdigest()
            self.send(password("md5" + outer))
        elif method == 10:
            first = scram.first_message()
            self.send(message("p", cstring("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
        elif method == 11:
            self.send(message("p", scram.final_message(payload[4:])))
        elif method == 12:
            scram.verify(payload[4:])
        elif method != 0:
            raise ServerError({"C": "00000", "M": f"unknown authentication method {method}"})

    # -- queries ------------------------------------------------------------------------------
    def query(self, sql):
        """Simple protocol, errors returned in the reply."""
        self.send(query(sql))
        return self.read_ready()

    def ok(self, sql):
        """Simple protocol, raises on an error."""
        return self.query(sql).checked()

    def extended(self, sql, values=(), **keywords):
        """Extended protocol through the unnamed statement and portal, errors in the reply."""
        self.send(extended(sql, values, **keywords) + sync())
        return self.read_ready()

    def rows(self, sql):
        return self.ok(sql).rows


class Scram:
    """Client side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding."""

    def __init__(self, secret):
        self.secret = secret.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.server_signature = None

    def first_message(self):
        return f"n,,n=,r={self.nonce}".encode()

    def final_message(self, server_first):
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.secret, base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = f"c=biws,r={fields['r']}"
        signed = ",".join([f"n=,r={self.nonce}", server_first.decode(), without_proof]).encode()
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final):
        if server_final != b"v=" + base64.b64encode(self.server_signature):
            raise ServerError({"C": "28000", "M": "the server's SCRAM signature is wrong"})


def _hmac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()
