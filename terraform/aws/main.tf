# One Lambda function, with everything its promises and messages need. Access is in iam.tf, alarms are in alarms.tf.

locals {
  # Lambda polls a queue only if its messages stay hidden for at least the time-out; AWS recommends six times of it.
  visibility_seconds = coalesce(var.visibility_seconds, 6 * var.timeout_seconds)

  # A message that fails this often is poison: AWS recommends at least 5, since throttled tries count too.
  receives_max = 5

  sweep_seconds = 60 # EventBridge Scheduler knows no shorter interval

  environment = merge(
    {
      RESONATE_FAAS_TABLE         = aws_dynamodb_table.this.name
      RESONATE_FAAS_QUEUE_URL     = aws_sqs_queue.work.url
      RESONATE_FAAS_LEASE_SECONDS = tostring(var.lease_seconds)
      RESONATE_FAAS_SWEEP_SECONDS = tostring(local.sweep_seconds)
    },
    var.retention_days == null ? {} : { RESONATE_FAAS_RETENTION_DAYS = tostring(var.retention_days) },
    var.environment,
  )
}

# ---- what is remembered: the same table that resonate_faas_aws.create_table makes, on demand

resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.is_table_protected

  dynamic "attribute" {
    for_each = { pk = "S", sk = "S", s = "N", d = "N", o = "B", b = "B", i = "S" }

    content {
      name = attribute.key
      type = attribute.value
    }
  }

  global_secondary_index {
    name               = "due"
    hash_key           = "s"
    range_key          = "d"
    projection_type    = "INCLUDE"
    non_key_attributes = ["i"]
  }

  global_secondary_index {
    name            = "origin"
    hash_key        = "o"
    range_key       = "i"
    projection_type = "KEYS_ONLY"
  }

  global_secondary_index {
    name            = "branch"
    hash_key        = "b"
    range_key       = "i"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "t"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

# ---- what travels

resource "aws_sqs_queue" "work" {
  name                              = var.name
  visibility_timeout_seconds        = local.visibility_seconds
  message_retention_seconds         = 345600 # 4 days; the sweep repeats what is lost anyway
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 3600

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = local.receives_max
  })
}

resource "aws_sqs_queue" "dead" {
  name                              = "${var.name}-dead"
  message_retention_seconds         = 1209600 # 14 days, the longest: time to look
  sqs_managed_sse_enabled           = var.kms_key_arn == null ? true : null
  kms_master_key_id                 = var.kms_key_arn
  kms_data_key_reuse_period_seconds = var.kms_key_arn == null ? null : 3600
}

# ---- what runs

locals {
  is_archive    = endswith(var.source_path, ".zip")
  files         = local.is_archive ? [] : [for path in sort(fileset(var.source_path, "**")) : path if !strcontains(path, "__pycache__/")]
  archive       = local.is_archive ? var.source_path : "${path.root}/.terraform/${var.name}.zip"
  archive_hash  = local.is_archive ? filebase64sha256(var.source_path) : base64sha256(join("\n", [for path in local.files : "${path} ${filesha256("${var.source_path}/${path}")}"]))
  function_logs = "/aws/lambda/${var.name}"
}

resource "terraform_data" "archive" {
  count            = local.is_archive ? 0 : 1
  triggers_replace = [local.archive_hash, local.archive]

  provisioner "local-exec" {
    command = "python3 \"$SCRIPT\" \"$FOLDER\" \"$ARCHIVE\""

    environment = {
      SCRIPT  = "${path.module}/zip_folder.py"
      FOLDER  = var.source_path
      ARCHIVE = local.archive
    }
  }
}

resource "aws_cloudwatch_log_group" "function" {
  name              = local.function_logs
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  function_name    = var.name
  role             = aws_iam_role.function.arn
  runtime          = var.runtime
  handler          = var.handler
  architectures    = [var.architecture]
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds
  filename         = local.archive
  source_code_hash = local.archive_hash
  publish          = true
  kms_key_arn      = var.kms_key_arn

  environment {
    variables = local.environment
  }

  # The events of the worker are JSON with fields; alarms.tf counts them by name.
  logging_config {
    log_format            = "JSON"
    application_log_level = "INFO"
    system_log_level      = "WARN"
    log_group             = aws_cloudwatch_log_group.function.name
  }

  depends_on = [aws_iam_role_policy.function, terraform_data.archive]
}

# A workflow that sleeps or calls itself goes round through the queue on purpose. Lambda takes that for a loop, and would stop it after
# 16 rounds; what really loops without getting anywhere backs off and is halted by the tasks' own rule.
resource "aws_lambda_function_recursion_config" "this" {
  function_name  = aws_lambda_function.this.function_name
  recursive_loop = "Allow"
}

# Whatever calls the function calls this alias; a deployment publishes a version and then moves it, in one step.
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.this.function_name
  function_version = coalesce(var.live_version, aws_lambda_function.this.version)
}

resource "aws_lambda_function_url" "this" {
  function_name      = aws_lambda_function.this.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = var.url_authorization
}

resource "aws_lambda_event_source_mapping" "work" {
  event_source_arn        = aws_sqs_queue.work.arn
  function_name           = aws_lambda_alias.live.arn
  batch_size              = var.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  dynamic "scaling_config" {
    for_each = var.maximum_concurrency[*]

    content {
      maximum_concurrency = scaling_config.value
    }
  }
}

# ---- the sweep, each minute

resource "aws_scheduler_schedule" "tick" {
  name                = "${var.name}-tick"
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_alias.live.arn
    role_arn = aws_iam_role.tick.arn
    input    = jsonencode({ resonate = "tick" })

    # The next tick does what a lost one did not.
    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = local.sweep_seconds
    }
  }

  depends_on = [aws_iam_role_policy.tick]
}
