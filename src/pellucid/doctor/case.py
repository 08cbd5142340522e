"""A model with its data, and the evidence that several checks share: computed once, and only if somebody asks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pellucid.attacks import Ball, Linf, pgd, step_length
from pellucid.doctor.findings import NotApplicable, in_one_line
from pellucid.doctor.samples import Sample
from pellucid.experiments.config import RunConfig
from pellucid.gradients import cross_entropy_with, describe, input_gradient, logit_of
from pellucid.randomness import generator
from pellucid.types import Image, Labels

BUDGET = 36.0
"""Seconds that the passes of all checks may take together; the shares in :meth:`Case.affordable` add up to one."""

USUAL_EPS = 8 / 255
LEARNT = 0.2
"""How far from chance to perfect a model has to be to count as trained."""


@dataclass(eq=False)
class Case:
    """What the checks look at.

    Attributes
    ----------
    model
        The engine's working copy, in eval mode; whatever a check does to it is undone.
    given_modes
        Names of the modules that the model came with in train mode.
    test
        The training images themselves where there are no others (`has_test` is False then).
    eps, norm
        The radius that will be used, None if not known.
    wrapper
        Class name and settings of what the model was wrapped in ("DistributedDataParallel", …), if it was.
    """

    model: nn.Module
    train: Sample
    test: Sample
    has_test: bool = True
    given_modes: tuple[str, ...] = ()
    wrapper: nn.Module | None = None
    eps: float | None = None
    norm: Literal["linf", "l2"] = "linf"
    config: RunConfig | None = None
    seed: int = 0
    budget: float = BUDGET
    _pace: float | None = None
    _began: float = field(default_factory=time.perf_counter)

    # --- what is there ------------------------------------------------------------------------------------------

    @cached_property
    def weights(self) -> list[Tensor]:
        """Floating-point parameters and buffers."""
        return [t for t in (*self.model.parameters(), *self.model.buffers()) if t.is_floating_point()]

    @cached_property
    def dtype(self) -> torch.dtype:
        """The type most weights have; float32 for a model without."""
        kinds = [w.dtype for w in self.weights]
        return max(set(kinds), key=kinds.count) if kinds else torch.float32

    @cached_property
    def device(self) -> torch.device:
        """Where the first weight lies."""
        return self.weights[0].device if self.weights else torch.device("cpu")

    @cached_property
    def classes(self) -> int:
        """Number of classes of the data: of their names, else the largest label and one."""
        if self.train.classes is not None:
            return len(self.train.classes)
        return int(max(self.train.labels.max(), self.test.labels.max())) + 1

    @cached_property
    def order(self) -> Tensor:
        """The test images' positions in the seeded order in which they are used."""
        return torch.randperm(len(self.test), generator=generator(self.seed, "doctor"))

    def images(self, count: int) -> Image:
        """The first `count` test images of that order, [n, C, H, W], in the model's type and on its device."""
        return self.test.batch(self.order[:count]).to(self.device, self.dtype)

    def labels(self, count: int) -> Labels:
        """Their labels, int64 [n], on the CPU."""
        return self.test.labels[self.order[:count]].long().cpu()

    @cached_property
    def in_range(self) -> bool:
        """Whether the pixels of the test images lie in [0, 1]."""
        x = self.test.spread(512)
        return bool(x.isfinite().all()) and float(x.min()) >= -1e-6 and float(x.max()) <= 1 + 1e-6

    def require_range(self) -> None:
        """Raise NotApplicable unless pixels lie in [0, 1], where an ε in pixel units has a meaning."""
        if not self.in_range:
            raise NotApplicable("the pixels do not lie in [0, 1] (see pixel_range)")

    # --- passes -------------------------------------------------------------------------------------------------

    @cached_property
    def output(self) -> Any:
        """What the model returns for a few images, or the exception that it raises."""
        try:
            with torch.no_grad():
                return self.model(self.images(4))
        except Exception as error:
            return error

    def require_logits(self) -> None:
        """Raise NotApplicable unless the model takes the images and returns one tensor [B, K]."""
        if isinstance(self.output, Exception):
            raise NotApplicable(f"the model does not take the images: {in_one_line(self.output, 80)}")
        few = min(4, len(self.test))
        if not isinstance(self.output, Tensor) or self.output.ndim != 2 or len(self.output) != few:
            raise NotApplicable(f"the model returns {describe(self.output)}, not logits [B, K]")

    def logits_of(self, x: Image) -> Tensor:
        """Logits [B, K] in float64 on the CPU, without graph; `x` stays as it is whatever the model does to it."""
        self.require_logits()
        size, began = max(1, min(256, 1_500_000 // x[0].numel())), time.perf_counter()
        with torch.no_grad():
            logits = torch.cat([self.model(part.clone()).double().cpu() for part in x.split(size)])
        if len(x) >= 4:
            self._pace = (time.perf_counter() - began) / len(x)
        return logits

    @property
    def seconds(self) -> float:
        """Of one image in a forward pass, as the last one took (other programs may come and go)."""
        if self._pace is None:
            x = self.images(4)
            for _ in range(2):  # the first call allocates
                self.logits_of(torch.cat([x] * (-(-4 // len(x)))))
        assert self._pace is not None
        return self._pace

    def affordable(self, passes: float, share: float, most: int, least: int = 4) -> int:
        """How many images a check may use that needs so many forward passes' time for each, within its share.

        Raises
        ------
        NotApplicable
            If `least` of them would take more than a tenth of the budget, or the time is up.
        """
        self.require_logits()
        least = min(least, len(self.test))
        count = int(share * self.budget / (passes * self.seconds))
        late = time.perf_counter() - self._began > self.budget
        if count < least and (late or passes * self.seconds * least > 0.1 * self.budget):
            raise NotApplicable(
                f"one pass of one image takes {self.seconds:.2g} s, too long for this check in a minute"
            )
        return min(least if late else max(count, least), most, len(self.test))

    def glimpse(self, most: int) -> Image:
        """Up to `most` test images, fewer (but two) where a pass takes long: for what any image shows."""
        return self.images(max(2, min(most, int(0.01 * self.budget / self.seconds))))

    @cached_property
    def _repeats(self) -> tuple[float, float]:
        """Largest relative change of the logits between two passes: with the same random numbers, with others."""
        x = self.glimpse(8)
        passes = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            passes.append(self.logits_of(x))
        return relative_change(passes[0], passes[1]), relative_change(passes[0], passes[2])

    @property
    def repeats_with_same_numbers(self) -> float:
        """Largest change of a logit between two passes with equal random numbers, relative to the largest logit."""
        return self._repeats[0]

    @property
    def repeats_with_other_numbers(self) -> float:
        """The same with different random numbers."""
        return self._repeats[1]

    def require_steady(self) -> None:
        """Raise NotApplicable if outputs are random in eval mode: whatever compares two passes would see that."""
        if max(self._repeats) > TOLERANCE:
            raise NotApplicable("two eval passes differ (see active_dropout, determinism)")

    @cached_property
    def mates_matter(self) -> float:
        """Largest change of an image's logits when its batch mates change, relative to the largest logit."""
        x = self.images(4)
        together = self.logits_of(x)[:2]
        alone = torch.cat([self.logits_of(image[None]) for image in x[:2]])
        darker = self.logits_of(torch.cat([x[:2], 0.25 * x[2:].flip(0)]))[:2]
        return max(relative_change(together, alone), relative_change(together, darker))

    def require_independent(self) -> None:
        """Raise NotApplicable if outputs are random, or if batch mates change an image's logits."""
        self.require_steady()
        try:
            if self.mates_matter <= TOLERANCE:
                return
        except NotApplicable:
            raise
        except Exception as error:
            raise NotApplicable(f"batches of other sizes fail: {in_one_line(error, 80)}") from error
        raise NotApplicable("logits depend on the batch mates (see batch_independence)")

    # --- what it has learnt -------------------------------------------------------------------------------------

    @cached_property
    def logits(self) -> Tensor:
        """Logits of the test images that all checks of predictions use, float64 [n, K]."""
        return self.logits_of(self.images(self.affordable(1, 0.12, 2048, 8)))

    @cached_property
    def correct(self) -> Tensor:
        """Bool [n]: those that are predicted right."""
        return self.logits.argmax(1) == self.labels(len(self.logits))

    @cached_property
    def chance(self) -> float:
        """Accuracy of the best constant answer on the test labels."""
        return float(self.test.labels.long().unique(return_counts=True)[1].max()) / len(self.test)

    @cached_property
    def learnt_level(self) -> float:
        """The accuracy above which a model counts as trained: a fifth of the way from chance to perfect."""
        return self.chance + LEARNT * (1 - self.chance)

    @cached_property
    def accuracy(self) -> float:
        """Share of those images that are predicted right."""
        return float(self.correct.double().mean())

    def require_learnt(self) -> None:
        """Raise NotApplicable for a model at chance: what it does tells nothing about how it will be used."""
        if self.accuracy < self.learnt_level:
            raise NotApplicable(f"the model is not trained (accuracy {self.accuracy:.0%}, chance {self.chance:.0%})")

    def knows(self, logits: Tensor, accuracy: float) -> bool:
        """Whether an accuracy is more than the luck of random weights, whose answers are unsure where they are right.

        It has to be 30 % of the way from chance to perfect, and the mean top probability a third as far above 1/K as
        the accuracy is above chance.
        """
        sure = float(logits.softmax(1).amax(1).mean()) - 1 / logits.shape[1]
        return accuracy >= self.chance + 0.3 * (1 - self.chance) and sure >= (accuracy - self.chance) / 3

    def variant(self, change: Callable[[Image], Image], passes: float) -> tuple[Tensor, Tensor]:
        """Which images are right as they are, bool [n], and the logits [n, K] after a change of the pixels."""
        count = min(self.affordable(passes, 0.05, 1024, 8), len(self.correct))
        return self.correct[:count], self.logits_of(change(self.images(count)))

    # --- gradients ----------------------------------------------------------------------------------------------

    @cached_property
    def gradient_failure(self) -> Exception | None:
        """What happens when the gradient of a logit with respect to the pixels is asked for."""
        self.require_logits()
        x = self.images(2)
        try:
            input_gradient(self.model, x.clone(), logit_of(torch.zeros(len(x), dtype=torch.int64, device=x.device)))
        except Exception as error:
            return error
        return None

    def require_gradient(self) -> None:
        """Raise NotApplicable unless logits can be differentiated with respect to the pixels."""
        if self.gradient_failure is not None:
            raise NotApplicable("there is no gradient with respect to the pixels (see reaches_pixels)")

    @cached_property
    def has_new_head(self) -> bool:
        """Whether the last layer has weights 0, as some libraries initialise it; all logits are then constant."""
        layers = [module for module in self.model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
        return bool(layers) and not bool(layers[-1].weight.any()) and bool((self.logits == self.logits[:1]).all())

    @cached_property
    def explained(self) -> tuple[Image, Labels, Tensor]:
        """Images [n, C, H, W], predicted classes [n] and the gradients of their logits [n, C, H, W]."""
        self.require_steady()
        self.require_gradient()
        if self.has_new_head:
            raise NotApplicable("the weights of the last layer are all zero, as new: every gradient is zero")
        x = self.images(self.affordable(3, 0.08, 64, 2))
        logits = self.logits_of(x)
        if not logits.isfinite().all():
            raise NotApplicable("logits are not finite (see finite_logits)")
        predicted = logits.argmax(1).to(x.device)
        size = max(1, min(64, 1_500_000 // x[0].numel()))
        parts = zip(x.split(size), predicted.split(size), strict=True)
        gradients = [input_gradient(self.model, part.clone(), logit_of(p))[1] for part, p in parts]
        return x, predicted, torch.cat(gradients)

    def require_attackable(self) -> None:
        """Raise NotApplicable unless an attack by gradients has a meaning: pixels in range, a sound gradient."""
        self.require_range()
        self.require_independent()
        if not self.explained[2].isfinite().all():
            raise NotApplicable("gradients are not finite (see finite_gradients)")

    @cached_property
    def attacked(self) -> "Attacks":
        """The losses that noise, one step and many steps of the same radius reach, away from the predictions."""
        self.require_attackable()
        eps = self.eps if self.norm == "linf" and self.eps is not None and 1 / 512 <= self.eps <= 0.25 else USUAL_EPS
        x = self.images(self.affordable(50, 0.35, 32))
        y = self.logits_of(x).argmax(1).to(x.device)
        draws = generator(self.seed, "doctor", "noise")
        noisy = (x + eps * torch.randn(x.shape, generator=draws).sign().to(x)).clamp(0, 1)
        once = pgd(self.model, x, y, Linf(eps), step_size=eps, steps=1)
        often = pgd(self.model, x, y, Linf(eps), step_size=eps / 4, steps=7)
        wider = pgd(self.model, x, y, Linf(4 * eps), step_size=eps, steps=7)
        return Attacks(eps, *(self._losses(images, y) for images in (x, noisy, once, often, wider)))

    def _losses(self, x: Image, y: Labels) -> tuple[Tensor, Tensor]:
        logits, target = self.logits_of(x), y.cpu()
        return torch.nn.functional.cross_entropy(logits, target, reduction="none"), logits.argmax(1) != target

    def attack(self, x: Image, y: Labels, region: Ball, steps: int) -> Tensor:
        """Logits [n, K] where PGD without random start ends that moves away from the classes `y`."""
        return self.logits_of(pgd(self.model, x, y, region, step_size=step_length(region.eps, steps), steps=steps))

    @cached_property
    def softmax_gradients(self) -> Tensor:
        """Gradients of the cross-entropy with the predicted class, for the images of `explained`."""
        x, predicted, _ = self.explained
        size = max(1, min(64, 1_500_000 // x[0].numel()))
        parts = zip(x.split(size), predicted.split(size), strict=True)
        return torch.cat([input_gradient(self.model, part.clone(), cross_entropy_with(p))[1] for part, p in parts])


TOLERANCE = 1e-3
"""Logits that differ by less than this share of the largest one differ by rounding."""


@dataclass(frozen=True)
class Attacks:
    """For each image: cross-entropy with the prediction [n] and whether another class wins [n], by perturbation."""

    eps: float
    clean: tuple[Tensor, Tensor]
    noise: tuple[Tensor, Tensor]
    once: tuple[Tensor, Tensor]
    often: tuple[Tensor, Tensor]
    wider: tuple[Tensor, Tensor]


def relative_change(a: Tensor, b: Tensor) -> float:
    """Largest difference of two tensors, relative to the largest entry of the first; inf where one is not finite."""
    if not (a.isfinite().all() and b.isfinite().all()):
        return 0.0 if torch.equal(a.isfinite(), b.isfinite()) else float("inf")
    scale = float(a.abs().max())
    return float((a - b).abs().max()) / scale if scale else float((a - b).abs().max())
