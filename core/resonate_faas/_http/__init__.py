"""The routes, neutral of any framework: what the dev server and the platforms' handlers serve (design section 8)."""

from resonate_faas._http.access import Access, ClosedAccess, Right
from resonate_faas._http.app import App
from resonate_faas._http.delivery import decode_queued, encode_queued
from resonate_faas._http.messages import BODY_BYTES_MAX, HttpRequest, HttpResponse
from resonate_faas._http.problems import problem_response
from resonate_faas._http.room import HttpSettings

__all__ = [
    "BODY_BYTES_MAX",
    "Access",
    "App",
    "ClosedAccess",
    "HttpRequest",
    "HttpResponse",
    "HttpSettings",
    "Right",
    "decode_queued",
    "encode_queued",
    "problem_response",
]
