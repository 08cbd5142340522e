"""The cells as tasks of a Ray cluster, local or running. Ray places them and repeats those whose worker dies.

What is done is in the grid's folder, which all nodes must see under the same path; Ray keeps nothing.
"""

import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.grid.store import MEASURING, Grid
from pellucid.experiments.grid.work import run_cells, run_measuring

RETRIES = 3


class RayCluster:
    """A connection to Ray, closed at the end of the ``with`` block.

    Parameters
    ----------
    address
        Of a running cluster, as Ray takes it ("auto", "host:port", "ray://host:port"); "local" starts one here.
    jobs
        How many cells at once on a local one; None: as many as there are cores for.

    Raises
    ------
    BadInput
        If Ray is not installed, there is no cluster at the address, or a cell asks for more than this machine has.
    """

    def __init__(self, address: str, grid: Grid, jobs: int | None) -> None:
        self.ray, self.grid = _ray(), grid
        local = address == "local"
        _check_reachable(address)
        options: dict[str, Any] = {"include_dashboard": False} if local else {}
        if local and jobs:
            options["num_cpus"] = jobs * grid.cpus
        try:
            self.ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise BadInput(f"cannot reach the Ray cluster at '{address}': {' '.join(str(error).split())}") from error
        lacking = _lacking(self.ray.nodes(), grid)
        if lacking and local:
            self.ray.shutdown()
            raise BadInput(f"{lacking}; ask for less under resources in the grid file")
        if lacking:  # the cluster may grow
            print(f"pellucid: {lacking}; the cells wait until it has one that is large enough", file=sys.stderr)

    def __enter__(self) -> "RayCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def train(self, names: Sequence[str], tick: Callable[[], None]) -> None:
        """Train the named cells, each as a task with the CPUs and GPUs that the grid declares."""
        self._wait({self._submit(run_cells, self.grid, [name]): name for name in names}, tick)

    def measure(self, tick: Callable[[], None]) -> None:
        """Measure the trained cells as one task."""
        self._wait({self._submit(run_measuring, self.grid): MEASURING}, tick)

    def _submit(self, function: Callable[..., None], *arguments: object) -> Any:
        task = self.ray.remote(num_cpus=self.grid.cpus, num_gpus=self.grid.gpus, max_retries=RETRIES)(function)
        return task.remote(*arguments)

    def _wait(self, pending: dict[Any, str], tick: Callable[[], None]) -> None:
        while pending:
            done, _ = self.ray.wait(list(pending), timeout=1)
            for task in done:
                self._note(pending.pop(task), task)
            tick()

    def _note(self, name: str, task: Any) -> None:
        try:
            self.ray.get(task)
        except self.ray.exceptions.WorkerCrashedError:
            self.grid.write_failure(name, f"its Ray worker died {RETRIES + 1} times (is the memory enough?)")
        except self.ray.exceptions.RayError as error:
            raise RunFailed(f"Ray could not run {name}: {str(error).strip().splitlines()[-1]}") from error


def _lacking(nodes: Sequence[Mapping[str, Any]], grid: Grid) -> str:
    """What a cell asks for and no node has: Ray itself says nothing and waits. Empty if there is such a node."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    sizes = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in alive]
    if any(cpus >= grid.cpus and gpus >= grid.gpus for cpus, gpus in sizes):
        return ""
    cpus, gpus = max(sizes, key=lambda size: (min(size[1], grid.gpus), size[0]), default=(0, 0))
    return f"a cell asks for {grid.cpus} CPUs and {grid.gpus} GPUs, but Ray's largest node has {cpus} and {gpus}"


def _check_reachable(address: str) -> None:
    """Ray itself takes minutes to find out."""
    found = re.fullmatch(r"(?:ray://)?(?P<host>[^:/]+):(?P<port>\d+)", address)
    if not found:
        return
    try:
        socket.create_connection((found["host"], int(found["port"])), timeout=20).close()
    except OSError as error:
        raise BadInput(f"cannot reach the Ray cluster at '{address}': {error.strerror or error}") from error


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise BadInput("--ray needs Ray: pip install 'pellucid[ray]'; or use --jobs or --shard") from error
    return ray
