"""Every snippet of the corpus: exactly what is marked is found, known misses and known false alarms included."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from tests.rules.snippets import Place, Snippet, load

from resonate_faas.checks import RULES, check_sources

SNIPPETS = load()


def found(snippet: Snippet) -> frozenset[Place]:
    report = check_sources(snippet.sources)
    return frozenset((str(one.path), one.line, one.code) for one in report.findings)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda one: one.name)
def test_what_is_found_is_what_is_marked(snippet: Snippet) -> None:
    places = found(snippet)
    assert sorted(places - snippet.expected - snippet.false) == [], "found, and not marked"
    assert sorted(snippet.expected - places) == [], "marked, and not found"
    assert sorted(snippet.false - places) == [], "no longer a false alarm: remove the mark"
    assert sorted(snippet.missed & places) == [], "no longer missed: mark it expect"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda one: one.name)
def test_a_snippet_is_python_and_holds_a_workflow(snippet: Snippet) -> None:
    for text in snippet.sources.values():
        ast.parse(text)
    has_workflow = check_sources(snippet.sources).workflows > 0
    assert has_workflow or "bot_context" in snippet.name


def test_the_corpus_is_large_half_clean_and_its_names_are_unique() -> None:
    assert len(SNIPPETS) >= 120
    clean = sum(one.is_clean for one in SNIPPETS)
    assert 0.4 <= clean / len(SNIPPETS) <= 0.6
    assert [name for name, count in Counter(one.name for one in SNIPPETS).items() if count > 1] == []


def test_each_rule_is_expected_somewhere() -> None:
    expected = {code for one in SNIPPETS for _, _, code in one.expected}
    assert set(RULES) - expected == {"RF001"}
