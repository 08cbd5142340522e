"""A served study as a process of its own, which tests may kill."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

SOURCES = Path(__file__).parents[2] / "src"


class Served:
    """``pellucid study serve`` on a port that stays the same over restarts."""

    def __init__(self, folder, database=None):
        self.folder, self.database = folder, database
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "pellucid", "study", "serve", self.folder, "--port", str(self.port)]
        command += ["--open", "100000", *(["--db", self.database] if self.database else [])]
        environment = os.environ | {"PYTHONPATH": str(SOURCES)}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.link = re.search(r"http\S+/join/\S+", self.process.stdout.readline())[0]
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/static/icon.svg")
                return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise TimeoutError("the server does not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
