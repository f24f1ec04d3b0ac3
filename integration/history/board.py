"""What all processes of a run share: versions known per key, a diary per client, switches and counters.

One anonymous mapping, inherited by fork. Every cell is an aligned 64-bit integer, so a reader sees
either the old or the new one."""
import mmap
import multiprocessing
import struct
import time

from . import keys

DIARY_ENTRIES = 4096
DIARY_FIELDS = 6  # begin ns, end ns, kind and name, key, version, floor
ENTRY = struct.Struct("=6q")

READ, ACKNOWLEDGED, SENT, ROLLED_BACK, UNKNOWN, OWN_READ = range(6)
KIND_NAMES = ("read", "write acknowledged", "write sent", "rolled back", "outcome unknown", "own read")

COUNTERS = ("reads", "transactions", "writes", "rollbacks", "unknown", "reconnects", "refused", "own_reads",
            "outside")
(READS, TRANSACTIONS, WRITES, ROLLBACKS, UNKNOWNS, RECONNECTS, REFUSED, OWN_READS, OUTSIDE) = range(len(COUNTERS))

# losses: connections may be lost at any time; outage: the server is down; losing: 1 only asynchronous
# commits, which the server is about to lose; 2 only reads of what it has lost.
SWITCHES = ("stop", "pause", "delay_share", "delay_us", "stall_share", "stall_us", "cut_share", "cuts", "losses", "outage",
            "losing")
(STOP, PAUSE, DELAY_SHARE, DELAY_US, STALL_SHARE, STALL_US, CUT_SHARE, CUTS, LOSSES, OUTAGE, LOSING) = range(len(SWITCHES))

now = time.monotonic_ns


class Board:
    """Made by the main process before it forks. Shares are in parts of 10,000."""

    def __init__(self, clients):
        self.clients = clients
        cells = 3 * keys.COUNT + len(SWITCHES) + clients * (len(COUNTERS) + 2 + DIARY_ENTRIES * DIARY_FIELDS)
        self.memory = mmap.mmap(-1, cells * 8)
        self.cells = memoryview(self.memory).cast("q")
        position = 0

        def part(count):
            nonlocal position
            position += count
            return self.cells[position - count:position]

        self.acknowledged = part(keys.COUNT)  # the newest version whose write was acknowledged
        self.seen = part(keys.COUNT)          # the newest committed version that anybody read
        self.attempted = part(keys.COUNT)     # the newest version sent; 0: not known beforehand
        self.switches = part(len(SWITCHES))
        self.counters = [part(len(COUNTERS)) for _ in range(clients)]
        self.paused = [part(1) for _ in range(clients)]
        self.diary_next = [part(1) for _ in range(clients)]
        self.diaries = []
        for _ in range(clients):
            self.diaries.append(memoryview(self.memory)[position * 8:][:DIARY_ENTRIES * ENTRY.size])
            position += DIARY_ENTRIES * DIARY_FIELDS
        context = multiprocessing.get_context("fork")
        self.lock = context.Lock()
        self.violations = context.Queue()
        self.errors = context.Queue()

    # -- versions -----------------------------------------------------------------------------
    def acknowledge(self, key, version):
        if self.acknowledged[key] < version:
            with self.lock:
                if self.acknowledged[key] < version:
                    self.acknowledged[key] = version

    def see(self, key, version):
        if self.seen[key] < version:
            with self.lock:
                if self.seen[key] < version:
                    self.seen[key] = version

    def floor(self, key):
        """What a read that starts now must show at least."""
        acknowledged, seen = self.acknowledged[key], self.seen[key]
        return acknowledged if acknowledged > seen else seen

    def forget(self, key, version):
        """The server itself lost newer versions: only `version` is left."""
        with self.lock:
            self.acknowledged[key] = self.seen[key] = self.attempted[key] = version

    # -- diary --------------------------------------------------------------------------------
    def write_diary(self, client, begin, kind, name, key, version, floor):
        position = self.diary_next[client]
        ENTRY.pack_into(self.diaries[client], position[0] % DIARY_ENTRIES * ENTRY.size, begin, now(),
                        kind << 32 | name, key, version, floor)
        position[0] += 1

    def diary(self, key, until, seconds=2.0):
        """Entries about `key` of all clients that ended within `seconds` before `until`, by time."""
        found = []
        for client in range(self.clients):
            for position in range(min(self.diary_next[client][0], DIARY_ENTRIES)):
                begin, end, what, of_key, version, floor = ENTRY.unpack_from(self.diaries[client],
                                                                             position * ENTRY.size)
                if of_key == key and until - seconds * 1e9 <= end and begin <= until + 50_000_000:
                    found.append((end, begin, client, what >> 32, what & 0xFFFFFFFF, version, floor))
        return sorted(found)

    # -- counters and switches ----------------------------------------------------------------
    def total(self, counter):
        return sum(counters[counter] for counters in self.counters)

    def stopping(self):
        return self.switches[STOP] != 0
