resource "google_project_service" "api" {
  for_each = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "cloudtasks.googleapis.com",
      "firestore.googleapis.com",
      "iam.googleapis.com",
      "iamcredentials.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "run.googleapis.com",
      "storage.googleapis.com",
    ],
    length(var.secrets) == 0 ? [] : ["secretmanager.googleapis.com"],
  ))

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false # others in the project may use it
}

# The source, as an object whose name changes with its content: that is how a new one is deployed.

data "archive_file" "source" {
  count = var.source_dir == null ? 0 : 1

  type        = "zip"
  source_dir  = var.source_dir
  output_path = "${path.root}/.terraform/${var.name}-source.zip"
  excludes    = [".git/**", ".venv/**", "**/__pycache__/**"]
}

locals {
  archive        = var.source_dir == null ? var.source_archive : data.archive_file.source[0].output_path
  archive_sha256 = var.source_dir == null ? filesha256(var.source_archive) : data.archive_file.source[0].output_sha256
}

resource "google_storage_bucket" "source" {
  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # holds nothing but copies of the source

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_object" "source" {
  name   = "${local.archive_sha256}.zip"
  bucket = google_storage_bucket.source.name
  source = local.archive
}

resource "google_cloudfunctions2_function" "this" {
  project     = var.project_id
  location    = var.region
  name        = var.name
  description = "Durable functions of resonate-faas"

  build_config {
    runtime         = var.runtime
    entry_point     = var.entry_point
    service_account = google_service_account.this["build"].name

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.this["runtime"].email
    timeout_seconds                  = var.timeout_seconds
    available_memory                 = var.instances.memory
    available_cpu                    = var.instances.cpu
    max_instance_request_concurrency = var.instances.concurrency
    min_instance_count               = var.instances.min_count
    max_instance_count               = var.instances.max_count
    ingress_settings                 = "ALLOW_ALL" # Cloud Tasks and Cloud Scheduler come from outside
    all_traffic_on_latest_revision   = true
    environment_variables            = merge(var.environment, local.settings)

    dynamic "secret_environment_variables" {
      for_each = var.secrets
      content {
        key        = secret_environment_variables.key
        project_id = var.project_id
        secret     = secret_environment_variables.value
        version    = "latest"
      }
    }
  }

  depends_on = [
    google_project_iam_member.build,
    google_project_iam_member.firestore,
    google_cloud_tasks_queue_iam_member.enqueue,
    google_service_account_iam_member.send_as_queue,
    google_secret_manager_secret_iam_member.read,
    google_firestore_index.query,
    google_firestore_field.exempt,
  ]
}

# What waits travels through a queue. Retries cover an instance that could not start or a store out of reach; what they
# give up, the tick sends again. A delivery that finds its task held answers 200: the queue is never throttled by it.

resource "google_cloud_tasks_queue" "this" {
  for_each = merge(
    { "" = { dispatches_per_second = 500, concurrent_dispatches = min(var.instances.max_count * var.instances.concurrency, 5000) } },
    var.queues,
  )

  project  = var.project_id
  location = var.region
  name     = each.key == "" ? var.name : "${var.name}-${each.key}"

  rate_limits {
    max_dispatches_per_second = each.value.dispatches_per_second
    max_concurrent_dispatches = each.value.concurrent_dispatches
  }

  retry_config {
    max_attempts  = 10
    min_backoff   = "1s"
    max_backoff   = "60s"
    max_doublings = 6
  }

  depends_on = [google_project_service.api]
}

resource "google_cloud_scheduler_job" "tick" {
  project          = var.project_id
  region           = var.region
  name             = local.tick
  description      = "Sends what is due: the safety net of every timer and message"
  schedule         = "*/${var.sweep_minutes} * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "${local.tick_deadline_seconds}s"

  retry_config {
    retry_count = 0 # the next tick is the retry
  }

  http_target {
    http_method = "POST"
    uri         = "${local.url}/tick"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode("{}")

    oidc_token {
      service_account_email = google_service_account.this["tick"].email
      audience              = local.url
    }
  }

  depends_on = [google_cloudfunctions2_function.this]
}
