"""Who works on a cell: a baton that changes hands by atomic renames, on one machine or on many that share a folder.

The baton of a cell is one empty file. Its name says who holds it (``free`` or ``held,<host>,<pid>,<token>``), its
modification time is the holder's heartbeat. To take it is to rename it away from its present name, which succeeds for
one process only, whoever else tries at the same moment; that holds for a free baton as for one whose holder is gone.
The file is never deleted, and comes into being by the rename of its whole folder, so there is never a second one.
"""

import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pellucid.errors import RunFailed

BEAT, STALE = 5.0, 120.0
"""Seconds between two heartbeats, and without one after which a holder counts as gone."""

FREE = "free"


@dataclass(frozen=True)
class Holder:
    """Who holds a baton, and how long ago (seconds) its heartbeat was."""

    path: Path
    host: str
    pid: int
    age: float

    @property
    def machine(self) -> str:
        """The machine's name."""
        return self.host.rpartition(".")[0]

    @property
    def alive(self) -> bool:
        """False if the process on this machine is dead, or a process elsewhere has been silent for too long."""
        return self.age < STALE and (self.host != this_host() or _exists(self.pid))


def make_batons(folders: list[Path]) -> None:
    """Give each of the folders a free baton, unless it exists. Raises RunFailed if the disk cannot be written."""
    try:
        for folder in folders:
            if folder.exists():
                continue
            folder.parent.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
            (new / FREE).touch()
            new.chmod(0o755)
            try:
                new.rename(folder)
            except OSError:  # somebody else was faster
                shutil.rmtree(new)
                if not folder.is_dir():
                    raise
    except OSError as error:
        raise RunFailed(f"cannot write {error.filename}: {error.strerror}") from error


def holder(folder: Path) -> Holder | None:
    """Who holds the baton of a folder, dead or alive; None if nobody does."""
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if name.startswith("held,"):
                _, host, pid, _ = name.split(",")
                with suppress(FileNotFoundError):  # given back in this moment
                    age = time.time() - (folder / name).stat().st_mtime
                    return Holder(folder / name, host, int(pid), age)
    return None


@contextmanager
def holding(folder: Path, *, lost: Callable[[], None], beat: float = BEAT) -> Iterator[bool]:
    """Hold the baton of `folder` for the time of the block; False if somebody alive has it.

    `lost` is called from another thread if the baton was taken away, because this process seemed dead for too long.
    """
    mine = _take(folder)
    if mine is None:
        yield False
        return
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(mine, stop, lost, beat), daemon=True)
    heart.start()
    try:
        yield True
    finally:
        stop.set()
        heart.join()
        with suppress(FileNotFoundError):
            mine.rename(folder / FREE)


def this_host() -> str:
    """Name and process namespace of this machine: containers can share a name and not see each other's processes."""
    name = socket.gethostname().replace(",", "-")
    try:
        return f"{name}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return f"{name}.0"


def _take(folder: Path) -> Path | None:
    current = holder(folder)
    if current is not None and current.alive:
        return None
    source = current.path if current else folder / FREE
    mine = folder / f"held,{this_host()},{os.getpid()},{uuid.uuid4().hex[:8]}"
    try:
        os.utime(source)  # first: the new holder's heartbeat must never look old
        source.rename(mine)
    except FileNotFoundError:  # somebody else was faster
        return None
    return mine


def _beat(mine: Path, stop: threading.Event, lost: Callable[[], None], beat: float) -> None:
    while not stop.wait(beat):
        try:
            os.utime(mine)
        except FileNotFoundError:
            lost()
            return
        except OSError:  # a file server that is away for a moment
            continue


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
