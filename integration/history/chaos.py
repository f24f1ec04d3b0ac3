"""kill -9 of Redis, then of PostgreSQL, again and again under load: no wrong answer, no crash of pgrecall, and
recovery by itself."""
import random
import time

from . import board as boards
from . import client, report
from .world import Options, World

RECOVERY_SECONDS = 60
CALM_SECONDS = (2.0, 5.0)   # between two blows
DOWN_SECONDS = (0.2, 2.5)   # until what was killed is started again
MIX = {**client.ALL, "late_commit": 0}  # in the Redis part no connection may be lost


class Chaos:
    """Two parts of one run against the same pgrecall."""

    def __init__(self, template, clients, seed, say=print):
        self.chance = random.Random(seed)
        self.say = say
        self.recoveries = {"Redis": [], "PostgreSQL": []}
        self.failures = []
        options = Options(clients=clients, seed=seed, mix=MIX, redis=True, cut=0, terminate_seconds=None)
        self.world = World(template, options)
        self.pid = self.world.proxy.pid

    def run(self, seconds):
        """Half of the time for each; True if nothing was wrong."""
        world = self.world
        try:
            self._wait_hits("warm-up", world.proxy.stats(), redis=True)
            self._part("Redis", seconds / 2, self._kill_redis)
            self._part("PostgreSQL", seconds / 2, self._kill_postgres)
            elapsed = time.monotonic() - world.started
            lines = list(report.figures(world, elapsed, world.proxy.stats()))
            redis = world.proxy.stats()["redis"]
            if world.crashes > 1 and not world.lost_commits:
                self.failures.append("no crash lost a commit: this proves less than it should")
            if world.proxy.pid != self.pid:
                self.failures.append("pgrecall is another process than in the beginning")
        finally:
            world.close()
        for line in lines:
            self.say(line)
        self.say(f"Redis as pgrecall saw it: {redis}")
        for name, times in self.recoveries.items():
            if times:
                self.say(f"{name}: killed {len(times)} times, hits were back after {min(times):.1f} to {max(times):.1f} s "
                         f"(median {sorted(times)[len(times) // 2]:.1f} s)")
            else:
                self.failures.append(f"{name} was never killed: this proves nothing")
        report.print_findings(world.texts, world.violations, world.errors)
        for failure in self.failures:
            self.say(f"FAILURE: {failure}")
        return not (world.violations or world.errors or self.failures)

    def _part(self, name, seconds, blow):
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.failures) < 3:
            self._calm(self.chance.uniform(*CALM_SECONDS))
            blow()
        self.say(f"  {name}: {len(self.recoveries[name])} kills, {self.world.board.total(boards.READS)} reads so far, "
                 f"{len(self.world.violations)} violations, {len(self.world.errors)} unexpected errors", flush=True)

    def _calm(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.world.step()

    def _kill_redis(self):
        world = self.world
        world.redis.kill()
        self._calm(self.chance.uniform(*DOWN_SECONDS))
        world.redis.start()
        begin = time.monotonic()
        if self._wait_hits("Redis", world.proxy.stats(), redis=True):
            self.recoveries["Redis"].append(time.monotonic() - begin)

    def _kill_postgres(self):
        """Every second time such that acknowledged asynchronous commits are lost."""
        world = self.world
        if len(self.recoveries["PostgreSQL"]) % 2:
            world.crash_losing_commits()
        else:
            world.board.switches[boards.OUTAGE] = 1
            world.server.kill()
            self._calm(self.chance.uniform(*DOWN_SECONDS))
            world.server.start()
            world.crashes += 1
        begin = time.monotonic()
        if self._wait_hits("PostgreSQL", world.proxy.stats()):
            self.recoveries["PostgreSQL"].append(time.monotonic() - begin)
        self._wait_clients()
        world.end_outage()

    def _wait_hits(self, what, before, redis=False):
        """Until hits are counted again (and Redis is in use again, if asked for)."""
        end = time.monotonic() + RECOVERY_SECONDS
        while time.monotonic() < end:
            self.world.step(0.02)
            stats = self.world.proxy.stats()
            if stats.hits > before.hits + 100 and (not redis or stats["redis"]["available"]):
                return True
        self.failures.append(f"{what}: no recovery within {RECOVERY_SECONDS} s: hits {before.hits} to {stats.hits}, "
                             f"Redis {stats['redis']}, bypasses {stats['bypasses']}")
        return False

    def _wait_clients(self):
        """Until every client has read something since: before, it may still hear of the outage."""
        counters = self.world.board.counters
        reads = [counter[boards.READS] for counter in counters]
        end = time.monotonic() + RECOVERY_SECONDS
        while any(counter[boards.READS] <= count for counter, count in zip(counters, reads)):
            self.world.step()
            if time.monotonic() > end:
                self.failures.append("a client could not read again after PostgreSQL was back")
                return
