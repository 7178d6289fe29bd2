"""The linter of the four rules: ``resonate-faas check PATH...``, or ``python -m resonate_faas.checks PATH...``.

It reads syntax trees, never imports or runs what it checks, and follows calls among the files it is given. Each code
has a page in docs/rules.
"""

from __future__ import annotations

from resonate_faas.checks._catalog import RULES
from resonate_faas.checks._check import Report, check_sources
from resonate_faas.checks._command import Options, codes, run
from resonate_faas.checks._files import check_paths
from resonate_faas.checks._findings import Family, Finding, Rule
from resonate_faas.checks._output import FORMATS, render
from resonate_faas.checks._settings import Settings, SettingsError, load

__all__ = [
    "FORMATS",
    "RULES",
    "Family",
    "Finding",
    "Options",
    "Report",
    "Rule",
    "Settings",
    "SettingsError",
    "check_paths",
    "check_sources",
    "codes",
    "load",
    "render",
    "run",
]
