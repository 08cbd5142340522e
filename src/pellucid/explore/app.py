"""The application: one page, and what its script asks for."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response

import pellucid
from pellucid.errors import BadInput
from pellucid.explore.figure import FileKind, figure
from pellucid.explore.gallery import Gallery, Show
from pellucid.explore.pixels import SHADES, table, text, thumbnail
from pellucid.explore.recent import Recent
from pellucid.explore.shown import IN_WORDS, Wanted, as_plain, show
from pellucid.explore.uploads import FORMATS, MEGABYTES, MEGAPIXELS, decoded
from pellucid.explore.views import ATTACKS, ATTRIBUTIONS, Subject, Viewer
from pellucid.explore.worker import Busy, Check, GivenUp, Worker
from pellucid.report.templating import page_environment
from pellucid.report.words import attribution_name
from pellucid.study.web.protection import Allowance, BodyLimit, SecurityHeaders
from pellucid.types import Image

log = logging.getLogger(__name__)
Result = TypeVar("Result")
STATIC = {"explore.css": "text/css; charset=utf-8", "explore.js": "text/javascript; charset=utf-8"}
KINDS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
PER_PAGE = 24
UPLOADS = 8
"""Images that somebody sent which are held at a time, in memory only."""
NOISE = 0.3
"""Largest σ of the slider, in pixel units."""
SAID = {
    403: "this comes from another site's page and is refused",
    404: "there is no such image any more; choose another, or upload it again",
    422: "the server did not understand what the page asked for; load the page again",
}


@dataclass(frozen=True)
class Site:
    """What is served; uploads and views belong to the worker's thread."""

    gallery: Gallery
    viewer: Viewer
    worker: Worker = field(default_factory=Worker)
    uploads: Recent[str, Image] = field(default_factory=lambda: Recent(UPLOADS))
    sending: Allowance = field(default_factory=lambda: Allowance(at_once=20, a_second=0.5))

    def subject(self, key: str) -> Subject:
        """The image of that name. Raises HTTPException with 404 if there is none any more."""
        kind, _, name = key.partition("-")
        test = self.gallery.test
        if kind == "test" and name.isdecimal() and int(name) < len(test):
            pixels, labels = test.batch([int(name)])
            return Subject(key, pixels, int(test.ids[int(name)]), f"Test image {name} of {test.name}", int(labels))
        held = self.uploads.get(name) if kind == "upload" else None
        if held is None:
            raise HTTPException(404)
        return Subject(key, held, -1, "An uploaded image")


def make_app(gallery: Gallery, *, hosts: list[str] | None = None) -> FastAPI:
    """The page as an ASGI application.

    Parameters
    ----------
    hosts
        Names under which a browser may ask for it; None: any. With a name that somebody else's page made up for this
        machine, that page could read everything here.
    """
    app = FastAPI(title="Pellucid explore", version=pellucid.__version__, openapi_url=None)
    app.state.site = Site(gallery, Viewer(gallery))
    app.include_router(pages)
    app.include_router(computed)
    app.add_middleware(BodyLimit, most=MEGABYTES * 1_000_000)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts or ["*"])
    app.add_middleware(SecurityHeaders)
    for kind in (BadInput, Busy, GivenUp, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _said_no)
    app.state.site.worker.in_spare_time(gallery.predict())
    return app


async def _said_no(_: Request, error: Exception) -> Response:
    """One sentence, as JSON."""
    if isinstance(error, GivenUp):
        return Response(status_code=499)
    if isinstance(error, Busy):
        return JSONResponse({"error": "the server is busy"}, 503, {"Retry-After": "1"})
    if isinstance(error, BadInput):
        return JSONResponse({"error": str(error)}, 422)
    status = error.status_code if isinstance(error, HTTPException) else 422
    return JSONResponse({"error": SAID.get(status) or str(getattr(error, "detail", "refused"))}, status)


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def _own_page(request: Request) -> None:
    """Refuse what a page of another site asks for. Browsers say so themselves."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise HTTPException(403)


At = Annotated[Site, Depends(_site)]
pages = APIRouter()
computed = APIRouter(dependencies=[Depends(_own_page)])


async def _answer(request: Request, site: Site, work: Callable[[Check], Result]) -> Result:
    """The result of work in the worker's thread; given up as soon as the browser no longer waits for it."""
    task = site.worker.submit(work)
    gone, waiting = asyncio.ensure_future(_gone(request)), asyncio.wrap_future(task.future)
    both: set[asyncio.Future[Any]] = {gone, waiting}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if waiting.cancelled() or not waiting.done():
            raise GivenUp
        return waiting.result()
    finally:
        gone.cancel()
        if not waiting.done():
            task.give_up()
            waiting.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


_templates = page_environment("pellucid.explore")


@pages.get("/")
def page(site: At) -> Response:
    """The page."""
    gallery = site.gallery
    html = _templates.get_template("page.html").render(
        gallery=gallery,
        attributions={name: attribution_name(name) for name in ATTRIBUTIONS},
        attacks={name: IN_WORDS[name] for name in ATTACKS},
        facts=_facts(gallery),
        noise=NOISE,
        megabytes=MEGABYTES,
        megapixels=MEGAPIXELS,
        accept=",".join(f"image/{name.lower()}" for name in FORMATS),
    )
    return HTMLResponse(html)


def _facts(gallery: Gallery) -> dict[str, Any]:
    channels, height, width = gallery.test.images.shape[1:]
    tables = [text(table(signed=signed)) for signed in (False, True)]
    limit = MEGABYTES * 1_000_000
    return {"shape": [height, width, channels], "tables": tables, "shades": SHADES, "limit": limit, "page": PER_PAGE}


@pages.get("/static/{name}")
def static(name: str) -> Response:
    """Style sheet, script and icon."""
    if name == "icon.svg":
        icon = files("pellucid.study.web").joinpath("static", name).read_bytes()
        return Response(icon, media_type="image/svg+xml", headers={"Cache-Control": "no-cache"})
    if name not in STATIC:
        raise HTTPException(404)
    content = files("pellucid.explore").joinpath("static", name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"Cache-Control": "no-cache"})


@computed.get("/images")
def images(
    site: At,
    show: Show = "all",
    label: Annotated[int, Query(ge=-1)] = -1,
    start: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """Test images to choose from, a page of them."""
    test = site.gallery.test
    found = site.gallery.positions(show, None if label < 0 else label)
    chosen = found[start : start + PER_PAGE]
    return {
        "images": [{"number": number, "label": test.classes[int(test.labels[number])]} for number in chosen],
        "count": len(found),
        "looked_at": site.gallery.looked_at,
        "all": len(test),
    }


@computed.get("/images/{number}.png")
def small_picture(site: At, number: int) -> Response:
    """A test image in small."""
    if not 0 <= number < len(site.gallery.test):
        raise HTTPException(404)
    pixels, _ = site.gallery.test.batch([number])
    return Response(thumbnail(pixels[0].numpy()), media_type="image/png")


@computed.post("/uploads")
async def upload(request: Request, site: At) -> dict[str, str]:
    """Take in an image: the body is the file. It gets a name that nobody can guess."""
    if not site.sending.take(request.client.host if request.client else ""):
        raise HTTPException(429, "too many uploads in a short time; wait a few seconds")
    content, token = await request.body(), secrets.token_urlsafe(18)

    def take(_: Check) -> None:
        site.uploads.put(token, decoded(content, site.gallery.test))

    await _answer(request, site, take)
    return {"image": f"upload-{token}"}


@computed.get("/view")
async def view(request: Request, site: At, wanted: Annotated[Wanted, Query()]) -> Response:
    """What the models see, and where they look, at one position of the controls."""

    def look(check: Check) -> dict[str, Any]:
        return as_plain(show(site.viewer, site.subject(wanted.image), wanted, check))

    return JSONResponse(await _answer(request, site, look))


@computed.get("/figure.{kind}")
async def download(request: Request, site: At, kind: FileKind, wanted: Annotated[Wanted, Query()]) -> Response:
    """The same as a file."""

    def draw(check: Check) -> bytes:
        return figure(show(site.viewer, site.subject(wanted.image), wanted, check), kind)

    content = await _answer(request, site, draw)
    name = f"pellucid-{wanted.change}.{kind}"
    return Response(content, media_type=KINDS[kind], headers={"Content-Disposition": f'attachment; filename="{name}"'})
