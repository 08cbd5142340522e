"""Findings for people (rich, 80 columns) and for programs (plain values)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pellucid.doctor.findings import Finding, Status

HEADS: dict[Status, tuple[str, str]] = {
    "problem": ("Problems: numbers measured like this would be wrong", "bold red"),
    "warning": ("Warnings", "bold yellow"),
    "not applicable": ("Not applicable", "bold"),
    "ok": ("Passed", "bold green"),
}
CRASHED = "could not be made"


def as_plain(findings: Sequence[Finding], **facts: Any) -> dict[str, Any]:
    """One JSON object: how many findings of each status, and the findings."""
    return {**facts, **_counts(findings), "findings": [asdict(finding) for finding in findings]}


def to_terminal(findings: Sequence[Finding], *, verbose: bool = False) -> RenderableType:
    """Problems and warnings with why and mend, then one line on the others; all of them if `verbose`."""
    parts: list[RenderableType] = []
    parts += _section(findings, "problem", _in_full)
    parts += _section(findings, "warning", _in_full)
    crashed = [finding for finding in findings if finding.finding.startswith(CRASHED)]
    if verbose:
        parts += _section(findings, "not applicable", _in_short)
        parts += _section(findings, "ok", _in_short)
    elif crashed:
        parts += [Text("Checks that could not be made", style="bold"), *map(_in_short, crashed), Text("")]
    return Group(*parts, _last_line(findings, verbose))


def _section(findings: Sequence[Finding], status: Status, shown: Any) -> list[RenderableType]:
    here = [finding for finding in findings if finding.status == status]
    head, style = HEADS[status]
    return [Text(f"{head} ({len(here)})", style=style), *map(shown, here), Text("")] if here else []


def _in_full(finding: Finding) -> RenderableType:
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", width=4)
    rows.add_column(ratio=1)
    rows.add_row("", Text(_sentence(finding.finding)))
    rows.add_row("why", Text(finding.why))
    rows.add_row("mend", Text(finding.mend, style="bold"))
    return Group(Text(f"  {finding.check}", style=HEADS[finding.status][1]), Padding(rows, (0, 0, 0, 2)))


def _in_short(finding: Finding) -> RenderableType:
    text = Text(f"{finding.check}: ", style="bold")
    text.append(finding.finding, style="not bold")
    return Padding(text, (0, 0, 0, 2))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _last_line(findings: Sequence[Finding], verbose: bool) -> Text:
    counts = _counts(findings)
    line = f"{counts['ok']} checks passed, {counts['not_applicable']} did not apply"
    return Text(f"{line}{'' if verbose else ' (--verbose lists them)'}", style="dim")


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    names: dict[str, Status] = {"problems": "problem", "warnings": "warning", "ok": "ok"}
    names["not_applicable"] = "not applicable"
    return {name: sum(finding.status == status for finding in findings) for name, status in names.items()}
