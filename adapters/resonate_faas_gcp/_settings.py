"""The settings of a deployment on Google Cloud, next to those that both clouds have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, Self
from urllib.parse import urlsplit

from resonate_faas._deployment import CALLER_RIGHTS, PREFIX, DeploymentSettings, Source, wrong
from resonate_faas._http import Right
from resonate_faas._http.bearer import BearerAccess, Credential
from resonate_faas_gcp._firestore_store import COLLECTION
from resonate_faas_gcp._oidc import CERTS_URL, ISSUERS, GoogleTokens

TIMEOUT_S_MAX: Final = 3_600
DISPATCH_DEADLINE_S_MIN: Final = 15
DISPATCH_DEADLINE_S_MAX: Final = 1_800

FIRESTORE_EMULATOR: Final = "FIRESTORE_EMULATOR_HOST"
"""Google's own variable: its client libraries heed it too."""

_QUEUE: Final = re.compile(r"projects/(?P<project>[^/]+)/locations/[^/]+/queues/[A-Za-z0-9-]{1,100}")
_ACCOUNT: Final = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """What is Google's; docs/configuration.md says what each setting means.

    Attributes:
        url: where this function is reached.
        queue: the default queue's full name.
        timeout_ms: how long an activation may take: the function's timeout, or the dispatch deadline if that is sooner.
        firestore_emulator: host and port; None: the real service.
        tasks_emulator: likewise.
    """

    common: DeploymentSettings
    project: str
    database: str
    collection: str
    url: str
    queue: str
    queue_account: str
    tick_account: str | None
    callers: tuple[str, ...]
    timeout_ms: int
    dispatch_deadline_s: int
    firestore_emulator: str | None
    tasks_emulator: str | None
    certs_url: str
    issuers: tuple[str, ...]

    @classmethod
    def read(cls, source: Source, environment: Mapping[str, str]) -> Self:
        """Return the settings.

        Raises:
            ConfigurationError: one is missing or wrong; it is named.
        """
        common = DeploymentSettings.read(source)
        queue = source.required("QUEUE")
        for name, one in (("QUEUE", queue), *(("QUEUES", one) for one in common.queues.values())):
            if not _QUEUE.fullmatch(one):
                raise wrong(name, f"must be projects/P/locations/L/queues/Q, not {one[:80]!r}")
        if common.public_url is None:
            raise wrong("PUBLIC_URL", "is not set: it is where messages are sent, and whom tokens are for")
        timeout_s = _timeout_s(source)
        default = max(min(timeout_s, DISPATCH_DEADLINE_S_MAX), DISPATCH_DEADLINE_S_MIN)
        deadline_s = source.whole(
            "DISPATCH_DEADLINE_SECONDS",
            default,
            least=DISPATCH_DEADLINE_S_MIN,
            most=DISPATCH_DEADLINE_S_MAX,
        )
        issuer, ticker = source.text("OIDC_ISSUER"), source.text("TICK_ACCOUNT")
        return cls(
            common=common,
            project=source.text("PROJECT") or queue.split("/")[1],
            database=source.text("DATABASE") or "(default)",
            collection=source.text("COLLECTION") or COLLECTION,
            url=common.public_url,
            queue=queue,
            queue_account=_account("QUEUE_ACCOUNT", source.required("QUEUE_ACCOUNT")),
            tick_account=None if ticker is None else _account("TICK_ACCOUNT", ticker),
            callers=tuple(_account("CALLERS", one) for one in source.names("CALLERS")),
            timeout_ms=min(timeout_s, deadline_s or default) * 1_000,
            dispatch_deadline_s=deadline_s or default,
            firestore_emulator=environment.get(FIRESTORE_EMULATOR) or None,
            tasks_emulator=source.text("CLOUD_TASKS_EMULATOR"),
            certs_url=_certs_url(source),
            issuers=ISSUERS if issuer is None else (issuer,),
        )

    @property
    def stand_ins(self) -> list[str]:
        """Return the variables that name something in Google's place: for tests, and for trying out."""
        named = {
            FIRESTORE_EMULATOR: self.firestore_emulator is not None,
            f"{PREFIX}CLOUD_TASKS_EMULATOR": self.tasks_emulator is not None,
            f"{PREFIX}OIDC_CERTS_URL": self.certs_url != CERTS_URL,
            f"{PREFIX}OIDC_ISSUER": self.issuers != ISSUERS,
        }
        return [name for name, is_set in named.items() if is_set]

    def access(self, transport: Callable[[], Callable[..., Any]]) -> BearerAccess:
        """Return who may do what: by the account that a token of Google's names, or by a common credential."""
        tokens = GoogleTokens(self.url, issuers=self.issuers, certs_url=self.certs_url, transport=transport)
        rights = [
            ((self.queue_account,), frozenset({Right.DELIVER})),
            ((self.tick_account,) if self.tick_account else (), frozenset({Right.TICK})),
            (self.callers, CALLER_RIGHTS),
        ]
        return self.common.access(
            *(Credential(accepts=tokens.of(accounts), rights=given) for accounts, given in rights if accounts)
        )


def _timeout_s(source: Source) -> int:
    """Return the function's timeout: the platform tells nobody, so it must be told here."""
    timeout_s = source.whole("TIMEOUT_SECONDS", None, least=1, most=TIMEOUT_S_MAX)
    if timeout_s is None:
        raise wrong("TIMEOUT_SECONDS", "is not set: give the function's own timeout")
    lease_s = source.whole("LEASE_SECONDS", 30, least=1, most=TIMEOUT_S_MAX) or 0
    if timeout_s <= lease_s:
        raise wrong(
            "TIMEOUT_SECONDS",
            f"must be more than the lease of {lease_s} s: a longer lease only delays the repair of a crash",
        )
    return timeout_s


def _account(name: str, text: str) -> str:
    if not _ACCOUNT.fullmatch(text):
        raise wrong(name, f"must be an account's e-mail address, not {text[:80]!r}")
    return text


def _certs_url(source: Source) -> str:
    """Return where the certificates are: whoever can change what is fetched lets anybody in, so only by TLS."""
    url = source.text("OIDC_CERTS_URL")
    if url is None:
        return CERTS_URL
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise wrong("OIDC_CERTS_URL", "must begin with https://, or be of this machine itself")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
