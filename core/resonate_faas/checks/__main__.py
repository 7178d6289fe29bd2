"""``python -m resonate_faas.checks PATH...``: the linter without the command line's own dependencies."""

from __future__ import annotations

import sys

from resonate_faas.checks._command import main

if __name__ == "__main__":
    sys.exit(main())
