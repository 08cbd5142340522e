"""The processes that measure together: those that torchrun started, on one machine or several."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from pellucid.errors import BadInput

Item = TypeVar("Item")
PATIENCE = timedelta(days=7)
"""How long a process waits for the others: machines of one team may differ in speed."""


@dataclass(frozen=True)
class Team:
    """`size` processes, of which this one has the number `rank`; the first one writes and talks."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """The part of the work that falls to this process: every `size`-th item."""
        return items[self.rank :: self.size]

    def gather(self, value: Item) -> list[Item]:
        """The values of all processes, in their order, in every process. All of them must come here."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, value)
        return found

    def agreed(self, value: Item) -> Item:
        """The first process's value: what all must agree on, although machines may round differently."""
        return self.gather(value)[0]

    def check_same(self, value: object) -> None:
        """Refuse a team whose processes would measure different things: runs, data or code differ between machines."""
        texts = self.gather(json.dumps(value, sort_keys=True))
        odd = [rank for rank, text in enumerate(texts) if text != texts[0]]
        if odd:
            raise BadInput(
                f"process {odd[0]} sees other weights, test images, code or settings than process 0; "
                "give all machines the same run directories, data and release"
            )


ALONE = Team()


def join() -> Team:
    """The team of the processes that torchrun started, each on a GPU of its own if there are enough, or one alone."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    from lightning_fabric import Fabric  # noqa: PLC0415 (with what it imports, it takes seconds)
    from lightning_fabric.strategies.ddp import DDPStrategy  # noqa: PLC0415

    local = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.device_count() >= local else "cpu",
        devices=local,
        num_nodes=world // local,
        strategy=DDPStrategy(process_group_backend="gloo", timeout=PATIENCE),  # only rows are exchanged
    )
    fabric.launch()
    return Team(fabric.global_rank, fabric.world_size)
