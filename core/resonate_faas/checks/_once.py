"""The pattern of the applied key: a step looks its own key up, or claims it, and does the rest only the first time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from resonate_faas.checks import _sql
from resonate_faas.checks._keys import key_of
from resonate_faas.checks._program import Program
from resonate_faas.checks._scopes import Function


def is_done_once(program: Program, function: Function, node: ast.AST) -> bool:
    """True if a statement runs only if a keyed one before it, in the same function or its callers, says so."""
    place: ast.AST = node
    current: Function | None = function
    for _ in range(8):
        if current is None:
            return False
        if any(_decides(current, claim, place) for claim in _claims(program, current)):
            return True
        reach = program.step_code.get(current)
        caller = None if reach is None else reach.caller
        called = None if caller is None else _call_of(program, caller, current)
        if called is None:
            return False
        current, place = caller, called
    return False


def _claims(program: Program, function: Function) -> Iterator[ast.Call]:
    """Yield queries of a key, and inserts of one that do nothing the second time."""
    for call in function.calls():
        sql = _sql.sql_of(program, call, function)
        if (
            sql
            and not _sql.inserts_again(sql)
            and not _sql.changes_again(sql)
            and key_of(program, call, function)
        ):
            yield call


def _decides(function: Function, claim: ast.Call, place: ast.AST) -> bool:
    """True if a condition between a claim and a place leaves the function, or holds the place."""
    line = getattr(place, "lineno", 0)
    for node in function.nodes:
        if isinstance(node, ast.If) and claim.lineno <= node.lineno < line:
            holds = line <= (node.end_lineno or node.lineno)
            leaves = any(isinstance(one, ast.Return | ast.Raise) for one in node.body)
            if holds or leaves:
                return True
    return False


def _call_of(program: Program, caller: Function, callee: Function) -> ast.Call | None:
    return next((call for found, call in program.edges(caller) if found is callee), None)
