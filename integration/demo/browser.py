"""A browser without a network: it calls the site's WSGI application in this process and keeps
cookies, follows redirects and fills in the forms it finds."""
import html.parser
import http.cookies
import io
import sys
import time
import urllib.parse
import wsgiref.util
from dataclasses import dataclass

HOST = "localhost"


@dataclass
class Response:
    """One answer; `seconds` is the time from the request to its last byte."""

    status: int
    headers: list
    body: bytes
    seconds: float

    @property
    def text(self):
        return self.body.decode()

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Browser:
    """One visitor. `clock` gives seconds; time that a checker spent is taken out of it."""

    def __init__(self, application, clock=time.perf_counter):
        self.application = application
        self.clock = clock
        self.cookies = http.cookies.SimpleCookie()

    def get(self, url):
        return self._request("GET", url)

    def post(self, url, fields):
        """`fields` is a list of (name, value)."""
        body = urllib.parse.urlencode(fields).encode()
        return self._request("POST", url, body)

    def _request(self, method, url, body=b""):
        environ = self._environ(method, url, body)
        answer = {}

        def start_response(status, headers, exc_info=None):
            answer["status"], answer["headers"] = int(status.split()[0]), headers

        started = self.clock()
        chunks = self.application(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            chunks.close()
        seconds = self.clock() - started
        self._keep_cookies(answer["headers"])
        return Response(answer["status"], answer["headers"], content, seconds)

    def _environ(self, method, url, body):
        path, _, query = url.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": urllib.parse.unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "HTTP_HOST": HOST,
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
        }
        if method == "POST":
            environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
            environ["CONTENT_LENGTH"] = str(len(body))
        if self.cookies:
            environ["HTTP_COOKIE"] = "; ".join(
                f"{name}={morsel.coded_value}" for name, morsel in self.cookies.items()
            )
        wsgiref.util.setup_testing_defaults(environ)
        return environ

    def _keep_cookies(self, headers):
        for name, value in headers:
            if name.lower() == "set-cookie":
                received = http.cookies.SimpleCookie(value)
                for key, morsel in received.items():
                    if morsel["max-age"] == 0 or morsel["max-age"] == "0":
                        self.cookies.pop(key, None)
                    else:
                        self.cookies[key] = morsel.value


class PostForms(html.parser.HTMLParser):
    """Collects the fields of every form of a page that posts, as (action, [(name, value)])."""

    def __init__(self, text):
        super().__init__()
        self.forms = []
        self._fields = None
        self._textarea = None
        self._select = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attribute = dict(attributes)
        if tag == "form" and attribute.get("method", "").lower() == "post":
            self._fields = []
            self.forms.append((attribute.get("action", ""), self._fields))
        elif self._fields is None:
            return
        elif tag == "input":
            self._input(attribute)
        elif tag == "textarea":
            self._textarea = [attribute["name"], ""]
        elif tag == "select":
            self._select = attribute["name"]
        elif tag == "option" and "selected" in attribute:
            self._fields.append((self._select, attribute.get("value", "")))

    def _input(self, attribute):
        kind = attribute.get("type", "text")
        if "name" not in attribute or kind in ("submit", "button"):
            return
        if kind in ("checkbox", "radio"):
            if "checked" in attribute:
                self._fields.append((attribute["name"], attribute.get("value", "on")))
        else:
            self._fields.append((attribute["name"], attribute.get("value", "")))

    def handle_data(self, data):
        if self._textarea:
            self._textarea[1] += data

    def handle_endtag(self, tag):
        if tag == "textarea" and self._textarea:
            # A newline right after <textarea> is not part of its value.
            name, value = self._textarea
            self._fields.append((name, value[1:] if value[:1] == "\n" else value))
            self._textarea = None
        elif tag == "form":
            self._fields = None


def filled(form, **values):
    """The fields of a form with some set anew; a list sets a field several times."""
    fields = [(name, value) for name, value in form[1] if name not in values]
    for name, value in values.items():
        fields += [(name, item) for item in (value if isinstance(value, list) else [value])]
    return fields
