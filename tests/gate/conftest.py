import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from fake_runs import write_grid, write_runs


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory):
    """A folder with the synthetic runs A and N, on the same images; not to be written to."""
    return write_runs(tmp_path_factory.mktemp("gate"), ("N", "A"), images=60) / "runs"


@pytest.fixture(scope="session")
def seeds(tmp_path_factory):
    """A folder with three seeds of A and of N; not to be written to."""
    return write_grid(tmp_path_factory.mktemp("gates"), ("N", "A"), seeds=3, images=30) / "runs"


@pytest.fixture
def own_runs(tmp_path):
    """The same two runs in a folder that a test may damage."""
    return write_runs(tmp_path, ("N", "A"), images=12) / "runs"
