"""The settings of a deployment: keyword arguments of its handler, else environment variables of its function.

docs/configuration.md has the table. Read once, at cold start; a wrong one is named before anything is served.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final, Self, TypedDict
from urllib.parse import urlsplit

from resonate_faas._engine.execution import PROMISES_MAX
from resonate_faas._errors import ConfigurationError
from resonate_faas._guards import GUARDS, Guard
from resonate_faas._http.access import Right
from resonate_faas._http.bearer import BearerAccess, Credential, JsonWebToken, SharedSecret, is_public_key
from resonate_faas._links import KEY_BYTES_MIN, Links
from resonate_faas._machine.objects import Rules
from resonate_faas._server import ServerSettings
from resonate_faas._worker import WorkerSettings

PREFIX: Final = "RESONATE_FAAS_"
DAY_MS: Final = 86_400_000

LEASE_S_MIN: Final = 10
"""The clocks of two instances may lie a second apart, and a heartbeat may be tried again (design section 3)."""

LEASE_S_MAX: Final = 900
SWEEP_S_MAX: Final = 3_600
RETENTION_DAYS_MAX: Final = 3_650
PROMISES_LIMIT_MAX: Final = 1_000_000
SECRET_CHARACTERS_MIN: Final = 16
SHARED_KEY_BYTES_MIN: Final = 32
"""Of an HMAC with SHA-256 (RFC 7518, section 3.2)."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})

OPENABLE: Final = MappingProxyType({right.value: right for right in (Right.INVOKE, Right.READ, Right.SETTLE)})
WEBHOOK_RIGHTS: Final = frozenset(OPENABLE.values())
CALLER_RIGHTS: Final = WEBHOOK_RIGHTS | {Right.PROTOCOL}
"""What somebody may do whom the platform or a signed token has named."""


class DeploymentOptions(TypedDict, total=False):
    """The keyword arguments that every handler takes; each wins over the variable of its name.

    ``lease_seconds`` stands for ``RESONATE_FAAS_LEASE_SECONDS``, and so on. None and "" are as if absent.
    """

    lease_seconds: int | None
    sweep_seconds: int | None
    retention_days: int | None
    max_promises: int | None
    guard: Guard | None
    public_url: str | None
    link_key: str | None
    public_routes: Iterable[str] | None
    webhook_secret: str | None
    jwt_key: str | None
    jwt_jwks_url: str | None
    jwt_issuer: str | None
    jwt_audience: str | None
    strict: bool | None
    queues: Mapping[str, str] | None


class Source:
    """Where settings are read from: what the handler was given, else the environment.

    Args:
        environment: of the function.
        given: keyword arguments, by the name of the variable in lower case without its prefix.
    """

    def __init__(
        self, environment: Mapping[str, str], given: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._environment = environment
        self._given = given

    def text(self, name: str) -> str | None:
        """Return a text; None: it is not set, or is empty."""
        value = self._value(name)
        if value is not None and not isinstance(value, str):
            raise wrong(name, "must be a text")
        return value

    def required(self, name: str) -> str:
        """Return a text that must be there.

        Raises:
            ConfigurationError: it is not.
        """
        value = self.text(name)
        if value is None:
            raise wrong(name, "is not set")
        return value

    def secret(self, name: str, *, characters_min: int) -> str | None:
        """Return a text that is told to nobody, in no error either; None: it is not set.

        Raises:
            ConfigurationError: it is too short to be one.
        """
        value = self.text(name)
        if value is not None and len(value) < characters_min:
            raise wrong(name, f"must have at least {characters_min} characters")
        return value

    def whole(self, name: str, default: int | None, *, least: int, most: int) -> int | None:
        """Return a whole number within its bounds.

        Raises:
            ConfigurationError: it is none, or outside.
        """
        value = self._value(name)
        if value is None:
            return default
        text = str(value)
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
        if not least <= number <= most:
            raise wrong(name, f"must be a whole number from {least} to {most}, not {text[:40]!r}")
        return number

    def flag(self, name: str) -> bool:
        """Return True for 1 or true, False for 0, false or nothing.

        Raises:
            ConfigurationError: it is something else.
        """
        text = str(self._value(name) or "0").lower()
        if text not in {"0", "1", "false", "true"}:
            raise wrong(name, f"must be 0 or 1, not {text[:40]!r}")
        return text in {"1", "true"}

    def names(self, name: str) -> tuple[str, ...]:
        """Return the members of a comma-separated list, blanks left out."""
        value = self._value(name) or ()
        members = value.split(",") if isinstance(value, str) else value
        return tuple(stripped for member in members if (stripped := str(member).strip()))

    def mapping(self, name: str) -> Mapping[str, str]:
        """Return the members of a JSON object of texts.

        Raises:
            ConfigurationError: it is none.
        """
        value = self._value(name) or {}
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise wrong(name, "must be a JSON object") from error
        if not isinstance(value, Mapping) or not all(isinstance(member, str) for member in value.values()):
            raise wrong(name, 'must be a JSON object of texts, such as {"reports": "..."}')
        return dict(value)

    def _value(self, name: str) -> Any:
        value = self._given.get(name.lower())
        if value is None:
            value = self._environment.get(PREFIX + name)
        if isinstance(value, str):
            value = value.strip()
        return None if value == "" else value


def wrong(name: str, reason: str) -> ConfigurationError:
    """Return the error about a setting, named without its prefix."""
    return ConfigurationError(PREFIX + name, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSettings:
    """What every cloud's handler is told in the same way; docs/configuration.md says what each setting means.

    Attributes:
        guard: of workflows; None: the one that the business code asks for.
        public_url: without a slash at its end; None: not told.
        link_key: secret; None: external promises have no links.
        open_rights: what everybody may do.
        credentials: who else may do what, of those that both clouds know.
        queues: further queues by target name; what names one is the platform's.
    """

    lease_ms: int = 30_000
    sweep_interval_ms: int = 60_000
    retention_ms: int | None = None
    promises_max: int = PROMISES_MAX
    guard: Guard | None = None
    public_url: str | None = None
    link_key: bytes | None = field(default=None, repr=False)
    open_rights: frozenset[Right] = frozenset()
    credentials: tuple[Credential, ...] = ()
    strict: bool = False
    queues: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Source) -> Self:
        """Return the settings.

        Raises:
            ConfigurationError: one is missing or wrong; it is named.
        """
        lease_s = source.whole("LEASE_SECONDS", 30, least=LEASE_S_MIN, most=LEASE_S_MAX) or 0
        sweep_s = source.whole("SWEEP_SECONDS", 60, least=1, most=SWEEP_S_MAX) or 0
        days = source.whole("RETENTION_DAYS", None, least=1, most=RETENTION_DAYS_MAX)
        promises = source.whole("MAX_PROMISES", PROMISES_MAX, least=1, most=PROMISES_LIMIT_MAX) or 0
        link_key = source.secret("LINK_KEY", characters_min=KEY_BYTES_MIN)
        return cls(
            lease_ms=lease_s * 1_000,
            sweep_interval_ms=sweep_s * 1_000,
            retention_ms=None if days is None else days * DAY_MS,
            promises_max=promises,
            guard=_guard(source),
            public_url=_url(source, "PUBLIC_URL"),
            link_key=None if link_key is None else link_key.encode(),
            open_rights=_open_rights(source),
            credentials=_credentials(source),
            strict=source.flag("STRICT"),
            queues=source.mapping("QUEUES"),
        )

    @property
    def rules(self) -> Rules:
        """Return the machine's settings."""
        return Rules(strict=self.strict, retention_ms=self.retention_ms)

    @property
    def worker(self) -> WorkerSettings:
        """Return the settings of activations."""
        return WorkerSettings(lease_ms=self.lease_ms)

    def server(self, permits: Callable[[str], bool]) -> ServerSettings:
        """Return the server's settings.

        Args:
            permits: the platform's allow-list of addresses.
        """
        return ServerSettings(rules=self.rules, sweep_interval_ms=self.sweep_interval_ms, permits=permits)

    def links(self, base_url: str | Callable[[], str]) -> Links | None:
        """Return the maker of links; None: no key is set.

        Args:
            base_url: where the routes are reached, or what finds out, when the first link is made.
        """
        return None if self.link_key is None else Links(base_url, self.link_key)

    def pushes(self) -> BearerAccess | None:
        """Return who may push messages of an official server; None: whoever the platform lets in.

        With a secret or a key for tokens, only who shows one: what may start things may tell of them.
        """
        if not self.credentials:
            return None
        rights = frozenset({Right.DELIVER})
        return BearerAccess(Credential(accepts=one.accepts, rights=rights) for one in self.credentials)

    def access(self, *platform: Credential) -> BearerAccess:
        """Return who may do what.

        Args:
            platform: the credentials that only this platform knows.
        """
        return BearerAccess(
            (*self.credentials, *platform),
            open_rights=self.open_rights,
            has_links=self.link_key is not None,
        )


def _guard(source: Source) -> Guard | None:
    text = source.text("GUARD")
    if text is not None and text not in GUARDS:
        raise wrong("GUARD", f"must be one of {', '.join(GUARDS)}, not {text[:40]!r}")
    return text


def _url(source: Source, name: str) -> str | None:
    text = source.text(name)
    if text is not None and not text.startswith(("https://", "http://")):
        raise wrong(name, f"must begin with https://, not {text[:40]!r}")
    return None if text is None else text.rstrip("/")


def _is_beyond_change(url: str) -> bool:
    """True if what is fetched can't be changed on its way: by TLS, or on this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _open_rights(source: Source) -> frozenset[Right]:
    names = source.names("PUBLIC_ROUTES")
    unknown = [name for name in names if name not in OPENABLE]
    if unknown:
        raise wrong("PUBLIC_ROUTES", f"may list {', '.join(OPENABLE)}, not {unknown[0][:40]!r}")
    return frozenset(OPENABLE[name] for name in names)


def _credentials(source: Source) -> tuple[Credential, ...]:
    secret = source.secret("WEBHOOK_SECRET", characters_min=SECRET_CHARACTERS_MIN)
    found = (
        () if secret is None else (Credential(accepts=SharedSecret(secret).accepts, rights=WEBHOOK_RIGHTS),)
    )
    token = _json_web_token(source)
    return found if token is None else (*found, Credential(accepts=token.accepts, rights=CALLER_RIGHTS))


def _json_web_token(source: Source) -> JsonWebToken | None:
    """Return what verifies JSON web tokens; whoever else's key signs must name us as the audience."""
    key, jwks_url = source.text("JWT_KEY"), _url(source, "JWT_JWKS_URL")
    if jwks_url is not None and not _is_beyond_change(jwks_url):
        raise wrong(
            "JWT_JWKS_URL", "must begin with https://: whoever changes the keys on their way lets anybody in"
        )
    issuer, audience = source.text("JWT_ISSUER"), source.text("JWT_AUDIENCE")
    if key is None and jwks_url is None:
        if issuer is not None or audience is not None:
            raise wrong("JWT_KEY", "or RESONATE_FAAS_JWT_JWKS_URL is needed to verify tokens")
        return None
    if key is not None and jwks_url is not None:
        raise wrong("JWT_KEY", "and RESONATE_FAAS_JWT_JWKS_URL exclude each other")
    is_shared = key is not None and not is_public_key(key)
    if is_shared:
        source.secret("JWT_KEY", characters_min=SHARED_KEY_BYTES_MIN)
    elif audience is None:
        raise wrong("JWT_AUDIENCE", "is not set: without it every token of the issuer would be let in")
    if find_spec("jwt") is None:
        raise wrong("JWT_KEY", "needs PyJWT: install resonate-faas[jwt]")
    return JsonWebToken(key=key, jwks_url=jwks_url, issuer=issuer, audience=audience)
