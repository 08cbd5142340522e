"""Who sees what in which order: Williams rows for the models, cells filled evenly, an order of items by seed."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pellucid.study.protocol import Study

Block = Literal["training", "rating", "attention", "choice"]
DRAWS = 100


def williams(conditions: int) -> list[list[int]]:
    """Orders of `conditions` treatments, balanced for first-order carry-over.

    Each condition stands equally often in every place, and directly follows each other one equally often.

    Returns
    -------
    list of rows
        `conditions` rows if that number is even, else twice as many (each order and its reverse).

    Source: E. J. Williams (1949), "Experimental designs balanced for the estimation of residual effects of treatments".
    """
    # 0, 1, K-1, 2, K-2, …: neighbours differ by every amount once
    first = [0, *((step + 1) // 2 if step % 2 else conditions - step // 2 for step in range(1, conditions))]
    rows = [[(place + shift) % conditions for place in first] for shift in range(conditions)]
    return rows if conditions % 2 == 0 else rows + [row[::-1] for row in rows]


def even_rows(images: int, conditions: int, rng: random.Random) -> list[list[list[int]]]:
    """For every image a Williams design of its own: entry [image][cell] is a row.

    Over the cells each image has a whole design. Inside a cell, rows are the evenest of many draws, so that somebody
    sees each model about equally often in each place; being drawn, they do not tell which stimuli belong together.
    """
    rows = williams(conditions)

    def design() -> list[list[int]]:
        called = rng.sample(range(conditions), conditions)
        return [[called[place] for place in row] for row in rng.sample(rows, len(rows))]

    return min(([design() for _ in range(images)] for _ in range(DRAWS)), key=_unevenness)


def _unevenness(table: list[list[list[int]]]) -> int:
    """Sum of squares of how often a cell has a model in a place, over all images."""
    seen = Counter(
        (cell, place, model) for rows in table for cell, row in enumerate(rows) for place, model in enumerate(row)
    )
    return sum(count * count for count in seen.values())


def least_filled(filled: Mapping[int, int], under_way: Mapping[int, int], cells: int) -> int:
    """The cell for the next participant: fewest finished sessions, those that are under way counted as if finished.

    Sessions that were given up must not be in `under_way`. Ties go to the cell with fewer under way, then the first.
    """

    def load(cell: int) -> tuple[int, int, int]:
        running = under_way.get(cell, 0)
        return filled.get(cell, 0) + running, running, cell

    return min(range(cells), key=load)


class Trial(BaseModel):
    """One screen of one participant, as it is stored with them.

    Attributes
    ----------
    shown
        The stimuli in the order on the screen: one when rated, all of an image in the choice block, none in a check.
    check, expected
        The id of the attention check and its right answer; empty and None otherwise.
    """

    model_config = ConfigDict(frozen=True)

    block: Block
    image: str = ""
    shown: tuple[str, ...] = ()
    check: str = ""
    expected: int | None = None


def trials_of(study: Study, cell: int, *, seed: str) -> list[Trial]:
    """All trials of a participant, in order: practice, ratings with the checks between them, then the choices.

    Ratings come in as many rounds as there are models; every round shows each image once, in an order drawn from
    `seed`, and an image never comes twice in a row. In which order an image's models come is given by the cell.
    """
    rng = random.Random(seed)
    training = [Trial(block="training", image=item.image, shown=(item.stimulus,)) for item in study.training]
    ratings = _ratings(study, cell, rng)
    checks = [Trial(block="attention", check=check.id, expected=check.expected) for check in study.attention]
    # The next row puts the models of an image into other places than the ratings had them in.
    choices = [
        Trial(block="choice", image=item.image, shown=item.orders[(cell + 1) % study.cells]) for item in study.images
    ]
    rng.shuffle(choices)
    return [*training, *_spread(checks, ratings, rng), *choices]


def _ratings(study: Study, cell: int, rng: random.Random) -> list[Trial]:
    order = list(range(len(study.images)))
    trials: list[Trial] = []
    for turn in range(study.conditions):
        rng.shuffle(order)
        if trials and len(order) > 1 and study.images[order[0]].image == trials[-1].image:
            order.append(order.pop(0))
        images = (study.images[place] for place in order)
        trials += [Trial(block="rating", image=item.image, shown=(item.orders[cell][turn],)) for item in images]
    return trials


def _spread(checks: Sequence[Trial], ratings: Sequence[Trial], rng: random.Random) -> Iterator[Trial]:
    """The ratings with one check inside each of as many equal stretches, at a place drawn from `rng`."""
    stretch = len(ratings) / max(1, len(checks))
    before = {max(1, int(stretch * (number + rng.random()))): check for number, check in enumerate(checks)}
    late = list(checks) if len(before) < len(checks) else []  # fewer ratings than checks: all at the end
    for place, rating in enumerate(ratings):
        if not late and place in before:
            yield before[place]
        yield rating
    yield from late if late else [check for place, check in before.items() if place >= len(ratings)]
