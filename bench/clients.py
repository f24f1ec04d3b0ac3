"""The load: one run of pgbench or redis-benchmark, and what it reports."""
import csv
import dataclasses
import io
import pathlib
import re
import subprocess

from support.postgres import SUPERUSER, postgres_bin

# Every server gets the same questions. `{keys}` bounds the keys; the miss script asks each question once.
SCRIPTS = {
    "hit": "\\set aid random(1, {keys})\nSELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n",
    "miss": "\\set aid random(1, {keys})\n\\set n random(1, 2000000000)\n"
            "SELECT abalance FROM pgbench_accounts WHERE aid = :aid AND :n > 0;\n",
    "write": "\\set tid random(1, 10)\n"
             "UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = :tid;\n",
}


@dataclasses.dataclass
class Run:
    """One run of a client: how many answers, how many each second, how long each took."""
    transactions: int
    per_second: float
    latency_us: float


class Load:
    """Runs clients. `threads` are the client's own; `keys` the distinct keys of the hit script."""

    def __init__(self, folder, threads, keys):
        self.folder = pathlib.Path(folder)
        self.threads = threads
        self.keys = keys
        for name, text in SCRIPTS.items():
            (self.folder / f"{name}.sql").write_text(text.format(keys=keys))

    def pgbench(self, port, database, script, protocol, clients, seconds):
        command = [postgres_bin() / "pgbench", "-n", "-h", "127.0.0.1", "-p", str(port), "-U", SUPERUSER,
                   "-M", protocol, "-c", str(clients), "-j", str(min(self.threads, clients)),
                   "-T", str(seconds), "-f", self.folder / f"{script}.sql", database]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        found = {name: re.search(pattern, done.stdout) for name, pattern in {
            "transactions": r"number of transactions actually processed: (\d+)",
            "failed": r"number of failed transactions: (\d+)",
            "latency": r"latency average = ([0-9.]+) ms",
            "per_second": r"tps = ([0-9.]+)"}.items()}
        if done.returncode != 0 or not all(found.values()) or int(found["failed"].group(1)):
            raise RuntimeError(f"pgbench against port {port} failed:\n{done.stdout}{done.stderr}")
        per_second = float(found["per_second"].group(1))
        # pgbench rounds its latency to a microsecond; the rate is finer.
        return Run(int(found["transactions"].group(1)), per_second, clients * 1e6 / per_second)

    def redis_benchmark(self, port, test, clients, requests):
        """`test` is get or set; the values are as long as the column of the hit script: one byte."""
        command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", test, "-c", str(clients),
                   "-n", str(requests), "-r", str(self.keys), "-d", "1", "--csv"]
        if min(self.threads, clients) > 1:
            command += ["--threads", str(min(self.threads, clients))]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        rows = [row for row in csv.reader(io.StringIO(done.stdout)) if row and row[0] == test.upper()]
        if done.returncode != 0 or not rows:
            raise RuntimeError(f"redis-benchmark failed:\n{done.stdout}{done.stderr}")
        per_second = float(rows[0][1])
        return Run(requests, per_second, clients * 1e6 / per_second)
