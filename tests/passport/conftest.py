import pytest
from passport_runs import made


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """A measured run, not to be written to."""
    return made(tmp_path_factory.mktemp("passport") / "run", images=60)


@pytest.fixture
def own(tmp_path):
    """The same in a folder that a test may damage."""
    return made(tmp_path / "run", images=20)
