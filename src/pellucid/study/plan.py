"""The analysis plan, frozen before anyone may learn which model made which stimulus: STUDY/plan.json."""

import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pellucid.errors import BadInput, unknown_name
from pellucid.files import read_json, read_yaml
from pellucid.naming import first_problem
from pellucid.study.protocol import Study, read_study

PLAN, UNSEALED = "plan.json", "unsealed.json"
CHOICE = "choice"
"""What the side-by-side block is called among the questions."""


class _Fixed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Exclusions(_Fixed):
    """Who is left out, by rules that need no knowledge of the models. None switches a rule off.

    Attributes
    ----------
    unfinished
        Leave out who did not finish.
    failed_checks
        Leave out who failed more attention checks than this.
    median_seconds
        Leave out whose median time on a rated stimulus is shorter.
    same_share
        Leave out who gave one and the same rating at least this often, as a share of their ratings.
    duplicates
        Of several participants with one external id, keep the first.
    """

    unfinished: bool = True
    failed_checks: int | None = Field(default=0, ge=0)
    median_seconds: float | None = Field(default=1.5, ge=0)
    same_share: float | None = Field(default=1.0, gt=0, le=1)
    duplicates: bool = True


class Plan(_Fixed):
    """What will be computed from the answers, decided before the key is opened.

    Attributes
    ----------
    key_sha256
        The study's sealed key, so that a plan cannot be moved to another one.
    questions
        Questions of the confirmatory family; the choice between models is called "choice".
    contrasts
        Pairs of models; empty: all pairs.
    alpha, correction
        Family-wise error over all contrasts of all questions, kept by Holm's procedure.
    resamples, seed
        Of the bootstrap over participants.
    """

    format: int = 1
    key_sha256: str
    frozen_at: str
    questions: tuple[str, ...]
    contrasts: tuple[tuple[str, str], ...] = ()
    alpha: float = Field(default=0.05, gt=0, lt=1)
    correction: str = Field(default="holm", pattern="^holm$")
    test: str = (
        "Wilcoxon's signed-rank test over participants on their mean ratings (on their shares of choices), two-sided"
    )
    exclusions: Exclusions = Exclusions()
    resamples: int = Field(default=2000, ge=100)
    seed: int = Field(default=0, ge=0)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value (sorted keys, no spaces)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def freeze(study: Path, choices: dict[str, Any], *, now: datetime | None = None) -> tuple[Plan, str]:
    """Write STUDY/plan.json and never change it again.

    Parameters
    ----------
    study
        The study's folder.
    choices
        What differs from the defaults of :class:`Plan`. The questions are the study's, if not given.

    Returns
    -------
    Plan, str
        The plan and its SHA-256, which one may publish. The same choices again give the plan that is there.

    Raises
    ------
    BadInput
        If a choice is wrong, another plan is frozen already, or the key was opened before.
    """
    public = read_study(study)
    given = {"questions": (*(question.id for question in public.questions), CHOICE)} | choices
    _check_names(given, public)
    stamp = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    plan = _checked({**given, "key_sha256": public.key_sha256, "frozen_at": stamp}, "the plan")
    if (study / PLAN).exists():
        there, sha = read_plan(study)
        if there.model_dump(exclude={"frozen_at"}) == plan.model_dump(exclude={"frozen_at"}):
            return there, sha
        raise BadInput(
            f"{study / PLAN} was frozen on {there.frozen_at} and differs; a frozen plan stays as it is: report what "
            "you would now do otherwise as an exploratory analysis"
        )
    if (study / UNSEALED).exists():
        raise BadInput(f"the key of {study} was opened before; a plan can no longer be frozen")
    plain = plan.model_dump(mode="json")
    _write_once(study / PLAN, json.dumps(plain | {"sha256": digest(plain)}, indent=2, ensure_ascii=False) + "\n")
    return plan, digest(plain)


def read_plan(study: Path) -> tuple[Plan, str]:
    """The frozen plan and its SHA-256. Raises BadInput if there is none or it was changed after it was frozen."""
    path = study / PLAN
    if not path.exists():
        raise BadInput(f"{study} has no frozen analysis plan; make one with pellucid study freeze {study}")
    plain = read_json(path)
    if not isinstance(plain, dict) or not isinstance(plain.get("sha256"), str):
        raise BadInput(f"{path} is damaged or not an analysis plan")
    sha = plain.pop("sha256")
    if digest(plain) != sha:
        raise BadInput(f"{path} was changed after it was frozen: its contents do not have the hash that it names")
    return _checked(plain, str(path)), sha


def read_choices(path: Path | None) -> dict[str, Any]:
    """What a YAML file says differently from the default plan; nothing without a file."""
    if path is None:
        return {}
    found = read_yaml(path)
    if not isinstance(found, dict | None):
        raise BadInput(f"{path} should hold the keys of a plan, as in: alpha: 0.01")
    fixed = [key for key in found or {} if key in {"key_sha256", "frozen_at", "format"}]
    if fixed:
        raise BadInput(f"{path}: '{fixed[0]}' is set when the plan is frozen")
    return found or {}


def _check_names(given: dict[str, Any], study: Study) -> None:
    """Questions exist, and contrasts are of two different models, each pair once."""
    known = [*(question.id for question in study.questions), CHOICE]
    for name in given["questions"] or ():
        if name not in known:
            raise unknown_name("question in the plan", name, known)
    pairs = [tuple(pair) for pair in given.get("contrasts") or ()]
    if any(len(set(pair)) != 2 for pair in pairs) or len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise BadInput("the plan's contrasts must be pairs of two different models, and each pair may stand there once")


def _checked(given: dict[str, Any], where: str) -> Plan:
    try:
        return Plan.model_validate(given)
    except ValidationError as error:
        raise BadInput(f"{where}: {first_problem(error)}") from error


def _write_once(path: Path, text: str) -> None:
    """Write a file whole, unless there is one already: two people cannot freeze two plans at the same moment."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o444)
        os.link(temporary, path)
    except FileExistsError as error:
        raise BadInput(f"{path} was frozen by somebody else just now") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
