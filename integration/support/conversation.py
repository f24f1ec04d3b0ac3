"""Scripts of one client: what it sends and how far it reads, replayed direct, proxied, and with the
client's bytes split at any point."""
import dataclasses

from . import wire
from .sockets import wait_consumed
from .waiting import Deadline

LOGIN = {"user": "postgres"}
PLACEHOLDER = b"%DATABASE%"  # as long as the names of the databases used: lengths stay true
SILENCE_SECONDS = 8


@dataclasses.dataclass(frozen=True)
class Until:
    """Read until `count` messages of this type have arrived."""

    type: str
    count: int = 1


@dataclasses.dataclass(frozen=True)
class Byte:
    """Read one byte that is not a message: the answer to SSLRequest and GSSENCRequest."""


@dataclasses.dataclass(frozen=True)
class End:
    """Read until the server closes the connection."""


READY = Until("Z")


def ready(count):
    return Until("Z", count)


@dataclasses.dataclass(frozen=True)
class Conversation:
    """`steps` are bytes to send and Until, Byte or End to read. `setup` runs first on a connection of
    its own by the same route. Without `login` the steps do the start-up themselves. `errors` is
    "bytes" or "sqlstate": what of an ErrorResponse must be equal. `repeat` replays it on one
    connection that often, so that later rounds can be hits."""

    name: str
    steps: tuple
    setup: tuple = ()
    login: dict = dataclasses.field(default_factory=lambda: LOGIN)
    errors: str = "bytes"
    repeat: int = 1

    @property
    def sent(self):
        """All client bytes, start-up by the harness not included."""
        return b"".join(step for step in self.steps if isinstance(step, bytes))


def conversation(name, *steps, **keywords):
    """A READY is added when the last step sends something."""
    if isinstance(steps[-1], bytes):
        steps += (READY,)
    return Conversation(name, steps, **keywords)


def split_points(script, bound):
    """Every offset inside the client's bytes, or `bound` of them, evenly spread."""
    last = len(script.sent) - 1
    points = range(1, last + 1)
    if last <= bound:
        return list(points)
    return sorted({1 + index * (last - 1) // (bound - 1) for index in range(bound)})


class Replay:
    """One run of a conversation against one port; collects what the server sent."""

    def __init__(self, script, port, dbname, split=None):
        self.script, self.dbname, self.split = script, dbname, split
        self.client = wire.WireClient(port, timeout=SILENCE_SECONDS)
        self.received = []
        self.offset = 0

    def run(self):
        try:
            if self.script.login:
                self.client.send(wire.startup({"database": self.dbname, **self.script.login}))
                self._read("Z")
            for _ in range(self.script.repeat):
                for step in self.script.steps:
                    self._step(step)
        except wire.Closed:
            self.received.append(wire.Message("end", b""))
        except Deadline as error:
            self.received.append(wire.Message("silence", str(error).encode()))
        finally:
            self.client.abort()
        return normalized(self.received, self.script.errors)

    def _step(self, step):
        if isinstance(step, bytes):
            self._send(step.replace(PLACEHOLDER, self.dbname.encode()))
        elif isinstance(step, Until):
            for _ in range(step.count):
                self._read(step.type)
        elif isinstance(step, Byte):
            self.received.append(wire.Message("byte", self.client.read_bytes(1)))
        else:
            self._read(None)

    def _read(self, last_type):
        """One by one, so that what came before a surprise is kept."""
        while True:
            self.received.append(self.client.read_message())
            if self.received[-1].type == last_type:
                return

    def _send(self, data):
        at = self.split - self.offset if self.split is not None else 0
        self.offset += len(data)
        if 0 < at < len(data):
            self.client.send(data[:at])
            wait_consumed(self.client.socket)
            data = data[at:]
        self.client.send(data)


def replay(script, port, dbname, split=None):
    """Runs the setup and the conversation; returns the normalized messages."""
    if script.setup:
        helper = wire.WireClient.connect(port, dbname)
        for statement in script.setup:
            helper.ok(statement)
        helper.close()
    return Replay(script, port, dbname, split).run()


def _masked_error(payload, errors):
    fields = wire.error_fields(payload)
    if errors == "sqlstate":
        return f"{fields.get('S')} {fields.get('C')}".encode()
    return repr({letter: value for letter, value in fields.items() if letter not in "FLR"}).encode()


def normalized(messages, errors):
    """Masks what may differ: backend pids and secrets, the order of ParameterStatus at start-up, and
    the place in PostgreSQL's source that an error names: a statement that is parsed again on another
    server connection fails at its Parse where it would have failed at its Bind."""
    result = []
    for index, (kind, payload) in enumerate(messages):
        if kind == "K":
            payload = b"pid and secret"
        elif kind == "A":
            payload = b"pid:" + payload[4:]
        elif kind == "E":
            payload = _masked_error(payload, errors)
        result.append(wire.Message(kind, payload))
        if kind == "K":
            start = index
            while start and result[start - 1].type == "S":
                start -= 1
            result[start:index] = sorted(result[start:index])
    return result
