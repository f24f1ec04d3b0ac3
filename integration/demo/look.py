"""Pages looked at one by one, in this process and with no write between: what each costs direct, and
what it costs through pgrecall."""
import time
from dataclasses import replace

from integration.django_site.two_ways import TwoWays
from integration.support.postgres import PASSWORD

from .browser import Browser
from .report import Cost, PageCosts, least
from .servers import SITE_USER

FIRST_PAGE = "/tags/"
# Name to URL and whether PostgreSQL has most of the work: it joins, searches, counts and sorts.
PAGES = {
    "dashboard": ("/dashboard/2024/11/", True),
    "search": ("/search/?q=library", True),
    "tag list": ("/tags/", True),
    "home": ("/", True),
    "edition (atomic)": ("/edition/2024/12/30/", False),
    "article list": ("/articles/?page=3", False),
    "article": ("/articles/1999/", False),
}
REPEATS = 5


class PageFailed(RuntimeError):
    """A page that must be there was not."""


class Stopwatch:
    """A Django execute wrapper that keeps the time of each statement."""

    def __init__(self):
        self.seconds = []

    def __call__(self, execute, sql, params, many, context):
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds.append(time.perf_counter() - started)


class Looker:
    """One visitor of the site on one database, who may choose the way. One per process at a time."""

    def __init__(self, servers, database):
        self.servers = servers
        self.site = TwoWays(database, (servers.postgres.port, servers.proxy.port), SITE_USER, PASSWORD)
        self.stopwatch = Stopwatch()
        self.site.watch(self.stopwatch)
        self.browser = Browser(self.site.application)

    def close(self):
        self.site.close()

    def direct(self, url, times=1):
        with self.site.direct():
            return self._ask(url, times)

    def proxied(self, url, times=1):
        return self._ask(url, times)

    def _ask(self, url, times):
        self.servers.reset_query_count()
        cost = least([self._ask_once(url) for _ in range(times)])
        return replace(cost, executing=self.servers.query_seconds() / times)

    def _ask_once(self, url):
        hits = self.servers.proxy.stats().hits
        self.stopwatch.seconds.clear()
        started = time.perf_counter()
        response = self.browser.get(url)
        whole = time.perf_counter() - started
        if response.status != 200:
            raise PageFailed(f"GET {url}: status {response.status}")
        statements = tuple(self.stopwatch.seconds)
        return Cost(statements, whole - sum(statements), self.servers.proxy.stats().hits - hits)


def first_look(servers, database):
    """One page: direct, then through pgrecall as a miss and as a hit, as [(name, Cost)]."""
    looker = Looker(servers, database)
    try:
        looker.site.connect()
        # The very first page of a process also loads the templates.
        looker.direct(FIRST_PAGE)
        return [("direct", looker.direct(FIRST_PAGE, REPEATS)),
                ("through pgrecall", looker.proxied(FIRST_PAGE)),
                ("again", looker.proxied(FIRST_PAGE, REPEATS))]
    finally:
        looker.close()


def page_costs(servers, database):
    """[PageCosts] of PAGES."""
    looker = Looker(servers, database)
    try:
        found = []
        for name, (url, bound) in PAGES.items():
            looker.direct(url)
            direct = looker.direct(url, REPEATS)
            looker.proxied(url)
            found.append(PageCosts(name, bound, direct, looker.proxied(url, REPEATS)))
        return found
    finally:
        looker.close()
