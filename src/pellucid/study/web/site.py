"""What all pages share: the study that is served, and the request that is being answered."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pellucid.study.participants import INACTIVE_AFTER
from pellucid.study.protocol import Study
from pellucid.study.store import Store
from pellucid.study.web.protection import Allowance
from pellucid.study.web.secret import SESSION_DAYS, Secrets, Session, new_session


class Stop(Exception):
    """The request ends here, with a page: a text of the study by name (``unknown``, ``expired``, ``busy``, …)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("pellucid.study.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True)
class Limits:
    """How often things may happen. Joining and guessing are counted by address, answers by participant."""

    guesses: Allowance = field(default_factory=lambda: Allowance(at_once=30, a_second=0.2))
    joining: Allowance = field(default_factory=lambda: Allowance(at_once=300, a_second=5))
    sending: Allowance = field(default_factory=lambda: Allowance(at_once=300, a_second=20))


@dataclass(frozen=True)
class Site:
    """A study that is being served.

    Attributes
    ----------
    clock
        Seconds since 1970.
    inactive_after
        Seconds without a word after which an open session no longer counts as under way.
    """

    folder: Path
    study: Study
    store: Store
    secrets: Secrets
    clock: Callable[[], float] = time.time
    inactive_after: float = INACTIVE_AFTER
    limits: Limits = field(default_factory=Limits)
    templates: Environment = field(default_factory=_environment)

    @cached_property
    def stimuli(self) -> frozenset[str]:
        """The names of all stimuli."""
        return frozenset(self.study.stimuli())


@dataclass(frozen=True)
class Here:
    """One request to a site, and the ways to answer it."""

    site: Site
    request: Request
    _sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.site.clock()

    @property
    def root(self) -> str:
        """The prefix under which a proxy shows the server; empty without one."""
        return str(self.request.scope.get("root_path", "")).rstrip("/")

    @property
    def address(self) -> str:
        """Where the request comes from; for limits only, never to be stored."""
        return self.request.client.host if self.request.client else ""

    def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A template, filled in; every text is escaped."""
        study, root = self.site.study, self.root
        html = self.site.templates.get_template(template).render(
            url=lambda path: f"{root}{path}", study=study, texts=study.texts, **context
        )
        return HTMLResponse(html, status_code=status)

    def message(self, name: str, status: int) -> Response:
        """A page with a heading and a sentence of the study's texts."""
        words: dict[str, str] = self.site.study.texts.model_dump()
        heading = words.get(f"{name}_heading", words["wrong_heading"])
        return self.page("message.html", status=status, heading=heading, said=words[name])

    def go(self, path: str) -> Response:
        """Go on with a GET of another page of this server."""
        return RedirectResponse(f"{self.root}{path}", status_code=303)

    def session(self, purpose: str = "participant") -> Session:
        """The session of the browser; a new one if it has none."""
        if purpose not in self._sessions:
            cookie = self.request.cookies.get(_cookie(purpose), "")
            found = self.site.secrets.opened_session(cookie, purpose=purpose)
            self._sessions[purpose] = found or new_session()
        return self._sessions[purpose]

    def remember(self, response: Response, session: Session, purpose: str = "participant") -> Response:
        """Give the browser its session with this response."""
        response.set_cookie(
            _cookie(purpose),
            self.site.secrets.sealed_session(session, purpose=purpose),
            max_age=SESSION_DAYS * 86400,
            path=self.root or "/",
            secure=self.request.url.scheme == "https",
            httponly=True,
            samesite="lax" if purpose == "participant" else "strict",
        )
        return response

    def end_session(self, response: Response, purpose: str) -> Response:
        """Take a session away from the browser with this response."""
        response.delete_cookie(_cookie(purpose), path=self.root or "/")
        return response

    def form_token(self, purpose: str = "participant") -> str:
        """What a form of this browser's session must send along."""
        return self.site.secrets.form_token(self.session(purpose))

    def check_form(self, token: str, purpose: str = "participant") -> None:
        """Refuse what does not come from a page of this session. Raises Stop with 403."""
        if not self.site.secrets.is_form_token(self.session(purpose), token):
            raise Stop(403, "expired")

    def guessed_wrong(self) -> Stop:
        """The answer to a wrong link or token: 404, and 429 after too many of them."""
        return Stop(404, "unknown") if self.site.limits.guesses.take(self.address) else Stop(429, "busy")


async def here(request: Request) -> Here:
    """The dependency of every route."""
    return Here(request.app.state.site, request)


At = Annotated[Here, Depends(here)]


def _cookie(purpose: str) -> str:
    return f"pellucid_{purpose}"
