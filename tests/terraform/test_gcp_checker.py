"""The checker finds each kind of error that it is there for: planted one at a time into a module that has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.terraform.hcl import Module, add, expressions, references
from tests.terraform.schema_checker import problems, schemas

ACCOUNT = "object google_cloud_scheduler_job.job.http_target.oidc_token.service_account_email"

RIGHT = """
variable "name" {
  type = string
}

locals {
  topics = { a = "b" }
}

resource "google_service_account" "one" {
  account_id = var.name
}

resource "google_storage_bucket" "several" {
  for_each = local.topics
  name     = "x-${each.value}"
  location = "EU"
}

resource "google_cloud_scheduler_job" "job" {
  name   = "job"
  region = "r"

  retry_config {
    retry_count = 3
  }

  http_target {
    uri     = google_storage_bucket.several["a"].url
    headers = { "A" = "b" }

    oidc_token {
      service_account_email = google_service_account.one.email
    }
  }
}

resource "google_firestore_index" "index" {
  collection = "c"

  dynamic "fields" {
    for_each = local.topics
    content {
      field_path = fields.value
      order      = "ASCENDING"
    }
  }
}
"""


def found(text: str) -> list[str]:
    made = Module(Path())
    add(made, text)
    return problems(made, schemas())


def test_what_is_right_is_let_pass() -> None:
    assert found(RIGHT) == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        (
            '"google_storage_bucket" "several"',
            '"google_storage_bukket" "several"',
            "google_storage_bukket.several: no such type",
        ),
        (
            "retry_count = 3",
            "retries = 3",
            "google_cloud_scheduler_job.job.retry_config: retries is no argument",
        ),
        ("field_path", "field", "google_firestore_index.index.fields: field is no argument"),
        ('"fields"', '"field"', "google_firestore_index.index: field is no block"),
        (
            "retry_config {\n    retry_count = 3\n  }",
            "retry_config = { retry_count = 3 }",
            "google_cloud_scheduler_job.job.retry_config is a block, not an argument",
        ),
        (
            '  name   = "job"',
            "  name {\n  }\n",
            "google_cloud_scheduler_job.job: name is an argument, not a block",
        ),
        (
            "retry_config {\n    retry_count = 3\n  }",
            "retry_config {\n  }\n  retry_config {\n  }",
            "google_cloud_scheduler_job.job.retry_config may stand only once",
        ),
        (
            "  retry_config {",
            '  dynamic "retry_config" {\n    for_each = local.topics\n    content {}\n  }\n  retry_config {',
            "google_cloud_scheduler_job.job.retry_config may stand only once",
        ),
        ('  location = "EU"', "", "google_storage_bucket.several: location is missing"),
        (
            "service_account_email = google_service_account.one.email",
            "",
            "google_cloud_scheduler_job.job.http_target.oidc_token: service_account_email is missing",
        ),
        (
            "retry_count = 3",
            'retry_count = "often"',
            "google_cloud_scheduler_job.job.retry_config.retry_count must be a number",
        ),
        (
            "retry_count = 3",
            "retry_count = true",
            "google_cloud_scheduler_job.job.retry_config.retry_count must be a number",
        ),
        ('region = "r"', 'region = ["r"]', "google_cloud_scheduler_job.job.region must be a string"),
        (
            '{ "A" = "b" }',
            '["A"]',
            "google_cloud_scheduler_job.job.http_target.headers must be a map",
        ),
        ("var.name", "var.nom", "object google_service_account.one.account_id: var.nom is not declared"),
        (
            "for_each = local.topics\n  name",
            "for_each = local.topic\n  name",
            "object google_storage_bucket.several.for_each: local.topic is not declared",
        ),
        (
            "google_service_account.one.email",
            "google_service_account.two.email",
            f"{ACCOUNT}: google_service_account.two is not declared",
        ),
        (
            "google_service_account.one.email",
            "google_service_account.one.mail",
            f"{ACCOUNT}: google_service_account.one has no attribute mail",
        ),
        (
            '.several["a"].url',
            ".several.url",
            "object google_cloud_scheduler_job.job.http_target.uri: google_storage_bucket.several needs an index",
        ),
        (
            "google_service_account.one.email",
            "google_service_account.one[0].email",
            f"{ACCOUNT}: google_service_account.one needs no index",
        ),
        ("var.name", '"a-name"', "var.name is not used"),
        (
            "locals {",
            "locals {\n  idle = 1",
            "local.idle is not used",
        ),
        (
            '"x-${each.value}"',
            '"x-${upper("y-${var.none}")}"',
            "object google_storage_bucket.several.name: var.none is not declared",
        ),
    ],
)
def test_a_planted_error_is_found(right: str, wrong: str, problem: str) -> None:
    assert RIGHT.count(right) == 1
    assert problem in found(RIGHT.replace(right, wrong))


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("nme = 1", "module one: nme is no variable"),
        ("", "module one: name is missing"),
        ("name = module.one.nothing", "call one.name: module.one has no output nothing"),
        ("name = module.two.made", "call one.name: module.two is not declared"),
    ],
)
def test_an_error_in_a_call_of_a_module_is_found(call: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('variable "name" {}\noutput "made" {\n  value = var.name\n}\n')
    made = Module(tmp_path)
    add(made, f'module "one" {{\n  source = "./"\n  {call}\n}}\n')
    assert problem in problems(made, schemas())


def test_texts_within_code_are_no_references_and_code_within_texts_is() -> None:
    assert expressions('"a var.no ${f("var.no ${var.yes}", x)} b"') == ["var.yes", 'f("", x)', '""']
    assert [one.root for one in references('${var.a ? "local.no" : local.b}', "")] == ["var", "local"]
