variable "project_id" {
  description = "The Google Cloud project; its billing must be enabled."
  type        = string
  validation {
    condition     = can(regex("^[a-z][-a-z0-9]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id (6 to 30 lower-case letters, digits, hyphens), not its number or name."
  }
}

variable "region" {
  description = "Where everything is, such as us-central1; a region that Firestore, Cloud Tasks and Cloud Scheduler have too."
  type        = string
  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region such as us-central1, not a zone or a multi-region."
  }
}

variable "name" {
  description = "Of the function; queue, database, accounts and alerts are named after it."
  type        = string
  validation {
    condition     = can(regex("^[a-z][-a-z0-9]{2,20}[a-z0-9]$", var.name))
    error_message = "name must be 4 to 22 lower-case letters, digits and hyphens, from a letter on: the names of service accounts end in -runtime and have 30 characters at most, a named database 4 at least."
  }
}

variable "source_dir" {
  description = "Folder with main.py and requirements.txt. Give this or source_archive."
  type        = string
  default     = null
}

variable "source_archive" {
  description = "Zip file with main.py and requirements.txt at its top. Give this or source_dir."
  type        = string
  default     = null
  validation {
    condition     = (var.source_archive == null) != (var.source_dir == null)
    error_message = "Give one of source_dir and source_archive."
  }
}

variable "entry_point" {
  description = "What http_handler(resonate) is called in main.py."
  type        = string
  default     = "handler"
  validation {
    condition     = can(regex("^[A-Za-z_][A-Za-z0-9_]*$", var.entry_point))
    error_message = "entry_point must be the name of a variable in main.py."
  }
}

variable "runtime" {
  description = "Python of the function."
  type        = string
  default     = "python312"
  validation {
    condition     = contains(["python311", "python312", "python313", "python314"], var.runtime)
    error_message = "runtime must be python311, python312, python313 or python314."
  }
}

variable "environment" {
  description = "Further variables: your code's, and settings of resonate-faas that have no variable here, such as RESONATE_FAAS_PUBLIC_ROUTES."
  type        = map(string)
  default     = {}
  validation {
    condition     = length(setintersection(keys(var.environment), local.reserved)) == 0
    error_message = "environment must not hold what the module sets itself (see settings.tf), nor secrets: those belong in secrets."
  }
}

variable "secrets" {
  description = "Variables whose values are in Secret Manager: name of the variable = id of the secret, of this project; the newest version is read when an instance starts. RESONATE_FAAS_LINK_KEY for links that settle a promise, RESONATE_FAAS_WEBHOOK_SECRET, RESONATE_FAAS_JWT_KEY."
  type        = map(string)
  default     = {}
  validation {
    condition     = alltrue([for id in values(var.secrets) : can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "secrets must hold ids of secrets, not values and not whole resource names."
  }
}

variable "timeout_seconds" {
  description = "How long one request may run. An activation ends before it and goes on in the next; a single step must fit. Cloud Tasks waits 1,800 s at most, so a longer one serves only long waits of your own."
  type        = number
  default     = 540
  validation {
    condition     = var.timeout_seconds >= 30 && var.timeout_seconds <= 3600 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds must be whole, from 30 (an activation stops 5 s early) to 3600 (the limit of the platform)."
  }
}

variable "lease_seconds" {
  description = "Task lease; extended by heartbeats while the function runs, so a crash is repaired this long after it, at the next tick."
  type        = number
  default     = 30
  validation {
    condition     = var.lease_seconds >= 10 && var.lease_seconds <= 900 && floor(var.lease_seconds) == var.lease_seconds
    error_message = "lease_seconds must be whole, from 10 (clocks differ) to 900."
  }
  validation {
    condition     = var.lease_seconds < var.timeout_seconds
    error_message = "lease_seconds must be less than timeout_seconds: a longer lease only delays the repair of a crash."
  }
}

variable "sweep_minutes" {
  description = "Interval of the tick, which sends what a lost message left behind and what is due beyond the 30 days of Cloud Tasks."
  type        = number
  default     = 1
  validation {
    condition     = contains([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30], var.sweep_minutes)
    error_message = "sweep_minutes must divide the hour: 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30."
  }
}

variable "retention_days" {
  description = "How long a finished execution is kept; null: for ever. The same id starts a new execution only after it."
  type        = number
  default     = null
  validation {
    condition     = var.retention_days == null ? true : var.retention_days >= 1 && var.retention_days <= 3650 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days must be a whole number of days from 1 to 3650, or null."
  }
}

variable "instances" {
  description = "Size and number of the function's instances. One instance runs up to concurrency requests at a time, in threads; more than one needs a whole CPU."
  type = object({
    memory      = optional(string, "512Mi")
    cpu         = optional(string, "1")
    concurrency = optional(number, 8)
    min_count   = optional(number, 0)
    max_count   = optional(number, 20)
  })
  default  = {}
  nullable = false
  validation {
    condition     = can(regex("^[1-9][0-9]*(Mi|Gi)$", var.instances.memory))
    error_message = "instances.memory must be such as 512Mi or 2Gi."
  }
  validation {
    condition     = var.instances.concurrency >= 1 && var.instances.concurrency <= 80
    error_message = "instances.concurrency must be from 1 to 80: each request is a thread, and Python runs one at a time."
  }
  validation {
    condition     = var.instances.concurrency == 1 || tonumber(var.instances.cpu) >= 1
    error_message = "instances.cpu must be at least 1 if instances.concurrency is more than 1: a rule of the platform."
  }
  validation {
    condition     = var.instances.min_count >= 0 && var.instances.max_count >= 1 && var.instances.min_count <= var.instances.max_count
    error_message = "instances.max_count must be at least 1, and at least instances.min_count."
  }
}

variable "existing_database" {
  description = "A Firestore database in native mode that exists already, such as (default); null: one is made, in region, named after the deployment."
  type        = string
  default     = null
  validation {
    condition     = var.existing_database == null ? true : var.existing_database == "(default)" || can(regex("^[a-z][-a-z0-9]{2,61}[a-z0-9]$", var.existing_database))
    error_message = "existing_database must be the id of a database: (default), or 4 to 63 lower-case letters, digits and hyphens."
  }
}

variable "collection" {
  description = "Where the promises are in the database; several deployments may share a database in collections of their own."
  type        = string
  default     = "resonate"
  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_-]{0,99}$", var.collection))
    error_message = "collection must be letters, digits, _ and -, from a letter on."
  }
}

variable "callers" {
  description = "IAM members who may start, read and settle: a service account (serviceAccount:...) with its own identity token, a person or group (user:..., group:...) as the account NAME-caller, whose tokens they may make."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for member in var.callers : can(regex("^(user|group|serviceAccount):[^@ ,]+@[^@ ,]+$", member))])
    error_message = "callers must be written user:E-MAIL, group:E-MAIL or serviceAccount:E-MAIL. For callers without a Google account set RESONATE_FAAS_PUBLIC_ROUTES or a secret."
  }
}

variable "queues" {
  description = "Further queues of this deployment by target name, to give some functions a rate of their own."
  type = map(object({
    dispatches_per_second = optional(number, 100)
    concurrent_dispatches = optional(number, 10)
  }))
  default = {}
  validation {
    condition     = alltrue([for name in keys(var.queues) : can(regex("^[a-z][-a-z0-9]{0,30}$", name))])
    error_message = "queues must be named with lower-case letters, digits and hyphens, 31 at most."
  }
  validation {
    condition = alltrue([
      for queue in values(var.queues) :
      queue.dispatches_per_second > 0 && queue.dispatches_per_second <= 500 && queue.concurrent_dispatches >= 1 && queue.concurrent_dispatches <= 5000
    ])
    error_message = "A queue dispatches at most 500 a second and 5000 at a time: limits of Cloud Tasks."
  }
}

variable "notification_channels" {
  description = "Names of Cloud Monitoring channels (projects/P/notificationChannels/N) that are told of halted tasks and a failing tick; without any, incidents are only shown in the console."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "notification_channels must be written projects/PROJECT/notificationChannels/NUMBER."
  }
}
