"""What people type, as values."""

from __future__ import annotations

import pytest

from resonate_faas_cli._values import (
    arguments,
    format_duration,
    keyword_arguments,
    natural,
    parse_duration,
    parse_json_or_text,
    tags,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("90", 90_000),
        ("0.5", 500),
        ("0", 0),
        ("500ms", 500),
        ("1s", 1_000),
        ("1.5s", 1_500),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        (" 1m ", 60_000),
        ("1m500ms", 60_500),
        ("1d2h3m4s5ms", 93_784_005),
    ],
)
def test_a_duration_is_seconds_or_numbers_with_units(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "h", "1x", "1h30", "-5", "1 h", "1e3", "inf", "nan", "٣", "1h,30m", "1h-30m", ".5", "5."],
)
def test_what_is_no_duration_is_refused_with_the_form_of_one(text: str) -> None:
    with pytest.raises(ValueError, match="write seconds"):
        parse_duration(text)


def test_a_duration_over_a_hundred_years_is_refused() -> None:
    assert parse_duration("36500d") == 36_500 * 86_400_000
    with pytest.raises(ValueError, match="longer than 100 years"):
        parse_duration("36500d1ms")
    with pytest.raises(ValueError, match="longer than 100 years"):
        parse_duration("9" * 400)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (999, "999ms"),
        (1_000, "1s"),
        (2_449, "2.4s"),
        (59_999, "59.9s"),
        (60_000, "1m00s"),
        (65_400, "1m05s"),
        (3_599_999, "59m59s"),
        (3_600_000, "1h00m"),
        (7_380_000, "2h03m"),
        (86_400_000, "1d0h"),
        (273_600_000, "3d4h"),
        (-1_500, "-1.5s"),
    ],
)
def test_a_duration_reads_well(milliseconds: int, text: str) -> None:
    assert format_duration(milliseconds) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3.5", -3.5),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ("ada", "ada"),
        ("", ""),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("[1, NaN]", "[1, NaN]"),
        ("{'a': 1}", "{'a': 1}"),
        ('{"a": [1, "ü"]}', {"a": [1, "ü"]}),
        ("True", "True"),
        ("007", "007"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_an_argument_is_json_or_else_text(text: str, value: object) -> None:
    found = parse_json_or_text(text)
    assert found == value
    assert type(found) is type(value)


def test_arguments_come_in_order_words_first() -> None:
    assert arguments(["1", "ada"], ["-3"], None) == [1, "ada", -3]
    assert arguments([], [], None) == []
    assert arguments([], [], '[1, "3", null]') == [1, "3", None]


@pytest.mark.parametrize(
    ("words", "extra", "whole", "reason"),
    [
        (["1"], [], "[]", "not both"),
        ([], ["1"], "[]", "not both"),
        ([], [], "{}", "must be an array"),
        ([], [], "[1", "is not JSON"),
        ([], [], "[NaN]", "NaN is not JSON"),
        ([], [], "[" * 100_000, "nested too deeply"),
    ],
)
def test_arguments_that_make_no_sense_say_why(
    words: list[str], extra: list[str], whole: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        arguments(words, extra, whole)


def test_keyword_arguments_are_pairs_or_an_object() -> None:
    found = keyword_arguments(["a=1", "b=x=y", "c=", '{"d": [1], "e": null}'])
    assert found == {"a": 1, "b": "x=y", "c": "", "d": [1], "e": None}


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["a"], "neither name=VALUE"),
        (["=1"], "neither name=VALUE"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=1", '{"a": 2}'], "'a' is given twice"),
        (['{"a"'], "no JSON object"),
    ],
)
def test_keyword_arguments_that_make_no_sense_say_why(texts: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        keyword_arguments(texts)


def test_tags_are_texts() -> None:
    assert tags(["team=billing", "n=1", "team=billing"]) == {"team": "billing", "n": "1"}
    with pytest.raises(ValueError, match="is not name=value"):
        tags(["team"])
    with pytest.raises(ValueError, match="twice with different values"):
        tags(["a=1", "a=2"])


def test_ids_sort_by_their_numbers() -> None:
    ids = ["r:10", "r:2", "r:1.10", "r:1.9", "r:1", "r:2r", "r", "r:" + "9" * 400]
    assert sorted(ids, key=natural)[:7] == ["r", "r:1", "r:1.9", "r:1.10", "r:2", "r:2r", "r:10"]
