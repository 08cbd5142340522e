"""How many images go through a model at once follows from the memory that is free, or is what the user says."""

import pytest
import torch
from torch import nn

from pellucid.errors import BadInput
from pellucid.experiments.suite import capacity
from pellucid.experiments.suite.capacity import bytes_kept, free_memory, images_per_pass, images_per_unit
from pellucid.models import lenet, resnet18


def two_layers():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))


def test_what_a_pass_keeps_is_counted_without_the_weights():
    """The convolution keeps its input, tanh its output (which the linear layer keeps, too: one storage)."""
    assert bytes_kept(two_layers(), torch.rand(1, 1, 28, 28)) == 4 * (784 + 4 * 26 * 26)
    assert bytes_kept(two_layers(), torch.rand(3, 1, 28, 28)) == 3 * 4 * (784 + 4 * 26 * 26)


def test_the_pass_shrinks_with_the_memory_by_powers_of_2(monkeypatch):
    model, x = two_layers(), torch.rand(1, 1, 28, 28)
    need = 2 * 4 * (784 + 4 * 26 * 26) + 160 * 784 + 16 * 784
    monkeypatch.setattr(capacity, "free_memory", lambda device: 2 * 100 * need)
    assert images_per_pass(model, x) == 64
    monkeypatch.setattr(capacity, "free_memory", lambda device: need)
    assert images_per_pass(model, x) == 1
    monkeypatch.setattr(capacity, "free_memory", lambda device: need - 1)
    with pytest.raises(BadInput, match=r"one image needs about 0 MB of memory and 0 MB are free; .* --batch-size 1"):
        images_per_pass(model, x)


def test_on_a_cpu_it_stays_near_the_caches_however_much_is_free(monkeypatch):
    monkeypatch.setattr(capacity, "free_memory", lambda device: 2**50)
    small = images_per_pass(lenet(channels=1, classes=10, image_size=28), torch.rand(1, 1, 28, 28))
    large = images_per_pass(resnet18(channels=3, classes=10, image_size=224), torch.rand(1, 3, 224, 224))
    assert (small, large) == (1024, 4)


def test_a_unit_of_measuring_depends_on_the_size_of_the_images_alone():
    sizes = [(1, 28), (3, 32), (3, 224), (3, 2000)]
    assert [images_per_unit(torch.empty(1, channels, side, side)) for channels, side in sizes] == [64, 64, 13, 1]


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    whole = free_memory(torch.device("cpu"))
    assert 0 < whole < 2**45
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert free_memory(torch.device("cpu")) == pytest.approx(whole / 4, rel=0.2)


def test_the_limit_of_a_container_counts(tmp_path):
    assert capacity._container(tmp_path) == 2**62
    for name, text in {
        "memory.max": "1000",
        "memory.current": "700",
        "memory.stat": "anon 1\ninactive_file 50",
    }.items():
        (tmp_path / name).write_text(text + "\n")
    assert capacity._container(tmp_path) == 350
    (tmp_path / "memory.max").write_text("max\n")
    assert capacity._container(tmp_path) == 2**62


def test_of_a_gpu_what_torch_has_reserved_and_not_used_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_memory(torch.device("cuda", 0)) == 130
