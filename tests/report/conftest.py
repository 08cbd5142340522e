import fake_runs
import pytest


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory):
    """A folder with the synthetic runs N, A, G; tests must not write into it except below report/."""
    return fake_runs.write_runs(tmp_path_factory.mktemp("three"), images=60)


@pytest.fixture
def own_runs(tmp_path):
    """The same in a folder that a test may damage."""
    return fake_runs.write_runs(tmp_path, images=12)
