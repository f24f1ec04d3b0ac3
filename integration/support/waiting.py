"""The one place that waits: everything is observed, with a deadline."""
import os
import time

DEADLINE_SECONDS = 20.0
HIT_SECONDS = float(os.environ.get("PGRECALL_HIT_SECONDS", "15"))  # how long a hit may take to come back


class Deadline(AssertionError):
    """What was waited for did not happen in time."""


def wait_until(predicate, what, seconds=DEADLINE_SECONDS, interval=0.005):
    """Polls `predicate` until it returns something true and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise Deadline(f"not within {seconds} s: {what}")
        time.sleep(interval)
