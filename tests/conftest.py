import os
import shutil
import tarfile
from pathlib import Path

# Two tests at a time on two cores run fastest with one thread each, and a fixed count keeps sums in a fixed order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch
from torch import nn

torch.set_num_threads(1)
hypothesis.settings.register_profile("pellucid", deadline=None, derandomize=True)
hypothesis.settings.load_profile("pellucid")


class TinyNet(nn.Module):
    """Convolution, BatchNorm, tanh, linear: smooth (so that gradients can be checked), with a mode to get wrong."""

    def __init__(self, channels: int = 1, classes: int = 3, size: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * size * size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.norm(self.conv(x))).flatten(1))


@pytest.fixture
def tiny_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyNet().double().eval()


@pytest.fixture
def tiny_batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(8, 1, 6, 6, dtype=torch.float64, generator=generator)
    return x, torch.randint(0, 3, (8,), generator=generator)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, driven by Playwright; the test is skipped where one of them is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright")
    chromium = shutil.which("chromium") or pytest.skip("browser tests need Debian's chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=flags)
        yield found
        found.close()


@pytest.fixture(scope="session")
def real_data(tmp_path_factory) -> Path:
    """The data sets under $PELLUCID_DATA in one folder: folders as they are, tar archives unpacked."""
    source = os.environ.get("PELLUCID_DATA")
    if not source:
        pytest.skip("set PELLUCID_DATA to a folder with copies of cifar10 and imagenette (folders or tar archives)")
    folder = tmp_path_factory.mktemp("data")
    for path in Path(source).iterdir():
        if path.is_dir():
            (folder / path.name).symlink_to(path.absolute())
        elif ".tar" in path.suffixes[-2:]:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
    return folder
