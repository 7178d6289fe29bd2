"""The doctor's look at the trigger: is the function reached, does it refuse strangers, does it know its callers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx

from resonate_faas._diagnosis import Check, failed, ok, skipped
from resonate_faas_gcp._doctor_apis import Answer, json_of

PROTOCOL_VERSION: Final = "2026-04-01"
HALTED_SHOWN: Final = 5
HALTED_MAX: Final = 1_000
_NOT_SENT: Final = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
_LOGS: Final = "Look at its log: gcloud functions logs read NAME --gen2 --region REGION"


def look_at_trigger(client: httpx.Client, url: str, token: str | Callable[[], Answer]) -> Iterator[Check]:
    """Look at the function through its URL.

    Args:
        client: to ask with.
        url: without a slash at its end.
        token: of a caller, or what asks for one.
    """
    try:
        yield from _look(client, url, token)
    except _NOT_SENT as error:
        yield failed("reachable", f"{url}: {type(error).__name__}: {error}", "Check the URL, and the token.")


def _look(client: httpx.Client, url: str, token: str | Callable[[], Answer]) -> Iterator[Check]:
    reached = _reached(url, client.get(f"{url}/health"))
    yield reached
    if reached.cure:
        return
    yield _strangers(client.post(f"{url}/tick", json={}))
    given, why = _token(token)
    if given is None:
        yield skipped("callers", why)
        yield skipped("halted tasks", "without a token they can't be seen")
        return
    yield from _look_as_caller(client, url, {"authorization": f"Bearer {given}"})


def _reached(url: str, health: httpx.Response) -> Check:
    if health.status_code == 200 and json_of(health):
        return ok("reachable", url)
    if health.status_code in {401, 403}:
        return failed(
            "reachable",
            f"{url}: the platform refuses requests with {health.status_code} before the function sees them",
            "Give roles/run.invoker to allUsers: the function checks its callers itself, and can't if the platform does.",
        )
    if health.status_code == 404:
        return failed(
            "reachable", f"{url}: nothing of ours is there", "Check name, region, project and --url."
        )
    return failed("reachable", f"{url}: status {health.status_code}", f"It does not start. {_LOGS}")


def _strangers(answer: httpx.Response) -> Check:
    """Judge what a tick without a token was answered: nobody can have opened that."""
    if answer.status_code in {401, 403}:
        return ok("strangers", f"refused with {answer.status_code}")
    return failed(
        "strangers",
        f"a tick without a token was answered with {answer.status_code}",
        "Do not pass an access of your own that lets strangers in.",
    )


def _token(token: str | Callable[[], Answer]) -> tuple[str | None, str]:
    """Return a caller's token, or why there is none."""
    if isinstance(token, str):
        return token, ""
    answer = token()
    made = answer.body.get("token")
    if answer.ok and isinstance(made, str):
        return made, ""
    hint = "name yourself in terraform's callers, or give --token"
    return None, f"no token of the account NAME-caller ({answer.reason}); {hint}"


def _look_as_caller(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[Check]:
    body = {
        "kind": "task.search",
        "head": {"corrId": f"doctor-{secrets.token_hex(8)}", "version": PROTOCOL_VERSION},
        "data": {"state": "halted", "limit": HALTED_MAX},
    }
    answer = client.post(f"{url}/", json=body, headers=headers)
    told = json_of(answer)
    if answer.status_code in {401, 403}:
        why = told.get("detail") or told.get("data") or "no reason given"
        yield failed(
            "callers",
            f"a token was refused with {answer.status_code}: {why}",
            f"Its audience must be {url}, its account one of RESONATE_FAAS_CALLERS, and it is valid for an hour.",
        )
        yield skipped("halted tasks", "the token was refused")
        return
    yield ok("callers", "a token was accepted")
    found: Any = told.get("data", {})
    if answer.status_code != 200 or not isinstance(found, dict) or not isinstance(found.get("tasks"), list):
        why = found if isinstance(found, str) else f"status {answer.status_code}"
        yield failed("halted tasks", f"the search failed: {why}", f"The store does not answer. {_LOGS}")
        return
    yield _halted([str(one.get("id")) for one in found["tasks"]], url)


def _halted(ids: list[str], url: str) -> Check:
    if not ids:
        return ok("halted tasks", "none")
    shown = ", ".join(ids[:HALTED_SHOWN]) + (", ..." if len(ids) > HALTED_SHOWN else "")
    count = f"{len(ids)} or more" if len(ids) >= HALTED_MAX else str(len(ids))
    return failed(
        "halted tasks",
        f"{count}: {shown}",
        f"See why with resonate-faas get ID --url {url}; once it is mended, resonate-faas tasks continue ID --url {url}",
    )
