"""Answers and participants as plain rows, and as files."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pellucid.files import write_atomic
from pellucid.study.answering import latest
from pellucid.study.design import Trial
from pellucid.study.participants import stage_of
from pellucid.study.protocol import PARTICIPANT_COLUMNS, Study
from pellucid.study.store import Answer, Participant, Store

ANSWERS = (
    "participant",
    "block",
    "trial",
    "image",
    "stimulus",
    "shown",
    "question",
    "value",
    "expected",
    "reason",
    "milliseconds",
    "answered_at",
)
Row = dict[str, Any]


def rows(database: Store) -> tuple[list[Row], list[Row]]:
    """All valid answers, one row for each participant, trial and question; and all participants who agreed."""
    answers: list[Row] = []
    people: list[Row] = []
    for person, given in _everything(database):
        people.append(_participant_row(person))
        for trial, answer in sorted(latest(given).items()):
            answers += _answer_rows(person, trial, answer)
    return answers, people


def history(database: Store) -> dict[str, list[Row]]:
    """Every answer as it arrived, by participant, in the order of arrival."""
    found = {}
    for person, given in _everything(database):
        found[person.code] = [
            {
                "trial": answer.trial,
                "values": answer.values,
                "reason": answer.reason,
                "milliseconds": answer.milliseconds,
                "answered_at": _iso(answer.saved_at),
            }
            for answer in given
        ]
    return found


def _everything(database: Store) -> list[tuple[Participant, list[Answer]]]:
    with database.reading() as session:
        took_part = Participant.consented_at.is_not(None) | Participant.forgotten_at.is_not(None)
        people = session.scalars(select(Participant).where(took_part).order_by(Participant.id)).all()
        given: dict[int, list[Answer]] = {person.id: [] for person in people}
        for answer in session.scalars(select(Answer).order_by(Answer.id)):
            if answer.participant_id in given:
                given[answer.participant_id].append(answer)
        session.expunge_all()
    return [(person, given[person.id]) for person in people]


def _answer_rows(person: Participant, place: int, answer: Answer) -> list[Row]:
    trial = Trial.model_validate((person.trials or [])[place])
    return [
        {
            "participant": person.code,
            "block": trial.block,
            "trial": place,
            "image": trial.image,
            "stimulus": _stimulus(trial, value),
            "shown": "|".join(trial.shown) if trial.block == "choice" else "",
            "question": question,
            "value": value,
            "expected": "" if trial.expected is None else trial.expected,
            "reason": answer.reason,
            "milliseconds": answer.milliseconds,
            "answered_at": _iso(answer.saved_at),
        }
        for question, value in answer.values.items()
    ]


def _stimulus(trial: Trial, value: int) -> str:
    if trial.block == "choice":
        return trial.shown[value - 1]
    return trial.shown[0] if trial.shown else ""


def _participant_row(person: Participant) -> Row:
    stage = stage_of(person)
    return {
        "participant": person.code,
        "state": {"done": "finished", "forgotten": "forgotten"}.get(stage, "open"),
        "cell": "" if person.cell is None else person.cell,
        "started_at": _iso(person.consented_at),
        "finished_at": _iso(person.finished_at),
        "external_id": person.external or "",
        "user_agent_class": person.device,
        **(person.demographics or {}),
    }


def _iso(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def files(database: Store, study: Study, *, anonymous: bool) -> dict[str, str]:
    """The content of answers.csv, participants.csv and answers.json by file name.

    Anonymous files have no external id, no free text about the person, dates without the time of day, and codes that
    are only numbers in an order of their own.
    """
    answers, people = rows(database)
    past = history(database)
    if anonymous:
        names = {person["participant"]: f"A-{number:04d}" for number, person in enumerate(_mixed(people), start=1)}
        answers = [_day_only(row | {"participant": names[row["participant"]]}, "answered_at") for row in answers]
        people = [_anonymous(row, names, study) for row in people]
        past = {names[code]: [_day_only(row, "answered_at") for row in given] for code, given in past.items()}
        answers.sort(key=lambda row: (row["participant"], row["trial"]))
        people.sort(key=lambda row: row["participant"])
        past = dict(sorted(past.items()))
    columns = [name for name in PARTICIPANT_COLUMNS if not (anonymous and name == "external_id")]
    columns += [field.id for field in study.demographics if not (anonymous and field.kind == "text")]
    content = {"study": study.title, "key_sha256": study.key_sha256, "participants": people, "answers": answers}
    return {
        "answers.csv": _csv(ANSWERS, answers),
        "participants.csv": _csv(columns, people),
        "answers.json": json.dumps(content | {"history": past}, ensure_ascii=False, indent=1) + "\n",
    }


def export(database: Store, study: Study, folder: Path, *, anonymous: bool = False) -> list[Path]:
    """Write the files into `folder`; their paths. Only their owner may read them."""
    written = []
    for name, content in files(database, study, anonymous=anonymous).items():
        write_atomic(folder / name, content)
        (folder / name).chmod(0o600)
        written.append(folder / name)
    return written


def _mixed(people: Sequence[Row]) -> list[Row]:
    """People in the order of their codes, which are random: not that of arrival."""
    return sorted(people, key=lambda person: str(person["participant"]))


def _anonymous(row: Row, names: Mapping[str, str], study: Study) -> Row:
    spoken = {field.id for field in study.demographics if field.kind == "text"}
    kept = {key: value for key, value in row.items() if key != "external_id" and key not in spoken}
    return _day_only(kept | {"participant": names[row["participant"]]}, "started_at", "finished_at")


def _day_only(row: Row, *columns: str) -> Row:
    return row | {column: str(row[column])[:10] for column in columns}


def _csv(columns: Sequence[str], table: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _harmless(value) for key, value in row.items()} for row in table)
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front; answers.json has it as it was."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
