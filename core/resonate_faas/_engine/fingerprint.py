"""Whether code is still what it was: a digest of a function and of what it uses of its own module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any, Final

FUNCTIONS_MAX: Final = 200
"""Functions that count, at most: what is far away from the workflow changes often and says little."""


def fingerprint(call: Callable[..., Any]) -> str:
    """Return the digest of a function's compiled code, "" if it has none.

    Comments, layout and line numbers do not count; docstrings and the version of Python do. So does every function
    of the same module that it names, and what those name.
    """
    function = _function(call)
    if function is None:
        return ""
    digest = blake2b(f"{sys.version_info[:2]}".encode(), digest_size=6)
    seen: dict[int, FunctionType] = {}
    queue = [function]
    while queue and len(seen) < FUNCTIONS_MAX:
        one = queue.pop(0)
        if id(one) not in seen:
            seen[id(one)] = one
            _add(digest.update, one.__code__)
            queue.extend(_used(one))
    return digest.hexdigest()


def _function(call: Any) -> FunctionType | None:
    found = getattr(call, "__func__", call)
    found = getattr(found, "__wrapped__", found)
    return found if isinstance(found, FunctionType) else None


def _used(function: FunctionType) -> Iterator[FunctionType]:
    """Yield the functions of the same module that a function names, in the order of their names."""
    names = sorted({name for code in _codes(function.__code__) for name in code.co_names})
    cells = [_content(cell) for cell in function.__closure__ or ()]
    for value in [*(function.__globals__.get(name) for name in names), *cells]:
        used = _function(value)
        if used is not None and used.__module__ == function.__module__:
            yield used


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not assigned yet


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _add(update: Callable[[bytes], None], code: CodeType) -> None:
    for one in _codes(code):
        constants = [_stable(constant) for constant in one.co_consts if not isinstance(constant, CodeType)]
        update(one.co_code)
        update(repr((one.co_name, one.co_names, one.co_varnames, constants)).encode())


def _stable(constant: Any) -> Any:
    """Return a constant whose repr does not depend on hashing."""
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
