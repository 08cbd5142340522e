import threading
import time

import pytest
import torch

from pellucid.metrics.faithfulness.imputation import impute
from pellucid.metrics.faithfulness.threads import on_threads


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_results_come_in_the_order_of_the_items(count):
    def slow_first(item):
        time.sleep(0.02 if item == 0 else 0)
        return 10 * item

    assert on_threads(slow_first, range(count)) == [10 * item for item in range(count)]


def test_pieces_run_side_by_side_and_each_on_one_thread_of_pytorch():
    together = threading.Barrier(2, timeout=20)

    def meet(_):
        together.wait()  # breaks unless the other piece runs at the same time
        return torch.get_num_threads(), torch.is_grad_enabled()

    assert on_threads(meet, [0, 1]) == [(1, False)] * 2
    assert torch.get_num_threads() == 2
    assert torch.is_grad_enabled()


def test_threads_made_later_may_use_all_of_them():
    on_threads(str, [1, 2, 3])
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [2]


def test_an_error_in_a_piece_comes_out():
    def fails(item):
        if item == 3:
            raise ValueError("the fourth")
        return item

    with pytest.raises(ValueError, match="the fourth"):
        on_threads(fails, range(5))
    assert torch.get_num_threads() == 2


def test_the_number_of_threads_changes_no_number(monkeypatch):
    monkeypatch.setattr("pellucid.metrics.faithfulness.imputation.LEAST_CELLS", 500)
    monkeypatch.setattr("pellucid.metrics.faithfulness.imputation.LEAST_LANES", 1)
    generator = torch.Generator().manual_seed(0)
    images, masks = torch.rand(9, 2, 12, 12, generator=generator), torch.rand(9, 12, 12, generator=generator) < 0.7
    two = impute(images, masks)
    torch.set_num_threads(1)
    one = impute(images, masks)
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.residual, two.residual)


def test_works_under_inference_mode_and_after_it():
    images, masks = torch.rand(4, 1, 10, 10), torch.rand(4, 10, 10) < 0.5
    expected = impute(images, masks).images
    with torch.inference_mode():
        assert torch.equal(impute(images, masks).images, expected)
    assert torch.equal(impute(images, masks).images, expected)
