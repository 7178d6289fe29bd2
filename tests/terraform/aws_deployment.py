"""The example for AWS applied for real: terraform, its provider, and ministack with IAM enforced, all on this machine.

The emulator differs from AWS in what stands in OVERRIDES, ADDITIONS and FORGOTTEN; nothing else of the example is changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from tests.emulators.ministack import REGION, Emulator, found_or_skip, running
from tests.packaging.tree import ROOT
from tests.terraform.terraform import Terraform, copied, plugins_or_skip, program_or_skip

AWS: Final = "hashicorp/aws"
NAME: Final = "countdown"
KEYS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}

OVERRIDES: Final = """
provider "aws" {
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
}

# The emulator refuses strangers, but does not tell the function who called; so the function lets all of them in.
module "countdown" {
  environment = { RESONATE_FAAS_PUBLIC_ROUTES = "invoke,read" }
}
"""

ADDITIONS: Final = """
# On AWS sqs:SendMessage allows batches, too; the emulator knows an action of its own for them.
resource "aws_iam_role_policy" "emulator" {
  name   = "emulator"
  role   = "countdown-function"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["sqs:SendMessageBatch"], Resource = "arn:aws:sqs:*:*:countdown" }]
  })
  depends_on = [module.countdown]
}
"""

FORGOTTEN: Final = {"aws_cloudwatch_metric_alarm"}
"""Kinds of resources of which the emulator loses fields: a second plan would mend them."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The example as it stands in the emulator.

    Attributes:
        emulator: where.
        terraform: in the folder of the example.
        outputs: of the example.
    """

    emulator: Emulator
    terraform: Terraform
    outputs: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """What boto3, and so the command line, finds the emulator by."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.emulator.url}

    @property
    def url(self) -> str:
        """The function URL, by the path under which the emulator serves it: names below localhost don't resolve."""
        host = str(self.outputs["url"]).removeprefix("https://")
        return f"{self.emulator.url}/_aws/lambda-url/{host.partition('.')[0]}"

    def client(self, service: str) -> Any:
        """Return a client that may do anything."""
        return self.emulator.client(service)


@contextmanager
def applied(folder: Path) -> Iterator[Applied]:
    """Apply the example, in a copy; the emulator ends with the block, whatever is left in it."""
    program_or_skip()
    plugins_or_skip(AWS)
    found_or_skip()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AUTH", "true")  # IAM is enforced
        with running(folder) as emulator:
            example = copied(folder) / "examples" / "aws-countdown"
            (example / "build").mkdir()
            for source in (ROOT / "samples" / "countdown" / "workflows.py", example / "lambda_function.py"):
                shutil.copy(source, example / "build")
            (example / "emulator_override.tf").write_text(OVERRIDES, encoding="utf-8")
            (example / "emulator.tf").write_text(ADDITIONS, encoding="utf-8")
            terraform = Terraform(example, {**KEYS, "AWS_ENDPOINT_URL": emulator.url})
            terraform.init(AWS)
            terraform.ok("apply", "-auto-approve", "-input=false")
            yield Applied(emulator, terraform, terraform.outputs())
