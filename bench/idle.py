"""Memory of idle clients: many connections on one worker, logged in, then each after one query."""
import resource
import socket
import struct

from support import pgrecall as program
from support.postgres import SUPERUSER, PostgresServer

LIMIT_BYTES = 4096
WARM_UP_CLIENTS = 200  # what the process allocates once is not an idle client's
QUERY = b"SELECT 1"


def startup_message(database):
    body = struct.pack("!I", 196608) + f"user\0{SUPERUSER}\0database\0{database}\0\0".encode()
    return struct.pack("!I", len(body) + 4) + body


def read_until_ready(connection):
    """Reads messages up to and including ReadyForQuery."""
    buffer = b""
    while True:
        while len(buffer) < 5 or len(buffer) < 1 + struct.unpack("!I", buffer[1:5])[0]:
            part = connection.recv(65536)
            if not part:
                raise RuntimeError(f"the server closed the connection; left: {buffer[:200]!r}")
            buffer += part
        kind, length = buffer[:1], struct.unpack("!I", buffer[1:5])[0]
        if kind == b"E":
            raise RuntimeError(f"error: {buffer[5:1 + length]!r}")
        buffer = buffer[1 + length:]
        if kind == b"Z":
            return


def log_in(port, database):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(startup_message(database))
    read_until_ready(connection)
    return connection


def ask(connection):
    connection.sendall(b"Q" + struct.pack("!I", len(QUERY) + 5) + QUERY + b"\0")
    read_until_ready(connection)


def run(template, binary, clients, tell):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < clients + 500:
        raise SystemExit(f"{clients} clients need {clients + 500} descriptors; this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # pgrecall inherits it
    server = PostgresServer(template)
    try:
        return {mode: run_mode(server, binary, clients, mode, tell) for mode in ("trust", "passthrough")}
    finally:
        server.remove()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run_mode(server, binary, clients, mode, tell):
    proxy = program.Pgrecall(server.port, {
        "listen": {"unix_socket_dir": ""}, "auth": {"mode": mode},
        "limits": {"clients": clients + 100}}, ["--workers", "1"], program=binary)
    try:
        return measure(proxy, clients, mode, tell)
    finally:
        proxy.remove()


def measure(proxy, clients, mode, tell):
    connections = [log_in(proxy.port, "postgres") for _ in range(WARM_UP_CLIENTS)]
    for connection in connections:
        ask(connection)
    before = proxy.child.memory_kib()
    connections += [log_in(proxy.port, "postgres") for _ in range(clients - WARM_UP_CLIENTS)]
    logged_in = proxy.child.memory_kib()
    for connection in connections[WARM_UP_CLIENTS:]:
        ask(connection)
    asked = proxy.child.memory_kib()
    for connection in connections:
        connection.close()
    counted = clients - WARM_UP_CLIENTS
    result = {"clients": clients, "bytes_after_login": (logged_in - before) * 1024 / counted,
              "bytes_after_a_query": (asked - before) * 1024 / counted, "limit_bytes": LIMIT_BYTES}
    met = max(result["bytes_after_login"], result["bytes_after_a_query"]) <= LIMIT_BYTES
    tell(f"{clients} idle clients on one worker, {mode}: {result['bytes_after_login']:.0f} bytes each after login, "
         f"{result['bytes_after_a_query']:.0f} after a query; target {LIMIT_BYTES}: "
         f"{'met' if met else 'NOT MET'}")
    result["met"] = met
    return result
