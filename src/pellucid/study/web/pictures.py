"""Stimuli and the files of the pages. Nothing in the headers tells one stimulus from another."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from pellucid.study.protocol import STIMULI
from pellucid.study.web.site import At, Stop

router = APIRouter()
TYPES = {
    "study.css": "text/css; charset=utf-8",
    "study.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@router.get("/stimuli/{name}.png")
def stimulus(here: At, name: str) -> Response:
    """One image–map pair."""
    if name not in here.site.stimuli:
        raise Stop(404, "unknown")
    content = (here.site.folder / STIMULI / f"{name}.png").read_bytes()
    kept = {"Cache-Control": "private, max-age=604800, immutable"}
    return Response(content, media_type="image/png", headers=kept)


@router.get("/static/{name}")
def static(name: str) -> Response:
    """The style sheet and the script."""
    if name not in TYPES:
        raise Stop(404, "unknown")
    content = files("pellucid.study.web").joinpath("static", name).read_bytes()
    return Response(content, media_type=TYPES[name], headers={"Cache-Control": "no-cache"})
