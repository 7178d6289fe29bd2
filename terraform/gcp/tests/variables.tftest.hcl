# What the variables accept and what follows from them. No provider is needed: tests/terraform runs this file in a copy of
# variables.tf and settings.tf alone.

variables {
  project_id = "my-project"
  region     = "us-central1"
  name       = "countdown"
  source_dir = "source"
  callers    = ["user:ada@example.com", "serviceAccount:shop@other.iam.gserviceaccount.com"]
}

run "what_follows_from_the_least_that_must_be_said" {
  command = plan

  assert {
    condition     = local.settings["RESONATE_FAAS_PUBLIC_URL"] == "https://us-central1-my-project.cloudfunctions.net/countdown"
    error_message = "the address is the platform's own"
  }
  assert {
    condition     = local.settings["RESONATE_FAAS_CALLERS"] == "countdown-caller@my-project.iam.gserviceaccount.com,shop@other.iam.gserviceaccount.com"
    error_message = "people call as the account NAME-caller, service accounts as themselves"
  }
  assert {
    condition     = local.settings["RESONATE_FAAS_DISPATCH_DEADLINE_SECONDS"] == "540"
    error_message = "Cloud Tasks waits as long as the function may run"
  }
  assert {
    condition     = !contains(keys(local.settings), "RESONATE_FAAS_RETENTION_DAYS") && !contains(keys(local.settings), "RESONATE_FAAS_QUEUES")
    error_message = "what is not asked for is not set"
  }
  assert {
    condition     = length(setsubtract(keys(local.settings), local.reserved)) == 0
    error_message = "every setting of the module is refused in environment"
  }
}

run "what_follows_from_more" {
  command = plan
  variables {
    timeout_seconds   = 3600
    sweep_minutes     = 5
    retention_days    = 30
    existing_database = "(default)"
    queues            = { reports = { dispatches_per_second = 5 } }
    environment       = { RESONATE_FAAS_PUBLIC_ROUTES = "invoke", SHOP = "https://shop.example" }
    secrets           = { RESONATE_FAAS_LINK_KEY = "countdown-link-key" }
    instances         = { concurrency = 1, cpu = "0.5", max_count = 3 }
  }

  assert {
    condition     = local.settings["RESONATE_FAAS_DISPATCH_DEADLINE_SECONDS"] == "1800" && local.tick_deadline_seconds == 180
    error_message = "Cloud Tasks waits half an hour at most"
  }
  assert {
    condition     = local.settings["RESONATE_FAAS_SWEEP_SECONDS"] == "300" && local.settings["RESONATE_FAAS_RETENTION_DAYS"] == "30"
    error_message = "what is asked for is set"
  }
  assert {
    condition     = jsondecode(local.settings["RESONATE_FAAS_QUEUES"])["reports"] == "projects/my-project/locations/us-central1/queues/countdown-reports"
    error_message = "a further queue is named after its target"
  }
  assert {
    condition     = local.settings["RESONATE_FAAS_DATABASE"] == "(default)"
    error_message = "a database that exists is used"
  }
}

run "a_lease_as_long_as_the_timeout_is_refused" {
  command = plan
  variables {
    timeout_seconds = 60
    lease_seconds   = 60
  }
  expect_failures = [var.lease_seconds]
}

run "a_lease_shorter_than_clocks_differ_is_refused" {
  command = plan
  variables {
    lease_seconds = 9
  }
  expect_failures = [var.lease_seconds]
}

run "a_lease_over_the_limit_is_refused" {
  command = plan
  variables {
    timeout_seconds = 3600
    lease_seconds   = 901
  }
  expect_failures = [var.lease_seconds]
}

run "a_timeout_over_the_limit_of_the_platform_is_refused" {
  command = plan
  variables {
    timeout_seconds = 3601
  }
  expect_failures = [var.timeout_seconds]
}

run "an_interval_that_does_not_divide_the_hour_is_refused" {
  command = plan
  variables {
    sweep_minutes = 7
  }
  expect_failures = [var.sweep_minutes]
}

run "two_sources_are_refused" {
  command = plan
  variables {
    source_archive = "source.zip"
  }
  expect_failures = [var.source_archive]
}

run "no_source_is_refused" {
  command = plan
  variables {
    source_dir = null
  }
  expect_failures = [var.source_archive]
}

run "a_name_too_long_for_its_accounts_is_refused" {
  command = plan
  variables {
    name = "countdown-to-the-lift-off"
  }
  expect_failures = [var.name]
}

run "a_zone_is_refused" {
  command = plan
  variables {
    region = "us-central1-a"
  }
  expect_failures = [var.region]
}

run "the_number_of_a_project_is_refused" {
  command = plan
  variables {
    project_id = "123456789012"
  }
  expect_failures = [var.project_id]
}

run "a_setting_of_the_module_is_refused_in_environment" {
  command = plan
  variables {
    environment = { RESONATE_FAAS_LEASE_SECONDS = "60" }
  }
  expect_failures = [var.environment]
}

run "a_secret_is_refused_in_environment" {
  command = plan
  variables {
    environment = { RESONATE_FAAS_LINK_KEY = "in the open" }
  }
  expect_failures = [var.environment]
}

run "the_value_of_a_secret_is_refused" {
  command = plan
  variables {
    secrets = { RESONATE_FAAS_LINK_KEY = "it's no id" }
  }
  expect_failures = [var.secrets]
}

run "a_part_of_a_cpu_for_several_requests_is_refused" {
  command = plan
  variables {
    instances = { cpu = "0.5", concurrency = 2 }
  }
  expect_failures = [var.instances]
}

run "more_instances_at_least_than_at_most_are_refused" {
  command = plan
  variables {
    instances = { min_count = 3, max_count = 2 }
  }
  expect_failures = [var.instances]
}

run "a_retention_of_half_a_day_is_refused" {
  command = plan
  variables {
    retention_days = 0.5
  }
  expect_failures = [var.retention_days]
}

run "everybody_is_no_caller" {
  command = plan
  variables {
    callers = ["allUsers"]
  }
  expect_failures = [var.callers]
}

run "a_queue_faster_than_cloud_tasks_is_refused" {
  command = plan
  variables {
    queues = { fast = { dispatches_per_second = 501 } }
  }
  expect_failures = [var.queues]
}

run "a_channel_by_its_e_mail_address_is_refused" {
  command = plan
  variables {
    notification_channels = ["ada@example.com"]
  }
  expect_failures = [var.notification_channels]
}

run "another_runtime_than_python_is_refused" {
  command = plan
  variables {
    runtime = "nodejs22"
  }
  expect_failures = [var.runtime]
}

run "an_entry_point_with_its_module_is_refused" {
  command = plan
  variables {
    entry_point = "main.handler"
  }
  expect_failures = [var.entry_point]
}

run "a_database_by_its_whole_name_is_refused" {
  command = plan
  variables {
    existing_database = "projects/my-project/databases/other"
  }
  expect_failures = [var.existing_database]
}

run "a_path_is_no_collection" {
  command = plan
  variables {
    collection = "tenants/one/promises"
  }
  expect_failures = [var.collection]
}
