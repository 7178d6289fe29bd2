"""What a person needs to know of a divergence: both sides, where they stand, why it probably happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import from_json

from resonate_faas._engine.recorded import Difference
from resonate_faas._errors import DecodingError, NonDeterminismError

if TYPE_CHECKING:
    from resonate_faas._engine.execution import Execution
    from resonate_faas._engine.registry import Function

_UNRECORDED = "the clock, random numbers, the order of a set, the environment"


def explained(difference: Difference, execution: Execution) -> NonDeterminismError:
    """Return the error that tells a difference, with its probable cause and the lines of both sides."""
    line = difference.line
    return NonDeterminismError(
        difference.promise_id,
        difference.recorded,
        difference.present,
        line,
        source=execution.settings.source(line) if line else "",
        defined=_defined(difference, execution),
        cause=_cause(difference, execution),
    )


def _cause(difference: Difference, execution: Execution) -> str:
    names = [frame.scene.function for frame in execution.frames.opened() if frame.scene is not None]
    watch = execution.settings.watch
    sightings = [seen for name in names for seen in watch.seen(name)] if watch is not None else []
    if sightings:
        return f"the workflow {sightings[-1]}, which no replay repeats"
    patches = [name for frame in execution.frames.opened() for name in frame.unasked]
    if patches:
        return (
            f"this execution took the patch {patches[0]!r}, for which this code does not ask: it is older than the "
            "code that recorded it, or ctx.patched was removed before such executions had ended"
        )
    root = execution.root_function
    began_as, is_now = _code_at_start(execution), execution.registry.fingerprint(root)
    if began_as is not None and began_as != is_now:
        return (
            f"the code changed under a running execution: {root.name}, or what it uses of its module, is not as it "
            f"was when {execution.root.id!r} was started"
        )
    only_arguments = difference.marks == ("digest",)
    if began_as is not None:
        depends = "an argument depends" if only_arguments else "which call comes here depends"
        return (
            f"the workflow is not deterministic: {root.name}, and what it uses of its module, is as it was when "
            f"{execution.root.id!r} was started, so {depends} on something that is not on record ({_UNRECORDED})"
        )
    if only_arguments:
        return (
            f"an argument depends on something that is not on record ({_UNRECORDED}), "
            "or the code changed under a running execution"
        )
    return (
        "the code changed under a running execution, or which call it makes depends on something that is not on "
        f"record ({_UNRECORDED})"
    )


def _code_at_start(execution: Execution) -> str | None:
    """Return the fingerprint of the code that the root was started with; None: its param does not say."""
    try:
        encoded = execution.codec.unpack(execution.root.param, execution.root.id)
        fields = from_json(encoded) if encoded is not None else None
    except (DecodingError, ValueError):
        return None
    code = fields.get("code") if isinstance(fields, dict) else None
    return code if isinstance(code, str) else None


def _defined(difference: Difference, execution: Execution) -> str:
    """Return "file:line" of the recorded function, if it is registered here."""
    function: Function | None = execution.registry.find(*difference.function)
    code = getattr(function.call, "__code__", None) if function is not None else None
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
