"""``python -m tests.rules.figures``: measure precision and recall over the corpus; ``--write`` puts them into the docs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.rules.snippets import Place, Snippet, load

from resonate_faas.checks import check_sources

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules" / "README.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
FAMILIES = {
    "RF1": "RF1xx determinism",
    "RF2": "RF2xx idempotency",
    "RF3": "RF3xx process lifetime",
    "RF4": "RF4xx promise count",
    "RF": "all",
}


@dataclass(frozen=True)
class Figures:
    """Findings that are right, that are wrong, and that should be there."""

    right: int
    wrong: int
    absent: int

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.absent)


def measure(snippets: list[Snippet]) -> dict[str, Figures]:
    """Return the figures by family: each file, line and code counts once."""
    found: set[tuple[str, Place]] = set()
    wanted: set[tuple[str, Place]] = set()
    for one in snippets:
        wanted |= {(one.name, place) for place in one.expected | one.missed}
        for finding in check_sources(one.sources).findings:
            found.add((one.name, (str(finding.path), finding.line, finding.code)))
    return {
        family: Figures(
            right=len([one for one in found & wanted if one[1][2].startswith(family)]),
            wrong=len([one for one in found - wanted if one[1][2].startswith(family)]),
            absent=len([one for one in wanted - found if one[1][2].startswith(family)]),
        )
        for family in FAMILIES
    }


def table(snippets: list[Snippet]) -> str:
    """Return the figures as a table of Markdown."""
    clean = sum(one.is_clean for one in snippets)
    lines = [
        f"{len(snippets)} snippets, {clean} of them clean.",
        "",
        "| rules | right | false alarms | missed | precision | recall |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for family, one in measure(snippets).items():
        shares = f"{one.precision:.1%} | {one.recall:.1%}"
        lines.append(f"| {FAMILIES[family]} | {one.right} | {one.wrong} | {one.absent} | {shares} |")
    return "\n".join(lines)


def page(text: str, figures: str) -> str:
    """Return the page with the figures in their place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def main() -> None:
    figures = table(load())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), figures), encoding="utf-8")
    else:
        sys.stdout.write(figures + "\n")


if __name__ == "__main__":
    main()
