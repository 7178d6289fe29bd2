"""What a look at a deployment from outside finds: a list of named checks. The command line renders it.

Each cloud's adapter has a ``_doctor`` module whose ``diagnose`` yields these; it never raises for what it looks at:
what can't be seen is a check that failed or was skipped, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: a few words, the same on every run: "dead-letter queue".
        verdict: how it ended.
        saw: what there was, or why it could not be looked at; one line, no secrets.
        cure: what to do about it, one sentence; "" unless it failed.
    """

    name: str
    verdict: Verdict
    saw: str
    cure: str = ""


def ok(name: str, saw: str) -> Check:
    """Return a check that found what it should."""
    return Check(name=name, verdict=Verdict.OK, saw=saw)


def failed(name: str, saw: str, cure: str) -> Check:
    """Return a check that found something wrong."""
    return Check(name=name, verdict=Verdict.FAILED, saw=saw, cure=cure)


def skipped(name: str, why: str) -> Check:
    """Return a check that could not be made, or has nothing to look at."""
    return Check(name=name, verdict=Verdict.SKIPPED, saw=why)
