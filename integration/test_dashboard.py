"""The page of the admin port: it shows what /api/stats says, and tells its own mistakes from a dead port.

The page's script runs in Node with the least document that it needs; without Node these tests are skipped.
"""
import json
import re
import shutil
import subprocess

import pytest

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node")

DOCUMENT = """
class Node {
  constructor(tag) {
    Object.assign(this, { tag, children: [], style: {}, dataset: {}, classList: { toggle() {} } });
  }
  append(...nodes) { this.children.push(...nodes); }
  replaceChildren(...nodes) { this.children = nodes; }
  setAttribute() {}
  get text() { return (this.textContent ?? "") + this.children.map(each => each.text).join(" "); }
}
const nodes = {};
const document = { createElement: tag => new Node(tag), createElementNS: (_, tag) => new Node(tag),
  getElementById: id => nodes[id] ??= new Node(id), querySelectorAll: () => [] };
class ResizeObserver { observe() {} }
const setInterval = () => {};
const asked = [];
let answers = () => new Promise(() => {});
const fetch = path => { asked.push(path); return answers(); };
const given = (status, body) => () => Promise.resolve(
  { ok: status === 200, status, json: () => Promise.resolve().then(() => JSON.parse(body)) });
"""


@pytest.fixture(scope="module")
def page(proxy, proxy_class):
    if proxy_class.identity:
        pytest.skip("--direct: there is no dashboard")
    status, text = proxy.get("/")
    assert status == 200
    return re.search(r"<script>(.*)</script>", text, re.S).group(1)


@pytest.fixture
def evaluate(page):
    def run(code):
        """What an async function of this body returns, run after the page's script."""
        text = f"(() => {{ {DOCUMENT} {page}\n(async () => {{ {code} }})()" \
               ".then(value => console.log(JSON.stringify(value))); })();"
        answer = subprocess.run([NODE, "-"], input=text, capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)
    return run


def test_a_measured_zero_is_no_gap(evaluate):
    assert evaluate("return [share(0, 10), share(0, 0), share(1, 10), share(1, 10000), share(7, 7)]") == [
        "0 %", "-", "10.0 %", "< 0.1 %", "100.0 %"]


def shown_after(evaluate, fetch):
    return evaluate(f"answers = {fetch}; await refresh();"
                    " return [el('trouble').textContent, el('trouble').style.display]")


def test_only_a_dead_port_is_called_one(evaluate):
    text, display = shown_after(evaluate, "() => Promise.reject(new TypeError('fetch failed'))")
    assert text.startswith("No answer from the admin port") and display == "block"
    text, display = shown_after(evaluate, "given(500, '{}')")
    assert text.startswith("The admin port answered with status 500") and display == "block"
    text, display = shown_after(evaluate, "given(200, '{\"version\": \"1\"}')")
    assert text.startswith("The admin port answers, but this page cannot show it") and display == "block"


def test_the_page_shows_what_the_proxy_says(evaluate, env):
    client = env.wire()
    client.ok("LISTEN anything")
    stats = env.stats()
    text, display = shown_after(evaluate, f"given(200, {json.dumps(json.dumps(stats))})")
    assert (text, display) == ("", "none")


def test_rows_that_are_left_out_are_counted(evaluate, env):
    stats = dict(env.stats())
    row = {"database": "d", "user": "u", "why": "LISTEN", "seconds": 1}
    stats.update(pinned=[row] * 25, rows={**stats["rows"], "pinned": 9_000})
    drawn = evaluate(f"answers = given(200, {json.dumps(json.dumps(stats))}); await refresh();"
                     " return [asked, el('pinned').children[0].children.length, el('pinned').text]")
    assert all("top=25" in path for path in drawn[0])
    assert drawn[1] == 1 + 25 + 1
    assert drawn[2].endswith("and 8975 more")
