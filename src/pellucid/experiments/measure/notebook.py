"""Measured values kept on disk batch by batch, so that an interrupted measurement goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pellucid.experiments.measure.team import ALONE, Team
from pellucid.files import finite

Row = dict[str, Any]
Rows = dict[str, dict[int, Row]]
"""Rows of positions, by the part of the measurement they belong to."""


class Notebook:
    """Values of images (positions 0 … n - 1), by the part of the measurement they belong to.

    The file's first line says what is measured; notes about anything else are thrown away. A last line that was cut
    short is measured again. Each process of a team writes a file of its own (`path`, then `path` with its number) and
    knows what is in all of them, so that another number of processes can go on.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], team: Team = ALONE) -> None:
        self.path = path if team.leads else path.with_name(f"{path.name}.{team.rank}")
        self._team = team
        self._title = hashlib.sha256(json.dumps(finite(dict(about)), sort_keys=True).encode()).hexdigest()
        self._rows: Rows = {}
        for file in (path, *path.parent.glob(f"{path.name}.*")):
            _add(self._rows, self._read(file))
        for rows in team.gather(self._rows):  # nobody writes before all have read
            _add(self._rows, rows)
        self._begin()

    def over(
        self,
        part: str,
        batches: Sequence[Tensor],
        measure: Callable[[Tensor], Mapping[str, Tensor]],
        tick: Callable[[int], None],
    ) -> dict[int, Row]:
        """The values at the positions of all batches; those not noted yet are measured, batch by batch, by the team."""
        team, noted = self._team, self._rows.setdefault(part, {})
        left = [batch for batch in batches if not noted.keys() >= set(batch.tolist())]
        tick(sum(map(len, batches)) - sum(map(len, left)))
        mine: dict[int, Row] = {}
        for turn, positions in enumerate(team.share(left)):
            mine |= self.measured(part, positions, lambda chosen=positions: measure(chosen))  # type: ignore[misc]
            tick(sum(map(len, left[turn * team.size : (turn + 1) * team.size])))
        for rows in team.gather(mine) if left else ():
            noted.update(rows)
        return {position: noted[position] for batch in batches for position in batch.tolist()}

    def measured(
        self, part: str, positions: Tensor, measure: Callable[[], Mapping[str, Tensor]]
    ) -> Sequence[tuple[int, Row]]:
        """The values at `positions`: noted ones, or else those that `measure` finds now, which are then noted."""
        noted, wanted = self._rows.setdefault(part, {}), positions.tolist()
        if not all(position in noted for position in wanted):
            columns = {name: values.tolist() for name, values in measure().items()}
            found = [{name: column[place] for name, column in columns.items()} for place in range(len(wanted))]
            self._note(part, dict(zip(wanted, finite(found), strict=True)))
        return [(position, noted[position]) for position in wanted]

    def close(self) -> None:
        """Throw the notes away: the measurement is written."""
        self.path.unlink(missing_ok=True)

    def _note(self, part: str, rows: Mapping[int, Row]) -> None:
        self._rows[part].update(rows)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([part, list(rows), list(rows.values())], ensure_ascii=False) + "\n")

    def _read(self, path: Path) -> Rows:
        """The notes about this measurement in a file, none if it is about another."""
        found: Rows = {}
        title, *lines = _lines(path)
        for line in lines[:-1] if title == self._title else ():  # what follows the last line break was cut short
            part, positions, rows = json.loads(line)
            found.setdefault(part, {}).update(zip(positions, rows, strict=True))
        return found

    def _begin(self) -> None:
        """Make the own file ready to be written on: without a line cut short, or anew."""
        title, *lines = _lines(self.path)
        if title != self._title:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(self._title + "\n", encoding="utf-8")
        elif not lines or lines[-1]:
            self.path.write_text("\n".join([title, *lines[:-1], ""]), encoding="utf-8")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else [""]


def _add(rows: Rows, others: Rows) -> None:
    for part, found in others.items():
        rows.setdefault(part, {}).update(found)
