"""One function, warm: who may do what, requests as they are on the wire, and what is sent to Cloud Tasks for what."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from tests.emulators.oidc_issuer import key
from tests.gcp.deployment import CALLER, QUEUE_ACCOUNT, TICK_ACCOUNT, Deployed, issuer, until

from resonate_faas._machine.objects import PromiseObject, PromiseState
from resonate_faas._machine.requests import PromiseCreate
from resonate_faas._server import Server
from resonate_faas.testing import FakeClock, MemoryQueue

GUARDS = Path(__file__).parents[1] / "guards"
STRANGER = "stranger@test.iam.gserviceaccount.com"
SECRET = "a webhook's shared secret"
FAN = 20
CHAIN = 20


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    variables = {"RESONATE_FAAS_WEBHOOK_SECRET": SECRET, "RESONATE_FAAS_SWEEP_SECONDS": "60"}
    with Deployed(tmp_path_factory.mktemp("http"), "flows", variables=variables) as made:
        yield made


@pytest.fixture
def calls(deployed: Deployed) -> Deployed:
    """Give the deployment, with the requests to Cloud Tasks counted from now on."""
    deployed.tasks.taken()
    return deployed


def created(deployed: Deployed) -> int:
    """Return the requests to Cloud Tasks since the last call: creations of tasks, and nothing else."""
    taken = deployed.tasks.taken()
    assert set(taken) <= {"CreateTask"}
    return taken.get("CreateTask", 0)


ROUTES = {
    "deliver": ("POST", "/", {"kind": "execute", "head": {}, "data": {"task": {"id": "none", "version": 1}}}),
    "poke": ("POST", "/", {"kind": "poke", "head": {}, "data": {"id": "none", "notBefore": 0}}),
    "protocol": (
        "POST",
        "/",
        {"kind": "promise.get", "head": {"corrId": "1", "version": "2026-04-01"}, "data": {"id": "none"}},
    ),
    "tick": ("POST", "/tick", {}),
    "invoke": ("POST", "/invoke/nothing", {}),
    "read": ("GET", "/promises/none", {}),
    "settle": ("POST", "/promises/none/resolve", {}),
}
ALLOWED = {
    QUEUE_ACCOUNT: {"deliver": 200, "poke": 200},
    TICK_ACCOUNT: {"tick": 200},
    CALLER: {"protocol": 404, "invoke": 202, "read": 404, "settle": 404},
    STRANGER: {},
    SECRET: {"invoke": 202, "read": 404, "settle": 404},
}
"""By account, or the secret itself: the status of what it may do; a promise that is not there is 404."""


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("who", ALLOWED)
def test_each_account_may_do_what_it_was_given_and_nothing_else(
    deployed: Deployed, who: str, route: str
) -> None:
    method, path, body = ROUTES[route]
    token = who if who == SECRET else issuer().token(deployed.url, who)
    answer = deployed.request(method, path, headers={"authorization": f"Bearer {token}"}, **body)
    expected = ALLOWED[who].get(route)
    if expected is None:
        assert answer.status_code in {401, 403}, answer.text
    else:
        assert answer.status_code == expected, answer.text


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_token_nothing_is_open(deployed: Deployed, route: str) -> None:
    method, path, body = ROUTES[route]
    answer = deployed.request(method, path, headers={}, **body)
    assert answer.status_code in {401, 403}, answer.text


def forgeries(deployed: Deployed, account: str) -> dict[str, str]:
    now = int(time.time())
    return {
        "forged": issuer().token(deployed.url, account, signed_by=key("forger")),
        "for another function": issuer().token(f"{deployed.url}.example.com", account),
        "expired": issuer().token(deployed.url, account, iat=now - 7_200, exp=now - 3_600),
        "of another issuer": issuer().token(deployed.url, account, iss="https://example.com"),
        "of an unverified address": issuer().token(deployed.url, account, email_verified=False),
        "redacted": issuer().token(deployed.url, account).rpartition(".")[0] + ".SIGNATURE_REMOVED_BY_GOOGLE",
        "none at all": "nonsense",
    }


@pytest.mark.parametrize(
    ("path", "account"), [("/", QUEUE_ACCOUNT), ("/tick", TICK_ACCOUNT), ("/invoke/nothing", CALLER)]
)
def test_a_wrong_token_is_refused_before_the_body_is_parsed(
    deployed: Deployed, path: str, account: str
) -> None:
    """The body is no JSON: to whoever may not be there, that is never told."""
    for what, token in forgeries(deployed, account).items():
        answer = deployed.raw("POST", path, token, b"{nonsense")
        assert answer.status_code == 401, f"{what}: {answer.text}"
    good = deployed.raw("POST", path, issuer().token(deployed.url, account), b"{nonsense")
    assert good.status_code == (200 if path == "/tick" else 400), good.text


def test_open_routes_are_open_to_everybody_and_no_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    variables = {"RESONATE_FAAS_PUBLIC_ROUTES": "invoke,read"}
    with Deployed(tmp_path_factory.mktemp("open"), "flows", variables=variables) as open_one:
        answer = open_one.request("POST", "/invoke/nothing", headers={}, id="open")
        assert answer.status_code == 202, answer.text
        until(
            lambda: open_one.request("GET", "/promises/open", headers={}).json().get("value"), open_one.told
        )
        for path in ("/", "/tick", "/promises/open/cancel"):
            assert open_one.request("POST", path, headers={}).status_code in {401, 403}


def test_the_health_is_everybodys_and_tells_nothing(deployed: Deployed) -> None:
    answer = deployed.request("GET", "/health", headers={})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "promise_id", ["a/b", "a//b", "//", "../a", "a b", "ä%2F?#&=+", "a.b", "robots.txt", "%"]
)
def test_any_id_can_be_asked_for(deployed: Deployed, promise_id: str) -> None:
    """Encoded in the path; it reaches the route as it was sent."""
    name = f"{promise_id}-{len(promise_id)}"
    deployed.invoke("nothing", name)
    assert deployed.result(name) == "done"
    head = deployed.request("HEAD", f"/promises/{quote(name, safe='')}")
    assert (head.status_code, head.content) == (200, b"")


def test_a_body_over_the_limit_is_refused_and_one_without_a_length_is_read(deployed: Deployed) -> None:
    token = issuer().token(deployed.url, CALLER)
    large = b'{"args": ["' + b"a" * 1_100_000 + b'"]}'
    assert deployed.raw("POST", "/invoke/nothing", token, large).status_code == 413
    chunked = deployed.raw("POST", "/invoke/nothing", token, iter([b'{"id": "chu', b'nked"}']))
    assert (chunked.status_code, chunked.json()["id"]) == (202, "chunked")


def test_the_absolute_form_of_a_request_is_understood(deployed: Deployed) -> None:
    place = urlsplit(deployed.url)
    with socket.create_connection((place.hostname or "", place.port or 0)) as connection:
        lines = f"GET {deployed.url}/health?x=1 HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n"
        connection.sendall(lines.encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_wrong_request_is_answered_by_our_own_problems(deployed: Deployed) -> None:
    answer = deployed.request("GET", "/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "route-not-found")
    answer = deployed.request("GET", "/tick")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_resonate_server_pushes_with_its_own_servers_address(deployed: Deployed) -> None:
    """The message of the protocol, head and all: a hint like any other."""
    deployed.invoke("nothing", "pushed")
    deployed.result("pushed")
    body = {
        "kind": "execute",
        "head": {"serverUrl": "https://resonate.example.com"},
        "data": {"task": {"id": "pushed", "version": 1}},
    }
    answer = deployed.request("POST", "/", headers=deployed.token(QUEUE_ACCOUNT), **body)
    assert (answer.status_code, answer.json()) == (200, {"status": "suspended"})


# What is sent to Cloud Tasks, against design section 9: one message a dispatch, and one for each near wake.


def test_an_execution_is_one_message(calls: Deployed) -> None:
    calls.invoke("nothing", "cost-nothing")
    assert calls.result("cost-nothing") == "done"
    assert created(calls) == 1


def test_a_sequential_step_is_no_message(calls: Deployed) -> None:
    calls.invoke("sequence", "cost-sequence", 20)
    assert calls.result("cost-sequence") == sum(range(20))
    assert created(calls) == 1


def test_a_sleep_is_its_wake_and_a_dispatch(calls: Deployed) -> None:
    calls.invoke("sleeper", "cost-sleep", 1.0)
    assert calls.result("cost-sleep") == "awake"
    assert created(calls) == 1 + 1 + 1
    assert activations(calls, "cost-sleep") == 2


def test_a_fan_out_is_a_message_a_task_and_one_each_time_it_goes_on(calls: Deployed) -> None:
    """How often that is depends on which of them end while it is not waiting."""
    calls.invoke("fan_out", "cost-fan", FAN)
    assert calls.result("cost-fan") == sum(range(FAN))
    assert created(calls) == FAN + activations(calls, "cost-fan")


def activations(deployed: Deployed, promise_id: str) -> int:
    """Return how often a task was acquired."""
    (one,) = [one for one in deployed.store.search("task", limit=1_000) if one.id == promise_id]
    assert isinstance(one, PromiseObject)
    assert one.task is not None
    return one.task.version


def test_a_tail_call_is_one_message(calls: Deployed) -> None:
    """And the last costs what the first did."""
    before = set(calls.promises())
    calls.invoke("chain", "cost-chain", CHAIN)
    until(lambda: ended(calls, before) >= CHAIN + 1 or None, calls.told)
    assert created(calls) == 1 + CHAIN


def ended(deployed: Deployed, before: set[str]) -> int:
    """Return how many executions have ended since."""
    return sum(
        one not in before and ":" not in one and promise.settled_at is not None
        for one, promise in deployed.promises().items()
    )


def test_a_tick_with_nothing_due_sends_nothing(calls: Deployed) -> None:
    answer = calls.tick()
    assert answer == {"pokes": 0, "failures": 0, "complete": True}
    assert created(calls) == 0


def test_a_tick_sends_for_what_was_lost(calls: Deployed) -> None:
    """A task that was created, and whose message nobody sent."""
    clock = FakeClock(time.time_ns() // 1_000_000)
    lost = Server(calls.store, MemoryQueue(clock), clock=clock)
    param = calls.promises()["cost-nothing"].param
    tags = {
        "resonate:scope": "global",
        "resonate:target": "tasks://",
        "resonate:origin": "lost",
        "resonate:branch": "lost",
    }
    lost.ask(PromiseCreate(id="lost", timeout_at=clock.now_ms() + 600_000, param=param, tags=tags))
    assert calls.tick()["pokes"] == 1
    assert calls.result("lost") == "done"
    assert calls.promises()["lost"].state is PromiseState.RESOLVED


def test_no_delivery_of_all_these_was_refused(deployed: Deployed) -> None:
    """Neither 429 nor 503, which would slow the whole queue down."""
    assert set(deployed.tasks.told.statuses) == {200}


def test_the_guard_of_the_deployment_replaces_that_of_the_code(tmp_path: Path) -> None:
    def reason() -> str | None:
        found = hasty.store.read(["root"])["root"].object
        return found.reason if isinstance(found, PromiseObject) else None

    with Deployed(tmp_path, "hasty", GUARDS, variables={"RESONATE_FAAS_GUARD": "error"}) as hasty:
        hasty.invoke("hasty", "root")
        assert "reads the clock (time.time)" in until(reason, hasty.told)
