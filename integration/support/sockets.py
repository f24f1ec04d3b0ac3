"""What the kernel knows of a connection's other end."""
import fcntl
import socket
import struct

from .waiting import Deadline, wait_until

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST = 1
SIOCOUTQNSD = 0x894B
NO_COOKIE = b"\xff" * 8
READ_TIMEOUT_SECONDS = 0.1


def wait_consumed(sock):
    """Waits until the peer's process has read all that was sent on this loopback connection. Gives up
    silently after READ_TIMEOUT_SECONDS: a peer may be right not to read."""
    here, there = sock.getsockname()[1], sock.getpeername()[1]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        def consumed():
            return _unsent(sock) == 0 and _receive_queue(netlink, there, here) == 0

        try:
            wait_until(consumed, "the peer has read", seconds=READ_TIMEOUT_SECONDS, interval=0.0001)
        except Deadline:
            return


def _unsent(sock):
    """Bytes not yet handed to the other end. Not SIOCOUTQ: that counts what only awaits a delayed
    acknowledgement."""
    return struct.unpack("i", fcntl.ioctl(sock.fileno(), SIOCOUTQNSD, b"\0" * 4))[0]


def _receive_queue(netlink, local_port, remote_port):
    """Bytes that wait in the kernel for the process that owns (local, remote); see sock_diag(7)."""
    loopback = socket.inet_aton("127.0.0.1") + b"\0" * 12
    identity = struct.pack("!HH", local_port, remote_port) + loopback * 2 + struct.pack("=I", 0) + NO_COOKIE
    body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity
    header = struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0)
    netlink.send(header + body)
    answer = netlink.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] != SOCK_DIAG_BY_FAMILY:
        return 0  # the connection is gone
    return struct.unpack_from("=I", answer, 16 + 4 + 48 + 4)[0]
