"""``python -m pellucid.experiments.grid.attached MODULE …`` is ``python -m MODULE …`` that ends when its parent does.

For torchrun and the processes that it starts: they know nothing of the worker that waits for them, have sessions of
their own, and would go on training after its death, beside those that take the cell over. A process whose parent is
gone gets another one, however the parent died and on whichever system.
"""

import os
import runpy
import sys
import threading
import time
from contextlib import suppress

PARENT = "PELLUCID_PARENT"
"""Environment variable with the process id of whoever starts this module; it may be dead before that can be asked."""

LOOK = 0.2
"""Seconds between two looks: much less than a process that takes the cell over needs to start."""


def main() -> None:
    """Run the module that is named on the command line."""
    parent = int(os.environ[PARENT])
    os.environ[PARENT] = str(os.getpid())  # for those that it starts in the same way
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    with suppress(OSError):  # a full disk must not keep it alive
        os.write(2, b"the process that started this one is gone, and so it ends, too\n")
    os._exit(1)


if __name__ == "__main__":
    main()
