"""A request on its way: the sequences it runs as, its events, and in the end its response."""

from __future__ import annotations

from collections.abc import Sequence

from decoding.details import (
    BestOfSequence,
    Details,
    FinishReason,
    PrefillToken,
    Response,
    StreamDetails,
    StreamEvent,
)
from decoding.errors import DecodingError
from decoding.models.protocol import State
from decoding.request import Plan, Request
from decoding.sampling import Sample
from decoding.transcript import Transcript


class RunningSequence:
    """One sequence of a generation: the model's memory of it and what it has written.

    feedback: the states of its pipeline's feedbacks; values, so that they fork and roll back.
    forced: tokens that come next without being drawn; the model has not seen them yet.
    """

    __slots__ = ("feedback", "forced", "generation", "sampler", "state", "token_ids", "transcript")

    def __init__(self, generation: Generation, index: int, state: State) -> None:
        plan = generation.plan
        self.generation = generation
        self.sampler = plan.samplers[index]
        self.state = state
        self.feedback = self.sampler.start()
        self.token_ids = list(plan.prompt)
        self.transcript = Transcript(plan.ending, plan.vocabulary, begun=plan.begun)
        self.forced: Sequence[int] = ()
        self.look_ahead()

    @property
    def over(self) -> bool:
        """Whether it needs no further token: it has finished, or its generation has ended."""
        return self.transcript.finish_reason is not None or self.generation.done

    def look_ahead(self) -> None:
        """Find out which tokens are forced after those so far, and how many there is room for."""
        plan = self.generation.plan
        if plan.jump is not None and not self.over:
            room = plan.ending.max_new_tokens - self.transcript.token_count
            self.forced = plan.jump(self.token_ids[len(plan.prompt) :])[:room]

    def take(self, sample: Sample) -> None:
        """Write one token down."""
        self.token_ids.append(sample.token_id)
        self.feedback = sample.states
        text = self.transcript.push(sample)
        self.generation.progress(self, text)


class Generation:
    """One request that an engine has accepted.

    `done` says that it is over: then `result()` returns the response or raises what ended it.
    `take_events()` gives the stream events since the last call; there are none where best-of has
    several sequences to choose from.
    """

    __slots__ = ("_events", "error", "plan", "prefill", "request", "response", "sequences")

    def __init__(self, request: Request, plan: Plan) -> None:
        self.request = request
        self.plan = plan
        self.sequences: list[RunningSequence] = []
        self.error: DecodingError | None = None
        self.response: Response | None = None
        self.prefill: tuple[PrefillToken, ...] = ()
        self._events: list[StreamEvent] = []

    @property
    def done(self) -> bool:
        """Whether it has a response or an error."""
        return self.response is not None or self.error is not None

    def take_events(self) -> list[StreamEvent]:
        """The stream events since the last call."""
        taken, self._events = self._events, []
        return taken

    def result(self) -> Response:
        """The response of a generation that is done.

        Raises:
            DecodingError: what ended it, where something did.
            RuntimeError: it is not done.
        """
        if self.error is not None:
            raise self.error
        if self.response is None:
            raise RuntimeError("the generation is not done")
        return self.response

    def start(self, states: Sequence[State]) -> None:
        """Begin to run: one sequence a state of the model."""
        self.sequences = [RunningSequence(self, index, item) for index, item in enumerate(states)]

    def progress(self, sequence: RunningSequence, text: str) -> None:
        """Note that a sequence has written one more token, which made `text` certain."""
        finished = sequence.transcript.finish_reason is not None
        if finished and all(item.transcript.finish_reason for item in self.sequences):
            self.response = self._respond()
        if len(self.sequences) == 1:
            self._events.append(self._event(sequence.transcript, text))

    def _respond(self) -> Response:
        transcripts = [item.transcript for item in self.sequences]
        seeds = [item.sampler.seed for item in self.sequences]
        best = max(range(len(transcripts)), key=lambda index: transcripts[index].mean_logprob)
        losers = tuple(
            BestOfSequence(
                generated_text=self.plan.prompt_text + transcript.text,
                finish_reason=_reason(transcript),
                seed=seed,
                tokens=transcript.tokens,
                prefill=self.prefill,
                top_tokens=transcript.top_tokens,
            )
            for index, (transcript, seed) in enumerate(zip(transcripts, seeds, strict=True))
            if index != best
        )
        winner = transcripts[best]
        details = Details(
            finish_reason=_reason(winner),
            seed=seeds[best],
            input_length=len(self.plan.prompt),
            tokens=winner.tokens,
            prefill=self.prefill,
            best_of_sequences=losers,
            top_tokens=winner.top_tokens,
        )
        text = self.plan.prompt_text + winner.text
        asked = self.request.parameters
        wire_details = asked.details or asked.decoder_input_details
        return Response(generated_text=text, details=details, wire_details=wire_details)

    def _event(self, transcript: Transcript, text: str) -> StreamEvent:
        details = None
        if self.response is not None:
            details = StreamDetails(
                finish_reason=self.response.finish_reason,
                generated_tokens=self.response.generated_tokens,
                seed=self.response.seed,
                input_length=self.response.input_length,
            )
        return StreamEvent(
            index=transcript.token_count,
            token=transcript.last_token,
            text=text,
            top_tokens=transcript.last_top_tokens,
            generated_text=None if self.response is None else self.response.generated_text,
            details=details,
            wire_details=self.request.parameters.details,
        )


def _reason(transcript: Transcript) -> FinishReason:
    assert transcript.finish_reason is not None  # noqa: S101 -- ours: only finished ones get here
    return transcript.finish_reason
