"""The claims of the 2-D study, decided from its numbers: DIR/field.json, DIR/report.md, DIR/figures. Imports no torch.

The text of Train2Explain is not public. Claims, measures and pass rules are our reading of its abstract (definitions
§3.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from pellucid.errors import BadInput
from pellucid.files import read_yaml, write_atomic, write_json
from pellucid.report.reading import read_mapping
from pellucid.report.tables import markdown_line
from pellucid.report.verdicts import Verdict
from pellucid.statistics import student
from pellucid.statistics.signed_rank import Rule, all_of, decide, over_sets

READING = (
    "The text of Train2Explain is not public: the misalignment term, the measures and the pass rules are our reading "
    "of its abstract, not the paper's own definitions."
)
Blocks = Mapping[tuple[str, str], Mapping[str, Mapping[str, list[float | None]]]]
"""Numbers by (set, condition), method, metric: one a seed."""


@dataclass(frozen=True)
class Criterion:
    """One number that a claim is about, at one condition, compared over the seeds of each set.

    Attributes
    ----------
    metric, condition
        Column of the block, and "clean" or "kind-rate".
    rule, share
        What must be true on a set, and on which share of the sets.
    absolute
        Judge the method's own mean to be within this distance of 1, whatever the reference does.
    sets
        None: all sets on which the metric is defined.
    """

    metric: str
    condition: str
    rule: Rule
    share: float = 0.8
    absolute: float | None = None
    sets: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence of the abstract as we read it; it holds if all its criteria do. `further` is reported, not judged."""

    name: str
    statement: str
    criteria: tuple[Criterion, ...]
    further: tuple[Criterion, ...] = ()


HIGHER, LOWER, REDUCED = Rule(1), Rule(-1), Rule(-1, reduction=0.3)
OUTLIERS = ("interior", "far")


def claims_at(rate: float, kinds: Sequence[str]) -> tuple[Claim, ...]:
    """The claims of definitions §3.1; those on corrupted data at this share."""

    def at(kind: str) -> str:
        return f"{kind}-{rate:g}"

    preserved = [Criterion("accuracy", "clean", Rule(1, margin=0.01), share=1.0)]
    preserved += [Criterion("accuracy", at(kind), Rule(1, margin=0.0), share=1.0) for kind in kinds]
    flips = [kind for kind in ("flips", "interior") if kind in kinds]
    outliers = [kind for kind in OUTLIERS if kind in kinds]
    return (
        Claim(
            "accuracy preserved",
            f"mean test accuracy at most 1 point lower on clean data, and not lower at {rate:.0%} corruption, "
            "on every set",
            tuple(preserved),
        ),
        Claim(
            "smoother field",
            "grid roughness and total variation 30 % lower on 4 of 5 sets",
            tuple(Criterion(metric, "clean", REDUCED) for metric in ("roughness", "total_variation")),
        ),
        Claim(
            "controls overfitting",
            f"gap between training and test accuracy, and memorised flips, lower at {rate:.0%} label flips",
            tuple(Criterion(metric, at("flips"), LOWER) for metric in ("gap", "memorisation") if "flips" in kinds),
            tuple(Criterion(metric, at(kind), LOWER) for kind in flips[1:] for metric in ("gap", "memorisation")),
        ),
        Claim(
            "robust explanations",
            "higher cosine and Spearman of the gradients of moved points (±.3), on average and at the worst of 32",
            tuple(Criterion(metric, "clean", HIGHER) for metric in ("cosine", "worst_cosine", "spearman")),
            tuple(Criterion(metric, at(k), HIGHER) for k in outliers for metric in ("cosine", "worst_cosine")),
        ),
        Claim(
            "less dependence on outliers",
            f"gradients of twins trained with and without {rate:.0%} outliers agree better",
            tuple(Criterion("dependence", at(kind), LOWER) for kind in outliers),
            tuple(Criterion(f"dependence_{w}", at(k), LOWER) for k in outliers for w in ("near", "elsewhere")),
        ),
        Claim(
            "reliability",
            "higher cosine with the gradient of the Bayes log-odds on clean data",
            (Criterion("bayes_cosine", "clean", HIGHER),),
            tuple(Criterion("bayes_cosine", at(kind), HIGHER) for kind in kinds),
        ),
        Claim(
            "no collapse",
            "dispersion of directions within 20 % of the Bayes field's; accuracy on XOR and spirals at most 1 point "
            "lower",
            (
                Criterion("dispersion_ratio", "clean", HIGHER, share=1.0, absolute=0.2),
                Criterion("accuracy", "clean", Rule(1, margin=0.01), share=1.0, sets=("xor", "spirals")),
            ),
        ),
    )


def read_study(directory: Path) -> tuple[dict[str, Any], Blocks]:
    """Config and finished blocks of a study. Raises BadInput if there is none, or one block is missing or damaged."""
    if not (directory / "config.yaml").is_file():
        raise BadInput(f"{directory} holds no field study; make one with pellucid field CONFIG.yaml --out DIR")
    config = read_yaml(directory / "config.yaml")
    kinds = [f"{kind}-{rate:g}" for kind, rate in product(config["corruptions"], config["rates"])]
    found: dict[tuple[str, str], Any] = {}
    for name, condition in product(config["sets"], ["clean", *kinds]):
        path = directory / "blocks" / f"{name}-{condition}.json"
        found[name, condition] = read_mapping(path, {"methods": dict})["methods"]
    return config, found


def judge(config: Mapping[str, Any], blocks: Blocks, against: str, *, rate: float) -> list[dict[str, Any]]:
    """Every claim on the tested method against another one: verdict, and per criterion and set the numbers and p.

    Parameters
    ----------
    against
        Name of the method to compare with.
    rate
        The corrupted share at which the claims on corrupted data are judged.
    """
    judged = []
    for claim in claims_at(rate, config["corruptions"]):
        parts = [_criterion(config, blocks, against, one) for one in claim.criteria]
        further = [_criterion(config, blocks, against, one) for one in claim.further]
        verdict = all_of([part["verdict"] for part in parts])
        judged.append(
            {
                "claim": claim.name,
                "statement": claim.statement,
                "tested": config["tested"],
                "against": against,
                "verdict": verdict,
                "criteria": parts,
                "further": further,
            }
        )
    return judged


def write_field_report(directory: Path) -> list[dict[str, Any]]:
    """Write field.json, report.md and figures of a finished study; returns all judged claims.

    Raises
    ------
    BadInput
        If the study is not finished or a file is damaged.
    """
    from pellucid.report.figures.field import draw_study  # noqa: PLC0415 (matplotlib waits)

    config, blocks = read_study(directory)
    rate = headline_rate(config)
    others = [config["reference"], *(name for name in config["methods"] if name not in _compared(config))]
    claims = [claim for other in others for claim in judge(config, blocks, other, rate=rate)]
    everything = [
        {"set": name, "condition": condition, "methods": methods} for (name, condition), methods in blocks.items()
    ]
    for path, content in draw_study(directory, config, claims).items():
        write_atomic(directory / "figures" / path, content)
    write_atomic(directory / "report.md", to_report(config, claims))
    write_json(directory / "field.json", {"note": READING, "config": config, "claims": claims, "results": everything})
    return claims


def headline_rate(config: Mapping[str, Any]) -> float:
    """The corrupted share at which claims are judged: 10 %, or the study's nearest."""
    return float(min(config["rates"], key=lambda rate: abs(rate - 0.1), default=0.1))


def claims_table(claims: Sequence[Mapping[str, Any]]) -> Table:
    """Claims by method compared with, for the terminal."""
    others = list(dict.fromkeys(claim["against"] for claim in claims))
    table = Table(title=f"{claims[0]['tested']} against …", caption=READING, title_justify="left")
    table.add_column("claim")
    for other in others:
        table.add_column(other.replace("_", " "))
    for name in dict.fromkeys(claim["claim"] for claim in claims):
        table.add_row(name, *(_verdict_of(claims, name, other) for other in others))
    return table


def to_report(config: Mapping[str, Any], claims: Sequence[Mapping[str, Any]]) -> str:
    """The verdicts and the numbers behind them, as Markdown."""
    others = list(dict.fromkeys(claim["against"] for claim in claims))
    names = list(dict.fromkeys(claim["claim"] for claim in claims))
    lines = ["# Gradient fields in the plane", "", READING, ""]
    lines += [
        f"{len(config['sets'])} sets, {config['seeds']} paired seeds, {config['training']['steps']} full-batch steps "
        f"of Adam at lr {config['training']['lr']:g}; {config['network']['activation']} networks of width "
        f"{config['network']['width']}. One-sided Wilcoxon signed-rank tests over seeds, p < .05 on each set, "
        "uncorrected for the number of tests. Smallest p that "
        f"{config['seeds']} seeds can give: {0.5 ** config['seeds']:.2g}.",
        "",
        markdown_line([f"{config['tested']} against", *(other.replace("_", " ") for other in others)]),
        markdown_line(["---"] * (len(others) + 1)),
    ]
    lines += [markdown_line([name, *(_verdict_of(claims, name, other) for other in others)]) for name in names]
    lines += ["", *(f"![{name}](figures/{name}.svg)" for name in ["claims", *(f"field-{s}" for s in config["sets"])])]
    for claim in claims:
        lines += ["", f"## {claim['claim']}, against {claim['against'].replace('_', ' ')}: {claim['verdict']}", ""]
        lines += [claim["statement"] + ".", "", markdown_line(_HEAD), markdown_line(["---"] * len(_HEAD))]
        lines += _rows(claim["criteria"], "") + _rows(claim["further"], " (not judged)")
    return "\n".join([*lines, ""])


_HEAD = ["number", "condition", "set", "ours", "reference", "difference [95 %]", "p", "verdict"]


def _rows(criteria: Sequence[Mapping[str, Any]], remark: str) -> list[str]:
    lines = []
    for one in criteria:
        for name, found in one["sets"].items():
            difference = f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
            numbers = [
                f"{found['ours']:.4f}",
                f"{found['reference']:.4f}",
                difference,
                "–" if np.isnan(found["p"]) else f"{found['p']:.4f}",
            ]
            lines.append(markdown_line([one["metric"], one["condition"], name, *numbers, found["verdict"] + remark]))
    return lines


def _criterion(config: Mapping[str, Any], blocks: Blocks, against: str, one: Criterion) -> dict[str, Any]:
    sets = {
        name: found
        for name in one.sets or config["sets"]
        if (found := _on_set(blocks.get((name, one.condition), {}), config["tested"], against, one)) is not None
    }
    return {
        "metric": one.metric,
        "condition": one.condition,
        "rule": asdict(one.rule) | {"share_of_sets": one.share, "within_of_1": one.absolute},
        "verdict": over_sets([found["verdict"] for found in sets.values()], one.share),
        "sets": sets,
    }


def _on_set(block: Mapping[str, Any], tested: str, against: str, one: Criterion) -> dict[str, Any] | None:
    """The paired numbers of one set, or None where a method or the metric is missing."""
    if one.metric not in block.get(tested, {}) or one.metric not in block.get(against, {}):
        return None
    ours, reference = (np.array(block[name][one.metric], dtype=np.float64) for name in (tested, against))
    if np.isnan(ours - reference).all():
        return None
    verdict, p = decide(ours, reference, one.rule)
    if one.absolute is not None:
        verdict, p = _near_one(ours, one.absolute), float("nan")
    found = student(ours - reference)
    return {
        "ours": float(np.nanmean(ours)),
        "reference": float(np.nanmean(reference)),
        "difference": found.value,
        "low": found.low,
        "high": found.high,
        "pairs": found.n,
        "p": p,
        "verdict": verdict,
    }


def _near_one(ours: Any, distance: float) -> Verdict:
    """Whether the mean lies within `distance` of 1; within noise if its interval reaches over the border."""
    found = student(ours)
    if abs(found.value - 1) <= distance:
        return "holds"
    outside = found.low > 1 + distance or found.high < 1 - distance
    return "does not hold" if outside else "within noise"


def _compared(config: Mapping[str, Any]) -> tuple[str, str]:
    return config["tested"], config["reference"]


def _verdict_of(claims: Sequence[Mapping[str, Any]], name: str, other: str) -> str:
    return next(str(one["verdict"]) for one in claims if one["claim"] == name and one["against"] == other)
