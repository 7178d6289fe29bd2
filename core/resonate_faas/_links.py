"""Capability links: whoever holds one may settle one external promise, and nothing else (design section 8)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

TOKEN_BYTES: Final = 18
KEY_BYTES_MIN: Final = 16


class Links:
    """Makes and checks the tokens of one deployment.

    Args:
        base_url: where the promise routes are reached; or what finds out, asked each time a link is made.
        key: secret, at least 16 bytes; the same for every instance, and kept as long as links must work.

    Raises:
        ValueError: the key is too short.
    """

    def __init__(self, base_url: str | Callable[[], str], key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the link key needs at least {KEY_BYTES_MIN} bytes")
        self._base_url = base_url
        self._key = key

    def link(self, promise_id: str, birth: str, action: str) -> str:
        """Return the URL that settles the promise.

        Args:
            promise_id: the promise.
            birth: of its execution: a link does not outlive the execution it was made for.
            action: resolve, reject or cancel.
        """
        token = self.token(promise_id, birth)
        base_url = self._base_url if isinstance(self._base_url, str) else self._base_url()
        return f"{base_url.rstrip('/')}/promises/{quote(promise_id, safe='')}/{action}?token={token}"

    def token(self, promise_id: str, birth: str) -> str:
        """Return the capability token of a promise: an HMAC of id and birth, URL-safe."""
        message = f"{len(promise_id)}:{promise_id}{birth}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[: 2 * TOKEN_BYTES]

    def permits(self, promise_id: str, birth: str, token: str) -> bool:
        """True if the token is the promise's; compared in constant time."""
        return hmac.compare_digest(self.token(promise_id, birth).encode(), token.encode(errors="replace"))
