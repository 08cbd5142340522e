import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from tiny_study import Clock, Visitor, build_tiny, open_app

from pellucid.study.protocol import read_study

POSTGRES = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A study on disk, not to be written to."""
    folder = tmp_path_factory.mktemp("studies") / "tiny"
    build_tiny(folder)
    return folder


@pytest.fixture
def folder(built, tmp_path):
    """A study of one's own."""
    shutil.copytree(built, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def study(folder):
    return read_study(folder)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(folder, clock):
    made = open_app(folder, clock, code="C-DONE", url="https://example.org/back?cc={code}")
    yield made
    made.state.site.store.close()


@pytest.fixture
def somebody(app):
    return Visitor(app)


class Postgres:
    """A server of its own on a free port of this machine."""

    def __init__(self, folder):
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.databases = 0

    def run(self, program, *words):
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        subprocess.run(
            [*as_user, POSTGRES / program, *words],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )

    def start(self):
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-o", options, "-l", self.folder / "log", "start")

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-m", mode, "stop")

    def new_database(self):
        self.databases += 1
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", f"study{self.databases}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/study{self.databases}"


@pytest.fixture(scope="session")
def postgres():
    if not POSTGRES.is_dir():
        pytest.skip(f"no PostgreSQL in {POSTGRES}: its half of the study's tests is NOT run")
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        folder = Path(place)
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = Postgres(folder)
        server.run("initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres", "--no-sync")
        server.start()
        yield server
        server.stop("immediate")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    """A database URL: None for the SQLite file of the study, else a fresh database of a real server."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").new_database()
