# What the function may do, action by action: each is there because code of resonate_faas_aws, or Lambda itself, calls it.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  function_arn = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:function:${var.name}"

  statements = [
    {
      Sid    = "Records"
      Effect = "Allow"
      Action = [
        "dynamodb:BatchGetItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan", # searches without an origin or branch
      ]
      Resource = [aws_dynamodb_table.this.arn]
    },
    {
      Sid      = "Indexes"
      Effect   = "Allow"
      Action   = ["dynamodb:Query"]
      Resource = [for index in ["due", "origin", "branch"] : "${aws_dynamodb_table.this.arn}/index/${index}"]
    },
    {
      Sid      = "Send"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = [aws_sqs_queue.work.arn]
    },
    {
      Sid      = "Poll" # by Lambda, for the event source mapping
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
      Resource = [aws_sqs_queue.work.arn]
    },
    {
      Sid      = "OwnUrl" # for the links of external promises
      Effect   = "Allow"
      Action   = ["lambda:GetFunctionUrlConfig"]
      Resource = [local.function_arn, "${local.function_arn}:live"]
    },
    {
      Sid      = "Logs" # by Lambda; the group exists
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.function.arn}:*"]
    },
  ]

  key_statements = [for arn in var.kms_key_arn[*] : {
    Sid      = "Key"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = [arn]
  }]
}

resource "aws_iam_role" "function" {
  name = "${var.name}-function"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "function" {
  name   = "least-privilege"
  role   = aws_iam_role.function.id
  policy = jsonencode({ Version = "2012-10-17", Statement = concat(local.statements, local.key_statements) })
}

resource "aws_iam_role" "tick" {
  name = "${var.name}-tick"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "tick" {
  name = "invoke"
  role = aws_iam_role.tick.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Tick"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [aws_lambda_alias.live.arn]
    }]
  })
}
