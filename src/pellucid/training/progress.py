"""How a run tells how far it is: a live bar in a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Reporter:
    """Shows steps done, images per second, time left, and the last validation accuracies."""

    def __init__(self, title: str, steps: int, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, quiet=quiet)
        self.title = title
        self._live = self.console.is_terminal and not quiet
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self._live,
        )
        self._task = self._bar.add_task(title, total=steps, note="")
        self._note = ""

    def __enter__(self) -> "Reporter":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, done: int, note: str = "") -> None:
        """Move the bar to `done` steps, with a note beside it."""
        self._bar.update(self._task, completed=done, note=f"{note}  {self._note}")

    def tick(self, steps: int) -> None:
        """Move the bar on by `steps`."""
        self._bar.advance(self._task, steps)

    def epoch(self, row: Mapping[str, Any], epochs: int) -> None:
        """Report a finished epoch: a line where there is no terminal, a note beside the bar where there is one."""
        robust = "" if row["robust_accuracy"] is None else f"  robust {row['robust_accuracy']:.3f}"
        maps = "" if row.get("map_score") is None else f"  maps {row['map_score']:.3f}"
        self._note = f"val {row['clean_accuracy']:.3f}{robust}{maps}"
        if self._live:
            self._bar.update(self._task, note=self._note)
        else:
            self.say(
                f"{self.title}  epoch {row['epoch']}/{epochs}  loss {row['loss']:.3f}  {self._note}  "
                f"{row['images_per_second']:.0f} img/s  {duration(row['seconds_left'])} left"
            )

    def say(self, line: str) -> None:
        """Print one plain line."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: "45 s", "2 min 10 s", "3 h 05 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
