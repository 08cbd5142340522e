"""What a run was on the way: the weights of evenly spaced epochs, so that arms can be compared at equal terms."""

from pathlib import Path

SNAPSHOTS = "snapshots"
"""The folder of a run that holds them."""


def snapshot_epochs(epochs: int, count: int) -> tuple[int, ...]:
    """Up to `count` epochs, evenly spaced before the last of `epochs`: (3, 5, 8) of 10 for three."""
    chosen = {round(epochs * place / (count + 1)) for place in range(1, count + 1)}
    return tuple(sorted(chosen - {0, epochs}))


def snapshot_folder(run: Path, epoch: int) -> Path:
    """Where the snapshot of an epoch lies."""
    return run / SNAPSHOTS / f"epoch-{epoch:03d}"
