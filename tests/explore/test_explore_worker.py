"""One thing after the other, a short queue, and nothing done that nobody waits for."""

import threading

import pytest

from pellucid.explore.recent import Recent
from pellucid.explore.worker import Busy, GivenUp, Worker


@pytest.fixture
def worker():
    made = Worker(most=3)
    yield made
    made.close()


class Gate:
    """Work that waits until it is let through."""

    def __init__(self):
        self.begun, self.open = threading.Event(), threading.Event()

    def __call__(self, check):
        self.begun.set()
        assert self.open.wait(10)
        check()
        return "through"


def test_work_is_done_in_its_order_by_one_thread(worker):
    tasks = [worker.submit(lambda check, place=place: (place, threading.get_ident())) for place in range(3)]
    found = [task.future.result(10) for task in tasks]
    assert [place for place, _ in found] == [0, 1, 2]
    assert len({thread for _, thread in found} | {threading.get_ident()}) == 2


def test_a_full_queue_is_busy_and_is_not_when_work_is_done(worker):
    gate = Gate()
    tasks = [worker.submit(gate), *(worker.submit(lambda check: None) for _ in range(2))]
    with pytest.raises(Busy):
        worker.submit(lambda check: None)
    gate.open.set()
    for task in tasks:
        task.future.result(10)
    assert worker.submit(lambda check: 5).future.result(10) == 5


def test_work_that_waits_is_not_done_once_it_is_given_up_and_leaves_its_place(worker):
    gate, done = Gate(), []
    first = worker.submit(gate)
    for _ in range(20):  # a browser that drags a slider
        worker.submit(lambda check: done.append(1)).give_up()
    last = worker.submit(lambda check: "last")
    gate.open.set()
    assert (first.future.result(10), last.future.result(10)) == ("through", "last")
    assert done == []


def test_work_that_runs_stops_at_its_next_check(worker):
    gate = Gate()
    task = worker.submit(gate)
    assert gate.begun.wait(10)
    task.give_up()
    gate.open.set()
    with pytest.raises(GivenUp):
        task.future.result(10)
    assert worker.submit(lambda check: 5).future.result(10) == 5


def test_what_waits_and_what_runs_is_given_up_at_the_end(worker):
    gate, done = Gate(), []
    running, waiting = worker.submit(gate), worker.submit(lambda check: done.append(1))
    assert gate.begun.wait(10)
    worker.close()
    gate.open.set()
    with pytest.raises(GivenUp):
        running.future.result(10)
    assert waiting.future.cancelled()
    assert done == []
    with pytest.raises(Busy):
        worker.submit(gate)


def test_spare_time_ends_where_requests_begin(worker):
    order, gate = [], Gate()

    def steps():
        for step in range(4):
            order.append(step)
            if step == 1:
                gate(lambda: None)
            yield

    worker.in_spare_time(steps())
    assert gate.begun.wait(10)
    request = worker.submit(lambda check: order.append("request"))
    gate.open.set()
    request.future.result(10)
    while worker.submit(lambda check: None).future.result(10) is None and len(order) < 5:
        pass
    assert order == [0, 1, "request", 2, 3]


def test_spare_time_that_fails_is_logged_and_ends(worker, caplog):
    def steps():
        yield
        raise ValueError("broken")

    worker.in_spare_time(steps())
    while not caplog.records:
        worker.submit(lambda check: None).future.result(10)
    assert "spare time" in caplog.records[0].getMessage()


def test_what_was_asked_for_longest_ago_is_forgotten():
    recent = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c"), len(recent)) == (1, None, 3, 2)
    assert recent.made("a", lambda: 9) == 1
    assert recent.made("d", lambda: 4) == 4
    assert recent.get("c") is None
