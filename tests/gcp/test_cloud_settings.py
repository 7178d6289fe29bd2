"""The settings of a deployment on Google Cloud: what is refused at cold start, and what follows from what is given."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.packaging.tree import ROOT

from resonate_faas import ConfigurationError
from resonate_faas._deployment import Source
from resonate_faas_gcp._oidc import CERTS_URL, ISSUERS
from resonate_faas_gcp._settings import CloudSettings

QUEUE = "projects/p/locations/europe-west1/queues/main"
NEEDED = {
    "RESONATE_FAAS_QUEUE": QUEUE,
    "RESONATE_FAAS_PUBLIC_URL": "https://europe-west1-p.cloudfunctions.net/function/",
    "RESONATE_FAAS_QUEUE_ACCOUNT": "queue@p.iam.gserviceaccount.com",
    "RESONATE_FAAS_TIMEOUT_SECONDS": "540",
}


def read(given: dict[str, Any] | None = None, **variables: str) -> CloudSettings:
    environment = {**NEEDED, **variables}
    return CloudSettings.read(Source(environment, given or {}), environment)


def test_four_settings_are_enough() -> None:
    settings = read()
    assert settings.project == "p"
    assert (settings.database, settings.collection) == ("(default)", "resonate")
    assert settings.url == "https://europe-west1-p.cloudfunctions.net/function"
    assert (settings.timeout_ms, settings.dispatch_deadline_s) == (540_000, 540)
    assert (settings.certs_url, settings.issuers) == (CERTS_URL, ISSUERS)
    assert settings.callers == ()
    assert settings.tick_account is settings.firestore_emulator is settings.tasks_emulator is None


@pytest.mark.parametrize("name", NEEDED)
def test_each_of_them_is_needed(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read({}, **{name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUEUE", "main"),
        ("QUEUE", "projects/p/queues/main"),
        ("QUEUE", f"{QUEUE}/tasks/t"),
        ("QUEUES", '{"reports": "reports"}'),
        ("QUEUE_ACCOUNT", "queue"),
        ("TICK_ACCOUNT", "the scheduler"),
        ("CALLERS", "ada@example.com, everybody"),
        ("TIMEOUT_SECONDS", "3601"),
        ("TIMEOUT_SECONDS", "30"),
        ("DISPATCH_DEADLINE_SECONDS", "14"),
        ("DISPATCH_DEADLINE_SECONDS", "1801"),
        ("OIDC_CERTS_URL", "http://example.com/certs"),
        ("OIDC_CERTS_URL", "http://127.0.0.1.example.com/certs"),
        ("OIDC_CERTS_URL", "file:///certs"),
        ("PUBLIC_URL", "europe-west1-p.cloudfunctions.net"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"RESONATE_FAAS_{name}"):
        read({}, **{f"RESONATE_FAAS_{name}": value})


def test_the_lease_must_be_shorter_than_the_timeout() -> None:
    assert read(RESONATE_FAAS_LEASE_SECONDS="60", RESONATE_FAAS_TIMEOUT_SECONDS="61").timeout_ms == 61_000
    with pytest.raises(ConfigurationError, match="lease of 60 s"):
        read(RESONATE_FAAS_LEASE_SECONDS="60", RESONATE_FAAS_TIMEOUT_SECONDS="60")


def test_an_activation_ends_at_the_timeout_or_the_dispatch_deadline_whichever_is_first() -> None:
    """Cloud Tasks waits half an hour at most; a function may take an hour."""
    assert read(RESONATE_FAAS_TIMEOUT_SECONDS="3600").timeout_ms == 1_800_000
    assert read(RESONATE_FAAS_DISPATCH_DEADLINE_SECONDS="100").timeout_ms == 100_000
    short = read(RESONATE_FAAS_TIMEOUT_SECONDS="60", RESONATE_FAAS_DISPATCH_DEADLINE_SECONDS="100")
    assert (short.timeout_ms, short.dispatch_deadline_s) == (60_000, 100)


def test_keyword_arguments_win() -> None:
    given = {
        "queue": "projects/q/locations/l/queues/main",
        "callers": ["ada@example.com"],
        "timeout_seconds": 61,
    }
    settings = read(given, RESONATE_FAAS_CALLERS="bob@example.com")
    assert (settings.project, settings.callers, settings.timeout_ms) == ("q", ("ada@example.com",), 61_000)


def test_emulators_are_named_by_the_environment() -> None:
    settings = read(
        FIRESTORE_EMULATOR_HOST="127.0.0.1:8080",
        RESONATE_FAAS_CLOUD_TASKS_EMULATOR="127.0.0.1:8123",
        RESONATE_FAAS_OIDC_CERTS_URL="http://127.0.0.1:9000/certs",
        RESONATE_FAAS_OIDC_ISSUER="https://issuer.test",
    )
    assert (settings.firestore_emulator, settings.tasks_emulator) == ("127.0.0.1:8080", "127.0.0.1:8123")
    assert (settings.certs_url, settings.issuers) == ("http://127.0.0.1:9000/certs", ("https://issuer.test",))
    assert len(settings.stand_ins) == 4
    assert read().stand_ins == []


class Asked(Source):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(NEEDED)
        self.asked: set[str] = set()

    def _value(self, name: str) -> Any:
        self.asked.add(f"RESONATE_FAAS_{name}")
        return super()._value(name)


def test_every_setting_is_documented_and_no_other() -> None:
    source = Asked()
    CloudSettings.read(source, {})
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    common, _, google = page.partition("## On Google Cloud")
    listed = {
        name
        for section in (common.partition("## Working for")[0], google)
        for name in re.findall(r"^\| `(RESONATE_FAAS_\w+)`", section, re.MULTILINE)
    }
    assert listed == source.asked
