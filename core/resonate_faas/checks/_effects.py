"""Tables of effects on other systems that a second attempt would repeat: by path, and by the shape of the call."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect.

    Attributes:
        code: of the rule.
        paths: whole paths, or their beginnings if they end with a dot.
        methods: names of methods, on objects that cannot be told.
        receivers: what the object must be called for that; None: anything.
        keys: keyword arguments that make it idempotent, beside those that are named as keys.
    """

    code: str
    paths: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    receivers: re.Pattern[str] | None = None
    keys: frozenset[str] = frozenset()

    def match(self, path: str, method: str, receiver: str) -> bool:
        """True if a call is one of them.

        Args:
            path: of what is outside the checked files; "" if it cannot be told.
            method: the last name of what is called.
            receiver: the text before it.
        """
        if any(path.startswith(one) if one.endswith(".") else path == one for one in self.paths):
            return method in self.methods or path in self.paths
        is_known = bool(path) and not path.startswith("@ctx.get_dependency")
        return not is_known and method in self.methods and self._is_receiver(receiver)

    def _is_receiver(self, receiver: str) -> bool:
        return bool(receiver) and (self.receivers is None or self.receivers.search(receiver) is not None)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


EFFECTS: Final = (
    Effect(
        "RF205",
        paths=(
            "smtplib.",
            "aiosmtplib.send",
            "django.core.mail.send_mail",
            "django.core.mail.EmailMessage().send",
            "sendgrid.",
            "resend.Emails.send",
            "twilio.",
            "slack_sdk.",
            "telegram.",
        ),
        methods=_words(
            "send_message sendmail send_email send_mail send_sms send_text send_push send_notification chat_postMessage"
            " send_templated_email send_raw_email send_bulk_email"
        ),
    ),
    Effect(
        "RF205",
        paths=("twilio.", "resend.", "mailjet_rest.", "postmarker."),
        methods=_words("send create notify"),
        receivers=_names(r"mail|sms|twilio|sendgrid|push|slack|messages$|notif"),
    ),
    Effect(
        "RF205",
        paths=("boto3.", "google.cloud.pubsub_v1.", "kafka.", "confluent_kafka.", "pika."),
        methods=_words(
            "send_message publish send_email send_messages basic_publish send put_events put_record produce"
        ),
        receivers=_names(r"sqs|sns|ses|queue|topic|publisher|producer|broker|kafka|channel"),
        keys=_words("MessageDeduplicationId ordering_key"),
    ),
    Effect(
        "RF206",
        paths=("stripe.", "braintree.", "paypalrestsdk.", "adyen."),
        methods=_words("create capture refund confirm create_refund sale void submit"),
        receivers=_names(
            r"stripe|charges?$|payments?|payment_intents?|refunds?$|payouts?|transfers?$|invoices?$|billing|braintree|adyen"
        ),
    ),
    Effect(
        "RF206",
        methods=_words(
            "charge charge_card create_charge create_payment capture_payment create_refund refund_payment refund payout"
            " withdraw deposit debit credit transfer_funds pay place_order"
        ),
    ),
    Effect(
        "RF202",
        paths=("redis.",),
        methods=_words("incr incrby incrbyfloat decr decrby hincrby hincrbyfloat zincrby"),
        receivers=_names(r"redis|cache|valkey|counter"),
    ),
    Effect(
        "RF201",
        paths=("redis.",),
        methods=_words("lpush rpush xadd publish append"),
        receivers=_names(r"redis|valkey"),
    ),
    Effect(
        "RF201", paths=("pymongo.", "motor."), methods=_words("insert_one insert_many"), keys=_words("_id")
    ),
)

POSTS: Final = _words("post patch")
HTTP: Final = (
    "requests.",
    "httpx.",
    "aiohttp.",
    "urllib3.",
    "niquests.",
)
READING: Final = re.compile(
    r"/(_?search|query|queries|lookup|graphql|oauth2?/token|token|login|auth|validate|verify|quote|estimate|embeddings|completions|"
    r"responses|messages:count|_msearch|translate|classify|predict|generate)/?(\?.*)?$",
    re.IGNORECASE,
)
"""Ends of an address where a POST only asks."""


def find(path: str, method: str, receiver: str, table: Iterable[Effect] = EFFECTS) -> Effect | None:
    """Return the first effect that a call has."""
    return next((one for one in table if one.match(path, method, receiver)), None)
