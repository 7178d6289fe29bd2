"""All rules, by code."""

from __future__ import annotations

from typing import Final

from resonate_faas.checks import _determinism, _idempotency, _lifetime, _promises
from resonate_faas.checks._findings import Rule

UNREADABLE: Final = "RF001"
RULES: Final = {
    rule.code: rule
    for rule in (
        Rule(UNREADABLE, "file that cannot be parsed", "nothing in it was checked", "correct the syntax"),
        *_determinism.RULES,
        *_idempotency.RULES,
        *_lifetime.RULES,
        *_promises.RULES,
    )
}


def chosen(select: tuple[str, ...], ignore: tuple[str, ...]) -> frozenset[str]:
    """Return the codes that are selected and not ignored, by code or by its beginning; the longer beginning wins.

    A file that cannot be parsed is reported whatever is selected.
    """
    found = {code for code in RULES if _longest(code, select) > _longest(code, ignore)}
    return frozenset(found | {UNREADABLE})


def _longest(code: str, prefixes: tuple[str, ...]) -> int:
    return max((len(one) for one in prefixes if code.startswith(one)), default=0)


def is_prefix(text: str) -> bool:
    """True if some code begins with the text: RF, RF1 and RF101 are."""
    return text.startswith("RF") and any(code.startswith(text) for code in RULES)
