"""What a check found: said once, with every place where it happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PLACES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a workflow.

    Attributes:
        what: what happened, one or more lines.
        cure: what to do.
        where: where it happened; findings that differ in nothing else are shown as one.
    """

    what: str
    cure: str
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check did.

    Attributes:
        check: its name.
        runs: how often the workflow was run or replayed.
        findings: what is wrong; empty, if the check returned.
    """

    check: str
    runs: int
    findings: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        groups: dict[tuple[str, str], list[str]] = {}
        for one in self.findings:
            groups.setdefault((one.what, one.cure), []).append(one.where)
        many = "finding" if len(groups) == 1 else "findings"
        blocks = [f"{self.check}: {len(groups)} {many} in {self.runs} runs"]
        for number, ((what, cure), places) in enumerate(groups.items(), start=1):
            lines = [f"{number}. {what}", *_places(places), f"What to do: {cure}"]
            blocks.append("\n".join(lines).replace("\n", "\n   "))
        return "\n\n".join(blocks)


def concluded(check: str, runs: int, findings: Sequence[Finding]) -> Report:
    """Return the report of a check that found nothing.

    Raises:
        AssertionError: it found something; the text is the report.
    """
    report = Report(check=check, runs=runs, findings=tuple(findings))
    if findings:
        raise AssertionError(str(report))
    return report


def _places(places: Sequence[str]) -> list[str]:
    shown = [f"At: {one}" for one in dict.fromkeys(places) if one]
    left = len(shown) - PLACES_SHOWN
    return [*shown[:PLACES_SHOWN], *([f"and {left} more"] if left > 0 else [])]
