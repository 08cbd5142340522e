"""How numbers, intervals and names are spelled in tables, sentences and figures."""

import math

ATTRIBUTIONS = {
    "gradient": "Gradient",
    "integrated_gradients": "Integrated gradients",
    "input_x_gradient": "Input × gradient",
    "smooth_grad": "SmoothGrad",
}

DASH = "–"


def attribution_name(name: str) -> str:
    """The printed name of an attribution."""
    return ATTRIBUTIONS.get(name, name.replace("_", " ").capitalize())


def number(value: float | None, decimals: int | None = 3, *, signed: bool = False) -> str:
    """A number with fixed decimals, or three significant digits; a real minus sign; `undefined` for NaN."""
    if value is None or math.isnan(value):
        return "undefined"
    plus = "+" if signed else ""
    text = f"{value:{plus},.{decimals}f}" if decimals is not None else _significant(value, plus)
    if float(text.replace(",", "")) == 0:
        text = text.replace("-", "")  # no minus zero
    return text.replace("-", "−")


def _significant(value: float, plus: str) -> str:
    size = abs(value)
    if size != 0 and not 1e-3 <= size < 1e6:
        return f"{value:{plus}.2e}"
    digits = 2 if size == 0 else max(0, 2 - math.floor(math.log10(size)))
    return f"{value:{plus},.{digits}f}"


def interval(low: float, high: float, decimals: int | None = 3, *, signed: bool = False) -> str:
    """`[low, high]`, empty where undefined."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, decimals, signed=signed)}, {number(high, decimals, signed=signed)}]"


def p_value(p: float) -> str:
    """`0.023`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else number(p)


def listing(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def shortened(names: list[str], limit: int = 5) -> list[str]:
    """At most `limit` names; the rest is counted."""
    return names if len(names) <= limit else [*names[: limit - 1], f"{len(names) - limit + 1} more"]


def count(number_of: int, singular: str, plural: str | None = None) -> str:
    """`1 image`, `2,000 images`."""
    return f"{number_of:,} {singular if number_of == 1 else plural or singular + 's'}"
