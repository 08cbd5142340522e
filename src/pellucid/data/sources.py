"""Where data sets are looked for, and what is said when one is not there."""

import os
from pathlib import Path
from typing import get_args

from pellucid.data.dataset import Split
from pellucid.errors import BadInput, unknown_name


def find_root(root: Path | None) -> Path | None:
    """The folder to look in: `root` if given, else $PELLUCID_DATA if set, else None.

    An explicit root is the only place that is looked at: a mistyped path must not silently give other data.

    Raises
    ------
    BadInput
        If the folder that was named does not exist.
    """
    source, named = ("--data-root", root) if root is not None else ("$PELLUCID_DATA", os.environ.get("PELLUCID_DATA"))
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise BadInput(f"{source} names {folder}, which is not a folder")
    return folder


def check_split(split: str) -> None:
    """Refuse anything but "train" and "test" (a validation set is cut from "train" with `split_validation`)."""
    if split not in get_args(Split):
        raise unknown_name("split", split, get_args(Split))


def not_found(what: str, needed: str, base: Path | None) -> BadInput:
    """The error for a data set that is not there: what was looked for, where, and what to do."""
    where = f"under {base}" if base else "because neither --data-root nor $PELLUCID_DATA is given"
    return BadInput(f"found no {what} {where}: give with --data-root or $PELLUCID_DATA a folder that holds {needed}")
