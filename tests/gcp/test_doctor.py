"""``resonate-faas doctor --gcp`` over a real function, database and queue, and Google's REST interfaces as documented."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from tests.emulators import google_rest
from tests.emulators.google_rest import GoogleRest, disabled, refusal
from tests.gcp.deployment import CALLER, SAMPLES, TICK_ACCOUNT, TIMEOUT_S, Deployed, _Named, issuer
from tests.terraform.gcp_module import evaluated

from resonate_faas._diagnosis import Check, Verdict
from resonate_faas_gcp._doctor import diagnose
from resonate_faas_gcp._indexes import COMPOSITE_INDEXES, SINGLE_FIELD_EXEMPTIONS, TTL_FIELD

NAME, REGION = "countdown", "europe-west1"
NOW_S = 1_800_000_000.0
EVERYTHING = [
    "function",
    "settings",
    "reachable",
    "strangers",
    "callers",
    "halted tasks",
    "database",
    "indexes",
    "exemptions",
    "expiry",
    "queue",
    "tick",
]


class World:
    """A deployment that is all right, told of by Google's interfaces; a test spoils what it likes.

    Attributes:
        deployed: the real function.
        rest: the interfaces.
        paths: of what they tell, by a short name.
    """

    def __init__(self, deployed: Deployed, rest: GoogleRest) -> None:
        self.deployed, self.rest = deployed, rest
        place = f"projects/{deployed.project}/locations/{REGION}"
        database = f"/firestore/v1/projects/{deployed.project}/databases/(default)"
        group = f"{database}/collectionGroups/resonate"
        self.paths = {
            "function": f"/cloudfunctions/v2/{place}/functions/{NAME}",
            "database": database,
            "indexes": f"{group}/indexes",
            "exemptions": f"{group}/fields?indexConfig.usesAncestorConfig:false",
            "expiry": f"{group}/fields?ttlConfig:*",
            "queue": f"/cloudtasks/v2/{deployed.queue}",
            "tick": f"/cloudscheduler/v1/{place}/jobs/{NAME}-tick",
            "token": "/iamcredentials/v1/projects/-/serviceAccounts/"
            f"{NAME}-caller@{deployed.project}.iam.gserviceaccount.com:generateIdToken",
        }
        rest.found = {
            self.paths["function"]: (200, self._function()),
            self.paths["database"]: (
                200,
                {"name": database[14:], "type": "FIRESTORE_NATIVE", "locationId": REGION},
            ),
            self.paths["indexes"]: (200, {"indexes": [_index(one.fields) for one in COMPOSITE_INDEXES]}),
            self.paths["exemptions"]: (
                200,
                {"fields": [_field(group[14:], name) for name in ("*", *SINGLE_FIELD_EXEMPTIONS)]},
            ),
            self.paths["expiry"]: (
                200,
                {"fields": [_field(group[14:], TTL_FIELD) | {"ttlConfig": {"state": "ACTIVE"}}]},
            ),
            self.paths["queue"]: lambda _: (200, self._queue()),
            self.paths["tick"]: (200, self._tick()),
            self.paths["token"]: lambda body: (200, {"token": issuer().token(body["audience"], CALLER)}),
        }

    def _function(self) -> dict[str, Any]:
        variables = {
            name: value for name, value in self.deployed.variables.items() if name != "RESONATE_FAAS_LINK_KEY"
        }
        return {
            "name": self.paths["function"][19:],
            "state": "ACTIVE",
            "environment": "GEN_2",
            "url": self.deployed.url,
            "serviceConfig": {
                "uri": "https://countdown-abc-ew.a.run.app",
                "revision": "countdown-00001-abc",
                "timeoutSeconds": TIMEOUT_S,
                "environmentVariables": variables,
                "secretEnvironmentVariables": [{"key": "RESONATE_FAAS_LINK_KEY", "secret": "link-key"}],
            },
        }

    def _queue(self) -> Any:
        """The queue as the emulator has it, in the form of REST."""
        return MessageToDict(self.deployed.tasks.GetQueue(_Named(self.deployed.queue)))

    def _tick(self) -> dict[str, Any]:
        return {
            "name": self.paths["tick"][20:],
            "state": "ENABLED",
            "schedule": "* * * * *",
            "status": {},
            "lastAttemptTime": datetime.fromtimestamp(NOW_S - 30, UTC).strftime(
                "%Y-%m-%dT%H:%M:%S.123456789Z"
            ),
            "httpTarget": {
                "httpMethod": "POST",
                "uri": f"{self.deployed.url}/tick",
                "oidcToken": {"serviceAccountEmail": TICK_ACCOUNT, "audience": self.deployed.url},
            },
        }

    def edit(self, name: str, change: Callable[[Any], object]) -> None:
        """Change what is told."""
        _, body = self.rest.found[self.paths[name]]  # type: ignore[misc]
        body = copy.deepcopy(body)
        change(body)
        self.rest.found[self.paths[name]] = (200, body)

    def checks(self, **options: Any) -> list[Check]:
        options = {"region": REGION, "project": self.deployed.project, **options}
        return list(diagnose(NAME, environment=self.rest.environment(), now_s=lambda: NOW_S, **options))

    def wrong(self, **options: Any) -> dict[str, Check]:
        """Return the checks that failed; those that did not are as they should be."""
        return {one.name: one for one in self.checks(**options) if one.verdict is Verdict.FAILED}


def _index(fields: Any) -> dict[str, Any]:
    kinds = {"ASCENDING": "order", "CONTAINS": "arrayConfig"}
    told = [{"fieldPath": name, kinds[mode]: mode} for name, mode in fields]
    return {
        "queryScope": "COLLECTION",
        "state": "READY",
        "fields": [*told, {"fieldPath": "__name__", "order": "ASCENDING"}],
    }


def _field(group: str, name: str) -> dict[str, Any]:
    told = {"name": f"{group}/fields/{name}", "indexConfig": {}}
    return told if name != "*" else {**told, "indexConfig": {"indexes": [{"queryScope": "COLLECTION"}]}}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with Deployed(tmp_path_factory.mktemp("doctor"), code=SAMPLES / "countdown") as made:
        yield made


@pytest.fixture(scope="module")
def rest() -> Iterator[GoogleRest]:
    with google_rest.running() as made:
        yield made


@pytest.fixture(scope="module")
def key(rest: GoogleRest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rest.credentials(tmp_path_factory.mktemp("key"))


@pytest.fixture
def world(deployed: Deployed, rest: GoogleRest, key: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    return World(deployed, rest)


def test_all_is_well_where_it_is(world: World) -> None:
    checks = world.checks()
    assert [one.name for one in checks] == EVERYTHING
    assert {one.verdict for one in checks} == {Verdict.OK}, checks
    assert all(not one.cure for one in checks)


def set_(*path: Any, to: Any) -> Callable[[Any], None]:
    """Return what sets a member of a document."""

    def change(body: Any) -> None:
        for step in path[:-1]:
            body = body[step]
        body[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("what", "change", "check", "told"),
    [
        ("function", set_("state", to="FAILED"), "function", "FAILED"),
        ("function", set_("serviceConfig", "timeoutSeconds", to=300), "settings", "the time-out is 300 s"),
        (
            "function",
            set_("url", to="https://elsewhere.example"),
            "settings",
            "is at https://elsewhere.example",
        ),
        (
            "function",
            set_("serviceConfig", "environmentVariables", "RESONATE_FAAS_LEASE_SECONDS", to="9"),
            "settings",
            "RESONATE_FAAS_LEASE_SECONDS",
        ),
        (
            "function",
            set_("serviceConfig", "environmentVariables", "RESONATE_FAAS_QUEUES", to="{"),
            "settings",
            "RESONATE_FAAS_QUEUES must be a JSON object",
        ),
        (
            "function",
            set_("serviceConfig", "environmentVariables", "RESONATE_FAAS_SWEEP_SECONDS", to="often"),
            "settings",
            "RESONATE_FAAS_SWEEP_SECONDS must be a whole number",
        ),
        ("database", set_("type", to="DATASTORE_MODE"), "database", "DATASTORE_MODE"),
        ("indexes", lambda body: body["indexes"].pop(0), "indexes", "missing: shard, due"),
        ("indexes", set_("indexes", 1, "state", to="CREATING"), "indexes", "shard, states, key is CREATING"),
        ("exemptions", lambda body: body["fields"].pop(), "exemptions", SINGLE_FIELD_EXEMPTIONS[-1]),
        (
            "expiry",
            set_("fields", to=[{"name": "a/fields/due", "ttlConfig": {"state": "ACTIVE"}}]),
            "expiry",
            "TTL policy on due",
        ),
        ("expiry", set_("fields", 0, "ttlConfig", "state", to="NEEDS_REPAIR"), "expiry", "NEEDS_REPAIR"),
        ("expiry", lambda body: body.clear(), "expiry", "missing"),
        ("tick", set_("state", to="PAUSED"), "tick", "it is PAUSED"),
        (
            "tick",
            set_("httpTarget", "uri", to="https://other.example/tick"),
            "tick",
            "https://other.example/tick",
        ),
        ("tick", set_("httpTarget", "oidcToken", "audience", to="x"), "tick", "'x'"),
        ("tick", set_("status", "code", to=7), "tick", "failed with code 7"),
        ("tick", set_("lastAttemptTime", to="2026-01-01T00:00:00Z"), "tick", "s ago"),
        ("tick", lambda body: body.pop("lastAttemptTime"), "tick", "has not come yet"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_else(
    world: World, what: str, change: Callable[[Any], object], check: str, told: str
) -> None:
    world.edit(what, change)
    wrong = world.wrong()
    assert list(wrong) == [check]
    assert told in wrong[check].saw
    assert wrong[check].cure


@pytest.mark.parametrize("what", ["function", "database", "queue", "tick"])
def test_what_is_not_there_is_told(world: World, what: str) -> None:
    """Of a function that is not there, the rest is looked for by its name."""
    del world.rest.found[world.paths[what]]
    assert what in world.wrong(url=world.deployed.url)


@pytest.mark.parametrize(
    ("what", "service"), [("queue", "cloudtasks"), ("tick", "cloudscheduler"), ("database", "firestore")]
)
def test_an_interface_that_is_not_enabled_is_told_with_the_command_that_does(
    world: World, what: str, service: str
) -> None:
    world.rest.found[world.paths[what]] = disabled(service)
    wrong = world.wrong()
    assert list(wrong) == [what]
    assert wrong[what].cure.endswith(f"gcloud services enable {service}.googleapis.com")


@pytest.mark.parametrize("what", ["database", "indexes", "exemptions", "expiry", "queue", "tick"])
def test_what_there_is_no_right_to_see_is_skipped(world: World, what: str) -> None:
    why = "The caller does not have permission"
    world.rest.found[world.paths[what]] = refusal(403, "PERMISSION_DENIED", why)
    checks = {one.name: one for one in world.checks()}
    assert (checks[what].verdict, checks[what].saw) == (Verdict.SKIPPED, why)
    assert Verdict.FAILED not in {one.verdict for one in checks.values()}


def test_a_paused_queue_is_told(world: World) -> None:
    world.deployed.tasks.PauseQueue(_Named(world.deployed.queue))
    try:
        (wrong,) = world.wrong().values()
    finally:
        world.deployed.tasks.ResumeQueue(_Named(world.deployed.queue))
    assert wrong.saw.startswith("PAUSED")
    assert "gcloud tasks queues resume" in wrong.cure


class TestTrigger:
    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no url", "http://[", "ftp://here.example"])
    def test_a_function_that_does_not_answer_is_told(self, world: World, url: str) -> None:
        assert list(world.wrong(url=url)) == ["reachable"]

    def test_a_token_that_can_not_be_sent_is_told(self, world: World) -> None:
        assert list(world.wrong(token="tokén")) == ["reachable"]

    def test_a_platform_that_checks_callers_itself_is_told(self, world: World) -> None:
        wrong = world.wrong(url=f"{world.rest.url}/private")
        assert list(wrong) == ["reachable"]
        assert "allUsers" in wrong["reachable"].cure

    def test_another_server_is_told(self, world: World) -> None:
        assert "reachable" in world.wrong(url=f"{world.rest.url}/elsewhere")

    def test_a_token_of_a_stranger_is_told(self, world: World) -> None:
        wrong = world.wrong(token=issuer().token(world.deployed.url, "stranger@test.example"))
        assert list(wrong) == ["callers"]
        assert "RESONATE_FAAS_CALLERS" in wrong["callers"].cure

    def test_a_token_that_is_given_is_used(self, world: World) -> None:
        del world.rest.found[world.paths["token"]]
        assert world.wrong(token=issuer().token(world.deployed.url, CALLER)) == {}

    def test_who_may_not_make_a_token_is_told_how(self, world: World) -> None:
        why = "Permission 'iam.serviceAccounts.getOpenIdToken' denied"
        world.rest.found[world.paths["token"]] = refusal(403, "PERMISSION_DENIED", why)
        checks = {one.name: one for one in world.checks()}
        assert checks["callers"].verdict is checks["halted tasks"].verdict is Verdict.SKIPPED
        assert why in checks["callers"].saw
        assert "--token" in checks["callers"].saw

    def test_halted_tasks_are_named_with_what_revives_them(self, world: World) -> None:
        world.deployed.invoke("countdown", "stuck", 1, 3_600.0)
        for kind, expected in (("task.halt", ["halted tasks"]), ("task.continue", [])):
            envelope: dict[str, Any] = {
                "kind": kind,
                "head": {"corrId": "1", "version": "2026-04-01"},
                "data": {"id": "stuck"},
            }
            assert world.deployed.request("POST", "/", **envelope).status_code == 200
            wrong = world.wrong()
            assert list(wrong) == expected
            if wrong:
                assert wrong["halted tasks"].saw == "1: stuck"
                assert "resonate-faas tasks continue" in wrong["halted tasks"].cure


def test_without_credentials_the_trigger_is_looked_at_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "no-such-file")
    checks = world.checks(url=world.deployed.url)
    verdicts = {one.name: one.verdict for one in checks}
    assert verdicts["reachable"] is verdicts["strangers"] is Verdict.OK
    assert set(verdicts.values()) == {Verdict.OK, Verdict.SKIPPED}
    assert all("gcloud auth application-default login" in one.saw for one in checks if one.name == "queue")


def test_the_project_is_that_of_the_credentials_or_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.checks(project=None, url=world.deployed.url)
    assert any("/projects/credentials-project/" in path for path in world.rest.asked)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "no-such-file")
    (wrong,) = world.checks(project=None)
    assert wrong.cure == "Say which: --project PROJECT"


def test_the_invoke_line_of_terraform_runs_as_it_is(world: World, tmp_path: Path) -> None:
    """But for the address, and for gcloud, which has no account here: it prints what it was asked for, and a token."""
    told = evaluated(tmp_path, "invoke_command", "url")
    gcloud = tmp_path / "gcloud"
    gcloud.write_text(f'#!/bin/sh\necho "$@" >&2\necho {issuer().token(world.deployed.url, CALLER)}\n')
    gcloud.chmod(0o755)
    line = told["invoke_command"].replace(told["url"], world.deployed.url)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", line.replace("FUNCTION", "countdown 1 0.1")],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip().endswith("lift-off"), ran.stderr
    asked = "auth print-identity-token --include-email --impersonate-service-account="
    account = f"{NAME}-caller@my-project.iam.gserviceaccount.com"
    assert f"{asked}{account} --audiences={world.deployed.url}" in ran.stderr


def test_the_command_shows_it_and_its_exit_code_says_it(world: World, key: Path) -> None:
    world.edit("tick", set_("lastAttemptTime", to=datetime.now(UTC).isoformat()))
    environment = {**os.environ, **world.rest.environment(), "GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    command = [sys.executable, "-P", "-m", "resonate_faas_cli", "doctor", NAME, "--gcp", "--json"]
    command += ["--region", REGION, "--project", world.deployed.project]
    for spoilt, code in ((False, 0), (True, 1)):
        if spoilt:
            world.edit("tick", set_("state", to="PAUSED"))
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        told = json.loads(ran.stdout)
        assert (ran.returncode, told["ok"]) == (code, not spoilt), told
        assert [one["name"] for one in told["checks"]] == EVERYTHING
