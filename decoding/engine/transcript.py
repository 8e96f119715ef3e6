"""Records a sequence's tokens, text and finish reason; makes responses and stream events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from decoding.engine.detokenizer import TokenText
from decoding.engine.stopping import StopStrings
from decoding.errors import ParameterError, require
from decoding.records import constructor_of
from decoding.sampling.batch import Alternative, Sample
from decoding.vocabulary import Vocabulary
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

if TYPE_CHECKING:  # loaded with the first response
    from decoding.wire.provenance import Provenance

_new_token, _new_top_token = constructor_of(Token), constructor_of(TopToken)
_new_event = constructor_of(StreamEvent)


@dataclass(frozen=True, slots=True)
class Ending:
    """The rules that end a sequence, tested at every token: length, end token, stop string.

    max_new_tokens: at least 1. eos_token_ids: any of them ends it. stops: first occurrence ends it.
    keep_stop: whether the stop stays in the text (TGI) or is removed (OpenAI).
    min_tokens: a stop that ends within so many tokens is text like any other, as in vLLM; one that
        ends later counts, wherever it begins. 0 is neutral.
    """

    max_new_tokens: int
    eos_token_ids: Collection[int] = ()
    stops: StopStrings = StopStrings()
    keep_stop: bool = True
    min_tokens: int = 0


class Transcript:
    """Records the drawn tokens of one sequence and decodes their text.

    The texts that `push` returns, joined, are the generated text: no special tokens, cut at the
    first stop, never half a character; what is incomplete at the end becomes U+FFFD.
    An end-of-sequence token counts as special. Without a vocabulary all text is empty.

    begun: bytes with which the prompt ends inside a character. The text begins with the whole
        character, or with U+FFFD where the tokens do not complete it.
    """

    __slots__ = (
        "_ending",
        "_pieces",
        "_text",
        "_tokens",
        "_top_tokens",
        "_vocabulary",
        "finish_reason",
    )

    def __init__(
        self, ending: Ending, vocabulary: Vocabulary | None, *, begun: bytes = b""
    ) -> None:
        self._ending = ending
        self._vocabulary = vocabulary
        self._text = TokenText(
            vocabulary,
            ending.stops,
            keep_stop=ending.keep_stop,
            hidden_token_ids=ending.eos_token_ids,
            begun=begun,
        )
        self._pieces: list[str] = []
        self._tokens: list[Token] = []
        self._top_tokens: list[tuple[TopToken, ...]] = []
        self.finish_reason: FinishReason | None = None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens drawn so far, special tokens included."""
        return tuple(self._tokens)

    @property
    def top_tokens(self) -> tuple[tuple[TopToken, ...], ...]:
        """The likeliest tokens of every step; empty where none were asked for."""
        return tuple(self._top_tokens)

    @property
    def last_token(self) -> Token:
        """The last token."""
        return self._tokens[-1]

    @property
    def last_top_tokens(self) -> tuple[TopToken, ...]:
        """The likeliest tokens of the last step; empty where none were asked for."""
        return self._top_tokens[-1] if self._top_tokens else ()

    @property
    def token_count(self) -> int:
        """The number of tokens."""
        return len(self._tokens)

    @property
    def text(self) -> str:
        """The text so far that no stop string can remove any more."""
        return "".join(self._pieces)

    @property
    def mean_logprob(self) -> float:
        """The mean processed logprob of the tokens, by which best-of ranks."""
        return sum(token.logprob for token in self._tokens) / len(self._tokens)

    def push(self, sample: Sample) -> str:
        """Record one drawn token; return the text that has become final."""
        token_id = sample.token_id
        text, tokens, ending = self._text, self._tokens, self._ending
        spelling = text.spelling(token_id)
        spelled, own_text, special = spelling
        stopping = len(tokens) >= ending.min_tokens
        shown = text.push_spelling(spelling, stopping=stopping)
        if len(tokens) + 1 >= ending.max_new_tokens:
            self.finish_reason = FinishReason.LENGTH
        elif token_id in ending.eos_token_ids:
            self.finish_reason = FinishReason.EOS_TOKEN
        elif text.stop is not None:
            self.finish_reason = FinishReason.STOP_SEQUENCE
        if self.finish_reason is not None:
            shown += text.flush(stopping=stopping)
        self._pieces.append(shown)
        tokens.append(
            _new_token(
                token_id,
                shown + own_text if special else shown,
                sample.processed_logprob,
                special,
                sample.raw_logprob,
                sample.rank,
                sample.entropy,
                sample.support_size,
                None if self._vocabulary is None else spelled,
            )
        )
        if sample.top:
            self._top_tokens.append(self._described(sample.top))
        return shown

    def _described(self, top: Sequence[Alternative]) -> tuple[TopToken, ...]:
        """The records of the likeliest tokens of a step."""
        spelling, is_known = self._text.spelling, self._vocabulary is not None
        records: list[TopToken] = []
        for item in top:
            spelled, text, special = spelling(item.token_id)
            records.append(
                _new_top_token(
                    item.token_id,
                    text,
                    item.processed_logprob,
                    special,
                    item.raw_logprob,
                    spelled if is_known else None,
                )
            )
        return tuple(records)


def response_of(
    transcripts: Sequence[Transcript],
    *,
    input_length: int,
    seeds: Sequence[int | None] | None = None,
    prompt_text: str = "",
    prefill: tuple[PrefillToken, ...] = (),
    wire_details: bool = True,
    provenance: Provenance | None = None,
) -> Response:
    """The response of finished sequences of one prompt: the likeliest, and the others beside it.

    transcripts: at least one, each with a `finish_reason`; the largest mean logprob wins.
    input_length: tokens of the prompt. seeds: what each was drawn with; None = all greedy.
    prompt_text: what is put in front of the texts. prefill: the prompt's tokens, where they are to
        be seen. wire_details: whether the JSON has the details. provenance: what made them.

    Raises:
        ParameterError: there is no sequence, one has not finished, or seeds are of another number.
    """
    require("transcripts", transcripts, len(transcripts) > 0, "at least one")
    each = [None] * len(transcripts) if seeds is None else list(seeds)
    expected = f"{len(transcripts)}, one a sequence"
    require("seeds", f"{len(each)} of them", len(each) == len(transcripts), expected)
    reasons = [_reason(transcript) for transcript in transcripts]
    best = max(range(len(transcripts)), key=lambda index: transcripts[index].mean_logprob)
    losers = tuple(
        BestOfSequence(
            generated_text=prompt_text + transcript.text,
            finish_reason=reasons[index],
            seed=seed,
            tokens=transcript.tokens,
            prefill=prefill,
            top_tokens=transcript.top_tokens,
        )
        for index, (transcript, seed) in enumerate(zip(transcripts, each, strict=True))
        if index != best
    )
    winner = transcripts[best]
    details = Details(
        finish_reason=reasons[best],
        seed=each[best],
        input_length=input_length,
        tokens=winner.tokens,
        prefill=prefill,
        best_of_sequences=losers,
        top_tokens=winner.top_tokens,
    )
    text = prompt_text + winner.text
    return Response(
        generated_text=text, details=details, wire_details=wire_details, provenance=provenance
    )


def event_of(
    transcript: Transcript,
    text: str,
    *,
    response: Response | None = None,
    wire_details: bool = True,
) -> StreamEvent:
    """The stream event of the last token of a transcript.

    text: what `Transcript.push` returned for it. response: of the sequence, with its last event.
    wire_details: whether the JSON of the last event has the details.

    Raises:
        ParameterError: the transcript has no token.
    """
    if not transcript.token_count:
        raise ParameterError("transcript", "no token", "at least one token")
    details = None
    if response is not None:
        details = StreamDetails(
            finish_reason=response.finish_reason,
            generated_tokens=response.generated_tokens,
            seed=response.seed,
            input_length=response.input_length,
            provenance=response.provenance,
        )
    return _new_event(
        index=transcript.token_count,
        token=transcript.last_token,
        text=text,
        top_tokens=transcript.last_top_tokens,
        generated_text=None if response is None else response.generated_text,
        details=details,
        wire_details=wire_details,
    )


def _reason(transcript: Transcript) -> FinishReason:
    if transcript.finish_reason is None:
        raise ParameterError("transcript", "one that goes on", "a sequence that has finished")
    return transcript.finish_reason
