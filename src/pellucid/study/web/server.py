"""Serving a study: one process, on this machine only unless told otherwise."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from pellucid.errors import BadInput, RunFailed
from pellucid.study.participants import INACTIVE_AFTER
from pellucid.study.progress import set_state
from pellucid.study.protocol import read_study
from pellucid.study.store import open_store
from pellucid.study.web.app import make_app
from pellucid.study.web.secret import Secrets, server_secrets
from pellucid.study.web.site import Site

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """Where a study is served. `root_path` is the prefix under which a proxy shows it; 0 takes any free port."""

    host: str = LOOPBACK
    port: int = 8000
    root_path: str = ""

    def __post_init__(self) -> None:
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise BadInput(f"--root-path must begin with a slash and not end with one; got '{self.root_path}'")

    def url(self, path: str) -> str:
        """An address of this server as its own machine sees it."""
        return f"http://{self.host}:{self.port}{self.root_path}{path}"


def open_site(
    folder: Path,
    database: str | None = None,
    *,
    code: str | None = None,
    url: str | None = None,
    open_limit: int | None = None,
    inactive_after: float = INACTIVE_AFTER,
    clock: Callable[[], float] = time.time,
) -> Site:
    """The study in `folder`, its database brought to the present version, ready to be served.

    Parameters
    ----------
    code, url
        The completion code and the link back; what was set before is kept where they are None.
    open_limit
        How many participants the open link lets in; what was set before is kept if None.
    """
    study = read_study(folder)
    secrets = server_secrets(folder, code=code, url=url)
    store = open_store(folder, database)
    if open_limit is not None:
        set_state(store, open_limit=open_limit)
    return Site(folder, study, store, secrets, clock=clock, inactive_after=inactive_after)


def serve(site: Site, place: Place) -> None:
    """Serve until interrupted. No address and no link is logged."""
    listening = listen(place)
    try:
        _server(site, place).run(sockets=[listening])
    finally:
        site.store.close()
        listening.close()


@contextmanager
def running(
    folder: Path,
    database: str | None = None,
    *,
    inactive_after: float = INACTIVE_AFTER,
    clock: Callable[[], float] = time.time,
) -> Iterator[str]:
    """A server in this process, for dry runs: yields the open link, with room for a million participants."""
    site = open_site(folder, database, open_limit=1_000_000, inactive_after=inactive_after, clock=clock)
    listening = listen(Place(port=0))
    place = Place(port=listening.getsockname()[1])
    server = _server(site, place)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        wait_for(server, thread)
        yield place.url(open_path(site.secrets))
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        site.store.close()
        listening.close()


def open_path(secrets: Secrets) -> str:
    """The path of the open link."""
    return f"/join/{secrets.open_token}"


def listen(place: Place) -> socket.socket:
    """A socket that listens at the place. Raises RunFailed if it is taken."""
    try:
        return socket.create_server((place.host, place.port), backlog=1024)
    except OSError as error:
        raise RunFailed(f"cannot listen on {place.host} port {place.port}: {error.strerror or error}") from error


def _server(site: Site, place: Place) -> uvicorn.Server:
    app = make_app(site, root_path=place.root_path)
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, timeout_keep_alive=30, lifespan="off"
    )
    return uvicorn.Server(config)


def wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Return once the server in the thread answers; raises RunFailed if it ends, or half a minute is over."""
    until = time.monotonic() + 30
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RunFailed("the server did not start")
        time.sleep(0.01)
