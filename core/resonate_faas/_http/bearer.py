"""Bearer tokens: a shared secret, a JSON web token, or whatever else a platform can verify; and the rights they give."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from resonate_faas._http.access import Right
from resonate_faas._http.messages import HttpRequest
from resonate_faas._http_errors import AccessDeniedError

if TYPE_CHECKING:
    from jwt import PyJWKClient

log = logging.getLogger("resonate_faas.http")

TOKEN_BYTES_MAX: Final = 16_384
"""As long as a header that every front end carries."""

LEEWAY_S: Final = 10
"""How far the issuer's clock may lie from ours."""

JWKS_TIMEOUT_S: Final = 5
_SHARED_KEY_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
_PUBLIC_KEY_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Never both lists for one key: else whoever knows a public key could sign with it as if it were a shared one."""

_PEM: Final = "-----BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a bearer token may do.

    Attributes:
        accepts: True if the token is the one, or one of those, that this credential stands for.
        rights: what it gives.
    """

    accepts: Callable[[str], bool] = field(repr=False)
    rights: frozenset[Right]


class BearerAccess:
    """Decides by the Authorization header alone. Closed by default: what nobody was given, nobody may do.

    Args:
        credentials: the tokens that are known.
        open_rights: what everybody may do, next to what is public anyway.
        has_links: capability links are in use; the route checks their token.
    """

    def __init__(
        self,
        credentials: Iterable[Credential] = (),
        *,
        open_rights: Iterable[Right] = (),
        has_links: bool = False,
    ) -> None:
        self._credentials = tuple(credentials)
        self._open = {Right.PUBLIC, *open_rights, *([Right.LINK] if has_links else [])}

    def check(self, request: HttpRequest, right: Right) -> None:
        """See :class:`resonate_faas._http.Access`."""
        if right in self._open:
            return
        if not any(right in credential.rights for credential in self._credentials):
            raise AccessDeniedError(403, f"nobody was given the right {right.value!r} here")
        token = request.bearer
        if token is None:
            raise AccessDeniedError(401, f"the right {right.value!r} needs a bearer token")
        known = [credential for credential in self._credentials if credential.accepts(token)]
        if not known:
            raise AccessDeniedError(401, "the bearer token is not known, or has expired")
        if not any(right in credential.rights for credential in known):
            raise AccessDeniedError(403, f"the bearer token does not give the right {right.value!r}")


class SharedSecret:
    """One secret that both sides know, compared in constant time."""

    def __init__(self, secret: str) -> None:
        self._digest = hashlib.sha256(secret.encode()).digest()

    def accepts(self, token: str) -> bool:
        """True if the token is the secret. Digests are compared, so that not even the length shows."""
        return hmac.compare_digest(hashlib.sha256(token.encode(errors="replace")).digest(), self._digest)


class JsonWebToken:
    """Tokens signed by an issuer, verified by PyJWT (extra ``jwt``), which is imported at the first one.

    An expiry is required; issuer and audience are, where they are given. A token that official servers would let near some
    ids only is refused: here it would give everything.

    Args:
        key: a public key in PEM (RSA, ECDSA, EdDSA), else the secret of an HMAC; None: ``jwks_url`` has the keys.
        jwks_url: where the issuer publishes its keys; they are fetched at the first token, and kept.
        issuer: of the tokens.
        audience: of the tokens.
    """

    def __init__(
        self, *, key: str | None, jwks_url: str | None, issuer: str | None, audience: str | None
    ) -> None:
        is_shared = key is not None and not is_public_key(key)
        self._key = key if key is None or is_shared else key.replace("\\n", "\n")
        self._jwks_url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._algorithms = _SHARED_KEY_ALGORITHMS if is_shared else _PUBLIC_KEY_ALGORITHMS
        self._lock = threading.Lock()
        self._published: PyJWKClient | None = None

    def accepts(self, token: str) -> bool:
        """True if the token is signed by the key, and neither expired nor for somebody else."""
        import jwt  # noqa: PLC0415 - with cryptography 100 ms, and only where a token really comes

        if len(token) > TOKEN_BYTES_MAX:
            return False
        try:
            claims = jwt.decode(
                token,
                self._verifying_key(token),
                algorithms=list(self._algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            log.warning("keys not fetched", extra={"reason": str(error)[:200]})
            return False
        except (jwt.PyJWTError, TypeError, ValueError) as error:  # a key that does not fit the algorithm
            log.info("token refused", extra={"reason": type(error).__name__})
            return False
        if _is_restricted(claims):
            log.info("token refused", extra={"reason": "it is for some ids only"})
            return False
        return True

    def _verifying_key(self, token: str) -> Any:
        if self._jwks_url is None:
            return self._key
        from jwt import PyJWKClient  # noqa: PLC0415 - as above

        with self._lock:
            if self._published is None:
                self._published = PyJWKClient(self._jwks_url, timeout=JWKS_TIMEOUT_S)
        return self._published.get_signing_key_from_jwt(token)


def _is_restricted(claims: Mapping[str, Any]) -> bool:
    """True if a token is for ids with a prefix (protocol section 8.8): an administrator's is for all, as is an empty one."""
    return bool(claims.get("prefix")) and str(claims.get("role", "")).lower() != "admin"


def is_public_key(key: str) -> bool:
    """True if the key is PEM: it verifies, and can't sign."""
    return key.lstrip().startswith(_PEM)
