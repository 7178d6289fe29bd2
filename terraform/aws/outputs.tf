output "url" {
  description = "The trigger: POST {url}invoke/FUNCTION."
  value       = aws_lambda_function_url.this.function_url
}

output "invoke_command" {
  description = "A command that starts an execution and waits for it; put a function and its arguments for FUNCTION ARG..."
  value       = "resonate-faas invoke FUNCTION ARG... --wait --url ${trimsuffix(aws_lambda_function_url.this.function_url, "/")}"
}

output "doctor_command" {
  description = "A command that says whether all of it is well."
  value       = "resonate-faas doctor ${aws_lambda_function.this.function_name} --aws --region ${data.aws_region.current.name}"
}

output "caller_policy" {
  description = "Identity policy, JSON, for who shall call the URL and the function, and nothing else."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"] # since October 2025 a URL takes both
      Resource = aws_lambda_alias.live.arn
    }]
  })
}

output "function_name" {
  description = "Name of the function: what resonate-faas doctor --aws takes."
  value       = aws_lambda_function.this.function_name
}

output "function_version" {
  description = "Version that the alias points at."
  value       = aws_lambda_alias.live.function_version
}

output "alias_arn" {
  description = "ARN to call the function by."
  value       = aws_lambda_alias.live.arn
}

output "role_name" {
  description = "Role of the function: attach here what your own steps need."
  value       = aws_iam_role.function.name
}

output "table_name" {
  description = "Name of the DynamoDB table."
  value       = aws_dynamodb_table.this.name
}

output "queue_url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.work.url
}

output "dead_letter_queue_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dead.url
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.function.name
}
