"""Imputation against a dense solve written here, Quantus 0.5.3, golden values, and properties of the equation."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness import conjugate_gradients, imputation
from pellucid.metrics.faithfulness.compiled import INVERSE, CompiledSolver
from pellucid.metrics.faithfulness.imputation import impute
from pellucid.metrics.faithfulness.multigrid import Multigrid

COMPILED = imputation.compiled_solver


@pytest.fixture(scope="module", params=["compiled", "tensors"], autouse=True)
def solver(request):
    """Every test runs with both solvers of the CPU; what is not float32 is always solved with tensors."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "tensors":
            patch.setattr(imputation, "compiled_solver", lambda: None)
        yield request.param


def neighbours(row, column, height, width):
    """(weight, row, column) of the neighbours inside the image, from the definition."""
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            y, x = row + dy, column + dx
            if (dy or dx) and 0 <= y < height and 0 <= x < width:
                yield (1 / 12 if dy and dx else 1 / 6), y, x


def dense_solution(image, removed):
    """One image [C, H, W] with one mask [H, W], by the definition: a row per removed pixel, solved in float64."""
    image, removed = image.double().numpy(), removed.numpy()
    pixels = np.argwhere(removed)
    number = {tuple(pixel): i for i, pixel in enumerate(pixels)}
    matrix, right = np.zeros((len(pixels), len(pixels))), np.zeros((len(pixels), len(image)))
    for i, (row, column) in enumerate(pixels):
        for weight, y, x in neighbours(row, column, *removed.shape):
            matrix[i, i] -= weight
            if removed[y, x]:
                matrix[i, number[y, x]] += weight
            else:
                right[i] -= weight * image[:, y, x]
    solved = image.copy()
    if len(pixels):
        solved[:, removed] = np.linalg.solve(matrix, right).T
    return torch.from_numpy(solved)


def mask(kind, height, width, generator):
    """A mask of the kind that has upset solvers before; at least one pixel is kept."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None]
    scattered = torch.rand(height, width, generator=generator)
    masks = {
        "nothing": scattered < 0,
        "isolated": (rows % 3 == 1) & (columns % 3 == 1),
        "isolated, odd and even": (rows % 2 == 1) & (columns % 4 == 0),
        "block": (rows >= height // 4) & (columns >= width // 4),
        "border": (rows == 0) | (columns == 0) | (rows == height - 1) | (columns == width - 1),
        "all but one": scattered < scattered.max(),
        "all but a row": (rows != height // 2) | (columns < 0),
        "every second kept": (rows % 2 == 1) | (columns % 2 == 1),
        "few": scattered < 0.05,
        "half": scattered < 0.5,
        "most": scattered < 0.97,
    }
    chosen = masks[kind].clone()
    if chosen.all():
        chosen[height // 2, width // 2] = False
    return chosen


KINDS = [
    "nothing",
    "isolated",
    "isolated, odd and even",
    "block",
    "border",
    "all but one",
    "all but a row",
    "every second kept",
    "few",
    "half",
    "most",
]


def nested(generator, size, levels=range(1, 100, 5)):
    """Clustered masks [levels, size, size], as a saliency map gives them."""
    smooth = torch.nn.functional.avg_pool2d(torch.rand(1, size, size, generator=generator), size // 4, 1, size // 8)
    saliency = smooth[0, :size, :size] ** 4 * torch.randn(size, size, generator=generator).abs()
    rank = saliency.flatten().argsort(descending=True).argsort().view(size, size)
    return torch.stack([rank < size * size * p // 100 for p in levels])


@pytest.mark.parametrize(
    ("removed", "expected"),
    [([5], {5: 13.206041}), ([0, 1, 5], {0: 10.320375, 1: 10.016525, 5: 15.568827})],
)
def test_golden_values(removed, expected):
    image = torch.arange(16, dtype=torch.float64).pow(1.5).view(1, 1, 4, 4)
    gone = torch.zeros(1, 16, dtype=torch.bool)
    gone[0, removed] = True
    values = impute(image, gone.view(1, 4, 4), tolerance=1e-12).images.flatten()
    for pixel, value in expected.items():
        assert values[pixel].item() == pytest.approx(value, abs=5e-7)
    assert torch.equal(values[~gone[0]], image.flatten()[~gone[0]])


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    height=st.integers(1, 17),
    width=st.integers(2, 19),
    channels=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60)
def test_equals_the_dense_solution_on_any_mask(kinds, height, width, channels, seed):
    generator = torch.Generator().manual_seed(seed)
    removed = torch.stack([mask(kind, height, width, generator) for kind in kinds])
    images = torch.rand(len(kinds), channels, height, width, generator=generator, dtype=torch.float64)
    images[:, 0] = 0.3  # a constant channel must stay constant
    expected = torch.stack([dense_solution(image, gone) for image, gone in zip(images, removed, strict=True)])
    exact = impute(images, removed, tolerance=1e-11)
    assert (exact.images - expected).abs().max() < 1e-9
    assert not exact.direct.any()
    quick = impute(images.float(), removed[:, None])
    assert (quick.images - expected).abs().max() < 2e-5
    assert not quick.direct.any()
    assert torch.equal(
        quick.images[~removed[:, None].expand_as(quick.images)], images.float()[~removed[:, None].expand_as(images)]
    )


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_equals_quantus(quantus, channels, size):
    generator = torch.Generator().manual_seed(size)
    removed = torch.cat([nested(generator, size), mask("half", size, size, generator)[None]])
    images = torch.rand(1, channels, size, size, generator=generator, dtype=torch.float64).repeat(len(removed), 1, 1, 1)
    expected = quantus("impute", images=images.numpy(), removed=removed.numpy())["images"]
    assert np.abs(impute(images, removed, tolerance=1e-10).images.numpy() - expected).max() < 1e-8
    assert np.abs(impute(images.float(), removed).images.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("size", [28, 61, 224])
def test_few_cycles_reach_the_exact_solution(size, monkeypatch):
    """Also the rounding test: weights of 1/6 in float32 put an error of 1e-3 into holes of 200 pixels."""
    generator = torch.Generator().manual_seed(3)
    hole = torch.zeros(size, size, dtype=torch.bool)
    hole[5:-5, 5:-5] = True
    spread = [mask("most", size, size, generator), mask("isolated, odd and even", size, size, generator)]
    removed = torch.stack([hole, *spread, *nested(generator, size, levels=(6, 11, 16, 30, 60, 96))])
    images = torch.rand(1, 1, size, size, generator=generator).repeat(len(removed), 1, 1, 1)
    monkeypatch.setattr(conjugate_gradients, "MOST_ITERATIONS", 6 if size > 100 else 5)
    result = impute(images, removed)
    assert not result.direct.any()
    for i in (0, 3, -1):
        exact, _ = imputation._direct(images[i].double(), removed[i])
        assert (result.images[i] - exact).abs().max() < 2e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_preconditioner_is_symmetric_positive_and_close_to_the_inverse(kind):
    """Conjugate gradients need the first two and are fast by the third. Smoothers must not amplify anything."""
    removed = mask(kind, 11, 14, torch.Generator().manual_seed(13))
    cycle = Multigrid(torch.empty(11, 14, 154, dtype=torch.float64))
    cycle.load(removed[..., None].expand(11, 14, 154).double())
    unknown = removed.flatten()
    unit = torch.eye(154, dtype=torch.float64).view(11, 14, 154) * removed[..., None]
    blur = cycle.fine.blur(unit)
    operator = cycle.fine.times(unit, blur).reshape(154, 154).clone()[unknown][:, unknown]
    cycle.fine.residual.copy_(unit)
    inverse = cycle().reshape(154, 154).clone()[unknown][:, unknown]
    assert torch.allclose(inverse, inverse.t(), atol=1e-9)
    if unknown.any():
        eigenvalues = torch.linalg.eigvals(inverse @ operator).real
        assert 0.5 < eigenvalues.min() <= eigenvalues.max() < 1.2
    for grid in cycle.levels[1:-1]:
        points = grid.diagonal[..., 0].numel()
        lanes = torch.eye(points, dtype=torch.float64).view(*grid.diagonal.shape[:2], points)
        matrix = torch.empty(points, points, dtype=torch.float64)
        for k in range(points):
            grid.residual.zero_()
            grid.correction.zero_()
            grid.correction[..., 0] = lanes[..., k]
            grid.remainder()
            matrix[:, k] = -grid.left[..., 0].flatten()
        swept = torch.linalg.eigvals(grid.inverse[..., 0].flatten()[:, None] * matrix).real
        assert -1e-9 < swept.min() <= swept.max() < 2


def test_a_last_chunk_that_is_not_full_costs_no_more_cycles(monkeypatch):
    generator = torch.Generator().manual_seed(4)
    removed, images = torch.rand(5, 12, 12, generator=generator) < 0.8, torch.rand(5, 1, 12, 12, generator=generator)
    monkeypatch.setattr(imputation, "LEAST_LANES", 1)
    monkeypatch.setattr(imputation, "LEAST_CELLS", 3 * 144)
    monkeypatch.setattr(imputation, "COMPILED_LANES", (3, 3))
    monkeypatch.setattr(conjugate_gradients, "MOST_ITERATIONS", 7)
    assert [len(chunk) for chunk in imputation._chunks(removed, 3)] == [3, 2]
    assert not impute(images, removed).direct.any()


def test_the_direct_path_equals_the_dense_solution():
    generator = torch.Generator().manual_seed(5)
    for kind in KINDS:
        image, removed = torch.rand(2, 9, 11, generator=generator).double(), mask(kind, 9, 11, generator)
        values, residual = imputation._direct(image, removed)
        assert (values - dense_solution(image, removed)).abs().max() < 1e-12
        assert residual < 1e-12


def test_what_does_not_converge_is_solved_directly_and_says_so(monkeypatch):
    generator = torch.Generator().manual_seed(6)
    removed = torch.stack([mask(kind, 20, 20, generator) for kind in ("nothing", "most", "block")])
    images = torch.rand(3, 2, 20, 20, generator=generator)
    monkeypatch.setattr(conjugate_gradients, "MOST_ITERATIONS", 1)
    result = impute(images, removed)
    assert result.direct.tolist() == [False, True, True]
    expected = torch.stack([dense_solution(image, gone) for image, gone in zip(images, removed, strict=True)])
    assert (result.images - expected).abs().max() < 1e-6


def test_a_small_residual_alone_is_not_taken_for_convergence(monkeypatch):
    """In a wide hole a smooth error hides from the residual; only the estimate of the error sees it."""
    hole = torch.zeros(1, 100, 100, dtype=torch.bool)
    hole[:, 2:-2, 2:-2] = True
    images = torch.rand(1, 1, 100, 100, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(conjugate_gradients, "MOST_ITERATIONS", 2)
    solver = conjugate_gradients.Solver(100, 100, 1, torch.float32, torch.device("cpu"))
    solver.load(hole.flatten(1))
    _, residual, _ = solver.solve(images[0].flatten(1), 2e-3)
    assert residual.item() < 2e-3
    assert impute(images, hole, tolerance=2e-3).direct.all()


def spoilt(load, how):
    """The compiled solver's `load`, with its smoother of the pixels changed."""

    def loaded(self, *given):
        load(self, *given)
        inverse = self.levels[0][INVERSE][1:-2, self.lanes : -2 * self.lanes]
        inverse[:] = how(inverse)

    return loaded


def test_a_broken_preconditioner_cannot_spoil_a_picture(monkeypatch):
    """The iteration then believes it has arrived at once; the residual measured afterwards says otherwise."""
    generator = torch.Generator().manual_seed(7)
    removed, images = mask("half", 12, 12, generator)[None], torch.rand(1, 1, 12, 12, generator=generator)
    monkeypatch.setattr(conjugate_gradients.Multigrid, "__call__", lambda self: self.fine.residual * 1e-9)
    monkeypatch.setattr(CompiledSolver, "load", spoilt(CompiledSolver.load, lambda inverse: 0 * inverse))
    result = impute(images, removed)
    assert result.direct.all()
    assert (result.images[0] - dense_solution(images[0], removed[0])).abs().max() < 1e-6


def test_what_overflows_on_the_way_is_solved_directly(monkeypatch):
    """A maximum that skips what is not a number would take it for convergence."""
    generator = torch.Generator().manual_seed(15)
    removed, images = mask("half", 12, 12, generator)[None], torch.rand(1, 2, 12, 12, generator=generator)

    with monkeypatch.context() as patch:
        patch.setattr(conjugate_gradients.Multigrid, "__call__", lambda self: self.fine.residual * torch.nan)
        patch.setattr(CompiledSolver, "load", spoilt(CompiledSolver.load, lambda inverse: inverse * np.nan))
        result = impute(images, removed)
    assert result.direct.all()
    assert (result.images[0] - dense_solution(images[0], removed[0])).abs().max() < 1e-6
    assert not impute(images, removed).direct.any()  # nothing of it stays in the buffers


@pytest.mark.parametrize("power", [-140, -120, 120])
def test_images_of_extreme_size(power):
    generator = torch.Generator().manual_seed(16)
    removed, images = mask("half", 12, 12, generator)[None], torch.rand(1, 1, 12, 12, generator=generator)
    images = images.double().mul(2.0**power).float()
    expected = dense_solution(images[0], removed[0])
    assert (impute(images, removed).images[0] - expected).abs().max() < 2e-5 * 2.0**power + 2**-148


def test_the_reported_residual_is_that_of_the_returned_image():
    generator = torch.Generator().manual_seed(8)
    removed = torch.stack([mask(kind, 8, 10, generator) for kind in ("half", "most", "nothing")])
    images = 5 * torch.rand(3, 2, 8, 10, generator=generator)
    result = impute(images, removed, tolerance=1e-4)
    worst = torch.zeros(3, dtype=torch.float64)
    for b, c, row, column in torch.cartesian_prod(*(torch.arange(n) for n in images.shape)).tolist():
        if removed[b, row, column]:
            v = result.images[b, c].double()
            residual = sum(w * (v[y, x] - v[row, column]) for w, y, x in neighbours(row, column, 8, 10))
            worst[b] = max(worst[b], residual.abs())
    assert torch.allclose(result.residual, worst, atol=1e-12)
    assert 0 < worst.max() < 8 * 2e-4


def test_an_image_does_not_depend_on_its_batch(monkeypatch):
    generator = torch.Generator().manual_seed(9)
    removed = torch.cat([nested(generator, 16) for _ in range(4)])
    images = torch.rand(len(removed), 3, 16, 16, generator=generator)
    alone = [(i, impute(images[i : i + 1], removed[i : i + 1]).images[0]) for i in (0, 19, 50)]
    together = impute(images, removed).images
    for i, image in alone:
        assert torch.equal(image, together[i])
    monkeypatch.setattr(imputation, "LEAST_CELLS", 23 * 256)  # other chunks, the last one not full
    monkeypatch.setattr(imputation, "COMPILED_LANES", (7, 7))
    assert torch.equal(impute(images, removed).images, together)


def test_two_threads_do_not_share_buffers():
    generator = torch.Generator().manual_seed(12)
    images, removed = torch.rand(40, 1, 24, 24, generator=generator), torch.rand(40, 24, 24, generator=generator) < 0.7
    halves = [(images[:20], removed[:20]), (images[20:], removed[20:])] * 4
    expected = [impute(*half).images for half in halves]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda half: impute(*half).images, halves))
    assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))


def test_values_at_removed_pixels_do_not_matter_and_the_input_is_not_touched():
    generator = torch.Generator().manual_seed(10)
    images, removed = torch.rand(2, 3, 12, 9, generator=generator), torch.rand(2, 12, 9, generator=generator) < 0.6
    poisoned = images.masked_fill(removed[:, None], torch.nan)
    before = poisoned.clone()
    assert torch.equal(impute(poisoned, removed).images, impute(images, removed).images)
    assert torch.equal(poisoned.nan_to_num(-1), before.nan_to_num(-1))


def test_how_images_and_masks_lie_in_memory_does_not_matter():
    generator = torch.Generator().manual_seed(17)
    images, gone = torch.rand(3, 2, 12, 9, generator=generator), torch.rand(12, 9, generator=generator) < 0.6
    expected = impute(images, gone.repeat(3, 1, 1)).images
    assert torch.equal(impute(images, gone.expand(3, 1, 12, 9)).images, expected)
    turned = gone.t().contiguous().t().repeat(3, 1, 1)
    last = images.to(memory_format=torch.channels_last).requires_grad_()
    found = impute(last, turned).images
    assert torch.equal(found, expected)
    assert not found.requires_grad


@given(seed=st.integers(0, 2**16), kind=st.sampled_from(KINDS), power=st.integers(-20, 20))
@settings(max_examples=25)
def test_linear_and_within_the_range_of_the_kept_pixels(seed, kind, power):
    generator = torch.Generator().manual_seed(seed)
    removed, images = mask(kind, 13, 10, generator)[None], torch.rand(1, 2, 13, 10, generator=generator)
    imputed = impute(images, removed).images
    assert torch.equal(impute(images * 2.0**power, removed).images, imputed * 2.0**power)
    for before, after in zip(images[0], imputed[0], strict=True):
        kept = before[~removed[0]]
        assert kept.min() - 1e-5 <= after.min() <= after.max() <= kept.max() + 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_images_come_back_in_half_precision(dtype):
    generator = torch.Generator().manual_seed(11)
    images, removed = (
        torch.rand(2, 1, 9, 9, generator=generator).to(dtype),
        torch.rand(2, 9, 9, generator=generator) < 0.5,
    )
    result = impute(images, removed).images
    assert result.dtype == dtype
    assert torch.equal(result, impute(images.float(), removed).images.to(dtype))


def test_both_solvers_agree():
    generator = torch.Generator().manual_seed(14)
    removed = torch.stack([mask(kind, 29, 34, generator) for kind in KINDS])
    images = torch.rand(len(removed), 2, 29, 34, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for solver in (COMPILED, lambda: None):
            patch.setattr(imputation, "compiled_solver", solver)
            found.append(impute(images, removed))
    assert (found[0].images - found[1].images).abs().max() < 5e-6
    assert not (found[0].direct | found[1].direct).any()


def test_without_numba_tensors_do_the_work(monkeypatch):
    assert COMPILED() is CompiledSolver
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, CompiledSolver.__module__)
    assert COMPILED.__wrapped__() is None


def test_an_empty_batch_is_no_error():
    assert impute(torch.rand(0, 3, 8, 8), torch.zeros(0, 1, 8, 8, dtype=torch.bool)).images.shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("images", "removed", "words"),
    [
        (torch.rand(2, 1, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool), "image 0 .* all pixels removed"),
        (torch.rand(2, 1, 4, 4), torch.zeros(2, 4, 4), "must be bool"),
        (torch.rand(2, 1, 4, 4), torch.zeros(2, 4, 5, dtype=torch.bool), "got"),
        (torch.rand(2, 3, 4, 4), torch.zeros(2, 3, 4, 4, dtype=torch.bool), "got"),
        (torch.ones(2, 1, 4, 4, dtype=torch.int64), torch.zeros(2, 4, 4, dtype=torch.bool), "float images"),
        (torch.full((1, 1, 4, 4), torch.inf), torch.zeros(1, 4, 4, dtype=torch.bool), "finite"),
        (torch.tensor([torch.nan, 1.0]).expand(4, 4, 2).permute(2, 0, 1)[None], torch.eye(4)[None] > 0, "finite"),
        (torch.tensor([1.0, torch.nan]).expand(4, 4, 2).permute(2, 0, 1)[None], torch.eye(4)[None] > 0, "finite"),
    ],
)
def test_bad_input_is_named(images, removed, words):
    with pytest.raises(BadInput, match=words):
        impute(images, removed)
