"""The example for AWS, really applied: what it makes, that a countdown runs through it, what the doctor finds, its end."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.terminal import Cli
from tests.emulators.ministack import REGION
from tests.packaging.tree import ROOT
from tests.terraform.aws_deployment import FORGOTTEN, NAME, Applied, applied

from resonate_faas_aws import create_table
from resonate_faas_aws._dynamodb_table import TTL_ATTRIBUTE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    with applied(tmp_path_factory.mktemp("aws")) as made:
        yield made


@pytest.fixture
def cli(deployed: Applied) -> Cli:
    return Cli(deployed.url, {**deployed.environment, "RESONATE_FAAS_SIGN_FOR": f"lambda/{REGION}"})


def test_a_second_plan_changes_nothing_but_what_the_emulator_forgets(deployed: Applied) -> None:
    ran = deployed.terraform.run("plan", "-input=false", "-out=again")
    assert ran.returncode == 0, ran.stderr
    planned = json.loads(deployed.terraform.ok("show", "-json", "again"))
    changed = {one["type"] for one in planned["resource_changes"] if one["change"]["actions"] != ["no-op"]}
    assert changed <= FORGOTTEN


def test_the_table_is_the_one_that_the_store_makes(deployed: Applied) -> None:
    client = deployed.client("dynamodb")
    create_table(client, "by-hand")
    by_hand, by_terraform = (schema(client, name) for name in ("by-hand", NAME))
    assert by_terraform == by_hand
    expiry = client.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]
    assert (expiry["TimeToLiveStatus"], expiry["AttributeName"]) == ("ENABLED", TTL_ATTRIBUTE)
    client.delete_table(TableName="by-hand")


def schema(client: Any, table: str) -> dict[str, Any]:
    """Return what makes a table the one that it is."""
    found = client.describe_table(TableName=table)["Table"]
    indexes = {
        index["IndexName"]: (
            index["KeySchema"],
            index["Projection"]["ProjectionType"],
            sorted(index["Projection"].get("NonKeyAttributes", [])),
        )
        for index in found["GlobalSecondaryIndexes"]
    }
    attributes = {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]}
    billing = found["BillingModeSummary"]["BillingMode"]
    return {"keys": found["KeySchema"], "attributes": attributes, "billing": billing, "indexes": indexes}


LAMBDA_ITSELF = {
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
}
"""What the event source mapping and the runtime do in the function's name."""

ACTIONS = {
    "transact_get_items": {"dynamodb:GetItem"},
    "transact_write_items": {"dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"},
    "batch_get_item": {"dynamodb:BatchGetItem"},
    "put_item": {"dynamodb:PutItem"},
    "delete_item": {"dynamodb:DeleteItem"},
    "query": {"dynamodb:Query"},
    "scan": {"dynamodb:Scan"},
    "send_message_batch": {"sqs:SendMessage"},
    "get_function_url_config": {"lambda:GetFunctionUrlConfig"},
}
"""What IAM asks for, by call: transactions are allowed by the actions that they hold, batches as single ones."""

OPERATORS_ONLY = {"_dynamodb_table.py", "_doctor.py", "_doctor_url.py"}
"""What the function itself never runs."""


def calls_made() -> set[str]:
    """Return the calls to AWS that the function's code makes: methods of clients, and operations named to Calls."""
    found: set[str] = set()
    for path in sorted((ROOT / "adapters" / "resonate_faas_aws").glob("*.py")):
        if path.name not in OPERATORS_ONLY:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found |= named(node)
    return found


def named(node: ast.AST) -> set[str]:
    """Return the operations that a node of the syntax tree names."""
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_SINGLE":
        return set(ast.literal_eval(node.value or ast.Dict([], [])).values())
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return set()
    receiver = ast.unparse(node.func.value)
    if receiver.endswith("calls") and node.func.attr in {"read", "write"}:
        return {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
    if receiver.endswith("client") or ".client(" in receiver:
        return {node.func.attr} - {"client"}
    return set()


def test_the_role_may_do_what_the_code_does_and_nothing_else(deployed: Applied) -> None:
    policy = deployed.client("iam").get_role_policy(
        RoleName=f"{NAME}-function", PolicyName="least-privilege"
    )["PolicyDocument"]
    granted = {action for statement in policy["Statement"] for action in statement["Action"]}
    needed = {action for call in calls_made() for action in ACTIONS[call]}
    assert granted == needed | LAMBDA_ITSELF
    resources = [resource for statement in policy["Statement"] for resource in statement["Resource"]]
    assert [one for one in resources if "*" in one] == [
        one for one in resources if one.endswith(f"/{NAME}:*")
    ]
    assert all(NAME in one for one in resources)


def test_a_countdown_runs_through_the_deployed_function(cli: Cli) -> None:
    """Signed requests, IAM enforced for caller and function; each sleep waits in the queue."""
    ran = cli.ok("invoke", NAME, "2", "3", "--id", "launch", "--wait")
    assert ran.out == "lift-off\n"
    promise = cli.ok("get", "launch", "--json").json
    assert (promise["state"], promise["value"]) == ("resolved", "lift-off")


def test_a_request_that_is_not_signed_is_refused(deployed: Applied) -> None:
    ran = Cli(deployed.url)("get", "launch")
    assert ran.code == 4
    assert "AWS refused the request" in ran.err
    assert "lambda:InvokeFunctionUrl" in ran.err


def signing_as(deployed: Applied, key: str, secret: str, token: str | None = None) -> Cli:
    """Return the command line with these credentials, whose signatures the emulator verifies."""
    environment = {
        **deployed.environment,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "RESONATE_FAAS_SIGN_FOR": f"lambda/{REGION}",
    }
    return Cli(deployed.url, {**environment, **({"AWS_SESSION_TOKEN": token} if token else {})})


def test_the_policy_for_callers_lets_them_call(deployed: Applied) -> None:
    """Ids hold colons, which paths hold escaped: the signature must be over what is sent."""
    iam = deployed.client("iam")
    iam.create_user(UserName="caller")
    policy = str(deployed.outputs["caller_policy"])
    iam.put_user_policy(UserName="caller", PolicyName="call", PolicyDocument=policy)
    made = iam.create_access_key(UserName="caller")["AccessKey"]
    caller = signing_as(deployed, made["AccessKeyId"], made["SecretAccessKey"])
    assert caller.ok("get", "launch:1", "--json").json["value"] == "2..."
    assert caller.ok("invoke", NAME, "0", "--id", "nothing", "--kw", "every=0").out == "nothing\n"
    forger = signing_as(deployed, made["AccessKeyId"], "another-secret")("get", "launch")
    assert forger.code == 4
    assert "signature" in forger.err


def test_a_role_that_may_less_can_not_call(deployed: Applied) -> None:
    """The function's own role may not call its URL; so who enforces IAM here really does."""
    role = deployed.client("iam").get_role(RoleName=f"{NAME}-function")["Role"]["Arn"]
    keys = deployed.client("sts").assume_role(RoleArn=role, RoleSessionName="stranger")["Credentials"]
    stranger = signing_as(deployed, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    ran = stranger("get", "launch")
    assert ran.code == 4, ran
    assert "assumed-role/countdown-function/stranger is not autho" in ran.err


def doctor(deployed: Applied, *, code: int) -> dict[str, dict[str, str]]:
    """Return the checks by name."""
    cli = Cli(deployed.url, deployed.environment)
    ran = cli("doctor", NAME, "--aws", "--url", deployed.url, "--json")
    assert ran.code == code, ran
    return {check["name"]: check for check in ran.json["checks"]}


def test_the_doctor_finds_nothing_wrong(deployed: Applied) -> None:
    checks = doctor(deployed, code=0)
    assert {check["verdict"] for check in checks.values()} == {"ok"}
    assert list(checks) == [
        "function",
        "loops",
        "unsigned request",
        "signed request",
        "table",
        "time to live",
        "recovery",
        "queue",
        "dead letters",
        "event source",
        "tick",
        "halted tasks",
    ]


def test_the_doctor_says_what_is_wrong_and_what_to_do(deployed: Applied) -> None:
    """Each of these was made wrong by hand, as somebody in a console might."""
    break_things(deployed)
    checks = doctor(deployed, code=1)
    wrong = {name: check for name, check in checks.items() if check["verdict"] == "failed"}
    assert set(wrong) == {
        "loops",
        "time to live",
        "queue",
        "dead letters",
        "event source",
        "tick",
        "halted tasks",
    }
    assert all(check["cure"] for check in wrong.values())
    assert "1 messages" in wrong["dead letters"]["saw"]
    assert "ReportBatchItemFailures" in wrong["event source"]["cure"]
    assert "stuck" in wrong["halted tasks"]["saw"]
    shown = Cli(deployed.url, deployed.environment)("doctor", NAME, "--aws", "--url", deployed.url)
    assert shown.code == 1
    assert f"queue: {wrong['queue']['cure']}" in shown.out


def break_things(deployed: Applied) -> None:
    """Do to the deployment what its checks are for."""
    sqs = deployed.client("sqs")
    queue = sqs.get_queue_url(QueueName=NAME)["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "20"})
    dead = sqs.get_queue_url(QueueName=f"{NAME}-dead")["QueueUrl"]
    sqs.send_message(QueueUrl=dead, MessageBody="{}")
    functions = deployed.client("lambda")
    functions.put_function_recursion_config(FunctionName=NAME, RecursiveLoop="Terminate")
    (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], FunctionResponseTypes=[])
    scheduler = deployed.client("scheduler")
    found = scheduler.get_schedule(Name=f"{NAME}-tick")
    kept = {key: found[key] for key in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**kept, State="DISABLED")
    off = {"Enabled": False, "AttributeName": TTL_ATTRIBUTE}
    deployed.client("dynamodb").update_time_to_live(TableName=NAME, TimeToLiveSpecification=off)
    for data in (
        {"kind": "promise.create", "data": PROMISE},
        {"kind": "task.halt", "data": {"id": PROMISE["id"]}},
    ):
        envelope = {**data, "head": {"corrId": "test", "version": "2026-04-01"}}
        answer = functions.invoke(FunctionName=f"{NAME}:live", Payload=json.dumps(envelope))
        assert json.loads(answer["Payload"].read())["head"]["status"] in {200, 201}


PROMISE: dict[str, Any] = {
    "id": "stuck",
    "timeoutAt": 9_999_999_999_000,
    "param": {"headers": {}, "data": ""},
    "tags": {"resonate:target": f"sqs://{NAME}"},
}


def test_the_doctor_of_nothing_says_so(deployed: Applied) -> None:
    ran = Cli(deployed.url, deployed.environment)("doctor", "nothing", "--aws", "--json")
    assert ran.code == 1
    (check,) = ran.json["checks"]
    assert (check["name"], check["verdict"]) == ("function", "failed")


def test_the_end_leaves_nothing(deployed: Applied) -> None:
    """The last test of this file."""
    told = deployed.terraform.ok("destroy", "-auto-approve", "-input=false")
    assert "Destroy complete!" in told
    assert deployed.client("dynamodb").list_tables()["TableNames"] == []
    assert deployed.client("lambda").list_functions()["Functions"] == []
    assert not deployed.client("sqs").list_queues().get("QueueUrls")
    assert not deployed.client("logs").describe_log_groups()["logGroups"]
    assert not [role for role in deployed.client("iam").list_roles()["Roles"] if NAME in role["RoleName"]]
