"""The report of a grid: arms with several seeds, compared pair by pair, setting by setting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from pellucid.report.agreement import Vote, votes
from pellucid.report.arms import Arm, arms_of
from pellucid.report.comparisons import Comparison, compare, noise_floors, with_discovery
from pellucid.report.contents import attribution_names, clean_measures, clean_table, legacy_table, trade_off_measures
from pellucid.report.drivers import Drivers, drivers
from pellucid.report.grid_sheets import (
    agreement_sheet,
    cell_sheet,
    comparison_numbers,
    comparison_sheet,
    driver_sheet,
    survivor_sheet,
)
from pellucid.report.matched import Matched, matched
from pellucid.report.measures import Measure
from pellucid.report.methods import methods, reproducibility
from pellucid.report.published import published_sheet
from pellucid.report.relations import settings
from pellucid.report.results import ResultTable
from pellucid.report.runs import Run
from pellucid.report.sheets import Sheet, sheet_csv, sheet_latex, sheet_markdown
from pellucid.report.tables import to_csv, to_latex, to_markdown
from pellucid.report.words import attribution_name, listing, number

Files: TypeAlias = dict[Path, str | bytes]

ALIKE = re.compile(r"_at_\d|^aopc_gain$|^random_")
"""Keys of measures that repeat another one, or are controls: they have no vote of their own."""
MATCHED = 2.0
"""Points of natural accuracy within which two arms count as matched."""


@dataclass(frozen=True)
class Part:
    """The arms of one setting, and what was found on them.

    Attributes
    ----------
    name, suffix
        What the page calls the setting, and what its files' names end in ("" where there is one setting only).
    comparisons
        Every pair of arms in every measure that has a better direction.
    """

    name: str
    suffix: str
    runs: tuple[Run, ...]
    arms: tuple[Arm, ...]
    clean: ResultTable
    legacy: ResultTable | None
    comparisons: tuple[Comparison, ...]

    @cached_property
    def headline(self) -> list[Comparison]:
        """The comparisons in the measures of the trade-off."""
        keys = {measure.key for measure in trade_off_measures(self.arms)}
        first = attribution_names(self.runs)[:1]
        measures = {one.measure.key: one.measure for one in reversed(self.comparisons) if one.measure.key in keys}
        return [one for one in self.comparisons if first and measures.get(one.measure.key) == one.measure]

    @cached_property
    def voters(self) -> list[Measure]:
        """The explanation metrics that say which arm is better, each once."""
        measures = {one.measure: None for one in self.comparisons}
        return [one for one in measures if not ALIKE.search(one.key) and not one.key.endswith("_accuracy")]

    @cached_property
    def votes(self) -> list[Vote]:
        """What the metrics say of each pair."""
        voters = self.voters
        return votes([one for one in self.comparisons if one.measure in voters])

    @cached_property
    def drivers(self) -> list[Drivers]:
        """What drives the difference of the two best arms, in every explanation metric of the trade-off."""
        found = [self._drivers(measure) for measure in self._explained]
        return [one for one in found if one is not None]

    def drivers_of(self, first: Arm, second: Arm) -> list[Drivers]:
        """What drives the difference of two arms, in the same metrics."""
        found = [drivers(first, second, measure) for measure in self._explained]
        return [one for one in found if one is not None]

    @cached_property
    def _explained(self) -> list[Measure]:
        measures = dict.fromkeys(one.measure for one in self.headline)
        return [measure for measure in measures if not measure.key.endswith("_accuracy")]

    def _drivers(self, measure: Measure) -> Drivers | None:
        row = next((row for row in self.clean.rows if row.key == measure.key), None)
        if row is None:
            return None
        sign = -1 if measure.direction == "↓" else 1
        values = [(-sign * cell.value, place) for place, cell in enumerate(row.cells) if cell is not None]
        if len(values) < 2:
            return None
        first, second = (self.arms[place] for _, place in sorted(values)[:2])
        return drivers(first, second, measure)

    @cached_property
    def at_equal_terms(self) -> list[Matched]:
        """The arms at matched cost and at matched accuracy, where the runs kept snapshots."""
        return matched(self.arms)

    @cached_property
    def sheets(self) -> list[Sheet]:
        """The plain tables that have rows."""
        measures = list(dict.fromkeys(one.measure for one in self.comparisons))
        found = [
            comparison_sheet(self.comparisons),
            agreement_sheet(self.arms, self.voters),
            survivor_sheet(self.arms, measures),
            driver_sheet(self.drivers, self.suffix),
            cell_sheet(self.arms),
            published_sheet(self.runs),
            reproducibility(self.arms),
        ]
        return [sheet for sheet in found if sheet is not None and sheet.rows]

    @property
    def matched(self) -> str:
        """Which pairs have the same natural accuracy, so that their maps can be compared without regard to it."""
        pairs = [one for one in self.comparisons if one.measure.key == "natural_accuracy"]
        equal = [
            f"{one.difference.first} and {one.difference.second} (±{number(one.equal_within, 1)})"
            for one in pairs
            if one.equal_within <= MATCHED
        ]
        return (
            f"Matched in natural accuracy within {MATCHED:g} points (two one-sided tests, 5 %): {listing(equal)}. "
            "Differences between other pairs may come with their difference in accuracy."
        )

    @property
    def floors(self) -> list[str]:
        """How far replicates lie apart, a sentence a measure of the trade-off."""
        found = [(measure, noise_floors(self.arms, measure)) for measure in trade_off_measures(self.arms)]
        return [
            f"{measure.label}: "
            + "; ".join(f"{number(floor, measure.decimals)} ({name})" for name, floor in floors.items())
            for measure, floors in found
            if floors
        ]


def parts_of(runs: Sequence[Run]) -> list[Part]:
    """One part a setting."""
    groups = settings(runs)
    return [_part(name, members, f"-{slug(name)}" if len(groups) > 1 else "") for name, members in groups]


def slug(name: str) -> str:
    """`CIFAR-10 (b), wrn` as `cifar-10-b-wrn`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _part(name: str, runs: Sequence[Run], suffix: str) -> Part:
    arms = tuple(arms_of(runs))
    found = with_discovery(one for measure in directed(arms, runs) for one in compare(arms, measure))
    clean = replace(clean_table(arms), title=f"Results by arm: {name}" if suffix else "Results by arm")
    return Part(name, suffix, tuple(runs), arms, clean, legacy_table(arms), tuple(found))


def directed(arms: Sequence[Arm], runs: Sequence[Run]) -> list[Measure]:
    """Accuracy, and of every attribution what the main table shows, where a direction is better.

    With several attributions the labels say which one it is.
    """
    names = attribution_names(runs)
    found = trade_off_measures(arms)[:2]
    for name in names:
        told = f" ({attribution_name(name).lower()})" if len(names) > 1 else ""
        found += [
            replace(measure, label=f"{measure.label}{told}")
            for measure, detail in clean_measures(runs, name)
            if measure.direction and not detail
        ]
    return found


def grid_files(parts: Sequence[Part]) -> Files:
    """Every table of the parts, and the methods and reproducibility texts."""
    files: Files = {}
    for part in parts:
        files |= _part_files(part)
    return files


def _part_files(part: Part) -> Files:
    folder, files = Path("tables"), {}
    tables = {"arms": part.clean, "arms-legacy": part.legacy}
    equal = [one for one in part.at_equal_terms if one.arms]
    tables |= {one.name: one.table for one in equal}
    for name, table in tables.items():
        if table is not None:
            for ending, convert in (("csv", to_csv), ("md", to_markdown), ("tex", to_latex)):
                files[folder / f"{name}{part.suffix}.{ending}"] = convert(table)
    pairs = [comparison_sheet(one.comparisons, f"{one.name}-comparisons") for one in equal]
    for sheet in (*part.sheets, *pairs):
        for ending, write in (("csv", sheet_csv), ("md", sheet_markdown), ("tex", sheet_latex)):
            files[folder / f"{sheet.name}{part.suffix}.{ending}"] = write(sheet)
    files[folder / f"comparisons{part.suffix}.csv"] = sheet_csv(comparison_numbers(part.comparisons))
    files[Path(f"methods{part.suffix}.md")] = "\n\n".join(["# Methods", *methods(part.arms)]) + "\n"
    return {**files}
