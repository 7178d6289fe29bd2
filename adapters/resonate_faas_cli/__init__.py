"""The command line: ``resonate-faas``. Each command is a module in ``_commands``; nothing here is imported by others."""

from __future__ import annotations

from resonate_faas_cli._app import main

__all__ = ["main"]
