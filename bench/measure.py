"""Interleaved repetitions: in each, every series runs once, so that what disturbs the machine for a
while disturbs all of them. Ratios are taken within a repetition; medians over repetitions."""
import dataclasses
import statistics

PROVED = 0.98  # a server's own counter must account for this share of the answers


@dataclasses.dataclass
class Series:
    """One server asked in one way. `runs` has one entry per repetition."""
    peer: object
    script: str
    protocol: str
    clients: int
    runs: list = dataclasses.field(default_factory=list)
    cpu_us: list = dataclasses.field(default_factory=list)  # the server's, per answer
    proved: list = dataclasses.field(default_factory=list)  # share of the answers it counted

    @property
    def key(self):
        return self.peer.name, self.script, self.protocol, self.clients

    @property
    def per_second(self):
        return statistics.median(run.per_second for run in self.runs)

    @property
    def latency_us(self):
        return statistics.median(run.latency_us for run in self.runs)

    @property
    def proof(self):
        shares = [share for share in self.proved if share is not None]
        return min(shares) if shares else None

    def ratio_to(self, other):
        """Median over repetitions of this rate over the other's."""
        return statistics.median(mine.per_second / theirs.per_second
                                 for mine, theirs in zip(self.runs, other.runs))


def run_once(series, load, seconds, record=True):
    peer = series.peer
    counts = peer.counts(series.script)
    before, cpu_before = peer.counted() if counts else None, peer.cpu_seconds()
    run = peer.run(load, series.script, series.protocol, series.clients, seconds)
    cpu = peer.cpu_seconds() - cpu_before
    share = None
    if counts:
        peer.settle(before + run.transactions)
        share = min(1.0, (peer.counted() - before) / run.transactions)
    if record:
        series.runs.append(run)
        series.cpu_us.append(cpu * 1e6 / run.transactions)
        series.proved.append(share)
    return run


def measure(all_series, load, seconds, repetitions, tell):
    for series in all_series:
        tell(f"warming up: {series.peer.name}, {series.protocol}")
        run_once(series, load, 1, record=False)
    for repetition in range(repetitions):
        for series in all_series:
            run = run_once(series, load, seconds)
            tell(f"{repetition + 1}/{repetitions} {series.peer.name:28s} {series.protocol:9s} "
                 f"{series.clients:2d} clients {run.per_second:10.0f} /s")
