"""The JSON of the TGI API: request types and rules, response records, events of streams."""

from decoding.wire.details import (
    BestOfSequence,
    Details,
    FinishReason,
    PrefillToken,
    Response,
    StreamDetails,
    StreamEvent,
    Token,
    TopToken,
)
from decoding.wire.rules import WireLimits, validate
from decoding.wire.sse import DONE, event, tgi_event
from decoding.wire.types import parse_parameters

__all__ = [
    "DONE",
    "BestOfSequence",
    "Details",
    "FinishReason",
    "PrefillToken",
    "Response",
    "StreamDetails",
    "StreamEvent",
    "Token",
    "TopToken",
    "WireLimits",
    "event",
    "parse_parameters",
    "tgi_event",
    "validate",
]
