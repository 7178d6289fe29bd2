"""What the linter reports: rules by code, findings by place."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from resonate_faas.checks._scopes import Function


class Family(Enum):
    """The four rules, and what is wrong with a file before any of them."""

    FILES = "RF0"
    DETERMINISM = "RF1"
    IDEMPOTENCY = "RF2"
    LIFETIME = "RF3"
    PROMISES = "RF4"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        code: RF and three digits; the page of that name in docs/rules explains it.
        name: in a few words.
        why: what happens if it is broken.
        cure: what to write instead.
    """

    code: str
    name: str
    why: str
    cure: str

    @property
    def family(self) -> Family:
        """Which of the four rules it belongs to."""
        return Family(self.code[:3])


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place where a rule is broken; lines and columns count from 1.

    Attributes:
        path: of the file, as it was given.
        line: where the expression begins.
        column: its first character.
        code: of the rule.
        message: what is wrong and what to do.
        end_line: where it ends.
        end_column: after its last character.
    """

    path: PurePath
    line: int
    column: int
    code: str
    message: str
    end_line: int
    end_column: int


def finding(code: str, function: Function, node: ast.AST, message: str) -> Finding:
    """Return a finding at a node of a function."""
    line = getattr(node, "lineno", 1)
    column = getattr(node, "col_offset", 0)
    return Finding(
        path=function.module.path,
        line=line,
        column=column + 1,
        code=code,
        message=message,
        end_line=getattr(node, "end_lineno", None) or line,
        end_column=(getattr(node, "end_col_offset", None) or column) + 1,
    )
