"""Serving the page: one process, on this machine only unless told otherwise."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn

from pellucid.explore.app import make_app
from pellucid.explore.gallery import Gallery
from pellucid.study.web.server import LOOPBACK, Place, listen, wait_for

LOCAL = [LOOPBACK, "localhost"]


def serve(gallery: Gallery, place: Place, say: Callable[[str], None]) -> None:
    """Serve until interrupted; `say` gets the address once it can be opened."""
    with _listening(place) as (listening, found):
        say(found.url("/"))
        _server(gallery, found).run(sockets=[listening])


@contextmanager
def running(gallery: Gallery) -> Iterator[str]:
    """A server in this process on a free port: yields its address."""
    with _listening(Place(port=0)) as (listening, place):
        server = _server(gallery, place)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            wait_for(server, thread)
            yield place.url("/")
        finally:
            server.should_exit = True
            thread.join(timeout=10)


@contextmanager
def _listening(place: Place) -> Iterator[tuple[socket.socket, Place]]:
    """A socket, and where it listens: port 0 takes any free one."""
    with listen(place) as listening:
        yield listening, replace(place, port=listening.getsockname()[1])


class _Server(uvicorn.Server):
    """Nothing that is computed here is worth waiting for once the server is told to stop."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Give up all work, then end."""
        self.config.app.state.site.worker.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def _server(gallery: Gallery, place: Place) -> _Server:
    app = make_app(gallery, hosts=LOCAL if place.host in LOCAL else None)
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False, lifespan="off")
    return _Server(config)
