"""The settings of a deployment: arguments before environment, and wrong ones named before anything is served."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.packaging.tree import ROOT

from resonate_faas import ConfigurationError
from resonate_faas._deployment import PREFIX, DeploymentOptions, DeploymentSettings, Source
from resonate_faas._http import Right

SECRET = "a secret that nobody sees"
PEM = "-----BEGIN PUBLIC KEY-----\\nxyz\\n-----END PUBLIC KEY-----"


def read(environment: dict[str, str] | None = None, **given: Any) -> DeploymentSettings:
    named = {PREFIX + name: value for name, value in (environment or {}).items()}
    return DeploymentSettings.read(Source(named, given))


def test_defaults_are_those_of_the_table_in_the_documentation() -> None:
    settings = read()
    assert (settings.lease_ms, settings.sweep_interval_ms, settings.promises_max) == (30_000, 60_000, 10_000)
    assert (settings.retention_ms, settings.public_url, settings.link_key) == (None, None, None)
    assert (settings.open_rights, settings.credentials, dict(settings.queues)) == (frozenset(), (), {})
    assert settings.strict is False
    assert settings.guard is None


def test_the_environment_is_read() -> None:
    settings = read(
        {
            "LEASE_SECONDS": "45",
            "SWEEP_SECONDS": "120",
            "RETENTION_DAYS": "7",
            "MAX_PROMISES": "500",
            "GUARD": "error",
            "PUBLIC_URL": "https://example.com/base/",
            "LINK_KEY": SECRET,
            "PUBLIC_ROUTES": "invoke, read",
            "STRICT": "1",
            "QUEUES": '{"reports": "https://sqs/reports"}',
        }
    )
    assert (settings.lease_ms, settings.sweep_interval_ms, settings.promises_max) == (45_000, 120_000, 500)
    assert settings.retention_ms == 7 * 86_400_000
    assert settings.guard == "error"
    assert settings.public_url == "https://example.com/base"
    assert settings.open_rights == {Right.INVOKE, Right.READ}
    assert settings.rules.strict is True
    assert settings.queues == {"reports": "https://sqs/reports"}
    links = settings.links("https://example.com")
    assert links is not None
    assert links.link("a", "birth", "resolve").startswith("https://example.com/promises/a/resolve?token=")


def test_arguments_win_over_the_environment_and_none_leaves_it() -> None:
    environment = {"LEASE_SECONDS": "45", "STRICT": "1", "PUBLIC_ROUTES": "invoke"}
    settings = read(environment, lease_seconds=20, strict=False, public_routes=["read"])
    assert (settings.lease_ms, settings.strict) == (20_000, False)
    assert settings.open_rights == {Right.READ}
    assert read(environment, lease_seconds=None).lease_ms == 45_000


def test_an_empty_variable_is_as_if_absent() -> None:
    assert read({"LEASE_SECONDS": "", "LINK_KEY": "  ", "QUEUES": ""}) == read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", "9"),
        ("LEASE_SECONDS", "901"),
        ("LEASE_SECONDS", "30.5"),
        ("LEASE_SECONDS", "half"),
        ("LEASE_SECONDS", "\u0663\u0660"),
        ("SWEEP_SECONDS", "0"),
        ("RETENTION_DAYS", "0"),
        ("MAX_PROMISES", "-1"),
        ("GUARD", "loud"),
        ("PUBLIC_URL", "example.com"),
        ("LINK_KEY", "too short"),
        ("PUBLIC_ROUTES", "invoke,protocol"),
        ("WEBHOOK_SECRET", "too short"),
        ("STRICT", "yes"),
        ("QUEUES", "[]"),
        ("QUEUES", '{"a": 1}'),
        ("QUEUES", "{"),
        ("JWT_KEY", "an HMAC key that is too short"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        read({name: value})
    assert wrong.value.setting == PREFIX + name
    assert str(wrong.value).startswith(f"{PREFIX}{name} ")


@pytest.mark.parametrize("name", ["LINK_KEY", "WEBHOOK_SECRET", "JWT_KEY"])
def test_a_secret_is_not_in_the_error(name: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        read({name: "hunter2"})
    assert "hunter2" not in str(wrong.value)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"JWT_ISSUER": "https://issuer"}, "JWT_KEY"),
        ({"JWT_AUDIENCE": "us"}, "JWT_KEY"),
        ({"JWT_KEY": PEM, "JWT_JWKS_URL": "https://issuer/keys", "JWT_AUDIENCE": "us"}, "JWT_KEY"),
        ({"JWT_KEY": PEM}, "JWT_AUDIENCE"),
        ({"JWT_JWKS_URL": "https://issuer/keys"}, "JWT_AUDIENCE"),
        ({"JWT_JWKS_URL": "issuer/keys", "JWT_AUDIENCE": "us"}, "JWT_JWKS_URL"),
        ({"JWT_JWKS_URL": "http://issuer/keys", "JWT_AUDIENCE": "us"}, "JWT_JWKS_URL"),
    ],
)
def test_settings_of_tokens_that_would_let_strangers_in_are_refused(
    variables: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        read(variables)
    assert wrong.value.setting == PREFIX + named


def test_webhooks_get_less_than_named_callers() -> None:
    variables = {"WEBHOOK_SECRET": SECRET, "JWT_JWKS_URL": "https://issuer/keys", "JWT_AUDIENCE": "us"}
    webhook, caller = read(variables).credentials
    assert webhook.rights == {Right.INVOKE, Right.READ, Right.SETTLE}
    assert caller.rights == webhook.rights | {Right.PROTOCOL}
    assert webhook.accepts(SECRET)


def test_secrets_do_not_show() -> None:
    shown = repr(read({"LINK_KEY": SECRET, "WEBHOOK_SECRET": SECRET, "JWT_KEY": SECRET * 2}))
    assert "nobody sees" not in shown


def test_every_common_setting_is_an_argument_of_its_name() -> None:
    asked: list[str] = []

    class Curious(dict[str, str]):
        def get(self, name: Any, default: Any = None) -> Any:
            asked.append(str(name))
            return super().get(name, default)

    DeploymentSettings.read(Source(Curious()))
    assert {name.removeprefix(PREFIX).lower() for name in asked} == set(DeploymentOptions.__annotations__)


def test_the_documentation_lists_every_common_setting() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = page.partition("## On both clouds")[2].partition("\n## ")[0]
    listed = re.findall(rf"^\| `{PREFIX}(\w+)` \|", table, re.MULTILINE)
    assert sorted(name.lower() for name in listed) == sorted(DeploymentOptions.__annotations__)


def test_a_required_setting_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="RESONATE_FAAS_TABLE is not set"):
        Source({}).required("TABLE")
    assert Source({}, {"table": "t"}).required("TABLE") == "t"
    with pytest.raises(ConfigurationError, match="must be a text"):
        Source({}, {"table": json.loads("7")}).required("TABLE")
