"""Who may talk to the dev server: the table of hosts, origins, types and tokens."""

from __future__ import annotations

import pytest

from resonate_faas._http import HttpRequest, Right
from resonate_faas._http_errors import AccessDeniedError, ContentTypeError
from resonate_faas_local._dev_access import DevAccess

PORT = 8123
OURS = "127.0.0.1:8123"


def check(
    headers: dict[str, str],
    *,
    method: str = "GET",
    right: Right = Right.READ,
    token: str = "secret",
    port: int = PORT,
) -> None:
    request = HttpRequest(method=method, path="/promises/x", headers=headers)
    DevAccess(port, debug_token=token).check(request, right)


@pytest.mark.parametrize("host", [OURS, "localhost:8123", "[::1]:8123", "LOCALHOST:8123"])
@pytest.mark.parametrize("right", list(Right))
def test_this_machine_is_let_in(host: str, right: Right) -> None:
    if right is not Right.DEBUG:
        check({"host": host}, right=right)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8123",
        "127.0.0.1.evil.example:8123",
        "localhost.evil.example:8123",
        "127.0.0.1",
        "localhost:80",
        "127.0.0.1:81234",
        "0.0.0.0:8123",
        "127.0.0.2:8123",
        "",
        "127.0.0.1:8123@evil.example",
        "evil.example:8123, 127.0.0.1:8123",
    ],
)
@pytest.mark.parametrize("right", list(Right))
def test_a_name_that_was_rebound_to_this_machine_is_refused(host: str, right: Right) -> None:
    with pytest.raises(AccessDeniedError) as raised:
        check({"host": host, "authorization": "Bearer secret"}, right=right)
    assert raised.value.status == 403


def test_a_request_without_a_host_is_refused() -> None:
    with pytest.raises(AccessDeniedError):
        check({})


def test_on_port_80_the_port_may_be_left_out() -> None:
    check({"host": "localhost"}, port=80)
    check({"host": "localhost:80"}, port=80)


@pytest.mark.parametrize("origin", [f"http://{OURS}", "http://localhost:8123", "http://[::1]:8123"])
def test_pages_of_our_own_are_let_in(origin: str) -> None:
    check({"host": OURS, "origin": origin})


@pytest.mark.parametrize(
    "origin",
    ["null", "https://evil.example", "http://127.0.0.1:3000", "https://127.0.0.1:8123", "", "file://"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_origin_is_refused(origin: str, method: str) -> None:
    with pytest.raises(AccessDeniedError):
        check({"host": OURS, "origin": origin, "content-type": "application/json"}, method=method)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_what_a_foreign_form_can_send_is_refused(kind: str) -> None:
    headers = {"host": OURS} | ({"content-type": kind} if kind else {})
    with pytest.raises(ContentTypeError):
        check(headers, method="POST", right=Right.TICK)
    check({"host": OURS, "content-type": "application/json"}, method="POST", right=Right.TICK)


@pytest.mark.parametrize(
    "given", [None, "Bearer wrong", "Bearer ", "secret", "Basic secret", "Bearer s\u00e9cret"]
)
def test_debug_operations_need_the_token(given: str | None) -> None:
    headers = {"host": OURS} | ({"authorization": given} if given is not None else {})
    with pytest.raises(AccessDeniedError) as raised:
        check(headers, right=Right.DEBUG)
    assert raised.value.status == 401


def test_debug_operations_are_let_in_with_the_token_or_without_one_by_decision() -> None:
    check({"host": OURS, "authorization": "Bearer secret"}, right=Right.DEBUG)
    check({"host": OURS}, right=Right.DEBUG, token="")
