"""The row of a benchmark, and how rows are printed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

WIDTHS = (44, 12, 12, 8, 6, 23, 5, 14, 6)
HEAD = ("measure", "ours", "reference", "ratio", "unit", "spread", "runs", "goal", "holds")


@dataclass(frozen=True)
class Row:
    """One bar. `spread` is the least and the most of `ours`; `reference` is the bare engine's
    figure of the same run, and `reason` says why `holds` is None."""

    measure: str
    ours: float | None
    reference: float | None
    ratio: float | None
    unit: str
    spread: tuple[float, float] | None
    runs: int
    goal: str
    holds: bool | None
    reason: str = ""


def compared(
    measure: str,
    ours: Sequence[float],
    reference: Sequence[float],
    unit: str,
    goal: str,
    limit: float,
    *,
    of_ratio: bool = False,
) -> Row:
    """A row of medians. It holds where ours (or its ratio to the reference) is within the limit."""
    mine, theirs = statistics.median(ours), statistics.median(reference)
    ratio = mine / theirs if theirs else None
    judged = ratio if of_ratio else mine
    return Row(
        measure,
        round(mine, 4),
        round(theirs, 4),
        None if ratio is None else round(ratio, 3),
        unit,
        (round(min(ours), 4), round(max(ours), 4)),
        len(ours),
        goal,
        None if judged is None else judged <= limit,
    )


def unmeasured(measure: str, goal: str, reason: str) -> Row:
    return Row(measure, None, None, None, "", None, 0, goal, None, reason)


def show(rows: Iterable[Row], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print("  ".join(f"{name:<{width}}" for name, width in zip(HEAD, WIDTHS, strict=True)).rstrip())
    for row in rows:
        cells = [*asdict(row).values()][: len(HEAD)]
        texts = (f"{_cell(cell):<{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
        print("  ".join(texts).rstrip())
        if row.reason:
            print(f"    {row.reason}")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return " - ".join(_cell(each) for each in value)
    return str(value)
