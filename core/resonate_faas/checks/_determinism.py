"""RF1xx: workflow code does the same at every replay."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from resonate_faas.checks._findings import Finding, Rule, finding
from resonate_faas.checks._messages import call, in_workflow
from resonate_faas.checks._order import Order
from resonate_faas.checks._program import Program
from resonate_faas.checks._resolve import CONTEXT
from resonate_faas.checks._scopes import Function
from resonate_faas.checks._sql import sql_of
from resonate_faas.checks._state import State
from resonate_faas.checks._tables import (
    ATTRIBUTES,
    CLOCK_BY_DEFAULT,
    DETERMINISM,
    SEEDABLE,
    SLEEPS,
    Calls,
    first,
)

_AGAIN: Final = "a replay would take other steps than those on record"

RULES: Final = (
    Rule("RF101", "random draw in workflow code", _AGAIN, "ctx.random"),
    Rule("RF102", "fresh identifier or secret in workflow code", _AGAIN, "ctx.uuid4, or ctx.run"),
    Rule("RF103", "clock read in workflow code", _AGAIN, "ctx.now"),
    Rule("RF104", "process environment read in workflow code", _AGAIN, "ctx.run, or an argument"),
    Rule("RF105", "file access in workflow code", _AGAIN, "ctx.run"),
    Rule("RF106", "network access in workflow code", _AGAIN, "ctx.run"),
    Rule("RF107", "database access in workflow code", _AGAIN, "ctx.run"),
    Rule("RF108", "process started in workflow code", "every replay starts it again", "ctx.run"),
    Rule("RF109", "order of a set decides steps", "strings hash differently in each process", "sorted(...)"),
    Rule(
        "RF110",
        "id() or hash() in workflow code",
        "both differ from process to process",
        "hashlib, or the value itself",
    ),
    Rule("RF111", "threads, pools or queues in workflow code", _AGAIN, "ctx.run with ctx.gather, or ctx.map"),
    Rule(
        "RF112",
        "asyncio primitive in workflow code",
        "a workflow has no event loop",
        "ctx.gather, ctx.race, ctx.run",
    ),
    Rule(
        "RF113",
        "mutable state of a module in workflow code",
        "a replay finds it changed",
        "arguments, or ctx.run",
    ),
    Rule(
        "RF114",
        "dependency used in workflow code",
        "what it answers is not recorded",
        "get_dependency in a step",
    ),
)

_SQL_METHODS: Final = frozenset(
    {"execute", "executemany", "executescript", "fetchrow", "fetchval", "fetch", "scalar", "scalars"}
)
_ORM: Final = frozenset(
    {"get", "filter", "create", "all", "first", "count", "exists", "get_or_create", "bulk_create"}
)
_NUMBERS: Final = frozenset({"int", "len", "float", "round"})


def check(program: Program) -> Iterator[Finding]:
    """Yield what is not deterministic in workflow code."""
    state = State(program)
    order = Order(program)
    for function in program.workflow_code:
        yield from _calls(program, function)
        yield from _attributes(program, function)
        yield from order.check(function)
        yield from state.check(function)


def _calls(program: Program, function: Function) -> Iterator[Finding]:
    for node in function.calls():
        path = program.resolver.path(node.func, function)
        entry = _entry(path, node)
        where = in_workflow(program, function)
        if entry is not None:
            yield finding(entry.code, function, node, f"{call(path)} {where} {entry.does}: {entry.cure}")
        elif path in {"id", "hash"} and not _is_number(node):
            text = f"{path}() {where} differs from process to process: compare or hash the value itself (hashlib)"
            yield finding("RF110", function, node, text)
        elif path == f"{CONTEXT}.get_dependency":
            text = f"a dependency {where}: what it answers is not recorded; get it in a step (await ctx.run(fn, ...))"
            yield finding("RF114", function, node, text)
        elif not path.startswith(CONTEXT) and _is_query(program, function, node, path):
            text = f"a query {where} talks to a database, whose answer is not recorded: make it a step: await ctx.run(fn, ...)"
            yield finding("RF107", function, node, text)
        yield from _handed(program, function, node, path)


def _entry(path: str, node: ast.Call) -> Calls | None:
    if path in SLEEPS:
        return None  # RF301 says it
    for seedable in SEEDABLE:
        if path == seedable and node.args:
            return None
        if path.startswith(f"{seedable}()."):
            return None
    if path in CLOCK_BY_DEFAULT and len(node.args) < CLOCK_BY_DEFAULT[path]:
        return first("time.time", DETERMINISM)
    return first(path, DETERMINISM)


def _handed(program: Program, function: Function, node: ast.Call, path: str) -> Iterator[Finding]:
    """``sorted(xs, key=random.random)``: the function is handed over, to be called here."""
    if path.startswith(CONTEXT):
        return
    for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
        if isinstance(argument, ast.Name | ast.Attribute):
            handed = program.resolver.path(argument, function)
            entry = first(handed, DETERMINISM) if "()" not in handed and handed not in SEEDABLE else None
            if (
                entry is not None
                and handed.rpartition(".")[2].islower()
                and entry.code in {"RF101", "RF102", "RF103"}
            ):
                text = f"{call(handed)} {in_workflow(program, function)} {entry.does}: {entry.cure}"
                yield finding(entry.code, function, argument, text)


def _attributes(program: Program, function: Function) -> Iterator[Finding]:
    for node in function.nodes:
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            path = program.resolver.path(node, function)
            code = ATTRIBUTES.get(path)
            if code is not None and (isinstance(node, ast.Attribute) or "." in path):
                entry = next(one for one in DETERMINISM if one.code == code)
                text = f"{path} {in_workflow(program, function)} {entry.does}: {entry.cure}"
                yield finding(code, function, node, text)


def _is_number(node: ast.Call) -> bool:
    argument = node.args[0] if node.args else None
    if isinstance(argument, ast.Constant):
        return isinstance(argument.value, int)
    is_call = isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name)
    return is_call and argument.func.id in _NUMBERS  # type: ignore[union-attr]


def _is_query(program: Program, function: Function, node: ast.Call, path: str) -> bool:
    """True for ``anything.execute("SELECT ...")`` and for the models of Django."""
    if not isinstance(node.func, ast.Attribute):
        return False
    if ".objects." in path and path.rpartition(".")[2] in _ORM:
        return True
    return node.func.attr in _SQL_METHODS and bool(sql_of(program, node, function))
