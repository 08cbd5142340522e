"""Draw docs/figures/*.svg with the functions that they explain; the same bytes on every run with the same versions.

python scripts/docs_figures.py [NAME …]      all of them, or some
"""

import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pellucid.attacks.duality import L1, ElasticNet, GroupNorm, Penalty
from pellucid.attributions import edge_detector
from pellucid.attributions.reduction import saliency_map
from pellucid.data import fashion_mnist_mini
from pellucid.experiments.field import methods
from pellucid.experiments.field.networks import field, initial_networks
from pellucid.experiments.field.problems import make_problem
from pellucid.experiments.field.training import fit
from pellucid.filters import gaussian, identity, mean, median
from pellucid.gradients import centred_logit_of, cross_entropy_with, input_gradient
from pellucid.metrics.faithfulness import impute, removal_masks, removal_order
from pellucid.metrics.sparsity import gini
from pellucid.metrics.stability import misalignment, ssim_clean, ssim_legacy
from pellucid.randomness import generator, normal_per_image
from pellucid.report.figures.style import COLOURS, FAINT, INK, blank, look, new_figure
from pellucid.theory.curvature import curvature_of_hessian, unit_directions

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
VERSIONS = FOLDER / "versions.json"
BLUE, ORANGE, GREEN, PINK = COLOURS["A"], COLOURS["N"], COLOURS["G"], COLOURS["M1"]


def filters() -> Figure:
    """Responses of the filters to a point and to a noisy step."""
    some: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": mean,
        "Gaussian, σ = 2.15": lambda x: gaussian(x, sigma=2.15),
        "Gaussian, σ = 0.8": lambda x: gaussian(x, sigma=0.8),
        "median": median,
        "identity": identity,
    }
    point = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    point[..., 2, 2] = 1
    figure = new_figure(3.5)
    panels = figure.subplot_mosaic([[*some], ["step"] * len(some)], height_ratios=[1, 1.25])
    for name, filtered in some.items():
        _numbers(panels[name], filtered(point)[0, 0, 1:4, 1:4], name)
    _steps(panels["step"], some)
    return figure


def _numbers(axes: Axes, values: Tensor, title: str) -> None:
    blank(axes)
    axes.imshow(values.numpy(), cmap="Blues", vmin=0, vmax=0.6, interpolation="none")
    for (row, column), value in np.ndenumerate(values.numpy()):
        ink = "white" if value > 0.4 else INK
        axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=6, color=ink)
    axes.set_title(title, fontsize=7)


def _steps(axes: Axes, some: dict[str, Callable[[Tensor], Tensor]]) -> None:
    noise = normal_per_image([0], (24,), seed=3, stream="docs figures")[0].double()
    row = (torch.arange(24) >= 12).double() + 0.08 * noise
    row[5] = 1.2
    image = row.expand(1, 1, 24, 24)  # every row alike, so that a window of nine is one of three
    looks = {
        "mean": (BLUE, "-", 1.4),
        "Gaussian, σ = 2.15": (ORANGE, "--", 1.8),
        "Gaussian, σ = 0.8": (GREEN, "-.", 1.4),
    }
    looks |= {"median": (PINK, "-", 1.4), "identity": (INK, ":", 1.2)}
    for name, (colour, line, width) in looks.items():
        axes.plot(some[name](image)[0, 0, 12].numpy(), color=colour, linestyle=line, linewidth=width, label=name)
    axes.legend(ncols=1, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    axes.set_xlabel("position (pixels)")


def balls() -> Figure:
    """Domains of the penalties in the plane, a gradient, and the perturbation each of them chooses."""
    two = torch.tensor([0.9, 0.35], dtype=torch.float64)
    some: list[tuple[str, Penalty]] = [
        ("l1: ε = 1", L1(1.0)),
        ("elastic_net: ε = 0.5, ε₂ = 0.4", ElasticNet(0.5, 0.4)),
        ("group_norm: ε = 1, one group", GroupNorm(1.0, block=2)),
    ]
    grid = torch.linspace(-1.6, 1.6, 161, dtype=torch.float64)
    across, up = torch.meshgrid(grid, grid, indexing="xy")
    points = torch.stack([across, up], -1).view(-1, 2)
    figure = new_figure(2.6)
    for axes, (title, penalty) in zip(figure.subplots(1, 3), some, strict=True):
        values = penalty.penalty(_pixels(points)).view(161, 161).numpy()
        if math.isinf(values.max()):
            axes.contourf(grid, grid, np.isfinite(values), levels=[0.5, 2], colors=[FAINT])
        else:
            axes.contourf(grid, grid, values == 0, levels=[0.5, 2], colors=[FAINT])
            axes.contour(grid, grid, values, levels=[0.05, 0.2, 0.5, 1], colors=[INK], linewidths=0.6)
        best = penalty.maximiser(_pixels(two[None])).flatten()[:2]
        axes.annotate("", two.tolist(), (0, 0), arrowprops={"arrowstyle": "->", "color": BLUE, "linewidth": 1.6})
        axes.plot(*best.tolist(), "o", color=ORANGE, markersize=6)
        axes.text(0.62, 0.06, "g", color=BLUE)
        axes.text(float(best[0]) + 0.08, float(best[1]) + 0.1, "δ*", color=ORANGE)
        axes.set(title=title, aspect="equal", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), xlabel="pixel 1")
    return figure


def _pixels(points: Tensor) -> Tensor:
    """Points [N, 2] as images [N, 1, 2, 2] whose lower half is zero, so that a block of two holds both."""
    return torch.stack([points, torch.zeros_like(points)], 1)[:, None]


def duality() -> Figure:
    """The conjugate as a maximum, and the first order against the loss of a smooth network."""
    figure = new_figure(2.7)
    left, right = figure.subplots(1, 2)
    penalty, deltas = ElasticNet(0.1, 0.05), torch.linspace(-0.1, 0.45, 200, dtype=torch.float64)
    for slope, colour in ((0.5, BLUE), (1.3, GREEN), (2.5, ORANGE)):
        gained = slope * deltas - penalty.penalty(deltas.view(-1, 1, 1, 1))
        g = torch.full((1, 1, 1, 1), slope, dtype=torch.float64)
        left.plot(deltas, gained, color=colour, label=f"g = {slope}")
        left.plot(penalty.maximiser(g).item(), penalty.conjugate(g).item(), "o", color=colour, markersize=5)
    left.set(xlabel="δ", ylabel="g·δ − h(δ)", title="elastic net, ε = 0.1, ε₂ = 0.05", ylim=(-0.4, 0.7))
    left.legend(fontsize=7)
    _first_order(right)
    return figure


def _first_order(axes: Axes) -> None:
    model, x, y = _smooth_network(1.5), _points(16), torch.arange(16) % 3
    radii = np.linspace(0, 0.3, 16)
    _, g = input_gradient(model, x, cross_entropy_with(y))
    with torch.no_grad():
        before = cross_entropy(model(x), y)
        for name, colour, make in (("l1", BLUE, L1), ("group_norm", ORANGE, lambda eps: GroupNorm(2 * eps, block=2))):
            norms = [make(eps) for eps in radii]
            actual = [float(cross_entropy(model(x + norm.maximiser(g)), y) - before) for norm in norms]
            predicted = [float(norm.conjugate(g).mean()) for norm in norms]
            axes.plot(radii, actual, color=colour, label=f"{name}: ℓ(x + δ*) − ℓ(x)")
            axes.plot(radii, predicted, "--", color=colour, label=f"{name}: h*(g)")
    axes.set(xlabel="ε (pixels; group_norm: per entry)", ylabel="change of the loss", title="first order and truth")
    axes.legend(fontsize=6.5)


def _smooth_network(scale: float) -> nn.Module:
    """A fixed network of tanh, 4 × 4 pixels to three logits."""
    draws = generator("docs figures", "network")
    layers = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 3)).double()
    for layer in (layers[1], layers[3]):
        wide = layer.weight.shape[1] ** -0.5
        layer.weight.data = scale * wide * torch.randn(layer.weight.shape, generator=draws, dtype=torch.float64)
        layer.bias.data.zero_()
    return layers.eval()


def _points(count: int) -> Tensor:
    draws = normal_per_image(range(count), (1, 4, 4), seed=0, stream="docs figures")
    return (0.5 + 0.2 * draws.double()).clamp(0, 1)


def gini_figure() -> Figure:
    """Maps from flat to one point with their Gini index."""
    rows, columns = np.mgrid[0:28, 0:28]
    distance = np.hypot(rows - 13.5, columns - 13.5)
    some = [np.ones((28, 28)), *(np.exp(-(distance**2) / (2 * width**2)) for width in (9, 5, 2.5))]
    some.append((distance == distance.min()) * (rows == 13) * (columns == 13) * 1.0)
    maps = torch.from_numpy(np.stack(some)[:, None])
    figure = new_figure(1.75)
    for axes, one, value in zip(figure.subplots(1, len(some)), some, gini(maps).tolist(), strict=True):
        blank(axes)
        axes.imshow(one, cmap="viridis", vmin=0, vmax=1, interpolation="none")
        axes.set_title(f"Gini {value:.3f}")
    return figure


def ssim_figure() -> Figure:
    """SSIM of unrelated maps against their scale."""
    draws = normal_per_image(range(40), (1, 28, 28), seed=1, stream="docs figures").double().abs()
    first, second = draws[:20], draws[20:]
    scales = np.logspace(-3, 0, 25)
    figure = new_figure(2.5, width=4.6)
    axes = figure.subplots()
    for name, measured, colour, line in (
        ("as published (legacy)", ssim_legacy, ORANGE, "-"),
        ("clean", ssim_clean, BLUE, "--"),
    ):
        values = [float(measured(scale * first, scale * second).mean()) for scale in scales]
        axes.semilogx(scales, values, color=colour, linestyle=line, label=name)
    axes.set(xlabel="scale of both maps", ylabel="SSIM of two unrelated maps", ylim=(-0.05, 1.05))
    axes.xaxis.set_major_formatter(_plain)
    axes.legend(loc="center left", fontsize=7)
    return figure


def road() -> Figure:
    """An image, a map, what is removed at three levels, and what is imputed."""
    x, y = fashion_mnist_mini(None, "test").batch([1])
    saliency = saliency_map(edge_detector(nn.Identity(), x, y), "absolute")
    levels = (16, 46, 76)
    (masks,) = removal_masks(removal_order(saliency), (28, 28), levels)
    filled = impute(x.expand(len(levels), -1, -1, -1), masks).images
    figure = new_figure(1.9)
    panels = figure.subplots(1, 2 + 2 * len(levels))
    pictures = [("image", x[0, 0], "gray"), ("map", saliency[0, 0], "viridis")]
    for level, mask, image in zip(levels, masks, filled, strict=True):
        pictures += [
            (f"{level} % removed", x[0, 0].masked_fill(mask, torch.nan), "gray"),
            ("imputed", image[0], "gray"),
        ]
    for axes, (title, values, colours) in zip(panels, pictures, strict=True):
        blank(axes)
        axes.set_facecolor(ORANGE)
        axes.imshow(values.numpy(), cmap=colours, interpolation="none")
        axes.set_title(title, fontsize=7)
    return figure


def field_figure() -> Figure:
    """A gradient field in the plane with wrong labels, with cross-entropy alone and with misalignment."""
    problem = make_problem("moons", [0], train_points=200, test_points=100)
    (points,) = problem.corrupted("flips", 0.1)
    figure = new_figure(3.2)
    some = {"cross-entropy": methods.cross_entropy, "cross-entropy + 3 · MA-1": _misaligned}
    for axes, (title, method) in zip(figure.subplots(1, 2), some.items(), strict=True):
        networks = initial_networks([0], classes=2)
        draws = [generator("docs figures", "field")]
        fit(networks, method, points.x.float()[None], points.y[None], generators=draws, steps=400, lr=0.01)
        _field(axes, networks, points, title)
    return figure


def _misaligned(*args: object, **options: object) -> Tensor:
    return methods.misalignment(*args, weight=3.0, **options)  # type: ignore[arg-type]


def _field(axes: Axes, networks: object, points: object, title: str) -> None:
    fine, coarse = torch.linspace(-2.3, 2.3, 93), torch.linspace(-2.1, 2.1, 15)
    with torch.no_grad():
        z, _ = field(networks, torch.cartesian_prod(fine, fine)[None])  # type: ignore[arg-type]
        places = torch.cartesian_prod(coarse, coarse)
        _, arrows = field(networks, places[None])  # type: ignore[arg-type]
    sign = (z[0, :, 1] > z[0, :, 0]).view(93, 93).T.numpy()
    pale = ListedColormap(["#cfe3f2", "#f9dcc4"])
    axes.imshow(sign, extent=(-2.3, 2.3, -2.3, 2.3), origin="lower", cmap=pale, vmin=0, vmax=1, interpolation="none")
    unit = torch.nn.functional.normalize(arrows[0], dim=1).numpy()
    axes.quiver(*places.T.numpy(), *unit.T, scale=28, width=0.004, color=INK)
    x, y = points.x.numpy(), points.y.numpy()  # type: ignore[attr-defined]
    axes.scatter(*x[::3].T, c=[ORANGE if one else BLUE for one in y[::3]], s=7)
    axes.set(title=title, aspect="equal", xlim=(-2.3, 2.3), ylim=(-2.3, 2.3))
    axes.grid(visible=False)


def curvature() -> Figure:
    """MA-1 against what the direction curvature predicts, for three sizes of noise."""
    x, entries = _points(60), 16
    directions = unit_directions(range(60), (1, 4, 4), draws=64, seed=0)
    noise = normal_per_image(range(60), (64, 1, 4, 4), seed=2, stream="docs figures").double()
    figure = new_figure(2.9, width=4.6)
    axes = figure.subplots()
    for sigma, colour, mark in ((0.02, BLUE, "o"), (0.1, GREEN, "^"), (0.4, ORANGE, "s")):
        for scale in (0.7, 1.5, 3.0):
            model = _smooth_network(scale)
            score = centred_logit_of(model(x).argmax(1))
            predicted = sigma**2 * entries / 4 * curvature_of_hessian(model, x, score, directions).direction ** 2
            measured = misalignment(model, x, noise=sigma * noise)
            label = f"σ = {sigma}" if scale == 3.0 else None
            axes.loglog(predicted, measured, mark, color=colour, markersize=2.5, alpha=0.7, label=label)
    line = np.array([1e-6, 1])
    axes.loglog(line, line, color=INK, linewidth=0.8)
    axes.set(xlabel="predicted: σ²D/4 · direction curvature²", ylabel="measured MA-1", xlim=(1e-6, 3), ylim=(1e-6, 1))
    axes.xaxis.set_major_formatter(_plain)
    axes.yaxis.set_major_formatter(_plain)
    axes.legend(loc="lower right", fontsize=7)
    return figure


def _plain(value: float, _: int) -> str:
    """A number on a logarithmic axis; the style knows no mathematics."""
    return f"{value:g}" if value >= 0.001 else f"{value:.0e}"


FIGURES: dict[str, Callable[[], Figure]] = {
    "filters": filters,
    "balls": balls,
    "duality": duality,
    "gini": gini_figure,
    "ssim": ssim_figure,
    "road": road,
    "field": field_figure,
    "curvature": curvature,
}


def drawn(name: str) -> str:
    """The SVG of that figure."""
    with look(name):
        figure, content = FIGURES[name](), io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Title": FIGURES[name].__doc__})
    return "\n".join(line.rstrip() for line in content.getvalue().decode().splitlines()) + "\n"


def versions() -> dict[str, str]:
    """What the bytes depend on."""
    return {"matplotlib": mpl.__version__, "numpy": np.__version__, "torch": torch.__version__}


def main() -> None:
    """Write the figures that are named, or all."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FIGURES:
        (FOLDER / f"{name}.svg").write_text(drawn(name), encoding="utf-8")
    VERSIONS.write_text(json.dumps(versions(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
