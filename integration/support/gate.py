"""A TCP relay that stands between pgrecall and PostgreSQL and stalls, slices and cuts on command.

The test names what it waits for by bytes: `gate.hold_requests(b"update t")` stops the direction to the
server from the message holding these bytes on; `gate.hold_replies(b"update t", at="Z")` lets that
message pass and stops the answers from the first message of that type on.
"""
import socket
import struct
import threading

from .waiting import DEADLINE_SECONDS, Deadline, wait_until

TO_SERVER, TO_CLIENT = "to server", "to client"


class Hold:
    """One stop. Catches at most one connection, the first that matches."""

    def __init__(self, gate, direction, marker, at=None):
        self.gate, self.direction, self.marker, self.at = gate, direction, marker, at
        self.caught = threading.Event()
        self.released = threading.Event()
        self.connection = None

    def wait_caught(self, seconds=DEADLINE_SECONDS):
        if not self.caught.wait(seconds):
            raise Deadline(f"nothing caught {self.direction} for {self.marker!r}")
        return self.connection

    def release(self):
        self.gate.forget(self)
        self.released.set()

    def cut(self):
        """Closes the caught connection on both sides; what was held is lost."""
        self.connection.cut()
        self.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


class GateConnection:
    """One relayed connection: two pump threads, one per direction."""

    def __init__(self, gate, client, number):
        self.gate, self.client, self.number = gate, client, number
        self.server = socket.create_connection(("127.0.0.1", gate.target_port))
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.closed = False
        self.answer_hold = None  # a hold on replies whose request has passed
        self.cipher_answer_owed = 0  # single bytes that answer SSLRequest and GSSENCRequest
        self.requests = Frames(typed=False)
        self.replies = Frames(typed=True)
        for target in (self._pump_requests, self._pump_replies):
            threading.Thread(target=target, daemon=True).start()

    def cut(self):
        self.closed = True
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _close(self):
        self.cut()
        self.gate.gone(self)

    def _pump_requests(self):
        try:
            while data := self.client.recv(65536):
                for frame in self.requests.feed(data):
                    self._note_untyped(frame)
                    hold = self.gate.match(TO_SERVER, frame)
                    if hold:
                        self._stop(hold)
                    answer = self.gate.match(TO_CLIENT, frame)
                    if answer:
                        self.answer_hold = answer
                    try:
                        self._deliver(self.server, frame)
                    except OSError:
                        return  # its last words are still on their way: the other pump closes
        except OSError:
            pass
        self._close()

    def _note_untyped(self, frame):
        if len(frame) == 8 and frame[:4] == b"\0\0\0\x08":
            self.cipher_answer_owed += 1
            self.requests.untyped_again()

    def _pump_replies(self):
        try:
            while data := self.server.recv(65536):
                while self.cipher_answer_owed and data:
                    self.cipher_answer_owed -= 1
                    self._deliver(self.client, data[:1])
                    data = data[1:]
                for frame in self.replies.feed(data):
                    hold = self.answer_hold
                    if hold and (hold.at is None or chr(frame[0]) == hold.at):
                        self.answer_hold = None
                        self._stop(hold)
                    self._deliver(self.client, frame)
        except OSError:
            pass
        self._close()

    def _stop(self, hold):
        hold.connection = self
        hold.caught.set()
        hold.released.wait()

    def _deliver(self, end, data):
        if self.closed:
            raise OSError("cut")
        delay = self.gate.delay
        if delay:
            delay(self, end is self.server)
        if not self.gate.sliced:
            end.sendall(data)
            return
        for index in range(len(data)):
            end.sendall(data[index:index + 1])


FRAME_BYTES_MAX, STARTUP_BYTES_MAX = 1 << 30, 10_000


class Frames:
    """Cuts a byte stream into whole messages; start-up packets have no type byte. After an impossible
    length the rest of the stream is passed on as it comes."""

    def __init__(self, typed):
        self.typed = typed
        self.broken = False
        self.buffer = bytearray()

    def untyped_again(self):
        self.typed = False

    def feed(self, data):
        self.buffer += data
        while True:
            if self.broken:
                if self.buffer:
                    yield bytes(self.buffer)
                self.buffer.clear()
                return
            head = 1 if self.typed else 0
            if len(self.buffer) < head + 4:
                return
            (length,) = struct.unpack_from("!i", self.buffer, head)
            self.broken = not 4 <= length <= (FRAME_BYTES_MAX if self.typed else STARTUP_BYTES_MAX)
            if self.broken:
                continue
            if len(self.buffer) < head + length:
                return
            frame = bytes(self.buffer[:head + length])
            del self.buffer[:head + length]
            self.typed = True
            yield frame


class Gate:
    """Listens on its own port and relays to `target_port`. Transparent until told otherwise."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.lock = threading.Lock()
        self.holds = []
        self.caught = []
        self.connections = []
        self.opened = 0
        self.sliced = False
        self.delay = None  # callable(connection, to_server), may block
        self.refusing = False
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                with self.lock:
                    self.opened += 1
                    self.connections.append(GateConnection(self, client, self.opened))
            except OSError:
                client.close()

    def match(self, direction, frame):
        """The hold that this frame triggers, which then belongs to the caller."""
        with self.lock:
            for hold in self.holds:
                if hold.direction == direction and hold.marker in frame:
                    self.holds.remove(hold)
                    self.caught.append(hold)
                    return hold
        return None

    def forget(self, hold):
        with self.lock:
            for some in (self.holds, self.caught):
                if hold in some:
                    some.remove(hold)

    def gone(self, connection):
        with self.lock:
            if connection in self.connections:
                self.connections.remove(connection)

    def _hold(self, direction, marker, at=None):
        hold = Hold(self, direction, marker if isinstance(marker, bytes) else marker.encode(), at)
        with self.lock:
            self.holds.append(hold)
        return hold

    def hold_requests(self, marker):
        """Stops the way to the server before the first message that holds `marker`."""
        return self._hold(TO_SERVER, marker)

    def hold_replies(self, marker, at=None):
        """Stops the way back once a request with `marker` has passed: at once, or from the first
        message of type `at` on."""
        return self._hold(TO_CLIENT, marker, at)

    def cut_all(self):
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.cut()
        wait_until(lambda: not any(c in self.connections for c in connections), "gate connections ended")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            holds = self.holds + self.caught
        for hold in holds:
            hold.release()
        with self.lock:
            connections = list(self.connections)
        for connection in connections:
            connection.cut()
