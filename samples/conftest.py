"""What the samples' tests share: the sample's own module, loaded under a name of its own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def workflows(request: pytest.FixtureRequest) -> ModuleType:
    """Return the ``workflows.py`` next to the test, freshly loaded."""
    path = Path(str(request.path)).parent / "workflows.py"
    name = f"sample_{path.parent.name}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
