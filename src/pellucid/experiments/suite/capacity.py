"""How many images to handle at once: a unit of measuring, and a pass through the model that fits into memory."""

import os
from pathlib import Path

import torch
from torch import nn

from pellucid.errors import BadInput
from pellucid.types import Image

MOST_IN_A_PASS = 1024
MOST_IN_A_UNIT, NUMBERS_IN_A_UNIT = 64, 2_000_000
BYTES_PER_PIXEL = 160
"""What comparing two maps takes beside the passes: some twenty float64 numbers a pixel."""
CPU_BUDGET = 2**28
"""Bytes of a pass on a CPU: larger ones leave its caches and are slower."""


def images_per_unit(x: Image) -> int:
    """How many images are measured and noted together: by their size alone, so that no memory decides who is whose."""
    return max(1, min(MOST_IN_A_UNIT, NUMBERS_IN_A_UNIT // x[0].numel()))


def images_per_pass(model: nn.Module, x: Image) -> int:
    """How many images of the kind of `x` to take through the model at once: a power of 2, at most 1024.

    Half of the memory that is free may be used, on a CPU no more than 256 MB. A pass is reckoned at twice what it keeps
    for its backward half, which is measured on one image.

    Raises
    ------
    BadInput
        If not even one image fits.
    """
    need = 2 * bytes_kept(model, x[:1]) + BYTES_PER_PIXEL * x[0, 0].numel() + 16 * x[0].numel()
    free = free_memory(x.device)
    if need > free:
        raise BadInput(
            f"one image needs about {need / 2**20:.0f} MB of memory and {free / 2**20:.0f} MB are free; "
            "free some, or set --batch-size 1 to try nevertheless"
        )
    budget = free // 2 if x.device.type != "cpu" else min(free // 2, CPU_BUDGET)
    return 1 << (max(1, min(MOST_IN_A_PASS, budget // need)).bit_length() - 1)


def bytes_kept(model: nn.Module, x: Image) -> int:
    """Bytes that a forward pass of `x` keeps for the gradient at the pixels, beside the model's own weights."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}
    held = []  # a storage must live to the end, or the next one may get its address

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
            held.append(storage)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(x.detach().clone().requires_grad_(True))
    return sum(sizes.values())


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still use: of the GPU, or its share of the machine's (or container's) memory."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    free = min(_machine(), _container())
    return free // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # no Linux: a quarter of what is built in
        pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**20
        return pages * 4096 // 4


def _container(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What the control group's limit leaves; files in memory do not count, as they can be dropped."""
    try:
        limit, used = (int((root / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        lines = (root / "memory.stat").read_text(encoding="ascii").splitlines()
        files = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, ValueError):  # no control group, or "max": no limit
        return 2**62
    return max(0, limit - used + files)
