"""Runs of several client processes at once: a measured run of pages, and the version test."""
import multiprocessing
import queue
import sys
import time

from . import versions
from .client import Task, run_client

SPAWN = multiprocessing.get_context("spawn")
OUTCOME_SECONDS_MAX = 900


class ClientEnded(RuntimeError):
    """A client process ended without an outcome; what it said is on stderr."""


class Progress:
    """One line that tells how far a run is: rewritten on a terminal, else printed now and then."""

    def __init__(self, name):
        self.name = name
        self.started = time.monotonic()
        self.interval = 0.5 if sys.stdout.isatty() else 10.0
        self.printed = self.started

    def show(self, text, last=False):
        now = time.monotonic()
        if not last and now - self.printed < self.interval:
            return
        self.printed = now
        line = f"  {self.name}: {text}, {now - self.started:.0f} s"
        if sys.stdout.isatty():
            print(f"\r{line:<78}", end="\n" if last else "", flush=True)
        else:
            print(line, flush=True)


def _collect(processes, results, progress, state):
    """One outcome per process, while progress is shown."""
    outcomes = []
    end = time.monotonic() + OUTCOME_SECONDS_MAX
    while len(outcomes) < len(processes):
        try:
            outcomes.append(results.get(timeout=0.2))
        except queue.Empty:
            _check_alive(processes)
            if time.monotonic() > end:
                raise ClientEnded(f"no outcome within {OUTCOME_SECONDS_MAX} s") from None
        progress.show(state())
    for process in processes:
        process.join()
    return outcomes


def _check_alive(processes):
    for process in processes:
        if process.exitcode not in (None, 0):
            raise ClientEnded(f"client process {process.name} ended with {process.exitcode}")


def _start(targets):
    processes = [SPAWN.Process(target=target, args=arguments, daemon=True, name=name)
                 for name, target, arguments in targets]
    for process in processes:
        process.start()
    return processes


def _end(processes):
    for process in processes:
        if process.is_alive():
            process.terminate()
            process.join()


def run_pages(name, tasks, at_start):
    """Plays the tasks, one process each. When all have warmed up, `at_start` is called, and then
    all are measured. Returns their outcomes, by client."""
    counter = SPAWN.Array("Q", len(tasks), lock=False)
    ready, go, results = SPAWN.Semaphore(0), SPAWN.Event(), SPAWN.Queue()
    processes = _start([(f"{name} {task.client}", run_client, (task, counter, ready, go, results))
                        for task in tasks])
    try:
        progress = Progress(f"{name}, warming up")
        warmed = 0
        while warmed < len(tasks):
            if ready.acquire(timeout=0.2):
                warmed += 1
            _check_alive(processes)
            progress.show(f"{sum(counter):,} pages")
        progress.show(f"{sum(counter):,} pages", last=True)
        at_start()
        before = sum(counter)
        go.set()
        progress = Progress(name)
        outcomes = _collect(processes, results, progress, lambda: f"{sum(counter) - before:,} pages")
        progress.show(f"{sum(counter) - before:,} pages", last=True)
        return sorted(outcomes, key=lambda outcome: outcome.client)
    finally:
        _end(processes)


def same_again(tasks, outcomes, paced, **changes):
    """The tasks of a second run that asks for exactly the pages of a first one; `paced`: at its pace."""
    return [Task(**{**vars(task), "warm_steps": outcome.warm_steps, "steps": outcome.steps,
                    "pace": outcome.pace if paced else None, **changes})
            for task, outcome in zip(tasks, outcomes)]


def run_versions(parameters, writers, readers, seconds):
    """The version test, see versions.py. Returns its findings."""
    acknowledged = SPAWN.Array("q", versions.ROWS, lock=False)
    seen = SPAWN.Array("q", versions.ROWS)
    results = SPAWN.Queue()
    processes = _start(
        [(f"writer {n}", versions.write, (parameters, n, writers, acknowledged, seconds, results))
         for n in range(writers)]
        + [(f"reader {n}", versions.read, (parameters, n, acknowledged, seen, seconds, results))
           for n in range(readers)])
    try:
        progress = Progress("version test")
        found = versions.Findings()
        for findings in _collect(processes, results, progress, lambda: f"version {max(acknowledged)}"):
            found.add(findings)
        progress.show(f"{found.reads:,} reads, {found.writes:,} acknowledged writes", last=True)
        return found
    finally:
        _end(processes)
