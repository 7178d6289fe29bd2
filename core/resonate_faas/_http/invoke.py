"""POST /invoke/{function}: start an execution."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from resonate_faas._http.messages import HttpResponse, json_response
from resonate_faas._http.room import Call
from resonate_faas._http_errors import InvalidFieldError
from resonate_faas._invocation import Invocation
from resonate_faas._machine.ids import id_error

DURATION_S_MAX: Final = 10 * 365 * 86_400
"""Ten years."""

ARGUMENTS_MAX: Final = 1_000
VERSION_MAX: Final = 2**31


def _root_id(text: str) -> str:
    reason = id_error(text) or ("an execution's id must not hold ':'" if ":" in text else None)
    if reason is not None:
        raise ValueError(reason)
    return text


class InvokeBody(BaseModel):
    """What to start. An unknown field is refused: a misspelt ``args`` must not start something else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    id: Annotated[str, AfterValidator(_root_id)] | None = None
    args: Annotated[list[Any], Field(max_length=ARGUMENTS_MAX)] = []
    kwargs: Annotated[dict[str, Any], Field(max_length=ARGUMENTS_MAX)] = {}
    timeout: Annotated[float, Field(gt=0, le=DURATION_S_MAX)] | None = None
    delay: Annotated[float, Field(ge=0, le=DURATION_S_MAX)] | None = None
    version: Annotated[int, Field(ge=0, le=VERSION_MAX)] = 0


def invoke(call: Call) -> HttpResponse:
    """Start an execution and answer where it is found; one that exists already is found the same way.

    Raises:
        InvalidFieldError: a field of the body breaks its rule; like all below, nothing was stored.
        FunctionNotFoundError: the function is not registered here.
        ArgumentsError: the arguments do not fit its signature.
        EncodingError: they are too large.
        InvocationConflictError: the id exists with another function or other arguments.
    """
    asked = _body(call.request.json(bytes_max=call.settings.body_bytes_max))
    found = call.node.client.invoke(
        Invocation(
            function=call.param("function"),
            args=asked.args,
            kwargs=asked.kwargs,
            id=asked.id,
            version=asked.version,
            timeout=asked.timeout,
            delay=asked.delay,
        )
    )
    url = call.settings.promise_url(found.id)
    body = {
        "id": found.id,
        "state": found.promise.state.value,
        "url": url,
        "links": {"self": url, "wait": f"{url}?wait=20", "cancel": f"{url}/cancel"},
    }
    return json_response(202, body, headers={"location": url})


def _body(value: Any) -> InvokeBody:
    try:
        return InvokeBody.model_validate(value)
    except ValidationError as error:
        raise field_error(error) from error


def field_error(error: ValidationError) -> InvalidFieldError:
    """Return pydantic's first finding as ours."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return InvalidFieldError(place[:200] or "body", first["msg"].removeprefix("Value error, "))
