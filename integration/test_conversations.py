"""Every conversation gives the same bytes direct and through pgrecall: whole, with the client's bytes
split at every point, and with the server's bytes arriving one by one (traps 19, 20, 21, 22, 24, 26, 27)."""
import os

import pytest

import conversations
from support.conversation import PLACEHOLDER, replay, split_points
from support.gate import Gate

TRUTH, PROXIED = "conv_truth", "conv_proxy"
assert len(TRUTH) == len(PROXIED) == len(PLACEHOLDER)
SPLITS_MAX = int(os.environ.get("PGRECALL_SPLITS_MAX", "60"))
BY_NAME = {script.name: script for script in conversations.ALL}
assert len(BY_NAME) == len(conversations.ALL), "two conversations have one name"


@pytest.fixture(scope="module")
def direct_answers(postgres):
    """PostgreSQL's answers, from a database of their own so that nothing is written past pgrecall."""
    postgres.create_database(TRUTH)
    postgres.sql(TRUTH, *conversations.SCHEMA)
    known = {}

    def answers(script):
        if script.name not in known:
            known[script.name] = replay(script, postgres.port, TRUTH)
        return [message._replace(payload=message.payload.replace(TRUTH.encode(), PLACEHOLDER))
                for message in known[script.name]]

    return answers


@pytest.fixture(scope="module")
def proxied_database(postgres, direct_answers):
    """Same object ids as the other one: RowDescription shows them."""
    del direct_answers
    postgres.create_database(PROXIED, template=TRUTH)
    return PROXIED


@pytest.fixture(scope="module")
def sliced(proxy_class, postgres):
    """A pgrecall that receives PostgreSQL's bytes one by one."""
    gate = Gate(postgres.port)
    gate.sliced = True
    proxy = proxy_class(gate.port)
    yield proxy
    proxy.remove()
    gate.close()


def unmasked(messages, dbname):
    return [message._replace(payload=message.payload.replace(dbname.encode(), PLACEHOLDER))
            for message in messages]


def assert_same(seen, expected, what):
    for index, (a, b) in enumerate(zip(seen, expected)):
        assert a == b, f"{what}: message {index} is {a}, PostgreSQL sends {b}"
    assert len(seen) == len(expected), f"{what}: {len(seen)} messages, PostgreSQL sends {len(expected)}; " \
        f"first extra {(seen + expected)[min(len(seen), len(expected))]}"


@pytest.mark.parametrize("name", BY_NAME)
def test_trap19_to_27_same_bytes_as_postgres(name, direct_answers, proxied_database, proxy):
    script = BY_NAME[name]
    expected = direct_answers(script)
    for turn in ("first", "second", "third"):
        seen = unmasked(replay(script, proxy.port, proxied_database), proxied_database)
        assert_same(seen, expected, f"{turn} time")
    proxy.assert_alive()


@pytest.mark.parametrize("name", BY_NAME)
def test_trap27_same_bytes_at_every_split_point(name, direct_answers, proxied_database, proxy):
    script = BY_NAME[name]
    expected = direct_answers(script)
    for split in split_points(script, SPLITS_MAX):
        seen = unmasked(replay(script, proxy.port, proxied_database, split), proxied_database)
        assert_same(seen, expected, f"split at {split} of {len(script.sent)}")
    proxy.assert_alive()


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "large_value"])
def test_trap27_same_bytes_when_the_server_sends_single_bytes(name, direct_answers, proxied_database, sliced):
    script = BY_NAME[name]
    seen = unmasked(replay(script, sliced.port, proxied_database), proxied_database)
    assert_same(seen, direct_answers(script), "server bytes one by one")
    sliced.assert_alive()


def test_conversations_are_answered_by_hits_too(direct_answers, proxied_database, proxy):
    """Without this the comparison could be one of misses only."""
    if proxy.identity:
        pytest.skip("--direct counts no hits")
    before = proxy.stats().hits
    for script in conversations.ALL:
        if script.repeat > 1:
            assert_same(unmasked(replay(script, proxy.port, proxied_database), proxied_database),
                        direct_answers(script), script.name)
    assert proxy.stats().hits - before > 50
