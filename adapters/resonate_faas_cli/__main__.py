"""``python -m resonate_faas_cli``: the same program where the script is not on the path."""

from __future__ import annotations

from resonate_faas_cli._app import main

main()
