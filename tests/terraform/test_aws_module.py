"""The module for AWS: valid, and what its own tests say, with a mocked provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.terraform.terraform import MODULES, Terraform, copied

AWS = "hashicorp/aws"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("terraform"))


def test_the_tests_of_the_module_pass(tree: Path) -> None:
    module = Terraform(tree / "aws")
    module.init(AWS)
    assert "Success!" in module.ok("test")


def test_the_example_is_valid(tree: Path) -> None:
    example = Terraform(tree / "examples" / "aws-countdown")
    (example.folder / "build").mkdir()
    (example.folder / "build" / "lambda_function.py").touch()
    example.init(AWS)
    assert "Success!" in example.ok("validate")


def test_every_variable_is_typed_described_and_bounded() -> None:
    """What a type alone can't refuse has a validation."""
    text = (MODULES / "aws" / "variables.tf").read_text(encoding="utf-8")
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    assert len(blocks) < 20
    for name, block in blocks:
        assert "  type " in block, name
        assert "  description " in block, name
        assert "validation {" in block or "= bool" in block, name
