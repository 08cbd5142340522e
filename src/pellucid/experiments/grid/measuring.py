"""What a grid measures once all its cells are trained.

All cells of one setting (data, test images, architecture) are measured on one set of images, those that every one of
them classifies correctly, so that arms and seeds alike are compared on the same images. One more cell can change
that set; then all cells of its setting are measured again (not trained).
"""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pellucid.errors import BadInput, unknown_name
from pellucid.experiments.grid.store import Grid
from pellucid.experiments.manifest import MANIFEST
from pellucid.experiments.measure import MeasureSettings, Robustness, measure
from pellucid.experiments.suite import ALL_METRICS, METRICS, explainer
from pellucid.naming import first_problem
from pellucid.training.snapshots import SNAPSHOTS


class RobustnessSpec(BaseModel):
    """:class:`pellucid.experiments.measure.Robustness` in a grid file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    eps: float | None = Field(None, ge=0)
    norm: Literal["linf", "l2"] = "linf"
    steps: int = Field(20, ge=1)
    restarts: int = Field(1, ge=1)
    images: int = Field(2000, ge=1)


class MeasureSpec(BaseModel):
    """:class:`pellucid.experiments.measure.MeasureSettings` in a grid file; an attribution without metrics gets all."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    images: int = Field(1000, ge=1)
    profile: Literal["clean", "legacy", "both"] = "clean"
    attributions: dict[str, list[str] | None] = Field({"gradient": None, "integrated_gradients": None}, min_length=1)
    robustness: RobustnessSpec = RobustnessSpec()
    interpretation_images: int = Field(64, ge=1)
    seed: int = Field(0, ge=0)


def measure_settings(raw: dict[str, Any] | None) -> MeasureSettings:
    """The settings of a grid's `measure`, every name checked. Raises BadInput with the nearest valid name."""
    raw = raw or {}
    _refuse_unknown("measure", raw, MeasureSpec)
    _refuse_unknown("measure.robustness", raw.get("robustness") or {}, RobustnessSpec)
    try:
        spec = MeasureSpec(**raw)
    except ValidationError as error:
        raise BadInput(f"measure: {first_problem(error)}") from error
    return MeasureSettings(
        images=spec.images,
        profile=spec.profile,
        attributions={explainer(name).name: _checked(metrics) for name, metrics in spec.attributions.items()},
        robustness=Robustness(**spec.robustness.model_dump()),
        interpretation_images=spec.interpretation_images,
        seed=spec.seed,
    )


def measure_all(grid: Grid) -> None:
    """Measure the trained cells, setting by setting; what is measured already stays."""
    settings = measure_settings(grid.measure)
    cells = [cell for cell in grid.cells if grid.trained(cell.name)]
    for setting in dict.fromkeys(cell.setting for cell in cells):
        runs = [grid.run(cell.name) for cell in cells if cell.setting == setting]
        measure(runs, settings)
        # On images of their own: early snapshots misclassify more, and may not choose the images of the finished runs.
        snapshots = [path.parent for run in runs for path in sorted(run.glob(f"{SNAPSHOTS}/*/{MANIFEST}"))]
        if snapshots:
            measure(snapshots, settings)


def _checked(metrics: Sequence[str] | None) -> tuple[str, ...]:
    for metric in metrics or ():
        if metric not in ALL_METRICS:
            raise unknown_name("metric", metric, ALL_METRICS)
    return tuple(metrics or METRICS)


def _refuse_unknown(where: str, raw: Any, model: type[BaseModel]) -> None:
    for key in raw if isinstance(raw, dict) else ():
        if key not in model.model_fields:
            raise unknown_name(f"key in {where}", key, model.model_fields)
