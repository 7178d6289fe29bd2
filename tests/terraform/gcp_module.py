"""The module terraform/gcp, where Google's provider is not at hand: what needs none of it really runs in terraform."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

from tests.terraform.hcl import Module, module
from tests.terraform.terraform import MODULES, Terraform

FOLDER: Final = MODULES / "gcp"
EXAMPLE: Final = MODULES / "examples" / "gcp-countdown"
WITHOUT_PROVIDER: Final = ("variables.tf", "settings.tf")

PROJECT: Final = {"project_id": "my-project", "region": "us-central1", "name": "countdown", "source_dir": "."}


def gcp() -> Module:
    """Return the module."""
    return module(FOLDER)


def initialised(folder: Path) -> Terraform:
    """Return terraform in a copy of what needs no provider."""
    for name in WITHOUT_PROVIDER:
        shutil.copy(FOLDER / name, folder)
    shutil.copytree(FOLDER / "tests", folder / "tests")
    made = Terraform(folder)
    made.ok("init", "-input=false", "-backend=false")
    return made


def evaluated(folder: Path, *names: str, **variables: str) -> dict[str, Any]:
    """Return locals of the module as terraform evaluates them.

    Args:
        folder: to work in.
        names: of the locals.
        variables: those of the module that :data:`PROJECT` does not have, or others.
    """
    made = initialised(folder)
    lines = [f'output "{name}" {{\n  value = local.{name}\n}}\n' for name in names]
    (folder / "told.tf").write_text("".join(lines), encoding="utf-8")
    given = [f"-var={name}={value}" for name, value in {**PROJECT, **variables}.items()]
    made.ok("apply", "-auto-approve", "-input=false", *given)
    return made.outputs()
