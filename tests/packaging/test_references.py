"""What the tree points at exists, and nothing in it belongs to one machine."""

from __future__ import annotations

import re

from tests.packaging.tree import ROOT, name, text_files, without_code

CITED = re.compile(r"(?<![\w./-])docs/[\w./-]*\w")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MACHINE = re.compile(
    r"(^|[^a-z.])/(root|work|opt/[a-z-]+)/|https?://[a-z0-9.-]*(pypi|npm|debian)[a-z0-9.-]*", re.MULTILINE
)


def test_every_document_cited_anywhere_exists() -> None:
    missing = sorted(
        {
            f"{name(path)} cites {cited}"
            for path in text_files()
            for cited in CITED.findall(path.read_text(encoding="utf-8"))
            if not (ROOT / cited).exists()
        }
    )
    assert missing == []


def test_every_relative_link_resolves() -> None:
    broken = []
    for path in text_files():
        if path.suffix != ".md":
            continue
        for target in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", target):
                continue
            place, _, anchor = target.partition("#")
            found = path.parent / place if place else path
            if not found.exists():
                broken.append(f"{name(path)}: {target}")
            elif anchor and found.is_file() and anchor not in anchors(found.read_text(encoding="utf-8")):
                broken.append(f"{name(path)}: {target} (no such heading)")
    assert broken == []


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as the common renderers make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_no_path_of_a_machine_and_no_registry_host() -> None:
    found = [
        f"{name(path)}: {match.group().strip()}"
        for path in text_files()
        for match in MACHINE.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_search_for_machine_paths_can_find_one() -> None:
    assert MACHINE.search("open('" + "/wo" + "rk/x.db')")
    assert MACHINE.search("https://files." + "py" + "pi.example/simple")
    assert not MACHINE.search("GET /tick answers; see ../shared/root/of/it")
