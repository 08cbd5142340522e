"""Numbers from the R that is installed; a test that needs one is skipped, loudly, where there is none."""

import csv
import io
import math
import shutil
import subprocess

import pytest

RSCRIPT = shutil.which("Rscript")
MISSING = "Rscript is not installed: the comparison with a live R was NOT made"
needs_r = pytest.mark.skipif(RSCRIPT is None, reason=MISSING)


def r(code: str) -> list[float]:
    """What R prints for cat(<code>), as numbers."""
    if RSCRIPT is None:
        pytest.skip(MISSING)
    return [float(word) for word in _said(f"cat(format(c({code}), digits = 15))").split()]


def numbers_of(code: str) -> dict[str, float]:
    """What `code` says with `say(name, number)`, by name."""
    say = 'say <- function(name, x) cat(name, ",", format(as.numeric(x), digits = 17), "\\n", sep = "")\n'
    return {name: float(number) for name, number in csv.reader(io.StringIO(_said(say + code)))}


def vector(values) -> str:
    """`c(1, NA)`."""
    return "c(" + ", ".join("NA" if math.isnan(value) else repr(float(value)) for value in values) + ")"


def _said(code: str) -> str:
    return subprocess.run([RSCRIPT, "--vanilla", "-e", code], capture_output=True, text=True, check=True).stdout
