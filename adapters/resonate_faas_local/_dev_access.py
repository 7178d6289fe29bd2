"""Who may talk to the dev server: this machine's programs, and no web page of anybody else's (design section 8)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from resonate_faas._http import Access, HttpRequest, Right
from resonate_faas._http.bearer import BearerAccess, Credential, JsonWebToken, SharedSecret
from resonate_faas._http_errors import AccessDeniedError, ContentTypeError

ANY_ORIGIN: Final = "*"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


class DevAccess:
    """Trusts the machine and distrusts its browsers.

    - Host must be a loopback name with our port: a page whose name was rebound to 127.0.0.1 brings its own name.
    - A foreign Origin is refused, and POST needs application/json, which no form of a foreign page can send.
    - The debug operations need the token that was printed at start.
    - Where callers must show a token, everything but health, links and the debug operations needs it.

    Args:
        port: ours.
        debug_token: "": the debug operations need none.
        callers: whose tokens are known; None: callers need none.
        origins: of the pages that may call us besides our own; ``*``: any.
    """

    def __init__(
        self, port: int, *, debug_token: str, callers: Access | None = None, origins: Iterable[str] = ()
    ) -> None:
        self._debug_token = debug_token
        self._callers = callers
        self._hosts = {f"{name}:{port}" for name in LOOPBACK} | (set(LOOPBACK) if port == 80 else set())
        self._origins = {f"http://{host}" for host in self._hosts} | {origin.lower() for origin in origins}

    def check(self, request: HttpRequest, right: Right) -> None:
        """See :class:`resonate_faas._http.Access`."""
        host = request.headers.get("host", "")
        if host.lower() not in self._hosts:
            raise AccessDeniedError(
                403, f"the Host header must name this machine and port, not {host[:200]!r}"
            )
        origin = request.headers.get("origin")
        if origin is not None and not {origin.lower(), ANY_ORIGIN} & self._origins:
            raise AccessDeniedError(403, f"requests of the origin {origin[:200]!r} are refused")
        if request.method == "POST" and not request.is_json:
            raise ContentTypeError(request.headers.get("content-type", ""))
        if self._callers is not None and right not in {Right.PUBLIC, Right.LINK, Right.DEBUG}:
            self._callers.check(request, right)
        if right is Right.DEBUG and self._debug_token:
            given = (request.bearer or "").encode(errors="replace")
            if not hmac.compare_digest(given, self._debug_token.encode()):
                raise AccessDeniedError(401, "debug operations need the token that was printed at start")


def callers(token: str | None, jwt_key: str | None) -> Access | None:
    """Return who knows the callers' tokens; None: callers need none.

    Args:
        token: the one that every caller may show.
        jwt_key: a public key in PEM, or the secret, that signs tokens.
    """
    known = []
    if token:
        known.append(SharedSecret(token).accepts)
    if jwt_key:
        known.append(JsonWebToken(key=jwt_key, jwks_url=None, issuer=None, audience=None).accepts)
    rights = frozenset(Right) - {Right.DEBUG}
    return BearerAccess([Credential(accepts=accepts, rights=rights) for accepts in known]) if known else None
