"""The doctor's look at the parts: Firestore's indexes, the Cloud Tasks queues, Cloud Scheduler's tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from resonate_faas._diagnosis import Check, failed, ok
from resonate_faas_gcp._doctor_apis import GoogleApis, Json, unseen
from resonate_faas_gcp._indexes import (
    COMPOSITE_INDEXES,
    SINGLE_FIELD_EXEMPTIONS,
    TTL_FIELD,
    CompositeIndex,
    Mode,
)

LATE_INTERVALS: Final = 3
"""A tick that is so many intervals late does not come."""

PAGE: Final = "1000"
_TERRAFORM: Final = "Apply terraform/gcp again."
_DOCUMENT_ID: Final = "__name__"


def look_at_indexes(apis: GoogleApis, database: str, collection: str) -> Iterator[Check]:
    """Compare the indexes and exemptions of a collection with those that the store's queries need.

    Args:
        apis: to ask.
        database: its whole name.
        collection: of the promises.
    """
    group = f"v1/{database}/collectionGroups/{collection}"
    indexes = apis.get("firestore", f"{group}/indexes", pageSize=PAGE)
    yield _indexes(indexes.body) if indexes.ok else unseen("indexes", "firestore", indexes)
    fields = apis.get(
        "firestore", f"{group}/fields", filter="indexConfig.usesAncestorConfig:false", pageSize=PAGE
    )
    yield _exemptions(fields.body) if fields.ok else unseen("exemptions", "firestore", fields)
    expiring = apis.get("firestore", f"{group}/fields", filter="ttlConfig:*", pageSize=PAGE)
    yield _expiry(expiring.body) if expiring.ok else unseen("expiry", "firestore", expiring)


def _indexes(told: Json) -> Check:
    states = {_index(one): str(one.get("state")) for one in told.get("indexes", ())}
    missing = [_shown(one) for one in COMPOSITE_INDEXES if one not in states]
    unready = [
        f"{_shown(one)} is {states[one]}" for one in COMPOSITE_INDEXES if states.get(one, "READY") != "READY"
    ]
    if missing:
        return failed("indexes", f"missing: {'; '.join(missing)}", _TERRAFORM)
    if unready:
        return failed(
            "indexes",
            "; ".join(unready),
            "Wait until they are built; of NEEDS_REPAIR, apply terraform again.",
        )
    return ok("indexes", f"{len(COMPOSITE_INDEXES)} ready")


def _index(told: Json) -> CompositeIndex:
    fields: list[tuple[str, Mode]] = []
    for one in told.get("fields", ()):
        name, mode = str(one.get("fieldPath")), one.get("arrayConfig") or one.get("order")
        if name != _DOCUMENT_ID:
            fields.append((name, mode))
    return CompositeIndex(tuple(fields))


def _shown(index: CompositeIndex) -> str:
    return ", ".join(name for name, _ in index.fields)


def _exemptions(told: Json) -> Check:
    exempt = {_last(one) for one in told.get("fields", ()) if not one.get("indexConfig", {}).get("indexes")}
    missing = sorted(set(SINGLE_FIELD_EXEMPTIONS) - exempt)
    if missing:
        return failed("exemptions", f"indexed by themselves, at a cost: {', '.join(missing)}", _TERRAFORM)
    return ok("exemptions", f"{len(SINGLE_FIELD_EXEMPTIONS)} fields")


def _expiry(told: Json) -> Check:
    """Judge who else deletes documents: by the store's own field a late backstop, by any other half a tree."""
    states = {
        _last(one): one["ttlConfig"].get("state") for one in told.get("fields", ()) if "ttlConfig" in one
    }
    others = sorted(set(states) - {TTL_FIELD})
    if others:
        cure = "Delete the policy, and set retention_days instead."
        return failed("expiry", f"a TTL policy on {', '.join(others)} deletes promises", cure)
    if states.get(TTL_FIELD) not in {"ACTIVE", "CREATING"}:
        seen = f"the TTL policy on {TTL_FIELD} is {states.get(TTL_FIELD, 'missing')}"
        return failed("expiry", seen, f"{_TERRAFORM} What retention leaves behind stays for ever like this.")
    return ok("expiry", f"{TTL_FIELD}, {states[TTL_FIELD]}")


def _last(told: Json) -> str:
    return str(told.get("name", "")).rpartition("/")[2]


def look_at_queues(apis: GoogleApis, names: Sequence[str]) -> Iterator[Check]:
    """Look at state and settings of the queues.

    Args:
        apis: to ask.
        names: their whole names; the first is the deployment's own.
    """
    for index, name in enumerate(names):
        title = "queue" if index == 0 else f"queue {name.rpartition('/')[2]}"
        found = apis.get("cloudtasks", f"v2/{name}")
        if found.status == 404:
            yield failed(
                title,
                f"there is no {name}",
                f"{_TERRAFORM} The name of a deleted queue is taken for up to 3 days.",
            )
        elif not found.ok:
            yield unseen(title, "cloudtasks", found)
        else:
            yield _queue(title, found.body)


def _queue(title: str, told: Json) -> Check:
    name, state = _last(told), told.get("state")
    rates, retries = told.get("rateLimits", {}), told.get("retryConfig", {})
    seen = (
        f"{state}, {rates.get('maxDispatchesPerSecond', 0):g} a second, {rates.get('maxConcurrentDispatches', 0)}"
        f" at a time, {retries.get('maxAttempts', 0)} attempts"
    )
    if state != "RUNNING":
        return failed(title, seen, f"Nothing is delivered. Resume it: gcloud tasks queues resume {name}")
    if retries.get("maxAttempts") == 1:
        return failed(title, seen, "Let failed deliveries be tried again: else each waits for the sweep.")
    return ok(title, seen)


def look_at_tick(apis: GoogleApis, name: str, target: tuple[str, str, int], now_s: float) -> Iterator[Check]:
    """Look whether the sweep is asked for, rightly and lately.

    Args:
        apis: to ask.
        name: whole name of the job.
        target: the URL it should ask, the account whose token it should send, its interval in seconds.
        now_s: epoch seconds.
    """
    found = apis.get("cloudscheduler", f"v1/{name}")
    if found.status == 404:
        cure = f"{_TERRAFORM} Until then lost messages and crashed activations stay where they are."
        yield failed("tick", f"there is no {name}", cure)
    elif not found.ok:
        yield unseen("tick", "cloudscheduler", found)
    else:
        yield _tick(found.body, target, now_s)


def _tick(told: Json, target: tuple[str, str, int], now_s: float) -> Check:
    url, account, interval_s = target
    state, asks = told.get("state"), told.get("httpTarget", {})
    token, code = asks.get("oidcToken", {}), told.get("status", {}).get("code", 0)
    short = _last(told)
    if state != "ENABLED":
        return failed("tick", f"it is {state}", f"Resume it: gcloud scheduler jobs resume {short}")
    asked = (asks.get("httpMethod"), asks.get("uri"), token.get("serviceAccountEmail"), token.get("audience"))
    wanted = ("POST", url, account, url.removesuffix("/tick"))
    if asked != wanted:
        return failed("tick", f"it asks {asked}, not {wanted}", _TERRAFORM)
    last = told.get("lastAttemptTime")
    if last is None:
        return failed("tick", "it has not come yet", "Wait for a minute; then see whether its job is there.")
    age_s = int(now_s - datetime.fromisoformat(str(last)).timestamp())
    seen = f"{told.get('schedule')}, last {age_s} s ago"
    if code:
        cure = f"See what it was answered: gcloud logging read 'resource.labels.job_id={short}' --limit 3"
        return failed("tick", f"{seen}, failed with code {code}", cure)
    if age_s > LATE_INTERVALS * interval_s + 60:
        return failed("tick", seen, f"Run it by hand to see: gcloud scheduler jobs run {short}")
    return ok("tick", seen)
