"""What every loader promises."""

import inspect
from typing import get_args, get_type_hints

import pytest

from pellucid import data
from pellucid.data.dataset import Dataset, Split
from pellucid.errors import BadInput


@pytest.mark.parametrize("name", data.__all__)
def test_signature_and_docstring(name):
    loader = getattr(data, name)
    assert loader.__name__ == name
    parameters = list(inspect.signature(loader).parameters.values())
    assert [parameter.name for parameter in parameters[:2]] == ["root", "split"]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters[2:])
    hints = get_type_hints(loader)
    assert hints["return"] is Dataset
    assert get_args(hints["split"]) == get_args(Split)
    for promised in ("icence", "classes", "Looked for", "Raises"):
        assert promised in loader.__doc__ or (promised == "icence" and "Apache-2.0" in loader.__doc__)


@pytest.mark.parametrize("name", data.__all__)
def test_unknown_split(name, tmp_path):
    with pytest.raises(BadInput, match="unknown split 'tests': did you mean 'test'"):
        getattr(data, name)(tmp_path, "tests")


@pytest.mark.parametrize("name", sorted(set(data.__all__) - {"block_fashion", "fashion_mnist_mini"}))
def test_root_that_does_not_exist(name, tmp_path):
    with pytest.raises(BadInput, match=f"--data-root names {tmp_path / 'gone'}, which is not a folder"):
        getattr(data, name)(tmp_path / "gone")
