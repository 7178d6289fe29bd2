"""One Lambda function for everything, over a deployment in memory: who may come in, what a batch reports, how it ends."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.emulators.event_source import record
from tests.emulators.function_url import event_of
from tests.http.site import Site

from resonate_faas import ConfigurationError
from resonate_faas._deployment import DeploymentOptions, DeploymentSettings, Source
from resonate_faas._errors import StoreUnavailableError
from resonate_faas._http import App, encode_queued
from resonate_faas._machine.objects import Execute, Message
from resonate_faas._worker import WorkerSettings
from resonate_faas_aws import DirectInvocationError, LambdaFunction, UnknownEventError
from resonate_faas_aws._access import VerifiedAccess

JSON = {"content-type": "application/json"}
SECRET = "a shared secret of the webhook"
ROUTES = {
    "invoke": ("POST", "/invoke/add", {"id": "root", "args": [1]}),
    "read": ("GET", "/promises/unknown", None),
    "settle": ("POST", "/promises/unknown/resolve", {}),
    "protocol": ("POST", "/", {"kind": "promise.get", "head": {}, "data": {"id": "unknown"}}),
    "deliver": ("POST", "/", {"kind": "execute", "head": {}, "data": {"task": {"id": "x", "version": 1}}}),
    "tick": ("POST", "/tick", {}),
}


class Context:
    """The runtime's context, with its time at a stand."""

    invoked_function_arn = "arn:aws:lambda:eu-central-1:000000000000:function:f"

    def __init__(self, remaining_ms: int = 60_000) -> None:
        self.remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


class Taker:
    """Takes messages off the queue; some fail as told, and all are remembered."""

    def __init__(self, site: Site, failing: dict[str, Exception] | None = None) -> None:
        self._site = site
        self._failing = failing or {}
        self.ids: list[str] = []
        self.before: Callable[[], None] = lambda: None

    def deliver(self, message: Message, *, deadline_mono_ms: int | None = None) -> object:
        assert isinstance(message, Execute)
        self.before()
        self.ids.append(message.id)
        if message.id in self._failing:
            raise self._failing[message.id]
        return self._site.node.deliver(message, deadline_mono_ms=deadline_mono_ms)


def function(
    site: Site, takes: Taker | None = None, *, stop: Callable[[], None] = lambda: None, **options: Any
) -> LambdaFunction:
    given: DeploymentOptions = options  # type: ignore[assignment]  # a test's own words
    settings = DeploymentSettings.read(Source({}, given))
    return LambdaFunction(
        answers=App(site.node, VerifiedAccess()),
        outside=App(site.node, settings.access()),
        takes=takes or Taker(site),
        stop=stop,
        clock=site.clock,
        activations=WorkerSettings(),
    )


def send(
    handler: LambdaFunction, right: str, *, token: str | None = None, is_signed: bool = False, query: str = ""
) -> int:
    """Send the request of a right; return the status."""
    method, path, body = ROUTES[right]
    headers = {**JSON, **({} if token is None else {"authorization": f"Bearer {token}"})}
    encoded = b"" if body is None else json.dumps(body).encode()
    event = event_of(method, path, query, headers, encoded, is_signed=is_signed)
    status: int = handler(event, Context())["statusCode"]
    return status


def execute(name: str) -> dict[str, Any]:
    body = json.dumps(encode_queued(Execute(id=name, version=1, target="")))
    return record({"MessageId": f"message-{name}", "Body": body})


def failed(answer: Any) -> list[str]:
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


class TestAccess:
    @pytest.mark.parametrize("right", list(ROUTES))
    def test_everything_is_closed_by_default(self, right: str) -> None:
        site = Site()
        assert send(function(site), right) == 403
        assert send(function(site), right, token="a guess") == 403
        assert site.stored() == [0]

    @pytest.mark.parametrize("right", list(ROUTES))
    def test_whom_iam_let_in_may_do_everything(self, right: str) -> None:
        answers = {"invoke": 202, "read": 404, "settle": 404, "protocol": 400, "deliver": 200, "tick": 200}
        assert send(function(Site()), right, is_signed=True) == answers[right]

    @pytest.mark.parametrize("right", list(ROUTES))
    def test_the_secret_is_for_webhooks(self, right: str) -> None:
        handler = function(Site(), webhook_secret=SECRET)
        is_for_webhooks = right in {"invoke", "read", "settle"}
        assert (send(handler, right, token=SECRET) in {202, 404}) is is_for_webhooks
        assert send(handler, right, token=SECRET[:-1]) == (401 if is_for_webhooks else 403)
        assert send(handler, right, token=f"{SECRET}x") == (401 if is_for_webhooks else 403)
        assert send(handler, right) == (401 if is_for_webhooks else 403)

    def test_a_route_may_be_opened_alone(self) -> None:
        handler = function(Site(), public_routes="invoke")
        assert send(handler, "invoke") == 202
        assert send(handler, "read") == 403

    def test_links_are_refused_where_there_is_no_key(self) -> None:
        assert send(function(Site()), "settle", query="token=abc") == 403
        assert send(function(Site(), link_key="0123456789abcdef"), "settle", query="token=abc") == 404

    def test_health_is_public(self) -> None:
        answer = function(Site())(event_of("GET", "/health", is_signed=False), Context())
        assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"status": "ok"})


class TestBatches:
    def test_one_bad_message_never_fails_its_neighbours(self) -> None:
        site = Site()
        takes = Taker(site, {"unstored": StoreUnavailableError("read", "no answer"), "buggy": KeyError("x")})
        poison = record({"MessageId": "poison", "Body": "{"})
        batch = [execute("one"), poison, execute("unstored"), execute("buggy"), execute("two")]
        answer = function(site, takes)({"Records": batch}, Context())
        assert failed(answer) == ["poison", "message-unstored", "message-buggy"]
        assert sorted(takes.ids) == ["buggy", "one", "two", "unstored"]

    def test_a_stale_message_is_acknowledged(self) -> None:
        assert failed(function(Site())({"Records": [execute("unknown")]}, Context())) == []

    def test_an_empty_batch_is_done(self) -> None:
        assert failed(function(Site())({"Records": []}, Context())) == []

    def test_what_can_not_be_begun_in_time_stays_in_the_queue(self) -> None:
        site = Site()
        takes = Taker(site)
        handler = function(site, takes)
        assert failed(handler({"Records": [execute("one")]}, Context())) == []
        assert failed(handler({"Records": [execute("late")]}, Context(1_000))) == ["message-late"]
        assert takes.ids == ["one"]

    def test_bodies_are_not_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        poison = record({"MessageId": "poison", "Body": '{"password": "hunter2"}'})
        function(Site())({"Records": [poison]}, Context())
        assert "message not understood" in caplog.text
        assert "hunter2" not in caplog.text + str([vars(each) for each in caplog.records])


class TestDirectInvocations:
    def test_an_execution_is_started_run_and_read(self) -> None:
        site = Site()
        handler = function(site)
        started = handler({"resonate": "invoke", "function": "add", "id": "sum", "args": [3, 4]}, Context())
        assert (started["id"], started["state"]) == ("sum", "pending")
        assert failed(handler({"Records": [execute("sum")]}, Context())) == []
        answer = handler(event_of("GET", "/promises/sum", is_signed=True), Context())
        assert json.loads(answer["body"])["value"] == 7

    def test_a_refused_one_is_an_error(self) -> None:
        with pytest.raises(DirectInvocationError, match=r"404: .*'nothing' is not registered"):
            function(Site())({"resonate": "invoke", "function": "nothing"}, Context())

    def test_a_tick_sweeps(self) -> None:
        assert function(Site())({"resonate": "tick"}, Context()) == {
            "pokes": 0,
            "failures": 0,
            "complete": True,
        }

    def test_an_envelope_is_answered_by_an_envelope(self) -> None:
        head = {"corrId": "1", "version": "2026-04-01"}
        answer = function(Site())({"kind": "promise.get", "head": head, "data": {"id": "no"}}, Context())
        assert (answer["kind"], answer["head"]["status"]) == ("promise.get", 404)

    def test_another_event_is_an_error(self) -> None:
        with pytest.raises(UnknownEventError):
            function(Site())({"detail-type": "Scheduled Event"}, Context())


class TestTime:
    def test_a_wait_ends_before_the_function_does(self) -> None:
        site = Site()
        handler = function(site)
        handler({"resonate": "invoke", "function": "add", "id": "sum", "args": [1]}, Context())
        began = site.clock.monotonic_ms()
        answer = handler(event_of("GET", "/promises/sum", "wait=20", is_signed=True), Context(8_000))
        assert json.loads(answer["body"])["state"] == "pending"
        assert 6_500 <= site.clock.monotonic_ms() - began <= 7_000

    def test_a_timeout_in_which_no_step_could_start_is_refused(self) -> None:
        handler = function(Site())
        with pytest.raises(ConfigurationError, match="timeout of 3000 ms is too short"):
            handler({"resonate": "tick"}, Context(3_000))

    def test_a_lease_longer_than_the_timeout_is_warned_of_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        handler = function(Site())
        handler({"resonate": "tick"}, Context(30_000))
        handler({"resonate": "tick"}, Context(30_000))
        assert [each.message for each in caplog.records if each.levelno == logging.WARNING] == [
            "lease longer than timeout"
        ]


class TestEnding:
    def test_sigterm_releases_what_is_held_and_leaves_the_rest_to_others(self) -> None:
        """The signal comes while the first of two messages is at work; what it would do between events is untouched."""
        site, stopped, heard = Site(), threading.Event(), threading.Event()
        before = signal.signal(signal.SIGTERM, lambda *_: heard.set())
        takes = Taker(site)

        def told() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopped.wait(10)

        takes.before = told
        try:
            handler = function(site, takes, stop=stopped.set)
            assert failed(handler({"Records": [execute("one")]}, Context())) == []
            assert heard.is_set(), "the handler that stood there is called, too"
            assert signal.getsignal(signal.SIGTERM) is not before
            with pytest.raises(SystemExit):
                handler({"Records": [execute("two")]}, Context())
        finally:
            signal.signal(signal.SIGTERM, before)
        assert takes.ids == ["one"]

    def test_outside_the_main_thread_it_works_without_signals(self) -> None:
        answers: list[Any] = []
        handler = function(Site())
        thread = threading.Thread(target=lambda: answers.append(handler({"Records": []}, Context())))
        thread.start()
        thread.join(10)
        assert failed(answers[0]) == []
