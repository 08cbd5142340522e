"""Runs inside the neighbours' environment: answers `neighbours.py`, timing what it is asked for.

    python -P neighbour_worker.py THREADS DEVICE

Reads lines "NAME IN.npz OUT.npz" on standard input, calls the function of that name below with the arrays of IN.npz as
keyword arguments, writes the dict of arrays it returns to OUT.npz and answers "ok" or the error in one line. `seconds`
is what the work took here: reading, writing and building the model are not counted.
"""

import contextlib
import sys
import time
import warnings
from importlib.metadata import version

import kornia
import numpy as np
import quantus
import torch
import torchattacks
from captum.attr import IntegratedGradients, Saliency
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from quantus.functions.perturb_func import noisy_linear_imputation
from skimage.metrics import structural_similarity
from torch import nn

THREADS, DEVICE = int(sys.argv[1]), sys.argv[2]
LAYERS = [nn.Sequential, nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.Flatten]
PACKAGES = ("Quantus", "Captum", "torchattacks", "grad-cam", "kornia", "scikit-image")
LOADER_BATCH = 32
NOISE_LEVELS = (0.01, 0.03, 0.05, 0.07, 0.09, 0.1, 0.15, 0.2)
VANILLA_GRADIENT = {"explain_func": quantus.explain, "explain_func_kwargs": {"method": "Saliency", "softmax": False}}


def versions():
    """Of every neighbour."""
    return {name: np.array(version(name)) for name in PACKAGES}


def published_suite(model, images, labels):
    """The four measurements of the published scripts, one after the other over the loader, with their own noise."""
    model, batches = _read(model), _loader(images, labels)
    began = _now()
    for measurement in (_sparsity, _similarity, _stability, _faithfulness):
        for x, y in batches:
            measurement(model, x, y, {})
    return {"seconds": _now() - began}


def published_numbers(model, images, labels, ssim_noise, ros_noise, road_noise):
    """The numbers of the same measurements, per image, from noise that the caller drew.

    ssim_noise [N,8,C,H,W] standard normal, ros_noise [N,5,C,H,W] and road_noise [N,C,H,W] to be added as they are.
    Returns gini [N], ssim [N,8], ros [N] and road [N,20].
    """
    model, parts = _read(model), {"gini": [], "ssim": [], "ros": [], "road": []}
    functions = {"gini": _sparsity, "ssim": _similarity, "ros": _stability, "road": _faithfulness}
    for start, (x, y) in zip(range(0, len(images), LOADER_BATCH), _loader(images, labels), strict=True):
        chosen = slice(start, start + LOADER_BATCH)
        given = {"ssim": ssim_noise[chosen], "ros": ros_noise[chosen], "road": road_noise[chosen]}
        for name, measurement in functions.items():
            parts[name].append(measurement(model, x, y, given))
    return {name: np.concatenate(found) for name, found in parts.items()}


def _loader(images, labels):
    """Batches on the device; as in the scripts all are classified correctly."""
    x, y = torch.from_numpy(images).split(LOADER_BATCH), torch.from_numpy(labels).split(LOADER_BATCH)
    return list(zip((part.to(DEVICE) for part in x), (part.to(DEVICE) for part in y), strict=True))


def _correct(model, x, y):
    """Every script first asks the model which images of the batch it classifies correctly."""
    kept = model(x).argmax(1) == y
    return x[kept], y[kept]


def _measured(metric, model, x, y):
    x, y = _correct(model, x, y)
    return metric(
        model=model,
        x_batch=x.cpu().numpy(),
        y_batch=y.cpu().numpy(),
        a_batch=None,
        s_batch=None,
        device=DEVICE,
        **VANILLA_GRADIENT,
    )


def _sparsity(model, x, y, _given):
    return np.asarray(_measured(quantus.Sparseness(disable_warnings=True), model, x, y))


def _stability(model, x, y, given):
    options = {}
    if "ros" in given:
        order = iter(given["ros"].swapaxes(0, 1).reshape(-1, *given["ros"].shape[2:]))  # draw by draw, image by image
        options["perturb_func"] = lambda arr, **_: arr + next(order)
    metric = quantus.RelativeOutputStability(nr_samples=5, disable_warnings=True, **options)
    return np.asarray(_measured(metric, model, x, y))


def _faithfulness(model, x, y, given):
    metric = quantus.ROAD(noise=0.01, percentages=list(range(1, 100, 5)), disable_warnings=True)
    if "road" in given:
        order = iter(np.repeat(given["road"], len(metric.percentages), axis=0))

        def with_given_noise(arr, indices):
            filled, noise = noisy_linear_imputation(arr, indices, noise=0.0), next(order)
            filled.reshape(len(arr), -1)[:, indices] += noise.reshape(len(arr), -1)[:, indices]
            return filled

        metric.perturb_func = with_given_noise
        scores = []
        metric.custom_postprocess = lambda **_: scores.extend(metric.evaluation_scores)  # before they are averaged
        _measured(metric, model, x, y)
        return np.asarray(scores, dtype=int)
    return _measured(metric, model, x, y)


def _similarity(model, x, y, given):
    """SSIM at eight levels, for each two predictions and two explanations; NaN where noise changes the prediction."""
    found = np.full((len(x), len(NOISE_LEVELS)), np.nan)
    pixels = x.cpu().numpy()
    for level, sigma in enumerate(NOISE_LEVELS):
        model(x)
        noise = given["ssim"][:, level] if "ssim" in given else np.random.normal(0, 1, pixels.shape)  # noqa: NPY002
        noisy = torch.from_numpy(np.clip(pixels + (sigma * noise).astype(np.float32), 0, 1)).to(DEVICE)
        with torch.no_grad():
            kept = model(noisy).argmax(1) == y
        clean = Saliency(model).attribute(x[kept], target=y[kept]).sum(1).cpu().numpy()
        other = Saliency(model).attribute(noisy[kept], target=y[kept]).sum(1).cpu().numpy()
        scores = [structural_similarity(a, b, data_range=2, win_size=5) for a, b in zip(clean, other, strict=True)]
        found[kept.cpu().numpy(), level] = scores
    return found


def integrated_gradients(model, images, labels, steps, chunk):
    """Captum's, with its Gauss-Legendre quadrature and `chunk` points a pass (0: all of them, its default)."""
    explain = IntegratedGradients(_read(model))
    x, y = torch.from_numpy(images).to(DEVICE), torch.from_numpy(labels).to(DEVICE)
    options = {"n_steps": int(steps), "method": "gausslegendre", "internal_batch_size": int(chunk) or None}
    began = _now()
    found = explain.attribute(x, target=y, **options)
    return {"seconds": _now() - began, "attribution": found.detach().cpu().numpy()}


def attack(model, images, labels, eps, step_size, steps):
    """PGD of torchattacks from the images themselves, so that there is no noise to share."""
    attacker = torchattacks.PGD(_read(model), float(eps), float(step_size), int(steps), random_start=False)
    x, y = torch.from_numpy(images).to(DEVICE), torch.from_numpy(labels).to(DEVICE)
    began = _now()
    found = attacker(x, y)
    return {"seconds": _now() - began, "images": found.cpu().numpy()}


def impute_with_quantus(images, removed):
    """Images [N,C,H,W] without noise at removed [N,H,W] (bool), one after the other as in its ROAD."""
    began = _now()
    filled = [
        noisy_linear_imputation(image, np.flatnonzero(mask), noise=0.0)
        for image, mask in zip(images, removed, strict=True)
    ]
    return {"seconds": _now() - began, "images": np.stack(filled)}


def impute_with_grad_cam(images, removed):
    """The same by pytorch-grad-cam's imputer."""
    imputer, x, kept = NoisyLinearImputer(noise=0.0), torch.from_numpy(images), torch.from_numpy(~removed).float()
    began = _now()
    filled = [imputer(image, mask) for image, mask in zip(x, kept, strict=True)]
    return {"seconds": _now() - began, "images": torch.stack(filled).numpy()}


def smooth(name, images, sigma, calls):
    """Forward and backward through kornia's 3×3 filter, `calls` times; the filtered images."""
    x, sigma = torch.from_numpy(images).to(DEVICE), float(sigma)
    function = {
        "gaussian": lambda x: kornia.filters.gaussian_blur2d(x, (3, 3), (sigma, sigma), "reflect"),
        "mean": lambda x: kornia.filters.box_blur(x, (3, 3), "reflect"),
        "median": lambda x: kornia.filters.median_blur(x, (3, 3), "constant"),
    }[str(name)]
    began = _now()
    for _ in range(int(calls)):
        leaf = x.detach().requires_grad_()
        function(leaf).sum().backward()
    return {"seconds": _now() - began, "images": function(x).cpu().numpy()}


def _read(path):
    with torch.serialization.safe_globals(LAYERS):
        return torch.load(str(path), weights_only=True).to(DEVICE).eval()


def _now():
    if DEVICE != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


FUNCTIONS = {
    function.__name__: function
    for function in (
        versions,
        published_suite,
        published_numbers,
        integrated_gradients,
        attack,
        impute_with_quantus,
        impute_with_grad_cam,
        smooth,
    )
}


def serve():
    """Answer requests until standard input closes."""
    answers = sys.stdout
    for line in sys.stdin:
        name, source, target = line.rstrip("\n").split("\t")
        try:
            with contextlib.redirect_stdout(sys.stderr), np.load(source, allow_pickle=False) as arrays:
                answer = FUNCTIONS[name](**{key: arrays[key] for key in arrays.files})
            np.savez(target, **answer)
            print("ok", flush=True, file=answers)
        except Exception as error:  # reported to whoever asked
            print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True, file=answers)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(THREADS)
    torch.backends.cudnn.allow_tf32 = False  # as on the other side: its rounding would hide differences
    serve()
