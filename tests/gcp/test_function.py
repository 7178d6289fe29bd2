"""Flask's requests as ours, what an instance is told of its time, and one that can't be set up."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping
from io import BytesIO
from types import MappingProxyType

import flask
import pytest
from werkzeug.test import EnvironBuilder

from resonate_faas._clock import SystemClock
from resonate_faas._http import HttpRequest, HttpResponse
from resonate_faas_gcp._ending import NUDGE
from resonate_faas_gcp._function import Answers, http_request, served

TIMEOUT_MS = 540_000


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Give the test process its signal handlers back."""
    kinds = (NUDGE, signal.SIGTERM)
    before = [signal.getsignal(kind) for kind in kinds]
    yield
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)


class Recording:
    """An instance that remembers what it was asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.requests: list[HttpRequest] = []
        self.deadlines: list[int | None] = []
        self.failure = failure

    def answers(self) -> Answers:
        if self.failure is not None:
            raise self.failure
        return self

    def stop(self) -> None:
        raise AssertionError("nobody told it to end")

    def handle(self, request: HttpRequest, *, deadline_mono_ms: int | None = None) -> HttpResponse:
        self.requests.append(request)
        self.deadlines.append(deadline_mono_ms)
        return HttpResponse(status=201, headers={"x-kept": "yes"}, body=b"body")


def asked(
    path: str = "/",
    *,
    method: str = "POST",
    body: bytes = b"{}",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> flask.Request:
    builder = EnvironBuilder(
        path=path, method=method, input_stream=BytesIO(body), environ_overrides=dict(environ)
    )
    return flask.Request({**builder.get_environ(), "wsgi.input_terminated": True})


def test_a_request_may_last_as_long_as_the_function() -> None:
    instance, before = Recording(), SystemClock().monotonic_ms()
    answer = served(instance, TIMEOUT_MS)(asked())
    (deadline,) = instance.deadlines
    assert deadline is not None
    assert before + TIMEOUT_MS <= deadline <= SystemClock().monotonic_ms() + TIMEOUT_MS
    assert (answer.status_code, answer.headers["x-kept"], answer.get_data()) == (201, "yes", b"body")


def test_the_answer_to_head_has_no_body() -> None:
    assert served(Recording(), TIMEOUT_MS)(asked(method="HEAD")).get_data() == b""


def test_an_instance_that_cant_be_set_up_tells_why_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """And is asked again by the next request."""
    instance = Recording(RuntimeError("no credentials in /etc/secret"))
    function = served(instance, TIMEOUT_MS)
    with caplog.at_level(logging.ERROR):
        answer = function(asked())
    assert answer.status_code == 500
    assert answer.get_json()["code"] == "internal"
    assert b"secret" not in answer.get_data()
    assert "no credentials" in caplog.text
    instance.failure = None
    assert function(asked()).status_code == 201


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"RAW_URI": "/promises/a%2Fb?wait=1"}, "/promises/a%2Fb"),
        ({"RAW_URI": "", "REQUEST_URI": "/promises/a%2Fb"}, "/promises/a%2Fb"),
        ({"RAW_URI": "https://function.example/promises/a%2Fb?x"}, "/promises/a%2Fb"),
        ({"RAW_URI": "", "REQUEST_URI": "", "PATH_INFO": "/promises/\xc3\xa4 b"}, "/promises/%C3%A4%20b"),
    ],
)
def test_the_path_is_the_one_that_was_sent(environ: dict[str, str], path: str) -> None:
    assert http_request(asked(environ=environ)).path == path


def test_of_a_long_body_one_byte_too_many_is_read() -> None:
    assert http_request(asked(body=b"a" * 100), body_bytes_max=10).body == b"a" * 11
    assert http_request(asked(body=b"a" * 10), body_bytes_max=10).body == b"a" * 10


def test_headers_are_named_in_lower_case_and_the_query_is_as_it_was_sent() -> None:
    request = http_request(asked("/tick?a=%20b", environ={"HTTP_AUTHORIZATION": "Bearer x"}))
    assert (request.query, request.bearer, request.method) == ("a=%20b", "x", "POST")
