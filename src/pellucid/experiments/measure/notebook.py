"""Measured values kept on disk batch by batch, so that an interrupted measurement goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pellucid.files import finite

Row = dict[str, Any]


class Notebook:
    """Values of images (positions 0 … n - 1), by the part of the measurement they belong to.

    The file's first line says what is measured; notes about anything else are thrown away. A last line that was cut
    short is measured again.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self._title = hashlib.sha256(json.dumps(finite(dict(about)), sort_keys=True).encode()).hexdigest()
        self._rows: dict[str, dict[int, Row]] = {}
        if not self._read():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._title + "\n", encoding="utf-8")
            self._rows = {}

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

    def _read(self) -> bool:
        """Whether the file holds notes about this measurement; they are taken over."""
        if not self.path.exists():
            return False
        title, *lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        if title != self._title:
            return False
        whole = lines[:-1]  # what follows the last line break was cut short
        for line in whole:
            part, positions, rows = json.loads(line)
            self._rows.setdefault(part, {}).update(zip(positions, rows, strict=True))
        if lines and lines[-1]:
            self.path.write_text("\n".join([title, *whole, ""]), encoding="utf-8")
        return True
