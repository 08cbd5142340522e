"""One look for all figures, and their deterministic bytes."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from pellucid.report.arms import Column

WIDTH = 7.1
"""Two journal columns, in inches."""

INK, FAINT, PAPER = "#1d2127", "#c9ced6", "#ffffff"

# After Okabe and Ito: told apart with the common forms of colour blindness (M2 is darkened, to be seen on white).
# Line style and marker repeat the message.
COLOURS = {
    "N": "#d55e00",
    "A": "#0072b2",
    "G": "#009e73",
    "M1": "#cc79a7",
    "M2": "#a87900",
    "I": "#56b4e9",
    "P": "#000000",
}
EXTRA = {"x1": "#882255", "x2": "#332288", "x3": "#661100", "x4": "#999933"}
"""After Tol, for grids of many arms."""
OTHERS = ["#5b6370", *COLOURS.values(), *EXTRA.values()]
MARKS = "X<>hd8p"
"""For roles without a marker of their own."""
MARKERS = {"N": "o", "A": "s", "G": "^", "M1": "D", "M2": "v", "I": "P", "P": "*"}
LINES = {"G": (0, (4, 1.6)), "M1": (0, (5, 1, 1, 1)), "M2": (0, (2, 1)), "I": (0, (7, 2))}

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "axes.grid": True,
    "grid.linewidth": 0.5,
    "grid.color": FAINT,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "text.parse_math": False,  # class and run names may hold $
    "text.usetex": False,
    "svg.fonttype": "path",  # looks the same wherever it is opened
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Picture:
    """A figure as bytes: `name` is its file name without ending, `alt` says in words what it shows."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    pdf: bytes


@contextmanager
def look(name: str) -> Iterator[None]:
    """The style, inside a `with`; nobody's own matplotlib settings change. `name` seeds the ids inside the SVG."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph .* missing.*")  # class names in any script
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | {"svg.hashsalt": name})  # type: ignore[arg-type]
        yield


def new_figure(height: float, *, width: float = WIDTH, arranged: bool = True) -> Figure:
    """An empty figure (inches) that belongs to no window system; `arranged` leaves the placing to matplotlib."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06) if arranged else None
    return Figure(figsize=(width, height), layout=layout)


def picture(figure: Figure, *, name: str, title: str, caption: str, alt: str) -> Picture:
    """Turn a finished figure into bytes that are the same on every run."""
    svg, pdf = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    figure.set_layout_engine("none")  # everything has its place; do not work it out again
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return Picture(name, title, caption, alt, svg.getvalue().decode(), pdf.getvalue())


def embedded(drawn: Picture) -> str:
    """The SVG for use inside HTML: no XML prolog, ids of its own, and colours that follow the page's light or dark."""
    body = drawn.svg[drawn.svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{drawn.name}-", body)
    for colour, variable in _variables().items():
        body = body.replace(colour, f"var(--{variable}, {colour})")
    # matplotlib leaves out a black fill, since it is the default: it must follow the page like any other colour.
    black = f'style="fill: var(--{_variables()["#000000"]}, #000000)"'
    return body.replace("<svg ", f'<svg aria-hidden="true" focusable="false" {black} ', 1)


def page_colour(colour: str) -> str:
    """The colour for use in CSS, following the page's light or dark."""
    variable = _variables().get(colour)
    return f"var(--{variable}, {colour})" if variable else colour


def _variables() -> dict[str, str]:
    names = {INK: "ink", FAINT: "faint", PAPER: "paper"}
    series = {colour: f"series-{role.lower()}" for role, colour in (COLOURS | EXTRA).items()}
    return names | series | {OTHERS[0]: "series-other"}


def series(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Colour, marker, line style and label of every run or arm, by role; hollow markers from a role's second one on.

    A role without a colour of its own gets one that no other role here has, as long as there are any.
    """
    kinds: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    taken = {COLOURS.get(one.role) for one in columns}
    free = [colour for colour in OTHERS if colour not in taken] or OTHERS
    unknown = list(dict.fromkeys(one.role for one in columns if one.role not in COLOURS))
    for run in columns:
        again = seen[run.role] = seen.get(run.role, -1) + 1
        colour = COLOURS.get(run.role) or free[unknown.index(run.role) % len(free)]
        mark = MARKERS.get(run.role) or MARKS[unknown.index(run.role) % len(MARKS)]
        marker = {"marker": mark, "fillstyle": "none" if again else "full"}
        kinds.append({"color": colour, "linestyle": LINES.get(run.role, "-"), "label": run.name, **marker})
    return kinds


def legend(figure: Figure, kinds: Sequence[dict[str, Any]], extra: Sequence[Any] = ()) -> None:
    """One legend above all panels. Handles are made by hand, since matplotlib hides labels that begin with `_`."""
    handles = [Line2D([], [], **kind) for kind in kinds]
    every = [*handles, *extra]
    texts = [handle.get_label() for handle in every]
    figure.legend(every, texts, loc="outside upper center", ncols=min(len(every), 6), handlelength=2.4)


def blank(axes: Axes) -> None:
    """No ticks, no frame, no grid: for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
