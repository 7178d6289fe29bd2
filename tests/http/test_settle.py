"""Settling from outside: by right, by link, by the page behind the link."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from tests.http.site import LINKS, Site, Visitor

from resonate_faas._http import Right
from resonate_faas._links import Links
from resonate_faas._machine.objects import PromiseObject

PROMISE = "/promises/root%3A1"
ONLY_LINKS = (Right.LINK, Right.INVOKE, Right.READ)


def waiting(**more: Any) -> Site:
    """Return a site whose execution ``root`` waits for the external promise ``root:1``."""
    site = Site(**more)
    site.invoke("approve")
    site.settle(until_ms=site.clock.now_ms())
    found = site.node.client.get("root:1")
    assert found is not None
    assert found.promise.tags["resonate:external"] == "true"
    return site


def token_of(site: Site, promise_id: str, links: Links = LINKS) -> str:
    found = site.node.client.get(promise_id)
    assert found is not None
    return links.token(promise_id, found.birth)


@pytest.mark.parametrize(
    ("action", "body", "state", "shown"),
    [
        ("resolve", {"value": "yes"}, "resolved", {"value": "yes"}),
        ("resolve", {}, "resolved", {"value": None}),
        (
            "reject",
            {"value": "no"},
            "rejected",
            {"error": {"code": "application", "name": "Error", "message": "no"}},
        ),
        (
            "cancel",
            {},
            "rejected_canceled",
            {
                "error": {
                    "code": "canceled",
                    "name": "PromiseCanceledError",
                    "message": "promise 'root:1' was cancelled",
                }
            },
        ),
    ],
)
def test_each_action_settles_and_shows_the_promise(
    action: str, body: Any, state: str, shown: dict[str, Any]
) -> None:
    site = waiting()
    answer = site.send("POST", f"{PROMISE}/{action}", body)
    assert answer.status == 200
    assert answer.json["state"] == state
    assert {name: answer.json[name] for name in shown} == shown


def test_a_settlement_resumes_the_workflow() -> None:
    site = waiting()
    site.send("POST", f"{PROMISE}/resolve", {"value": "yes"})
    site.settle(until_ms=site.clock.now_ms())
    assert site.send("GET", "/promises/root").json["value"] == "answered yes"


def test_a_second_settlement_answers_the_first() -> None:
    site = waiting()
    site.send("POST", f"{PROMISE}/resolve", {"value": "first"})
    answer = site.send("POST", f"{PROMISE}/reject", {"value": "second"})
    assert (answer.status, answer.json["state"], answer.json["value"]) == (200, "resolved", "first")


def test_an_empty_body_is_no_value() -> None:
    site = waiting()
    assert site.send("POST", f"{PROMISE}/resolve", raw=b"", headers={}).json["value"] is None


def test_an_execution_can_be_cancelled_by_right() -> None:
    site = waiting()
    assert site.send("POST", "/promises/root/cancel").json["state"] == "rejected_canceled"


def test_a_step_is_settled_by_nobody_but_its_workflow() -> None:
    site = waiting()
    tags = {"resonate:scope": "local"}
    site.ask("promise.create", {"id": "root:7", "timeoutAt": site.clock.now_ms() + 1_000, "tags": tags})
    before = site.stored()
    answer = site.send("POST", "/promises/root%3A7/resolve", {"value": "forged"})
    assert (answer.status, answer.code) == (409, "refused")
    assert site.stored() == before


@pytest.mark.parametrize(
    ("body", "field"), [({"values": 1}, "values"), ([1], "body"), ({"value": 1, "id": "x"}, "id")]
)
def test_a_body_with_anything_else_is_422_and_changes_nothing(body: Any, field: str) -> None:
    site = waiting()
    before = site.stored()
    answer = site.send("POST", f"{PROMISE}/resolve", body)
    assert (answer.status, answer.code, answer.json["field"]) == (422, "invalid-field", field)
    assert site.stored() == before


def test_a_value_too_large_to_record_is_422_and_changes_nothing() -> None:
    site = waiting()
    before = site.stored()
    noise = "".join(chr(0x4E00 + (number * 7919) % 20_000) for number in range(150_000))
    answer = site.send("POST", f"{PROMISE}/resolve", raw=('{"value":"' + noise + '"}').encode())
    assert (answer.status, answer.code) == (422, "encoding")
    assert site.stored() == before


def test_the_link_of_a_promise_settles_it_without_any_other_right() -> None:
    site = waiting(access=Visitor(ONLY_LINKS))
    token = token_of(site, "root:1")
    assert site.send("POST", f"{PROMISE}/resolve", {"value": "x"}).status == 403
    answer = site.send("POST", f"{PROMISE}/resolve", {"value": "x"}, query=f"token={token}")
    assert (answer.status, answer.json["value"]) == (200, "x")


def test_the_link_that_the_context_offers_is_the_one_that_works() -> None:
    site = waiting()
    found = site.node.client.get("root:1")
    assert found is not None
    path, _, query = (
        LINKS.link("root:1", found.birth, "resolve").removeprefix("http://test.invalid").partition("?")
    )
    assert site.send("POST", path, {"value": "x"}, query=query).status == 200


def _wrong_tokens(site: Site) -> list[str]:
    found = site.node.client.get("root:1")
    assert found is not None
    return [
        "",
        "x",
        "%ff",
        LINKS.token("root:1", "another birth"),
        LINKS.token("root:2", found.birth),
        Links("http://test.invalid", b"another key 0123").token("root:1", found.birth),
        LINKS.token("root:1", found.birth)[:-1],
        LINKS.token("root:1", found.birth).upper() + "0",
    ]


def test_a_wrong_token_gets_the_answer_of_an_unknown_id_and_changes_nothing() -> None:
    site = waiting(access=Visitor(ONLY_LINKS))
    before = site.stored()
    for token in _wrong_tokens(site):
        unknown = site.send("POST", "/promises/root%3A9/resolve", {}, query=f"token={token}")
        refused = site.send("POST", f"{PROMISE}/resolve", {}, query=f"token={token}")
        assert refused.status == unknown.status
        told = refused.response.body.decode().replace("root:1", "root:9")
        assert told == unknown.response.body.decode()
    assert site.stored() == before


def test_a_token_covers_external_promises_only() -> None:
    site = waiting(access=Visitor(ONLY_LINKS))
    before = site.stored()
    answer = site.send("POST", "/promises/root/cancel", {}, query=f"token={token_of(site, 'root')}")
    assert (answer.status, answer.code) == (404, "promise-not-found")
    assert site.stored() == before


def test_a_targeted_promise_that_calls_itself_external_is_not_covered() -> None:
    site = waiting(access=Visitor(tuple(Right)))
    tags = {"resonate:external": "true", "resonate:target": "local://default"}
    site.ask("promise.create", {"id": "trap", "timeoutAt": site.clock.now_ms() + 1_000, "tags": tags})
    answer = site.send("POST", "/promises/trap/resolve", {}, query=f"token={token_of(site, 'trap')}")
    assert answer.status == 404


def test_links_can_be_switched_off() -> None:
    site = waiting(access=Visitor(set(Right) - {Right.LINK}))
    answer = site.send("POST", f"{PROMISE}/resolve", {}, query=f"token={token_of(site, 'root:1')}")
    assert answer.status == 403


def test_a_link_does_not_outlive_its_execution() -> None:
    site = waiting()
    token = token_of(site, "root:1")
    site.memory.transact(("root:1",), lambda given: _reborn(given["root:1"]))
    assert site.send("POST", f"{PROMISE}/resolve", {}, query=f"token={token}").status == 404


def _reborn(found: Any) -> Any:
    from dataclasses import replace  # noqa: PLC0415

    from resonate_faas._machine.requests import Outcome, Reply  # noqa: PLC0415

    assert isinstance(found, PromiseObject)
    return Outcome(reply=Reply(status=200), writes={"root:1": replace(found, birth="a later one")})


class _Page(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


HOSTILE = "%3C%2Fcode%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27%26"


@pytest.mark.parametrize("action", ["resolve", "reject", "cancel"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_get_serves_a_page_and_changes_nothing(action: str, method: str) -> None:
    site = waiting()
    before = site.stored()
    answer = site.send(method, f"{PROMISE}/{action}", query=f"token={token_of(site, 'root:1')}&value=1")
    assert answer.status == 200
    assert answer.response.headers["content-type"] == "text/html; charset=utf-8"
    assert site.stored() == before


def test_the_page_runs_its_own_script_alone_and_leaks_no_token() -> None:
    answer = Site().send("GET", f"{PROMISE}/resolve", query="token=secret")
    policy = answer.response.headers["content-security-policy"]
    page = _Page(answer.response.body.decode())
    nonces = {attributes["nonce"] for tag, attributes in page.elements if tag in {"script", "style"}}
    assert len(nonces) == 1
    (nonce,) = nonces
    assert nonce is not None
    assert len(nonce) >= 16
    assert policy == (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.response.headers["referrer-policy"] == "no-referrer"
    again = Site().send("GET", f"{PROMISE}/resolve").response.headers["content-security-policy"]
    assert again != policy
    assert b"secret" not in answer.response.body


def test_everything_shown_on_the_page_is_escaped() -> None:
    value = "%22" + HOSTILE.replace("%22", "") + "%22"
    text = Site().send("GET", f"/promises/{HOSTILE}/resolve", query=f"value={value}").response.body.decode()
    page = _Page(text)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "<script>alert" not in text
    (button,) = [attributes for tag, attributes in page.elements if tag == "button"]
    assert button["data-body"] == '{"value": "</code><script>alert(1)</script>\'&"}'


def test_the_page_is_the_same_for_a_promise_that_does_not_exist() -> None:
    site = waiting(access=Visitor(ONLY_LINKS))
    known, unknown = (
        site.send("GET", f"/promises/{name}/resolve", query="token=guess")
        for name in ("root%3A1", "root%3A9")
    )
    assert len(known.response.body) == len(unknown.response.body)
    assert (known.status, unknown.status) == (200, 200)


@pytest.mark.parametrize("value", ["{", "", "NaN", "%22" + "x" * 2_000 + "%22"])
def test_a_links_value_must_be_json(value: str) -> None:
    answer = Site().send("GET", f"{PROMISE}/resolve", query=f"value={value}")
    assert (answer.status, answer.json["field"]) == (422, "value")
