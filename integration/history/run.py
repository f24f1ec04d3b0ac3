"""Runs of the history: a clean one, or one with a broken rule that must be caught."""
import time

from . import report
from .world import World


def clean(template, options, seconds, say=print):
    """Runs for `seconds`; True if nothing wrong was seen."""
    world = World(template, options)
    try:
        next_line = 30
        while (elapsed := time.monotonic() - world.started) < seconds:
            world.step()
            if elapsed > next_line:
                next_line += 30
                say(f"  {elapsed:.0f} s: {sum(c[0] for c in world.board.counters)} reads, "
                    f"{len(world.violations)} violations, {len(world.errors)} unexpected errors", flush=True)
        elapsed = time.monotonic() - world.started
        stats = world.proxy.stats() if world.proxy else None
        lines = list(report.figures(world, elapsed, stats))
    finally:
        world.close()
    for line in lines:
        say(line)
    report.print_findings(world.texts, world.violations, world.errors)
    return Result(world, elapsed, stats)


class Result:
    """What a clean run found."""

    def __init__(self, world, seconds, stats):
        self.violations, self.errors = world.violations, world.errors
        self.reads = world.board.total(0)
        self.seconds, self.stats = seconds, stats

    @property
    def right(self):
        return not self.violations and not self.errors


def broken(template, options, seconds, verbose=True):
    """Runs with a fault until the first violation; returns (seconds, violation) or None."""
    world = World(template, options)
    found = None
    try:
        while time.monotonic() - world.started < seconds:
            world.step(0.05)
            if world.violations:
                found = (time.monotonic() - world.started, world.violations[0])
                break
        if verbose and not found:
            for line in report.figures(world, time.monotonic() - world.started, world.proxy.stats()):
                print(line)
    finally:
        world.close()
    if verbose:
        report.print_findings(world.texts[:1], world.violations[:1], world.errors)
    return found
