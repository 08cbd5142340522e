"""What workers are told and asked: what Ray has no room for, and deaths that are nobody's fault."""

import sys
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from small_grid import spec

from pellucid.errors import BadInput, RunFailed
from pellucid.experiments.grid import work
from pellucid.experiments.grid.local import LOST, _note_death
from pellucid.experiments.grid.on_ray import RayCluster
from pellucid.experiments.grid.price import price
from pellucid.experiments.grid.run import planned
from pellucid.experiments.grid.store import Grid


def test_workers_that_lose_their_batons_are_no_workers_that_die_before_they_take_a_cell(tmp_path, monkeypatch):
    codes = []
    monkeypatch.setattr(work.os, "_exit", codes.append)
    work._leave()
    grid, deaths = Grid(tmp_path, (), None), Counter()
    for _ in range(3):
        _note_death(grid, [], SimpleNamespace(exitcode=codes[0], pid=1), deaths)
    assert codes == [LOST]
    _note_death(grid, [], SimpleNamespace(exitcode=1, pid=1), deaths)
    with pytest.raises(RunFailed, match=r"die before they take a cell \(the last one ended with exit code 1\)"):
        _note_death(grid, [], SimpleNamespace(exitcode=1, pid=1), deaths)


class FakeRay:
    """Ray with nodes of (CPUs, GPUs), of which the last one is dead."""

    def __init__(self, *sizes):
        self.sizes, self.running = sizes, False

    def init(self, **_):
        self.running = True

    def shutdown(self):
        self.running = False

    def nodes(self):
        named = [{"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {}) for cpus, gpus in self.sizes]
        nodes = [{"Alive": True, "Resources": resources} for resources in named]
        return [*nodes, {"Alive": False, "Resources": {"CPU": 999.0, "GPU": 99.0}}]


@pytest.mark.parametrize(
    ("asked", "sizes", "lacking"),
    [
        ((2, 0), [(2, 0)], ""),
        ((8, 1), [(64, 0), (8, 1)], ""),
        ((3, 0), [(2, 0), (2, 0)], "a cell asks for 3 CPUs and 0 GPUs, but Ray's largest node has 2 and 0"),
        ((8, 1), [(64, 0), (4, 1)], "a cell asks for 8 CPUs and 1 GPUs, but Ray's largest node has 4 and 1"),
        ((1, 2), [(4, 1), (8, 1)], "a cell asks for 1 CPUs and 2 GPUs, but Ray's largest node has 8 and 1"),
        ((1, 0), [], "a cell asks for 1 CPUs and 0 GPUs, but Ray's largest node has 0 and 0"),
    ],
)
def test_what_no_node_of_ray_has_is_refused_here_and_said_of_a_cluster_that_may_grow(
    asked, sizes, lacking, tmp_path, monkeypatch, capsys
):
    ray, grid = FakeRay(*sizes), Grid(tmp_path, (), None, *asked)
    monkeypatch.setitem(sys.modules, "ray", ray)
    RayCluster("auto", grid, None)
    said = capsys.readouterr().err
    assert said == (f"pellucid: {lacking}; the cells wait until it has one that is large enough\n" if lacking else "")
    assert ray.running
    if not lacking:
        RayCluster("local", grid, None)
        return
    with pytest.raises(BadInput) as error:
        RayCluster("local", grid, None)
    assert str(error.value) == f"{lacking}; ask for less under resources in the grid file"
    assert not ray.running


def test_a_genuine_ray_refuses_a_cell_that_is_too_large_for_this_machine(tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'pellucid[ray]'")
    with pytest.raises(BadInput, match=r"a cell asks for 4096 CPUs and 0 GPUs, but Ray's largest node has \d+ and"):
        RayCluster("local", Grid(tmp_path, (), None, cpus=4096), None)
    assert not ray.is_initialized()


def with_snapshots(count, tmp_path):
    training = {"max_steps": 2, "batch_size": 8, "epochs": 4, "device": "cpu", "snapshots": count}
    base = {"data": {"name": "fashion-mnist-mini", "validation": 100}, "training": training}
    return planned(spec(base=base, axes={"seed": [0, 1]}, measure=None), tmp_path).cells


def test_the_price_counts_the_weights_of_snapshots(tmp_path):
    disk = [price(with_snapshots(n, tmp_path), lambda _: False, None, jobs=1).disk_mb for n in (0, 3, 9)]
    weights = 2 * 4 * 44_426 / 2**20
    assert disk == pytest.approx([4 * weights, 7 * weights, 7 * weights])  # four epochs have but three before the last


def test_a_cell_is_priced_with_its_own_number_of_threads(tmp_path, monkeypatch):
    seen = []

    def noted(_):
        seen.append(torch.get_num_threads())
        return SimpleNamespace(steps=1, seconds=1.0, memory_mb=1.0, passes_per_image=1.0)

    monkeypatch.setattr("pellucid.experiments.grid.price.dry_run", noted)
    before, cells = torch.get_num_threads(), with_snapshots(2, tmp_path)
    for cpus in (before + 1, before + 2):
        price(cells, lambda _: False, None, jobs=1, cpus=cpus)
    assert seen == [before + 1, before + 2]
    assert torch.get_num_threads() == before
