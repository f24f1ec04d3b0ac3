"""Child processes: started so that they end with us, stopped by pid, their output kept in a file."""
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from .waiting import wait_until

UNPRIVILEGED_USER = "postgres"


def free_port():
    """A loopback port nobody listens on, outside the range the kernel hands out to clients."""
    for _ in range(200):
        port = random.SystemRandom().randint(15000, 31000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port found")


def new_folder(prefix):
    """A temporary folder that the unprivileged user owns."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"pgrecall-{prefix}-"))
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED_USER)
        os.chown(folder, account.pw_uid, account.pw_gid)
    return folder


def remove_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)


def as_unprivileged(command, death_signal=None):
    """Prefixes a command so that it runs as the unprivileged user and ends when we end."""
    prefix = ["setpriv"]
    if death_signal:
        prefix += ["--pdeathsig", death_signal]
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED_USER)
        prefix += [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return (prefix + command) if len(prefix) > 1 else command


def run_unprivileged(command, **keywords):
    return subprocess.run(as_unprivileged([str(part) for part in command]), check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **keywords)


class Child:
    """One child process with its log. Stopped by signal to its own pid only."""

    def __init__(self, command, log_path, death_signal="KILL", env=None, cwd=None):
        self.log_path = pathlib.Path(log_path)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                as_unprivileged([str(part) for part in command], death_signal), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, env=env, cwd=cwd)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def send_signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def end(self, first=signal.SIGTERM, seconds=15):
        """Sends `first`, then SIGKILL if that was not enough; returns the exit status."""
        self.send_signal(signal.SIGCONT)
        self.send_signal(first)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(10)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def memory_peak_kib(self):
        """VmHWM: the largest resident size so far."""
        return _status_kib(self.pid, "VmHWM")

    def memory_kib(self):
        return _status_kib(self.pid, "VmRSS")


def _status_kib(pid, field):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))


def wait_until_listening(port, child, what):
    def listening():
        if not child.alive():
            raise RuntimeError(f"{what} ended with status {child.process.returncode}:\n{child.log()[-4000:]}")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(listening, f"{what} listens on {port}")
