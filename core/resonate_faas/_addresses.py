"""Delivery addresses: their grammar, and the allow-list of those that may be stored and sent to.

Forms (protocol section 8.3, design section 10, D21)::

    http://host[:port][/path][?query]    https://...           pushed
    poll://any@group[/id]                poll://uni@group/id   held connections, dev server only
    local://...  tasks://...  sqs://...                        the adapters' own queues

The grammar is narrower than RFC 3986 on purpose: what two parsers could read differently is no address. No user
information, fragments, dot segments, encoded slashes, blanks or non-ASCII; a host that ends in a number must be
a plain dotted quad, so 2130706433, 0x7f.1 and 0177.0.0.1 are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final

ADDRESS_BYTES_MAX: Final = 2_048
"""As long as an URL that every proxy carries; ours."""

PATTERNS_MAX: Final = 1_000
WILDCARD: Final = "*"

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_POLL: Final = "poll"
_QUEUES: Final = frozenset({"local", "tasks", "sqs"})

_CHARACTER: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_FORM: Final = re.compile(
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    rf"(?P<path>(?:/{_CHARACTER}*)*)(?P<query>\?(?:{_CHARACTER}|[/?])*)?"
)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_QUAD: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_GROUP: Final = re.compile(r"[A-Za-z0-9._~-]{1,255}")
_ENCODED_SEPARATOR: Final = re.compile(r"%(?:2f|5c|00)", re.IGNORECASE)
_ENCODED_DOT: Final = re.compile(r"%2e", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A delivery address, taken apart.

    Attributes:
        text: the address as it was given; what is pushed to is exactly this.
        scheme: lower case.
        host: of a URL in lower case, IPv6 compressed without brackets; of poll the group, in lower case; of a
            queue scheme as given, may be empty.
        port: of a URL, the scheme's own when it names none; None for other schemes.
        path: "" or begins with a slash; for poll the connection's id behind the slash.
        query: "" or begins with a question mark.
        cast: ``any`` or ``uni`` where the address says so.
    """

    text: str
    scheme: str
    host: str
    port: int | None = None
    path: str = ""
    query: str = ""
    cast: str | None = None

    @property
    def connection(self) -> str | None:
        """The id of the connection that a poll address names; None: any of the group."""
        return self.path[1:] if self.scheme == _POLL and self.path else None


def parse_address(text: str) -> Address | None:
    """Return the address taken apart; None: it is none.

    Args:
        text: at most 2,048 characters, printable ASCII.
    """
    form = _FORM.fullmatch(text) if len(text) <= ADDRESS_BYTES_MAX else None
    if form is None or not _is_plain(form["path"]):
        return None
    scheme, path, query = form["scheme"].lower(), form["path"], form["query"] or ""
    if scheme in _DEFAULT_PORTS:
        place = _url_place(form["authority"], _DEFAULT_PORTS[scheme])
        if place is None:
            return None
        return Address(text=text, scheme=scheme, host=place[0], port=place[1], path=path, query=query)
    if scheme not in _QUEUES and scheme != _POLL:
        return None
    cast, at, host = form["authority"].rpartition("@")
    if query or (at and cast not in {"any", "uni"}) or not (host == "" or _GROUP.fullmatch(host)):
        return None
    if scheme == _POLL:
        if not at or not host or not _names_connection(cast, path):
            return None
        host = host.lower()
    return Address(text=text, scheme=scheme, host=host, path=path, cast=cast or None)


def _is_plain(path: str) -> bool:
    """False if a receiver could see another path than the allow-list saw."""
    if _ENCODED_SEPARATOR.search(path):
        return False
    return not {".", ".."}.intersection(_ENCODED_DOT.sub(".", path).split("/"))


def _url_place(authority: str, default_port: int) -> tuple[str, int] | None:
    """Return host and port of a URL's authority, normalised; None: it is not plain."""
    host, colon, digits = authority, "", ""
    if not authority.endswith("]"):
        host, colon, digits = authority.rpartition(":")
        if not colon:
            host = digits
    if colon and not (_PORT.fullmatch(digits) and int(digits) <= 65_535):
        return None
    normal = _url_host(host.lower())
    return None if normal is None else (normal, int(digits) if colon else default_port)


def _url_host(host: str) -> str | None:
    if host.startswith("[") and host.endswith("]"):
        if "%" in host:
            return None
        try:
            return IPv6Address(host[1:-1]).compressed
        except AddressValueError:
            return None
    if len(host) > 253 or not _NAME.fullmatch(host):
        return None
    if _NUMERIC.fullmatch(host.rpartition(".")[2]) and not _QUAD.fullmatch(host):
        return None
    return host


def _names_connection(cast: str, path: str) -> bool:
    """True if a poll address's path is absent (any only) or one non-empty segment."""
    if not path:
        return cast == "any"
    return len(path) > 1 and "/" not in path[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """What an entry of the allow-list covers; ``port`` and ``cast`` None: any, ``host`` the wildcard: any."""

    scheme: str
    host: str
    port: int | None
    cast: str | None
    prefix: str

    def covers(self, address: Address) -> bool:
        """True if every part agrees; a path prefix ends at a slash."""
        return (
            self.scheme == address.scheme
            and self.host in {WILDCARD, address.host}
            and self.port in {None, address.port}
            and self.cast in {None, address.cast}
            and (address.path == self.prefix or address.path.startswith(f"{self.prefix}/"))
        )


def _parse_pattern(text: str) -> _Pattern:
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    any_port = authority.endswith(":*")
    authority = authority.removesuffix(":*")
    cast, at, host = authority.rpartition("@")
    any_host = host == WILDCARD
    stand_in = "wildcard" if any_host else host
    is_poll = scheme.lower() == _POLL
    full = f"{cast}@{stand_in}" if at else f"any@{stand_in}" if is_poll else stand_in
    plain_path = f"{slash}{path}".rstrip("/")
    tail = "/wildcard" if is_poll and cast == "uni" and not plain_path else plain_path
    address = parse_address(f"{scheme}://{full}{tail}")
    if address is None or address.query or (any_port and address.port is None):
        message = (
            f"{text!r} is no address pattern: write scheme://host[:port][/path prefix], where host and port may"
            " be *, for example https://example.com/run or poll://default"
        )
        raise ValueError(message)
    return _Pattern(
        scheme=address.scheme,
        host=WILDCARD if any_host else address.host,
        port=None if any_port else address.port,
        cast=cast or None,
        prefix=plain_path,
    )


class AddressPolicy:
    """The allow-list of delivery addresses, matched part by part and never as text (design section 8).

    Args:
        allowed: patterns ``scheme://host[:port][/prefix]``. Host and port may be ``*``; no port means the
            scheme's own; a prefix covers itself and what lies below it. ``poll://group`` covers both casts,
            ``poll://any@group`` only that one. Nothing is allowed by default: give the deployment's own
            addresses.

    Raises:
        ValueError: an entry is no pattern, or there are more than 1,000.
    """

    __slots__ = ("_patterns",)

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._patterns = tuple(dict.fromkeys(_parse_pattern(text) for text in allowed))
        if len(self._patterns) > PATTERNS_MAX:
            message = (
                f"an allow-list holds at most {PATTERNS_MAX} patterns, this one has {len(self._patterns)}"
            )
            raise ValueError(message)

    def permits(self, address: Address | str) -> bool:
        """True if the address is one, and some pattern covers it."""
        parsed = parse_address(address) if isinstance(address, str) else address
        return parsed is not None and any(pattern.covers(parsed) for pattern in self._patterns)


__all__ = ["ADDRESS_BYTES_MAX", "Address", "AddressPolicy", "parse_address"]
