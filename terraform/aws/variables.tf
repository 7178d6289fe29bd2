variable "name" {
  description = "Name of the function; table, queues, roles, schedule and alarms are named after it. Letters, digits, - and _, at most 40."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9_-]{0,39}$", var.name))
    error_message = "name must begin with a letter and hold at most 40 letters, digits, - and _ (the longest name derived from it must fit the 64 of IAM)."
  }
}

variable "source_path" {
  description = "The code with its dependencies: a folder, or a .zip of one."
  type        = string
  nullable    = false

  validation {
    condition     = endswith(var.source_path, ".zip") ? fileexists(var.source_path) : length(try(fileset(var.source_path, "**"), [])) > 0
    error_message = "source_path must be an existing .zip or a folder that is not empty."
  }
}

variable "handler" {
  description = "Module and name of the handler that resonate_faas_aws.lambda_handler made."
  type        = string
  default     = "lambda_function.handler"
  nullable    = false

  validation {
    condition     = can(regex("^[\\w/]+(\\.\\w+)+$", var.handler))
    error_message = "handler must be module.name."
  }
}

variable "runtime" {
  description = "Python of the function; the dependencies in source_path are built for it."
  type        = string
  default     = "python3.13"
  nullable    = false

  validation {
    condition     = contains(["python3.11", "python3.12", "python3.13", "python3.14"], var.runtime)
    error_message = "runtime must be python3.11, python3.12, python3.13 or python3.14."
  }
}

variable "architecture" {
  description = "Processor of the function; the dependencies in source_path are built for it."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "memory_mb" {
  description = "Memory of the function, MB; its share of a processor grows with it."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb must be a whole number from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "Time-out of the function, seconds: the longest step has to fit; near it the task goes on in a fresh invocation."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 15 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be a whole number from 15 (a lease is at least 10) to 900 (Lambda's own limit)."
  }
}

variable "lease_seconds" {
  description = "Lease of a task, seconds. Heartbeats extend it while the function runs, so a crash is repaired this long after it."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.lease_seconds >= 10 && var.lease_seconds < var.timeout_seconds && floor(var.lease_seconds) == var.lease_seconds
    error_message = "lease_seconds must be a whole number, at least 10 (clocks may disagree by a second) and less than timeout_seconds (a longer one only delays repair)."
  }
}

variable "visibility_seconds" {
  description = "How long a received message stays hidden, seconds; null: six times the time-out, which leaves room for throttled tries."
  type        = number
  default     = null

  validation {
    condition     = var.visibility_seconds == null ? true : var.visibility_seconds >= var.timeout_seconds + 30 && var.visibility_seconds <= 43200
    error_message = "visibility_seconds must be at least timeout_seconds + 30 (a message must not return while it is handled) and at most 43200."
  }
}

variable "batch_size" {
  description = "Messages of one invocation. Above 1 they share its time-out; only those that failed come again."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size must be a whole number from 1 to 10."
  }
}

variable "maximum_concurrency" {
  description = "Invocations that the queue may cause at the same time; null: as many as the account allows."
  type        = number
  default     = null

  validation {
    condition     = var.maximum_concurrency == null ? true : var.maximum_concurrency >= 2 && var.maximum_concurrency <= 1000
    error_message = "maximum_concurrency must be from 2 to 1000 (SQS's own bounds)."
  }
}

variable "retention_days" {
  description = "Days after which the tree of a settled execution is deleted; null: never."
  type        = number
  default     = null

  validation {
    condition     = var.retention_days == null ? true : var.retention_days >= 1 && var.retention_days <= 3650 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days must be a whole number from 1 to 3650."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept; one of the values that CloudWatch knows."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the values that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, ..."
  }
}

variable "url_authorization" {
  description = "Who may call the function URL: AWS_IAM (signed requests, allowed by IAM), or NONE (anyone; then the function's own checks decide, see README)."
  type        = string
  default     = "AWS_IAM"
  nullable    = false

  validation {
    condition     = contains(["AWS_IAM", "NONE"], var.url_authorization)
    error_message = "url_authorization must be AWS_IAM or NONE."
  }
}

variable "environment" {
  description = "More variables of the function: secrets of links and webhooks (RESONATE_FAAS_...), and your own."
  type        = map(string)
  default     = {}
  nullable    = false
  sensitive   = true

  validation {
    condition = length(setintersection(nonsensitive(keys(var.environment)), [
      "RESONATE_FAAS_TABLE", "RESONATE_FAAS_QUEUE_URL", "RESONATE_FAAS_LEASE_SECONDS", "RESONATE_FAAS_SWEEP_SECONDS", "RESONATE_FAAS_RETENTION_DAYS",
    ])) == 0
    error_message = "environment must not hold what the module sets: RESONATE_FAAS_TABLE, _QUEUE_URL, _LEASE_SECONDS, _SWEEP_SECONDS, _RETENTION_DAYS."
  }
}

variable "live_version" {
  description = "Version that the alias points at; null: the one just published. A number rolls back, or holds back what is published until it is tried."
  type        = string
  default     = null

  validation {
    condition     = var.live_version == null ? true : can(regex("^[1-9][0-9]*$", var.live_version))
    error_message = "live_version must be the number of a published version."
  }
}

variable "kms_key_arn" {
  description = "Key for table, queues, logs and environment; null: keys that AWS owns. Its policy must let CloudWatch Logs use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[^:]+:kms:[^:]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, not of an alias."
  }
}

variable "alarm_actions" {
  description = "ARNs that alarms tell, such as an SNS topic's."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : startswith(arn, "arn:")])
    error_message = "alarm_actions must be ARNs."
  }
}

variable "is_table_protected" {
  description = "Refuse to delete the table: set it to false, and apply, before a destroy."
  type        = bool
  default     = true
  nullable    = false
}
