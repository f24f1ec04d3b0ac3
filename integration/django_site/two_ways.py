"""Opens the site's pages two ways, direct and through pgrecall, in one process.

Two Django connections to one database are held; `direct()` and `proxied()` say which one the site
uses. The test suites of pgrecall use this.
"""
import contextlib
import importlib
import os
import pathlib
import re
import sys

SITE = pathlib.Path(__file__).resolve().parent
# Two renderings of one form differ by the mask of its token, and by nothing else.
TOKEN = re.compile(rb'(name="csrfmiddlewaretoken" value=")[^"]*')


class TwoWays:
    """One database of the site. `ports` are PostgreSQL's and pgrecall's; `options` go into Django's
    DATABASES entry of both. One per process at a time; `close` ends its connections."""

    def __init__(self, database, ports, user, password, **options):
        self.application = _application()
        self._wrappers = [
            self._wrapper(NAME=database, HOST="127.0.0.1", PORT=str(port), USER=user,
                          PASSWORD=password, **options) for port in ports]
        self._use(1)

    def _wrapper(self, **options):
        from django.conf import settings
        from django.db.utils import ConnectionHandler

        return ConnectionHandler({"default": {**settings.DATABASES["default"], **options}})["default"]

    def _use(self, which):
        from django.db import connections

        connections["default"] = self._wrappers[which]

    def proxied(self):
        """From now on the site reads and writes through pgrecall, as it does at first."""
        self._use(1)

    @contextlib.contextmanager
    def direct(self):
        """Inside the block it does so past pgrecall."""
        self._use(0)
        try:
            yield
        finally:
            self._use(1)

    def both(self, browser, url):
        """(direct, proxied) answers to one GET as (status, body)."""
        with self.direct():
            expected = _comparable(browser.get(url))
        return expected, _comparable(browser.get(url))

    def connect(self):
        """Logs in both ways now rather than with the first statement."""
        for wrapper in self._wrappers:
            wrapper.ensure_connection()

    def watch(self, execute_wrapper):
        """Every statement of either way passes through this Django execute wrapper from now on."""
        for wrapper in self._wrappers:
            wrapper.execute_wrappers.append(execute_wrapper)

    def close(self):
        for wrapper in self._wrappers:
            wrapper.close()


def _comparable(response):
    return response.status, TOKEN.sub(rb"\1", response.body)


def _application():
    if str(SITE) not in sys.path:
        sys.path.insert(0, str(SITE))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pressroom.settings")
    return importlib.import_module("pressroom.wsgi").application
