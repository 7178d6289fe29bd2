"""Why an execution or promise waits, in words: the server's explanation in, a sentence and lines out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from resonate_faas_cli._exits import command
from resonate_faas_cli._payloads import error_text, plain, short
from resonate_faas_cli._promises import failure_text, instant, is_settled
from resonate_faas_cli._tree import ICONS
from resonate_faas_cli._values import format_duration

Json = Mapping[str, Any]

LINES_MAX: Final = 20
"""Calls, retries and awaiters listed for people; JSON has a hundred of each."""

BUDGET_SHARE: Final = 0.5
"""Of the promise limit, from which the engine warns (resonate_faas.WorkerSettings)."""

_TIMERS: Final = frozenset({"sleep", "retry"})


def sentence(known: Json) -> str:
    """Return in one sentence why it waits.

    Args:
        known: what GET /promises/{id}/explain answers.
    """
    promise, task = known["promise"], known.get("task")
    if is_settled(promise):
        took = format_duration(promise.get("settledAt", 0) - promise["createdAt"])
        words = "resolved" if promise["state"] == "resolved" else failure_text(promise)
        return f"it waits for nothing: {words}, after {took}"
    if task is None:
        return _why_promise(known)
    told = {
        "pending": _why_pending,
        "acquired": _why_acquired,
        "suspended": _why_suspended,
        "halted": _why_halted,
    }.get(task["state"])
    return told(known) if told is not None else f"its task is {task['state']}"


def _why_promise(known: Json) -> str:
    promise, kind, at = known["promise"], known["call"].get("kind", ""), known["at"]
    if kind in _TIMERS:
        left = promise["timeoutAt"] - at
        what = "it is a timer" if kind == "sleep" else "it is the pause before the next attempt of a step"
        return f"{what}: {f'it ends in {format_duration(left)}' if left > 0 else 'it is due'}"
    if kind == "promise":
        return f"it waits for somebody to settle it: {command('resolve', promise['id'], 'VALUE')}"
    holder = known.get("holder")
    if holder is None:
        return "nobody runs it: it waits for somebody to settle it"
    state = holder.get("taskState", holder["state"])
    how = {
        "acquired": "is running now",
        "suspended": "waits for something of its own",
        "halted": f"is halted: {short(holder.get('reason') or 'by hand')}",
    }.get(state, f"is {state}")
    return f"it is a call of {holder['id']}, which {how}: {command('explain', holder['id'])}"


def _why_pending(known: Json) -> str:
    task, at = known["task"], known["at"]
    following, rest = task.get("nextDispatchAt"), task.get("backsOffUntil")
    if isinstance(rest, int) and rest > at:
        reason = short(known["promise"].get("reason") or "no reason is on record")
        count = task["barren"]
        words = f"{count} activation{'s' if count != 1 else ''} recorded nothing new"
        return f"it backs off for another {format_duration(rest - at)}, since {words}: {reason}"
    if not task["dispatches"] and isinstance(following, int) and following > at:
        return f"it starts in {format_duration(following - at)}"
    where = task.get("target", "")
    if task["dispatches"] > 1:
        return f"it was sent {task['dispatches']} times to {where}, and nobody took it: is a worker there?"
    return f"it was sent to {where}, and is not taken yet"


def _why_acquired(known: Json) -> str:
    task, at = known["task"], known["at"]
    left = task["leaseExpiresAt"] - at
    if left <= 0:
        return f"its holder {task['pid']} is gone; another one takes over within moments"
    return f"it runs, held by {task['pid']}; the lease ends in {format_duration(left)} unless it is extended"


def _why_suspended(known: Json) -> str:
    calls, retries = known["calls"], known["retries"]
    if not calls["count"] and not retries["count"]:
        look = command("promises", "search", "--tag", f"resonate:parent={known['promise']['id']}")
        return f"it waits for an execution with an id of its own, which is not in this tree: {look}"
    names = [short(f"{one['id']} {_call(one)}".rstrip()) for one in _leaves(known)]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"it waits for {', '.join(names[:2])}{more}"


def _why_halted(known: Json) -> str:
    promise = known["promise"]
    reason = short(promise.get("reason") or "by hand")
    return f"it is halted: {reason}; once the reason is gone: {command('tasks', 'continue', promise['id'])}"


def _leaves(known: Json) -> list[Json]:
    """Return what it waits for in the end: its open calls but those that wait for other open calls, and retries."""
    listed = [*known["calls"]["promises"], *known["retries"]["promises"]]
    parents = {one["call"].get("parent") for one in listed}
    return [one for one in listed if one["id"] not in parents or one.get("taskState")]


def lines(known: Json) -> Iterator[str]:
    """Yield an explanation for people: the sentence first, then what is known, a name and a text a line."""
    promise = known["promise"]
    state = str(promise["state"])
    head = " ".join(word for word in (plain(str(promise["id"])), ICONS.get(state, ""), state) if word)
    yield f"{head}: {plain(sentence(known))}"
    fields: list[tuple[str, str]] = [
        ("call", _origin(known)),
        ("created", f"{instant(promise['createdAt'])}{_ago(known, promise['createdAt'])}"),
        ("deadline", "" if is_settled(promise) else instant(promise["timeoutAt"])),
        ("task", _task(known)),
        ("reason", str(promise.get("reason") or "")),
        *(("waits for", _waited(known, one)) for one in _open(known)),
        *(("retries", _retried(known, one)) for one in _listed(known, "retries")),
        ("wakes on", ", ".join(one["id"] for one in _listed(known, "awaits"))),
        ("next due", "" if "nextDueAt" not in known else f"{instant(known['nextDueAt'])}{_in(known)}"),
        ("replay", _budget(known)),
        ("awaited by", _some(known["callbacks"]["ids"], known["callbacks"]["count"])),
        ("listeners", _some(known["listeners"]["addresses"], known["listeners"]["count"])),
    ]
    for name, text in fields:
        if text:
            yield f"  {name:<10} {plain(text)}"


def _listed(known: Json, name: str) -> list[Json]:
    found = known.get(name)
    return [] if found is None else list(found["promises"][:LINES_MAX])


def _open(known: Json) -> list[Json]:
    if "calls" not in known:
        return []
    return [one for one in _leaves(known) if one["call"].get("kind") != "retry"][:LINES_MAX]


def _origin(known: Json) -> str:
    call = known["call"]
    words = [_call(known).strip("()")]
    if call.get("version") and call.get("function"):
        words.append(f"version {call['version']}")
    if call.get("code"):
        words.append(f"code {call['code']}")
    if call.get("parent"):
        words.append(f"called by {call['parent']}")
    schedule = known["promise"].get("tags", {}).get("resonate:schedule")
    if schedule:
        words.append(f"by schedule {schedule}")
    return ", ".join(word for word in words if word)


def _call(one: Json) -> str:
    """Return a call in brackets, as the tree shows it; what is no function repeats its kind."""
    kind, function = one["call"].get("kind", ""), one["call"].get("function", "")
    words = [kind, "" if function == kind else function]
    text = " ".join(word for word in words if word)
    return f"({text})" if text else ""


def _task(known: Json) -> str:
    task = known.get("task")
    if task is None or is_settled(known["promise"]):
        return ""
    words = [f"{task['state']}, version {task['version']}"]
    if task["dispatches"]:
        words.append(f"sent {task['dispatches']} times")
    if task["barren"]:
        words.append(f"{task['barren']} of {task['barrenMax']} activations without a new record")
    if "leaseExpiresAt" in task:
        words.append(f"held by {task['pid']} until {instant(task['leaseExpiresAt'])}")
    if "nextDispatchAt" in task:
        words.append(f"next sent at {instant(task['nextDispatchAt'])}")
    return "; ".join(words)


def _waited(known: Json, one: Json) -> str:
    at, kind = known["at"], one["call"].get("kind", "")
    words = [one["id"], _call(one)]
    if kind in _TIMERS:
        left = one["timeoutAt"] - at
        words.append(f"wakes in {format_duration(left)}" if left > 0 else "is due")
    else:
        words.append(f"for {format_duration(max(at - one['createdAt'], 0))}")
    if kind == "promise":
        words.append(f"until {instant(one['timeoutAt'])}: {command('resolve', one['id'], 'VALUE')}")
    if one.get("taskState"):
        reason = f" ({short(one['reason'])})" if one.get("reason") else ""
        words.append(f"its task is {one['taskState']}{reason}: {command('explain', one['id'])}")
    return " ".join(word for word in words if word)


def _retried(known: Json, one: Json) -> str:
    call, left = one["call"], one["timeoutAt"] - known["at"]
    error = error_text(call.get("error"))
    count = call.get("attempt", 1)
    again = f"again in {format_duration(left)}" if left > 0 else "the next attempt is due"
    times = "once" if count == 1 else f"{count} times"
    failed = f"failed {times}: {error}" if error else f"failed {times}"
    return f"{call.get('parent', one['id'])} (run {call.get('function', '')}) {failed}; {again}"


def _budget(known: Json) -> str:
    budget = known.get("budget")
    if budget is None or is_settled(known["promise"]):
        return ""
    count, limit = budget["promises"], budget["promisesMax"]
    lease = format_duration(budget["leaseMs"])
    took = f"took {format_duration(budget['replayMs'])} the last time and " if budget["replayMs"] else ""
    text = f"{count:,} of {limit:,} promises; replaying them {took}must end well within a lease of {lease}"
    if budget["replayMs"] > BUDGET_SHARE * budget["leaseMs"]:
        return f"{text}: over {BUDGET_SHARE:.0%} of the lease, split the loop with ctx.detached"
    if count <= BUDGET_SHARE * limit:
        return text
    return f"{text}: over {BUDGET_SHARE:.0%} of the limit, split the loop with ctx.detached"


def _some(named: list[str], count: int) -> str:
    shown = ", ".join(named[:LINES_MAX])
    return f"{shown} and {count - LINES_MAX} more" if count > LINES_MAX else shown


def _ago(known: Json, at: int) -> str:
    return f" ({format_duration(max(known['at'] - at, 0))} ago)"


def _in(known: Json) -> str:
    left = known["nextDueAt"] - known["at"]
    return f" (in {format_duration(left)})" if left > 0 else " (due)"
