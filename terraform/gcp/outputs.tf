output "url" {
  description = "Where the function answers: POST URL/invoke/FUNCTION, GET URL/promises/ID."
  value       = local.url
}

output "invoke_command" {
  description = "Starts an execution and waits for it, once FUNCTION and its arguments are filled in; for those named in callers."
  value       = local.invoke_command
}

output "doctor_command" {
  description = "Checks the deployment from outside."
  value       = local.doctor_command
}

output "token_command" {
  description = "Prints an identity token that the function accepts, for RESONATE_FAAS_TOKEN; valid for an hour."
  value       = local.token_command
}

output "database" {
  description = "The Firestore database; terraform leaves it when it destroys the rest."
  value       = local.database
}

output "queue_ids" {
  description = "The Cloud Tasks queues by target name; the deployment's own is \"\"."
  value       = { for target, queue in google_cloud_tasks_queue.this : target => queue.id }
}

output "accounts" {
  description = "E-mail addresses of the service accounts, by role."
  value       = { for role, account in google_service_account.this : role => account.email }
}

output "function" {
  description = "The function's whole name."
  value       = google_cloudfunctions2_function.this.id
}
