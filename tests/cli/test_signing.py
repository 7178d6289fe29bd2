"""Requests to AWS are signed with the credentials that boto3 finds; those to anybody else are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cli.terminal import Cli
from tests.cli.test_failures import Stub, stubbed

from resonate_faas_cli._signing import VARIABLE, signer_for

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
NOT_FOUND = {"title": "no", "detail": "no", "code": "x"}


@pytest.fixture
def _no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 find none, wherever the tests run."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def asked(*, env: dict[str, str], args: tuple[str, ...] = ("get", "x")) -> dict[str, str]:
    """Return the headers of one request."""
    with stubbed() as stub:
        stub.answers(404, NOT_FOUND)
        assert Cli(stub.url, env)(*args).code == 3
        ((_, headers, _),) = stub.asked
        return headers


def test_a_signature_names_service_region_and_what_it_covers() -> None:
    headers = asked(env={**KEYS, VARIABLE: "lambda/eu-central-1"}, args=("invoke", "f"))
    said = headers["authorization"]
    assert said.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/lambda/aws4_request" in said
    assert "SignedHeaders=content-type;host;x-amz-date," in said


def test_a_token_goes_in_place_of_a_signature() -> None:
    headers = asked(env={**KEYS, VARIABLE: "lambda/eu-central-1", "RESONATE_FAAS_TOKEN": "t"})
    assert headers["authorization"] == "Bearer t"


@pytest.mark.usefixtures("_no_credentials")
def test_without_credentials_nothing_is_signed() -> None:
    assert "authorization" not in asked(env={VARIABLE: "lambda/eu-central-1"})


@pytest.mark.usefixtures("_no_credentials")
def test_credentials_that_can_not_be_read_are_told() -> None:
    ran = Cli("http://127.0.0.1:1", {VARIABLE: "lambda/eu-central-1", "AWS_PROFILE": "nobody"})("get", "x")
    assert ran.code == 4
    assert "nobody" in ran.err


def test_a_server_that_is_none_of_aws_sees_no_signature() -> None:
    assert "authorization" not in asked(env=KEYS)


@pytest.mark.parametrize(
    ("host", "is_signed"),
    [
        ("abcdef0123456789abcdef0123456789.lambda-url.eu-central-1.on.aws", True),
        ("a1b2c3d4.execute-api.us-east-1.amazonaws.com", True),
        ("a1b2c3d4.execute-api.cn-north-1.amazonaws.com.cn", True),
        ("abc.lambda-url.eu-central-1.on.aws.example.com", False),
        ("lambda-url.example.com", False),
        ("127.0.0.1", False),
    ],
)
def test_hosts_of_aws_are_told_by_their_name(
    monkeypatch: pytest.MonkeyPatch, host: str, *, is_signed: bool
) -> None:
    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert (signer_for(host) is not None) is is_signed


def test_a_wrong_variable_is_told() -> None:
    ran = Cli("http://127.0.0.1:1", {VARIABLE: "s3/eu-central-1"})("get", "x")
    assert ran.code == 2
    assert VARIABLE in ran.err


@pytest.mark.parametrize("key", ["Message", "message"])
def test_what_iam_refuses_is_told_with_the_cure(key: str) -> None:
    with stubbed() as stub:
        refuse(stub, key)
        ran = Cli(stub.url)("get", "x")
    assert ran.code == 4
    assert ran.err.splitlines()[0] == "Error: AWS refused the request: Forbidden"
    assert "lambda:InvokeFunctionUrl" in ran.err


def refuse(stub: Stub, key: str) -> None:
    stub.answers(403, {key: "Forbidden"})
