"""The demo's own parts: a checker that sees stale answers and never cries wolf, and a driver that asks
for the same pages twice."""
import itertools
import os
import shutil
import subprocess
import sys
import types
from dataclasses import replace

import pytest

from demo.browser import PostForms, filled
from demo.client import Outcome, Task
from demo.journal import Journal, Statement, due_share
from demo.report import Cost, PageCosts, Run, cost_lines, first_look_lines, is_slower, least, percentile
from demo.rereader import Rereader
from demo.runs import same_again
from django_site.two_ways import SITE
from support.pgrecall import ROOT


class Site:
    """Stands in for Django's connection: runs SQL on psycopg2 through the checker. `rows_instead`
    are what a cache would give in place of the truth; `meanwhile` runs once, before the answer."""

    def __init__(self, direct, connect):
        self.checker = Rereader(direct, share=1.0, seed=0)
        self.site = connect()
        self.rows_instead = None
        self.meanwhile = None
        self.in_atomic_block = False

    def read(self, sql, params=None):
        cursor = self.site.cursor()
        context = {"connection": self, "cursor": types.SimpleNamespace(cursor=cursor)}
        self.checker(self._execute, sql, params, False, context)
        return cursor.fetchall() if cursor.description else None

    def _execute(self, sql, params, many, context):
        if self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
        cursor = context["cursor"].cursor
        cursor.execute(sql if self.rows_instead is None else self.rows_instead, params)

    @property
    def counts(self):
        verdicts = self.checker.verdicts
        return verdicts.fresh, verdicts.stale, verdicts.undecided


@pytest.fixture
def table(postgres):
    postgres.sql("postgres", "DROP TABLE IF EXISTS checked",
                 "CREATE TABLE checked (id int PRIMARY KEY, version int)",
                 "INSERT INTO checked SELECT n, 1 FROM generate_series(1, 5) n")
    return "checked"


@pytest.fixture
def site(postgres, table):
    connections = []

    def connect():
        connections.append(postgres.direct())
        return connections[-1]

    yield Site(connect(), connect)
    for connection in connections:
        connection.close()


def bump(postgres):
    return lambda: postgres.sql("postgres", "UPDATE checked SET version = version + 1")


def bump_and_undo(postgres):
    return lambda: postgres.sql("postgres", "UPDATE checked SET version = version + 1",
                                "UPDATE checked SET version = version - 1")


READ = "SELECT version FROM checked WHERE id = %s"
OLD = "SELECT 0 FROM checked WHERE id = %s"


def test_a_true_answer_is_fresh_and_reaches_the_site(site):
    assert site.read(READ, [1]) == [(1,)]
    assert site.read("SELECT id FROM checked WHERE id > %s", [9]) == []
    assert site.counts == (2, 0, 0)


def test_an_old_answer_is_stale(site):
    site.rows_instead = OLD
    site.read(READ, [1])
    assert site.counts == (0, 1, 0)
    assert "checked" in site.checker.verdicts.examples[0]


def test_an_answer_that_is_newer_than_the_first_direct_read_is_fresh(site, postgres):
    site.meanwhile = bump(postgres)
    assert site.read(READ, [1]) == [(2,)]
    assert site.counts == (1, 0, 0)


def test_a_write_that_was_undone_at_once_is_no_stale_answer(site, postgres):
    """The site saw the state in the middle, which neither direct read shows."""
    site.meanwhile = bump_and_undo(postgres)
    site.rows_instead = "SELECT 2 FROM checked WHERE id = %s"
    site.read(READ, [1])
    assert site.counts == (0, 0, 1)


def test_snapshot_and_rows_of_a_direct_read_are_of_one_transaction(site):
    """Were they not, a commit between the two would be taken for a stale answer."""
    sql = "SELECT xact_start < query_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    assert site.checker._read_direct(sql, None, None)[1] == [(True,)]


def test_rows_in_another_order_are_the_same_answer(site):
    site.rows_instead = "SELECT id FROM checked ORDER BY id DESC"
    site.read("SELECT id FROM checked")
    assert site.counts == (1, 0, 0)


def test_what_a_transaction_wrote_itself_is_not_checked(site):
    site.site.autocommit = False
    site.in_atomic_block = True
    site.read("UPDATE checked SET version = 9")
    assert site.read(READ, [1]) == [(9,)]
    assert site.counts == (0, 0, 0)
    site.site.rollback()
    site.in_atomic_block = False
    site.read(READ, [1])
    assert site.counts == (1, 0, 0)


def test_locking_reads_are_not_repeated(site):
    site.read("SELECT version FROM checked WHERE id = 1 FOR UPDATE")
    assert site.counts == (0, 0, 0)


# -- the driver -------------------------------------------------------------------------------
@pytest.fixture
def journey(monkeypatch):
    monkeypatch.syspath_prepend(str(SITE))
    from demo.journey import Journey, Size

    size = Size(2000, 500, tuple(f"a{n}" for n in range(50)), tuple(f"t{n}" for n in range(30)))
    return lambda seed, client: list(itertools.islice(Journey(size, seed, client, 4).steps(), 5000))


def test_a_journey_depends_on_seed_and_client_only(journey):
    assert journey(1, 0) == journey(1, 0)
    assert journey(1, 0) != journey(1, 1)
    assert journey(1, 0) != journey(2, 0)


def test_one_request_in_twenty_writes_and_keys_follow_a_zipf_law(journey):
    steps = journey(1, 0)
    writing = sum(step.kind.startswith("write ") for step in steps)
    requests = len(steps) + 2 * writing
    assert 0.04 < writing / requests < 0.06
    articles = [step.key for step in steps if step.kind == "article"]
    top = sum(key > 1990 for key in articles) / len(articles)
    assert 0.5 < top < 0.85
    assert len(set(articles)) > 100
    assert not any(key % 33 == 0 for key in articles)


def test_no_two_clients_edit_one_article(journey):
    edited = [{step.key for step in journey(1, client) if step.kind == "write edit"} for client in range(4)]
    assert all(edited)
    assert not any(a & b for a, b in itertools.combinations(edited, 2))
    assert all(1 <= key <= 2000 for keys in edited for key in keys)


def test_forms_are_read_as_a_browser_would():
    page = """<form><input name="q"></form>
      <form method="post" action="/x/"><input type="hidden" name="a" value="1&amp;2">
      <input type="checkbox" name="b" checked><input type="checkbox" name="c"><input type="submit" name="d">
      <textarea name="e">\nfirst\nsecond</textarea>
      <select name="f"><option value="1">one<option value="2" selected>two</select></form>"""
    form, = PostForms(page).forms
    assert form == ("/x/", [("a", "1&2"), ("b", "on"), ("e", "first\nsecond"), ("f", "2")])
    assert filled(form, f=["3", "4"], b="") == [
        ("a", "1&2"), ("e", "first\nsecond"), ("f", "3"), ("f", "4"), ("b", "")]


# -- what was due ------------------------------------------------------------------------------
def asked(at, key, table="article", measured=True):
    return Statement(at, measured, False, (table,), key)


def wrote(at, table="article"):
    return Statement(at, True, True, (table,), None)


@pytest.mark.parametrize("statements, share", [
    ([asked(1, b"a"), asked(2, b"a")], 0.5),
    ([asked(2, b"a"), asked(1, b"a")], 0.5),
    ([asked(1, b"a", measured=False), asked(2, b"a")], 1),
    ([asked(1, b"a"), asked(2, b"b")], 0),
    ([asked(1, b"a"), wrote(2), asked(3, b"a")], 0),
    ([asked(1, b"a"), wrote(2), asked(3, b"a"), asked(4, b"a")], 1 / 3),
    ([asked(1, b"a"), wrote(2, "tag"), asked(3, b"a")], 0.5),
    ([asked(1, None), asked(2, None)], 0),
    ([], 0),
])
def test_a_read_is_due_if_it_was_asked_before_and_nothing_was_written_since(statements, share):
    assert due_share(statements) == pytest.approx(share)


class Statements:
    """Runs texts through a journal; nothing is executed."""

    def __init__(self):
        self.journal = Journal()
        self.in_atomic_block = False

    def run(self, sql, params=(), name=None):
        context = {"connection": self, "cursor": types.SimpleNamespace(cursor=types.SimpleNamespace(name=name))}
        assert self.journal(lambda *arguments: arguments[0], sql, params, False, context) == sql
        return self.journal.statements[-1] if self.journal.statements else None


def test_a_journal_tells_reads_by_text_and_values():
    site = Statements()
    sql = 'SELECT "tag"."id" FROM "tag" INNER JOIN "tagging" T4 ON (1 = 1) WHERE "tag"."id" = %s'
    first, again, other = (site.run(sql, values) for values in ((1,), (1,), (2,)))
    assert first.key == again.key != other.key
    assert set(first.tables) == {"tag", "tagging"} and not first.writes
    assert site.journal.seconds > 0
    assert [each.at for each in site.journal.statements] == sorted(each.at for each in site.journal.statements)


def test_a_journal_knows_what_no_cache_may_answer():
    site = Statements()
    assert site.run('SELECT 1 FROM "tag" FOR UPDATE').key is None
    assert site.run('SELECT 1 FROM "tag"', name="cursor").key is None
    site.in_atomic_block = True
    assert site.run('SELECT 1 FROM "tag"').key
    written = site.run('UPDATE "tag" SET "name" = %s', ("x",))
    assert (written.writes, written.tables, written.key) == (True, ("tag",), None)
    assert site.run('SELECT 1 FROM "tag"').key is None, "after a write of its own transaction"
    site.in_atomic_block = False
    assert site.run('SELECT 1 FROM "tag"').key
    assert site.run('INSERT INTO "tag" VALUES (1)').tables == site.run('DELETE FROM "tag"').tables == ("tag",)
    count = len(site.journal.statements)
    site.run("SAVEPOINT x")
    assert len(site.journal.statements) == count


# -- the report -------------------------------------------------------------------------------
def test_percentiles_and_noise():
    assert percentile(range(1, 101), 0.5) == 51
    assert percentile([7], 0.99) == 7
    ten = [0.010 + n / 1e6 for n in range(100)]
    assert is_slower(ten, [value * 1.2 for value in ten])
    assert not is_slower(ten, [value * 1.1 for value in ten])
    assert not is_slower(ten, ten[:20] + [value * 1.2 for value in ten[:30]]), "intervals overlap"
    assert not is_slower([value * 1.2 for value in ten], ten)


def test_a_page_is_judged_by_the_least_of_its_repeats():
    direct = least([Cost((0.1, 0.5), 0.2, 0), Cost((0.3, 0.3), 0.1, 0)])
    assert direct == Cost((0.1, 0.3), 0.1, 0), "each statement and the rest by themselves"
    warm = least([Cost((0.01, 0.03), 0.2, 2), Cost((0.02, 0.01), 0.09, 1)])
    assert warm.hits == 1, "a repeat with a miss shows"
    page = PageCosts("search", True, replace(direct, executing=0.3), replace(warm, executing=0.03))
    assert page.gains() and PageCosts("", True, page.direct, warm).gains()
    assert not PageCosts("", True, page.direct, replace(warm, executing=0.031)).gains()
    assert not PageCosts("", True, direct, warm).gains(), "a page that PostgreSQL did nothing for proves nothing"
    assert direct.share == pytest.approx(0.8)
    other = PageCosts("article", False, Cost((0.02,), 0.18, 0), Cost((0.01,), 0.17, 1))
    lines = cost_lines([page, other])
    assert lines[2].split() == ["search", "1", "of", "2", "300.0", "30.0", "400.0", "20.0", "500.0", "110.0",
                                "4.5x", "80%", "18%"]
    assert '"search" waits for the database for 80%' in " ".join(lines) and '"article" for 10%' in " ".join(lines)


def test_the_first_look_tells_a_miss_from_a_hit():
    lines = first_look_lines([("direct", Cost((0.02,) * 2, 0.01, 0)), ("again", Cost((0.001,) * 2, 0.01, 2))])
    assert [line.split() for line in lines[1:]] == [["direct", "2", "0", "2", "40.0", "50.0"],
                                                    ["again", "2", "2", "0", "2.0", "12.0"]]


def test_a_run_adds_up_its_clients():
    outcome = types.SimpleNamespace(seconds={"home": [0.1, 0.2]}, busy_seconds=0.5, statements=[asked(1, b"a")])
    other = types.SimpleNamespace(seconds={"home": [0.3], "tag": [0.4]}, busy_seconds=1.0, statements=[asked(2, b"a")])
    run = Run([outcome, other], 9, types.SimpleNamespace(hits=5, reads=10), types.SimpleNamespace(hits=8, reads=14))
    assert run.pages() == {"home": [0.1, 0.2, 0.3], "tag": [0.4]}
    assert (run.requests(), run.requests_per_second(), run.read_hit_rate()) == (4, 6.0, 0.75)
    assert run.due_rate() == 0.5, "what one client asked is due for the other"


def test_a_second_run_keeps_the_pace_of_the_first_if_asked():
    tasks = [Task(run="d", client=0, clients=1, seed=1, size=None, site_address=None, direct_address=None, database="",
                  user="", checker="", password="", check_share=0, warm_seconds=1, seconds=1)]
    outcomes = [Outcome(0, warm_steps=3, steps=2, pace=[0.0, 0.5])]
    (paced,), (free,) = (same_again(tasks, outcomes, how, run="p") for how in (True, False))
    assert (paced.warm_steps, paced.steps, paced.pace, paced.run) == (3, 2, [0.0, 0.5], "p")
    assert (free.steps, free.pace) == (2, None)


def run_script(tmp_path, part, status, *arguments):
    """scripts/demo where one script that it calls ends so. Nothing of the demo is there but what needs no package."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for name in ("demo", "lib.sh"):
        shutil.copy(ROOT / "scripts" / name, scripts)
    for name in ("bootstrap", "build"):
        (scripts / name).write_text(f"#!/bin/sh\nexit {status if name == part else 0}\n")
        (scripts / name).chmod(0o755)
    (tmp_path / "integration" / "demo").mkdir(parents=True)
    for name in ("__init__.py", "arguments.py"):
        if (ROOT / "integration/demo" / name).exists():
            shutil.copy(ROOT / "integration/demo" / name, tmp_path / "integration/demo")
    return subprocess.run([scripts / "demo", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("part", ["bootstrap", "build"])
def test_what_cannot_even_start_is_no_stale_answer(tmp_path, part):
    done = run_script(tmp_path, part, 1, "--sabotage")
    assert done.returncode == 4 and ("see below" in done.stdout) == (part == "bootstrap")


def test_a_wrong_argument_and_a_question_are_answered_before_anything_is_installed(tmp_path):
    done = run_script(tmp_path, "bootstrap", 1, "--smal")
    assert done.returncode == 2 and "--smal" in done.stderr and "packages" not in done.stdout
    shutil.rmtree(tmp_path / "scripts")
    shutil.rmtree(tmp_path / "integration")
    done = run_script(tmp_path, "bootstrap", 1, "--help")
    assert done.returncode == 0 and "exit status:" in done.stdout


def test_a_demo_that_breaks_off_is_no_stale_answer():
    done = subprocess.run([sys.executable, "-m", "integration.demo", "--sabotage"], cwd=ROOT, text=True,
                          capture_output=True, check=False,
                          env={**os.environ, "PGRECALL_BIN": "/nonexistent/pgrecall"})
    assert "/nonexistent/pgrecall" in done.stderr, "it says why"
    assert done.returncode == 4
