"""An issuer of signed OIDC tokens, as Google's is: a key of its own, certificates at a URL, any claim on request."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

ISSUER: Final = "https://accounts.google.com"
LIFETIME_S: Final = 3_600
MAX_AGE_S: Final = 20_000
"""What Google's certificates say of how long they may be kept."""


class Key:
    """A signing key and its certificate.

    Attributes:
        key_id: names the certificate.
        certificate: PEM.
        signer: signs tokens.
    """

    def __init__(self, key_id: str) -> None:
        private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, key_id)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(private, hashes.SHA256())
        )
        self.key_id = key_id
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        self.signer = crypt.RSASigner.from_string(pem, key_id)


@cache
def key(key_id: str) -> Key:
    """Return the key of this name, made at the first call."""
    return Key(key_id)


class OidcIssuer:
    """A running issuer.

    Attributes:
        certs_url: where the certificates are.
        keys: those that are published.
        fetches: how often they were asked for.
        is_down: answer 500.
    """

    def __init__(self) -> None:
        self.keys = [key("first")]
        self.fetches = 0
        self.is_down = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetches += 1
                published = {one.key_id: one.certificate for one in issuer.keys}
                body = json.dumps(published).encode()
                self.send_response(500 if issuer.is_down else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Cache-Control", f"public, max-age={MAX_AGE_S}, must-revalidate")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.certs_url = f"http://127.0.0.1:{self._server.server_port}/certs"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def token(self, audience: str, email: str, /, *, signed_by: Key | None = None, **claims: Any) -> str:
        """Return a token of an hour.

        Args:
            audience: whom it is for.
            email: of the account.
            signed_by: another key than the issuer's.
            claims: replace those of the token; None leaves one out.
        """
        now = int(time.time())
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "aud": audience,
            "azp": email,
            "sub": "100000000000000000000",
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + LIFETIME_S,
            **claims,
        }
        signer = (signed_by or self.keys[0]).signer
        token: bytes = jwt.encode(signer, {name: at for name, at in payload.items() if at is not None})
        return token.decode()

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def running() -> Iterator[OidcIssuer]:
    """Run an issuer for a while."""
    issuer = OidcIssuer()
    issuer.start()
    try:
        yield issuer
    finally:
        issuer.close()
