"""`Generation`: an accepted request with its sequences, stream events and response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from decoding.engine.plans import Plan
from decoding.engine.request import Request
from decoding.engine.timing import Timing
from decoding.engine.transcript import Transcript, event_of, response_of
from decoding.errors import DecodingError
from decoding.models.protocol import State
from decoding.sampling.batch import Sample, States
from decoding.wire.details import PrefillToken, Response, StreamEvent


class RunningSequence:
    """One sequence of a generation: its model state and its transcript.

    samples: the tokens it has written, drawn or forced. They alone say how far it is: all other
    attributes but the first three follow from them, and `rebuild` makes these again.
    state: the model's memory of it.
    held: how many of its tokens the state holds; None where that is not known, and then the state
        is not used again. Between steps it holds all but the last.
    """

    __slots__ = (
        "_ahead",
        "_jump",
        "_start",
        "generation",
        "held",
        "sampler",
        "samples",
        "state",
        "token_ids",
        "transcript",
    )

    def __init__(self, generation: Generation, index: int, state: State) -> None:
        plan = generation.plan
        self.generation = generation
        self.sampler = plan.samplers[index]
        self.state = state
        self.held: int | None = len(plan.prompt)
        self.samples: list[Sample] = []
        self._start = self.sampler.start()
        self._jump = plan.jump
        # How many tokens there were when the grammar was asked, and what it forces after them.
        self._ahead: tuple[int, tuple[int, ...]] = (0, ())
        self.reset()
        self.look_ahead()

    @property
    def feedback(self) -> States:
        """The states of the pipeline's feedbacks: immutable values."""
        return self.samples[-1].states if self.samples else self._start

    @property
    def forced(self) -> tuple[int, ...]:
        """Forced tokens that come next; the model has not read them yet."""
        count, token_ids = self._ahead
        return token_ids[len(self.samples) - count :] if token_ids else ()

    @property
    def latest(self) -> list[int]:
        """The tokens that the model has not read yet: the last, and those that are forced next."""
        last = self.token_ids[-1]
        return [last, *self.forced] if self._ahead[1] else [last]

    @property
    def over(self) -> bool:
        """Whether the sequence needs no further token."""
        generation = self.generation
        return (
            self.transcript.finish_reason is not None
            or generation.response is not None
            or generation.error is not None
        )

    def look_ahead(self) -> None:
        """Find the tokens that the grammar forces next, within the budget."""
        jump = self._jump
        if jump is not None and not self.over:
            plan = self.generation.plan
            room = plan.ending.max_new_tokens - self.transcript.token_count
            forced = jump(self.token_ids[len(plan.prompt) :])[:room]
            self._ahead = (len(self.samples), tuple(forced))

    def take(self, sample: Sample) -> None:
        """Append one token."""
        # From here on the token counts; where what follows is interrupted, it is made again.
        self.samples.append(sample)
        self._write(sample)

    def reset(self) -> None:
        """Discard the text, but keep the samples."""
        plan = self.generation.plan
        self.token_ids = list(plan.prompt)
        self.transcript = Transcript(plan.ending, plan.vocabulary, begun=plan.begun)

    def rewrite(self) -> None:
        """Rebuild the text from the samples, after `reset`."""
        for sample in self.samples:
            self._write(sample)
        count, token_ids = self._ahead
        if len(self.samples) > count + len(token_ids):
            self.look_ahead()

    def _write(self, sample: Sample) -> None:
        self.token_ids.append(sample.token_id)
        text = self.transcript.push(sample)
        self.generation.progress(self, text)


class PromptScore(NamedTuple):
    """The raw logprob of a token of a prompt.

    top: the ids and raw logprobs of the likeliest tokens at its place, best first.
    """

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Prefilled(NamedTuple):
    """A prompt of which the model has seen a part.

    state: the model's memory of it. length: tokens in it. scores: of the tokens after the first,
    where the request wants to see them.
    """

    state: State
    length: int
    scores: tuple[PromptScore, ...] = ()


class Generation:
    """One request that an engine has accepted.

    `done` says that it is over: then `result()` returns the response or raises what ended it.
    `take_events()` gives the stream events since the last call; there are none where best-of has
    several sequences to choose from.

    timing: when it was submitted, started, wrote its first token and finished.
    backend: that drew the last token; None before the first.
    prefilled: what the model has seen of the prompt, before all of it; None for nothing.
    joins_calls: whether its prompt may go through the model in one call with running sequences: not
        after such a call has failed, so that no prompt fails it again and again.
    """

    __slots__ = (
        "_events",
        "_shows_details",
        "_taken",
        "backend",
        "error",
        "joins_calls",
        "plan",
        "prefill",
        "prefilled",
        "request",
        "response",
        "sequences",
        "timing",
    )

    def __init__(self, request: Request, plan: Plan) -> None:
        self.request = request
        self.plan = plan
        self.sequences: list[RunningSequence] = []
        self.error: DecodingError | None = None
        self.response: Response | None = None
        self.prefill: tuple[PrefillToken, ...] = ()
        self.prefilled: Prefilled | None = None
        self.joins_calls = True
        self.backend: str | None = None
        self.timing = Timing.submit()
        self._events: list[StreamEvent] = []
        self._shows_details = request.parameters.details
        self._taken = 0

    @property
    def done(self) -> bool:
        """Whether the generation has a response or an error."""
        return self.response is not None or self.error is not None

    def take_events(self) -> list[StreamEvent]:
        """The stream events since the last call."""
        # Events that were made again after an interrupt may have been taken before.
        fresh = [event for event in self._events if event.index > self._taken]
        if fresh:
            self._taken = fresh[-1].index
        self._events = []
        return fresh

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

    def begin(self, states: Sequence[State], prefill: tuple[PrefillToken, ...]) -> None:
        """Start one sequence for each model state, each of which has read the prompt."""
        sequences = [RunningSequence(self, index, item) for index, item in enumerate(states)]
        self.prefill = prefill
        # Who has sequences has begun: this comes last.
        self.sequences = sequences

    def let_go(self) -> None:
        """Drop the sequences of a generation that has its response, and is in no batch any more.

        Sequences refer to their generation. Without this, only Python's collector of circular
        garbage would free them, and it stops all threads.
        """
        if self.response is not None:
            self.sequences = []

    def fail(self, error: DecodingError) -> None:
        """End the generation with an error, unless it has ended."""
        if self.error is None:
            self.timing.finish()
            self.error = error

    def rebuild(self) -> None:
        """After an interrupt: rebuild texts, events and response from the samples.

        Where a sequence has not drawn its first token, the generation has not begun.
        """
        if self.error is not None:
            return
        if not all(sequence.samples for sequence in self.sequences):
            self.sequences, self.prefill = [], ()
            return
        self.response, self._events = None, []
        for sequence in self.sequences:
            sequence.reset()
        for sequence in self.sequences:
            sequence.rewrite()

    def progress(self, sequence: RunningSequence, text: str) -> None:
        """Note that a sequence has written one more token, which made `text` certain."""
        sequences, transcript = self.sequences, sequence.transcript
        if transcript.token_count == 1:
            self.timing.write_token()
        if transcript.finish_reason is not None and all(
            item.transcript.finish_reason for item in sequences
        ):
            self.timing.finish()
            self.response = self._respond()
        if len(sequences) == 1:
            shows = self._shows_details
            self._events.append(
                event_of(transcript, text, response=self.response, wire_details=shows)
            )

    def _respond(self) -> Response:
        from decoding.engine.provenance import provenance_of

        asked = self.request.parameters
        return response_of(
            [item.transcript for item in self.sequences],
            input_length=len(self.plan.prompt),
            seeds=[item.sampler.seed for item in self.sequences],
            prompt_text=self.plan.prompt_text,
            prefill=self.prefill,
            wire_details=asked.details or asked.decoder_input_details,
            provenance=provenance_of(self.request, self.plan, self.backend),
        )
