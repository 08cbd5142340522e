"""What participants see and send once they are in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Header, Request
from starlette.responses import Response

from pellucid.study.answering import Given, Saved, answered, save
from pellucid.study.design import Trial
from pellucid.study.participants import begin, describe, heard, stage_of
from pellucid.study.store import Participant
from pellucid.study.web.demographics import checked
from pellucid.study.web.entering import person_called
from pellucid.study.web.site import At, Here, Stop

router = APIRouter(prefix="/study")
FormToken = Annotated[str, Form(max_length=200)]


async def fields(request: Request) -> dict[str, str]:
    """All text fields of a form."""
    async with request.form(max_files=0, max_fields=100) as form:
        return {key: value for key, value in form.items() if isinstance(value, str)}


Fields = Annotated[dict[str, str], Depends(fields)]


@router.get("")
def current(here: At) -> Response:
    """The page on which this participant is."""
    person = _present(here)
    stage = stage_of(person)
    shown: dict[str, Any] = {"person": person.code, "csrf": here.form_token()}
    match stage:
        case "demographics":
            return here.page("demographics.html", given={}, problems={}, **shown)
        case "instructions":
            return here.page("instructions.html", **shown)
        case "done":
            return here.page("done.html", completion=here.site.secrets.completion, **shown)
        case "forgotten":
            return here.message("forgotten", 410)
        case "trials":
            away = here.now - (person.seen_at or 0)
            long = away > 60 * here.site.study.refresher_after_minutes
            return here.page("refresher.html", **shown) if long else _trials_page(here, person)
    raise Stop(403, "unknown")


@router.post("/demographics")
def demographics(here: At, given: Fields) -> Response:
    """What a participant tells about themselves."""
    here.check_form(given.get("csrf", ""))
    person = _present(here)
    values, problems = checked(here.site.study.demographics, given)
    if problems:
        shown = {"given": given, "problems": problems, "csrf": here.form_token(), "person": person.code}
        return here.page("demographics.html", status=422, **shown)
    describe(here.site.store, person.code, values, now=here.now)
    return here.go("/study")


@router.post("/begin")
def begun(here: At, csrf: FormToken = "") -> Response:
    """The instructions have been read."""
    here.check_form(csrf)
    site = here.site
    begin(site.store, site.study, _present(here).code, now=here.now, inactive_after=site.inactive_after)
    return here.go("/study")


@router.post("/refreshed")
def refreshed(here: At, csrf: FormToken = "") -> Response:
    """The refresher has been read."""
    here.check_form(csrf)
    heard(here.site.store, _present(here).code, now=here.now)
    return here.go("/study")


@router.post("/answers")
def answer(here: At, given: Given, x_csrf_token: Annotated[str, Header(max_length=200)] = "") -> Saved:
    """Save one answer; the same key again changes nothing and is acknowledged again."""
    here.check_form(x_csrf_token)
    code = here.session().code
    if code is None:
        raise Stop(403, "expired")
    if not here.site.limits.sending.take(code):
        raise Stop(429, "busy")
    return save(here.site.store, here.site.study, code, given, now=here.now)


def _present(here: Here) -> Participant:
    """Whose session it is. Raises Stop with 403 if it is nobody's."""
    person = person_called(here, here.session().code)
    if person is None:
        raise Stop(403, "unknown")
    return person


def _trials_page(here: Here, person: Participant) -> Response:
    """All trials that are left, one shown at a time: a lost connection stops nobody, and pictures load ahead."""
    study = here.site.study
    with here.site.store.reading() as reading:
        done = answered(reading, person.id)
    trials = [Trial.model_validate(trial) for trial in person.trials or []]
    return here.page(
        "trials.html",
        left=list(enumerate(trials))[done:],
        total=len(trials),
        intros=_intros(trials),
        labels=study.labels(),
        checks={check.id: check.text for check in study.attention},
        person=person.code,
        csrf=here.form_token(),
    )


def _intros(trials: list[Trial]) -> dict[int, str]:
    """Before which trial a screen of words comes, and which one."""
    blocks = [trial.block for trial in trials]
    counting = next((place for place, block in enumerate(blocks) if block != "training"), 0)
    side_by_side = next((place for place, block in enumerate(blocks) if block == "choice"), 0)
    screens = {counting: "training_done", side_by_side: "choice_intro"}
    return {place: name for place, name in screens.items() if place > 0}
