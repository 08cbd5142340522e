import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from pellucid.errors import RunFailed
from pellucid.experiments.grid import baton
from pellucid.experiments.grid.baton import STALE, holder, holding, make_batons, this_host


@pytest.fixture
def cell(tmp_path):
    folder = tmp_path / "cells" / "A"
    make_batons([folder])
    return folder


def never():
    raise AssertionError("the baton was lost")


def forge(cell, *, host, pid, age):
    """Let the baton be held by somebody else, whose last heartbeat was `age` seconds ago."""
    held = cell / f"held,{host},{pid},00000000"
    (cell / "free").rename(held)
    os.utime(held, (time.time() - age,) * 2)
    return held


def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_only_one_can_hold_it_and_then_the_next(cell):
    with holding(cell, lost=never) as first:
        assert first
        assert (holder(cell).host, holder(cell).pid) == (this_host(), os.getpid())
        assert holder(cell).alive
        with holding(cell, lost=never) as second:
            assert not second
        assert holder(cell) is not None  # the one that did not get it gave nothing back
    assert holder(cell) is None
    with holding(cell, lost=never) as third:
        assert third


def test_an_error_gives_it_back(cell):
    with pytest.raises(ZeroDivisionError), holding(cell, lost=never):
        _ = 1 / 0
    assert holder(cell) is None


@pytest.mark.parametrize(
    ("host", "age", "taken"),
    [("here", 0, True), ("elsewhere", 0, False), ("elsewhere", STALE - 20, False), ("elsewhere", STALE + 1, True)],
)
def test_a_holder_that_is_gone_is_followed(cell, host, age, taken):
    forge(cell, host=this_host() if host == "here" else f"{socket.gethostname()}.1", pid=dead_pid(), age=age)
    with holding(cell, lost=never) as mine:
        assert mine is taken
        assert holder(cell).age < STALE


def test_a_living_process_here_keeps_it_however_busy_unless_silent_for_too_long(cell):
    held = forge(cell, host=this_host(), pid=os.getppid(), age=STALE - 20)
    assert holder(cell).alive
    os.utime(held, (time.time() - STALE - 1,) * 2)
    assert not holder(cell).alive


def test_a_baton_that_lay_about_for_long_has_a_fresh_heart(cell):
    os.utime(cell / "free", (0, 0))
    with holding(cell, lost=never):
        assert holder(cell).alive


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_want_it_at_once_one_gets_it(tmp_path, stale):
    for number in range(20):
        cell = tmp_path / f"{number}"
        make_batons([cell])
        if stale:
            forge(cell, host="elsewhere", pid=1, age=STALE + 1)
        start, leave, got = threading.Barrier(8), threading.Barrier(8), []

        def want(cell=cell, start=start, leave=leave, got=got):
            start.wait()
            with holding(cell, lost=never) as mine:
                got.append(mine)
                leave.wait()

        threads = [threading.Thread(target=want) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [False] * 7 + [True]


def test_many_that_set_it_up_at_once_make_one_baton(tmp_path):
    start = threading.Barrier(8)
    cells = [tmp_path / "cells" / str(number) for number in range(5)]

    def make():
        start.wait()
        make_batons(cells)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == ["0", "1", "2", "3", "4"]
    assert [os.listdir(cell) for cell in cells] == [["free"]] * 5


def test_setting_up_again_leaves_a_held_baton_alone(cell):
    with holding(cell, lost=never):
        make_batons([cell])
        assert "free" not in os.listdir(cell)


def test_the_heart_beats_while_it_is_held(cell):
    with holding(cell, lost=never, beat=0.01):
        os.utime(holder(cell).path, (0, 0))
        deadline = time.time() + 10
        while holder(cell).age > STALE:
            assert time.time() < deadline
            time.sleep(0.01)


def test_who_loses_it_is_told_and_does_not_give_it_back(cell):
    told = threading.Event()
    with holding(cell, lost=told.set, beat=0.01):
        holder(cell).path.rename(cell / "held,elsewhere.1,7,11111111")
        assert told.wait(10)
    assert (holder(cell).host, holder(cell).pid) == ("elsewhere.1", 7)


def test_a_killed_process_leaves_it_to_the_next(cell):
    code = (
        "import sys, time, pathlib; from pellucid.experiments.grid.baton import holding\n"
        "with holding(pathlib.Path(sys.argv[1]), lost=exit): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(cell)], stdout=subprocess.PIPE)
    process.stdout.readline()
    with holding(cell, lost=never) as mine:
        assert not mine
    process.kill()
    process.wait()
    process.stdout.close()
    with holding(cell, lost=never) as mine:
        assert mine


def test_a_disk_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFailed, match="cannot write .*file"):
        make_batons([tmp_path / "file" / "cells" / "A"])


def test_it_needs_no_torch():
    code = f"import sys, {baton.__name__}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
