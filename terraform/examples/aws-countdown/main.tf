# The countdown of samples/countdown on Lambda, as it is. README.md has the commands.

terraform {
  required_version = ">= 1.9, < 2"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Where it runs."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

module "countdown" {
  source = "../../aws"

  name               = "countdown"
  source_path        = "${path.root}/build"
  is_table_protected = false # an example is made to be destroyed
}

output "url" {
  description = "The trigger."
  value       = module.countdown.url
}

output "log_group" {
  description = "Where the function's log is."
  value       = module.countdown.log_group
}

output "caller_policy" {
  description = "Identity policy for who shall call the function, and nothing else."
  value       = module.countdown.caller_policy
}

output "invoke_command" {
  description = "A command that starts a countdown of three, and waits for it."
  value       = replace(module.countdown.invoke_command, "FUNCTION ARG...", "countdown 3 5")
}

output "doctor_command" {
  description = "A command that says whether all of it is well."
  value       = module.countdown.doctor_command
}
