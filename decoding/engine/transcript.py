"""Records a sequence's tokens, text and finish reason; makes responses and stream events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

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

Record: TypeAlias = tuple[Token, str, tuple[TopToken, ...]]
"""A token, the text that it has made final, and the likeliest tokens of its step."""


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

    The text is decoded when it is read, and before that only where a stop string may end it. So an
    error of the vocabulary may be raised by whatever reads tokens or texts.

    begun: bytes with which the prompt ends inside a character. The text begins with the whole
        character, or with U+FFFD where the tokens do not complete it.
    samples: the drawn tokens, which alone say how far it is.
    """

    __slots__ = (
        "_begun",
        "_ending",
        "_read",
        "_vocabulary",
        "finish_reason",
        "samples",
    )

    def __init__(
        self, ending: Ending, vocabulary: Vocabulary | None, *, begun: bytes = b""
    ) -> None:
        self._ending = ending
        self._vocabulary = vocabulary
        self._begun = begun
        self.samples: list[Sample] = []
        # The decoder, and the records of the tokens that it has read. None while they are changed.
        self._read: tuple[TokenText, list[Record]] | None = None
        self.finish_reason: FinishReason | None = None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens drawn so far, special tokens included."""
        return tuple([item[0] for item in self.records(len(self.samples))])

    @property
    def top_tokens(self) -> tuple[tuple[TopToken, ...], ...]:
        """The likeliest tokens of every step; empty where none were asked for."""
        return tuple([item[2] for item in self.records(len(self.samples)) if item[2]])

    @property
    def token_count(self) -> int:
        """The number of tokens."""
        return len(self.samples)

    @property
    def text(self) -> str:
        """The text so far that no stop string can remove any more."""
        return "".join([item[1] for item in self.records(len(self.samples))])

    @property
    def mean_logprob(self) -> float:
        """The mean processed logprob of the tokens, by which best-of ranks."""
        return sum(sample.processed_logprob for sample in self.samples) / len(self.samples)

    def push(self, sample: Sample) -> str:
        """Record one drawn token; return the text that has become final."""
        self.samples.append(sample)
        self.conclude()
        return self.records(len(self.samples))[-1][1]

    def conclude(self) -> None:
        """Find whether the last token ends the sequence; to ask again changes nothing."""
        samples, ending = self.samples, self._ending
        count = len(samples)
        if ending.stops.strings:
            self.records(count)
        if count >= ending.max_new_tokens:
            self.finish_reason = FinishReason.LENGTH
        elif samples[-1].token_id in ending.eos_token_ids:
            self.finish_reason = FinishReason.EOS_TOKEN
        elif self._read is not None and self._read[0].stop is not None:
            self.finish_reason = FinishReason.STOP_SEQUENCE

    def records(self, count: int) -> list[Record]:
        """The records of the tokens, of the first `count` at least, which are decoded now.

        Where this is interrupted, all is decoded anew. The list is the transcript's own.
        """
        known, samples = self._read, self.samples
        is_last = self.finish_reason is not None and count == len(samples)
        if known is not None and len(known[1]) >= count and not is_last:
            return known[1]
        self._read = None
        if known is None:
            ending = self._ending
            text = TokenText(
                self._vocabulary,
                ending.stops,
                keep_stop=ending.keep_stop,
                hidden_token_ids=ending.eos_token_ids,
                begun=self._begun,
            )
            known = text, []
        text, records = known
        first_stopping, is_known = self._ending.min_tokens, self._vocabulary is not None
        for index in range(len(records), count):
            sample = samples[index]
            token_id, top = sample.token_id, sample.top
            spelling = text.spelling(token_id)
            shown = text.push_spelling(spelling, stopping=index >= first_stopping)
            spelled, own_text, special = spelling
            token = _new_token(
                token_id,
                shown + own_text if special else shown,
                sample.processed_logprob,
                special,
                sample.raw_logprob,
                sample.rank,
                sample.entropy,
                sample.support_size,
                spelled if is_known else None,
            )
            top_tokens = _top_tokens(top, text, is_known=is_known) if top else ()
            records.append((token, shown, top_tokens))
        if is_last:
            rest = text.flush(stopping=count > first_stopping)
            if rest:
                token, shown, top_tokens = records[-1]
                whole = shown + rest
                told = replace(token, text=whole + token.text[len(shown) :])
                records[-1] = told, whole, top_tokens
        self._read = known
        return records


def _top_tokens(
    top: Sequence[Alternative], text: TokenText, *, is_known: bool
) -> tuple[TopToken, ...]:
    """The records of the likeliest tokens of a step; is_known: whether their bytes are."""
    records: list[TopToken] = []
    for item in top:
        token_id = item.token_id
        spelled, own_text, special = text.spelling(token_id)
        records.append(
            _new_top_token(
                token_id,
                own_text,
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
    count = transcript.token_count
    if not count:
        raise ParameterError("transcript", "no token", "at least one token")
    token, _, top_tokens = transcript.records(count)[count - 1]
    if response is None:
        return _new_event(
            index=count, token=token, text=text, top_tokens=top_tokens, wire_details=wire_details
        )
    return _last_event(count, (token, text, top_tokens), response, wire_details=wire_details)


def events_of(
    transcript: Transcript, first: int, last: int, response: Response | None, *, wire_details: bool
) -> list[StreamEvent]:
    """The stream events of the tokens of a transcript from index `first` up to `last`.

    response: of the sequence, where it has finished. wire_details: as for `event_of`.
    """
    records = transcript.records(last)
    events: list[StreamEvent] = []
    for index in range(first, last):
        token, text, top_tokens = records[index]
        events.append(
            _new_event(
                index=index + 1,
                token=token,
                text=text,
                top_tokens=top_tokens,
                wire_details=wire_details,
            )
        )
    if response is not None and last == transcript.token_count:
        events[-1] = _last_event(last, records[-1], response, wire_details=wire_details)
    return events


def _last_event(
    index: int, record: Record, response: Response, *, wire_details: bool
) -> StreamEvent:
    token, text, top_tokens = record
    return _new_event(
        index=index,
        token=token,
        text=text,
        top_tokens=top_tokens,
        generated_text=response.generated_text,
        details=StreamDetails(
            finish_reason=response.finish_reason,
            generated_tokens=response.generated_tokens,
            seed=response.seed,
            input_length=response.input_length,
            provenance=response.provenance,
        ),
        wire_details=wire_details,
    )


def _reason(transcript: Transcript) -> FinishReason:
    if transcript.finish_reason is None:
        raise ParameterError("transcript", "one that goes on", "a sequence that has finished")
    return transcript.finish_reason
