"""Records a sequence's tokens, text and finish reason; makes responses and stream events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from decoding.engine.detokenizer import TokenText
from decoding.engine.stopping import StopStrings
from decoding.errors import ParameterError, require
from decoding.records import constructor_of
from decoding.sampling.batch import Sample
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
        "_decoded",
        "_ending",
        "_records",
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
        # The decoder, and the text that each token has made final. None while they are changed.
        self._decoded: tuple[TokenText, list[str]] | None = None
        # Of the first tokens, as far as they have been read.
        self._records: list[Record] = []
        self.finish_reason: FinishReason | None = None

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens drawn so far, special tokens included."""
        return tuple([item[0] for item in self.records(0, len(self.samples))])

    @property
    def top_tokens(self) -> tuple[tuple[TopToken, ...], ...]:
        """The likeliest tokens of every step; empty where none were asked for."""
        return tuple([item[2] for item in self.records(0, len(self.samples)) if item[2]])

    @property
    def token_count(self) -> int:
        """The number of tokens."""
        return len(self.samples)

    @property
    def text(self) -> str:
        """The text so far that no stop string can remove any more."""
        return "".join(self._decode(len(self.samples))[1])

    @property
    def mean_logprob(self) -> float:
        """The mean processed logprob of the tokens, by which best-of ranks."""
        return sum(sample.processed_logprob for sample in self.samples) / len(self.samples)

    def push(self, sample: Sample) -> str:
        """Record one drawn token; return the text that has become final."""
        self.samples.append(sample)
        self.conclude()
        return self._decode(len(self.samples))[1][-1]

    def conclude(self) -> None:
        """Find whether the last token ends the sequence; to ask again changes nothing."""
        samples, ending, stop = self.samples, self._ending, None
        if ending.stops.strings:
            stop = self._decode(len(samples))[0].stop
        if len(samples) >= ending.max_new_tokens:
            self.finish_reason = FinishReason.LENGTH
        elif samples[-1].token_id in ending.eos_token_ids:
            self.finish_reason = FinishReason.EOS_TOKEN
        elif stop is not None:
            self.finish_reason = FinishReason.STOP_SEQUENCE

    def records(self, first: int, last: int) -> list[Record]:
        """The records of the tokens from index `first` up to `last`; made when first read."""
        known = self._records
        start = len(known)
        if start < last:
            text, pieces = self._decode(last)
            is_known = self._vocabulary is not None
            known[start:last] = [
                _record(sample, shown, text, is_known=is_known)
                for sample, shown in zip(self.samples[start:last], pieces[start:last], strict=True)
            ]
        return known[first:last]

    def _decode(self, count: int) -> tuple[TokenText, list[str]]:
        """Decode the text of the first tokens: the decoder, and what each token has made final.

        Where this is interrupted, the text is decoded anew.
        """
        known, ending, samples = self._decoded, self._ending, self.samples
        is_last = self.finish_reason is not None and count == len(samples)
        if known is not None and len(known[1]) >= count and not is_last:
            return known
        self._decoded = None
        if known is None:
            text = TokenText(
                self._vocabulary,
                ending.stops,
                keep_stop=ending.keep_stop,
                hidden_token_ids=ending.eos_token_ids,
                begun=self._begun,
            )
            known = text, []
        text, pieces = known
        for index in range(len(pieces), count):
            spelling = text.spelling(samples[index].token_id)
            pieces.append(text.push_spelling(spelling, stopping=index >= ending.min_tokens))
        if is_last:  # nothing is held back any more; where that was done, it adds nothing
            pieces[-1] += text.flush(stopping=count > ending.min_tokens)
        self._decoded = known
        return known


def _record(sample: Sample, shown: str, text: TokenText, *, is_known: bool) -> Record:
    """The record of a token; is_known: whether its bytes are."""
    spelled, own_text, special = text.spelling(sample.token_id)
    token = _new_token(
        sample.token_id,
        shown + own_text if special else shown,
        sample.processed_logprob,
        special,
        sample.raw_logprob,
        sample.rank,
        sample.entropy,
        sample.support_size,
        spelled if is_known else None,
    )
    top_tokens: list[TopToken] = []
    for item in sample.top:
        spelled, own_text, special = text.spelling(item.token_id)
        top_tokens.append(
            _new_top_token(
                item.token_id,
                own_text,
                item.processed_logprob,
                special,
                item.raw_logprob,
                spelled if is_known else None,
            )
        )
    return token, shown, tuple(top_tokens)


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
    [(token, _, top_tokens)] = transcript.records(count - 1, count)
    return _event(count, (token, text, top_tokens), response, wire_details=wire_details)


def events_of(
    transcript: Transcript, first: int, last: int, response: Response | None, *, wire_details: bool
) -> list[StreamEvent]:
    """The stream events of the tokens of a transcript from index `first` up to `last`.

    response: of the sequence, where it has finished. wire_details: as for `event_of`.
    """
    final = None if response is None else transcript.token_count
    return [
        _event(index, record, response if index == final else None, wire_details=wire_details)
        for index, record in enumerate(transcript.records(first, last), first + 1)
    ]


def _event(
    index: int, record: Record, response: Response | None, *, wire_details: bool
) -> StreamEvent:
    token, text, top_tokens = record
    if response is None:
        return _new_event(
            index=index, token=token, text=text, top_tokens=top_tokens, wire_details=wire_details
        )
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
