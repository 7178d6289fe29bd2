# What follows from the variables alone: names, the function's address, and the settings that it starts with.

locals {
  # The platform's own address of a function is known before there is one, so that the function can be told its own.
  url = "https://${var.region}-${var.project_id}.cloudfunctions.net/${var.name}"

  database = coalesce(var.existing_database, var.name)
  queue    = "projects/${var.project_id}/locations/${var.region}/queues/${var.name}"
  queues   = { for target, _ in var.queues : target => "${local.queue}-${target}" }

  tick = "${var.name}-tick"

  accounts = {
    runtime = "what the function runs as"
    queue   = "whose token Cloud Tasks sends with a delivery"
    tick    = "whose token Cloud Scheduler sends with a tick"
    caller  = "whose token a person sends with a call"
    build   = "what Cloud Build makes the function's image as"
  }
  emails = { for role, _ in local.accounts : role => "${var.name}-${role}@${var.project_id}.iam.gserviceaccount.com" }

  calling_accounts = concat(
    [local.emails["caller"]],
    [for member in var.callers : trimprefix(member, "serviceAccount:") if startswith(member, "serviceAccount:")],
  )

  # Cloud Tasks waits for an answer for 1,800 s at most.
  dispatch_deadline_seconds = min(var.timeout_seconds, 1800)

  # Cloud Scheduler too; a tick stops by itself before the function's timeout.
  tick_deadline_seconds = min(var.timeout_seconds, 180)

  settings = merge(
    {
      RESONATE_FAAS_PROJECT                   = var.project_id
      RESONATE_FAAS_DATABASE                  = local.database
      RESONATE_FAAS_COLLECTION                = var.collection
      RESONATE_FAAS_QUEUE                     = local.queue
      RESONATE_FAAS_PUBLIC_URL                = local.url
      RESONATE_FAAS_QUEUE_ACCOUNT             = local.emails["queue"]
      RESONATE_FAAS_TICK_ACCOUNT              = local.emails["tick"]
      RESONATE_FAAS_CALLERS                   = join(",", local.calling_accounts)
      RESONATE_FAAS_TIMEOUT_SECONDS           = tostring(var.timeout_seconds)
      RESONATE_FAAS_DISPATCH_DEADLINE_SECONDS = tostring(local.dispatch_deadline_seconds)
      RESONATE_FAAS_LEASE_SECONDS             = tostring(var.lease_seconds)
      RESONATE_FAAS_SWEEP_SECONDS             = tostring(var.sweep_minutes * 60)
    },
    var.retention_days == null ? {} : { RESONATE_FAAS_RETENTION_DAYS = tostring(var.retention_days) },
    length(var.queues) == 0 ? {} : { RESONATE_FAAS_QUEUES = jsonencode(local.queues) },
  )

  # Set here or by the platform, or secret: not for the variable environment.
  reserved = [
    "RESONATE_FAAS_PROJECT", "RESONATE_FAAS_DATABASE", "RESONATE_FAAS_COLLECTION", "RESONATE_FAAS_QUEUE",
    "RESONATE_FAAS_PUBLIC_URL", "RESONATE_FAAS_QUEUE_ACCOUNT", "RESONATE_FAAS_TICK_ACCOUNT", "RESONATE_FAAS_CALLERS",
    "RESONATE_FAAS_TIMEOUT_SECONDS", "RESONATE_FAAS_DISPATCH_DEADLINE_SECONDS", "RESONATE_FAAS_LEASE_SECONDS",
    "RESONATE_FAAS_SWEEP_SECONDS", "RESONATE_FAAS_RETENTION_DAYS", "RESONATE_FAAS_QUEUES",
    "RESONATE_FAAS_LINK_KEY", "RESONATE_FAAS_WEBHOOK_SECRET", "RESONATE_FAAS_JWT_KEY",
    "PORT", "K_SERVICE", "K_REVISION", "FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE",
  ]

  # Commands for people: the outputs of their names.
  token_command  = "gcloud auth print-identity-token --include-email --impersonate-service-account=${local.emails["caller"]} --audiences=${local.url}"
  invoke_command = "resonate-faas invoke --url ${local.url} --token \"$(${local.token_command})\" --wait FUNCTION"
  doctor_command = "resonate-faas doctor ${var.name} --gcp --project ${var.project_id} --region ${var.region}"
}
