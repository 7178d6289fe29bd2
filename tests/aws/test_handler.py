"""The handler's settings: what is missing or wrong is named when the function starts, before any event comes."""

from __future__ import annotations

from typing import Any

import pytest

from resonate_faas import ConfigurationError, Resonate
from resonate_faas_aws import LambdaFunction, lambda_handler

QUEUE = "https://sqs.eu-central-1.amazonaws.com/000000000000/queue"
RIGHT: dict[str, Any] = {"table": "table", "queue_url": QUEUE}


@pytest.fixture(autouse=True)
def _lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Lambda sets for every function."""
    for name, value in {"REGION": "eu-central-1", "DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


def test_the_least_settings_suffice() -> None:
    assert isinstance(lambda_handler(Resonate(), **RIGHT), LambdaFunction)


def test_the_environment_gives_what_the_arguments_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESONATE_FAAS_TABLE", "table")
    monkeypatch.setenv("RESONATE_FAAS_QUEUE_URL", QUEUE)
    assert isinstance(lambda_handler(Resonate()), LambdaFunction)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"table": None}, "TABLE"),
        ({"queue_url": ""}, "QUEUE_URL"),
        ({"queue_url": "queue"}, "QUEUE_URL"),
        ({"queues": {"reports": "reports"}}, "QUEUES"),
        ({"queues": {"two words": QUEUE}}, "QUEUES"),
        ({"lease_seconds": 5}, "LEASE_SECONDS"),
        ({"webhook_secret": "short"}, "WEBHOOK_SECRET"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        lambda_handler(Resonate(), **{**RIGHT, **changes})
    assert wrong.value.setting == f"RESONATE_FAAS_{named}"
