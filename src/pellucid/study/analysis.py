"""The analysis of a study: blinded, or by the frozen plan once the key is opened."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import BadInput, unknown_name
from pellucid.files import write_json
from pellucid.statistics.multiple import holm
from pellucid.study.exclusions import Excluded, Row, exclude
from pellucid.study.key import key_path, open_key
from pellucid.study.plan import CHOICE, UNSEALED, Plan, digest, read_plan
from pellucid.study.preference import analyse_choices
from pellucid.study.protocol import Study, read_study
from pellucid.study.rating_analysis import Contrasts, analyse_ratings
from pellucid.study.table import Key, choices, models_of, ratings, reasons

NOTES = {
    "as_published": "As in the paper: Wilcoxon's signed-rank test over all (participant, image) pairs and one-way "
    "ANOVA over all ratings. Both take the answers of one person as independent of each other, which they are not.",
    "repeated_measures": "One number a participant: the mean over the images rated under every model. Wilcoxon's "
    "signed-rank test (exact up to 50 participants that differ), Holm's correction over the family of the plan.",
    "intervals": "95 % percentile bootstrap intervals over participants, not corrected for the number of contrasts.",
}


def unseal(study: Path, key: Path | None = None) -> dict[str, str]:
    """The model behind each stimulus. Opens the key only after the plan is frozen, and records the first time.

    Parameters
    ----------
    study
        The study's folder.
    key
        Where its key lies; beside the folder if absent.

    Raises
    ------
    BadInput
        If there is no frozen plan, it was changed, it belongs to another study, or the key is not this study's.
    """
    plan, sha = read_plan(study)
    public = read_study(study)
    if plan.key_sha256 != public.key_sha256:
        raise BadInput(f"the plan in {study} was frozen for another study: it names another key")
    opened = open_key(key or key_path(study), public.key_sha256)
    if not (study / UNSEALED).exists():
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(study / UNSEALED, {"opened_at": now, "plan_sha256": sha})
    return {name: sealed.model for name, sealed in opened.stimuli.items()}


def analyse(study: Study, plan: Plan, key: Key, answers: Sequence[Row], participants: Sequence[Row]) -> dict[str, Any]:
    """All numbers of the unsealed analysis, for JSON, the report and the R script.

    Parameters
    ----------
    study, plan
        What was asked, and what was decided about the answers before the key was opened.
    key
        The model behind each stimulus.
    answers, participants
        Rows of the export.

    Raises
    ------
    BadInput
        If the plan names a model or question that the study has not, or a row is damaged.
    """
    rated = {name: key[name] for item in study.images for name in item.orders[0] if name in key}
    models = models_of(rated)
    contrasts = _contrasts(plan, models)
    ledger = exclude(answers, participants, plan.exclusions)
    kept = _kept(participants, ledger)
    expected = {model: len(kept) * count for model, count in Counter(rated.values()).items()}
    questions = {
        one.id: {"text": one.text} | analyse_ratings(ratings(answers, one.id, rated, kept), expected, contrasts, plan)
        for one in study.questions
    }
    preference = analyse_choices(choices(answers, rated, kept), models, contrasts, plan)
    preference["reasons"] = reasons(answers, rated, kept)
    _correct(questions, preference, plan)
    return {
        "format": 1,
        "title": study.title,
        "unsealed": True,
        "plan": plan.model_dump(mode="json") | {"sha256": digest(plan.model_dump(mode="json"))},
        "models": models,
        "participants": _flow(participants, ledger, kept),
        "ledger": [asdict(one) for one in ledger],
        "questions": questions,
        "preference": preference,
        "notes": NOTES,
    }


def blinded(study: Study, plan: Plan | None, answers: Sequence[Row], participants: Sequence[Row]) -> dict[str, Any]:
    """Counts that no condition can be read from: what may be looked at while the key is sealed.

    With a frozen plan its exclusions are applied, too.
    """
    ledger = exclude(answers, participants, plan.exclusions) if plan else []
    kept = _kept(participants, ledger)
    people = set(kept)
    mine = [row for row in answers if row["participant"] in people]
    per_person = {"rating": study.conditions * len(study.images), CHOICE: len(study.images)}
    counted = {}
    for question in (*(one.id for one in study.questions), CHOICE):
        block = CHOICE if question == CHOICE else "rating"
        found = sum(row["block"] == block and row["question"] == question for row in mine)
        counted[question] = {"answers": found, "missing": len(kept) * per_person[block] - found}
    return {
        "format": 1,
        "title": study.title,
        "unsealed": False,
        "plan": None if plan is None else {"sha256": digest(plan.model_dump(mode="json"))},
        "conditions": study.conditions,
        "participants": _flow(participants, ledger, kept),
        "ledger": [asdict(one) for one in ledger],
        "answers": counted,
    }


def _contrasts(plan: Plan, models: list[str]) -> Contrasts:
    """The plan's contrasts; else all pairs, the later model first (G against N), in the usual order."""
    for name in (name for pair in plan.contrasts for name in pair):
        if name not in models:
            raise unknown_name("model in the plan's contrasts", name, models)
    return plan.contrasts or [(second, first) for first, second in combinations(models, 2)]


def _kept(participants: Sequence[Row], ledger: Sequence[Excluded]) -> list[str]:
    out = {one.participant for one in ledger}
    return [row["participant"] for row in participants if row["participant"] not in out]


def _flow(participants: Sequence[Row], ledger: Sequence[Excluded], kept: Sequence[str]) -> dict[str, Any]:
    finished = sum(row.get("state") == "finished" for row in participants)
    by_rule = dict(Counter(one.rule for one in ledger))
    return {
        "entered": len(participants),
        "finished": finished,
        "excluded": by_rule,
        "analysed": len(kept),
        "kept": list(kept),
    }


def _correct(questions: Mapping[str, Any], preference: Mapping[str, Any], plan: Plan) -> None:
    """Holm's p over the contrasts of all questions of the plan."""
    tables = {name: found["repeated_measures"] for name, found in questions.items()}
    tables[CHOICE] = preference["participants"]
    for name in plan.questions:
        if name not in tables:
            raise unknown_name("question in the plan", name, tables)
    family = [row for name in plan.questions for row in tables[name]["contrasts"]]
    for row, p in zip(family, holm(np.array([row["p"] for row in family])), strict=True):
        row["in_family"], row["p_holm"] = True, float(p)
        row["significant"] = bool(p < plan.alpha)
