"""Independent pieces of work on a CPU, each on a thread of its own that has no threads inside.

PyTorch shares every single operation out among its threads. For thousands of short operations in a row the sharing
costs more than it saves where threads sleep while they wait, as the command line has them do (threads that spin stop
every other program): ROAD's solver is then up to three times slower with two of them than with one. Whole pieces of
work shared out instead lose nothing. Which thread does a piece changes no number.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 16
"""Threads; each has buffers of its own."""


def on_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[work(item) for item in items]`` on as many threads as PyTorch may use; the first error is raised again.

    Without gradients: whether they are asked for is a property of the calling thread.
    """
    allowed = torch.get_num_threads()
    threads = max(1, min(allowed, len(items), MOST))
    ready = threading.Barrier(threads + 1)

    def share(first: int) -> list[Result]:
        torch.get_num_threads()  # else the thread's first operation would ask for the number of all
        torch.set_num_threads(1)
        ready.wait()
        with torch.no_grad():
            return [work(item) for item in items[first::threads]]

    with ThreadPoolExecutor(threads) as pool:
        shares = [pool.submit(share, first) for first in range(threads)]
        ready.wait()
        torch.set_num_threads(allowed)  # it is the process's number, too, and threads made later take that
        done = [found.result() for found in shares]
    return [done[place % threads][place // threads] for place in range(len(items))]
