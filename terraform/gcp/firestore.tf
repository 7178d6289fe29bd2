# The database holds every promise: it outlives `terraform destroy`, and is deleted by hand (see the README).

resource "google_firestore_database" "this" {
  count = var.existing_database == null ? 1 : 0

  project         = var.project_id
  name            = var.name
  location_id     = var.region
  type            = "FIRESTORE_NATIVE"
  deletion_policy = "ABANDON"

  depends_on = [google_project_service.api]
}

# Indexes and exemptions as adapters/resonate_faas_gcp/_indexes.py has them; tests/terraform compares the two.

locals {
  composite_indexes = {
    due       = [{ field = "shard", mode = "ASCENDING" }, { field = "due", mode = "ASCENDING" }]
    states    = [{ field = "shard", mode = "ASCENDING" }, { field = "states", mode = "CONTAINS" }, { field = "key", mode = "ASCENDING" }]
    by_origin = [{ field = "origin", mode = "ASCENDING" }, { field = "key", mode = "ASCENDING" }]
    by_branch = [{ field = "branch", mode = "ASCENDING" }, { field = "key", mode = "ASCENDING" }]
  }

  exempt_fields = ["record", "nonce", "key", "shard", "due", "states", "origin", "branch", "expires"]
  ttl_field     = "expires"
}

resource "google_firestore_index" "query" {
  for_each = local.composite_indexes

  project     = var.project_id
  database    = local.database
  collection  = var.collection
  query_scope = "COLLECTION"

  dynamic "fields" {
    for_each = each.value
    content {
      field_path   = fields.value.field
      order        = fields.value.mode == "ASCENDING" ? "ASCENDING" : null
      array_config = fields.value.mode == "CONTAINS" ? "CONTAINS" : null
    }
  }

  depends_on = [google_firestore_database.this]
}

resource "google_firestore_field" "exempt" {
  for_each = toset(local.exempt_fields)

  project    = var.project_id
  database   = local.database
  collection = var.collection
  field      = each.value

  index_config {} # none: an index over rising instants would be one hot tablet

  dynamic "ttl_config" { # a late backstop: retention sets the field on trees that it is about to delete
    for_each = each.value == local.ttl_field ? [each.value] : []
    content {}
  }

  depends_on = [google_firestore_database.this]
}
