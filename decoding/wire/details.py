"""Response records: text, tokens and details, and their JSON as TGI writes it.

On the wire a record has TGI's keys, in TGI's order; `to_wire` is that as a dict, and `to_json` the
bytes TGI's router would write. The records hold more than the wire shows: whatever is marked
"off the wire" below. Logprobs are natural logarithms. Source: the router of Text Generation
Inference 3.3.6.

Equality and hashes are over what was decided and is on the wire: tokens, texts, why a text ended,
its seed. A response that was read from its own JSON equals the one that wrote it. Logprobs take no
part: their last digits depend on the backend that was ready, and no tolerance makes an equality.
Two records whose measurements matter are compared by these, or by `to_json`.
"""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from decoding.wire.json_text import dumps

if TYPE_CHECKING:  # loaded with the first response, or the first that is read
    from decoding.wire.details_json import Fields
    from decoding.wire.provenance import Provenance

Wire: TypeAlias = dict[str, Any]
"""A JSON object; its order is the order on the wire."""


class FinishReason(StrEnum):
    """Why a sequence ended; length is tested before end token and stop string.

    LENGTH: as many tokens as were allowed.
    EOS_TOKEN: an end-of-sequence token.
    STOP_SEQUENCE: a stop string.
    """

    LENGTH = "length"
    EOS_TOKEN = "eos_token"  # noqa: S105 -- the word on the wire
    STOP_SEQUENCE = "stop_sequence"


class _Record(ABC):
    """Base class of records with a JSON form."""

    __slots__ = ()

    @abstractmethod
    def to_wire(self) -> Wire:
        """TGI's keys, in TGI's order; floats keep their precision."""

    def to_json(self) -> str:
        """`to_wire` exactly as TGI writes it, with floats rounded to float32."""
        return dumps(self.to_wire())


@dataclass(frozen=True, slots=True)
class Token(_Record):
    """One generated token with its logprobs, rank and entropy.

    id: the token id.
    text: what the token adds to the text; special tokens show theirs.
    logprob: processed, that is, of the distribution after the pipeline.
    special: whether it is structure rather than text; its text is then not in `generated_text`.
    raw_logprob: of the model's own distribution. Off the wire.
    rank: 1 + the number of tokens with a strictly larger raw logit. Off the wire.
    entropy: nats, of the processed distribution. Off the wire.
    support_size: how many tokens the pipeline left possible. Off the wire.
    bytes: what the token spells, which may be part of a character; None where that is not known.
        Off the wire.
    """

    id: int
    text: str
    logprob: float = field(compare=False)
    special: bool
    raw_logprob: float = field(compare=False)
    rank: int = field(compare=False)
    entropy: float = field(compare=False)
    support_size: int = field(compare=False)
    bytes: builtins.bytes | None = field(default=None, compare=False)

    def to_wire(self) -> Wire:
        """`{id, text, logprob, special}`."""
        return _token_to_wire(self)


@dataclass(frozen=True, slots=True)
class TopToken(_Record):
    """One of the most probable tokens of a step, chosen or not.

    id: the token id.
    text: the token decoded alone, so U+FFFD stands for bytes that are no whole character.
    logprob: processed.
    special: whether it is structure rather than text.
    raw_logprob: of the model's own distribution. Off the wire.
    bytes: what the token spells, which may be part of a character; None where that is not known.
        Off the wire.
    """

    id: int
    text: str
    logprob: float = field(compare=False)
    special: bool
    raw_logprob: float = field(compare=False)
    bytes: builtins.bytes | None = field(default=None, compare=False)

    def to_wire(self) -> Wire:
        """`{id, text, logprob, special}`."""
        return _token_to_wire(self)


@dataclass(frozen=True, slots=True)
class PrefillToken(_Record):
    """One token of the prompt.

    id: the token id.
    text: the token decoded alone.
    logprob: raw, given the tokens before it; None for the first, which has none before it.
    bytes: what the token spells, which may be part of a character; None where that is not known.
        Off the wire.
    top_tokens: the most probable tokens at its place, best first, with raw logprobs; empty for the
        first, and unless asked for. Off the wire.
    """

    id: int
    text: str
    logprob: float | None = field(compare=False)
    bytes: builtins.bytes | None = field(default=None, compare=False)
    top_tokens: tuple[TopToken, ...] = field(default=(), compare=False)

    def to_wire(self) -> Wire:
        """`{id, text, logprob}`."""
        return {"id": self.id, "text": self.text, "logprob": self.logprob}


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfSequence(_Record):
    """A sequence that best-of did not choose; fields as in `Response` and `Details`."""

    generated_text: str
    finish_reason: FinishReason
    seed: int | None
    tokens: tuple[Token, ...]
    prefill: tuple[PrefillToken, ...] = ()
    top_tokens: tuple[tuple[TopToken, ...], ...] = ()

    @property
    def generated_tokens(self) -> int:
        """How many tokens were generated, the end-of-sequence token included."""
        return len(self.tokens)

    def to_wire(self) -> Wire:
        """The text and its details in one object; `top_tokens` is left out when empty."""
        wire = {"generated_text": self.generated_text, **_sequence_to_wire(self)}
        return wire | _top_tokens_to_wire(self.top_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details(_Record):
    """The details of a generated text: tokens, prompt tokens, finish reason and seed.

    finish_reason: why it ended.
    seed: what was drawn with; None when the choice was greedy.
    input_length: tokens of the prompt, after truncation. On the wire in streams only.
    tokens: what was generated, the end-of-sequence token included.
    prefill: the prompt's tokens; empty unless asked for.
    best_of_sequences: the losers, where several sequences were generated.
    top_tokens: per generated token the most probable ones, best first; empty unless asked for. Ties
        may make a step longer than was asked, truncation shorter.
    """

    finish_reason: FinishReason
    seed: int | None
    input_length: int = field(compare=False)
    tokens: tuple[Token, ...]
    prefill: tuple[PrefillToken, ...] = ()
    best_of_sequences: tuple[BestOfSequence, ...] = ()
    top_tokens: tuple[tuple[TopToken, ...], ...] = ()

    @property
    def generated_tokens(self) -> int:
        """How many tokens were generated, the end-of-sequence token included."""
        return len(self.tokens)

    def to_wire(self) -> Wire:
        """TGI's object; `best_of_sequences` and `top_tokens` are left out when empty."""
        wire = _sequence_to_wire(self)
        if self.best_of_sequences:
            wire["best_of_sequences"] = [losing.to_wire() for losing in self.best_of_sequences]
        return wire | _top_tokens_to_wire(self.top_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(_Record):
    """The response to one request: its text and details.

    generated_text: the text, without special tokens; with the prompt in front where that was asked.
        Where a prompt of ids ends inside a character, the text begins with the whole character.
    details: how it came about; always there for a user of the library.
    wire_details: whether the wire shows them.
    provenance: what it was made with; None where that is not known. Off the wire, and no part of
        equality.
    """

    generated_text: str
    details: Details
    wire_details: bool = False
    provenance: Provenance | None = field(default=None, compare=False)

    @property
    def finish_reason(self) -> FinishReason:
        """Why the text ended."""
        return self.details.finish_reason

    @property
    def seed(self) -> int | None:
        """The seed; None if the choice was greedy."""
        return self.details.seed

    @property
    def input_length(self) -> int:
        """Tokens of the prompt, after truncation."""
        return self.details.input_length

    @property
    def generated_tokens(self) -> int:
        """How many tokens were generated, the end-of-sequence token included."""
        return self.details.generated_tokens

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The generated tokens, the end-of-sequence token included."""
        return self.details.tokens

    @property
    def prefill(self) -> tuple[PrefillToken, ...]:
        """The prompt's tokens; empty unless asked for."""
        return self.details.prefill

    @property
    def best_of_sequences(self) -> tuple[BestOfSequence, ...]:
        """The sequences that best-of did not choose."""
        return self.details.best_of_sequences

    @property
    def top_tokens(self) -> tuple[tuple[TopToken, ...], ...]:
        """The most probable tokens of each step, best first; empty unless asked for."""
        return self.details.top_tokens

    @classmethod
    def from_json(cls, document: str | bytes) -> Response:
        """Read a response from JSON, as `to_json` or TGI write it with details.

        `Response.from_json(response.to_json())` equals every response with `wire_details`, and
        has the same JSON. What is off the wire is NaN, or 0 for counts. The JSON of `to_record` is
        read as well, with its provenance.

        Raises:
            ParameterError: it is no such text, or has no `details`; says where.
        """
        from decoding.wire.details_json import read_response
        from decoding.wire.provenance import Provenance

        fields = read_response(document, tuple(FinishReason))
        details = fields["details"]
        made_with = fields["provenance"]
        losers = (BestOfSequence(**_records(loser)) for loser in details["best_of_sequences"])
        return cls(
            generated_text=fields["generated_text"],
            details=Details(**{**_records(details), "best_of_sequences": tuple(losers)}),
            wire_details=True,
            provenance=None if made_with is None else Provenance.from_dict(made_with),
        )

    def to_record(self) -> Wire:
        """TGI's object with details in any case, and `provenance`: what `decoding audit` reads."""
        made_with = None if self.provenance is None else self.provenance.to_dict()
        return {
            "generated_text": self.generated_text,
            "details": self.details.to_wire(),
            "provenance": made_with,
        }

    def to_wire(self) -> Wire:
        """The body of `/generate`: `{generated_text, details?}`."""
        wire: Wire = {"generated_text": self.generated_text}
        if self.wire_details:
            wire["details"] = self.details.to_wire()
        return wire


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDetails(_Record):
    """The details in the last event of a stream; fields as in `Details` and `Response`."""

    finish_reason: FinishReason
    generated_tokens: int
    seed: int | None
    input_length: int
    provenance: Provenance | None = field(default=None, compare=False)

    def to_wire(self) -> Wire:
        """`{finish_reason, generated_tokens, seed, input_length}`."""
        return {
            "finish_reason": self.finish_reason,
            "generated_tokens": self.generated_tokens,
            "seed": self.seed,
            "input_length": self.input_length,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent(_Record):
    """An event of a stream: one token, and at the end the text and its details.

    index: 1 for the first generated token.
    token: the token.
    text: what this event adds to the generated text; the events' texts, joined, are all of it but
        the prompt. It differs from `token.text` where a token is special or a stop cuts it. Off the
        wire.
    top_tokens: the most probable ones of this step, best first; empty unless asked for.
    generated_text: the whole text, in the last event; None before.
    details: in the last event; None before.
    wire_details: whether the wire shows them.
    """

    index: int
    token: Token
    text: str
    top_tokens: tuple[TopToken, ...] = ()
    generated_text: str | None = None
    details: StreamDetails | None = None
    wire_details: bool = False

    def to_wire(self) -> Wire:
        """TGI's object; `top_tokens` is left out when empty, the last two keys are null instead."""
        wire: Wire = {"index": self.index, "token": self.token.to_wire()}
        if self.top_tokens:
            wire["top_tokens"] = [token.to_wire() for token in self.top_tokens]
        shown = self.details if self.wire_details else None
        wire["generated_text"] = self.generated_text
        wire["details"] = None if shown is None else shown.to_wire()
        return wire


def _records(fields: Fields) -> Fields:
    """Replace the dicts of a sequence's fields by records."""
    return {
        **fields,
        "finish_reason": FinishReason(fields["finish_reason"]),
        "tokens": tuple(Token(**token) for token in fields["tokens"]),
        "prefill": tuple(PrefillToken(**token) for token in fields["prefill"]),
        "top_tokens": tuple(
            tuple(TopToken(**token) for token in step) for step in fields["top_tokens"]
        ),
    }


def _token_to_wire(token: Token | TopToken) -> Wire:
    return {
        "id": token.id,
        "text": token.text,
        "logprob": token.logprob,
        "special": token.special,
    }


def _sequence_to_wire(sequence: BestOfSequence | Details) -> Wire:
    return {
        "finish_reason": sequence.finish_reason,
        "generated_tokens": sequence.generated_tokens,
        "seed": sequence.seed,
        "prefill": [token.to_wire() for token in sequence.prefill],
        "tokens": [token.to_wire() for token in sequence.tokens],
    }


def _top_tokens_to_wire(top_tokens: tuple[tuple[TopToken, ...], ...]) -> Wire:
    if not top_tokens:
        return {}
    return {"top_tokens": [[token.to_wire() for token in step] for step in top_tokens]}
