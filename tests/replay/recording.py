"""How the histories were recorded: each one a root and its records at one rest, with what a replay must come to.

``python -m tests.replay.recording`` writes those that are missing; one that exists is never written again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.engine.stage import Stage
from tests.replay.code import FUNCTIONS

from resonate_faas import Resonate
from resonate_faas._machine.objects import PromiseState
from resonate_faas._records import encode_object

HISTORIES: Final = Path(__file__).parent / "histories"
HOUR_MS: Final = 3_600_000

PLANS: Final[Mapping[str, tuple[str, list[Any], list[tuple[str, Any]], int]]] = {
    # name: function, arguments, settlements from outside, how many of them come before the history is taken
    "purchase-waiting": ("purchase", [12.5], [("root:3", "yes")], 0),
    "purchase-ended": ("purchase", [12.5], [("root:3", "yes")], 1),
    "purchase-timed-out": ("purchase", [12.5], [("nobody", None)], 1),
    "persistent-retrying": ("persistent", [], [], 0),
    "persistent-deep": ("persistent", [], [("root:3.1", 5), ("root:3.2.1", 6)], 2),
    "persistent-ended": ("persistent", [], [("root:3.1", 5), ("root:3.2.1", 6), ("root:3.2.2.1", 7)], 3),
    "chooser-mapping": ("chooser", [], [("root:2", "second")], 1),
    "chooser-ended": ("chooser", [], [("root:2", "second"), ("nobody", None)], 2),
}


def recorded(name: str) -> dict[str, Any]:
    """Run a plan up to its cut; return the root, its records, and what a replay of them must come to."""
    function, args, settlements, taken = PLANS[name]
    resonate = Resonate()
    for one in FUNCTIONS:
        resonate.register(one)
    stage = Stage(resonate)
    stage.start(function, *args)
    stage.play(until_ms=stage.clock.now_ms() + 1_000)
    for promise_id, value in settlements[:taken]:
        if promise_id == "nobody":
            stage.play(until_ms=stage.clock.now_ms() + 5 * HOUR_MS)
            continue
        stage.play(until_ms=stage.clock.now_ms() + 200_000)
        stage.outside.client.settle(promise_id, PromiseState.RESOLVED, value)
        until = 1_000 if len(settlements) > taken or name.endswith("mapping") else 300_000
        stage.play(until_ms=stage.clock.now_ms() + until)
    root = stage.object("root")
    awaiting, _ = stage.replay()
    records = [row.object for page in stage.memory.history("root") for row in page]
    ended = root.promise.state is not PromiseState.PENDING
    return {
        "function": function,
        "awaiting": [] if ended else awaiting,
        "outcome": list(stage.outcome()) if ended else None,
        "root": json.loads(encode_object(root)),
        "records": [json.loads(encode_object(record)) for record in records if record is not None],
    }


def main() -> None:
    for name in PLANS:
        path = HISTORIES / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(recorded(name), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
