# What an operator must know of. A lost lease now and then is repaired by itself; a run of them is a replay too long for its lease.

locals {
  events = {
    halted = {
      event       = "task halted"
      metric      = "HaltedTasks"
      threshold   = 1
      description = "A task was halted after too many activations without progress. See: resonate-faas tasks list --state halted"
    }
    leases = {
      event       = "task not acquired"
      metric      = "LeaseLosses"
      threshold   = 5
      description = "Leases were lost (error 1199), 5 in 5 minutes: activations run longer than their lease lets them. See the events' replay_ms and promises"
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "event" {
  for_each       = local.events
  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.function.name
  pattern        = "{ $.message = \"${each.value.event}\" }"

  metric_transformation {
    namespace     = "ResonateFaas/${var.name}"
    name          = each.value.metric
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "event" {
  for_each            = local.events
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "ResonateFaas/${var.name}"
  metric_name         = each.value.metric
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Messages failed ${local.receives_max} times. Read one, mend the cause, then redrive the queue"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
}

resource "aws_cloudwatch_metric_alarm" "throttles" {
  alarm_name          = "${var.name}-throttles"
  alarm_description   = "Lambda refused invocations in each of 5 minutes: raise the account's concurrency, or set maximum_concurrency"
  namespace           = "AWS/Lambda"
  metric_name         = "Throttles"
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
}
