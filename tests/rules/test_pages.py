"""Each code has a page; its examples are checked, and the figures are those of the corpus."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import pytest
from tests.rules.figures import BEGIN, END, PAGE, page, table
from tests.rules.snippets import PRELUDE, load

from resonate_faas.checks import RULES, check_sources

FOLDER = PAGE.parent
ROOT = FOLDER.parents[1]


def example(code: str, heading: str) -> str:
    text = (FOLDER / f"{code}.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {heading}\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{code} has no example under {heading}"
    return found[1]


def codes(text: str) -> set[str]:
    report = check_sources({PurePath("workflows.py"): PRELUDE + text})
    return {one.code for one in report.findings}


@pytest.mark.parametrize("code", RULES)
def test_the_bad_example_breaks_this_rule_and_no_other(code: str) -> None:
    assert codes(example(code, "Bad")) == {code}


@pytest.mark.parametrize("code", RULES)
def test_the_good_example_breaks_none(code: str) -> None:
    assert codes(example(code, "Good")) == set()


@pytest.mark.parametrize("code", RULES)
def test_a_page_says_what_and_why(code: str) -> None:
    text = (FOLDER / f"{code}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {code}: {RULES[code].name}\n")
    assert "\n## Why\n" in text


def test_the_index_lists_every_rule_and_no_page_is_left_over() -> None:
    index = PAGE.read_text(encoding="utf-8")
    for code, rule in RULES.items():
        assert f"| [{code}]({code}.md) | {rule.name} | {rule.cure} |" in index
    assert {path.stem for path in FOLDER.glob("RF*.md")} == set(RULES)


def test_the_figures_are_those_of_the_corpus() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, table(load())) == text, "run: python -m tests.rules.figures --write"


def test_stale_figures_would_be_noticed() -> None:
    text = f"before {BEGIN}\nold\n{END} after"
    assert page(text, "new") == f"before {BEGIN}\nnew\n{END} after"


def test_the_hook_runs_the_module_over_the_whole_project() -> None:
    hook = Path(ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    lines = {line.strip() for line in hook.splitlines()}
    assert {"entry: python -m resonate_faas.checks", "pass_filenames: false", 'args: ["."]'} <= lines
