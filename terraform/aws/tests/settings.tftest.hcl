# What may be said, and what is refused before anything is made.

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
}

variables {
  name        = "orders"
  source_path = "./tests" # any folder will do: nothing is deployed
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_lambda_function.this.architectures == tolist(["arm64"]) && aws_lambda_function.this.runtime == "python3.13"
    error_message = "arm64 and Python 3.13 by default"
  }
  assert {
    condition     = aws_lambda_function.this.publish && aws_lambda_function.this.logging_config[0].log_format == "JSON"
    error_message = "versions are published, logs are JSON: the metric filters read fields"
  }
  assert {
    condition     = aws_lambda_function_recursion_config.this.recursive_loop == "Allow"
    error_message = "Lambda would stop a workflow at its 16th sleep"
  }
  assert {
    condition     = aws_lambda_function_url.this.authorization_type == "AWS_IAM" && aws_lambda_function_url.this.qualifier == "live"
    error_message = "the URL belongs to the alias and is closed"
  }
  assert {
    condition     = aws_sqs_queue.work.visibility_timeout_seconds == 6 * aws_lambda_function.this.timeout
    error_message = "six times the time-out"
  }
  assert {
    condition     = aws_lambda_event_source_mapping.work.batch_size == 1 && aws_lambda_event_source_mapping.work.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "one message an invocation, failures reported one by one"
  }
  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST" && aws_dynamodb_table.this.point_in_time_recovery[0].enabled && aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "on demand, recoverable, protected"
  }
  assert {
    condition     = aws_scheduler_schedule.tick.target[0].input == "{\"resonate\":\"tick\"}" && aws_scheduler_schedule.tick.schedule_expression == "rate(1 minute)"
    error_message = "the sweep, each minute"
  }
  assert {
    condition     = aws_sqs_queue.work.sqs_managed_sse_enabled && aws_dynamodb_table.this.server_side_encryption[0].enabled == false
    error_message = "keys that AWS owns by default"
  }
  assert {
    condition     = { for key, filter in aws_cloudwatch_log_metric_filter.event : key => filter.pattern } == { halted = "{ $.message = \"task halted\" }", leases = "{ $.message = \"task not acquired\" }" }
    error_message = "the events are counted by name"
  }
}

run "everything_said" {
  command = plan

  variables {
    timeout_seconds     = 900
    lease_seconds       = 120
    visibility_seconds  = 930
    batch_size          = 10
    maximum_concurrency = 2
    retention_days      = 7
    memory_mb           = 1024
    architecture        = "x86_64"
    url_authorization   = "NONE"
    live_version        = "7"
    kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    alarm_actions       = ["arn:aws:sns:eu-central-1:123456789012:duty"]
    environment         = { STRIPE_KEY = "secret" }
  }

  assert {
    condition     = aws_sqs_queue.work.visibility_timeout_seconds == 930 && aws_lambda_event_source_mapping.work.scaling_config[0].maximum_concurrency == 2
    error_message = "as said"
  }
  assert {
    condition     = aws_lambda_alias.live.function_version == "7"
    error_message = "a version can be held"
  }
  assert {
    condition     = aws_sqs_queue.work.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.dead.kms_master_key_id == var.kms_key_arn && aws_lambda_function.this.kms_key_arn == var.kms_key_arn && aws_cloudwatch_log_group.function.kms_key_id == var.kms_key_arn && aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    error_message = "one key for all that is at rest"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.dead_letters.alarm_actions == toset(var.alarm_actions) && alltrue([for alarm in aws_cloudwatch_metric_alarm.event : alarm.alarm_actions == toset(var.alarm_actions)])
    error_message = "alarms tell somebody"
  }
}

run "a_lease_as_long_as_the_time_out" {
  command = plan
  variables {
    timeout_seconds = 30
    lease_seconds   = 30
  }
  expect_failures = [var.lease_seconds]
}

run "a_lease_too_short" {
  command = plan
  variables {
    lease_seconds = 9
  }
  expect_failures = [var.lease_seconds]
}

run "a_message_that_returns_while_it_is_handled" {
  command = plan
  variables {
    timeout_seconds    = 60
    visibility_seconds = 89
  }
  expect_failures = [var.visibility_seconds]
}

run "a_time_out_that_lambda_does_not_know" {
  command = plan
  variables {
    timeout_seconds = 901
  }
  expect_failures = [var.timeout_seconds]
}

run "no_code" {
  command = plan
  variables {
    source_path = "./tests/nothing-here"
  }
  expect_failures = [var.source_path]
}

run "no_archive" {
  command = plan
  variables {
    source_path = "./tests/nothing-here.zip"
  }
  expect_failures = [var.source_path]
}

run "the_rest_of_what_is_refused" {
  command = plan
  variables {
    name                = "a name"
    handler             = "handler"
    runtime             = "python3.9"
    architecture        = "riscv"
    memory_mb           = 64
    batch_size          = 11
    maximum_concurrency = 1
    retention_days      = 0
    log_retention_days  = 2
    url_authorization   = "none"
    live_version        = "$LATEST"
    kms_key_arn         = "alias/mine"
    alarm_actions       = ["duty"]
    environment         = { RESONATE_FAAS_TABLE = "other" }
  }
  expect_failures = [
    var.name, var.handler, var.runtime, var.architecture, var.memory_mb, var.batch_size, var.maximum_concurrency, var.retention_days,
    var.log_retention_days, var.url_authorization, var.live_version, var.kms_key_arn, var.alarm_actions, var.environment,
  ]
}
