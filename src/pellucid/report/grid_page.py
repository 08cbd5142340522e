"""The page of a grid's report: one offline HTML file, with one small script that filters the table of runs."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from markupsafe import Markup

from pellucid.report import figures
from pellucid.report.arms import Arm
from pellucid.report.comparisons import Comparison
from pellucid.report.facts import Fact, config_differences
from pellucid.report.figures.style import embedded, page_colour, series
from pellucid.report.grid import Part
from pellucid.report.grid_sheets import (
    AGREEMENT_NOTE,
    TESTS_NOTE,
    UNDEFINED_NOTE,
    comparison_sheet,
    driver_sheet,
    drivers_sentence,
)
from pellucid.report.html import Setting, setting_of
from pellucid.report.matched import Matched
from pellucid.report.methods import methods
from pellucid.report.sheets import Thumbnail, sheet_html
from pellucid.report.tables import to_html
from pellucid.report.templating import render, source
from pellucid.report.thumbnails import thumbnail_style
from pellucid.report.verdicts import MARKS


@dataclass(frozen=True)
class Pair:
    """Two arms: how their configs differ, and what their numbers say."""

    names: tuple[str, str]
    config: list[Fact]
    comparisons: Markup
    sentence: str
    drivers: list[str]
    images: Markup
    shown: frozenset[Thumbnail]


@dataclass(frozen=True)
class Section:
    """What the page shows of one part, ready to be printed."""

    part: Part
    setting: Setting
    chips: list[tuple[Arm, str]]
    main: Markup
    every: Markup
    legacy: Markup | None
    headline: Markup
    pairs: list[Pair]
    sheets: dict[str, Markup]
    drivers: list[str]
    methods: list[str]
    thumbnails: Markup
    """The style rules that draw the images in the tables."""
    matched: list[tuple[Matched, Markup, Markup] | tuple[Matched, None, None]]
    """Each comparison at equal terms, its table and its tests, where there are arms to compare."""


def to_grid_page(
    parts: Sequence[Part], *, pictures: Sequence[figures.Picture], files: Sequence[Path], absent: Sequence[str] = ()
) -> str:
    """The whole page. `files` are what lies beside it, relative to it; `absent` names the cells that are missing."""
    script = source("filter.js")
    return render(
        "grid.html.jinja",
        sections=[_section(part) for part in parts],
        pictures={picture.name: picture for picture in pictures},
        svg={picture.name: Markup(embedded(picture)) for picture in pictures},  # made here, its texts are outlines
        marks=MARKS,
        files=[str(path) for path in files],
        absent=absent,
        notes={"tests": TESTS_NOTE, "agreement": AGREEMENT_NOTE, "undefined": UNDEFINED_NOTE},
        script=Markup(script),  # our own file
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _section(part: Part) -> Section:
    colours = [page_colour(style["color"]) for style in series(part.arms)]
    rows = [row for row in part.clean.rows if not row.detail]
    pairs = [_pair(part, first, second) for first, second in combinations(part.arms, 2)]
    return Section(
        part=part,
        setting=setting_of(part.name, part.runs, part.arms),
        chips=list(zip(part.arms, colours, strict=True)),
        main=to_html(part.clean, rows),
        every=to_html(part.clean),
        legacy=None if part.legacy is None else to_html(part.legacy),
        headline=sheet_html(comparison_sheet(part.headline, f"headline{part.suffix}")),
        pairs=pairs,
        sheets={sheet.name: sheet_html(replace(sheet, name=f"{sheet.name}{part.suffix}")) for sheet in part.sheets},
        drivers=[drivers_sentence(one) for one in part.drivers],
        methods=methods(part.arms),
        thumbnails=thumbnail_style(frozenset().union(*(pair.shown for pair in pairs)), part.runs),
        matched=[
            (one, to_html(one.table), _tests(one, part.suffix)) if one.arms else (one, None, None)
            for one in part.at_equal_terms
        ],
    )


def _tests(one: Matched, suffix: str) -> Markup:
    return sheet_html(comparison_sheet(one.comparisons, f"{one.name}{suffix}"))


def _pair(part: Part, first: Arm, second: Arm) -> Pair:
    names = (second.name, first.name)
    found = [one for one in part.comparisons if (one.difference.first, one.difference.second) == names]
    table = comparison_sheet(found, f"pair-{part.arms.index(first)}-{part.arms.index(second)}{part.suffix}")
    vote = next((one for one in part.votes if {one.first, one.second} == set(names)), None)
    config = [fact for fact in config_differences([second.runs[0], first.runs[0]]) if fact.label not in {"seed", "arm"}]
    driving = part.drivers_of(second, first)
    images = replace(driver_sheet(driving, part.suffix), name=table.name.replace("pair", "pair-images"))
    shown = frozenset(entry for row in images.rows for entry in row if isinstance(entry, Thumbnail))
    sentence = _clear(found) if vote is None else vote.sentence
    told = [drivers_sentence(one) for one in driving]
    return Pair(names, config, sheet_html(table), sentence, told, sheet_html(images), shown)


def _clear(found: Sequence[Comparison]) -> str:
    return f"{sum(one.clear for one in found)} of {len(found)} numbers differ clearly."
