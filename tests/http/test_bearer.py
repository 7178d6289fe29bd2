"""Bearer tokens: shared secrets, and JSON web tokens signed by real keys, published over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from resonate_faas._http import HttpRequest, Right
from resonate_faas._http.bearer import BearerAccess, Credential, JsonWebToken, SharedSecret
from resonate_faas._http_errors import AccessDeniedError

SHARED = "an HMAC key of thirty-two bytes, or more"
AUDIENCE = "orders"
ISSUER = "https://issuer.example"


@cache
def private(name: str) -> rsa.RSAPrivateKey:
    """Return the key of this name, made at the first call."""
    del name
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def public_pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(encoding, form).decode())


def token(key: Any, algorithm: str = "RS256", *, kid: str | None = None, **changes: Any) -> str:
    """Return a token that is right but for the changes; None leaves a claim out."""
    claims = {"aud": AUDIENCE, "iss": ISSUER, "exp": int(time.time()) + 60, **changes}
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, key, algorithm=algorithm, headers=None if kid is None else {"kid": kid})


def of_key(key: str, *, issuer: str | None = ISSUER, audience: str | None = AUDIENCE) -> JsonWebToken:
    return JsonWebToken(key=key, jwks_url=None, issuer=issuer, audience=audience)


class TestSharedSecret:
    def test_the_secret_alone_is_accepted(self) -> None:
        secret = SharedSecret("correct horse battery")
        assert secret.accepts("correct horse battery")
        for other in ("", "correct horse", "correct horse battery ", "Correct horse battery", "é", "\ud800"):
            assert not secret.accepts(other)


class TestRestrictedTokens:
    """Of tokens for official servers, whose claims role and prefix say near which ids they let their bearer."""

    def test_one_for_some_ids_only_is_refused(self) -> None:
        verifier = of_key(public_pem(private("a")))
        for prefix in ("orders-", 5, ["orders"]):
            assert not verifier.accepts(token(private("a"), prefix=prefix))
            assert not verifier.accepts(token(private("a"), prefix=prefix, role="reader"))

    def test_one_for_all_ids_is_accepted(self) -> None:
        verifier = of_key(public_pem(private("a")))
        assert verifier.accepts(token(private("a"), prefix=""))
        assert verifier.accepts(token(private("a"), prefix="orders-", role="Admin"))


class TestPublicKey:
    def test_a_right_token_is_accepted(self) -> None:
        verifier = of_key(public_pem(private("a")))
        assert verifier.accepts(token(private("a")))
        assert verifier.accepts(token(private("a"), "PS256"))

    def test_a_key_in_one_line_is_understood(self) -> None:
        assert of_key(public_pem(private("a")).replace("\n", "\\n")).accepts(token(private("a")))

    def test_an_elliptic_key_is_understood(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        assert of_key(public_pem(key)).accepts(token(key, "ES256"))

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": 1},
            {"exp": None},
            {"aud": "others"},
            {"aud": None},
            {"iss": "https://other.example"},
            {"iss": None},
            {"nbf": 2**40},
        ],
        ids=str,
    )
    def test_a_wrong_claim_is_refused(self, changes: dict[str, Any]) -> None:
        assert not of_key(public_pem(private("a"))).accepts(token(private("a"), **changes))

    def test_another_key_is_refused(self) -> None:
        assert not of_key(public_pem(private("a"))).accepts(token(private("b")))

    def test_the_public_key_does_not_sign_as_a_shared_one(self) -> None:
        """The classic confusion: an HMAC whose secret is the published key. PyJWT won't make one; made by hand."""
        pem = public_pem(private("a"))
        header, body, _ = token(SHARED, "HS256").split(".")
        algorithm = jwt.get_algorithm_by_name("HS256")
        signature = algorithm.sign(f"{header}.{body}".encode(), pem.encode())
        assert not of_key(pem).accepts(f"{header}.{body}.{jwt.utils.base64url_encode(signature).decode()}")

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
    def test_an_algorithm_that_does_not_fit_the_key_is_refused(self, algorithm: str) -> None:
        made = token(private("a"))
        header = jwt.utils.base64url_encode(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()).decode()
        assert not of_key(public_pem(private("a"))).accepts(".".join([header, *made.split(".")[1:]]))

    @pytest.mark.parametrize("made", ["", "a", "a.b", "a.b.c", "....", "é.é.é", "\ud800", "x" * 20_000])
    def test_what_is_no_token_is_refused(self, made: str) -> None:
        assert not of_key(public_pem(private("a"))).accepts(made)

    def test_a_token_without_a_signature_is_refused(self) -> None:
        assert not of_key(public_pem(private("a"))).accepts(token(None, "none"))
        assert not of_key(SHARED).accepts(token(None, "none"))


class TestSharedKey:
    def test_issuer_and_audience_count_where_they_are_given(self) -> None:
        assert of_key(SHARED).accepts(token(SHARED, "HS256"))
        assert not of_key(SHARED).accepts(token(SHARED, "HS256", aud="others"))
        anybody = of_key(SHARED, issuer=None, audience=None)
        assert anybody.accepts(token(SHARED, "HS256", aud=None, iss=None))
        assert not anybody.accepts(token(SHARED, "HS256", iss=None)), "it is meant for somebody else"

    def test_a_signed_token_of_another_kind_is_refused(self) -> None:
        assert not of_key(SHARED).accepts(token(private("a")))


class Publisher(BaseHTTPRequestHandler):
    """Publishes keys."""

    published: dict[str, rsa.RSAPrivateKey]
    fetches = 0

    def do_GET(self) -> None:
        type(self).fetches += 1
        keys = []
        for kid, key in self.published.items():
            public: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            keys.append({**public, "kid": kid, "use": "sig", "alg": "RS256"})
        body = json.dumps({"keys": keys}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing."""


class TestPublishedKeys:
    @pytest.fixture
    def publisher(self) -> Iterator[tuple[str, type[Publisher]]]:
        class Mine(Publisher):
            published = {"first": private("a")}  # noqa: RUF012 - of this test alone

        server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/keys", Mine
        server.shutdown()
        server.server_close()

    def verifier(self, url: str) -> JsonWebToken:
        return JsonWebToken(key=None, jwks_url=url, issuer=ISSUER, audience=AUDIENCE)

    def test_keys_are_fetched_once(self, publisher: tuple[str, type[Publisher]]) -> None:
        url, site = publisher
        verifier = self.verifier(url)
        assert site.fetches == 0
        for _ in range(3):
            assert verifier.accepts(token(private("a"), kid="first"))
        assert site.fetches == 1

    def test_a_key_that_is_not_published_is_refused(self, publisher: tuple[str, type[Publisher]]) -> None:
        verifier = self.verifier(publisher[0])
        assert not verifier.accepts(token(private("b"), kid="first"))
        assert not verifier.accepts(token(private("b"), kid="second"))
        assert not verifier.accepts(token(private("a")))

    def test_strangers_do_not_make_us_fetch_again_and_again(
        self, publisher: tuple[str, type[Publisher]]
    ) -> None:
        url, site = publisher
        verifier = self.verifier(url)
        for number in range(10):
            assert not verifier.accepts(token(private("b"), kid=f"invented-{number}"))
        assert site.fetches <= 2

    def test_without_keys_nobody_comes_in(self) -> None:
        assert not self.verifier("http://127.0.0.1:9/keys").accepts(token(private("a"), kid="first"))


class TestRights:
    def access(self) -> BearerAccess:
        return BearerAccess(
            [
                Credential(accepts=SharedSecret("for webhooks").accepts, rights=frozenset({Right.INVOKE})),
                Credential(
                    accepts=SharedSecret("for callers").accepts, rights=frozenset({Right.READ, Right.INVOKE})
                ),
            ],
            open_rights=[Right.SETTLE],
        )

    def status(self, right: Right, bearer: str | None) -> int:
        headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
        try:
            self.access().check(HttpRequest(method="GET", path="/", headers=headers), right)
        except AccessDeniedError as denied:
            return denied.status
        return 200

    @pytest.mark.parametrize(
        ("right", "bearer", "status"),
        [
            (Right.PUBLIC, None, 200),
            (Right.SETTLE, None, 200),
            (Right.INVOKE, None, 401),
            (Right.INVOKE, "for webhooks", 200),
            (Right.INVOKE, "for callers", 200),
            (Right.INVOKE, "for strangers", 401),
            (Right.READ, "for callers", 200),
            (Right.READ, "for webhooks", 403),
            (Right.TICK, "for callers", 403),
            (Right.LINK, None, 403),
            (Right.DEBUG, "for callers", 403),
        ],
    )
    def test_each_token_gives_its_rights_and_no_other(
        self, right: Right, bearer: str | None, status: int
    ) -> None:
        assert self.status(right, bearer) == status

    def test_secrets_do_not_show(self) -> None:
        assert "webhooks" not in repr(
            Credential(accepts=SharedSecret("for webhooks").accepts, rights=frozenset())
        )
