"""What Lambda hands over, field by field: each format as AWS documents it, and as it was seen where documents are silent."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.emulators.function_url import event_of

from resonate_faas._http import HttpRequest, HttpResponse
from resonate_faas._http.messages import json_response
from resonate_faas._http_errors import InvalidFieldError
from resonate_faas._machine.objects import Execute, Poke
from resonate_faas_aws import DirectInvocationError, UnknownEventError
from resonate_faas_aws._events import (
    Kind,
    direct_answer,
    direct_request,
    http_answer,
    http_request,
    is_verified,
    kind_of,
    message_of,
)


def http_api(path: str, *, stage: str = "$default", **fields: Any) -> dict[str, Any]:
    """An HTTP API's event of payload 2.0: its path is decoded, with the stage in front."""
    context = {
        "domainName": "abc.execute-api.eu-central-1.amazonaws.com",
        "stage": stage,
        "http": {"method": "GET"},
    }
    return {"version": "2.0", "rawPath": path, "requestContext": context, **fields}


def rest_api(
    path: str, *, method: str = "GET", identity: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    """A REST API's event: its path is as the client sent it, without the stage."""
    context = {"stage": "prod", "identity": {"userArn": None, **(identity or {})}}
    return {"httpMethod": method, "path": path, "requestContext": context, "body": None, **fields}


def read(event: dict[str, Any], prefix: str = "") -> HttpRequest:
    return http_request(event, kind_of(event), prefix=prefix)


class TestKinds:
    @pytest.mark.parametrize(
        ("event", "kind"),
        [
            ({"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "{}"}]}, Kind.MESSAGES),
            ({"Records": []}, Kind.MESSAGES),
            (event_of("GET", "/health", is_signed=True), Kind.HTTP_2),
            (http_api("/health"), Kind.HTTP_2),
            (rest_api("/health"), Kind.HTTP_1),
            ({"resonate": "tick"}, Kind.DIRECT),
            ({"resonate": "invoke", "function": "f"}, Kind.DIRECT),
            ({"kind": "promise.get", "head": {}, "data": {}}, Kind.DIRECT),
        ],
    )
    def test_each_source_is_known_by_its_form(self, event: dict[str, Any], kind: Kind) -> None:
        assert kind_of(event) is kind

    @pytest.mark.parametrize(
        "event",
        [
            {},
            [],
            None,
            "tick",
            {"resonate": "tock"},
            {"Records": [{"eventSource": "aws:s3"}]},
            {"source": "aws.events"},
        ],
    )
    def test_what_is_not_known_is_refused(self, event: Any) -> None:
        with pytest.raises(UnknownEventError):
            kind_of(event)

    def test_a_refusal_names_keys_and_no_values(self) -> None:
        with pytest.raises(UnknownEventError, match="'password'") as refused:
            kind_of({"password": "hunter2"})
        assert "hunter2" not in str(refused.value)


class TestMessages:
    def test_an_execute_and_a_poke_are_read(self) -> None:
        execute = {"kind": "execute", "head": {}, "data": {"task": {"id": "a", "version": 3}}}
        poke = {"kind": "poke", "head": {}, "data": {"id": "b", "notBefore": 7}}
        assert message_of({"body": json.dumps(execute)}) == Execute(id="a", version=3, target="")
        assert message_of({"body": json.dumps(poke)}) == Poke(id="b", not_before=7)

    @pytest.mark.parametrize(
        "body", ["", "{", "null", "[]", '"text"', "{}", '{"kind": "poke"}', '{"kind": "execute"}']
    )
    def test_a_poison_body_is_told_apart(self, body: str) -> None:
        with pytest.raises(InvalidFieldError):
            message_of({"body": body})


class TestPaths:
    def test_a_function_url_passes_the_path_on_as_it_was_sent(self) -> None:
        assert (
            read(event_of("GET", "/promises/a%2Fb%3A1", "wait=1", is_signed=True)).path
            == "/promises/a%2Fb%3A1"
        )

    def test_an_http_api_decodes_the_path_which_is_encoded_again(self) -> None:
        assert read(http_api("/promises/a:1 100%?#é")).path == "/promises/a%3A1%20100%25%3F%23%C3%A9"

    @pytest.mark.parametrize(
        ("path", "read_as"), [("/prod/health", "/health"), ("/prod", "/"), ("/production/x", "/production/x")]
    )
    def test_the_stage_is_cut_off(self, path: str, read_as: str) -> None:
        assert read(http_api(path, stage="prod")).path == read_as
        event = rest_api(path, version="1.0")
        assert read(event).path == read_as

    def test_a_rest_api_leaves_its_stage_out_and_the_path_encoded(self) -> None:
        assert read(rest_api("/prod/a%3A1")).path == "/prod/a%3A1"

    def test_the_path_of_the_public_url_is_cut_off(self) -> None:
        assert read(http_api("/orders/invoke/f"), prefix="/orders").path == "/invoke/f"
        assert read(http_api("/ordersinvoke/f"), prefix="/orders").path == "/ordersinvoke/f"


class TestRequests:
    def test_a_body_in_base64_is_decoded(self) -> None:
        event = event_of("POST", "/", body=b"\xff\x00", headers={}, is_signed=True)
        assert event["isBase64Encoded"] is True
        assert base64.b64decode(event["body"]) == b"\xff\x00"
        assert read(event).body == b"\xff\x00"

    def test_a_text_body_is_utf_8(self) -> None:
        event = event_of(
            "POST", "/", headers={"content-type": "application/json"}, body="é".encode(), is_signed=True
        )
        assert event["isBase64Encoded"] is False
        assert read(event).body == "é".encode()

    def test_names_of_headers_are_lowered_and_may_be_missing(self) -> None:
        assert read(rest_api("/", headers={"Content-Type": "a/b"})).headers == {"content-type": "a/b"}
        assert read(rest_api("/", headers=None)).headers == {}

    def test_the_query_of_payload_1_is_encoded_again(self) -> None:
        several: dict[str, Any] = {"multiValueQueryStringParameters": {"token": ["a b"], "wait": ["1", "2"]}}
        assert read(rest_api("/", **several)).query_fields() == {"token": "a b", "wait": "2"}
        assert read(rest_api("/", queryStringParameters={"q": "ä&="})).query_fields() == {"q": "ä&="}
        assert read(rest_api("/", queryStringParameters=None)).query == ""

    def test_the_query_of_payload_2_is_as_it_was_sent(self) -> None:
        assert read(event_of("GET", "/", "a=%20&b=1", is_signed=True)).query == "a=%20&b=1"


class TestCallers:
    def test_iam_tells_who_called_in_payload_2(self) -> None:
        assert is_verified(event_of("GET", "/", is_signed=True), Kind.HTTP_2)
        assert not is_verified(event_of("GET", "/", is_signed=False), Kind.HTTP_2)

    def test_another_authorizer_is_not_iam(self) -> None:
        event = http_api("/")
        others: list[Any] = [{"jwt": {"claims": {"iam": "x"}}}, {"lambda": {"iam": "x"}}, {"iam": {}}, None]
        for authorizer in others:
            event["requestContext"]["authorizer"] = authorizer
            assert not is_verified(event, Kind.HTTP_2)

    def test_iam_tells_who_called_in_payload_1(self) -> None:
        assert is_verified(rest_api("/", identity={"userArn": "arn:aws:iam::1:user/x"}), Kind.HTTP_1)
        assert not is_verified(rest_api("/", identity={"user": "x", "accountId": "1"}), Kind.HTTP_1)

    def test_a_clients_own_headers_make_no_caller(self) -> None:
        headers = {
            "x-amzn-iam-user": "arn:aws:iam::1:user/x",
            "authorization": "AWS4-HMAC-SHA256 Credential=x",
        }
        assert not is_verified(event_of("GET", "/", headers=headers, is_signed=False), Kind.HTTP_2)


class TestAnswers:
    def test_a_response_has_both_formats_fields(self) -> None:
        answer = http_answer(json_response(202, {"id": "é"}, headers={"location": "/x"}), "POST")
        assert answer["statusCode"] == 202
        assert answer["headers"]["location"] == "/x"
        assert (json.loads(answer["body"]), answer["isBase64Encoded"]) == ({"id": "é"}, False)

    def test_head_has_no_body(self) -> None:
        assert http_answer(json_response(200, {}), "HEAD")["body"] == ""


class TestDirectInvocations:
    def test_a_tick_is_the_sweep(self) -> None:
        request = direct_request({"resonate": "tick"})
        assert (request.method, request.path, request.json(bytes_max=100)) == ("POST", "/tick", {})

    def test_an_invocation_is_the_route_of_that_name(self) -> None:
        request = direct_request({"resonate": "invoke", "function": "a/b", "id": "x", "args": [1]})
        assert request.path == "/invoke/a%2Fb"
        assert request.json(bytes_max=100) == {"id": "x", "args": [1]}

    @pytest.mark.parametrize("function", [None, "", 7])
    def test_an_invocation_without_a_function_is_refused(self, function: Any) -> None:
        with pytest.raises(DirectInvocationError, match="function"):
            direct_request({"resonate": "invoke", "function": function})

    def test_an_envelope_goes_to_the_protocol_as_it_is(self) -> None:
        envelope = {"kind": "promise.get", "head": {"version": "x"}, "data": {"id": "a"}}
        request = direct_request(envelope)
        assert (request.path, request.json(bytes_max=1000)) == ("/", envelope)

    def test_a_refusal_is_raised_so_that_an_asynchronous_caller_hears_of_it(self) -> None:
        with pytest.raises(DirectInvocationError, match="404: no such thing"):
            direct_answer(json_response(404, {"detail": "no such thing"}))

    def test_an_envelope_tells_its_own_status(self) -> None:
        body = {"kind": "promise.get", "head": {"status": 404}, "data": "not found"}
        assert direct_answer(json_response(404, body)) == body

    def test_a_result_is_the_bodys_json(self) -> None:
        assert direct_answer(HttpResponse(status=202, headers={}, body=b'{"id": "a"}')) == {"id": "a"}
