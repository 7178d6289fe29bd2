# Who may do what. The README has the call of the code behind each right.

resource "google_service_account" "this" {
  for_each = local.accounts

  project      = var.project_id
  account_id   = "${var.name}-${each.key}"
  display_name = "${var.name}: ${each.value}"

  depends_on = [google_project_service.api]
}

# The function reads and writes documents, of its own database only.
resource "google_project_iam_member" "firestore" {
  project = var.project_id
  role    = "roles/datastore.user"
  member  = google_service_account.this["runtime"].member

  condition {
    title      = "${var.name} database"
    expression = "resource.name == \"projects/${var.project_id}/databases/${local.database}\""
  }
}

# It sends to its own queues only,
resource "google_cloud_tasks_queue_iam_member" "enqueue" {
  for_each = google_cloud_tasks_queue.this

  project  = var.project_id
  location = var.region
  name     = each.value.name
  role     = "roles/cloudtasks.enqueuer"
  member   = google_service_account.this["runtime"].member
}

# and says that Cloud Tasks shall deliver as the queue's account: creating such a task needs actAs on it.
resource "google_service_account_iam_member" "send_as_queue" {
  service_account_id = google_service_account.this["queue"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this["runtime"].member
}

resource "google_secret_manager_secret_iam_member" "read" {
  for_each = var.secrets

  project   = var.project_id
  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this["runtime"].member

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "build" {
  for_each = toset(["roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"])

  project = var.project_id
  role    = each.value
  member  = google_service_account.this["build"].member
}

# The function checks every request itself: Google's signature, the audience, the account. It can only do so if the
# platform does not: of a request that it has checked, Cloud Run removes the token's signature.
resource "google_cloud_run_service_iam_member" "public" {
  project  = var.project_id
  location = var.region
  service  = google_cloudfunctions2_function.this.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_service_account_iam_member" "call_as_caller" {
  for_each = toset(var.callers)

  service_account_id = google_service_account.this["caller"].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}
