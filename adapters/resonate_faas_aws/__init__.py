"""resonate-faas on AWS: Lambda runs it, DynamoDB holds promises, SQS carries messages. boto3 comes with a client."""

from resonate_faas_aws._calls import dynamodb_client
from resonate_faas_aws._dynamodb_store import DynamoDBStore
from resonate_faas_aws._dynamodb_table import create_table, table_definition
from resonate_faas_aws._events import DirectInvocationError, UnknownEventError
from resonate_faas_aws._function import LambdaFunction
from resonate_faas_aws._handler import lambda_handler
from resonate_faas_aws._own_url import PublicUrlError
from resonate_faas_aws._sqs_queue import SqsQueue, sqs_client

__all__ = [
    "DirectInvocationError",
    "DynamoDBStore",
    "LambdaFunction",
    "PublicUrlError",
    "SqsQueue",
    "UnknownEventError",
    "create_table",
    "dynamodb_client",
    "lambda_handler",
    "sqs_client",
    "table_definition",
]
