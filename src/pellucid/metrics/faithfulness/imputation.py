"""Linear imputation of removed pixels: the blurring half of ROAD's noisy linear imputation (definitions §4.4)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness.conjugate_gradients import Solver
from pellucid.metrics.faithfulness.stencil import COUPLINGS, degrees
from pellucid.metrics.faithfulness.threads import on_threads
from pellucid.types import Image

if TYPE_CHECKING:
    from pellucid.metrics.faithfulness.compiled import CompiledSolver

LEAST_CELLS, MOST_CELLS, LEAST_LANES = 2**18, 2**20, 10
"""Pixels of the masks of a chunk on a CPU: about 18 fields of this size are worked on, and few should leave its caches;
but below 10 masks the vectors become short, so that large images get larger chunks."""

CELLS_ON_GPU = 2**24

COMPILED_CELLS, COMPILED_LANES = 2**15, (5, 32)
"""The same for the compiled solver, whose fields stay in a core's own cache then. At least 5, so that two or four
threads share the 20 levels of one image alike."""


@dataclass(frozen=True)
class Imputation:
    """Imputed images and how exactly each of them solves its equation.

    Attributes
    ----------
    images
        [B, C, H, W] in the dtype of the input; kept pixels are bitwise those of the input.
    residual
        [B] float64: the largest |Σ_j w_ij (v_j − v_i)| of any removed pixel in any channel, in pixel units: how far the
        image is from fulfilling its equation. Measured in float64 on the image returned (in half precision: before its
        rounding).
    direct
        [B] bool: solved by sparse LU because the iteration had not reached the tolerance.
    """

    images: Image
    residual: Tensor
    direct: Tensor


@torch.no_grad()
def impute(images: Image, removed: Tensor, *, tolerance: float = 2e-5) -> Imputation:
    """Replace removed pixels so that each is the weighted mean of its neighbours: 1/6 beside, 1/12 diagonally.

    All pixels of a mask hang together, so this is one linear system per image, shared by its channels. They are solved
    together by conjugate gradients with a multigrid preconditioner, without building a matrix; one image's result does
    not depend on the others in the batch. On CPUs and in float32 that is done by loops which numba compiles when they
    are first used (some 25 seconds, once an installation; without numba PyTorch does it, three times slower). ROAD's
    noise is the caller's to add.

    Parameters
    ----------
    images
        [B, C, H, W]; values at removed pixels do not matter.
    removed
        [B, 1, H, W] or [B, H, W] bool; a removed pixel is removed in all channels. At least one pixel must be kept.
    tolerance
        How far any pixel may be from the exact solution, relative to the largest |kept pixel| of its channel (rounded
        up to a power of 2). Estimated before a last step that makes the error about five times smaller still. The
        solver works in the dtype of `images` (float32 for half precision) and cannot do better than 8 roundings.

    Returns
    -------
    Imputation
        The images and their measured residuals.

    Raises
    ------
    BadInput
        For shapes that do not match, an image without a kept pixel (the system is singular), or non-finite kept pixels.

    References
    ----------
    Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (ROAD), §4.
    """
    masks = _checked(images, removed)
    dtype = images.dtype if images.dtype == torch.float64 else torch.float32
    tolerance = max(tolerance, 8 * torch.finfo(dtype).eps)
    given = images.detach().to(dtype).contiguous()
    out = torch.empty_like(given)
    solver = compiled_solver() if images.device.type == "cpu" and dtype == torch.float32 else None
    solve = partial(_solve_compiled, solver) if solver else _solve
    residual, solved = solve(given, masks, tolerance, out)
    out = out.to(images.dtype)
    for i in (~solved).nonzero().flatten().tolist():
        out[i], residual[i] = _direct(images[i], masks[i])
    return Imputation(out, residual, ~solved)


def _checked(images: Image, removed: Tensor) -> Tensor:
    """The masks as bool [B, H, W], or BadInput."""
    masks = removed[:, 0] if removed.ndim == 4 and removed.shape[1] == 1 else removed
    if images.ndim != 4 or not images.is_floating_point() or masks.shape != (len(images), *images.shape[2:]):
        raise BadInput(
            f"impute needs float images [B, C, H, W] and masks [B, 1, H, W] or [B, H, W]; got {images.dtype} "
            f"{tuple(images.shape)} and {tuple(removed.shape)}"
        )
    if masks.dtype != torch.bool:
        raise BadInput(f"the mask of removed pixels must be bool (True = removed); got {masks.dtype}")
    full = masks.flatten(1).all(1)
    if full.any():
        raise BadInput(
            f"image {int(full.nonzero()[0])} of the batch has all pixels removed: nothing is left to impute from. "
            "Keep at least one pixel (percentages below 100)"
        )
    return masks


def _solve(images: Image, masks: Tensor, tolerance: float, out: Image) -> tuple[Tensor, Tensor]:
    """Impute into `out`; the largest residual of each image and whether all of it is solved [B]."""
    height, width = images.shape[2:]
    chunks = _chunks(masks, _lanes(images))
    made_for = (Solver, height, width, max((len(chosen) for chosen in chunks), default=0), images.dtype, images.device)
    on_cpu = images.device.type == "cpu"
    worst = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    solved = torch.ones(len(images), dtype=torch.bool, device=images.device)

    def solve(chosen: Tensor) -> None:
        with _borrowed(made_for, keep=on_cpu) as solver:
            solver.load(masks.flatten(1).index_select(0, chosen))
            for given, imputed in zip(images.flatten(2).unbind(1), out.flatten(2).unbind(1), strict=True):
                values, defect, done = solver.solve(given.index_select(0, chosen), tolerance)
                imputed.index_copy_(0, chosen, values)
                worst[chosen] = worst[chosen].maximum(defect)
                solved[chosen] &= done

    if on_cpu:
        on_threads(solve, chunks)
    else:
        for chosen in chunks:
            solve(chosen)
    return worst, solved


def _solve_compiled(
    solver: "type[CompiledSolver]", images: Image, masks: Tensor, tolerance: float, out: Image
) -> tuple[Tensor, Tensor]:
    """The same in float32 on a CPU, by the compiled solver."""
    height, width = images.shape[2:]
    fewest, most = COMPILED_LANES
    chunks = _chunks(masks, max(fewest, min(most, COMPILED_CELLS // (height * width))))
    given, gone, made = (field.numpy() for field in (images.flatten(2), masks.flatten(1).contiguous(), out.flatten(2)))
    worst, solved = np.zeros(len(images)), np.ones(len(images), dtype=np.bool_)

    def solve(chunk: Tensor) -> None:
        chosen = chunk.numpy()
        with _borrowed((solver, height, width, len(chunks[0]))) as one:
            one.load(gone, chosen)
            worst[chosen], solved[chosen] = one.solve(given, gone, chosen, tolerance, made)

    on_threads(solve, chunks)
    return torch.from_numpy(worst), torch.from_numpy(solved)


@cache
def compiled_solver() -> "type[CompiledSolver] | None":
    """The compiled solver, or None where numba is missing or has nowhere to keep what it compiles."""
    try:
        from pellucid.metrics.faithfulness.compiled import CompiledSolver  # noqa: PLC0415 (loads a compiler)
    except (ImportError, RuntimeError):
        return None
    return CompiledSolver


def _lanes(images: Image) -> int:
    """How many images to solve together with tensors."""
    pixels = images.shape[2] * images.shape[3]
    if images.device.type != "cpu":
        return max(1, CELLS_ON_GPU // pixels)
    return max(1, LEAST_CELLS // pixels, min(LEAST_LANES, MOST_CELLS // pixels))


def _chunks(masks: Tensor, lanes: int) -> list[Tensor]:
    """Indices of the images to solve together, about `lanes` at a time, in chunks of equal size but for the last.

    Masks of similar size go together because they converge together.
    """
    batch = len(masks)
    if batch == 0:
        return []
    lanes = -(-batch // -(-batch // lanes))
    counts = torch.cat([part.sum(1) for part in masks.flatten(1).split(64)])  # sum converts to int64: keep that small
    return list(counts.argsort(stable=True).split(lanes))


_kept: dict[tuple[Any, ...], list[Any]] = {}
"""Solvers of the last size on a CPU, ready to be used again: touching fresh buffers can cost as much as the arithmetic
in them."""


@contextmanager
def _borrowed(made_for: tuple[Any, ...], *, keep: bool = True) -> Iterator[Any]:
    """A solver (its class and what it is made with) that nobody else uses meanwhile, new or kept from the last call."""
    if made_for not in _kept:
        _kept.clear()  # frees the old ones first
    kept = _kept.setdefault(made_for, [])
    try:
        solver = kept.pop()
    except IndexError:
        solver = made_for[0](*made_for[1:])
    yield solver
    if keep:
        kept.append(solver)


def _direct(image: Tensor, mask: Tensor) -> tuple[Tensor, float]:
    """The same for one image [C, H, W] by sparse LU in float64, with its largest residual."""
    kept, gone = image.double().cpu().numpy(), mask.cpu().numpy()
    if not gone.any():
        return image, 0.0
    number = np.cumsum(gone).reshape(gone.shape) - 1
    degree = degrees(*mask.shape).numpy()
    values = np.where(gone, 0.0, kept)
    rows, columns, entries = [number[gone]], [number[gone]], [degree[gone]]
    for weight, one, other in COUPLINGS:
        both = gone[one] & gone[other]
        i, j = number[one][both], number[other][both]
        rows += [i, j]
        columns += [j, i]
        entries += [np.full(2 * len(i), -weight)]
    matrix = csc_array((np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))))
    values[:, gone] = splu(matrix).solve(_around(values)[:, gone].T).T
    rounded = values if image.dtype == torch.float64 else values.astype(np.float32).astype(np.float64)
    defect = (_around(rounded) - degree * rounded)[:, gone]
    return torch.from_numpy(values).to(image), float(np.abs(defect).max()) / 12


def _around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """W x: the weighted sum of every pixel's neighbours (weights in twelfths), [C, H, W]."""
    total = np.zeros_like(values)
    for weight, one, other in COUPLINGS:
        total[(..., *one)] += weight * values[(..., *other)]
        total[(..., *other)] += weight * values[(..., *one)]
    return total
