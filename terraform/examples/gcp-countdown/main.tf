# samples/countdown on Google Cloud, as it is. build.sh puts the source together; docs/deploy-gcp.md has all commands.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}

variable "project_id" {
  description = "The Google Cloud project; its billing must be enabled."
  type        = string
}

variable "region" {
  description = "Where everything is."
  type        = string
  default     = "us-central1"
}

variable "callers" {
  description = "IAM members who may start countdowns, such as user:ada@example.com."
  type        = list(string)
  default     = []
}

module "countdown" {
  source = "../../gcp"

  project_id = var.project_id
  region     = var.region
  name       = "countdown"
  source_dir = "${path.module}/build"
  callers    = var.callers
}

output "url" {
  description = "Where the function answers."
  value       = module.countdown.url
}

output "token_command" {
  description = "Prints a token that the function accepts."
  value       = module.countdown.token_command
}

output "invoke_command" {
  description = "Counts down from 3, a second each, and waits for it."
  value       = replace(module.countdown.invoke_command, "FUNCTION", "countdown 3 1")
}

output "doctor_command" {
  description = "Checks the deployment from outside."
  value       = module.countdown.doctor_command
}
