"""What is on the page at one moment: the request, the views that answer it, and what is said of them."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pellucid.explore.pixels import Floats, amplified, eight_bits, shades, text
from pellucid.explore.views import ATTACKS, ATTRIBUTIONS, STEPS, Change, Map, Subject, View, Viewer
from pellucid.explore.worker import Check
from pellucid.report.words import attribution_name, number

FEW = 10
"""Classes whose probabilities are all shown; of more, the most probable."""
NAMES = {"ssim": "SSIM", "ros": "ROS", "intersection": "top-k"}
IN_WORDS = {
    "top_k": "out of the top k",
    "mass_centre": "centre of mass",
    "target_region": "into the top left corner",
    "random": "random steps (control)",
}


def _one_of(names: tuple[str, ...]) -> AfterValidator:
    def known(value: str) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)} is meant")
        return value

    return AfterValidator(known)


class Wanted(BaseModel):
    """A position of the page's controls.

    Attributes
    ----------
    amount
        σ of the noise or ε of the attack, in pixel units.
    attack, step
        Of an attack on the explanation.
    """

    model_config = ConfigDict(extra="forbid")

    image: Annotated[str, Field(max_length=60)]
    change: Literal["noise", "attack", "walk"] = "noise"
    amount: Annotated[float, Field(ge=0, le=1)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    attribution: Annotated[list[Annotated[str, _one_of(ATTRIBUTIONS)]], Field(min_length=1, max_length=12)] = [
        "gradient"
    ]
    attack: Annotated[str, _one_of(ATTACKS)] = "top_k"
    step: Annotated[int, Field(ge=0, le=10_000)] = 0


@dataclass(frozen=True)
class Shown:
    """The answer to a request.

    Attributes
    ----------
    factor
        What a perturbation is multiplied by to be seen; None where it is not shown.
    steps
        Of an attack on the explanation, the untouched image not counted; else 0.
    curves
        The top-k intersection at every step, by model.
    """

    wanted: Wanted
    subject: Subject
    classes: tuple[str, ...]
    views: list[View]
    factor: float | None
    settings: str
    steps: int = 0
    curves: tuple[list[float], ...] = ()

    @property
    def names(self) -> list[str]:
        """The attributions, in the order of the maps."""
        return [one.attribution for one in self.views[0].maps]

    def signed(self, attribution: str) -> bool:
        """Whether any model's map of this attribution has negative entries: one colour scale for all."""
        maps = [one.values for view in self.views for one in view.maps if one.attribution == attribution]
        return any(bool((values < 0).any()) for values in maps)

    def magnified(self, view: View) -> Floats | None:
        """The perturbation to be looked at."""
        return None if self.factor is None else amplified(view.perturbation, self.factor)

    @property
    def caption(self) -> str:
        """All settings, in sentences."""
        truth = "" if self.subject.label is None else f", labelled {self.classes[self.subject.label]}"
        more = "" if self.factor is None else f" The perturbation is shown × {number(self.factor, None)} around grey."
        return (
            f"{self.subject.title}{truth}. {self.settings}{more} Maps explain the class predicted for the untouched "
            "image; each is divided by the 99th percentile of its own absolute values, and all maps of one attribution "
            "share one colour scale. SSIM (each map by its own maximum, window 5) and ROS (relative change of the map "
            "over that of the logits) compare with the map of the untouched image; ROS is undefined where the "
            "prediction changed or nothing moved."
        )


def show(viewer: Viewer, subject: Subject, wanted: Wanted, check: Check) -> Shown:
    """Compute what the controls ask for."""
    classes = viewer.gallery.test.classes
    if wanted.change == "walk":
        return _walk(viewer, subject, wanted, check)
    change = Change(wanted.change, wanted.amount, wanted.seed)
    views = viewer.changed(subject, change, wanted.attribution, check)
    factor = 0.5 / wanted.amount if wanted.change == "attack" and wanted.amount else None
    return Shown(wanted, subject, classes, views, factor, _settings(wanted))


def _walk(viewer: Viewer, subject: Subject, wanted: Wanted, check: Check) -> Shown:
    walks = viewer.walked(subject, wanted.attack, wanted.seed, check)
    budget, steps = viewer.budget(subject), len(walks[0]) - 1
    step = min(wanted.step, steps)
    settings = (
        f"Attack on the explanation ({IN_WORDS[wanted.attack]}), iterate {step} of {steps}: ε = "
        f"{number(budget.eps)}, steps of {number(budget.step_size, None)} in pixel units, k = {budget.k}, "
        f"seed {wanted.seed}."
    )
    curves = tuple([view.maps[0].numbers["intersection"] for view in views] for views in walks)
    views = [views[step] for views in walks]
    return Shown(wanted, subject, viewer.gallery.test.classes, views, 0.5 / budget.eps, settings, steps, curves)


def _settings(wanted: Wanted) -> str:
    if wanted.amount == 0:
        return "Untouched."
    if wanted.change == "noise":
        return f"Gaussian noise, σ = {number(wanted.amount)} in pixel units, clipped to [0, 1], seed {wanted.seed}."
    return (
        f"PGD away from each model's own prediction, ε = {number(wanted.amount)} (L∞, pixel units), {STEPS} steps of "
        f"ε/4, random start, seed {wanted.seed}."
    )


def as_plain(shown: Shown) -> dict[str, Any]:
    """What the page needs to draw, as JSON; pixels and shades as base64."""
    return {
        "title": shown.subject.title,
        "label": None if shown.subject.label is None else shown.classes[shown.subject.label],
        "caption": shown.caption,
        "factor": None if shown.factor is None else number(shown.factor, None),
        "steps": shown.steps,
        "models": [_model(shown, place) for place in range(len(shown.views))],
    }


def _model(shown: Shown, place: int) -> dict[str, Any]:
    view, magnified = shown.views[place], shown.magnified(shown.views[place])
    return {
        "image": text(eight_bits(view.image)),
        "perturbation": None if magnified is None else text(eight_bits(magnified)),
        "predicted": shown.classes[view.predicted],
        "explained": shown.classes[view.explained],
        "same": view.predicted == view.explained,
        "bars": _bars(view, shown.classes),
        "maps": [_map(one, signed=shown.signed(one.attribution)) for one in view.maps],
        "curve": [_finite(value) for value in shown.curves[place]] if shown.curves else None,
    }


def _bars(view: View, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Probabilities: of all classes in their order where they are few, else of the most probable."""
    order = np.arange(len(classes)) if len(classes) <= FEW else np.argsort(-view.probabilities, kind="stable")[:FEW]
    return [{"name": classes[place], "share": float(view.probabilities[place])} for place in order]


def _map(one: Map, *, signed: bool) -> dict[str, Any]:
    return {
        "attribution": attribution_name(one.attribution),
        "shades": text(shades(one.values, signed=signed)),
        "signed": signed,
        "zero": not one.values.any(),
        "numbers": [
            {"name": NAMES[name], "value": _finite(value), "text": number(value, None if name == "ros" else 3)}
            for name, value in one.numbers.items()
        ],
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
