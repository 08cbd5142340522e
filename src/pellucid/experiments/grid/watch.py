"""How a grid tells how far it is: a live table in a terminal, a line for every change elsewhere."""

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pellucid.experiments.grid.status import Standing, standings, status_table, summary
from pellucid.experiments.grid.store import Grid


class Watch:
    """Shows the cells of a grid; :meth:`tick` looks again. Use as a context manager."""

    def __init__(self, grid: Grid, console: Console | None = None) -> None:
        self.grid = grid
        self.console = console or Console(stderr=True)
        self._live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        self._shown: dict[str, str] = {}

    def __enter__(self) -> "Watch":
        found = standings(self.grid)
        self._shown = {one.cell.name: _state(one) for one in found}
        if self._live:
            self._live.start()
        else:
            self._say(summary(found))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def tick(self) -> None:
        """Look at the cells, and show what has changed."""
        found = standings(self.grid)
        if self._live:
            table = status_table(found, rows=max(4, self.console.height - 4))
            self._live.update(Group(table, Text(summary(found))), refresh=True)
            return
        changed = [one for one in found if self._shown[one.cell.name] != _state(one)]
        for one in changed:
            note = f" ({one.note})" if one.note else ""
            self._say(f"{one.cell.name}: {_state(one)}{note}; {summary(found)}")
        self._shown |= {one.cell.name: _state(one) for one in changed}

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def _state(one: Standing) -> str:
    return "measured" if one.measured else one.state
