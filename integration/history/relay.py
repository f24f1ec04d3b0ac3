"""The way between pgrecall and PostgreSQL made slow, uneven and breakable: a relay in a process of its own.

Answers of some connections are delayed by a few milliseconds; some are cut in two right before
CommandComplete or ReadyForQuery and the rest is held back; a connection whose request carries a commit is
closed at times, before or after the server saw it. The board's switches say how often."""
import heapq
import os
import random
import selectors
import socket
import struct

from . import board as boards

CUT_NOW = b"late-commit"  # a statement with this text is forwarded, then its connection is cut
CAN_COMMIT = (b"COMMIT", b"UPDATE", b"INSERT")
SHARE = 10_000
RECEIVE_BYTES = 65536


class Side:
    """One direction of one connection: what waits to be sent, in order, each with its time."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.waiting = []  # (due, data), in order
        self.last_due = 0


class Link:
    """One relayed connection."""

    def __init__(self, client, server, slow):
        self.client, self.server, self.slow = client, server, slow
        self.requests = Side(client, server)
        self.replies = Side(server, client)
        self.cut_on_reply = False
        self.open = True

    def close(self):
        self.open = False
        for end in (self.client, self.server):
            end.close()


class Relay:
    """Runs until its parent ends or `stop`. Single-threaded."""

    def __init__(self, target_port, board, seed):
        self.target_port, self.board = target_port, board
        self.random = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.timers = []  # (due, number, link, side)
        self.number = 0

    def run(self):
        parent = os.getppid()
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        while os.getppid() == parent:
            timeout = 1.0
            if self.timers:
                timeout = max(0.0, (self.timers[0][0] - boards.now()) / 1e9)
            for key, _ in self.selector.select(timeout):
                if key.data is None:
                    self._accept()
                else:
                    self._readable(*key.data)
            self._send_due()

    def _accept(self):
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port))
        except OSError:
            client.close()
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server, self.random.random() < 0.5)
        self.selector.register(client, selectors.EVENT_READ, (link, link.requests))
        self.selector.register(server, selectors.EVENT_READ, (link, link.replies))

    def _close(self, link):
        if not link.open:
            return
        for end in (link.client, link.server):
            self.selector.unregister(end)
        link.close()

    def _readable(self, link, side):
        if not link.open:
            return
        try:
            data = side.source.recv(RECEIVE_BYTES)
        except OSError:
            data = b""
        if not data:
            self._drain(link)
            self._close(link)
            return
        if side is link.requests:
            self._request(link, data)
        elif link.cut_on_reply:
            self.board.switches[boards.CUTS] += 1
            self._close(link)
        else:
            self._reply(link, data)

    def _drain(self, link):
        """What is still held back goes out before a normal end."""
        for side in (link.requests, link.replies):
            for _, data in side.waiting:
                self._deliver(link, side, data)

    # -- what happens to it -------------------------------------------------------------------
    def _request(self, link, data):
        switches = self.board.switches
        share = switches[boards.CUT_SHARE]
        late = CUT_NOW in data
        if late or (share and self.random.randrange(SHARE) < share and any(word in data for word in CAN_COMMIT)):
            how = "after" if late else self.random.choice(("before", "after", "reply"))
            if how == "reply":
                link.cut_on_reply = True
            else:
                if how == "after":
                    self._pass(link, link.requests, data, 0)
                    self._flush(link, link.requests)
                switches[boards.CUTS] += 1
                self._close(link)
                return
        delay = self._delay(link)
        self._pass(link, link.requests, data, delay // 4)

    def _reply(self, link, data):
        switches = self.board.switches
        stall = switches[boards.STALL_SHARE]
        if stall and self.random.randrange(SHARE) < stall:
            at = split_point(data, self.random)
            self._pass(link, link.replies, data[:at], 0)
            self._pass(link, link.replies, data[at:], self._random_us(switches[boards.STALL_US]) * 1000)
        else:
            self._pass(link, link.replies, data, self._delay(link))

    def _delay(self, link):
        switches = self.board.switches
        share = switches[boards.DELAY_SHARE]
        if not link.slow or not share or self.random.randrange(SHARE) >= share:
            return 0
        return self._random_us(switches[boards.DELAY_US]) * 1000

    def _random_us(self, most):
        return self.random.randrange(most + 1)

    # -- bytes --------------------------------------------------------------------------------
    def _pass(self, link, side, data, delay_ns):
        if not data or not link.open:
            return
        if not delay_ns and not side.waiting:
            self._deliver(link, side, data)
            return
        side.last_due = max(side.last_due, boards.now() + delay_ns)
        side.waiting.append((side.last_due, data))
        self.number += 1
        heapq.heappush(self.timers, (side.last_due, self.number, link, side))

    def _send_due(self):
        while self.timers and self.timers[0][0] <= boards.now():
            _, _, link, side = heapq.heappop(self.timers)
            if link.open:
                self._flush(link, side, boards.now())

    def _flush(self, link, side, until=None):
        while side.waiting and (until is None or side.waiting[0][0] <= until):
            self._deliver(link, side, side.waiting.pop(0)[1])

    def _deliver(self, link, side, data):
        try:
            side.target.sendall(data)
        except OSError:
            self._close(link)


def split_point(data, chance):
    """Where to cut an answer: before a CommandComplete or a ReadyForQuery in it, chosen by chance, or 0."""
    points, position = [0], 0
    while len(data) >= position + 5:
        if data[position:position + 1] in (b"C", b"Z"):
            points.append(position)
        position += 1 + struct.unpack_from("!I", data, position + 1)[0]
    return chance.choice(points)
