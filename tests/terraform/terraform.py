"""The terraform program and the providers on disk: nothing is downloaded. Found, run, or skipped loudly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.packaging.tree import ROOT

MODULES = ROOT / "terraform"
REGISTRY = "registry.terraform.io"
BOUND_S = 280.0


def program_or_skip() -> str:
    """Return the program; without it, skip with one loud line, and fail where CI must have it."""
    found = shutil.which("terraform")
    return found or _missing("terraform is not on PATH")


def plugins_or_skip(provider: str) -> Path:
    """Return the folder that ``terraform init -plugin-dir`` takes for a provider such as ``hashicorp/aws``, or skip."""
    found = next((folder for folder in _candidates() if (folder / REGISTRY / provider).is_dir()), None)
    return found or _missing(
        f"the provider {provider} is on no known place of this machine (TF_PLUGIN_DIR says where)"
    )


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"terraform NOT TESTED: {reason}")
    pytest.skip(f"terraform NOT TESTED: {reason}")


def _candidates() -> Iterator[Path]:
    """Yield the places where providers lie: the one that is named, terraform's own, and what was put next to programs."""
    if named := os.environ.get("TF_PLUGIN_DIR"):
        yield Path(named)
    yield Path.home() / ".terraform.d" / "plugins"
    for share in ("/usr/local/share", "/usr/share"):
        yield Path(share) / "terraform" / "plugins"
    yield from (found.parent for found in sorted(Path("/opt").glob(f"*/{REGISTRY}")))


def copied(folder: Path) -> Path:
    """Return a copy of the modules and examples, in which terraform may write."""
    copy = folder / "terraform"
    leftovers = shutil.ignore_patterns(".terraform*", "*.tfstate*", "build", "__pycache__")
    shutil.copytree(MODULES, copy, ignore=leftovers)
    return copy


@dataclass(frozen=True, slots=True)
class Terraform:
    """terraform in one folder.

    Args:
        folder: where the configuration is.
        environment: next to what this process has.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def init(self, provider: str) -> None:
        """Initialise with the provider on disk."""
        self.ok("init", f"-plugin-dir={plugins_or_skip(provider)}", "-input=false")

    def ok(self, *args: str) -> str:
        """Run a command that must succeed; return what it wrote."""
        ran = self.run(*args)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [program_or_skip(), *args, *([] if args[0] == "fmt" else ["-no-color"])],
            cwd=self.folder,
            env={**_environment(), **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=BOUND_S,
        )

    def outputs(self) -> dict[str, Any]:
        """Return the values of the outputs."""
        return {name: told["value"] for name, told in json.loads(self.ok("output", "-json")).items()}


@cache
def _environment() -> dict[str, str]:
    """Return this process's environment without what steers terraform or names somebody's account."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_", "GOOGLE_"))
    } | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
