"""Answers in SQLite and in PostgreSQL: kept once, in order, with their history, and gone when forgotten."""

import random
import secrets
import sqlite3
import stat
import threading
import time
from collections import Counter

import pytest
from tiny_study import NOW

from pellucid.errors import BadInput
from pellucid.study import exporting, participants
from pellucid.study.answering import Given, OutOfTurn, Refused, allowed, save
from pellucid.study.design import Trial
from pellucid.study.participants import NotLetIn, Unknown, Visit, agree, begin, describe, forget, invite, let_in
from pellucid.study.progress import progress, set_state
from pellucid.study.store import Answer, Participant, database_url, open_store


@pytest.fixture
def store(folder, database):
    opened = open_store(folder, database)
    yield opened
    opened.close()


def key():
    return secrets.token_hex(16)


def enter(store, study, *, now=NOW, **visit):
    """Somebody who has read the instructions."""
    code = let_in(store, Visit(**visit), ticket=key(), now=now)
    describe(store, code, {"age": "25–34"}, now=now)
    begin(store, study, code, now=now)
    return code


def trials_of(store, code):
    with store.reading() as session:
        return [Trial.model_validate(trial) for trial in store.participant(session, code).trials]


def given(study, trial, place, value=3, **more):
    values = {question: min(value, most) for question, most in allowed(study, trial).items()}
    return Given(
        key=more.pop("key", None) or key(), trial=place, values=values, reason="so" * (trial.block == "choice"), **more
    )


def answer_all(store, study, code, *, value=3, now=NOW):
    for place, trial in enumerate(trials_of(store, code)):
        saved = save(store, study, code, given(study, trial, place, value), now=now)
    return saved


def everything(store):
    with store.reading() as session:
        return [(answer.trial, dict(answer.values)) for answer in session.query(Answer).order_by(Answer.id)]


def test_an_answer_sent_again_is_one_answer(store, study):
    code = enter(store, study)
    first = given(study, trials_of(store, code)[0], 0)
    for _ in range(3):
        assert save(store, study, code, first, now=NOW).answered == 1
    assert everything(store) == [(0, {"sufficiency": 3, "trust": 3})]


def test_two_tabs_give_one_answer_and_keep_the_other_as_history(store, study):
    code = enter(store, study)
    trial = trials_of(store, code)[0]
    early, late = given(study, trial, 0, 4), given(study, trial, 0, 2)
    save(store, study, code, early, now=NOW)
    save(store, study, code, late, now=NOW + 1)
    save(store, study, code, early, now=NOW + 2)  # a retry of the first tab does not bring its answer back
    answers, _ = exporting.rows(store)
    assert [(row["question"], row["value"]) for row in answers] == [("sufficiency", 2), ("trust", 2)]
    assert [row["values"]["trust"] for row in exporting.history(store)[code]] == [4, 2]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_sent_again_in_whatever_order_each_trial_has_its_last_new_answer(store, study, seed):
    rng = random.Random(seed)
    code = enter(store, study)
    trials = trials_of(store, code)
    sent, last = [], {}
    while len(last) < len(trials):
        kind = rng.choice(["next", "next", "again", "change", "ahead"])
        if kind == "again" and sent:
            save(store, study, code, rng.choice(sent), now=NOW)
            continue
        place = (
            len(last) + 1 if kind == "ahead" else rng.randrange(len(last)) if kind == "change" and last else len(last)
        )
        if place > len(last):
            with pytest.raises(OutOfTurn):
                save(store, study, code, given(study, trials[min(place, len(trials) - 1)], place), now=NOW)
            continue
        answer = given(study, trials[place], place, rng.randint(1, 3))
        assert save(store, study, code, answer, now=NOW).answered == max(place + 1, len(last))
        sent.append(answer)
        last[place] = answer.values
    answers, people = exporting.rows(store)
    found = {}
    for row in answers:
        found.setdefault(row["trial"], {})[row["question"]] = row["value"]
    assert found == last
    assert len(everything(store)) == len(sent)
    assert people[0]["state"] == "finished"


def test_wrong_answers_change_nothing(store, study):
    code = enter(store, study)
    trials = trials_of(store, code)
    rating = given(study, trials[0], 0)
    wrong = [
        {"values": {"sufficiency": 0, "trust": 3}},
        {"values": {"sufficiency": 6, "trust": 3}},
        {"values": {"sufficiency": 3}},
        {"values": {"sufficiency": 3, "trust": 3, "more": 1}},
        {"values": {"choice": 1}},
        {"reason": "nobody asked"},
    ]
    for change in wrong:
        with pytest.raises(Refused):
            save(store, study, code, rating.model_copy(update=change), now=NOW)
    for place in (1, 5, 1000):
        with pytest.raises(OutOfTurn):
            save(store, study, code, rating.model_copy(update={"trial": place}), now=NOW)
    assert everything(store) == []


def test_a_choice_needs_a_reason_and_a_place_on_the_screen(store, study):
    code = enter(store, study)
    trials = trials_of(store, code)
    place = next(place for place, trial in enumerate(trials) if trial.block == "choice")
    for number in range(place):
        save(store, study, code, given(study, trials[number], number), now=NOW)
    choice = given(study, trials[place], place)
    for change in ({"reason": ""}, {"values": {"choice": 4}}, {"values": {"choice": 0}}):
        with pytest.raises(Refused):
            save(store, study, code, choice.model_copy(update=change), now=NOW)
    assert save(store, study, code, choice, now=NOW).answered == place + 1


def test_the_session_ends_with_the_last_answer_and_takes_no_other(store, study):
    code = enter(store, study)
    trials = trials_of(store, code)
    for place, trial in enumerate(trials):
        with store.reading() as session:
            assert store.participant(session, code).finished_at is None
        last = given(study, trial, place)
        save(store, study, code, last, now=NOW + place)
    with store.reading() as session:
        assert store.participant(session, code).finished_at == NOW + len(trials) - 1
    assert save(store, study, code, last, now=NOW).answered == len(trials)  # the acknowledgement was lost
    with pytest.raises(OutOfTurn, match="over"):
        save(store, study, code, given(study, trials[0], 0), now=NOW)


def test_nobody_answers_before_the_trials_have_begun(store, study):
    code = let_in(store, Visit(), ticket=key(), now=NOW)
    with pytest.raises(OutOfTurn, match="begun"):
        save(store, study, code, Given(key=key(), trial=0, values={"trust": 1}), now=NOW)
    with pytest.raises(Unknown):
        save(store, study, "P-00000000", Given(key=key(), trial=0, values={"trust": 1}), now=NOW)


def test_time_on_a_trial_is_no_longer_than_the_session(store, study):
    code = enter(store, study, now=NOW)
    save(store, study, code, given(study, trials_of(store, code)[0], 0, milliseconds=10**9), now=NOW + 2.5)
    assert exporting.rows(store)[0][0]["milliseconds"] == 2500


def test_many_at_once_lose_nothing_and_lock_nothing(store, study):
    codes = [enter(store, study) for _ in range(8)]
    problems = []

    def person(code):
        try:
            for place, trial in enumerate(trials_of(store, code)):
                answer = given(study, trial, place)
                again = threading.Thread(target=save, args=(store, study, code, answer), kwargs={"now": NOW})
                again.start()
                save(store, study, code, answer, now=NOW)
                again.join()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=person, args=(code,)) for code in codes]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert problems == []
    assert len(everything(store)) == sum(len(trials_of(store, code)) for code in codes)
    assert {row["state"] for row in exporting.rows(store)[1]} == {"finished"}


def test_one_bad_answer_does_not_spoil_those_that_are_saved_with_it(folder, study):
    store = open_store(folder)
    codes = [enter(store, study) for _ in range(6)]
    good = {code: given(study, trials_of(store, code)[0], 0) for code in codes}
    outcome = {}

    def send(code, answer):
        try:
            save(store, study, code, answer, now=NOW)
            outcome[code] = "saved"
        except Refused:
            outcome[code] = "refused"

    bad = {code: answer.model_copy(update={"values": {"trust": 9}}) for code, answer in good.items()}
    threads = [threading.Thread(target=send, args=(c, (bad if n % 2 else good)[c])) for n, c in enumerate(codes)]
    with store.writing():  # all of them wait, so that they are saved together
        [thread.start() for thread in threads]
        while len(store._waiting) < len(codes):
            pass
    [thread.join() for thread in threads]
    assert [outcome[code] for code in codes] == ["saved", "refused"] * 3
    assert len(everything(store)) == 3


def test_a_failed_commit_is_reported_to_everybody(folder, study, monkeypatch):
    store = open_store(folder)
    code = enter(store, study)

    def broken():
        raise OSError("disk full")

    monkeypatch.setattr(store, "_transaction", broken)
    with pytest.raises(OSError, match="disk full"):
        save(store, study, code, given(study, Trial(block="rating"), 0), now=NOW)


def test_cells_are_filled_evenly_by_finished_sessions(store, study):
    """Some vanish; once they are known to be away, others take their places."""
    rng = random.Random(0)
    now = NOW
    finished = 0
    while finished < 20:
        now += 2 * participants.INACTIVE_AFTER
        wave = [enter(store, study, now=now) for _ in range(4)]
        for code in wave:
            if rng.random() < 0.6 and finished < 20:
                answer_all(store, study, code, now=now)
                finished += 1
    counts = Counter(row["cell"] for row in exporting.rows(store)[1] if row["state"] == "finished")
    assert max(counts.values()) - min(counts[cell] for cell in range(6)) <= 1


def test_those_who_begin_at_the_same_moment_get_different_cells(store, study):
    codes = [let_in(store, Visit(), ticket=key(), now=NOW) for _ in range(12)]
    for code in codes:
        describe(store, code, {}, now=NOW)
    threads = [threading.Thread(target=begin, args=(store, study, code), kwargs={"now": NOW}) for code in codes]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert Counter(row["cell"] for row in exporting.rows(store)[1]) == dict.fromkeys(range(6), 2)


def test_beginning_twice_changes_nothing(store, study):
    code = enter(store, study)
    before = trials_of(store, code)
    begin(store, study, code, now=NOW + 9)
    assert trials_of(store, code) == before


def test_pressing_twice_makes_one_participant(store):
    ticket = key()
    codes = set()
    threads = [
        threading.Thread(target=lambda: codes.add(let_in(store, Visit(), ticket=ticket, now=NOW))) for _ in range(5)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(codes) == 1
    assert len(exporting.rows(store)[1]) == 1


def test_an_external_id_comes_back_with_its_visit_only(store):
    code = let_in(store, Visit("pid", "visit-1"), ticket=key(), now=NOW)
    assert let_in(store, Visit("pid", "visit-1"), ticket=key(), now=NOW) == code
    for visit in (Visit("pid", "visit-2"), Visit("pid", None)):
        with pytest.raises(NotLetIn, match="twice"):
            let_in(store, visit, ticket=key(), now=NOW)
    nobody = let_in(store, Visit("other", None), ticket=key(), now=NOW)
    with pytest.raises(NotLetIn, match="twice"):
        let_in(store, Visit("other", None), ticket=key(), now=NOW)
    assert nobody != code


def test_the_open_link_has_a_limit_and_closing_keeps_newcomers_out(store, study):
    set_state(store, open_limit=2)
    first, second = (let_in(store, Visit(), ticket=key(), now=NOW) for _ in range(2))
    with pytest.raises(NotLetIn, match="full"):
        let_in(store, Visit(), ticket=key(), now=NOW)
    (invited,) = invite(store, 1, now=NOW)
    agree(store, invited, Visit(), now=NOW)  # a personal link is none of the open link's business
    set_state(store, open_limit=10, closed=True)
    with pytest.raises(NotLetIn, match="closed"):
        let_in(store, Visit(), ticket=key(), now=NOW)
    (late,) = invite(store, 1, now=NOW)
    with pytest.raises(NotLetIn, match="closed"):
        agree(store, late, Visit(), now=NOW)
    describe(store, first, {}, now=NOW)
    begin(store, study, first, now=NOW)
    answer_all(store, study, first)  # who has begun may finish
    assert {row["state"] for row in exporting.rows(store)[1]} == {"finished", "open"}
    assert second


def test_who_is_forgotten_leaves_a_code_and_nothing_else(store, study):
    code = enter(store, study, external="PROLIFIC-77", visit="V", device="phone")
    other = enter(store, study)
    answer_all(store, study, code)
    assert forget(store, "PROLIFIC-77", now=NOW + 5) == code
    answers, people = exporting.rows(store)
    assert answers == []
    gone = next(row for row in people if row["participant"] == code)
    assert {key: value for key, value in gone.items() if value not in ("", None)} == {
        "participant": code,
        "state": "forgotten",
    }
    with pytest.raises(Unknown):
        save(store, study, code, given(study, Trial(block="rating"), 0), now=NOW)
    with store.reading() as session:
        assert store.participant(session, other).trials
    with pytest.raises(BadInput, match="no participant 'nobody'"):
        forget(store, "nobody", now=NOW)


def test_what_is_forgotten_is_gone_from_the_file(folder, study):
    store = open_store(folder)
    code = enter(store, study, external="UNMISTAKABLE-EXTERNAL-ID")
    for place, trial in enumerate(trials_of(store, code)):
        answer = given(study, trial, place)
        reason = {"reason": "an unmistakable reason"} if trial.block == "choice" else {}
        save(store, study, code, answer.model_copy(update=reason), now=NOW)
    forget(store, code, now=NOW)
    store.close()
    raw = b"".join(path.read_bytes() for path in folder.glob("answers.db*"))
    assert b"UNMISTAKABLE" not in raw
    assert b"unmistakable" not in raw


def test_progress_counts_without_telling_models(store, study):
    done, going, failed = (enter(store, study) for _ in range(3))
    answer_all(store, study, done, value=5)
    for place, trial in enumerate(trials_of(store, failed)[:8]):
        save(store, study, failed, given(study, trial, place, 3), now=NOW)
    invite(store, 2, now=NOW)
    seen = progress(store, study, now=NOW + 60)
    assert seen.stages == {"finished": 1, "under way": 2, "invited": 2}
    assert sorted(seen.cells) == [(0, 0)] * 3 + [(0, 1)] * 2 + [(1, 0)]
    assert seen.answers["rating: trust"] >= 9
    people = {person.code: person for person in seen.people}
    assert (people[done].checks_failed, people[done].checks_seen) == (1, 2)  # “Disagree” was answered by 5
    assert people[going].answered == 0
    late = progress(store, study, now=NOW + 2 * participants.INACTIVE_AFTER)
    assert late.stages["away"] == 2
    assert sum(late.stopped.values()) == 2
    assert late.stopped["training"] == 1


def test_opening_again_migrates_nothing_and_keeps_everything(folder, database, study):
    store = open_store(folder, database)
    code = enter(store, study)
    store.close()
    again = open_store(folder, database)
    assert trials_of(again, code)
    again.close()


def test_the_tables_are_those_of_the_models(store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from pellucid.study.store import Base

    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_sqlite_writes_through_and_only_its_owner_reads_it(folder):
    store = open_store(folder)
    with store.engine.connect() as connection:
        told = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
    assert told == {"journal_mode": "wal", "synchronous": 2}
    assert stat.S_IMODE((folder / "answers.db").stat().st_mode) == 0o600
    store.close()


def test_another_program_that_holds_the_lock_for_a_while_stops_nobody(folder, study):
    store = open_store(folder)
    code = enter(store, study)
    other = sqlite3.connect(folder / "answers.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = given(study, trials_of(store, code)[0], 0)
    saving = threading.Thread(target=save, args=(store, study, code, answer), kwargs={"now": NOW})
    saving.start()
    time.sleep(0.5)
    other.execute("COMMIT")
    saving.join(timeout=10)
    assert len(everything(store)) == 1
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [("mysql://x", "--db takes a URL"), ("postgresql://u:geheim@127.0.0.1:1/x", "cannot open the database")],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(folder, url, message):
    with pytest.raises(BadInput, match=message) as caught:
        open_store(folder, url)
    assert "geheim" not in str(caught.value)


def test_plain_postgresql_urls_get_the_driver(folder):
    assert (
        database_url(folder, "postgres://h/x") == database_url(folder, "postgresql://h/x") == "postgresql+psycopg://h/x"
    )
    assert database_url(folder) == f"sqlite:///{folder}/answers.db"


def test_export_is_complete_and_the_anonymous_one_tells_nobody(store, study, tmp_path):
    import csv
    import json

    code = enter(store, study, external="=PID()", visit="v")
    answer_all(store, study, code)
    exporting.export(store, study, tmp_path / "full")
    exporting.export(store, study, tmp_path / "anon", anonymous=True)
    full = {path.name: path.read_text() for path in (tmp_path / "full").iterdir()}
    anonymous = {path.name: path.read_text() for path in (tmp_path / "anon").iterdir()}
    assert set(full) == set(anonymous) == {"answers.csv", "participants.csv", "answers.json"}
    rows = list(csv.DictReader(full["answers.csv"].splitlines()))
    trials = trials_of(store, code)
    assert len(rows) == sum(len(allowed(study, trial)) for trial in trials)
    choice = next(row for row in rows if row["block"] == "choice")
    assert choice["stimulus"] == choice["shown"].split("|")[int(choice["value"]) - 1]
    check = next(row for row in rows if row["block"] == "attention")
    assert (check["image"], check["stimulus"], check["expected"]) == ("", "", "2")
    person = next(csv.DictReader(full["participants.csv"].splitlines()))
    assert person["external_id"] == "'=PID()"  # a spreadsheet must not run it
    assert person["age"] == "25–34"
    assert json.loads(full["answers.json"])["participants"][0]["external_id"] == "=PID()"
    for text in anonymous.values():
        assert "PID" not in text
        assert code not in text
        assert "T17:46" not in text
    assert stat.S_IMODE((tmp_path / "full" / "answers.csv").stat().st_mode) == 0o600


def test_participants_who_never_agreed_are_not_exported(store):
    invite(store, 3, now=NOW)
    assert exporting.rows(store) == ([], [])


def test_codes_are_unguessable_and_unique(store):
    codes = invite(store, 200, now=NOW)
    assert len(set(codes)) == 200
    with store.reading() as session:
        assert session.query(Participant).count() == 200
