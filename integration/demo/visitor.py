"""Plays steps against the site: asks for the page, fills in the form, looks at what comes back."""
import datetime

from .browser import Browser, PostForms, filled

NEWEST_DAY = datetime.date(2024, 12, 31)
PASSWORD = "password"


class Visitor:
    """One client's browsers, one per user. `record(page, response)` is told of every answer,
    `failed(page, why)` of one that cannot be right, and `stale(page, why)` of one that does not show
    what its own visitor wrote just before. `run` makes the written texts unique."""

    def __init__(self, application, clock, run, record, failed, stale):
        self.application, self.clock, self.run = application, clock, run
        self.record, self.failed, self.stale = record, failed, stale
        self.browsers = {"": self._browser()}
        self.written = 0

    def _browser(self):
        return Browser(self.application, self.clock)

    def play(self, step):
        writer = getattr(self, step.kind.replace(" ", "_"), None) if step.kind[:6] == "write " else None
        if writer:
            writer(step)
        else:
            self._get(step.kind, self._url(step), step.user)

    def _url(self, step):
        key = step.key
        if step.kind == "edition (atomic)":
            day = NEWEST_DAY - datetime.timedelta(days=key)
            return f"/edition/{day.year}/{day.month}/{day.day}/"
        if step.kind == "dashboard":
            return f"/dashboard/{2024 - key // 12}/{12 - key % 12}/"
        return {
            "home": "/",
            "article": f"/articles/{key}/",
            "article list": f"/articles/?page={key}",
            "tag": "/tags/{}/?page={}".format(*key) if step.kind == "tag" else None,
            "author": f"/authors/{key}/",
            "search": f"/search/?q={str(key).replace(' ', '+')}",
            "tag list": "/tags/",
            "author list": "/authors/",
            "profile": "/profile/",
            "admin list": f"/admin/publication/{key}/",
            "admin article": f"/admin/publication/article/{key}/change/",
        }[step.kind]

    def _get(self, page, url, user):
        response = self.browsers[user].get(url)
        self.record(page, response)
        if response.status != 200:
            self.failed(page, f"GET {url}: status {response.status}")
        return response

    def _form(self, page, url, user, action=None):
        """The form of a page, the one with this action if it has several."""
        response = self._get(page, url, user)
        for form in PostForms(response.text).forms:
            if action is None or form[0] == action:
                return form
        self.failed(page, f"GET {url}: no form for {user}")
        return None

    def _post(self, page, url, user, fields):
        """Sends a form; returns where it leads to."""
        response = self.browsers[user].post(url, fields)
        self.record(page, response)
        if response.status != 302:
            self.failed(page, f"POST {url}: status {response.status}")
            return None
        return response.header("Location")

    def _token(self):
        self.written += 1
        return f"{self.run}x{self.written}"

    def _look(self, page, url, user, text):
        """Follows a redirect; the page must show what was just written."""
        if url and text not in self._get(page, url, user).text:
            self.stale(page, f"{url} does not show {text!r} to {user}, who has just written it")

    # -- writing steps ------------------------------------------------------------------------
    def sign_in(self, user):
        self.browsers[user] = self._browser()
        form = self._form("login form", "/accounts/login/?next=/", user)
        if form:
            fields = filled(form, username=user, password=PASSWORD)
            self._look("home", self._post("login (POST)", "/accounts/login/", user, fields), user,
                       f"Signed in as <a href=\"/profile/\">{user}</a>")

    def write_login(self, step):
        self.sign_in(step.key)
        self.browsers[step.key].get("/accounts/logout/")
        del self.browsers[step.key]

    def write_comment(self, step):
        action = f"/articles/{step.key}/comment/"
        form = self._form("article", f"/articles/{step.key}/", step.user, action)
        if form:
            token = self._token()
            fields = filled(form, body=f"As for {token}, I have my doubts.", rating=str(self.written % 5 + 1))
            self._look("article", self._post("comment (POST)", action, step.user, fields), step.user, token)

    def write_edit(self, step):
        url = f"/articles/{step.key}/edit/"
        form = self._form("article form", url, step.user)
        if form:
            token = self._token()
            values = dict(form[1])
            tags = {value for name, value in form[1] if name == "tags"}
            if len(tags) < 6:
                tags.add(str(step.key % 20 + 1 + len(tags)))
            title = values["title"].split(" (")[0]
            fields = filled(form, title=f"{title} ({token})", tags=sorted(tags), status="P")
            self._look("article", self._post("edit (POST)", url, step.user, fields), step.user, token)

    def write_new(self, step):
        form = self._form("article form", "/articles/new/", step.user)
        if form:
            token = self._token()
            fields = filled(form, title=f"News of {token}", summary=f"All about {token}.",
                            body=f"First {token}.\n\nThen more of it. " * 20, tags=["1", "2"], status="P")
            self._look("article", self._post("new article (POST)", "/articles/new/", step.user, fields),
                       step.user, token)

    def write_profile(self, step):
        form = self._form("profile", "/profile/", step.user)
        if form:
            token = self._token()
            fields = filled(form, about=f"I like {token}.")
            self._look("profile", self._post("profile (POST)", "/profile/", step.user, fields),
                       step.user, token)
