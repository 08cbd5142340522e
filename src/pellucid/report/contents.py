"""Which rows each table shows: the clean table, the legacy table, and the short trade-off table of the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.report import measures
from pellucid.report.arms import Arm, Column, runs_of
from pellucid.report.evidence import evidence_measures, knows_truth, truth
from pellucid.report.ledger import CLEAN_DRAWS, LEGACY_DRAWS, cost_rows, ledger_rows
from pellucid.report.measures import Measure
from pellucid.report.results import ResultTable, Row, measure_rows
from pellucid.report.runs import Run
from pellucid.report.words import attribution_name, count, listing, shortened

NOISE = 0.1
"""The noise level (σ, pixel units) at which similarity is quoted as a single number."""

MANY = 8
"""More models than this are counted, not named."""

ONE_CLASS = "all measured images are of one class"

SANITY = {"random_map": "a random map", "edge_detector": "the edges of the image"}
"""Attributions that know nothing of the model: a number is worth what it is above theirs."""

BEST_NOTE = (
    "Bold: best of its row, and the 95 % interval of the paired difference to the second best excludes 0. "
    "The intervals say how a number varies over images, not over training runs."
)
ARM_NOTE = (
    "Numbers: the mean over seeds of the mean (or what the row says) over images. Their 95 % intervals speak of new "
    "seeds and new images (both resampled; Student's t). Bold: the best of its row. †: not shown to be worse than the "
    "best; arms without it differ from the best by the paired t-test over seeds with Holm's correction for all pairs "
    "of arms of the row (p < .05). n: images × seeds; dropped: share of undefined values."
)
LEGACY_NOTE = (
    "Legacy: definitions as in the published code, kept for comparison with published numbers; noise is added, clipped "
    "and imputed in the model's normalised input. The legacy SSIM does not normalise the maps, so a model with smaller "
    "gradients (see map scale) scores higher whatever its maps look like."
)


def clean_table(columns: Sequence[Column]) -> ResultTable:
    """The scale-free definitions (the default), a column a run or an arm."""
    runs = runs_of(columns)
    rows = measure_rows(
        columns, "Accuracy", [(measures.natural_accuracy(), False), (measures.robust_accuracy(), False)]
    )
    for name in attribution_names(runs):
        rows += measure_rows(columns, attribution_name(name), clean_measures(runs, name))
        rows += ledger_rows(columns, name, CLEAN_DRAWS)
    for name, known in SANITY.items():
        rows += measure_rows(columns, f"Sanity: {known}", _sanity_measures(name))
    rows += cost_rows(columns)
    return ResultTable("Results", _names(columns), tuple(rows), _notes(columns, rows))


def legacy_table(columns: Sequence[Column]) -> ResultTable | None:
    """The published code's definitions, None where they were not measured."""
    runs = runs_of(columns)
    rows: list[Row] = []
    for name in attribution_names(runs):
        found = measure_rows(columns, attribution_name(name), _legacy_measures(runs, name))
        if any(row.key.startswith(("gini_legacy", "ssim_legacy", "ros_quantus")) for row in found):
            rows += found + ledger_rows(columns, name, LEGACY_DRAWS)
    if not rows:
        return None
    notes = (LEGACY_NOTE, *_notes(columns, rows))
    return ResultTable("Results, legacy definitions", _names(columns), tuple(rows), notes, legacy=True)


def trade_off_table(columns: Sequence[Column]) -> ResultTable:
    """The headline numbers and the training time."""
    runs = runs_of(columns)
    wanted = [(measure, False) for measure in trade_off_measures(runs)]
    rows = measure_rows(columns, "Accuracy", wanted[:2])
    title = "Trade-off"
    for name in attribution_names(runs)[:1]:
        rows += measure_rows(columns, attribution_name(name), wanted[2:])
        title += f" (maps: {attribution_name(name).lower()})"
    rows += [row for row in cost_rows(columns) if row.key == "seconds"]
    return ResultTable(title, _names(columns), tuple(rows), _notes(columns, rows))


def trade_off_measures(columns: Sequence[Column]) -> list[Measure]:
    """Accuracy, robustness; of the first attribution sparsity, stability, faithfulness and, where known, truth."""
    chosen = [measures.natural_accuracy(), measures.robust_accuracy()]
    for name in attribution_names(runs_of(columns))[:1]:
        chosen += [
            measures.column(name, "gini", "Gini", direction="↑"),
            measures.level(name, "ssim", f"SSIM at σ = {NOISE:g}", NOISE),
            measures.column(name, "ros_norm", "ROS-norm", statistic="median", direction="↓", decimals=None),
            measures.aopc(name),
            *([truth(name)] if knows_truth(runs_of(columns)) else []),
        ]
    return chosen


def images_note(runs: Sequence[Run]) -> str:
    """On which images the maps were measured, one sentence for all runs that share them."""
    groups: dict[str, list[str]] = {}
    for run in runs:
        groups.setdefault(_images(run.measurement["images"]), []).append(run.name)
    return " ".join(
        f"{listing(shortened(names))}: {text}" if len(groups) > 1 else text for text, names in groups.items()
    )


def _images(images: Mapping[str, Any]) -> str:
    dropped = "; ".join(f"{number:,} {why}" for why, number in images["dropped"].items() if number)
    compared = [str(name) for name in images.get("compared") or []]
    verb = {1: "classifies", 2: "both classify"}.get(len(compared), "all classify")
    names = listing(compared) if len(compared) <= MANY else f"the {len(compared)} compared models"
    chosen = f" that {names} {verb} correctly" if compared else ""
    return (
        f"Maps measured on {images['measured']:,} images{chosen} (asked for {images['asked']:,}; "
        f"{images['candidates']:,} candidates; dropped: {dropped or 'none'})."
    )


def attribution_names(runs: Sequence[Run]) -> list[str]:
    """Every attribution that a run was measured with, gradient first, without the sanity rows."""
    names = dict.fromkeys(name for run in runs for name in run.attributions if name not in SANITY)
    return sorted(names, key=lambda name: name != "gradient")


def clean_measures(runs: Sequence[Run], name: str) -> list[tuple[Measure, bool]]:
    """(measure, is it a detail) in the order of the table."""
    column = measures.column
    return [
        (column(name, "gini", "Gini", direction="↑"), False),
        (column(name, "gini_all_entries", "Gini, all entries instead of channel sums", direction="↑"), True),
        (column(name, "gini_centred", "Gini, centred logit", direction="↑"), True),
        *_similarity(runs, name, "ssim", "SSIM"),
        *_similarity(runs, name, "spearman", "Spearman"),
        *_similarity(runs, name, "cosine", "Cosine"),
        *_ros(name, "ros_norm", "ROS-norm", ["median"]),
        (column(name, "other_seed_ssim", "SSIM with the map of another seed", direction="↑"), False),
        (column(name, "other_seed_spearman", "Spearman with the map of another seed", direction="↑"), True),
        (column(name, "other_seed_cosine", "Cosine with the map of another seed", direction="↑"), True),
        (column(name, "other_image_ssim", "SSIM with the map of another image (control)", undefined=ONE_CLASS), False),
        (column(name, "other_image_cosine", "Cosine with the map of another image (control)"), False),
        (column(name, "other_image_spearman", "Spearman with the map of another image (control)"), True),
        (measures.aopc(name), False),
        (measures.aopc(name, kind="random"), False),
        (measures.aopc(name, kind="gain"), False),
        (_scale(name), False),
        (column(name, "ties", "Share of tied pixels"), True),
        *evidence_measures(runs, name),
    ]


def _sanity_measures(name: str) -> list[tuple[Measure, bool]]:
    """What can be compared with a map that knows nothing; no direction, so that none of them wins a row."""
    wanted = [
        measures.column(name, "gini", "Gini"),
        measures.level(name, "ssim", f"SSIM at σ = {NOISE:g}", NOISE),
        measures.column(name, "other_image_ssim", "SSIM with the map of another image"),
        measures.aopc(name),
    ]
    return [(replace(measure, direction=""), False) for measure in wanted]


def _legacy_measures(runs: Sequence[Run], name: str) -> list[tuple[Measure, bool]]:
    return [
        (measures.column(name, "gini_legacy", "Gini, legacy", direction="↑"), False),
        *_similarity(runs, name, "ssim_legacy", "Legacy SSIM"),
        *_ros(name, "ros_quantus", "ROS-quantus", ["log10_mean", "log10_median"]),
        (measures.aopc(name, kind="legacy"), False),
        (_scale(name), False),
    ]


def _similarity(runs: Sequence[Run], name: str, key: str, label: str) -> list[tuple[Measure, bool]]:
    """The mean over levels, the quoted level, and as details the other levels of the SSIM."""
    levels = [
        (measures.level(name, key, f"{label} at σ = {noise:g}", noise), not np.isclose(noise, NOISE))
        for noise in sorted({noise for run in runs for noise in measures.noise_levels(run)})
        if key.startswith("ssim") or np.isclose(noise, NOISE)
    ]
    return [(measures.levels_mean(name, key, f"{label}, mean of noise levels"), False), *levels]


def _ros(name: str, key: str, label: str, statistics: Sequence[str]) -> list[tuple[Measure, bool]]:
    """The ratio, then its numerator and denominator apart: a robust model has a small denominator by construction."""
    why = "draws changed the prediction"
    spelled = {"median": label, "log10_mean": f"{label}, log10 of mean", "log10_median": f"{label}, log10 of median"}

    def row(suffix: str, text: str, statistic: str, direction: measures.Direction) -> Measure:
        decimals = None if statistic == "median" else 2
        return measures.column(
            name, key + suffix, text, statistic=statistic, direction=direction, decimals=decimals, undefined=why
        )

    ratios = [(row("", spelled[one], one, "↓"), place > 0) for place, one in enumerate(statistics)]
    parts = [
        (row(f"_{part}", f"{label}, log10 of median {part}", "log10_median", ""), True)
        for part in ("numerator", "denominator")
    ]
    return ratios + parts


def _scale(name: str) -> Measure:
    return measures.column(name, "scale", "Map scale (largest entry)", statistic="median", decimals=None)


def _names(columns: Sequence[Column]) -> tuple[str, ...]:
    return tuple(one.name for one in columns)


def _notes(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[str, ...]:
    """On which images, why values were dropped, what bold means, and a warning where there are few images."""
    counts = [cell.n for row in rows for cell in row.cells if cell is not None and cell.n is not None]
    few = min(counts, default=30)
    warning = (f"Some intervals rest on as few as {few} images: read them with care.",) if few < 30 else ()
    note = ARM_NOTE if any(isinstance(one, Arm) for one in columns) else BEST_NOTE
    return (images_note(runs_of(columns)), *_why_dropped(rows), note, *warning)


def _why_dropped(rows: Sequence[Row]) -> tuple[str, ...]:
    where: dict[str, dict[str, None]] = {}
    for row in rows:
        for why in {cell.why for cell in row.cells if cell is not None and cell.why}:
            where.setdefault(why, {})[row.label] = None
    parts = [f"{why} ({_first_of(list(labels))})" for why, labels in where.items()]
    return (f"Dropped values: {'; '.join(parts)}.",) if parts else ()


def _first_of(labels: list[str]) -> str:
    more = len(labels) - 1
    return labels[0] + (f" and {count(more, 'more row')}" if more else "")
