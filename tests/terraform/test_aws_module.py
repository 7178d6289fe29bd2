"""The module for AWS: valid, and what its own tests say, with a mocked provider."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

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


def test_a_folder_is_packed_the_same_each_time_without_bytecode(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "inner" / "__pycache__").mkdir(parents=True)
    (code / "inner" / "__pycache__" / "module.pyc").touch()
    (code / "inner" / "module.py").write_text("x = 1\n")
    (code / "lambda_function.py").write_text("handler = print\n")
    archives = [tmp_path / "first.zip", tmp_path / "there" / "second.zip"]
    for archive in archives:
        command = [sys.executable, str(MODULES / "aws" / "zip_folder.py"), str(code), str(archive)]
        subprocess.run(command, check=True)
        (code / "lambda_function.py").touch()
    first, second = (archive.read_bytes() for archive in archives)
    assert first == second
    with ZipFile(archives[0]) as packed:
        assert packed.namelist() == ["inner/module.py", "lambda_function.py"]
        assert all(entry.external_attr >> 16 & 0o444 == 0o444 for entry in packed.infolist())


def test_every_variable_is_typed_described_and_bounded() -> None:
    """What a type alone can't refuse has a validation."""
    text = (MODULES / "aws" / "variables.tf").read_text(encoding="utf-8")
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    assert len(blocks) < 20
    for name, block in blocks:
        assert "  type " in block, name
        assert "  description " in block, name
        assert "validation {" in block or "= bool" in block, name
