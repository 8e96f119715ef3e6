"""The JSON of the TGI API: request types and rules, response records."""

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
from decoding.wire.types import parse_parameters

__all__ = [
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
    "parse_parameters",
    "validate",
]
