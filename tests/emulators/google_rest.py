"""Google's REST interfaces for looking: what their public references say they answer, over real HTTP.

No emulator of Google's has them (Cloud Functions, Cloud Scheduler, Firestore's administration, IAM credentials). Bodies have the
shape of the references; access tokens are given for a service account's signed assertion, and asked for at every call.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ACCESS_TOKEN: Final = "an access token"
ACCOUNT: Final = "ada@test.iam.gserviceaccount.com"
SERVICES: Final = ("cloudfunctions", "cloudscheduler", "cloudtasks", "firestore", "iamcredentials")

Answer = tuple[int, Any]


def refusal(status: int, code: str, message: str, *details: dict[str, Any]) -> Answer:
    """Return an error as all of Google's interfaces have it."""
    return status, {"error": {"code": status, "message": message, "status": code, "details": list(details)}}


def disabled(service: str) -> Answer:
    """Return what an interface answers that is not enabled in the project."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {"service": f"{service}.googleapis.com"},
    }
    message = f"{service} has not been used in project 1 before or it is disabled."
    return refusal(403, "PERMISSION_DENIED", message, detail)


class GoogleRest:
    """The interfaces, running.

    Attributes:
        url: where all of them are; each has a folder there.
        found: what is answered, by path; a function is called with the body.
        asked: the paths that were asked for.
    """

    def __init__(self) -> None:
        self.found: dict[str, Answer | Callable[[Any], Answer]] = {}
        self.asked: list[str] = []
        rest = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(rest._answer(self.path, None, self.headers.get("authorization")))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                is_json = self.headers.get("content-type", "").startswith("application/json")
                body = json.loads(raw) if is_json else parse_qs(raw.decode())
                self._answer(rest._answer(self.path, body, self.headers.get("authorization")))

            def _answer(self, answer: Answer) -> None:
                status, document = answer
                is_json = not isinstance(document, str)
                body = (json.dumps(document) if is_json else document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if is_json else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def environment(self) -> dict[str, str]:
        """Return the variables that point Google's tools at these interfaces."""
        return {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{one.upper()}": f"{self.url}/{one}/" for one in SERVICES}

    def credentials(self, folder: Path) -> Path:
        """Write the key of a service account, whose tokens are given here."""
        private = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        key = {
            "type": "service_account",
            "project_id": "credentials-project",
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": ACCOUNT,
            "token_uri": f"{self.url}/token",
        }
        path = folder / "key.json"
        path.write_text(json.dumps(key), encoding="utf-8")
        return path

    def _answer(self, target: str, body: Any, authorization: str | None) -> Answer:
        parts = urlsplit(target)
        path = parts.path + (f"?{parse_qs(parts.query)['filter'][0]}" if "filter=" in parts.query else "")
        self.asked.append(path)
        if path == "/token":
            assert body["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
            return 200, {"access_token": ACCESS_TOKEN, "expires_in": 3_600, "token_type": "Bearer"}
        if path.startswith("/private"):
            return 403, "<html><title>403 Forbidden</title>Your client does not have permission</html>"
        if authorization != f"Bearer {ACCESS_TOKEN}":
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        answer = self.found.get(path, refusal(404, "NOT_FOUND", f"{path} was not found."))
        return answer(body) if callable(answer) else answer

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def running() -> Iterator[GoogleRest]:
    """Run the interfaces for a while."""
    rest = GoogleRest()
    rest.start()
    try:
        yield rest
    finally:
        rest.close()
