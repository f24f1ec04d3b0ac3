"""One client process: a Django site of its own, played along a journey."""
import importlib
import logging
import os
import pathlib
import random
import sys
import time
import traceback
from dataclasses import dataclass, field

SITE = pathlib.Path(__file__).resolve().parent.parent / "django_site"
EXAMPLES_MAX = 3


@dataclass
class Task:
    """What one client of one run has to do. `steps` and `warm_steps` of None mean: until the time is
    over; otherwise the time does not matter. `pace`: no step begins before its time, in seconds since
    the first one; None: one after the other."""

    run: str
    client: int
    clients: int
    seed: int
    size: object
    site_address: tuple
    direct_address: tuple
    database: str
    user: str
    checker: str
    password: str
    check_share: float
    warm_seconds: float
    seconds: float
    warm_steps: int = None
    steps: int = None
    pace: list = None


@dataclass
class Outcome:
    """What one client brings back: latencies by page, what it asked of the database, verdicts, and how
    far it came. `database_seconds` is of the measured part."""

    client: int
    warm_steps: int = 0
    steps: int = 0
    pace: list = field(default_factory=list)
    seconds: dict = field(default_factory=dict)
    failures: int = 0
    own_stale: int = 0
    verdicts: object = None
    busy_seconds: float = 0.0
    database_seconds: float = 0.0
    statements: list = field(default_factory=list)
    examples: list = field(default_factory=list)


class LastError(logging.Handler):
    """Keeps what the last failing view raised."""

    text = ""

    def emit(self, record):
        if record.exc_info:
            trace = traceback.extract_tb(record.exc_info[2])[-1]
            LastError.text = f": {record.exc_info[1]!r} at {trace.filename}:{trace.lineno}"


def set_up_site(task):
    """Configures Django for one address. Once per process."""
    host, port = task.site_address
    os.environ.update(
        DJANGO_SETTINGS_MODULE="pressroom.settings",
        SITE_DB_HOST=host,
        SITE_DB_PORT=str(port),
        SITE_DB_NAME=task.database,
        SITE_DB_USER=task.user,
        SITE_DB_PASSWORD=task.password,
    )
    sys.path.insert(0, str(SITE))
    application = importlib.import_module("pressroom.wsgi").application
    # Failures are counted and shown by the demo, not logged by each client.
    logger = logging.getLogger("django.request")
    logger.propagate = False
    logger.handlers = [LastError()]
    return application


def direct_connection(task):
    """A psycopg2 connection past pgrecall with the settings that Django gives its own."""
    from django.conf import settings
    from django.db.utils import ConnectionHandler

    host, port = task.direct_address
    options = {**settings.DATABASES["default"], "HOST": host, "PORT": str(port), "USER": task.checker}
    wrapper = ConnectionHandler({"default": options})["default"]
    wrapper.ensure_connection()
    return wrapper.connection


class Client:
    """Runs a task; `counter` is its cell of the shared progress."""

    def __init__(self, task, application, counter):
        from .journal import Journal
        from .journey import Journey
        from .rereader import Rereader
        from .visitor import Visitor

        self.task = task
        self.counter = counter
        self.outcome = Outcome(task.client)
        self.measuring = False
        self.journal = Journal()
        share = random.Random(f"{task.seed}/{task.client}/checker").random()
        self.rereader = Rereader(direct_connection(task), task.check_share, share)
        self.visitor = Visitor(application, self.rereader.clock, f"{task.run}{task.client}",
                               self.record, self.failed, self.stale)
        self.journey = Journey(task.size, task.seed, task.client, task.clients)

    def record(self, page, response):
        self.counter[self.task.client] += 1
        if self.measuring:
            self.outcome.seconds.setdefault(page, []).append(response.seconds)

    def failed(self, page, why):
        self.outcome.failures += 1
        self._example(f"{page}: {why}{LastError.text}")

    def stale(self, page, why):
        self.outcome.own_stale += 1
        self._example(f"{page}: {why}")

    def _example(self, text):
        if len(self.outcome.examples) < EXAMPLES_MAX:
            self.outcome.examples.append(text)

    def warm_up(self):
        for user in self.journey.users():
            self.visitor.sign_in(user)
        self.steps = self.journey.steps()
        self.outcome.warm_steps = self._play(self.task.warm_seconds, self.task.warm_steps)

    def measure(self):
        self.measuring = self.journal.measuring = True
        started, in_database = self.rereader.clock(), self.journal.seconds
        self.outcome.steps = self._play(self.task.seconds, self.task.steps)
        self.outcome.busy_seconds = self.rereader.clock() - started
        self.outcome.database_seconds = self.journal.seconds - in_database
        self.outcome.statements = self.journal.statements
        self.outcome.verdicts = self.rereader.verdicts

    def _play(self, seconds, steps):
        begin = time.monotonic()
        done = 0
        while done < steps if steps is not None else time.monotonic() < begin + seconds:
            if self.measuring:
                if self.task.pace:
                    time.sleep(max(0, begin + self.task.pace[done] - time.monotonic()))
                self.outcome.pace.append(time.monotonic() - begin)
            self.visitor.play(next(self.steps))
            done += 1
        return done

    def close(self):
        self.rereader.close()


def run_client(task, counter, ready, go, results):
    """Entry point of the process."""
    application = set_up_site(task)
    from django.db import connection

    client = Client(task, application, counter)
    with connection.execute_wrapper(client.rereader), connection.execute_wrapper(client.journal):
        client.warm_up()
        ready.release()
        go.wait()
        client.measure()
    client.close()
    results.put(client.outcome)
