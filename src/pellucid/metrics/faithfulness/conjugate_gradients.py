"""Conjugate gradients for ROAD's imputation: all systems of a batch at once, none aware of the others."""

import torch
from torch import Tensor

from pellucid.errors import BadInput
from pellucid.metrics.faithfulness.multigrid import Multigrid
from pellucid.metrics.faithfulness.stencil import Blur, folded

MOST_ITERATIONS = 40
"""4 to 7 are usual. A system that has not converged by then is reported as unsolved."""
NOT_FINITE = "images to impute must be finite; a kept pixel is NaN or infinite"


class Solver:
    """Solves A v = W x_kept for up to `lanes` masks of one image size; see :mod:`stencil` for A and the layout.

    The residual that the iteration carries along gathers rounding errors, so the residual that counts is measured anew
    on the result, in float64.
    """

    def __init__(self, height: int, width: int, lanes: int, dtype: torch.dtype, device: torch.device) -> None:
        self.values = torch.empty(height, width, lanes, dtype=dtype, device=device)
        self.direction = torch.empty_like(self.values)
        self.precondition = Multigrid(self.values)
        self.operator = self.precondition.fine
        self.blur_values = self.operator.blur(self.values)
        self.blur_direction = self.operator.blur(self.direction)
        self.exact, self.other, self.half, self.defect = (
            torch.empty_like(self.values, dtype=torch.float64) for _ in range(4)
        )
        self.blur_exact = Blur(self.exact, self.other, self.half, self.defect)

    def load(self, removed: Tensor) -> None:
        """Take masks [n, H·W] (bool), n at most `lanes`; lanes left over stay empty."""
        self.masks = removed
        self._fill(removed.to(self.values.dtype))
        self.kept = self.values[..., 0].numel() - self._sum(self.operator.left.copy_(self.values))
        self.precondition.load(self.values)

    def solve(self, images: Tensor, tolerance: float) -> tuple[Tensor, Tensor, Tensor]:
        """Impute one channel [n, H·W] of the images under the masks loaded.

        Returns
        -------
        tuple
            The images [n, H·W]; the largest residual of each, measured in float64 [n]; whether no pixel is estimated to
            be off by more than `tolerance` times the image's scale, and no residual belies that [n].
        """
        values, operator = self.values, self.operator
        self._fill(images.masked_fill(self.masks, 0))
        size = lanes_max(torch.abs(values, out=operator.left))
        if not size.isfinite().all():
            raise BadInput(NOT_FINITE)
        scale = torch.ldexp(torch.ones_like(size), torch.frexp(size).exponent)  # a power of 2: rounds nothing
        mean = self._sum(operator.left.copy_(values.div_(scale))) / self.kept
        values.addcmul_(operator.removed, mean)
        torch.neg(operator.times(values, self.blur_values), out=operator.residual)
        running = self._iterate(tolerance)
        defect = self._defect()
        solved = ~running & (defect <= 2 * tolerance)  # an error below e leaves a residual below 2e
        n = len(images)
        imputed = values.mul_(scale).flatten(0, 1).t().contiguous()
        return imputed[:n], (defect * scale)[:n], solved[:n]

    def _fill(self, images: Tensor) -> None:
        """Write images [n, H·W] into the first n lanes of `values` and zero into the others."""
        n, field = len(images), self.values.flatten(0, 1)
        field[:, :n] = images.t()
        field[:, n:] = 0

    def _defect(self) -> Tensor:
        """Largest |W v − s v| of a removed pixel in each lane [S], in float64."""
        self.exact.copy_(self.values)
        self.blur_exact()
        self.defect.addcmul_(self.exact, self.other.copy_(self.operator.diagonal), value=-1)
        return lanes_max(self.defect.mul_(self.half.copy_(self.operator.removed)).abs_()) / 12

    def _iterate(self, target: float) -> Tensor:
        """Reduce the residual that lies in the operator's buffer until no pixel is estimated to be off by `target`.

        The preconditioned residual estimates the error itself, pixel by pixel, within a factor of 2. A lane that has
        come close enough takes it as its last step and is frozen. Returns the lanes that are still running.
        """
        operator, values, direction = self.operator, self.values, self.direction
        tiny = torch.finfo(values.dtype).tiny
        running = torch.ones(values.shape[2], dtype=torch.bool, device=values.device)
        previous: Tensor | None = None
        for _ in range(MOST_ITERATIONS):
            correction = self.precondition()
            error = lanes_max(torch.abs(correction, out=operator.left))
            arrived = running & (error <= target)
            running = running & ~arrived
            if arrived.any():
                values.addcmul_(correction, arrived.to(values.dtype))
            if not running.any():
                break
            product = self._dot(operator.residual, correction)
            if previous is None:
                direction.copy_(correction)
            else:
                torch.addcmul(correction, direction, product / previous, out=direction)
            image = operator.times(direction, self.blur_direction)
            step = product / self._dot(direction, image).clamp_min(tiny) * running
            values.addcmul_(direction, step)
            operator.residual.addcmul_(image, step, value=-1)
            previous = product.clamp_min(tiny)
        return running

    def _dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Scalar product of each lane [S]."""
        return self._sum(torch.mul(a, b, out=self.operator.left))

    def _sum(self, field: Tensor) -> Tensor:
        """Sum of each lane [S]; `field` is spent."""
        return folded(folded(field, 0), 0).clone()


def lanes_max(field: Tensor) -> Tensor:
    """Largest entry of each lane [S]; by rows first, which keeps the reduction in long vectors."""
    return field.amax(0).amax(0)
