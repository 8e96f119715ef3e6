"""`ServerSettings`: limits, security and description of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from decoding.checks import checked_integer, checked_real
from decoding.errors import require
from decoding.server.traces import TraceSink
from decoding.wire.rules import WireLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Limits, security and description of a server. Defaults are those of TGI's launcher.

    model_id: the name that `/info` and `/v1/models` give; None for the model's own.
    limits: of a request's parameters; None makes TGI's of the model's context length.
    max_concurrent_requests: those that are served at once; more are answered with 429.
    max_client_batch_size: most prompts of one request to `/v1/completions`.
    max_choices: most `n` and `best_of` of a request to `/v1`.
    payload_limit: bytes of a body; more are answered with 413.
    api_key: the bearer token that requests must bring; None lets everybody in.
    cors_allow_origin: origins whose pages may ask; none stands for all, as in TGI.
    return_full_text: whether `/` puts the prompt in front of the text where a request does not say.
        TGI does so on `/` alone, and its own documentation shows text without the prompt.
    keep_alive_s: seconds of silence after which a stream sends a comment.
    log_prompts: whether the log shows what requests ask. It never shows what is answered.
    traces: where a trace of every request goes, see `decoding.server.spans`; None for nowhere.
    compute_type: the header `x-compute-type` of answers.

    Raises ParameterError for a value outside its range.
    """

    model_id: str | None = None
    limits: WireLimits | None = None
    max_concurrent_requests: int = 128
    max_client_batch_size: int = 4
    max_choices: int = 128
    payload_limit: int = 2_000_000
    api_key: str | None = field(default=None, repr=False)
    cors_allow_origin: Sequence[str] = ()
    return_full_text: bool = False
    keep_alive_s: float = 15.0
    log_prompts: bool = False
    compute_type: str = "cpu"
    traces: TraceSink | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in (
            "max_concurrent_requests",
            "max_client_batch_size",
            "max_choices",
            "payload_limit",
        ):
            value = checked_integer(name, getattr(self, name), 1, expected=">= 1")
            object.__setattr__(self, name, value)
        key = self.api_key
        legal = key is None or (isinstance(key, str) and bool(key))
        require("api_key", "a text" if key else key, legal, "a text that is not empty, or None")
        checked_real("keep_alive_s", self.keep_alive_s, lambda s: s > 0.0, "above 0")


def limits_of(settings: ServerSettings, context_length: int | None) -> WireLimits:
    """The limits of requests: those given, else TGI's for a context of this length."""
    if settings.limits is not None:
        return settings.limits
    total = 2048 if context_length is None else max(2, context_length)
    return WireLimits(max_input_tokens=total - 1, max_total_tokens=total)
