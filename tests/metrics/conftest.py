"""Fixtures of the metric tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import oracle


@pytest.fixture(scope="session")
def quantus():
    """Quantus 0.5.3 in its own process: see tests/reference/oracle.py."""
    process = oracle.quantus()
    if process is None:
        pytest.skip("NO QUANTUS: parity is not tested. Make it with scripts/reference_environment.sh")
    return process
