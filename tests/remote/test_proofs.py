"""How the functions of both clouds prove to an official server who they are: one proof at a time, to that server only."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.emulators.function_url import event_of
from tests.emulators.oidc_issuer import OidcIssuer, running
from tests.remote import cloud_function_program
from tests.remote.noting import Asked, NotingServer, noting

from resonate_faas import Resonate
from resonate_faas._errors import ConfigurationError
from resonate_faas._pushed import encode_execute
from resonate_faas_aws import lambda_handler
from resonate_faas_gcp import http_handler

if TYPE_CHECKING:
    from resonate_faas_gcp._working_for import Auth

ACCOUNT = "function@project.iam.gserviceaccount.com"
SUSPENDED = [200, {"status": "suspended"}]
IN_ENVIRONMENT = "the-token-in-the-environment"


class LambdaTime:
    """The runtime's context."""

    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:f"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def server() -> Iterator[NotingServer]:
    with noting() as found:
        yield found


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESONATE_URL", "RESONATE_FUNCTION_URL", "RESONATE_FAAS_SIGN_FOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RESONATE_TOKEN", IN_ENVIRONMENT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of nobody's")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the session")


def pushed_to_lambda(url: str, *, token: str | None = None, in_base64: bool = False) -> list[Any]:
    handler = lambda_handler(Resonate(), url=url, token=token)
    body = json.dumps(encode_execute("x", 0, url if url.startswith("http") else None)).encode()
    headers = {"host": "fn.invalid", "x-forwarded-proto": "https", "content-type": "application/json"}
    event = event_of("POST", "/run", headers=headers, body=body, is_signed=False)
    if in_base64:
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    answer = handler(event, LambdaTime())
    return [answer["statusCode"], json.loads(answer["body"])]


def bearer(asked: Asked) -> tuple[str | None, str | None]:
    return asked.headers.get("authorization"), asked.head.get("auth")


class TestLambda:
    @pytest.mark.parametrize("in_base64", [False, True])
    def test_the_token_goes_in_header_and_head(self, server: NotingServer, *, in_base64: bool) -> None:
        assert pushed_to_lambda(server.url, in_base64=in_base64) == SUSPENDED
        assert bearer(server.asked[0]) == (f"Bearer {IN_ENVIRONMENT}", IN_ENVIRONMENT)

    def test_a_given_token_wins_and_an_empty_one_is_none(self, server: NotingServer) -> None:
        pushed_to_lambda(server.url, token="given")
        pushed_to_lambda(server.url, token="")
        assert bearer(server.asked[0]) == ("Bearer given", "given")
        assert bearer(server.asked[-1]) == (None, None)

    @pytest.mark.parametrize(("separator", "asked"), [("", "root:1r"), (":", "root:1r"), (".", "root.1r")])
    def test_ids_are_spelt_as_the_server_wants_them(
        self, server: NotingServer, monkeypatch: pytest.MonkeyPatch, separator: str, asked: str
    ) -> None:
        monkeypatch.setenv("RESONATE_ID_SEPARATOR", separator)
        handler = lambda_handler(Resonate(), url=server.url)
        body = json.dumps(encode_execute(asked, 0)).encode()
        headers = {"host": "fn.invalid", "content-type": "application/json"}
        handler(event_of("POST", "/run", headers=headers, body=body, is_signed=False), LambdaTime())
        assert json.loads(server.asked[0].body)["data"]["id"] == asked

    @pytest.mark.parametrize("make", [lambda_handler, http_handler])
    def test_a_separator_of_another_kind_is_refused_at_the_start(
        self, monkeypatch: pytest.MonkeyPatch, make: Callable[..., object]
    ) -> None:
        monkeypatch.setenv("RESONATE_ID_SEPARATOR", "-")
        with pytest.raises(ConfigurationError, match="RESONATE_ID_SEPARATOR"):
            make(Resonate(), url="http://resonate.invalid")

    def test_a_server_behind_iam_gets_a_signature_that_holds(
        self, server: NotingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RESONATE_FAAS_SIGN_FOR", "lambda/eu-central-1")
        assert pushed_to_lambda(server.url) == SUSPENDED
        asked = server.asked[0]
        assert asked.headers["authorization"] == signed_again(server.url, asked)
        assert asked.headers["x-amz-security-token"] == "of the session"
        assert asked.head["auth"] == IN_ENVIRONMENT  # IAM takes the header, so the server is told in the head

    def test_whom_only_the_message_names_is_shown_nothing(
        self, server: NotingServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RESONATE_FAAS_SIGN_FOR", "lambda/eu-central-1")
        handler = lambda_handler(Resonate(), url="message")
        body = json.dumps(encode_execute("x", 0, server.url)).encode()
        headers = {"host": "fn.invalid", "content-type": "application/json"}
        event = event_of("POST", "/run", headers=headers, body=body, is_signed=False)
        assert handler(event, LambdaTime())["statusCode"] == 200
        assert bearer(server.asked[0]) == (None, None)

    def test_a_token_for_whom_the_message_names_is_refused_at_the_start(self) -> None:
        with pytest.raises(ConfigurationError, match="configured server"):
            lambda_handler(Resonate(), url="message", token="given")

    @pytest.mark.parametrize(
        "event", [{"body": None}, {"body": ""}, {"body": "e30=", "isBase64Encoded": True}]
    )
    def test_bodies_that_are_none(self, server: NotingServer, event: dict[str, Any]) -> None:
        handler = lambda_handler(Resonate(), url=server.url)
        full = {**event_of("POST", "/run", headers={"host": "fn.invalid"}, is_signed=False), **event}
        answer = handler(full, LambdaTime())
        assert answer["statusCode"] == 400
        assert json.loads(answer["body"])["error"].startswith("Request body m")


def signed_again(url: str, asked: Asked) -> str:
    """Return the Authorization header that the receiver of a request computes from it: Signature Version 4."""
    credentials = Credentials("AKIDEXAMPLE", "a secret of nobody's", "of the session")
    signed = asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(
        "POST", f"{url}/", data=asked.body, headers={name: asked.headers[name] for name in signed}
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    auth = SigV4Auth(credentials, "lambda", "eu-central-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    scope = f"Credential={auth.scope(request)}"
    return f"AWS4-HMAC-SHA256 {scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"


@contextmanager
def metadata_server(issuer: OidcIssuer, *, has_account: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Run what gives a function's ID tokens; yield its address and the audiences that it was asked for."""
    audiences: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            body, kind = b"", "application/text"
            if asked.path.endswith("/service-accounts/default/"):
                body, kind = json.dumps({"email": ACCOUNT, "scopes": []}).encode(), "application/json"
            if asked.path.endswith("/identity"):
                assert self.headers["Metadata-Flavor"] == "Google"
                audiences.append(parse_qs(asked.query)["audience"][0])
                body = issuer.token(audiences[-1], ACCOUNT).encode()
            self.send_response(200 if has_account or not body else 404)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{http.server_address[1]}", audiences
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def pushed_with_id_token(url: str, times: int, *audience: str, metadata: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-P", cloud_function_program.__file__, url, str(times), *audience],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONWARNINGS": "ignore",
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
        },
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    answers: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


class TestCloudFunction:
    @pytest.mark.parametrize(
        ("auth", "proof"),
        [
            ("none", (None, None)),
            ("auto", (None, None)),  # over http
            ("bearer", (f"Bearer {IN_ENVIRONMENT}", IN_ENVIRONMENT)),
        ],
    )
    def test_without_google(
        self, server: NotingServer, auth: Auth, proof: tuple[str | None, str | None]
    ) -> None:
        assert cloud_function_program.pushed(server.url, auth) == [SUSPENDED]
        assert bearer(server.asked[0]) == proof

    @pytest.mark.parametrize("audience", [None, "https://resonate.invalid"])
    def test_with_an_id_token_that_is_kept(self, server: NotingServer, audience: str | None) -> None:
        given = [] if audience is None else [audience]
        with running() as issuer, metadata_server(issuer) as (address, audiences):
            answers = pushed_with_id_token(server.url, 3, *given, metadata=address)
        assert answers == [SUSPENDED] * 3
        assert audiences == [audience or server.url]  # one token for all three
        tokens = {bearer(asked) for asked in server.asked}
        ((header, head),) = tokens
        assert head is None  # RESONATE_TOKEN does not compete
        assert header is not None
        claims = json.loads(base64.urlsafe_b64decode(header.split(".")[1] + "=="))
        assert (claims["aud"], claims["email"]) == (audience or server.url, ACCOUNT)

    def test_a_token_that_can_t_be_had_is_a_failure_that_asks_nobody(self, server: NotingServer) -> None:
        with running() as issuer, metadata_server(issuer, has_account=False) as (address, _):
            ((status, body),) = pushed_with_id_token(server.url, 1, metadata=address)
        assert status == 500
        assert body["error"].startswith("Handler failed: ")
        assert server.asked == []

    def test_whom_only_the_message_names_is_shown_nothing(self) -> None:
        for auth in ("bearer", "oidcIdToken"):
            with pytest.raises(ConfigurationError, match="configured server"):
                http_handler(Resonate(), url="message", auth=auth)

    def test_an_id_token_is_not_sent_in_the_clear(self) -> None:
        with pytest.raises(ConfigurationError, match="https://"):
            http_handler(Resonate(), url="http://resonate.invalid", auth="oidcIdToken")

    def test_over_https_auto_is_an_id_token(self) -> None:
        from resonate_faas_gcp._working_for import _proof  # noqa: PLC0415 - what no stand-in can show

        assert _proof("https://resonate.invalid", "auto", None, None)[1] is not None
