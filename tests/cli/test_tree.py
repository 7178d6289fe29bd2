"""A call tree, from the records of a search to the lines of a terminal."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from resonate_faas_cli._follow import cropped
from resonate_faas_cli._tree import build, document, lines

T0 = 1_700_000_000_000
NOW = T0 + 10_000

Json = dict[str, Any]


def value(content: object) -> Json:
    return {"data": b64encode(json.dumps(content).encode()).decode()}


def marks(kind: str, func: str) -> Json:
    return value({"func": func, "version": 1, "kind": kind, "digest": "3f2a"})


def promise(
    promise_id: str,
    state: str = "pending",
    *,
    parent: str = "order-17",
    at: int = 0,
    took: int | None = None,
    timeout: int = 3_600_000,
    param: Mapping[str, Any] | None = None,
    result: Mapping[str, Any] | None = None,
    scope: str = "local",
    tags: Mapping[str, str] | None = None,
) -> Json:
    record: Json = {
        "id": promise_id,
        "state": state,
        "param": dict(param or {}),
        "value": dict(result or {}),
        "tags": {
            "resonate:scope": scope,
            "resonate:parent": parent,
            "resonate:origin": "order-17",
            **(tags or {}),
        },
        "timeoutAt": T0 + timeout,
        "createdAt": T0 + at,
    }
    if took is not None:
        record["settledAt"] = T0 + at + took
    return record


def root(state: str = "pending", **rest: Any) -> Json:
    call = value({"func": "fulfilOrder", "args": [17], "version": 1, "kind": "rpc", "digest": "00"})
    return promise(
        "order-17", state, scope="global", param=call, tags={"resonate:target": "local://default"}, **rest
    )


ERROR = {"__type": "error", "name": "PaymentError", "message": "card declined", "type": "shop:PaymentError"}

ORDER = [
    root(),
    promise("order-17:1", "resolved", at=5, took=12, param=marks("run", "reserveStock")),
    promise("order-17:10", at=9_000, param=marks("promise", "promise"), scope="global"),
    promise("order-17:2r", "resolved", at=20, took=2_400, param=marks("rpc", "charge"), scope="global"),
    promise(
        "order-17:2r.1", "resolved", parent="order-17:2r", at=30, took=1_000, param=marks("run", "callBank")
    ),
    promise(
        "order-17:2r.1.a1",
        "resolved",
        parent="order-17:2r.1",
        at=35,
        took=500,
        scope="global",
        tags={"resonate:timer": "true"},
        param=value({"kind": "retry", "func": "callBank", "attempt": 1, "error": ERROR}),
    ),
    promise(
        "order-17:3",
        at=3_000,
        timeout=75_000,
        scope="global",
        tags={"resonate:timer": "true"},
        param=marks("sleep", "sleep"),
    ),
    promise("order-17:4", "rejected", at=3_001, took=7, param=marks("run", "notify"), result=value(ERROR)),
    promise("order-17:5", "resolved", at=4_000, took=0, param=marks("now", "now"), result=value(1)),
    promise(
        "order-17:6", "resolved", at=4_001, took=0, param=marks("detached", "play"), result=value("play-d0f")
    ),
    promise("order-17:7", "rejected_canceled", at=4_002, took=100, param=marks("run", "slow")),
    promise(
        "order-17:8", "rejected_timedout", at=4_003, took=1_000, param=marks("rpc", "far"), scope="global"
    ),
    promise("order-17:9", "resolved", at=4_004, took=61_000, param=marks("race", "race"), result=value(0)),
    promise(
        "order-17:patch-fees", "resolved", at=4_005, took=0, param=marks("patch", "fees"), result=value(1)
    ),
]

ORDER_TREE = """\
order-17 🟡 (rpc fulfilOrder) for 10s
├── order-17:1 🟢 (run reserveStock) 12ms
├── order-17:2r 🟢 (rpc charge) 2.4s
│   └── order-17:2r.1 🟢 (run callBank) 1s
│       └── order-17:2r.1.a1 🟢 (retry 1: PaymentError: card declined) 500ms
├── order-17:3 🟡 (sleep) wakes in 1m05s
├── order-17:4 🔴 (run notify) 7ms PaymentError: card declined
├── order-17:5 🟢 (now)
├── order-17:6 🟢 (detached play → play-d0f)
├── order-17:7 🔴 (run slow) 100ms cancelled
├── order-17:8 🔴 (rpc far) 1s timed out
├── order-17:9 🟢 (race) 1m01s
├── order-17:patch-fees 🟢 (patch fees)
└── order-17:10 🟡 (promise) for 1s"""


def drawn(root_id: str, records: list[Json], **rest: Any) -> str:
    return "\n".join(lines(build(root_id, records), now_ms=NOW, **rest))


def test_our_own_records_show_what_they_stand_for() -> None:
    assert drawn("order-17", ORDER) == ORDER_TREE


def test_the_order_of_the_page_does_not_matter() -> None:
    assert drawn("order-17", ORDER[::-1]) == ORDER_TREE


def test_calls_of_one_instant_stand_in_call_order() -> None:
    fan = [promise(f"order-17:{number}", param=marks("run", "f")) for number in (10, 9, 2, 1, 11)]
    ids = [node.id for node in build("order-17", [root(), *fan])]
    assert ids == ["order-17", *(f"order-17:{number}" for number in (1, 2, 9, 10, 11))]


def test_records_of_official_sdks_show_as_their_own_tool_shows_them() -> None:
    """The example of protocol section 10.1: dotted ids, params without kinds, a ctx.promise without a name."""

    def foreign(promise_id: str, state: str, scope: str, parent: str = "order-17", **rest: Any) -> Json:
        return promise(promise_id, state, scope=scope, parent=parent, took=None, **rest)

    records = [
        foreign(
            "order-17", "pending", "global", param=value({"func": "fulfilOrder", "args": [], "version": 1})
        ),
        foreign("order-17.0", "resolved", "local", param=value({"func": "reserveStock", "version": 1})),
        foreign("order-17.1", "resolved", "global", param=value({"func": "charge", "args": []})),
        foreign("order-17.1.0", "resolved", "local", parent="order-17.1", param=value({"func": "callBank"})),
        foreign("order-17.2", "pending", "global", tags={"resonate:timer": "true"}, timeout=9_000),
        foreign("order-17.3", "rejected", "global"),
        foreign("order-17.4", "resolved", "local"),
        foreign("order-17.5", "resolved", ""),
    ]
    assert drawn("order-17", records) == (
        "order-17 🟡 (rpc fulfilOrder) for 10s\n"
        "├── order-17.0 🟢 (run reserveStock)\n"
        "├── order-17.1 🟢 (rpc charge)\n"
        "│   └── order-17.1.0 🟢 (run callBank)\n"
        "├── order-17.2 🟡 (sleep) due\n"
        "├── order-17.3 🔴 (rpc)\n"
        "├── order-17.4 🟢 (run)\n"
        "└── order-17.5 🟢"
    )


def test_a_root_that_is_not_on_record_shows_its_id_and_its_children() -> None:
    assert drawn("order-17", ORDER[1:2]) == "order-17\n└── order-17:1 🟢 (run reserveStock) 12ms"


def test_the_tree_of_a_call_begins_at_the_call() -> None:
    assert drawn("order-17:2r", ORDER).splitlines()[:2] == [
        "order-17:2r 🟢 (rpc charge) 2.4s",
        "└── order-17:2r.1 🟢 (run callBank) 1s",
    ]


def test_a_remark_ends_its_line() -> None:
    text = drawn("order-17", [root()], remarks={"order-17": "halted: the code changed"})
    assert text == "order-17 🟡 (rpc fulfilOrder) for 10s halted: the code changed"


def test_a_loop_of_parents_ends() -> None:
    loop = [
        promise("order-17", parent="order-17:1", param=marks("run", "a")),
        promise("order-17:1", parent="order-17", param=marks("run", "b")),
    ]
    assert [node.id for node in build("order-17", loop)] == ["order-17", "order-17:1"]


def test_a_tree_deeper_than_pythons_stack_is_drawn() -> None:
    chain = [root()]
    for depth in range(3_000):
        parent = chain[-1]["id"]
        chain.append(promise(f"n{depth}", parent=parent))
    nodes = build("order-17", chain)
    assert len(nodes) == 3_001
    assert nodes[-1].depth == 3_000
    assert json.loads(json.dumps(document(nodes)))["nodes"][-1]["depth"] == 3_000


@pytest.mark.parametrize(
    "param",
    [
        {},
        {"data": ""},
        {"data": "not base64!"},
        {"data": b64encode(b"not json").decode()},
        {"data": b64encode(b"[" * 100_000).decode()},
        value("a text"),
        value({"func": 3, "kind": ["run"]}),
        {"data": b64encode(b"not zlib").decode(), "headers": {"resonate-faas:encoding": "zlib"}},
        {"data": 3, "headers": []},
    ],
)
def test_a_param_that_says_nothing_falls_back_to_the_tags(param: Json) -> None:
    assert drawn("order-17:1", [promise("order-17:1", "resolved", param=param)]) == "order-17:1 🟢 (run)"


def test_a_compressed_param_is_read() -> None:
    call = json.dumps({"func": "import_all", "args": ["x" * 30_000], "kind": "rpc"}).encode()
    param = {"data": b64encode(zlib.compress(call)).decode(), "headers": {"resonate-faas:encoding": "zlib"}}
    assert (
        drawn("order-17:1r", [promise("order-17:1r", param=param)])
        == "order-17:1r 🟡 (rpc import_all) for 10s"
    )


def test_what_could_steer_a_terminal_is_escaped() -> None:
    evil = "\x1b[2J\u202ex\ud800"
    records = [promise(f"a{evil}", "rejected", param=marks("run", evil), result=value({"message": evil}))]
    text = drawn(f"a{evil}", records)
    assert text == ("a\\x1b[2J\\u202ex\\ud800 🔴 (run \\x1b[2J\\u202ex\\ud800) \\x1b[2J\\u202ex\\ud800")
    assert text.isprintable()


def test_a_long_error_is_one_short_line() -> None:
    failed = promise("order-17:1", "rejected", result=value({"message": "line\n" * 100, "name": "Error"}))
    (only,) = drawn("order-17:1", [failed]).splitlines()
    assert len(only) < 160
    assert only.endswith("…")


def test_a_rejection_that_is_no_error_object_shows_its_json() -> None:
    failed = promise("order-17:1", "rejected", result=value([7]))
    assert drawn("order-17:1", [failed]) == "order-17:1 🔴 (run) [7]"


def test_the_document_is_flat_and_says_only_what_is_known() -> None:
    found = document(build("order-17", ORDER), remarks={"order-17": "halted: no"})
    assert found["id"] == "order-17"
    assert [node["id"] for node in found["nodes"]] == [
        line.split("─ ")[-1].split()[0] for line in ORDER_TREE.splitlines()
    ]
    assert found["nodes"][0] == {
        "id": "order-17",
        "depth": 0,
        "state": "pending",
        "kind": "rpc",
        "function": "fulfilOrder",
        "createdAt": T0,
        "timeoutAt": T0 + 3_600_000,
        "remark": "halted: no",
    }
    assert found["nodes"][6] == {
        "id": "order-17:4",
        "parent": "order-17",
        "depth": 1,
        "state": "rejected",
        "kind": "run",
        "function": "notify",
        "createdAt": T0 + 3_001,
        "settledAt": T0 + 3_008,
        "timeoutAt": T0 + 3_600_000,
        "durationMs": 7,
        "error": "PaymentError: card declined",
    }


def test_a_tree_taller_than_the_screen_shows_its_top_and_its_end() -> None:
    tall = [str(number) for number in range(100)]
    assert cropped(tall, 5) == ["0", "… 96 lines", "97", "98", "99"]
    assert cropped(tall[:5], 5) == tall[:5]
    assert cropped(tall, 0) == ["0", "… 98 lines", "99"]
