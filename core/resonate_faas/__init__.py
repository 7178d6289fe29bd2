"""Durable functions for Python on serverless platforms, with no server to operate.

Write workflows as ordinary functions whose first parameter is the :class:`Context`; register them with
:class:`Resonate`; hand that to a platform's handler, or to ``resonate-faas dev`` on a laptop.
"""

from __future__ import annotations

from resonate_faas._engine.codec import Encryptor
from resonate_faas._engine.context import Context, ExternalPromise, StepContext
from resonate_faas._engine.futures import Future
from resonate_faas._engine.retry import Constant, Exponential, Linear, Never, RetryPolicy
from resonate_faas._engine.steps import Info
from resonate_faas._errors import (
    AlreadyRegisteredError,
    ApplicationError,
    ArgumentsError,
    CodecError,
    ConfigurationError,
    ConflictError,
    ContextClosedError,
    CronError,
    DecodingError,
    DependencyNotFoundError,
    Disposition,
    DurableError,
    EncodingError,
    ForeignAwaitError,
    FunctionNotFoundError,
    GuardError,
    HistoryNotReadError,
    InvalidNameError,
    InvocationConflictError,
    LimitExceededError,
    NonDeterminismError,
    OutcomeUnknownError,
    PromiseCanceledError,
    PromiseTimeoutError,
    QueueError,
    RegistryError,
    RequestRefusedError,
    ResonateFaasError,
    StoreError,
    StoreUnavailableError,
    TaskNotAcquiredError,
    WorkflowInterrupt,
)
from resonate_faas._guards import Guard
from resonate_faas._http_errors import (
    AccessDeniedError,
    BodyTooLargeError,
    ContentTypeError,
    HttpError,
    InvalidFieldError,
    MalformedBodyError,
    MethodNotAllowedError,
    PromiseNotFoundError,
    RouteNotFoundError,
)
from resonate_faas._invocation import Invocation
from resonate_faas._machine.objects import PromiseState
from resonate_faas._ports import Clock, Queue, Session, Store
from resonate_faas._resonate import Resonate

__all__ = [
    "AccessDeniedError",
    "AlreadyRegisteredError",
    "ApplicationError",
    "ArgumentsError",
    "BodyTooLargeError",
    "Clock",
    "CodecError",
    "ConfigurationError",
    "ConflictError",
    "Constant",
    "ContentTypeError",
    "Context",
    "ContextClosedError",
    "CronError",
    "DecodingError",
    "DependencyNotFoundError",
    "Disposition",
    "DurableError",
    "EncodingError",
    "Encryptor",
    "Exponential",
    "ExternalPromise",
    "ForeignAwaitError",
    "FunctionNotFoundError",
    "Future",
    "Guard",
    "GuardError",
    "HistoryNotReadError",
    "HttpError",
    "Info",
    "InvalidFieldError",
    "InvalidNameError",
    "Invocation",
    "InvocationConflictError",
    "LimitExceededError",
    "Linear",
    "MalformedBodyError",
    "MethodNotAllowedError",
    "Never",
    "NonDeterminismError",
    "OutcomeUnknownError",
    "PromiseCanceledError",
    "PromiseNotFoundError",
    "PromiseState",
    "PromiseTimeoutError",
    "Queue",
    "QueueError",
    "RegistryError",
    "RequestRefusedError",
    "Resonate",
    "ResonateFaasError",
    "RetryPolicy",
    "RouteNotFoundError",
    "Session",
    "StepContext",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "TaskNotAcquiredError",
    "WorkflowInterrupt",
]
