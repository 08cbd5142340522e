"""The report as one offline HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from pellucid.report import figures
from pellucid.report.arms import Column
from pellucid.report.facts import config_differences, measurement_facts, provenance_facts
from pellucid.report.figures.style import embedded
from pellucid.report.published import published_sheet
from pellucid.report.relation import Relation
from pellucid.report.relations import relations, settings
from pellucid.report.results import ResultTable
from pellucid.report.runs import Run
from pellucid.report.sheets import sheet_html
from pellucid.report.summary import headline, tally, warnings
from pellucid.report.tables import to_html
from pellucid.report.templating import render
from pellucid.report.verdicts import MARKS


@dataclass(frozen=True)
class Setting:
    """Runs that may be compared with each other, what they say in words, and the relations judged on them."""

    name: str
    data: str
    headline: list[str]
    warnings: list[str]
    relations: list[tuple[Relation, list[Relation]]]
    tally: str
    caveats: list[str]
    published: Markup | None


def to_page(
    runs: Sequence[Run],
    *,
    clean: ResultTable,
    legacy: ResultTable | None,
    pictures: Sequence[figures.Picture],
    files: Sequence[Path],
    absent: Sequence[str] = (),
) -> str:
    """The whole page. `files` are what lies beside it, relative to it; `absent` names a grid's missing cells."""
    return render(
        "report.html.jinja",
        runs=runs,
        settings=[setting_of(name, members, members) for name, members in settings(runs)],
        clean_main=to_html(clean, [row for row in clean.rows if not row.detail]),
        clean_all=to_html(clean),
        clean=clean,
        legacy=legacy,
        legacy_all=None if legacy is None else to_html(legacy),
        pictures={picture.name: picture for picture in pictures},
        svg={picture.name: Markup(embedded(picture)) for picture in pictures},  # made here, its texts are outlines
        measurement=measurement_facts(runs),
        provenance=provenance_facts(runs),
        differences=config_differences(runs),
        marks=MARKS,
        files=[str(path) for path in files],
        absent=absent,
    )


def setting_of(name: str, runs: Sequence[Run], columns: Sequence[Column]) -> Setting:
    """What the runs of one setting say: sentences about the columns, and relations over all runs."""
    found = relations(runs)
    firsts = {relation.key: relation for relation in reversed(found)}
    grouped = [
        (firsts[key], [one for one in found if one.key == key]) for key in dict.fromkeys(one.key for one in found)
    ]
    caveats = list(dict.fromkeys(one.caveat for one in found if one.caveat))
    sheet = published_sheet(runs)
    return Setting(
        name,
        runs[0].setting[0],
        headline(columns),
        warnings(columns),
        grouped,
        tally(found),
        caveats,
        None if sheet is None else sheet_html(sheet),
    )
