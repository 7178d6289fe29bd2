"""One run as a story: its outcome, its records, what its steps did. Two stories compared give findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from resonate_faas._engine.calls import Kind
from resonate_faas._engine.codec import Codec
from resonate_faas._machine.objects import SCOPE, Promise, PromiseState
from resonate_faas.testing._harness.findings import Finding
from resonate_faas.testing._harness.history import fields_of, is_attempt, place
from resonate_faas.testing._harness.ledger import StepRun
from resonate_faas.testing._harness.texts import exact, short
from resonate_faas.testing._harness.world import World

RECORDED_ONLY = "compute what a call gets from recorded values only: results of steps, arguments, ctx.now(), ctx.random, ctx.uuid4()"
GIVE_A_KEY = "give the effect an idempotency key that is the same in every run of the step (step.info.id), and hand it to the service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record without its instants.

    Attributes:
        call: what was called, with the digest of its arguments.
        ending: its state and value.
        function: the name; "" if nothing was called.
    """

    call: str
    ending: str
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One run.

    Attributes:
        outcome: what the scenario returned or raised, as text.
        records: by id; ids of detached executions by their place.
        effects: (name, key, payload) and how often; the key is None where there is none.
        runs: each execution of a step.
        strays: effects that no step did.
    """

    outcome: str
    records: dict[str, Record]
    effects: Counter[tuple[str, str | None, str]]
    runs: Sequence[StepRun]
    strays: Sequence[str]


def told(outcome: str, world: World) -> Story:
    """Return the story of a run that has ended."""
    codec = world.resonate.codec
    promises = [one.promise for one in world.records()]
    names = _successors(promises, codec)

    def plain(text: str) -> str:
        for promise_id, name in names:
            text = text.replace(promise_id, name)
        return text

    ledger = world.ledger
    effects = Counter(
        (one.name, None if one.key is None else plain(one.key), plain(exact(one.payload)))
        for one in ledger.effects
    )
    ordered = sorted(
        (one for one in promises if not is_attempt(one.id)), key=lambda one: _cause_first(one.id)
    )
    records = {plain(one.id): _record(one, codec, plain) for one in ordered}
    strays = [plain(one.text) for one in ledger.strays]
    return Story(outcome=plain(outcome), records=records, effects=effects, runs=ledger.runs, strays=strays)


def _cause_first(promise_id: str) -> tuple[str, tuple[float, ...]]:
    """Return a key that puts records in call order, and each after those below it, which made it what it is."""
    return promise_id.partition(":")[0], (*place(promise_id), inf)


def _successors(promises: Sequence[Promise], codec: Codec) -> list[tuple[str, str]]:
    """Return the ids of detached executions and their places; a place may hold another successor's id."""
    found = []
    for one in promises:
        fields = fields_of(one, codec)
        is_place = fields.get("kind") == Kind.DETACHED and one.tags.get(SCOPE) == "local"
        if is_place and one.state is PromiseState.RESOLVED:
            found.append((str(codec.decode(one.value, str, one.id)), f"<started by {one.id}>"))
    return [*found, *found]  # twice: the second time finds the ids in the names that the first put in


def _record(promise: Promise, codec: Codec, plain: Callable[[str], str]) -> Record:
    fields = fields_of(promise, codec)
    function, kind = str(fields.get("func") or ""), str(fields.get("kind") or "")
    ending = str(promise.state)
    if kind != Kind.NOW:
        ending = f"{ending} {plain(_payload(promise, codec))}".rstrip()
    call = f"{kind or 'promise'} {function}".rstrip()
    if fields.get("digest"):
        call = f"{call} (arguments {fields['digest']})"
    return Record(call=call, ending=ending, function=function)


def _payload(promise: Promise, codec: Codec) -> str:
    encoded = codec.unpack(promise.value, promise.id)
    return "" if encoded is None else encoded.decode()


def compared(calm: Story, other: Story, where: str, may_differ: Collection[str]) -> Iterator[Finding]:
    """Yield what differs between an undisturbed run and another one of the same scenario."""
    yield from rerun(other, where, may_differ)
    yield from _effects(calm, other, where)
    first = next(_records(calm, other, where, may_differ), None)
    if first is not None:
        yield first
    elif calm.outcome != other.outcome:
        yield Finding(
            what=f"the result is another\n  undisturbed: {short(calm.outcome)}\n  now:         {short(other.outcome)}",
            cure=f"{RECORDED_ONLY}; and keep no state between invocations outside the records",
            where=where,
        )


def rerun(story: Story, where: str, may_differ: Collection[str]) -> Iterator[Finding]:
    """Yield the steps that ran more than once with different inputs, and effects outside steps."""
    first: dict[str, StepRun] = {}
    for run in story.runs:
        before = first.setdefault(run.id, run)
        if before.inputs != run.inputs and run.function not in may_differ:
            yield Finding(
                what=f"the step {run.function} ({run.id}) ran twice with different inputs\n  first: {before.call}\n  again: {run.call}",
                cure=f"{RECORDED_ONLY}; a step must not change its arguments",
                where=where,
            )
    for text in dict.fromkeys(story.strays):
        yield Finding(
            what=f"an effect was done outside any step: {short(text)}",
            cure="a workflow's own code runs again in every invocation: move the effect into a step (ctx.run)",
            where=where,
        )


def _effects(calm: Story, other: Story, where: str) -> Iterator[Finding]:
    payloads: dict[tuple[str, str], str] = {}
    for (name, key, payload), count in other.effects.items():
        expected = calm.effects.get((name, key, payload), 0)
        if key is None:
            if count > expected:
                what = f"the effect {name} {short(payload)} happened {count} times instead of {expected}, and has no key"
                yield Finding(what=what, cure=GIVE_A_KEY, where=where)
            continue
        before = payloads.setdefault((name, key), payload)
        if before != payload:
            what = f"the effect {name} was done twice with the key {key!r}, for different things\n  first: {short(before)}\n  again: {short(payload)}"
            yield Finding(what=what, cure=RECORDED_ONLY, where=where)
        elif not expected:
            what = f"the effect {name} {short(payload)} with the key {short(key)!r} is one too many"
            yield Finding(what=what, cure=GIVE_A_KEY, where=where)
    for (name, key, payload), count in calm.effects.items():
        if other.effects.get((name, key, payload), 0) < (1 if key is not None else count):
            words = "" if key is None else f" with the key {short(key)!r}"
            yield Finding(
                what=f"the effect {name} {short(payload)}{words} was lost",
                cure="a step must do all of its effect again when it runs again: mark as done only what is done, in the same step and last",
                where=where,
            )


def _records(calm: Story, other: Story, where: str, may_differ: Collection[str]) -> Iterator[Finding]:
    """Yield the records that differ; the first one is the cause of the rest."""
    for promise_id in dict.fromkeys([*calm.records, *other.records]):
        left, right = calm.records.get(promise_id), other.records.get(promise_id)
        known = left or right
        if left == right or (known is not None and known.function in may_differ):
            continue
        yield Finding(
            what=f"the record {promise_id} is another\n  undisturbed: {_shown(left)}\n  now:         {_shown(right)}",
            cure=f"{RECORDED_ONLY}. If only the result of a step differs and may: name the step in may_differ",
            where=where,
        )


def _shown(record: Record | None) -> str:
    return "there is none" if record is None else short(f"{record.call}: {record.ending}")


__all__ = ["Story", "compared", "rerun", "told"]
