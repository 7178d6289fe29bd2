"""A capability token opens one promise of one execution, and nothing else."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.worker.kit import start

from resonate_faas import Context, Resonate
from resonate_faas._links import Links
from resonate_faas.testing._deployment import MemoryDeployment

KEY = b"a key of sixteen"
LINKS = Links("https://example.test/base/", KEY)

texts = st.text(max_size=40)


def test_a_token_is_good_for_its_promise_and_birth() -> None:
    token = LINKS.token("root:1", "birth")
    assert LINKS.permits("root:1", "birth", token)
    assert Links("https://elsewhere.test", KEY).permits("root:1", "birth", token), (
        "the key decides, not the URL"
    )


@given(texts, texts, texts, texts)
def test_no_other_promise_or_birth_shares_a_token(first: str, birth: str, second: str, other: str) -> None:
    """Without the length in front: ('a', 'bc') and ('ab', 'c') would be one."""
    same = (first, birth) == (second, other)
    try:
        token = LINKS.token(first, birth)
        permitted = LINKS.permits(second, other, token)
    except UnicodeEncodeError:
        return  # no id holds a lone surrogate
    assert permitted is same


def test_text_moved_between_id_and_birth_is_another_token() -> None:
    assert not LINKS.permits("root:1b", "irth", LINKS.token("root:1", "birth"))


@pytest.mark.parametrize("place", range(36))
def test_a_token_changed_at_any_place_is_refused(place: int) -> None:
    """Without: guessing a token would be easier than it looks."""
    token = LINKS.token("root:1", "birth")
    assert len(token) == 36
    changed = token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]
    assert not LINKS.permits("root:1", "birth", changed)


@pytest.mark.parametrize("token", ["", "0" * 36, "\u00e4" * 36, "\ud800", " ", "None", "a" * 10_000])
def test_what_is_no_token_is_refused_without_an_error(token: str) -> None:
    assert not LINKS.permits("root:1", "birth", token)


def test_a_part_of_a_token_or_more_than_it_is_refused() -> None:
    token = LINKS.token("root:1", "birth")
    for wrong in (token[:-1], token + "0", token.upper(), f" {token}", token[:18]):
        assert not LINKS.permits("root:1", "birth", wrong)


def test_another_key_makes_other_tokens() -> None:
    assert not Links("https://example.test", b"another key of 16").permits("a", "b", LINKS.token("a", "b"))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Links("https://example.test", b"short")


@pytest.mark.parametrize("promise_id", ["root:1", "a/b?c#d%e&f=g h", "\u00e4\u65e5", "../..", "a.b"])
def test_a_link_leads_to_its_promise_whatever_the_id_holds(promise_id: str) -> None:
    """Without: an id with a slash or a hash would lead to another route, or lose its token."""
    url = urlsplit(LINKS.link(promise_id, "birth", "resolve"))
    assert (url.scheme, url.netloc, url.fragment) == ("https", "example.test", "")
    base, kind, escaped, action = url.path.rsplit("/", 3)
    assert (base, kind, unquote(escaped), action) == ("/base", "promises", promise_id, "resolve")
    (token,) = parse_qs(url.query)["token"]
    assert LINKS.permits(promise_id, "birth", token)


def test_a_link_does_not_outlive_its_execution() -> None:
    """Without: last month's mail would approve this month's order of the same id."""
    resonate, links = Resonate(), list[str]()

    @resonate.register
    async def flow(ctx: Context) -> str:
        promise = ctx.promise(str)
        links.append(promise.link())
        return await promise

    tokens = []
    for _ in range(2):
        deployment = MemoryDeployment(resonate)
        start(deployment.node, "flow")
        deployment.settle(until_ms=deployment.clock.now_ms())
        found = deployment.client.get("root:1")
        assert found is not None
        (token,) = parse_qs(urlsplit(links[-1]).query)["token"]
        tokens.append((token, found.birth))
        deployment.node.worker.close()
    (first, birth), (second, other) = tokens
    links_of = Links("http://test.invalid", b"0123456789abcdef")
    assert links_of.permits("root:1", birth, first)
    assert links_of.permits("root:1", other, second)
    assert not links_of.permits("root:1", other, first)
