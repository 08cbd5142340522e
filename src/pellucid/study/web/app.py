"""The application: routes, what stands in front of them, and what errors look like."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.responses import Response

import pellucid
from pellucid.study.answering import OutOfTurn, Refused
from pellucid.study.participants import NotLetIn, Unknown
from pellucid.study.web import admin, entering, pages, pictures
from pellucid.study.web.protection import BodyLimit, Prefix, SecurityHeaders
from pellucid.study.web.site import Here, Site, Stop

log = logging.getLogger(__name__)
PAGES = {Unknown: (404, "unknown"), OutOfTurn: (409, "wrong"), Refused: (422, "wrong")}
LATER = {"Retry-After": "5"}


def make_app(site: Site, *, root_path: str = "") -> FastAPI:
    """The study as an ASGI application.

    Parameters
    ----------
    root_path
        The prefix under which a proxy shows it, as ``/studies/maps``; whether the proxy strips it does not matter.
    """
    # Nobody who takes part needs the description of the interface; tests get it by app.openapi().
    app = FastAPI(title=site.study.title, version=pellucid.__version__, openapi_url=None)
    app.state.site = site
    for router in (entering.router, pages.router, pictures.router, admin.router):
        app.include_router(router)
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    if root_path:
        app.add_middleware(Prefix, root_path=root_path)
    for kind in (*PAGES, Stop, NotLetIn, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _said_no)
    for kind in (OperationalError, InterfaceError, NoConnection, IntegrityError):
        app.add_exception_handler(kind, _database_away)
    return app


async def _said_no(request: Request, error: Exception) -> Response:
    """A page that says what is wrong and repeats nothing of what was sent."""
    status, text = _status_and_text(error)
    response = Here(request.app.state.site, request).message(text, status)
    if status == 429:
        response.headers.update(LATER)
    return response


def _status_and_text(error: Exception) -> tuple[int, str]:
    if isinstance(error, Stop):
        return error.status, error.text
    if isinstance(error, NotLetIn):
        return 403, error.reason
    if isinstance(error, HTTPException):
        return error.status_code, "unknown" if error.status_code == 404 else "wrong"
    return PAGES.get(type(error), (422, "wrong"))


async def _database_away(request: Request, error: Exception) -> Response:
    """The browser keeps the answer and sends it again."""
    log.warning("the database did not answer: %s", type(error).__name__)
    response = Here(request.app.state.site, request).message("busy", 503)
    response.headers.update(LATER)
    return response
