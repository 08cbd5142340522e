"""Runs the benchmarks, Pellucid and each neighbour in turn, and writes the table of ratios.

    python benchmarks/run.py [--only NAME ...] [--repeats 5] [--threads 2] [--write docs/benchmarks.md]

About ten minutes on two idle cores. The neighbours' environment is made first if it is not there yet. The section of
the document is that of the device: the CPU, or the GPU by its name. Exit code 1 if a benchmark failed: its part of the
document then stays as it was.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

import torch

import bare_passes
import documents
import filters
import integrated_gradients
import memory
import pgd_step
import published_suite
import ratios
import road_imputation

BENCHMARKS = {
    module.__name__: module
    for module in (published_suite, bare_passes, integrated_gradients, pgd_step, road_imputation, filters, memory)
}


def measured(name: str, settings: ratios.Settings) -> str | None:
    """The Markdown of one benchmark; None if it failed or has nothing to compare with."""
    module, began = BENCHMARKS[name], time.perf_counter()
    print(f"{name} …", file=sys.stderr, flush=True)
    rows = module.rows(settings)
    if not rows:
        print(f"{name}: nothing without the neighbours", file=sys.stderr)
        return None
    print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    description = module.__doc__.split("\n\n")[2]
    return f"{description.strip()}\n\n{ratios.circumstances(settings)}\n\n{ratios.table(rows)}"


def options() -> argparse.Namespace:
    """The command line."""
    parser = ratios.options(__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="put the tables into this file")
    return parser.parse_args()


def main() -> int:
    """Run what is asked for; each benchmark is written as soon as it is done."""
    chosen = options()
    settings = ratios.settings_from(chosen)
    section = "CPU" if settings.device == "cpu" else f"GPU ({torch.cuda.get_device_name()})"
    failed = []
    for name in chosen.only:
        try:
            text = measured(name, settings)
        except Exception:  # the others shall still run
            traceback.print_exc()
            failed.append(name)
            continue
        if text:
            print(f"## {name}\n\n{text}\n", flush=True)
            if chosen.write:
                documents.write(chosen.write, section, {name: text})
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
