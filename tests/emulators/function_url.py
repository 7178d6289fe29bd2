"""The front end of a Lambda function URL: HTTP in, an event of payload 2.0 to the function, its answer out."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.emulators.lambda_runtime import FunctionError, LambdaEmulator

SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/lambda/aws4_request"}
"""What a signed request begins with. AuthType AWS_IAM refuses all others; no signature is verified here."""


class _FrontEnd(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_signed = headers.get("authorization", "").startswith("AWS4-HMAC-SHA256")
        if self.server.needs_iam and not is_signed:
            self._answer({"statusCode": 403, "headers": {}, "body": '{"Message":"Forbidden"}'})
            return
        path, _, query = self.path.partition("?")
        try:
            answer = self.server.function.invoke(
                event_of(self.command, path, query, headers, body, is_signed=self.server.needs_iam)
            )
        except FunctionError:
            answer = {"statusCode": 502, "headers": {}, "body": '{"message":"Internal Server Error"}'}
        self._answer(answer)

    do_GET = do_POST = do_HEAD = do_PUT = _serve  # noqa: N815 - http.server's names

    def _answer(self, answer: dict[str, Any]) -> None:
        body = answer["body"].encode()
        self.send_response(answer["statusCode"])
        for name, value in answer["headers"].items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    function: LambdaEmulator
    needs_iam: bool


class FunctionUrl:
    """A listening URL, usable from the start; a context manager. The function is set later: it is told the URL.

    Args:
        needs_iam: AuthType AWS_IAM; else NONE.
    """

    def __init__(self, *, needs_iam: bool = True) -> None:
        self._server = _Server(("127.0.0.1", 0), _FrontEnd)
        self._server.needs_iam = needs_iam
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, function: LambdaEmulator) -> None:
        self._server.function = function
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def event_of(
    method: str,
    path: str,
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    is_signed: bool,
) -> dict[str, Any]:
    """Return the event of a request; what is not declared as text or JSON travels in base64."""
    given = headers or {}
    is_text = given.get("content-type", "").startswith(("text/", "application/json"))
    context: dict[str, Any] = {
        "accountId": "000000000000" if is_signed else "anonymous",
        "apiId": "abc",
        "domainName": "abc.lambda-url.eu-central-1.on.aws",
        "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        "routeKey": "$default",
        "stage": "$default",
    }
    if is_signed:
        context["authorizer"] = {
            "iam": {"accountId": "000000000000", "userArn": "arn:aws:iam::000000000000:user/test"}
        }
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": given,
        "requestContext": context,
        "isBase64Encoded": bool(body) and not is_text,
    }
    if body:
        event["body"] = body.decode() if is_text else base64.b64encode(body).decode()
    return event
