"""`response_of`, `event_of`: the records of sequences, however their tokens were drawn."""

from __future__ import annotations

from collections.abc import Sequence

from decoding.engine.transcript import Transcript
from decoding.errors import ParameterError, require
from decoding.wire.details import (
    BestOfSequence,
    Details,
    FinishReason,
    PrefillToken,
    Response,
    StreamDetails,
    StreamEvent,
)


def response_of(
    transcripts: Sequence[Transcript],
    *,
    input_length: int,
    seeds: Sequence[int | None] | None = None,
    prompt_text: str = "",
    prefill: tuple[PrefillToken, ...] = (),
    wire_details: bool = True,
) -> Response:
    """The response of finished sequences of one prompt: the likeliest, and the others beside it.

    transcripts: at least one, each with a `finish_reason`; the largest mean logprob wins.
    input_length: tokens of the prompt. seeds: what each was drawn with; None = all greedy.
    prompt_text: what is put in front of the texts. prefill: the prompt's tokens, where they are to
        be seen. wire_details: whether the JSON has the details.

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
    return Response(generated_text=text, details=details, wire_details=wire_details)


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
    require("transcript", "no token", transcript.token_count > 0, "at least one token")
    details = None
    if response is not None:
        details = StreamDetails(
            finish_reason=response.finish_reason,
            generated_tokens=response.generated_tokens,
            seed=response.seed,
            input_length=response.input_length,
        )
    return StreamEvent(
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
