"""Tokens: which are believed, and how long certificates are kept. Real signatures, real certificates over HTTP."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.auth.transport.requests import Request
from tests.emulators import oidc_issuer
from tests.emulators.oidc_issuer import OidcIssuer, key

from resonate_faas_gcp._oidc import AGAIN_S, KEPT_S_MAX, GoogleTokens, KeptCertificates

URL = "https://europe-west1-test.cloudfunctions.net/function"
ACCOUNT = "queue@test.iam.gserviceaccount.com"


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with oidc_issuer.running() as made:
        yield made


@pytest.fixture
def tokens(issuer: OidcIssuer) -> GoogleTokens:
    return GoogleTokens(URL, certs_url=issuer.certs_url)


def test_a_token_of_the_account_for_us_is_believed(tokens: GoogleTokens, issuer: OidcIssuer) -> None:
    token = issuer.token(URL, ACCOUNT)
    assert tokens.account(token) == ACCOUNT
    assert tokens.of([ACCOUNT])(token)
    assert not tokens.of(["another@test.iam.gserviceaccount.com"])(token)
    assert not tokens.of([])(token)


def test_both_of_googles_names_for_itself_are_believed(tokens: GoogleTokens, issuer: OidcIssuer) -> None:
    assert tokens.account(issuer.token(URL, ACCOUNT, iss="accounts.google.com")) == ACCOUNT


REFUSED: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://another.run.app"},
    "our URL as a part of it": {"aud": f"{URL}/more"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://accounts.example.com"},
    "no issuer": {"iss": None},
    "expired": {"iat": int(time.time()) - 7_200, "exp": int(time.time()) - 3_600},
    "of the future": {"iat": int(time.time()) + 3_600, "exp": int(time.time()) + 7_200},
    "without an end": {"exp": None},
    "an end that is no number": {"exp": "tomorrow"},
    "an address that nobody verified": {"email_verified": False},
    "an address of which nobody says so": {"email_verified": None},
    "verified in words": {"email_verified": "true"},
    "no address": {"email": None},
    "an address that is none": {"email": ["queue@test.iam.gserviceaccount.com"]},
}


@pytest.mark.parametrize("claims", REFUSED.values(), ids=REFUSED)
def test_a_token_with_a_wrong_claim_is_nobodys(
    tokens: GoogleTokens, issuer: OidcIssuer, claims: dict[str, Any]
) -> None:
    assert tokens.account(issuer.token(URL, ACCOUNT, **claims)) is None


def test_a_forged_token_is_nobodys(tokens: GoogleTokens, issuer: OidcIssuer) -> None:
    """Signed by a key that is not published, under its own name, under that of one that is, or under none."""
    forger = key("forger")
    token = issuer.token(URL, ACCOUNT, signed_by=forger)
    assert tokens.account(token) is None
    for header in ({"alg": "RS256", "kid": "first", "typ": "JWT"}, {"alg": "RS256", "typ": "JWT"}):
        assert tokens.account(_signed(header, token, forger.signer.sign)) is None


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _signed(header: dict[str, str], token: str, sign: Callable[[bytes], bytes]) -> str:
    """Return the token's claims under another header and signature."""
    signing = f"{_encoded(json.dumps(header).encode())}.{token.split('.')[1]}"
    return f"{signing}.{_encoded(sign(signing.encode()))}"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", "PS256", ""])
def test_only_the_algorithm_of_the_key_is_believed(
    tokens: GoogleTokens, issuer: OidcIssuer, algorithm: str
) -> None:
    """Else whoever knows the public key could sign with it as if it were a secret."""
    token = issuer.token(URL, ACCOUNT)
    header = {"alg": algorithm, "kid": "first", "typ": "JWT"}
    assert tokens.account(_signed(header, token, lambda _: b"")) is None
    assert tokens.account(_signed(header, token, key("first").signer.sign)) is None


def test_a_changed_token_is_nobodys(tokens: GoogleTokens, issuer: OidcIssuer) -> None:
    header, claims, signature = issuer.token(URL, ACCOUNT).split(".")
    other = issuer.token(URL, "another@test.iam.gserviceaccount.com").split(".")[1]
    assert tokens.account(f"{header}.{claims}.{signature}") == ACCOUNT
    assert tokens.account(f"{header}.{other}.{signature}") is None


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "nonsense", "a" * 20_000, "\udc80.b.c", "e30.e30.", "W10.W10.x"]
)
def test_what_is_no_token_is_nobodys(tokens: GoogleTokens, token: str) -> None:
    assert tokens.account(token) is None


def test_a_token_whose_signature_the_platform_removed_is_refused_with_the_cure(
    tokens: GoogleTokens, issuer: OidcIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever calls an open function can write that text too."""
    header, claims, _ = issuer.token(URL, ACCOUNT).split(".")
    with caplog.at_level(logging.WARNING):
        assert tokens.account(f"{header}.{claims}.SIGNATURE_REMOVED_BY_GOOGLE") is None
    (record,) = caplog.records
    assert "run.invoker" in vars(record)["cure"]


def test_a_token_that_was_believed_is_not_believed_beyond_its_end(
    tokens: GoogleTokens, issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = issuer.token(URL, ACCOUNT)
    assert tokens.account(token) == ACCOUNT
    fetches = issuer.fetches
    assert tokens.account(token) == ACCOUNT
    later = time.time() + 4_000
    monkeypatch.setattr("resonate_faas_gcp._oidc.time.time", lambda: later)
    monkeypatch.setattr(tokens, "_verify", lambda _: None)
    assert tokens.account(token) is None
    assert issuer.fetches == fetches


def test_certificates_are_fetched_once(tokens: GoogleTokens, issuer: OidcIssuer) -> None:
    for number in range(5):
        assert tokens.account(issuer.token(URL, f"{number}@test")) == f"{number}@test"
    assert issuer.fetches == 1


class Kept:
    """Certificates over a clock of the test's."""

    def __init__(self, issuer: OidcIssuer) -> None:
        self.now = 0.0
        self.issuer = issuer
        self.certificates = KeptCertificates(Request(), monotonic=lambda: self.now)

    def keys(self) -> set[str]:
        return set(json.loads(self.certificates(self.issuer.certs_url).data))


@pytest.fixture
def kept(issuer: OidcIssuer) -> Kept:
    return Kept(issuer)


def test_certificates_are_kept_as_long_as_the_issuer_says(kept: Kept, issuer: OidcIssuer) -> None:
    assert kept.keys() == {"first"}
    kept.now = oidc_issuer.MAX_AGE_S
    kept.keys()
    assert issuer.fetches == 1
    kept.now += 1
    kept.keys()
    assert issuer.fetches == 2


def test_a_new_key_is_asked_for_soon_but_not_for_every_stranger(kept: Kept, issuer: OidcIssuer) -> None:
    kept.keys()
    issuer.keys.append(key("second"))
    for _ in range(3):
        kept.certificates.expect("second")
        kept.keys()
    assert issuer.fetches == 1
    kept.now = AGAIN_S
    kept.certificates.expect("second")
    assert kept.keys() == {"first", "second"}
    kept.now += AGAIN_S
    kept.certificates.expect("second")
    kept.keys()
    assert issuer.fetches == 2


def test_certificates_stay_in_use_for_a_day_while_there_are_no_new_ones(
    kept: Kept, issuer: OidcIssuer
) -> None:
    kept.keys()
    issuer.is_down = True
    kept.now = KEPT_S_MAX
    assert kept.keys() == {"first"}
    assert kept.keys() == {"first"}
    assert issuer.fetches == 2, "a failure is not repeated for each request"
    kept.now += AGAIN_S
    with pytest.raises(Exception, match="500"):
        kept.keys()
    issuer.is_down = False
    assert kept.keys() == {"first"}


def test_without_certificates_nobody_is_believed(tokens: GoogleTokens, issuer: OidcIssuer) -> None:
    issuer.is_down = True
    assert tokens.account(issuer.token(URL, ACCOUNT)) is None
    issuer.is_down = False
    assert tokens.account(issuer.token(URL, ACCOUNT, jti="another")) == ACCOUNT


def test_a_token_is_verified_once_for_all_who_ask(
    tokens: GoogleTokens, issuer: OidcIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """The credentials of the queue, the scheduler and the callers, for each of the rights that a route offers."""
    token = issuer.token(URL, ACCOUNT, aud="https://example.com")
    with caplog.at_level(logging.INFO):
        assert not any(tokens.of([account])(token) for account in (ACCOUNT, "a@b", "c@d"))
    assert len(caplog.records) == 1
