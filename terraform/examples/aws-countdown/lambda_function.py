"""The countdown on Lambda: the workflows as they are, and one line that hands them over."""

from __future__ import annotations

from workflows import resonate

from resonate_faas_aws import lambda_handler

handler = lambda_handler(resonate)
