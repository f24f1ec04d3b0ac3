"""What the visitors do: a sequence of steps that depends on the seed and the client only, so that
two runs ask for the same pages of the same keys in the same order."""
import bisect
import itertools
import random
from dataclasses import dataclass

from publication import seed_words

# Studies of the servers of news sites found popularity steeper than what proxies see of the Web.
EXPONENT = 1.4
EDITORS = 10
UNPUBLISHED_EVERY = 33

# Of 100 steps that only read; whoever tunes a site would call this an ordinary news site.
READS = {
    "article": 42,
    "article list": 13,
    "home": 13,
    "tag": 9,
    "author": 7,
    "edition (atomic)": 5,
    "search": 3,
    "dashboard": 3,
    "tag list": 1,
    "author list": 1,
    "profile": 1,
    "admin list": 1,
    "admin article": 1,
}
WRITES = {"comment": 60, "edit": 8, "profile": 15, "new": 5, "login": 12}
# A writing step is three requests (form, POST, what it leads to), so that this share of steps makes
# one request in 20 a POST.
WRITING_SHARE = 0.0556
MEMBER_SHARE = 0.2
# Of each client; all are signed in before the journey starts.
MEMBERS = 3


class Zipf:
    """Ranks 0 .. count-1, rank r as likely as 1 / (r + 1) ** EXPONENT."""

    def __init__(self, count):
        weights = ((rank + 1) ** -EXPONENT for rank in range(count))
        self._cumulated = list(itertools.accumulate(weights))

    def pick(self, generator):
        return bisect.bisect_left(self._cumulated, generator.random() * self._cumulated[-1])


@dataclass(frozen=True)
class Size:
    """How much the seed made; passed to every client."""

    articles: int
    users: int
    author_slugs: tuple
    tag_slugs: tuple


@dataclass(frozen=True)
class Step:
    """One thing a visitor does: `kind` of page, its key, and who does it ('' is nobody)."""

    kind: str
    key: object = None
    user: str = ""


class Journey:
    """The endless sequence of one client. `clients` keeps what it edits apart from the others':
    the last of two edits wins, and the other editor would rightly not see their text."""

    def __init__(self, size, seed, client, clients):
        self.size, self.client, self.clients = size, client, clients
        self.generator = random.Random(f"{seed}/{client}")
        self.articles = Zipf(size.articles)
        self.authors = Zipf(len(size.author_slugs))
        self.tags = Zipf(len(size.tag_slugs))
        self.months = Zipf(48)
        self.days = Zipf(1400)
        self.pages = Zipf(200)
        self.terms = [*seed_words.NOUNS, *(f"{noun} of {place}" for noun in seed_words.NOUNS
                                           for place in seed_words.PLACES)]
        self.searches = Zipf(len(self.terms))

    @property
    def members(self):
        last = self.size.users - self.client * 10
        return [f"user{last - n}" for n in range(MEMBERS)]

    @property
    def author(self):
        return f"user{EDITORS + 1 + self.client}"

    @property
    def editor(self):
        return f"user{1 + self.client % EDITORS}"

    def users(self):
        """Everyone who is signed in before the journey starts."""
        return [*self.members, self.author, self.editor]

    def steps(self):
        while True:
            if self.generator.random() < WRITING_SHARE:
                yield self._write(self._choose(WRITES))
            else:
                yield self._read(self._choose(READS))

    def _choose(self, shares):
        return self.generator.choices(list(shares), list(shares.values()))[0]

    def _visitor(self):
        member = self.generator.choice(self.members)
        return member if self.generator.random() < MEMBER_SHARE else ""

    def _article(self):
        number = self.size.articles - self.articles.pick(self.generator)
        return number - 1 if number % UNPUBLISHED_EVERY == 0 else max(number, 1)

    def _own_article(self):
        """An article that no other client edits."""
        number = self._article()
        return number - (number - self.client) % self.clients or self.clients

    def _read(self, kind):
        generator, user = self.generator, self._visitor()
        key = None
        if kind == "article":
            key = self._article()
        elif kind == "article list":
            key = self.pages.pick(generator) + 1
        elif kind == "tag":
            key = (self.size.tag_slugs[self.tags.pick(generator)], self.pages.pick(generator) // 8 + 1)
        elif kind == "author":
            key = self.size.author_slugs[self.authors.pick(generator)]
        elif kind == "edition (atomic)":
            key = self.days.pick(generator)
        elif kind == "dashboard":
            key = self.months.pick(generator)
        elif kind == "search":
            key = self.terms[self.searches.pick(generator)]
        elif kind == "profile":
            user = generator.choice(self.members)
        elif kind == "admin list":
            key, user = generator.choice(["article", "comment", "author", "tag"]), self.editor
        elif kind == "admin article":
            key, user = self._article(), self.editor
        return Step(kind, key, user)

    def _write(self, kind):
        generator = self.generator
        if kind == "comment":
            return Step("write comment", self._article(), generator.choice(self.members))
        if kind == "edit":
            return Step("write edit", self._own_article(), self.editor)
        if kind == "new":
            return Step("write new", None, self.author)
        if kind == "profile":
            return Step("write profile", None, generator.choice(self.members))
        return Step("write login", f"user{generator.randrange(100, self.size.users - 200)}")
