"""The tables and the JSON of a run."""
import json

from .measure import PROVED

PROTOCOLS = ("simple", "extended", "prepared")


class Report:
    def __init__(self, all_series, conditions):
        self.series = {series.key: series for series in all_series}
        self.conditions = conditions
        self.clients = conditions["clients"]

    def find(self, name, script, protocol, clients=None):
        return self.series.get((name, script, protocol, clients or self.clients))

    # -- what the run says -----------------------------------------------------------------------
    def void_reason(self):
        """The canned responder bounds every server; near Redis, the client or the machine bounds it."""
        get = self.find("Redis GET", "hit", "GET")
        canned = [found for protocol in PROTOCOLS
                  if (found := self.find("canned responder", "hit", protocol))]
        if get is None or not canned:
            return "nothing shows what the client can take: the canned responder and Redis GET were left out"
        best = max(canned, key=lambda series: series.per_second)
        ratio = best.ratio_to(get)
        if ratio >= 1.5:
            return None
        return f"the canned responder reaches {ratio:.2f} of Redis GET; it must reach 1.50"

    def unproved(self):
        return [series for series in self.series.values()
                if series.proof is not None and series.proof < PROVED]

    def targets(self):
        """(what, measured ratio, comparison, target): section 11 of the design."""
        rows = []

        def add(what, mine, other, target, at_least=True, latency=False):
            if mine and other:
                ratio = 1 / mine.ratio_to(other) if latency else mine.ratio_to(other)
                rows.append((what, ratio, ">=" if at_least else "<=", target))

        for protocol, target in zip(PROTOCOLS, (0.90, 0.85, 0.90)):
            hit = self.find("pgrecall hit", "hit", protocol)
            add(f"hit / canned responder, {protocol}", hit, self.find("canned responder", "hit", protocol),
                target)
            add(f"hit / Redis GET, {protocol}", hit, self.find("Redis GET", "hit", "GET"), 1.0)
            add(f"hit / Pgpool-II's hit, {protocol}", hit,
                self.find("Pgpool-II, memory cache", "hit", protocol), 3.0)
            add(f"one client: hit latency / canned, {protocol}",
                self.find("pgrecall hit", "hit", protocol, 1),
                self.find("canned responder", "hit", protocol, 1), 1.3, at_least=False, latency=True)
        for protocol in ("simple", "extended"):
            add(f"miss / PgBouncer, {protocol}", self.find("pgrecall miss", "miss", protocol),
                self.find("PgBouncer", "miss", protocol), 1.0)
            add(f"off / PgBouncer, {protocol}", self.find("pgrecall off", "hit", protocol),
                self.find("PgBouncer", "hit", protocol), 1.0)
        add("one client: write latency / direct", self.find("pgrecall off", "write", "simple", 1),
            self.find("PostgreSQL direct", "write", "simple", 1), 1.10, at_least=False, latency=True)
        add("one client: write latency, cache on / direct",
            self.find("pgrecall hit", "write", "simple", 1),
            self.find("PostgreSQL direct", "write", "simple", 1), 1.10, at_least=False, latency=True)
        return rows

    # -- output ----------------------------------------------------------------------------------
    def print(self):
        self._print_series()
        self._print_targets()
        self._print_counters()
        reason = self.void_reason()
        if reason:
            print(f"\n*** RUN VOID: {reason} ***")
        for series in self.unproved():
            print(f"\n*** NOT PROVED: {series.peer.name}, {series.protocol}: its {series.peer.counter} "
                  f"accounts for {series.proof:.1%} of the answers ***")

    def _print_series(self):
        get = self.find("Redis GET", "hit", "GET")
        print(f"\n{', '.join(f'{name} {value}' for name, value in self.conditions.items())}\n")
        print(f"{'server':28s} {'script':6s} {'protocol':9s} {'clients':>7s} {'answers/s':>10s} "
              f"{'min':>8s} {'max':>8s} {'us each':>8s} {'cpu us':>7s} {'/canned':>8s} {'/GET':>6s}  counted")
        for series in self.series.values():
            rates = [run.per_second for run in series.runs]
            canned = self.find("canned responder", "hit", series.protocol, series.clients)
            to_canned = f"{series.ratio_to(canned):8.3f}" if canned else f"{'':8s}"
            to_get = f"{series.ratio_to(get):6.2f}" if get and series.clients == self.clients else f"{'':6s}"
            proof = "" if series.proof is None else f"{series.proof:.1%} {series.peer.counter}"
            cpu = sorted(series.cpu_us)[len(series.cpu_us) // 2]
            print(f"{series.peer.name:28s} {series.script:6s} {series.protocol:9s} {series.clients:7d} "
                  f"{series.per_second:10.0f} {min(rates):8.0f} {max(rates):8.0f} "
                  f"{series.latency_us:8.1f} {cpu:7.2f} {to_canned} {to_get}  {proof}")

    def _print_targets(self):
        print(f"\n{'ratio':50s} {'measured':>9s} {'target':>9s}")
        for what, ratio, comparison, target in self.targets():
            met = ratio >= target if comparison == ">=" else ratio <= target
            print(f"{what:50s} {ratio:9.3f} {comparison:>4s}{target:5.2f}  {'met' if met else 'NOT MET'}")

    def _print_counters(self):
        print("\nthe servers' own counters, whole run")
        for name, counters in self.counters().items():
            print(f"  {name}: {json.dumps(counters, default=str)}")

    def counters(self):
        return {series.peer.name: series.peer.counters() for series in self.series.values()
                if series.peer.counter}

    def as_dict(self):
        return {
            "conditions": self.conditions,
            "void": self.void_reason(),
            "series": [{
                "server": series.peer.name, "script": series.script, "protocol": series.protocol,
                "clients": series.clients, "per_second": series.per_second,
                "per_second_runs": [run.per_second for run in series.runs],
                "latency_us": series.latency_us, "cpu_us_runs": series.cpu_us,
                "counter": series.peer.counter, "counted_share": series.proof,
            } for series in self.series.values()],
            "ratios": [{"what": what, "measured": ratio, "comparison": comparison, "target": target}
                       for what, ratio, comparison, target in self.targets()],
            "counters": self.counters(),
        }
