"""What stands in front of every page: headers, a limit to what is sent, and limits to how often."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
SLOWEST = 30.0
"""Seconds in which a body must have come."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class SecurityHeaders:
    """Adds the headers to every response, errors too; pages are kept in no cache unless they say otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if scope.get("scheme") == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class Prefix:
    """Makes the prefix under which a proxy shows the server known to it, whether the proxy strips it or not."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            path = scope["path"]
            kept = path == self.root_path or path.startswith(f"{self.root_path}/")
            scope = dict(scope, root_path=self.root_path, path=path if kept else self.root_path + path)
        await self.app(scope, receive, send)


class BodyLimit:
    """Takes in no more than `most` bytes, whatever the request says about their number, and does not wait for ever."""

    def __init__(self, app: ASGIApp, most: int = MAX_BODY) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, its body read before anything looks at it."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(SLOWEST):
                body = await self._body(receive)
        except TimeoutError:
            await PlainTextResponse("it was sent too slowly", status_code=408)(scope, receive, send)
            return
        if body is None:
            return
        if len(body) > self.most:
            await PlainTextResponse("too much was sent", status_code=413)(scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replay, send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The body, or a little more than may be taken in; None if the sender has gone."""
        body = bytearray()
        more = True
        while more and len(body) <= self.most:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return bytes(body)


class Allowance:
    """So many events at once for each name, then so many a second.

    Names are kept as keyed digests in memory only, under a key that is gone with the process: an address cannot be
    read from them.
    """

    def __init__(self, at_once: int, a_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._at_once, self._a_second, self._clock = at_once, a_second, clock
        self._salt = secrets.token_bytes(16)
        self._left: dict[bytes, tuple[float, float]] = {}

    def take(self, name: str) -> bool:
        """Whether one more event is allowed for this name; if so it is counted."""
        digest = hashlib.blake2b(name.encode(), key=self._salt, digest_size=16).digest()
        now = self._clock()
        left, since = self._left.get(digest, (float(self._at_once), now))
        left = min(float(self._at_once), left + (now - since) * self._a_second)
        if left < 1:
            return False
        if len(self._left) > 50_000:
            self._left.clear()
        self._left[digest] = (left - 1, now)
        return True
