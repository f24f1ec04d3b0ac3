"""A Redis server of the tests."""
import os
import signal

import redis

from .processes import Child, free_port, new_folder, remove_folder, wait_until_listening


class RedisServer:
    """One server on 127.0.0.1 without persistence. `arguments` are redis-server options."""

    def __init__(self, *arguments):
        self.folder = new_folder("redis")
        self.port = free_port()
        self.arguments = arguments
        self.child = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.child = Child(["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
                            "--appendonly", "no", "--dir", self.folder, *self.arguments], self.folder / "log")
        wait_until_listening(self.port, self.child, "Redis")

    def client(self, **keywords):
        return redis.Redis(host="127.0.0.1", port=self.port, **keywords)

    def stop(self):
        return self.child.end(signal.SIGTERM)

    def kill(self):
        self.child.end(signal.SIGKILL)

    def pause(self):
        os.kill(self.child.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.child.pid, signal.SIGCONT)

    def log(self):
        return self.child.log()

    def remove(self):
        self.stop()
        remove_folder(self.folder)
