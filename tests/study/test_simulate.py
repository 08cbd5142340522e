"""Crowds in a served study: nothing is lost, also when server or database die under them."""

import threading
import time
from collections import Counter

import pytest
from serving import Served
from tiny_study import build_tiny

from pellucid.errors import RunFailed
from pellucid.study import exporting
from pellucid.study.simulate import Habits, simulate
from pellucid.study.store import Answer, open_store
from pellucid.study.web.server import Place, running

RESTLESS = Habits(reloads=2, double_clicks=0.3, vanishing=0.2)
SLOW = Habits(pause=0.1, double_clicks=0.2)


def opinion(asked, rng):
    most = len(asked.shown) if asked.block == "choice" else 5
    return {question: rng.randint(1, most) for question in asked.questions}


def stored_keys(folder, database=None):
    store = open_store(folder, database)
    with store.reading() as session:
        keys = [answer.key for answer in session.query(Answer)]
    people = exporting.rows(store)[1]
    store.close()
    return keys, people


def test_the_raters_see_what_a_browser_sees(folder, study):
    seen = []

    def remember(asked, rng):
        seen.append(asked)
        return opinion(asked, rng)

    with running(folder) as link:
        summary = simulate(link, 1, seed=3, ratings=remember)
    assert (summary.joined, summary.finished, summary.vanished) == (1, 1, 0)
    assert Counter(asked.block for asked in seen) == {"training": 1, "rating": 9, "attention": 2, "choice": 3}
    assert [asked.trial for asked in seen] == list(range(15))
    assert {asked.stimulus for asked in seen if asked.block == "rating"} == {
        name for item in study.images for name in item.orders[0]
    }
    choice = seen[-1]
    assert (choice.questions, choice.stimulus, len(choice.shown)) == (("choice",), "", 3)
    rating = next(asked for asked in seen if asked.block == "rating")
    assert (rating.questions, rating.shown) == (("sufficiency", "trust"), (rating.stimulus,))


def test_the_same_seed_gives_every_person_the_same_draws(folder):
    def draws(seed):
        found = {}

        def remember(asked, rng):
            found.setdefault(asked.person, []).append(rng.getstate()[1][:3])
            return dict.fromkeys(asked.questions, 1)

        with running(folder) as link:
            simulate(link, 2, seed=seed, ratings=remember)
        return found

    assert draws(5) == draws(5) != draws(6)


def test_a_wrong_opinion_is_an_error_of_whoever_has_it(folder):
    with running(folder) as link, pytest.raises(RunFailed, match="POST /study/answers was answered by 422"):
        simulate(link, 1, ratings=lambda asked, _: dict.fromkeys(asked.questions, 9))


def test_a_crowd_loses_nothing_and_fills_the_cells_evenly(folder):
    with running(folder, inactive_after=20) as link:
        first = simulate(link, 24, concurrency=12, seed=1, ratings=opinion, habits=RESTLESS)
        assert first.vanished > 0
        time.sleep(21)  # the vanished are given up, and as many others come
        second = simulate(link, first.vanished, concurrency=4, seed=2, ratings=opinion)
    keys, people = stored_keys(folder)
    assert sorted(keys) == sorted(first.acknowledged + second.acknowledged)
    assert len(set(keys)) == len(keys)
    cells = Counter(person["cell"] for person in people if person["state"] == "finished")
    assert sum(cells.values()) == 24
    assert max(cells.values()) - min(cells[cell] for cell in range(6)) <= 1


def crowd(link, people=12):
    """A crowd in the background; its summary comes when it is done."""
    outcome = {}

    def go():
        outcome["summary"] = simulate(link, people, concurrency=6, seed=4, ratings=opinion, habits=SLOW)

    thread = threading.Thread(target=go)
    thread.start()
    return thread, outcome


KILLS = 2


@pytest.mark.parametrize("kills", [KILLS, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_server_has_lost_nothing_that_it_acknowledged(folder, database, kills):
    with Served(folder, database) as served:
        thread, outcome = crowd(served.link, people=6 * kills)
        for _ in range(kills):
            time.sleep(1.5)
            served.kill()
            served.start()
        thread.join()
    summary = outcome["summary"]
    keys, people = stored_keys(folder, database)
    assert summary.finished == 6 * kills
    assert summary.retries > 0
    assert sorted(keys) == sorted(summary.acknowledged)
    assert all(person["state"] == "finished" for person in people)


def test_postgresql_may_restart_under_load(folder, postgres):
    database = postgres.new_database()
    with Served(folder, database) as served:
        thread, outcome = crowd(served.link)
        time.sleep(2)
        postgres.stop("immediate")
        time.sleep(0.5)
        postgres.start()
        thread.join()
    keys, _ = stored_keys(folder, database)
    assert outcome["summary"].finished == 12
    assert sorted(keys) == sorted(outcome["summary"].acknowledged)


def test_a_server_that_stays_away_is_an_error(monkeypatch):
    monkeypatch.setattr("pellucid.study.simulate.PATIENCE", 0.3)
    with pytest.raises(RunFailed, match="GET /join/x: ConnectError"):
        simulate(Place(port=1).url("/join/x"), 1, ratings=opinion)


def test_a_taken_port_is_named(folder):
    with Served(folder) as served:
        from pellucid.study.web.server import open_site, serve

        site = open_site(folder)
        with pytest.raises(RunFailed, match=f"cannot listen on 127.0.0.1 port {served.port}"):
            serve(site, Place(port=served.port))


def test_larger_studies_run_too(tmp_path):
    build_tiny(tmp_path / "s", images=2, models=tuple("abcd"))
    with running(tmp_path / "s") as link:
        assert simulate(link, 2, ratings=opinion).finished == 2
