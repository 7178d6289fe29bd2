"""Which texts are delivery addresses, and which of them an allow-list covers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resonate_faas._addresses import PATTERNS_MAX, AddressPolicy, parse_address

ADDRESSES = [
    # text, scheme, host, port, path, query, cast
    ("http://localhost:8080/run", "http", "localhost", 8080, "/run", "", None),
    ("HTTPS://Example.COM", "https", "example.com", 443, "", "", None),
    ("https://example.com/", "https", "example.com", 443, "/", "", None),
    ("http://example.com:80/a%20b?x=1&y=/?", "http", "example.com", 80, "/a%20b", "?x=1&y=/?", None),
    ("http://my_service:1/", "http", "my_service", 1, "/", "", None),
    ("http://10.0.0.255/", "http", "10.0.0.255", 80, "/", "", None),
    ("http://[2001:DB8::0:1]:8001/", "http", "2001:db8::1", 8001, "/", "", None),
    ("https://[::1]", "https", "::1", 443, "", "", None),
    ("poll://any@default", "poll", "default", None, "", "", "any"),
    ("poll://any@Default/7f3a", "poll", "default", None, "/7f3a", "", "any"),
    ("poll://uni@default/7f3a", "poll", "default", None, "/7f3a", "", "uni"),
    ("local://", "local", "", None, "", "", None),
    ("local://any@default/x", "local", "default", None, "/x", "", "any"),
    ("tasks://my-project/europe-west1/queue", "tasks", "my-project", None, "/europe-west1/queue", "", None),
    ("sqs://MyQueue", "sqs", "MyQueue", None, "", "", None),
]


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "path", "query", "cast"), ADDRESSES, ids=[a[0] for a in ADDRESSES]
)
def test_an_address_is_taken_apart(
    text: str, scheme: str, host: str, port: int | None, path: str, query: str, cast: str | None
) -> None:
    address = parse_address(text)
    assert address is not None
    assert address.text == text
    assert (address.scheme, address.host, address.port) == (scheme, host, port)
    assert (address.path, address.query, address.cast) == (path, query, cast)


def test_a_poll_address_names_its_connection_where_it_has_one() -> None:
    named, anyone = parse_address("poll://uni@default/7f3a"), parse_address("poll://any@default")
    pushed = parse_address("http://localhost/7f3a")
    assert named is not None
    assert anyone is not None
    assert pushed is not None
    assert (named.connection, anyone.connection, pushed.connection) == ("7f3a", None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "default",
        "http:",
        "http://",
        "http:///run",
        "//example.com",
        "ftp://example.com",
        "nats://resonate.recv",
        "gcps://project/topic",
        "bash://docker/image",
        "javascript:alert(1)",
        " http://example.com",
        "http://example.com\n",
        "http://exa\tmple.com",
        "http://example.com/a b",
        "http://ex\u00e4mple.com",
        "http://example.com/\u2215",
        "http://example.com\\@evil.com",
        "http://user@example.com",
        "http://user:secret@example.com",
        "http://example.com@evil.com",
        "http://example.com:80@evil.com",
        "http://example.com#@evil.com",
        "http://example.com/#fragment",
        "http://example.com?x#y",
        "http://example.com.",
        "http://.example.com",
        "http://example..com",
        "http://-example.com",
        "http://example.com:",
        "http://example.com:0",
        "http://example.com:080",
        "http://example.com:65536",
        "http://example.com:8o",
        "http://example.com:80:80",
        "http://%65xample.com",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://127.1",
        "http://0177.0.0.1",
        "http://127.0.0.01",
        "http://127.0.0.256",
        "http://1.2.3.4.5",
        "http://[::1",
        "http://::1",
        "http://[::1%25eth0]",
        "http://[1.2.3.4]",
        "http://[example.com]",
        "http://example.com/a/../b",
        "http://example.com/a/.",
        "http://example.com/%2e%2E/b",
        "http://example.com/a%2Fb",
        "http://example.com/a%5cb",
        "http://example.com/a%00",
        "http://example.com/%zz",
        "http://example.com/%",
        "poll://default",
        "poll://@default",
        "poll://any@",
        "poll://worker-1@default",
        "poll://ANY@default",
        "poll://uni@default",
        "poll://any@default/",
        "poll://any@default/a/b",
        "poll://any@default?x",
        "poll://any@a@b",
        "poll://any@default:80",
        "sqs://queue?x",
        "sqs://user@queue",
        "http://example.com/" + "a" * 2_048,
        "http://" + "a" * 64 + ".com",
        "http://" + "a." * 127 + "com",
    ],
)
def test_what_two_parsers_could_read_differently_is_no_address(text: str) -> None:
    assert parse_address(text) is None
    assert not AddressPolicy(["http://*:*", "https://*:*", "poll://*", "sqs://*"]).permits(text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com", "https://EXAMPLE.com:443/any/path?x=1"),
        ("https://example.com:443/", "https://example.com"),
        ("https://Example.com/run", "https://example.com/run"),
        ("https://example.com/run", "https://example.com/run?x=1"),
        ("https://example.com/run/", "https://example.com/run/fast"),
        ("http://localhost:*", "http://localhost:9/"),
        ("http://*", "http://10.0.0.1/"),
        ("http://*:*/run", "http://10.0.0.1:81/run"),
        ("http://[::1]:8001", "http://[0:0::1]:8001/"),
        ("poll://default", "poll://any@default"),
        ("poll://Default", "poll://uni@default/7"),
        ("poll://any@default", "poll://any@default/7"),
        ("poll://uni@default", "poll://uni@default/7"),
        ("poll://*", "poll://any@other"),
        ("poll://uni@default/7", "poll://uni@default/7"),
        ("local://", "local://"),
        ("tasks://project/region", "tasks://project/region/queue"),
        ("sqs://MyQueue", "sqs://MyQueue"),
    ],
)
def test_a_pattern_covers(pattern: str, text: str) -> None:
    policy = AddressPolicy([pattern])
    address = parse_address(text)
    assert address is not None
    assert policy.permits(text)
    assert policy.permits(address)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("https://example.com", "https://example.com.evil.com"),
        ("https://example.com", "https://evil.com/https://example.com"),
        ("https://example.com", "https://evil.com?https://example.com"),
        ("https://example.com", "https://www.example.com"),
        ("https://example.com/run", "https://example.com/runaway"),
        ("https://example.com/run", "https://example.com/"),
        ("https://example.com/run", "https://example.com"),
        ("https://example.com/run", "https://example.com/Run"),
        ("http://127.0.0.1", "http://[::ffff:127.0.0.1]"),
        ("http://localhost", "http://127.0.0.1"),
        ("http://localhost:*", "https://localhost"),
        ("http://*", "http://example.com:81"),
        ("poll://default", "poll://any@other"),
        ("poll://default", "local://default"),
        ("poll://any@default", "poll://uni@default/7"),
        ("poll://uni@default/7", "poll://uni@default/77"),
        ("sqs://MyQueue", "sqs://myqueue"),
        ("local://", "local://any@default"),
    ],
)
def test_a_pattern_does_not_cover(pattern: str, text: str) -> None:
    assert parse_address(text) is not None, "the case must reach the pattern"
    assert not AddressPolicy([pattern]).permits(text)


def test_nothing_is_permitted_by_default() -> None:
    assert not any(AddressPolicy().permits(case[0]) for case in ADDRESSES)


def test_one_covering_pattern_is_enough() -> None:
    policy = AddressPolicy(["https://a.example", "https://b.example"])
    assert policy.permits("https://b.example/x")
    assert not policy.permits("https://c.example/x")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "example.com",
        "https://",
        "https://*.example.com",
        "https://user@example.com",
        "https://example.com?x",
        "https://example.com#x",
        "https://example.com/a/../b",
        "https://example.com:**",
        "poll://default:*",
        "sqs://queue:*",
        "ftp://example.com",
    ],
)
def test_a_pattern_that_is_none_is_a_configuration_mistake(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no address pattern"):
        AddressPolicy([pattern])


def test_an_allow_list_is_bounded() -> None:
    AddressPolicy(f"https://h{n}.example" for n in range(PATTERNS_MAX))
    with pytest.raises(ValueError, match="at most 1000 patterns"):
        AddressPolicy(f"https://h{n}.example" for n in range(PATTERNS_MAX + 1))


@given(
    st.text(max_size=80),
    st.sampled_from(["", "http://", "https://own.example", "https://own.example/run", "poll://any@"]),
)
def test_no_text_breaks_the_parser_and_no_stranger_passes_the_policy(tail: str, start: str) -> None:
    address = parse_address(start + tail)
    if AddressPolicy(["https://own.example/run"]).permits(start + tail):
        assert address is not None
        assert (address.scheme, address.host, address.port) == ("https", "own.example", 443)
        assert address.path == "/run" or address.path.startswith("/run/")
