"""A Cloud Function in a process of its own, pushed to as often as asked; it prints what it answers.

Google's libraries read where the metadata server is when they are imported.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from flask import Request
from werkzeug.test import EnvironBuilder

from resonate_faas import Resonate
from resonate_faas._pushed import encode_execute
from resonate_faas_gcp import http_handler

if TYPE_CHECKING:
    from resonate_faas_gcp._working_for import Auth


def pushed(url: str, auth: Auth, times: int = 1, audience: str | None = None) -> list[Any]:
    """Return what a function that works for this server answers to pushed messages."""
    handler = http_handler(Resonate(), url=url, auth=auth, audience=audience)
    answers = [handler(_request()) for _ in range(times)]
    return [[answer.status_code, answer.get_json()] for answer in answers]


def _request() -> Request:
    message = encode_execute("x", 0, "http://word.invalid")
    return Request(EnvironBuilder("/run", "https://fn.invalid", method="POST", json=message).get_environ())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(pushed(sys.argv[1], "oidcIdToken", int(sys.argv[2]), *sys.argv[3:])))
