"""How participants come in: by the open link or a personal one, with their consent."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Header, Query
from fastapi import Depends as Needs
from pydantic import BaseModel, StringConstraints
from sqlalchemy import select
from starlette.responses import Response

from pellucid.study.answering import Text
from pellucid.study.participants import Visit, agree, check_open, let_in, stage_of
from pellucid.study.store import Participant
from pellucid.study.web.secret import new_session
from pellucid.study.web.site import At, Here, Stop

router = APIRouter()
External = Annotated[Text, StringConstraints(max_length=128)]


class Consent(BaseModel):
    """The consent form. `external` and `visit` are what the recruiting service passed in the link."""

    csrf: Annotated[str, StringConstraints(max_length=200)] = ""
    agree: Annotated[str, StringConstraints(max_length=10)] = ""
    external: External = ""
    visit: External = ""


class Passed(BaseModel):
    """The parameters that Prolific adds to the link."""

    PROLIFIC_PID: External = ""
    SESSION_ID: External = ""


def device(
    user_agent: Annotated[str, Header()] = "", sec_ch_ua_mobile: Annotated[str, Header()] = ""
) -> Literal["phone", "desktop"]:
    """No more of the browser than this is kept."""
    return "phone" if sec_ch_ua_mobile == "?1" or "Mobi" in user_agent else "desktop"


Device = Annotated[Literal["phone", "desktop"], Needs(device)]


def person_called(here: Here, code: str | None) -> Participant | None:
    """The participant of that code."""
    with here.site.store.reading() as reading:
        return reading.scalar(select(Participant).where(Participant.code == (code or "")))


@router.get("/")
def home(here: At) -> Response:
    """Nothing is here without a link."""
    return here.message("unknown", 200)


@router.get("/join/{token}")
def join(here: At, token: str, passed: Annotated[Passed, Query()]) -> Response:
    """The open link: consent first; nobody is counted before."""
    _check_open_link(here, token)
    if _is_here(here, passed.PROLIFIC_PID):
        return here.go("/study")
    check_open(here.site.store, open_link=True)
    return _consent_page(here, passed.PROLIFIC_PID, passed.SESSION_ID)


@router.post("/join/{token}")
def joined(here: At, token: str, consent: Annotated[Consent, Form()], kind: Device) -> Response:
    """Consent was given, or not."""
    _check_open_link(here, token)
    if _is_here(here, consent.external):
        return here.go("/study")
    here.check_form(consent.csrf)
    if not consent.agree:
        return _consent_page(here, consent.external, consent.visit, problem=True)
    if not here.site.limits.joining.take(here.address):
        raise Stop(429, "busy")
    code = let_in(here.site.store, _visit(consent, kind), ticket=here.session().id, now=here.now)
    return _entered(here, code)


@router.get("/p/{token}")
def personal(here: At, token: str, passed: Annotated[Passed, Query()]) -> Response:
    """A personal link: consent the first time, then the way back to where its owner was."""
    person = _invited(here, token)
    if stage_of(person) != "consent":
        return _entered(here, person.code)
    check_open(here.site.store, open_link=False)
    return _consent_page(here, passed.PROLIFIC_PID, passed.SESSION_ID, personal=True)


@router.post("/p/{token}")
def agreed(here: At, token: str, consent: Annotated[Consent, Form()], kind: Device) -> Response:
    """Consent was given, or not."""
    person = _invited(here, token)
    here.check_form(consent.csrf)
    if not consent.agree:
        return _consent_page(here, consent.external, consent.visit, problem=True, personal=True)
    agree(here.site.store, person.code, _visit(consent, kind), now=here.now)
    return _entered(here, person.code)


def _visit(consent: Consent, kind: Literal["phone", "desktop"]) -> Visit:
    return Visit(consent.external or None, consent.visit or None, kind)


def _check_open_link(here: Here, token: str) -> None:
    if not here.site.secrets.is_open_token(token):
        raise here.guessed_wrong()


def _invited(here: Here, token: str) -> Participant:
    code = here.site.secrets.code_of(token)
    person = None if code is None else person_called(here, code)
    if person is None:
        raise here.guessed_wrong()
    return person


def _is_here(here: Here, external: str) -> bool:
    """Whether this browser belongs to a participant already, and not to another one than the link names."""
    person = person_called(here, here.session().code)
    return person is not None and (not external or person.external == external)


def _entered(here: Here, code: str) -> Response:
    return here.remember(here.go("/study"), new_session(code))


def _consent_page(here: Here, external: str, visit: str, *, problem: bool = False, personal: bool = False) -> Response:
    # Somebody else's session, if this browser has one, ends here.
    session = here.session()
    session = new_session() if session.code is not None else session
    response = here.page(
        "consent.html",
        status=422 if problem else 200,
        csrf=here.site.secrets.form_token(session),
        external=external,
        visit=visit,
        problem=problem,
        personal=personal,
    )
    return here.remember(response, session)
