"""``resonate-faas cost``: counts times prices."""

from __future__ import annotations

import pytest
from tests.cli.terminal import Cli

from resonate_faas_cli._costs import PRICES, PRICES_ON_GOOGLE, SHAPES, Usage, standing, standing_on_google

NOWHERE = Cli("http://127.0.0.1:1")


def test_each_shape_has_its_row() -> None:
    lines = NOWHERE.ok("cost").out.splitlines()
    for shape, line in zip(SHAPES, lines[1:], strict=False):
        assert line.startswith(shape.name)
    assert "us-east-1" in lines[-2]
    assert lines[-1].startswith("A deployment that does nothing: $")


def test_dollars_are_counts_times_prices() -> None:
    """Reckoned by hand: 47 write units, 3 read units, 3 requests to SQS and 2 invocations, a thousand times."""
    (row,) = [one for one in NOWHERE.ok("cost", "--json").json["shapes"] if one["shape"] == "10 steps"]
    assert row["dollars"] == pytest.approx(0.047 * 0.625 + 0.003 * 0.125 + 0.003 * 0.40 + 0.002 * 0.20)
    assert row["step_functions_dollars"] == pytest.approx(0.25)
    assert row["durable_functions_dollars"] == pytest.approx(0.088)


def test_prices_can_be_given() -> None:
    free = [word for name in PRICES for word in ("--price", f"{name}=0")]
    told = NOWHERE.ok("cost", "--json", *free, "--price", "lambda=1").json
    for shape, row in zip(SHAPES, told["shapes"], strict=True):
        assert row["dollars"] == pytest.approx(shape.usage.invocations / 1_000)
    assert "some prices yours" in NOWHERE.ok("cost", "--price", "sqs=1").out


@pytest.mark.parametrize("price", ["sqs", "sqs=", "sqs=cheap", "sqs=-1", "sqs=nan", "pizza=1"])
def test_what_is_no_price_is_told(price: str) -> None:
    ran = NOWHERE("cost", "--price", price)
    assert ran.code == 2, ran


def test_what_stands_still_costs_little() -> None:
    assert standing(dict.fromkeys(PRICES, 0.0)) == 0
    assert 0 < standing(PRICES) < 1
    assert Usage(writes=0, reads=0, messages=0, calls=0).dollars(PRICES) == 0


def test_google_has_its_own_counts_and_prices() -> None:
    """Reckoned by hand: 23 documents written, 3 read, 2 operations and 2 invocations, a thousand times."""
    told = NOWHERE.ok("cost", "--gcp", "--json").json
    (row,) = [one for one in told["shapes"] if one["shape"] == "10 steps"]
    assert row["dollars"] == pytest.approx(0.023 * 0.90 + 0.003 * 0.30 + 0.002 * 0.40 + 0.002 * 0.40)
    assert told["standing_dollars_a_month"] == pytest.approx(standing_on_google(PRICES_ON_GOOGLE))
    assert "us-central1" in NOWHERE.ok("cost", "--gcp").out
    assert NOWHERE("cost", "--gcp", "--price", "sqs=1").code == 2
