"""The phases of a demo, each with the time that it took."""
import contextlib
import time


class Phases:
    """Prints a heading for each phase and its time when it has ended."""

    def __init__(self):
        self.seconds = {}

    @contextlib.contextmanager
    def phase(self, name):
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started
        print(f"   ({self.seconds[name]:.0f} s)", flush=True)

    def line(self):
        listed = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        return f"took {sum(self.seconds.values()):.0f} s after the build: {listed}"
