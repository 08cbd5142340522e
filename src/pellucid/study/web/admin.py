"""The page of those who run the study, behind a token. It shows no model, and nothing that tells one from another."""

import io
import zipfile
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query
from starlette.responses import PlainTextResponse, Response

from pellucid.study.exporting import files
from pellucid.study.participants import invite
from pellucid.study.progress import progress, set_state
from pellucid.study.web.secret import new_session
from pellucid.study.web.site import At, Here, Stop

ADMIN = "admin"
router = APIRouter(prefix="/admin")
Token = Annotated[str, Form(max_length=200)]


def is_admin(here: Here) -> bool:
    """Whether this browser has shown the token."""
    return here.session(ADMIN).code == ADMIN


def admitted(here: At) -> Here:
    """The request of somebody who has shown the token. Raises Stop with 403 for anybody else."""
    if not is_admin(here):
        raise Stop(403, "unknown")
    return here


Admin = Annotated[Here, Depends(admitted)]


@router.get("")
def overview(here: At) -> Response:
    """Progress, or the form that asks for the token."""
    if not is_admin(here):
        return here.page("login.html", problem=False)
    site = here.site
    seen = progress(site.store, site.study, now=here.now, inactive_after=site.inactive_after)
    links = {one.code: f"{_base(here)}/p/{site.secrets.personal_token(one.code)}" for one in seen.people if one.invited}
    return here.page(
        "admin.html",
        seen=seen,
        csrf=here.form_token(ADMIN),
        open_link=f"{_base(here)}/join/{site.secrets.open_token}",
        links=links,
        minutes=round(site.inactive_after / 60),
    )


def _base(here: Here) -> str:
    return f"{here.request.url.scheme}://{here.request.url.netloc}{here.root}"


@router.post("/login")
def login(here: At, token: Token = "") -> Response:
    """The token opens a session. No form token: who knows the token needs no other site's help."""
    if not here.site.secrets.is_admin_token(token):
        if not here.site.limits.guesses.take(here.address):
            raise Stop(429, "busy")
        return here.page("login.html", problem=True, status=403)
    return here.remember(here.go("/admin"), new_session(ADMIN), ADMIN)


@router.post("/logout")
def logout(here: Admin, csrf: Token = "") -> Response:
    """End the session."""
    here.check_form(csrf, ADMIN)
    return here.end_session(here.go("/admin"), ADMIN)


@router.post("/open")
def opened(here: Admin, csrf: Token = "", closed: Annotated[bool, Form()] = False) -> Response:
    """Close the study to newcomers, or open it again."""
    here.check_form(csrf, ADMIN)
    set_state(here.site.store, closed=closed)
    return here.go("/admin")


@router.post("/limit")
def limited(here: Admin, limit: Annotated[int, Form(ge=0, le=100_000)], csrf: Token = "") -> Response:
    """How many the open link lets in."""
    here.check_form(csrf, ADMIN)
    set_state(here.site.store, open_limit=limit)
    return here.go("/admin")


@router.post("/links")
def links(here: Admin, count: Annotated[int, Form(ge=1, le=500)], csrf: Token = "") -> Response:
    """Make personal links."""
    here.check_form(csrf, ADMIN)
    invite(here.site.store, count, now=here.now)
    return here.go("/admin#links")


@router.get("/links.csv")
def links_file(here: Admin) -> Response:
    """All personal links, for a mail merge."""
    site = here.site
    people = [one for one in progress(site.store, site.study, now=here.now).people if one.invited]
    lines = [f"{one.code},{one.state},{_base(here)}/p/{site.secrets.personal_token(one.code)}" for one in people]
    return PlainTextResponse("\n".join(["participant,state,link", *lines, ""]), media_type="text/csv")


@router.get("/export.zip")
def exported(here: Admin, names: Annotated[Literal["full", "anonymous"], Query()] = "full") -> Response:
    """The files of ``pellucid study export``."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(here.site.store, here.site.study, anonymous=names == "anonymous").items():
            archive.writestr(name, content)
    told = {"Content-Disposition": f'attachment; filename="answers-{names}.zip"'}
    return Response(packed.getvalue(), media_type="application/zip", headers=told)
