"""Rows without an interval: what was dropped, what was degenerate, and what the training cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from pellucid.report.arms import Column, runs_of
from pellucid.report.reading import Floats, lookup
from pellucid.report.results import Cell, Row
from pellucid.report.runs import Run
from pellucid.report.words import attribution_name

CLEAN_DRAWS = {"ssim": "SSIM", "ros_norm": "ROS-norm"}
LEGACY_DRAWS = {"ssim_legacy": "Legacy SSIM", "ros_quantus": "ROS-quantus"}


def ledger_rows(columns: Sequence[Column], attribution: str, metrics: Mapping[str, str]) -> list[Row]:
    """Draws of each metric (column -> label) that were dropped as they changed the prediction, and zero maps."""
    group = attribution_name(attribution)
    share = Row("", group, "", (), unit="%", aggregate="share of draws", decimals=1, detail=True)
    rows = [
        _filled(
            replace(share, key=f"{key}_dropped", label=f"{label} draws dropped"),
            columns,
            partial(_undefined_share if "ssim" in key else _draws_lost, attribution=attribution, key=key),
        )
        for key, label in metrics.items()
    ]
    zero = Row("zero_maps", group, "Maps that are zero everywhere", (), aggregate="count", decimals=0, detail=True)
    rows.append(_filled(zero, columns, partial(_total, attribution=attribution, key="zero_map")))
    return [row for row in rows if any(row.cells)]


def cost_rows(columns: Sequence[Column]) -> list[Row]:
    """Parameters, time, passes, speed and memory, as the training wrote them down."""
    wanted = [
        ("parameters", "Parameters", "", "model.parameters", 0),
        ("seconds", "Training time", "s", "cost.seconds", None),
        ("passes", "Passes per training image", "", "cost.passes_per_image", 1),
        ("images_per_second", "Training speed", "images/s", "cost.images_per_second", None),
        ("memory", "Peak memory", "MB", "cost.peak_memory_mb", None),
    ]
    rows = []
    for key, label, unit, source, decimals in wanted:
        shape = Row(key, "Cost", label, (), unit=unit, aggregate="one run", decimals=decimals)
        rows.append(_filled(shape, columns, partial(_noted, source=source)))
    return [row for row in rows if any(row.cells)]


def _filled(shape: Row, columns: Sequence[Column], compute: Callable[[Run], Cell | None]) -> Row:
    """The shape with a cell a column: that of a run, or the mean over the seeds of an arm."""
    return replace(shape, cells=tuple(_over_seeds([compute(run) for run in runs_of([one])]) for one in columns))


def _over_seeds(cells: Sequence[Cell | None]) -> Cell | None:
    known = [cell for cell in cells if cell is not None]
    if len(known) < 2:
        return known[0] if known else None
    return replace(known[0], value=float(np.mean([cell.value for cell in known])), seeds=len(known))


def _noted(run: Run, source: str) -> Cell | None:
    """A number of the manifest."""
    value = lookup(run.manifest, source)
    return Cell(float(value)) if isinstance(value, int | float) else None


def _values(run: Run, attribution: str, key: str) -> Floats | None:
    measured = run.attributions.get(attribution)
    return None if measured is None else measured.values.get(key)


def _undefined_share(run: Run, attribution: str, key: str) -> Cell | None:
    table = _values(run, attribution, key)
    return None if table is None else Cell(100 * float(np.isnan(table).mean()), n=table.size)


def _draws_lost(run: Run, attribution: str, key: str) -> Cell | None:
    valid, drawn = _values(run, attribution, f"{key}_valid_draws"), lookup(run.measurement, f"ros_draws.{key}")
    if valid is None or not isinstance(drawn, int) or drawn < 1:
        return None
    draws = drawn * len(valid)
    return Cell(100 * (1 - float(np.nansum(valid)) / draws), n=draws)


def _total(run: Run, attribution: str, key: str) -> Cell | None:
    flags = _values(run, attribution, key)
    return None if flags is None else Cell(float(np.nansum(flags)), n=len(flags))
