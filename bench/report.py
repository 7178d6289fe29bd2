"""Figures with their budgets, as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured or counted value.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: of the value; "x" is a ratio.
        budget: the most it may be; None: no budget, shown for comparison.
        note: what to know when reading it.
    """

    name: str
    value: float
    unit: str
    budget: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """In words: kept, missed, or nothing to keep."""
        if self.budget is None:
            return ""
        return "kept" if self.value <= self.budget else "MISSED"


def table(title: str, figures: Sequence[Figure]) -> str:
    """Return the figures as a table of text."""
    head = ("figure", "value", "unit", "budget", "", "note")
    rows = [head, *((_cells(figure)) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [f"\n{title}", "-" * len(title)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (1, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def write_json(results: Mapping[str, Sequence[Figure]], machine: Mapping[str, str]) -> Path:
    """Write all figures next to this file, and return where."""
    body = {
        "machine": dict(machine),
        "figures": {name: [asdict(figure) for figure in figures] for name, figures in results.items()},
    }
    RESULTS.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    return RESULTS


def _cells(figure: Figure) -> tuple[str, ...]:
    budget = "" if figure.budget is None else _number(figure.budget)
    return (figure.name, _number(figure.value), figure.unit, budget, figure.verdict, figure.note)


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
