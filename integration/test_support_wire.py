"""The harness itself: raw client, every login method, and the gate."""
import pytest

from support import wire
from support.gate import Gate
from support.wire import ServerError, WireClient


@pytest.mark.parametrize("method", ["trust", "password", "md5", "scram-sha-256"])
def test_raw_client_logs_in_by_every_method(new_postgres, method):
    options = {"password_encryption": "md5"} if method == "md5" else {}
    server = new_postgres(auth=method, options=options)
    server.sql("postgres", "CREATE ROLE alice LOGIN PASSWORD 'wonder'")
    client = WireClient.connect(server.port, "postgres", "alice", "wonder")
    assert client.rows("SELECT current_user") == [("alice",)]
    client.close()
    if method != "trust":
        with pytest.raises(ServerError) as refused:
            WireClient.connect(server.port, "postgres", "alice", "wrong")
        assert refused.value.sqlstate == "28P01"


def test_raw_client_reads_extended_results_copy_and_errors(postgres):
    client = WireClient.connect(postgres.port, "postgres")
    assert client.extended("SELECT $1::int + 1", ["41"]).rows == [("42",)]
    assert client.query("SELECT 1/0").sqlstate == "22012"
    client.send(wire.query("COPY (SELECT generate_series(1, 3)) TO STDOUT"))
    assert client.read_ready().types == "HdddcCZ"
    client.close()


def test_gate_holds_replies_from_the_message_named_and_lets_them_go(postgres):
    gate = Gate(postgres.port)
    try:
        client = WireClient.connect(gate.port, "postgres")
        with gate.hold_replies("marker", at="Z") as hold:
            client.send(wire.query("SELECT 'marker'"))
            hold.wait_caught()
            assert client.read_until("C").rows == [("marker",)]
            assert client.silent()
        assert client.read_message().type == "Z"
        gate.sliced = True
        assert client.rows("SELECT repeat('x', 100)") == [("x" * 100,)]
        with gate.hold_requests("never delivered") as hold:
            client.send(wire.query("SELECT 'never delivered'"))
            hold.wait_caught()
            hold.cut()
        with pytest.raises(wire.Closed):
            client.read_ready()
    finally:
        gate.close()
