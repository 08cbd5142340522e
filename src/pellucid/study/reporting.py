"""The analysis as files: JSON, an offline HTML report with figures, and what R needs to compute it again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pellucid.files import write_atomic, write_json
from pellucid.study.audit import audit
from pellucid.study.audit import sentences as audit_sentences
from pellucid.study.protocol import Study
from pellucid.study.r_script import numbers_csv, r_script, stimuli_csv
from pellucid.study.sentences import LIMITS, RULES, participants_sentence, sentences
from pellucid.study.table import Key
from pellucid.study.templating import render


def write_analysis(result: Mapping[str, Any], study: Study, key: Key, exported: Mapping[str, str], out: Path) -> Path:
    """Write the unsealed analysis into `out`: index.html, analysis.json, figures/, and analysis.R with its tables.

    Parameters
    ----------
    result
        Of :func:`pellucid.study.analysis.analyse`.
    exported
        Files of the export by name, of which answers.csv is for R.

    Returns
    -------
    Path
        The page, which is written last and needs no other file.
    """
    from pellucid.report.figures.style import embedded  # noqa: PLC0415 (matplotlib waits)
    from pellucid.study.figures import draw_all  # noqa: PLC0415

    pictures = draw_all(result, study.scale)
    files: dict[str, str | bytes] = {
        "analysis.R": r_script(result, result["participants"]["kept"]),
        "numbers.csv": numbers_csv(result),
        "stimuli.csv": stimuli_csv(key),
        "answers.csv": exported["answers.csv"],
    }
    for picture in pictures:
        files |= {f"figures/{picture.name}.svg": picture.svg, f"figures/{picture.name}.pdf": picture.pdf}
    for name, content in files.items():
        write_atomic(out / name, content)
    (out / "answers.csv").chmod(0o600)  # holds what participants wrote
    write_json(out / "analysis.json", result)
    page = render(
        "analysis.html.jinja",
        result=result,
        scale=study.scale,
        sentences=sentences(result),
        rules=RULES,
        limits=LIMITS,
        pictures={picture.name: picture for picture in pictures},
        svg={picture.name: Markup(embedded(picture)) for picture in pictures},  # made here, its texts are outlines
        audit=audit_sentences(audit()),
    )
    write_atomic(out / "index.html", page)
    return out / "index.html"


def blinded_lines(result: Mapping[str, Any]) -> list[str]:
    """The blinded counts for the terminal."""
    lines = [f"{result['title']}: blinded, {result['conditions']} conditions", participants_sentence(result)]
    lines += [
        f"{question}: {found['answers']} answers, {found['missing']} missing"
        for question, found in result["answers"].items()
    ]
    return [*lines, *_ledger_lines(result["ledger"])]


def _ledger_lines(ledger: Sequence[Mapping[str, str]]) -> list[str]:
    return [f"left out: {one['participant']}, {one['why']} (rule {one['rule']})" for one in ledger]
