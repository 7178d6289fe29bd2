"""The wire: bodies to typed requests, replies to envelopes. Pydantic, imported by the HTTP rooms only.

Models are built on first use. Source: protocol sections 1 to 3, design section 10.
"""

from resonate_faas._protocol.answers import (
    Answer,
    encode_refusal,
    encode_reply,
)
from resonate_faas._protocol.envelope import (
    KINDS,
    PROTOCOL_VERSION,
    UNPARSED_REFUSAL,
    ActionEcho,
    Decoded,
    Envelope,
    Head,
    Refused,
    WireSettings,
    decode_request,
    open_envelope,
    read_request,
)
from resonate_faas._protocol.records import (
    Json,
    encode_unblock,
    promise_record,
    schedule_record,
    task_record,
)
from resonate_faas._pushed import InvalidMessage, PushedExecute, decode_message, encode_execute, load_json

__all__ = [
    "KINDS",
    "PROTOCOL_VERSION",
    "UNPARSED_REFUSAL",
    "ActionEcho",
    "Answer",
    "Decoded",
    "Envelope",
    "Head",
    "InvalidMessage",
    "Json",
    "PushedExecute",
    "Refused",
    "WireSettings",
    "decode_message",
    "decode_request",
    "encode_execute",
    "encode_refusal",
    "encode_reply",
    "encode_unblock",
    "load_json",
    "open_envelope",
    "promise_record",
    "read_request",
    "schedule_record",
    "task_record",
]
