# The function logs one JSON object a line: its message is the event, its severity the level.
#
# A new metric can't be alerted on at once: Cloud Monitoring takes minutes to know it, ten at most. So the metrics are made
# first and the policies last, behind the function and its tick, which take minutes too.

locals {
  from_function = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.name}\""
  from_tick     = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=\"${local.tick}\""
  finished_tick = "${local.from_tick} AND jsonPayload.\"@type\"=\"type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished\""
}

resource "google_logging_metric" "this" {
  for_each = {
    halted-tasks   = "${local.from_function} AND jsonPayload.message=\"task halted\""
    failed-ticks   = "${local.finished_tick} AND severity>=ERROR"
    finished-ticks = "${local.finished_tick} AND severity<ERROR"
  }

  project = var.project_id
  name    = "${var.name}-${each.key}"
  filter  = each.value

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "halted_tasks" {
  project               = var.project_id
  display_name          = "${var.name}: a task was halted"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "a task was halted"

    condition_threshold {
      filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.this["halted-tasks"].name}\" AND resource.type=\"cloud_run_revision\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  depends_on = [google_cloud_scheduler_job.tick]

  documentation {
    mime_type = "text/markdown"
    content   = "An execution of ${var.name} stopped for good: its code diverged from its record, is not deployed, or got nowhere ten times. `resonate-faas tasks list --state halted --url ${local.url}` names it, `resonate-faas get ID` says why; once the cause is mended, `resonate-faas tasks continue ID`."
  }
}

resource "google_monitoring_alert_policy" "tick" {
  project               = var.project_id
  display_name          = "${var.name}: the tick fails"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels

  conditions {
    display_name = "three failed ticks"

    condition_threshold {
      filter          = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.this["failed-ticks"].name}\" AND resource.type=\"cloud_scheduler_job\""
      comparison      = "COMPARISON_GT"
      threshold_value = 2
      duration        = "0s"

      aggregations {
        alignment_period     = "${var.sweep_minutes * 300}s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "no tick"

    condition_absent {
      filter   = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.this["finished-ticks"].name}\" AND resource.type=\"cloud_scheduler_job\""
      duration = "${var.sweep_minutes * 60 + 900}s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  depends_on = [google_cloud_scheduler_job.tick]

  documentation {
    mime_type = "text/markdown"
    content   = "Executions of ${var.name} still run, but what a lost message or a crash left behind is not repaired. `${local.doctor_command}` says what is wrong."
  }
}
