"""resonate-faas on AWS: promises in DynamoDB, messages through SQS. boto3 is imported when a client is made."""

from resonate_faas_aws._calls import dynamodb_client
from resonate_faas_aws._dynamodb_store import DynamoDBStore
from resonate_faas_aws._dynamodb_table import create_table, table_definition
from resonate_faas_aws._sqs_queue import SqsQueue, sqs_client

__all__ = [
    "DynamoDBStore",
    "SqsQueue",
    "create_table",
    "dynamodb_client",
    "sqs_client",
    "table_definition",
]
