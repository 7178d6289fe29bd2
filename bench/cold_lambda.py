"""Cold start of the Lambda handler: CPU of the real runtime client's imports, ours, and the clients of AWS."""

from __future__ import annotations

from typing import Final

from bench.measure import children_cpu_ms
from bench.report import Figure

TITLE: Final = "Cold start on Lambda, CPU of a fresh interpreter"
RUNS: Final = 15
BUDGET_MS: Final = 30.0
"""Allowed on top of pydantic with one model, and of the clients (design section 9)."""

_ENVIRONMENT: Final = """
import os
os.environ.update(
    AWS_DEFAULT_REGION="eu-central-1", AWS_ACCESS_KEY_ID="none", AWS_SECRET_ACCESS_KEY="none",
    RESONATE_FAAS_TABLE="table", RESONATE_FAAS_QUEUE_URL="https://sqs.eu-central-1.amazonaws.com/0/queue",
)
"""
_MODEL: Final = "import pydantic\nclass Order(pydantic.BaseModel):\n    id: int\n    name: str = ''\n"
_BOTO3: Final = "import boto3\n"
_CLIENTS: Final = (
    "import boto3\nfor service in ('dynamodb', 'sqs'): boto3.client(service, region_name='eu-central-1')\n"
)
_RUNTIME: Final = "import awslambdaric.bootstrap\n"
_HANDLER: Final = "from resonate_faas import Resonate\nfrom resonate_faas_aws import lambda_handler\nlambda_handler(Resonate())\n"

_CASES: Final = {
    "an empty interpreter": "pass",
    "the runtime client (awslambdaric)": _RUNTIME,
    "import boto3": _BOTO3,
    "boto3 with the clients of DynamoDB and SQS": _ENVIRONMENT + _CLIENTS,
    "the same, and pydantic with one model": _ENVIRONMENT + _CLIENTS + _MODEL,
    "import resonate_faas_aws": "import resonate_faas_aws",
    "lambda_handler(resonate), clients made": _ENVIRONMENT + _HANDLER,
    "the same, in the runtime client": _ENVIRONMENT + _RUNTIME + _HANDLER,
    "the same, and one model of the user's": _ENVIRONMENT + _RUNTIME + _HANDLER + _MODEL,
}
_BOUNDED: Final = "lambda_handler(resonate), clients made"
_PEER: Final = "the same, and pydantic with one model"


def run() -> list[Figure]:
    """Return the figures: milliseconds of this machine now."""
    measured = children_cpu_ms(_CASES.values(), runs=RUNS)
    limit = measured[_CASES[_PEER]] + BUDGET_MS
    return [
        Figure(name=name, value=measured[code], unit="ms", budget=limit if name == _BOUNDED else None)
        for name, code in _CASES.items()
    ]
