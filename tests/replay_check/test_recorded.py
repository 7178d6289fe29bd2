"""Recorded histories against the code that wrote them, and against code that changed: without a store, without a step."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.replay import code
from tests.replay.recording import HISTORIES

from resonate_faas import Context, DecodingError, Resonate
from resonate_faas._histories import RecordedTree, read_tree
from resonate_faas._machine.objects import ORIGIN, PromiseObject, PromiseState
from resonate_faas._records import decode_object
from resonate_faas._replay_check import Outcome, Verdict, replay_check
from resonate_faas.testing import Harness, MemoryDeployment

EVERY = sorted(HISTORIES.glob("*.json"))


def tree(name: str) -> RecordedTree:
    """Return a frozen history as an exported one."""
    recording = json.loads((HISTORIES / f"{name}.json").read_text())
    stored = [
        decode_object(json.dumps(fields).encode()) for fields in (recording["root"], *recording["records"])
    ]
    records = {one.id: one.promise for one in stored}  # type: ignore[union-attr]
    latest = max(one.settled_at or one.created_at for one in records.values())
    return RecordedTree(root_id="root", exported_at=latest, records=records)


def app(**replaced: Callable[..., Any]) -> Resonate:
    """Return the code behind the histories, some functions in place of others."""
    resonate = Resonate()
    for one in code.FUNCTIONS:
        if one.__name__ not in replaced:
            resonate.register(one)
    for name, function in replaced.items():
        resonate.register(name=name)(function)
    return resonate


def check(resonate: Resonate, name: str) -> Verdict:
    verdict, *_ = replay_check(resonate, tree(name))
    assert verdict.promise_id == "root"
    return verdict


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_the_code_that_recorded_a_history_replays_clean(path: Path) -> None:
    verdict = check(app(), path.stem)
    assert (verdict.outcome, verdict.reason, verdict.notes) == (Outcome.CLEAN, "", ())
    if path.stem.endswith(("ended", "timed-out")):
        assert verdict.until == "to its end"
    else:
        assert verdict.until.startswith("waits for root:")


@pytest.mark.parametrize(
    ("name", "workflow", "changed", "promise_id", "was", "now"),
    [
        ("purchase-ended", "purchase", code.purchase_reordered, "root:2", "now now", "run charge"),
        ("purchase-waiting", "purchase", code.purchase_reordered, "root:2", "now now", "run charge"),
        ("chooser-ended", "chooser", code.chooser_unlimited, "root:3", "race race", "sleep sleep"),
    ],
)
def test_changed_code_diverges_with_both_sides(
    name: str, workflow: str, changed: Callable[..., Any], promise_id: str, was: str, now: str
) -> None:
    verdict = check(app(**{workflow: changed}), name)
    assert verdict.outcome is Outcome.DIVERGED
    found = verdict.divergence
    assert found is not None
    assert found.promise_id == promise_id
    assert found.recorded.startswith(was)
    assert found.present.startswith(now)
    assert "tests/replay/code.py" in found.line
    assert verdict.reason == str(found)


def test_code_that_goes_on_differently_behind_the_record_is_clean_and_runs_no_step() -> None:
    ran: list[str] = []

    def note(text: str) -> None:
        ran.append(text)

    async def chooser(ctx: Context) -> list[Any]:
        words = [ctx.promise(str), ctx.promise(str)]
        won = await ctx.race(*words)
        await ctx.run(note, won)
        return [won]

    recorded = tree("chooser-mapping")
    kept = {
        key: one for key, one in recorded.records.items() if key in {"root", "root:1", "root:2", "root:3"}
    }
    (verdict,) = replay_check(app(chooser=chooser), replace(recorded, records=kept))
    assert (verdict.outcome, verdict.until) == (Outcome.CLEAN, "next: run note")
    assert ran == []


def test_an_ended_execution_that_would_go_on_is_clean_and_says_so() -> None:
    async def purchase(ctx: Context, amount: float) -> Any:
        before = await code.purchase(ctx, amount)
        return await ctx.run(code.label, str(before))

    verdict = check(app(purchase=purchase), "purchase-ended")
    assert (verdict.outcome, verdict.until.partition(" (")[0]) == (Outcome.CLEAN, "next: run label")
    assert "it had ended" in verdict.notes[0]


def test_a_function_that_is_gone_and_arguments_that_do_not_fit_are_told() -> None:
    gone = Resonate()
    gone.register(version=2)(code.purchase)
    assert check(gone, "purchase-waiting").outcome is Outcome.MISSING
    assert check(Resonate(), "purchase-waiting").outcome is Outcome.MISSING

    async def purchase(ctx: Context, amount: float, currency: str) -> None:
        del ctx, amount, currency

    verdict = check(app(purchase=purchase), "purchase-waiting")
    assert verdict.outcome is Outcome.UNREADABLE
    assert "currency" in verdict.reason


def test_what_a_guard_refuses_is_told() -> None:
    async def purchase(ctx: Context, amount: float) -> None:
        open("/dev/null").close()  # noqa: PTH123, ASYNC230 - what a workflow must not do
        del ctx, amount

    strict = app(purchase=purchase)
    strict.guard = "error"
    assert check(strict, "purchase-waiting").outcome is Outcome.REFUSED
    warned = check(app(purchase=purchase), "purchase-waiting")
    assert warned.outcome is Outcome.DIVERGED
    assert any("open" in note for note in warned.notes)


def test_a_document_reads_back_and_refuses_what_is_none() -> None:
    exported = tree("purchase-waiting")
    document = json.loads(json.dumps(exported.document()))
    assert read_tree(document).document() == read_tree(json.dumps(document)).document() == document
    twice = {**document, "records": [*document["records"], document["records"][0]]}
    rootless = {**document, "root": "other"}
    for broken in (b"{", "[]", {}, {**document, "version": 2}, twice, rootless):
        with pytest.raises(DecodingError, match=r"^cannot read 'file'|file"):
            read_tree(broken, where="file")


def test_a_child_is_replayed_by_itself() -> None:
    root, child = replay_check(app(), tree("purchase-ended"))
    assert (root.promise_id, child.promise_id, child.function) == ("root", "root:7r", "ship")
    assert child.records == 0  # its own records are not in this old file
    assert child.outcome is Outcome.CLEAN


def deployed(resonate: Resonate, *args: Any) -> RecordedTree:
    """Run a workflow that waits for somebody; return what is on record."""
    deployment = MemoryDeployment(resonate)
    now = deployment.clock.now_ms()
    deployment.start("asking", *args)
    deployment.settle(until_ms=now + 1_000)
    found = deployment.node.server.search("promise", tags={ORIGIN: "root"}, limit=100, after=None)
    records = {one.id: one.promise for one in found if isinstance(one, PromiseObject)}
    assert len(records) > 1
    return RecordedTree(root_id="root", exported_at=now + 1_000, records=records)


def test_an_argument_with_a_link_is_let_pass_and_said_to_be() -> None:
    def told(text: str) -> str:
        return text

    def asking(resonate: Resonate, *, first: bool) -> Resonate:
        @resonate.register(name="asking")
        async def workflow(ctx: Context) -> str:
            decision = ctx.promise(str)
            if first:
                await ctx.run(told, "http://here.invalid/promises/root%3A1/resolve?token=1")
            else:
                await ctx.run(told, decision.link("resolve"))
            return await decision

        return resonate

    recorded = deployed(asking(Resonate(), first=True))
    (verdict,) = replay_check(asking(Resonate(), first=False), recorded)
    assert (verdict.outcome, verdict.until) == (Outcome.CLEAN, "waits for root:1")
    assert "'root:2' were not compared" in verdict.notes[0]


def test_a_promise_with_an_id_of_its_own_is_answered_from_the_record() -> None:
    resonate = Resonate()

    @resonate.register
    async def asking(ctx: Context, number: int) -> int:
        async def later(ctx: Context) -> int:
            return await ctx.run(int, number)

        return await ctx.options(id="own").promise(int) + await later(ctx)

    recorded = deployed(resonate, 3)
    (waiting,) = replay_check(resonate, recorded)
    assert waiting.until == "waits for own"
    own = replace(recorded.records["own"], state=PromiseState.RESOLVED, settled_at=recorded.exported_at)
    own = replace(own, value=resonate.codec.encode(4, int, "own"))
    (going_on,) = replay_check(resonate, replace(recorded, records={**recorded.records, "own": own}))
    assert going_on.until == "next: run int"


def test_a_test_of_the_kit_replays_an_exported_execution(tmp_path: Path) -> None:
    path = tmp_path / "purchase.json"
    path.write_text(json.dumps(tree("purchase-waiting").document()))
    with Harness(app()) as harness:
        assert harness.replay_recorded(path).runs == 1
    with Harness(app(purchase=code.purchase_reordered)) as harness:
        for exported in (str(path), json.loads(path.read_text())):
            with pytest.raises(AssertionError, match="diverged: 'root:2' was recorded as now now"):
                harness.replay_recorded(exported)


def test_what_an_earlier_execution_of_the_same_id_left_is_not_replayed() -> None:
    recorded = tree("purchase-waiting")
    stale = replace(
        recorded.records["root:1"], id="root:5", created_at=recorded.records["root"].created_at - 1
    )
    (verdict,) = replay_check(app(), replace(recorded, records={**recorded.records, "root:5": stale}))
    assert (verdict.outcome, verdict.until) == (Outcome.CLEAN, "waits for root:3, root:4")
