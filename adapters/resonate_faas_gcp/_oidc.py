"""OIDC tokens that Google signs: for Cloud Tasks, Cloud Scheduler, and whoever calls as a Google account.

google-auth verifies signature, times and audience; here are the issuer, the account, and certificates that are kept
for as long as Google says.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from resonate_faas._http.bearer import LEEWAY_S, TOKEN_BYTES_MAX

log = logging.getLogger("resonate_faas_gcp")

CERTS_URL: Final = "https://www.googleapis.com/oauth2/v1/certs"
ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")
"""Both are Google's: which one depends on what asked for the token."""

KEPT_S: Final = 3_600.0
"""How long certificates are kept that come without a word about it."""

KEPT_S_MAX: Final = 86_400.0
"""The longest, whatever is said, and while new ones can't be fetched."""

AGAIN_S: Final = 60.0
"""How soon they are asked for again, after a failure, or for a key that is not among them."""

FETCH_S: Final = 5.0
KNOWN_MAX: Final = 256
REFUSED_S: Final = 1.0
"""How long a refusal is remembered: several credentials are asked about one token."""

_MAX_AGE: Final = re.compile(r"max-age=(\d{1,9})")
_REDACTED: Final = "SIGNATURE_REMOVED_BY_GOOGLE"
_CURE: Final = (
    "the platform checked the caller and removed the token's signature, so that it can't be checked here: "
    "grant roles/run.invoker to allUsers, and let this function check its callers by itself"
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer that is kept: what google-auth looks at of one."""

    status: int
    headers: dict[str, str]
    data: bytes


class KeptCertificates:
    """The transport that google-auth fetches certificates through: one request for as long as the answer may be kept.

    Thread-safe. While they can't be fetched, those that are there stay in use, a day at most.

    Args:
        fetch: makes the request; called as a transport of google-auth.
        monotonic: seconds.
    """

    def __init__(self, fetch: Callable[..., Any], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: Fetched | None = None
        self._fetched_at = self._asked_at = -KEPT_S_MAX
        self._kept_s = 0.0

    def __call__(self, url: str, method: str = "GET", **_: Any) -> Fetched:
        """Return the certificates.

        Raises:
            TransportError: there are none, and they can't be fetched.
        """
        with self._lock:
            age_s = self._monotonic() - self._fetched_at
            if self._kept is None or (age_s > self._kept_s and self._may_ask()):
                self._renew(url, method, age_s)
            if self._kept is None:  # _renew has raised
                raise AssertionError("unreachable")
            return self._kept

    def expect(self, key_id: str) -> None:
        """Let the certificates be fetched again if this key is not among them: the issuer may have a new one."""
        with self._lock:
            if self._kept is not None and key_id not in json.loads(self._kept.data):
                self._kept_s = 0.0

    def _may_ask(self) -> bool:
        return self._monotonic() - self._asked_at >= AGAIN_S

    def _renew(self, url: str, method: str, age_s: float) -> None:
        from google.auth.exceptions import TransportError  # noqa: PLC0415 - loaded with the store in any case

        self._asked_at = self._monotonic()
        try:
            answer = self._fetch(url, method=method, timeout=FETCH_S)
            failure = None if answer.status == 200 else TransportError(f"status {answer.status}")
        except TransportError as error:
            failure = error
        if failure is not None:
            log.warning("certificates not fetched", extra={"reason": str(failure)[:200]})
            if age_s > KEPT_S_MAX:
                self._kept = None
            if self._kept is None:
                raise failure
            return
        told = _MAX_AGE.search(str(answer.headers.get("cache-control", "")).lower())
        self._kept_s = min(float(told[1]), KEPT_S_MAX) if told else KEPT_S
        self._fetched_at = self._asked_at
        self._kept = Fetched(200, {}, bytes(answer.data))


def google_transport() -> Callable[..., Any]:
    """Return google-auth's own transport."""
    from google.auth.transport.requests import Request  # noqa: PLC0415 - loaded with the store in any case

    made: Callable[..., Any] = Request()
    return made


class GoogleTokens:
    """Verifies tokens. Thread-safe; google-auth is imported, and certificates are fetched, at the first one.

    Args:
        audience: whom tokens must be for: our own URL.
        issuers: who may have issued them.
        certs_url: where the issuer's certificates are.
        transport: gives what makes the request for them, called once.
    """

    def __init__(
        self,
        audience: str,
        *,
        issuers: Collection[str] = ISSUERS,
        certs_url: str = CERTS_URL,
        transport: Callable[[], Callable[..., Any]] = google_transport,
    ) -> None:
        self._audience = audience
        self._issuers = frozenset(issuers)
        self._certs_url = certs_url
        self._transport = transport
        self._lock = threading.Lock()
        self._certificates: KeptCertificates | None = None
        self._known: OrderedDict[bytes, tuple[str | None, float]] = OrderedDict()

    def of(self, accounts: Collection[str]) -> Callable[[str], bool]:
        """Return what tells whether a token is one of these accounts'."""
        members = frozenset(accounts)
        return lambda token: self.account(token) in members

    def account(self, token: str) -> str | None:
        """Return the verified e-mail address of the account that a token names; None: it is not to be believed."""
        if len(token) > TOKEN_BYTES_MAX:
            return None
        name = hashlib.sha256(token.encode(errors="replace")).digest()
        with self._lock:
            known = self._known.get(name)
        if known is None or time.time() >= known[1]:
            known = self._verify(token) or (None, time.time() + REFUSED_S)
            with self._lock:
                self._known[name] = known
                while len(self._known) > KNOWN_MAX:
                    self._known.popitem(last=False)
        return known[0]

    def _verify(self, token: str) -> tuple[str, float] | None:
        """Return the account, and when the token expires."""
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - loaded with the store in any case

        if token.endswith(f".{_REDACTED}"):
            log.warning("token refused", extra={"reason": "redacted", "cure": _CURE})
            return None
        try:
            claims = self._claims(token)
        except (GoogleAuthError, ValueError, TypeError) as error:  # TypeError: times that are no numbers
            log.info("token refused", extra={"reason": f"{type(error).__name__}: {error}"[:200]})
            return None
        email = claims.get("email")
        if claims.get("iss") not in self._issuers or claims.get("email_verified") is not True:
            log.info(
                "token refused", extra={"reason": "another issuer, or the e-mail address is not verified"}
            )
            return None
        return (email, float(claims["exp"])) if isinstance(email, str) and email else None

    def _claims(self, token: str) -> dict[str, Any]:
        from google.auth import jwt  # noqa: PLC0415 - as above
        from google.oauth2 import id_token  # noqa: PLC0415 - as above

        with self._lock:
            if self._certificates is None:
                self._certificates = KeptCertificates(self._transport())
            certificates = self._certificates
        key_id = jwt.decode_header(token).get("kid")
        if isinstance(key_id, str):
            certificates.expect(key_id)
        claims: dict[str, Any] = id_token.verify_token(
            token,
            certificates,
            audience=self._audience,
            certs_url=self._certs_url,
            clock_skew_in_seconds=LEEWAY_S,
        )
        return claims
