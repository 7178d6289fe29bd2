"""RF3xx: an activation cannot outlive its process, and must not hold it for nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from resonate_faas.checks._bounds import Bounds, is_endless_test
from resonate_faas.checks._findings import Finding, Rule, finding
from resonate_faas.checks._messages import call, in_step, in_workflow
from resonate_faas.checks._program import Program, own
from resonate_faas.checks._scopes import Function
from resonate_faas.checks._tables import DETERMINISM, SLEEPS, first

RULES: Final = (
    Rule("RF301", "blocking sleep", "the process is held, and paid, and may end before", "ctx.sleep"),
    Rule(
        "RF302", "busy loop", "the process is held, and paid, and may end before", "ctx.sleep or ctx.promise"
    ),
    Rule(
        "RF303",
        "background work that outlives its function",
        "the process is frozen or gone once the answer is sent",
        "ctx.run",
    ),
    Rule(
        "RF304",
        "blocking wait without a bound",
        "the activation hangs until the platform kills it",
        "a timeout, or ctx.promise",
    ),
    Rule(
        "RF305",
        "durable call in a finally block",
        "the block runs at each suspension, where the call is refused",
        "try/except",
    ),
)
STEP_SLEEP_MAX_S: Final = 30.0
"""A shorter pause within a step is a matter of pace; a heartbeat keeps the lease meanwhile."""
_SLEEP_CURE: Final = (
    "use await ctx.sleep(...) in the workflow: the invocation ends, and nothing runs meanwhile"
)
_LONG_WAIT_CURE: Final = (
    "give it a timeout; if it waits for a person or another system, use ctx.promise in the workflow"
)
_STARTED: Final = {
    "threading.Thread": "join",
    "threading.Timer": "join",
    "multiprocessing.Process": "join",
    "subprocess.Popen": "wait",
    "concurrent.futures.ThreadPoolExecutor": "shutdown",
    "concurrent.futures.ProcessPoolExecutor": "shutdown",
}
"""What runs beside the function, and the method that waits for it."""
_ENDS: Final = frozenset({"join", "wait", "communicate", "shutdown", "result", "poll", "kill", "terminate"})
_TASKS: Final = frozenset({"asyncio.create_task", "asyncio.ensure_future", "_thread.start_new_thread"})
_LOOP_TASKS: Final = frozenset({"create_task", "ensure_future", "run_in_executor", "call_later"})
_WAITS: Final = {
    "threading.Event().wait": 0,
    "threading.Condition().wait": 0,
    "threading.Barrier().wait": 0,
    "threading.Lock().acquire": 1,
    "threading.Semaphore().acquire": 1,
    "multiprocessing.Process().join": 0,
    "threading.Thread().join": 0,
    "subprocess.Popen().wait": 0,
    "subprocess.Popen().communicate": 1,
    "queue.Queue().get": 1,
    "queue.SimpleQueue().get": 1,
    "queue.Queue().join": -1,
    "multiprocessing.Queue().get": 1,
    "asyncio.Queue().get": -1,
    "asyncio.Event().wait": -1,
    "select.select": 3,
    "signal.pause": -1,
    "input": -1,
    "concurrent.futures.wait": 1,
    "socket.create_connection": 1,
}
"""Waits, and the index of their timeout among positional arguments; -1: it has none."""
_TIMED: Final = (
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "urllib.request.urlopen",
)
_REQUESTS: Final = frozenset(
    f"{base}.{verb}"
    for base in ("requests", "requests.Session()", "requests.session()")
    for verb in ("get", "post", "put", "patch", "delete", "head", "options", "request")
)
_SECONDS: Final = {"days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0, "weeks": 604_800.0}
_BROAD: Final = frozenset({"BaseException", "GeneratorExit"})


def check(program: Program) -> Iterator[Finding]:
    """Yield what holds a process without end, or relies on its life after the function."""
    bounds = Bounds(program)
    for function in program.workflow_code:
        yield from _workflow_sleeps(program, function)
        yield from _finals(program, function)
        yield from _workflow_loops(program, bounds, function)
    for function in program.step_code:
        where = in_step(program, function)
        for node in function.calls():
            yield from _step_call(program, function, node, where)
        yield from _background(program, function)
        yield from _step_loops(program, bounds, function)
    for function, node in program.foreign_steps:
        yield from _step_call(program, function, node, f"in a step of {function.name!r}")


def _workflow_sleeps(program: Program, function: Function) -> Iterator[Finding]:
    for node in function.calls():
        path = program.resolver.path(node.func, function)
        if path in SLEEPS:
            yield finding(
                "RF301",
                function,
                node,
                f"{call(path)} {in_workflow(program, function)} holds the process: {_SLEEP_CURE}",
            )


def _step_call(program: Program, function: Function, node: ast.Call, where: str) -> Iterator[Finding]:
    path = program.resolver.path(node.func, function)
    if path in SLEEPS:
        seconds = _seconds(program, node.args[0], function) if node.args else 0.0
        if seconds > STEP_SLEEP_MAX_S:
            text = f"{call(path)} of {seconds:g} s {where} holds the process: {_SLEEP_CURE}"
            yield finding("RF301", function, node, text)
    elif _is_unbounded(program, function, path, node):
        yield finding("RF304", function, node, f"{call(path)} {where} may wait for ever: {_LONG_WAIT_CURE}")


def _is_unbounded(program: Program, function: Function, path: str, node: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if None in given or "block" in given or "blocking" in given:
        return False
    if path in _WAITS:
        position = _WAITS[path]
        value = given.get("timeout", node.args[position] if 0 <= position < len(node.args) else None)
        is_bounded_around = path.startswith("asyncio.") and _is_limited(program, function, node)
        return not is_bounded_around and (
            value is None or (isinstance(value, ast.Constant) and value.value is None)
        )
    if path in _REQUESTS or path in _TIMED:
        value = given.get("timeout")
        is_given = value is not None and not (isinstance(value, ast.Constant) and value.value is None)
        return not is_given and not (path.endswith("urlopen") and len(node.args) > 2)
    return (
        path.startswith("httpx.")
        and isinstance(value := given.get("timeout"), ast.Constant)
        and value.value is None
    )


def _is_limited(program: Program, function: Function, node: ast.AST) -> bool:
    """True within ``asyncio.wait_for(...)`` or ``async with asyncio.timeout(...)``."""
    for _, outer in function.module.around(node):
        held: list[ast.expr] = []
        if isinstance(outer, ast.Call):
            held = [outer.func]
        elif isinstance(outer, ast.With | ast.AsyncWith):
            held = [one.context_expr.func for one in outer.items if isinstance(one.context_expr, ast.Call)]
        if any(
            program.resolver.path(one, function).rpartition(".")[2] in {"wait_for", "timeout", "fail_after"}
            for one in held
        ):
            return True
    return False


def _seconds(program: Program, node: ast.expr, function: Function) -> float:
    """Return a constant duration in seconds; 0: it is none."""
    if isinstance(node, ast.Call) and program.resolver.path(node.func, function) == "datetime.timedelta":
        return sum(
            _SECONDS.get(one.arg or "", 0.0) * Bounds.number(program, one.value, function)
            for one in node.keywords
        )
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "total_seconds"
    ):
        return _seconds(program, node.func.value, function)
    return Bounds.number(program, node, function)


def _finals(program: Program, function: Function) -> Iterator[Finding]:
    where = in_workflow(program, function)
    for node in function.nodes:
        if not isinstance(node, ast.Try):
            continue
        for step in program.steps(node.finalbody, function):
            text = (
                f"a durable call in a finally block {where} is refused when the workflow is suspended, for the block runs then"
                " too: use try/except, and take the step with ctx.run after the block"
            )
            yield finding("RF305", function, step, text)
        for handler in node.handlers:
            if handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id in _BROAD):
                for step in program.steps(handler.body, function):
                    text = (
                        f"a durable call {where}, where the end of an activation is caught too, is refused then:"
                        " catch Exception, and take the step with ctx.run there"
                    )
                    yield finding("RF305", function, step, text)


def _workflow_loops(program: Program, bounds: Bounds, function: Function) -> Iterator[Finding]:
    """A loop that waits without a durable step: a clock or flag is asked again and again."""
    for node in function.nodes:
        if isinstance(node, ast.While) and not _yields(node) and not program.has_steps([node], function):
            waits = _idles(program, function, node) or (is_endless_test(node.test) and not bounds.exits(node))
            if waits:
                text = (
                    f"a loop {in_workflow(program, function)} waits in the process: use await ctx.sleep(...), or ctx.promise"
                    " for something that happens elsewhere"
                )
                yield finding("RF302", function, node, text)


def _yields(node: ast.While) -> bool:
    """True for the loop of a generator: who goes through it decides when it ends."""
    return any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own(node))


def _idles(program: Program, function: Function, node: ast.While) -> bool:
    is_empty = all(isinstance(one, ast.Pass | ast.Continue) for one in node.body)
    calls = [one for one in own(node) if isinstance(one, ast.Call)]
    found = [program.resolver.path(one.func, function) for one in calls]
    clock = [one for one in found if (entry := first(one, DETERMINISM)) is not None and entry.code == "RF103"]
    return is_empty or bool(clock) or any(one in SLEEPS for one in found)


def _step_loops(program: Program, bounds: Bounds, function: Function) -> Iterator[Finding]:
    for node in function.nodes:
        if (
            not isinstance(node, ast.While)
            or _yields(node)
            or bounds.is_counted(node, function)
            or bounds.is_timed(node, function)
        ):
            continue
        paths = [program.resolver.path(one.func, function) for one in own(node) if isinstance(one, ast.Call)]
        is_empty = all(isinstance(one, ast.Pass | ast.Continue) for one in node.body)
        is_endless = is_endless_test(node.test) and not bounds.exits(node)
        if is_empty or is_endless or any(one in SLEEPS for one in paths):
            text = (
                f"a loop {in_step(program, function)} waits without a bound: let the step ask once, and wait in the workflow with"
                " ctx.sleep between two ctx.run, or with ctx.promise"
            )
            yield finding("RF302", function, node, text)


def _background(program: Program, function: Function) -> Iterator[Finding]:
    """Threads, processes, pools and tasks that nobody waits for in the function that starts them."""
    ended = {
        node.func.attr
        for node in function.calls()
        if isinstance(node.func, ast.Attribute) and node.func.attr in _ENDS and not _is_text_join(node)
    }
    for node in function.calls():
        path = program.resolver.path(node.func, function)
        what = ""
        if path in _STARTED:
            around = function.module.parents.get(node)
            is_left = not ended and not isinstance(around, ast.withitem | ast.Return)
            what = call(path) if is_left else ""
        elif path in _TASKS or (
            _is_loop(program, function, node) and not path.startswith("asyncio.TaskGroup")
        ):
            what = f"{ast.unparse(node.func)}()" if _is_dropped(function, node) else ""
        if what:
            text = (
                f"{what} {in_step(program, function)} outlives the function, and the process is frozen or gone then: wait for it"
                " here, or make it a call of its own (ctx.run, ctx.rpc, ctx.detached)"
            )
            yield finding("RF303", function, node, text)


def _is_loop(program: Program, function: Function, node: ast.Call) -> bool:
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _LOOP_TASKS:
        return False
    path = program.resolver.path(node.func.value, function)
    return path in {"asyncio.get_running_loop()", "asyncio.get_event_loop()", "asyncio.new_event_loop()"}


def _is_text_join(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant | ast.JoinedStr)


def _is_dropped(function: Function, node: ast.Call) -> bool:
    """True if nobody awaits what the call returns: it is no part of an expression, or of a name read nowhere else."""
    around = function.module.parents.get(node)
    if isinstance(around, ast.Expr):
        return True
    if isinstance(around, ast.Assign) and isinstance(around.targets[0], ast.Name):
        name = around.targets[0].id
        awaited = (
            inner
            for one in function.nodes
            if isinstance(one, ast.Await | ast.Return | ast.Call)
            for inner in ast.walk(one)
            if isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Load)
        )
        return next(awaited, None) is None
    if (
        isinstance(around, ast.Call)
        and isinstance(around.func, ast.Attribute)
        and around.func.attr in {"add", "append"}
    ):
        kept = around.func.value
        uses = [
            one
            for one in function.nodes
            if isinstance(one, ast.Name) and isinstance(kept, ast.Name) and one.id == kept.id
        ]
        return len(uses) <= 2
    return False
