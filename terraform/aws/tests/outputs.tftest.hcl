# What is known only once it is made: environment, policy, outputs.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:queue", url = "https://sqs.example/queue" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:orders:live" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { version = "3" }
  }
  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/orders" }
  }
}

variables {
  name        = "orders"
  source_path = "./tests"
}

run "made" {
  variables {
    retention_days = 30
    environment    = { STRIPE_KEY = "secret" }
  }

  assert {
    condition = nonsensitive(aws_lambda_function.this.environment[0].variables) == tomap({
      RESONATE_FAAS_TABLE          = "orders"
      RESONATE_FAAS_QUEUE_URL      = "https://sqs.example/queue"
      RESONATE_FAAS_LEASE_SECONDS  = "30"
      RESONATE_FAAS_SWEEP_SECONDS  = "60"
      RESONATE_FAAS_RETENTION_DAYS = "30"
      STRIPE_KEY                   = "secret"
    })
    error_message = "the settings that the handler reads"
  }
  assert {
    condition     = length(regexall("[*]", aws_iam_role_policy.function.policy)) == 1
    error_message = "no wildcard but the streams of the log group"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.function.policy, "kms:")
    error_message = "no key, no right to one"
  }
  assert {
    condition     = output.function_version == "3" && output.invoke_command == "resonate-faas invoke FUNCTION ARG... --wait --url https://abc.lambda-url.eu-central-1.on.aws"
    error_message = "the newest version, and a command to begin with"
  }
  assert {
    condition     = output.doctor_command == "resonate-faas doctor orders --aws --region eu-central-1"
    error_message = "a command to look with"
  }
  assert {
    condition     = jsondecode(output.caller_policy).Statement[0].Resource == "arn:aws:lambda:eu-central-1:123456789012:function:orders:live"
    error_message = "callers may call the alias"
  }
}

run "with_a_key" {
  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition     = one([for said in jsondecode(aws_iam_role_policy.function.policy).Statement : said if said.Sid == "Key"]).Resource == [var.kms_key_arn]
    error_message = "the function may use the key, and this one alone"
  }
}
