"""Fill the marked parts of docs/claims.md, docs/presets.md and README.md from docs/results and published numbers.

python scripts/claims.py [--check]      --check: write nothing, exit 1 where a page is not what the files say
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pellucid.report.published import MAPS
from pellucid.report.summary import claim_order
from pellucid.report.verdicts import MARKS
from pellucid.study.audit import audit, sentences

DOCS = Path(__file__).parents[1] / "docs"
PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PAPERS = {"T3S": "R", "NRAT": "N", "T2E": "T", "ours": "P"}
"""A claim's key begins with the letter of its paper."""


@cache
def results() -> dict[str, Any]:
    """Every file of findings by its name."""
    files = sorted((DOCS / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting of every file, with a name for people."""
    for name, found in results().items():
        for setting in found["settings"]:
            yield f"{name}: {setting['name']}", setting


@cache
def repeated() -> tuple[str, ...]:
    """The settings whose N, A and G are also those of another one that judges more of T3S."""
    seen: set[str] = set()
    again = []
    for name, setting in sorted(settings(), key=lambda one: -len(_of("T3S", one[1]))):
        weights = {arm["name"]: arm["weights"] for arm in setting["arms"]}
        models = json.dumps([weights.get(role) for role in "NAG"])
        again += [name] if models in seen and weights.get("G") else []
        seen.add(models)
    return tuple(again)


def _of(paper: str, setting: dict[str, Any]) -> list[dict[str, Any]]:
    """The relations of a setting that are claims of the paper."""
    return [one for one in setting["relations"] if one["key"].startswith(PAPERS[paper])]


def judged(paper: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """By setting the paper's claims, those of T3S once for each set of models."""
    skipped = repeated() if paper == "T3S" else ()
    return [(name, _of(paper, setting)) for name, setting in settings() if name not in skipped]


def counted() -> list[str]:
    """How many claims came out how, over all settings."""
    verdicts = [one["verdict"] for paper in PAPERS for _, found in judged(paper) for one in found]
    tested = {key for _, setting in settings() for key in _tested(setting)}
    rows = [_row(f"{MARKS.get(name, '–')} {name}", str(verdicts.count(name))) for name in sorted(set(verdicts))]
    return [
        f"{len(tested)} claims could be tested in {len(list(settings()))} settings (data, arms, budget); "
        "a claim has one verdict a setting, those of T3S once for each set of models N, A and G:",
        "",
        "| verdict | times |",
        "| --- | ---: |",
        *rows,
    ]


def _tested(setting: dict[str, Any]) -> set[str]:
    return {one["key"] for one in setting["relations"] if one["verdict"] != "not testable here"}


def places() -> dict[str, int]:
    """The number of every setting on the page of claims."""
    return {name: place for place, (name, _) in enumerate(settings(), 1)}


def listed() -> list[str]:
    """The settings with their numbers."""
    return [f"{place}. {name}" for name, place in places().items()]


def claims(paper: str) -> list[str]:
    """The claims of one paper: what was published and every verdict in a table, then the numbers behind them."""
    told = by_scope(paper)
    tested = {name for scopes in told.values() for by_setting in scopes.values() for name in by_setting}
    columns = [name for name in places() if name in tested]
    lines = [_row("claim", "published", "measured on", *(str(places()[name]) for name in columns))]
    lines += [_row(*["---"] * 3, *[":-:"] * len(columns))]
    numbers = []
    for (key, claim, published), scopes in sorted(told.items(), key=lambda item: claim_order(item[0][0])):
        first = (f"**{key}** {_cell(claim)}", _cell(published))
        for scope, by_setting in scopes.items() or [("", {})]:
            marks = [MARKS[by_setting[name]["verdict"]] if name in by_setting else "" for name in columns]
            lines.append(_row(*first, _cell(scope), *marks))
            numbers.append(f"* **{key}** {claim}{', ' * bool(scope)}{scope}{'' if by_setting else ': not tested yet'}")
            numbers += [f"    * [{places()[name]}] {_said(one)}" for name, one in by_setting.items()]
            first = ("", "")
    again = ", ".join(str(places()[name]) for name in repeated()) if paper == "T3S" else ""
    left_out = [f"Left out, as they have the same N, A and G on other images: {again}.", ""] if again else []
    summary = f"<summary>{paper}: the numbers behind the verdicts</summary>"
    return [*lines, "", *left_out, '<details markdown="1">', summary, "", *numbers, "", "</details>"]


def by_scope(paper: str) -> dict[tuple[str, str, str], dict[str, dict[str, dict[str, Any]]]]:
    """What was tested of a paper: by (key, claim, published), by what it was measured on, by setting."""
    told: dict[tuple[str, str, str], dict[str, dict[str, dict[str, Any]]]] = {}
    for name, found in judged(paper):
        for one in found:
            scopes = told.setdefault((one["key"], one["claim"], one["published"]), {})
            if one["verdict"] != "not testable here":
                scopes.setdefault(one["scope"], {})[name] = one
    return told


def _said(one: dict[str, Any]) -> str:
    return f"{MARKS[one['verdict']]} {one['verdict']}: {one['summary']}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def replicates() -> list[str]:
    """The gap between near-replicates in the published tables, beside the effect that is claimed from them."""
    lines = [
        "| setting | attribution | claimed: A − G | between replicates: abs(G − M1) |",
        "| --- | --- | ---: | ---: |",
    ]
    larger = 0
    rows = [(where, name, found["log10 ROS"]) for where, maps in MAPS.items() for name, found in maps.items()]
    rows = [row for row in rows if "M1" in row[2]]
    for where, name, ros in rows:
        effect, gap = ros["A"] - ros["G"], abs(ros["G"] - ros["M1"])
        larger += gap >= effect
        lines.append(_row(where, name.replace("_", " "), f"{effect:.2f}", f"{gap:.2f}"))
    return [
        *lines,
        "",
        f"In {larger} of {len(rows)} cells the gap between replicates is at least as large as the effect.",
    ]


def study() -> list[str]:
    """What the published user study's numbers imply."""
    return [f"* {sentence}" for sentence in sentences(audit())]


HEADLINE = {
    "Natural accuracy": ("Natural accuracy (%) ↑", ""),
    "Robust accuracy (PGD)": ("Robust accuracy (%) ↑", ""),
    "Gini": ("Gini ↑", "Gini"),
    "SSIM, mean of noise levels": ("SSIM, mean of noise levels ↑", "SSIM"),
    "ROS-norm": ("ROS-norm ↓", "ROS-norm"),
    "ROAD-AOPC": ("ROAD-AOPC ↑", "ROAD-AOPC"),
    "ROAD-AOPC of a random map (control)": ("… of a random map (control)", ""),
}
UNSEEN = {
    "SSIM, mean of held-out perturbations": ("SSIM, held-out perturbations ↑", "SSIM, held-out perturbations"),
    "Top-k intersection, top-k attack": ("Top-k intersection under attack ↑", "Top-k intersection under attack"),
    "SSIM with the map of another seed": ("SSIM with the map of another seed ↑", "SSIM with another seed"),
    "DiffROAD, mean of levels": ("DiffROAD ↑", "DiffROAD, mean of levels"),
    "Precision at the attended or relevant pixels": (
        "Precision at the known pixels ↑",
        "Precision at the known pixels",
    ),
    "Energy inside the attention map": ("Energy inside the relevant quadrant ↑", ""),
    "Pointing game": ("Largest entry inside the relevant quadrant ↑", ""),
    "Cosine with the map of another image (control)": ("Cosine with the map of another image (control)", ""),
}
"""Rows of the presets' tables: label of the number, how the page calls it, and how the presets' claims call it."""


def presets(*columns: tuple[str, str, str]) -> list[str]:
    """Mean ± standard deviation over seeds; `columns` are (heading, file, arm). Bold: certainly above A and G."""
    found = [(heading, *_arm(file, arm)) for heading, file, arm in columns]
    lines = [_row("", *(heading for heading, *_ in found)), _row("---", *["---:"] * len(found))]
    for rows in (HEADLINE, UNSEEN):
        told = {label: [_told(label, claim, *one[1:]) for one in found] for label, (_, claim) in rows.items()}
        lines += [_row(rows[label][0], *cells) for label, cells in told.items() if any(cells)]
        lines += [_row("*never seen in training:*", *[""] * len(found))] if rows is HEADLINE else []
    return lines


def _arm(file: str, arm: str) -> tuple[dict[str, Any], dict[str, str]]:
    """An arm's numbers by label, and its preset's comparisons with their verdicts."""
    (setting,) = results()[file]["settings"]
    (told,) = (one for one in setting["arms"] if one["name"] == arm)
    parts = [part for one in setting["relations"] if one["key"][0] == "P" for part in one["parts"]]
    verdicts = {part["claim"].split(", Holm")[0]: part["verdict"] for part in parts}
    wins = {claim: verdict for claim, verdict in verdicts.items() if f": {arm} better than" in claim}
    return told["numbers"] | told["maps"]["Gradient"], wins


def _told(label: str, claim: str, numbers: dict[str, Any], wins: dict[str, str]) -> str:
    if label not in numbers:
        return ""
    one = numbers[label]
    decimals = (0 if one["value"] >= 100 else 1) if one["decimals"] is None else one["decimals"]
    cell = f"{mean(one['by_seed']):.{decimals}f} ± {stdev(one['by_seed']):.{decimals}f}"
    won = [verdict == "holds" for name, verdict in wins.items() if claim and name.startswith(f"{claim}: ")]
    return f"**{cell}**" if won and all(won) else cell


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _arms(file: str, *arms: str) -> list[tuple[str, str, str]]:
    return [(arm, file, arm) for arm in arms]


FIVE, ABLATION = ("N", "A", "G", "P", "PN"), "NS"
MINI, KNOWN = "presets-fashion-mnist-mini", "presets-block-fashion"
FULL, RETUNED = "presets-fashion-mnist", "presets-fashion-mnist-retuned"
PAGES: dict[str, dict[str, Callable[[], list[str]]]] = {
    "claims.md": {
        "counted": counted,
        "settings": listed,
        "T3S": lambda: claims("T3S"),
        "NRAT": lambda: claims("NRAT"),
        "T2E": lambda: claims("T2E"),
        "ours": lambda: claims("ours"),
        "replicates": replicates,
        "study": study,
    },
    "presets.md": {
        "mini": lambda: presets(*_arms(MINI, *FIVE, ABLATION)),
        "full": lambda: presets(*_arms(FULL, *FIVE, ABLATION)),
        "retuned": lambda: presets(*_arms(RETUNED, "A", "G"), ("P′", RETUNED, "P")),
        "known": lambda: presets(*_arms(KNOWN, *FIVE, ABLATION)),
    },
    "../README.md": {"mini": lambda: presets(*_arms(MINI, *FIVE))},
}
"""Pages, and what fills their marked parts."""


def filled(page: str) -> str:
    """The page with every marked part made anew."""
    parts, text = PAGES[page], (DOCS / page).read_text(encoding="utf-8")
    return PART.sub(lambda found: f"{found[1]}\n" + "\n".join(parts[found[2]]()) + f"\n\n{found[3]}", text)


def main() -> None:
    """Write or check."""
    for page in PAGES:
        path = DOCS / page
        if "--check" not in sys.argv[1:]:
            path.write_text(filled(page), encoding="utf-8")
        elif path.read_text(encoding="utf-8") != filled(page):
            sys.exit(f"{path.resolve().relative_to(DOCS.parent)} is out of date: run this script")


if __name__ == "__main__":
    main()
