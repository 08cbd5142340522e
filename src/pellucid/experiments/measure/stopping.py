"""Measuring several runs in step until the intervals of all of them are tight enough."""

from dataclasses import dataclass

from pellucid.experiments.measure.notebook import Notebook, Row
from pellucid.experiments.measure.rows import Study
from pellucid.experiments.measure.team import Team
from pellucid.experiments.measure.until import Until
from pellucid.experiments.suite import images_per_unit
from pellucid.training.progress import Reporter


@dataclass(frozen=True)
class Stream:
    """A study whose numbers are watched, and its notes."""

    study: Study
    notes: Notebook

    def grow(self, positions: range) -> dict[int, Row]:
        """Measure the next images."""
        return self.study.measured("clean", positions, self.notes, lambda _: None)


def stopping_time(streams: list[Stream], until: Until, team: Team) -> int:
    """After how many images all watched intervals of all streams are tight enough; all images if they never are.

    The rule is looked at after every unit of images, however many units the team measures at once: the answer does not
    depend on how many processes there are.
    """
    images = streams[0].study.images
    unit, total = images_per_unit(images.batch([0])[0]), len(images)
    seen: list[list[Row]] = [[] for _ in streams]
    with Reporter(f"measuring until {until.rule}", total, quiet=not team.leads) as reporter:
        for start in range(0, total, unit * team.size):
            positions = range(start, min(start + unit * team.size, total))
            found = [stream.grow(positions) for stream in streams]
            for ahead in range(start, positions.stop, unit):
                for rows, fresh in zip(seen, found, strict=True):
                    rows += [fresh[place] for place in range(ahead, min(ahead + unit, total))]
                metrics = [stream.study.metrics for stream in streams]
                tight = all(until.reached(rows, measured) for rows, measured in zip(seen, metrics, strict=True))
                if team.agreed(tight):
                    return len(seen[0])
            reporter.tick(len(positions))
        reporter.say(f"the {total} images did not suffice for {until.rule}; measurement.json has the intervals")
    return total
