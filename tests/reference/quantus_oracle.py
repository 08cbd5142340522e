"""Runs inside the reference environment (Quantus 0.5.3, no torch): answers `tests/reference/oracle.py`.

Reads lines "NAME IN.npz OUT.npz" on standard input, calls the function of that name below with the arrays of IN.npz as
keyword arguments, writes the dict of arrays it returns to OUT.npz and answers "ok" or the error in one line.
"""

import sys
import time
import warnings

import numpy as np
from quantus.functions.perturb_func import noisy_linear_imputation
from quantus.metrics.complexity.sparseness import Sparseness
from quantus.metrics.faithfulness.road import ROAD
from quantus.metrics.robustness.relative_output_stability import RelativeOutputStability


def impute(images, removed, noise=None):
    """Noisy linear imputation of images [N,C,H,W] at removed [N,H,W] (bool), one after the other.

    noise: [N,C,H,W] to add at removed pixels, as it stands (0.01 · N(0,1) in ROAD); none without it.
    seconds: [N] what each call took.
    """
    filled, seconds = np.empty_like(images), np.empty(len(images))
    for i, (image, mask) in enumerate(zip(images, removed, strict=True)):
        indices = np.flatnonzero(mask)
        start = time.perf_counter()
        filled[i] = noisy_linear_imputation(image, indices, noise=0.0) if len(indices) else image
        seconds[i] = time.perf_counter() - start
    return {"images": filled if noise is None else filled + noise * removed[:, None], "seconds": seconds}


def sparseness(attributions, images=None, normalise=True, absolute=True):
    """Gini index by Quantus' Sparseness: attributions [N,1,H,W] → scores [N].

    The whole call with Quantus' own preprocessing: `normalise` divides by the largest |value| of the whole batch.
    images: [N,C,H,W]; only their shape counts; [N,1,H,W] without them.
    """
    images = np.zeros_like(attributions) if images is None else images
    metric = Sparseness(abs=bool(absolute), normalise=bool(normalise), disable_warnings=True)
    labels = np.zeros(len(images), dtype=int)
    scores = metric(model=None, x_batch=images, y_batch=labels, a_batch=attributions, channel_first=True)
    return {"scores": np.asarray(scores)}


def relative_output_stability(e, e_noisy, z, z_noisy, nan_on_change=True):
    """ROS by Quantus' own evaluate_batch, from maps and logits that are already there.

    e: [N,1,H,W] or [N,C,H,W], e_noisy: [S,N,…], z: [N,K], z_noisy: [S,N,K] → scores [N] (NaN if any draw changes the
    prediction, unless nan_on_change is false), draws [S,N] the objective of each draw without that rule.
    """
    model = _Tabulated([z, *z_noisy])
    draws = len(e_noisy)
    step = iter(range(1, draws + 1))
    explanations = iter(e_noisy)

    def next_draw(arr, **_):  # called per image; every image of a draw must get the same number
        image, _draw = int(arr[0]), int(arr[1])
        if image == 0:
            next_draw.current = next(step)
        return np.array([image, next_draw.current])

    metric = RelativeOutputStability(
        nr_samples=draws,
        perturb_func=next_draw,
        disable_warnings=True,
        return_nan_when_prediction_changes=bool(nan_on_change),
    )
    metric.explain_batch = lambda *_: next(explanations)
    x = np.stack([np.arange(len(e)), np.zeros(len(e))], axis=1)  # an "image" is (its number, its draw)
    scores = metric.evaluate_batch(model=model, x_batch=x, y_batch=z.argmax(1), a_batch=e)
    objective = [
        metric.relative_output_stability_objective(z, zs, e, es) for zs, es in zip(z_noisy, e_noisy, strict=True)
    ]
    return {"scores": scores, "draws": np.asarray(objective)}


def road(images, labels, attributions, weight, bias, percentages):
    """Quantus' ROAD without noise, on the linear classifier argmax(weight · flat image + bias).

    images [N,C,H,W], attributions [N,1,H,W], weight [K,C·H·W] → correct [N, levels] of 0 and 1.
    """
    metric = ROAD(percentages=percentages.tolist(), noise=0.0, disable_warnings=True)
    metric.custom_batch_preprocess(a_batch=attributions[:, 0])
    correct = metric.evaluate_batch(_Linear(weight, bias), images, labels, attributions[:, 0])
    return {"correct": np.asarray(correct).astype(int)}


class _Tabulated:
    """A model whose input is (image number, draw number) and whose logits are looked up."""

    def __init__(self, logits):
        self.logits = logits

    def predict(self, x):
        return np.stack([self.logits[int(draw)][int(image)] for image, draw in x])


class _Linear:
    """A linear classifier with the two methods of Quantus' model interface that ROAD calls."""

    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def shape_input(self, x, shape, channel_first):
        assert channel_first
        return x.reshape(1, *shape)

    def predict(self, x):
        return x.reshape(len(x), -1) @ self.weight.T + self.bias


FUNCTIONS = {f.__name__: f for f in (impute, sparseness, relative_output_stability, road)}


def serve():
    """Answer requests until standard input closes."""
    for line in sys.stdin:
        name, source, target = line.rstrip("\n").split("\t")
        try:
            with np.load(source, allow_pickle=False) as arrays:
                answer = FUNCTIONS[name](**{key: arrays[key] for key in arrays.files})
            np.savez(target, **answer)
            print("ok", flush=True)
        except Exception as error:  # reported to the test that asked
            print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    serve()
