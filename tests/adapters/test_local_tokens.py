"""The dev server with callers' tokens and with pages of other origins, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.adapters.dev_server import DevServer, dev_server

from resonate_faas._protocol.envelope import PROTOCOL_VERSION

TOKEN = "a token of this test"
PAGE = "https://page.example"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    folder = tmp_path_factory.mktemp("tokens")
    with dev_server(folder, "--token", TOKEN, "--jwt-key", PUBLIC, "--cors", PAGE) as running:
        yield running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    with dev_server(tmp_path_factory.mktemp("plain")) as running:
        yield running


def signed(**claims: Any) -> str:
    return jwt.encode({"exp": int(time.time()) + 600, **claims}, KEY, algorithm="ES256")


def get_envelope(token: str | None) -> dict[str, Any]:
    head = {"corrId": "1", "version": PROTOCOL_VERSION}
    return {
        "kind": "promise.get",
        "head": head if token is None else {**head, "auth": token},
        "data": {"id": "absent"},
    }


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/promises/absent", "/poll/g/1"])
def test_a_caller_without_a_token_is_asked_for_one(server: DevServer, path: str) -> None:
    assert server.http.get(path).status_code == 401
    assert server.http.get(path, headers=bearer("another")).status_code == 401


def test_health_needs_no_token(server: DevServer) -> None:
    assert server.http.get("/health").status_code == 200


@pytest.mark.parametrize("token", [TOKEN, signed()])
def test_a_known_token_opens_every_route(server: DevServer, token: str) -> None:
    assert server.http.get("/promises/absent", headers=bearer(token)).status_code == 404
    with server.http.stream("GET", "/poll/g/1", headers=bearer(token)) as stream:
        assert stream.status_code == 200


def test_an_envelope_may_carry_the_token_in_its_head(server: DevServer) -> None:
    answered = server.http.post("/", json=get_envelope(TOKEN))
    assert answered.json()["head"]["status"] == 404
    refused = server.http.post("/", json=get_envelope(None))
    assert refused.status_code == 401


@pytest.mark.parametrize(
    "token",
    [
        signed(exp=int(time.time()) - 60),
        jwt.encode(
            {"exp": int(time.time()) + 600}, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"
        ),
        jwt.encode({"exp": int(time.time()) + 600}, "x" * 32, algorithm="HS256"),
        jwt.encode({"sub": "no expiry"}, KEY, algorithm="ES256"),
    ],
)
def test_an_expired_forged_or_endless_token_is_refused(server: DevServer, token: str) -> None:
    assert server.http.get("/promises/absent", headers=bearer(token)).status_code == 401


def preflight(server: DevServer, origin: str) -> httpx.Response:
    asks = {"origin": origin, "access-control-request-method": "POST"}
    return server.http.options("/invoke/count", headers=asks)


def test_a_page_that_was_named_may_call(server: DevServer) -> None:
    assert preflight(server, PAGE).headers["access-control-allow-origin"] == PAGE
    answer = server.http.get("/promises/absent", headers={"origin": PAGE, **bearer(TOKEN)})
    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == PAGE


def test_another_page_may_not(server: DevServer) -> None:
    assert "access-control-allow-origin" not in preflight(server, "https://evil.example").headers
    answer = server.http.get("/promises/x", headers={"origin": "https://evil.example", **bearer(TOKEN)})
    assert answer.status_code == 403


def test_no_page_may_call_by_default(plain: DevServer) -> None:
    assert "access-control-allow-origin" not in preflight(plain, PAGE).headers
    assert plain.http.get("/promises/absent", headers={"origin": PAGE}).status_code == 403
    assert plain.http.get("/promises/absent").status_code == 404
