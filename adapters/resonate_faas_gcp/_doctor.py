"""``resonate-faas doctor --gcp``: a deployment on Cloud Functions, looked at from outside. Nothing is changed.

What belongs to it is found from the function's environment; who may not see that still gets what its name tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Final

import httpx

from resonate_faas._deployment import PREFIX, SWEEP_S_MAX, Source
from resonate_faas._diagnosis import Check, failed, ok, skipped
from resonate_faas._errors import ConfigurationError
from resonate_faas_gcp._doctor_apis import Answer, GoogleApis, Json, unseen
from resonate_faas_gcp._doctor_parts import look_at_indexes, look_at_queues, look_at_tick
from resonate_faas_gcp._doctor_trigger import look_at_trigger
from resonate_faas_gcp._settings import CloudSettings

TIMEOUT_S: Final = 60.0
"""A cold start is waited for."""

SWEEP_S: Final = 60
"""What terraform/gcp and the handler take where nothing is said."""

TERRAFORM: Final = "Apply terraform/gcp again."
PLACEHOLDER: Final = "x" * 64
"""Stands for what is in Secret Manager: long enough for any secret."""


def diagnose(
    name: str,
    *,
    region: str,
    project: str | None = None,
    url: str | None = None,
    token: str | None = None,
    environment: Mapping[str, str] = os.environ,
    now_s: Callable[[], float] = time.time,
) -> Iterator[Check]:
    """Look at a deployment with the application default credentials.

    Args:
        name: of the function.
        region: where it is.
        project: by default the one that the credentials name.
        url: where the function answers, if it is not at its own.
        token: an identity token for it; by default one of the account NAME-caller is asked for.
        environment: of this process.
        now_s: epoch seconds.

    Yields:
        The checks, in the order in which a call travels. One that the credentials have no right to make is skipped.
    """
    with httpx.Client(timeout=TIMEOUT_S) as client:
        apis = GoogleApis(client, environment)
        found = project or apis.project
        if found is None:
            yield failed("project", "the credentials name none", "Say which: --project PROJECT")
            return
        seen = Deployment(name, project=found, region=region, url=url, apis=apis)
        yield from _look_at_function(seen)
        yield from look_at_trigger(client, seen.url, token or seen.own_token)
        yield from _look_at_database(seen)
        yield from look_at_queues(apis, seen.queues)
        yield from look_at_tick(apis, seen.tick, seen.tick_target, now_s())


class Deployment:
    """The function, and what is found from it.

    Args:
        name: of the function.
        project: where it is.
        region: likewise.
        url: where it answers; by default at its own URL.
        apis: to ask.
    """

    def __init__(self, name: str, *, project: str, region: str, url: str | None, apis: GoogleApis) -> None:
        self.name, self.project, self.region, self.apis = name, project, region, apis
        self.place = f"projects/{project}/locations/{region}"
        self._url = url

    @cached_property
    def function(self) -> Answer:
        """The function as Cloud Functions tells of it."""
        return self.apis.get("cloudfunctions", f"v2/{self.place}/functions/{self.name}")

    @cached_property
    def service(self) -> Json:
        """How it is run."""
        found: Json = self.function.body.get("serviceConfig", {})
        return found

    @cached_property
    def environment(self) -> dict[str, str]:
        """The function's environment; what is secret has a placeholder."""
        secret = {
            one.get("key", ""): PLACEHOLDER for one in self.service.get("secretEnvironmentVariables", ())
        }
        return {**secret, **self.service.get("environmentVariables", {})}

    def setting(self, name: str, default: str) -> str:
        """Return a setting of the function; the default if it is not set or can't be seen."""
        return self.environment.get(f"{PREFIX}{name}") or default

    @property
    def own_url(self) -> str:
        """The URL that the function is told, and that tokens are for."""
        own = f"https://{self.region}-{self.project}.cloudfunctions.net/{self.name}"
        return self.setting("PUBLIC_URL", own).rstrip("/")

    @property
    def url(self) -> str:
        """Where to ask it."""
        return (self._url or self.own_url).rstrip("/")

    @property
    def database(self) -> str:
        """The whole name of its database: where nothing can be seen, the one that terraform/gcp would make."""
        default = "(default)" if self.function.ok else self.name
        return f"projects/{self.project}/databases/{self.setting('DATABASE', default)}"

    @property
    def queues(self) -> tuple[str, ...]:
        """The whole names of its queues."""
        own = self.setting("QUEUE", f"{self.place}/queues/{self.name}")
        try:
            return (own, *Source(self.environment).mapping("QUEUES").values())
        except ConfigurationError:  # the check of the settings tells it
            return (own,)

    @property
    def tick(self) -> str:
        """The whole name of the tick's job."""
        return f"{self.place}/jobs/{self.name}-tick"

    @property
    def tick_target(self) -> tuple[str, str, int]:
        """What the tick should ask, as which account, and how often in seconds."""
        account = self.setting("TICK_ACCOUNT", self._account("tick"))
        try:
            interval_s = Source(self.environment).whole("SWEEP_SECONDS", None, least=1, most=SWEEP_S_MAX)
        except ConfigurationError:  # as above
            interval_s = None
        return f"{self.own_url}/tick", account, interval_s or SWEEP_S

    def own_token(self) -> Answer:
        """Return a token of the account that people call as, if the credentials may make one."""
        account = f"v1/projects/-/serviceAccounts/{self._account('caller')}:generateIdToken"
        return self.apis.post("iamcredentials", account, {"audience": self.own_url, "includeEmail": True})

    def _account(self, role: str) -> str:
        return f"{self.name}-{role}@{self.project}.iam.gserviceaccount.com"


def _look_at_function(seen: Deployment) -> Iterator[Check]:
    found = seen.function
    if found.status == 404:
        yield failed(
            "function",
            f"none {seen.name} in {seen.region} of {seen.project}",
            "Check name, region and project.",
        )
        return
    if not found.ok:
        yield unseen("function", "cloudfunctions", found)
        yield skipped("settings", "the function can't be seen; what follows goes by its name")
        return
    state = str(found.body.get("state"))
    told = f"{state}, {seen.service.get('revision', 'no revision')}"
    if state == "ACTIVE":
        yield ok("function", told)
    else:
        why = "; ".join(str(one.get("message")) for one in found.body.get("stateMessages", ()))
        yield failed("function", f"{told}: {why or 'no reason given'}", "Deploy it again: terraform apply")
    yield _settings(seen)


def _settings(seen: Deployment) -> Check:
    """Compare what the function is told with what it is; read as the function reads it."""
    given = {key: one for key, one in seen.environment.items() if not key.startswith(f"{PREFIX}JWT_")}
    try:
        settings = CloudSettings.read(Source(given), {})
    except ConfigurationError as error:
        return failed("settings", str(error), "Set it in terraform; the function does not start like this.")
    timeout, told = seen.service.get("timeoutSeconds"), seen.setting("TIMEOUT_SECONDS", "")
    if str(timeout) != told:
        return failed(
            "settings",
            f"the time-out is {timeout} s, RESONATE_FAAS_TIMEOUT_SECONDS says {told}",
            "Set both in terraform: an activation must know when it ends.",
        )
    own = str(seen.function.body.get("url", ""))
    if settings.url not in {own.rstrip("/"), str(seen.service.get("uri", "")).rstrip("/")}:
        return failed(
            "settings",
            f"the function is at {own}, RESONATE_FAAS_PUBLIC_URL says {settings.url}",
            "Set it right: messages are sent there, and tokens are for it.",
        )
    return ok("settings", f"lease {settings.common.lease_ms // 1_000} s, time-out {timeout} s")


def _look_at_database(seen: Deployment) -> Iterator[Check]:
    found = seen.apis.get("firestore", f"v1/{seen.database}")
    if found.status == 404:
        yield failed("database", f"there is no {seen.database}", TERRAFORM)
        return
    if not found.ok:
        yield unseen("database", "firestore", found)
        return
    kind, place = found.body.get("type"), found.body.get("locationId")
    if kind != "FIRESTORE_NATIVE":
        yield failed("database", f"{seen.database} is {kind}", "Use a database in native mode.")
        return
    yield ok("database", f"{seen.database} in {place}")
    yield from look_at_indexes(seen.apis, seen.database, seen.setting("COLLECTION", "resonate"))
