"""Run-time guards: what workflow code does beside its context is seen at its line, reported or refused.

docs/determinism.md says what is caught and what is not.
"""

from __future__ import annotations

from resonate_faas._guards.places import source_of
from resonate_faas._guards.watch import GUARDS, Guard, GuardWatch, watch_of

__all__ = ["GUARDS", "Guard", "GuardWatch", "source_of", "watch_of"]
