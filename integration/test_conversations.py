"""Every conversation gives the same bytes direct and through pgrecall: whole, with the client's bytes
split, and with the server's bytes arriving one by one (traps 19, 20, 21, 22, 24, 26, 27). Every split costs a
login: PGRECALL_SPLITS_MAX says at how many points of its bytes; `scripts/verify splits` takes all of them."""
import os

import pytest

import conversations
from support.conversation import PLACEHOLDER, replay, split_points
from support.gate import Gate
from support.wire import Message

TRUTH, PROXIED = "conv_truth", "conv_proxy"
assert len(TRUTH) == len(PROXIED) == len(PLACEHOLDER)
PROTOCOL_3_0, PROTOCOL_4_0 = 3 << 16, 4 << 16
SPLITS_MAX = int(os.environ.get("PGRECALL_SPLITS_MAX", "12"))
BY_NAME = {script.name: script for script in conversations.ALL}
assert len(BY_NAME) == len(conversations.ALL), "two conversations have one name"


def speaking_3_0(script, messages):
    """As from a server that knows protocol 3.0 alone, which is what pgrecall speaks: a newer minor version
    that a client asks for is negotiated down. (From 18 on PostgreSQL takes 3.2.)"""
    asked = int.from_bytes(script.sent[4:8], "big")
    if script.login or not PROTOCOL_3_0 < asked < PROTOCOL_4_0:
        return messages
    negotiated = messages[0].type == "v"
    options = messages[0].payload[4:] if negotiated else bytes(4)
    return [Message("v", PROTOCOL_3_0.to_bytes(4, "big") + options), *messages[1 if negotiated else 0:]]


def settled_parameters(messages):
    """Only what each ReadyForQuery leaves, told before it, as servers do from 14 on. Older ones tell of each
    step at once: through pgrecall a RESET shows the server's own value before that of the start-up packet."""
    settled, shown, changed = [], {}, {}
    for message in messages:
        if message.type == "S":
            changed[message.payload.split(b"\0", 1)[0]] = message
            continue
        if message.type in "KZ":
            settled += [new for name, new in sorted(changed.items()) if shown.get(name) != new]
            shown.update(changed)
            changed = {}
        settled.append(message)
    return settled + sorted(changed.values())


@pytest.fixture(scope="module")
def as_told(postgres):
    """What is compared of an answer."""
    return settled_parameters if postgres.version() < 140000 else lambda messages: messages


@pytest.fixture(scope="module")
def direct_answers(request, postgres, as_told):
    """PostgreSQL's answers, from a database of their own so that nothing is written past pgrecall."""
    through = speaking_3_0 if not request.config.getoption("--direct") else lambda _, messages: messages
    postgres.create_database(TRUTH)
    postgres.sql(TRUTH, *conversations.SCHEMA)
    known = {}

    def answers(script):
        if script.name not in known:
            known[script.name] = as_told(through(script, replay(script, postgres.port, TRUTH)))
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
def test_trap19_to_27_same_bytes_as_postgres(name, direct_answers, as_told, proxied_database, proxy):
    script = BY_NAME[name]
    expected = direct_answers(script)
    for turn in ("first", "second", "third"):
        seen = unmasked(replay(script, proxy.port, proxied_database), proxied_database)
        assert_same(as_told(seen), expected, f"{turn} time")
    proxy.assert_alive()


@pytest.mark.parametrize("name", BY_NAME)
def test_trap27_same_bytes_wherever_they_are_split(name, direct_answers, as_told, proxied_database, proxy):
    script = BY_NAME[name]
    expected = direct_answers(script)
    for split in split_points(script, SPLITS_MAX):
        seen = unmasked(replay(script, proxy.port, proxied_database, split), proxied_database)
        assert_same(as_told(seen), expected, f"split at {split} of {len(script.sent)}")
    proxy.assert_alive()


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "large_value"])
def test_trap27_same_bytes_when_the_server_sends_single_bytes(name, direct_answers, as_told, proxied_database,
                                                              sliced):
    script = BY_NAME[name]
    seen = unmasked(replay(script, sliced.port, proxied_database), proxied_database)
    assert_same(as_told(seen), direct_answers(script), "server bytes one by one")
    sliced.assert_alive()


def test_conversations_are_answered_by_hits_too(direct_answers, as_told, proxied_database, proxy):
    """Without this the comparison could be one of misses only."""
    if proxy.identity:
        pytest.skip("--direct counts no hits")
    before = proxy.stats().hits
    for script in conversations.ALL:
        if script.repeat > 1:
            seen = unmasked(replay(script, proxy.port, proxied_database), proxied_database)
            assert_same(as_told(seen), direct_answers(script), script.name)
    assert proxy.stats().hits - before > 50
