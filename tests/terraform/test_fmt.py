"""Every module and example is laid out as terraform does it."""

from __future__ import annotations

from tests.terraform.terraform import MODULES, Terraform, program_or_skip


def test_terraform_files_are_formatted() -> None:
    program_or_skip()
    ran = Terraform(MODULES).run("fmt", "-check", "-recursive", "-diff")
    assert ran.returncode == 0, ran.stdout
