"""An R script that computes the analysis once more from the exported answers, and our numbers in the names it uses."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.study.plan import CHOICE
from pellucid.study.table import Key
from pellucid.study.templating import render_text


def r_script(result: Mapping[str, Any], kept: Sequence[str]) -> str:
    """The script for an unsealed analysis of the participants `kept`."""
    contrasts = _contrasts(result)
    return render_text(
        "analysis.R.jinja",
        title=" ".join(str(result["title"]).split()),
        models=_vector(result["models"]),
        questions=_vector(list(result["questions"])),
        family=_vector(result["plan"]["questions"]),
        first=_vector([first for first, _ in contrasts]),
        second=_vector([second for _, second in contrasts]),
        kept=_vector(kept),
    )


def stimuli_csv(key: Key) -> str:
    """The opened key as the script reads it: stimulus, model."""
    return _csv([("stimulus", "model"), *sorted(key.items())])


def numbers_csv(result: Mapping[str, Any]) -> str:
    """The numbers that the script computes, too, as name and value; NA where undefined."""
    rows = [(name, "NA" if math.isnan(value) else repr(float(value))) for name, value in numbers(result).items()]
    return _csv([("name", "value"), *rows])


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Everything that R can be asked for, by its name in the script."""
    found: dict[str, float] = {}
    for question, tables in result["questions"].items():
        found |= _of_question(question, tables)
    preference = result["preference"]
    for row in preference["shares"]:
        where = f"{CHOICE}/{row['model']}"
        found |= {f"{where}/share": row["share"]["value"], f"{where}/p": row["p"], f"{where}/p_holm": row["p_holm"]}
    found |= {f"{CHOICE}/{name}": preference["independent"][name] for name in ("chi2", "p")}
    return found | _of_participants(CHOICE, preference["participants"])


def _of_question(question: str, tables: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in tables["descriptive"]:
        where = f"{question}/descriptive/{row['model']}"
        found |= {f"{where}/{name}": row[name] for name in ("n", "sd", "median")} | {
            f"{where}/mean": row["mean"]["value"]
        }
        found |= {f"{where}/{point}": count for point, count in enumerate(row["distribution"], start=1)}
    for row in tables["as_published"]["wilcoxon_over_pairs"]:
        found |= {f"{question}/pairs/{_name(row)}/{name}": row[name] for name in ("statistic", "p")}
    found |= {f"{question}/anova/{name}": tables["as_published"]["anova"][name] for name in ("f", "p")}
    for row in tables["ordinal_model"]["contrasts"]:
        found |= {f"{question}/ordinal/{_name(row)}/{name}": row[name] for name in ("log_odds_ratio", "se")}
    found[f"{question}/alpha"] = tables["agreement"]["krippendorff_alpha"]["value"]
    return found | _of_participants(question, tables["repeated_measures"])


def _of_participants(name: str, table: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {f"{name}/friedman/{one}": table["friedman"][one] for one in ("chi2", "p", "w")}
    for row in table["contrasts"]:
        where = f"{name}/participants/{_name(row)}"
        found |= {f"{where}/{one}": row[one] for one in ("statistic", "p")}
        found |= {f"{where}/{one}": row[one]["value"] for one in ("mean_difference", "rank_biserial")}
        if row["cliffs_delta"] is not None:
            found[f"{where}/cliffs_delta"] = row["cliffs_delta"]["value"]
        if row["in_family"]:
            found[f"{where}/p_holm"] = row["p_holm"]
    return found


def _contrasts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(row["first"], row["second"]) for row in result["preference"]["participants"]["contrasts"]]


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['first']}-{row['second']}"


def _vector(texts: Sequence[str]) -> str:
    """An R character vector; whatever a name holds stays inside its quotes."""
    return f"c({', '.join(_quoted(text) for text in texts)})" if texts else "character(0)"


def _quoted(text: str) -> str:
    marks = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": ""}
    return f'"{"".join(marks.get(mark, mark) for mark in text)}"'


def _csv(rows: Sequence[tuple[str, str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
