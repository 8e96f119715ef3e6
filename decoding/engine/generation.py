"""`Generation`: an accepted request with its sequences, stream events and response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from decoding.engine.plans import Plan
from decoding.engine.request import Request
from decoding.engine.timing import Timing
from decoding.engine.transcript import Transcript, events_of, response_of
from decoding.errors import DecodingError, RequestError, shown_error
from decoding.models.protocol import State
from decoding.sampling.batch import Sample, States
from decoding.wire.details import PrefillToken, Response, StreamEvent


class RunningSequence:
    """One sequence of a generation: its model state and its transcript.

    samples: the tokens it has written, drawn or forced: those of the transcript. They alone say how
        far it is: all other attributes but the first three follow from them, and `rebuild` makes
        these again.
    state: the model's memory of it.
    excess: how many tokens the state holds beyond all of the sequence's but the last: 0 between
        steps while it goes on. None where that is not known, and then the state is not used again.
        A step does not write it for every token: it is worked out after an interrupt. So is that of
        a sequence which waits for its mask.
    jump: what a grammar forces after some tokens, where the request wants that written undrawn.
    ended: whether it needs no further token: the last one is written, or its generation has failed.
    """

    __slots__ = (
        "_ahead",
        "_end_token_ids",
        "_first_look",
        "_start",
        "ended",
        "excess",
        "generation",
        "jump",
        "sampler",
        "samples",
        "state",
        "token_ids",
        "transcript",
    )

    def __init__(self, generation: Generation, index: int, state: State) -> None:
        plan = generation.plan
        ending = plan.ending
        self.generation = generation
        self.sampler = plan.samplers[index]
        self.state = state
        self.excess: int | None = 0
        self.transcript = Transcript(ending, plan.vocabulary, begun=plan.begun)
        self.samples = self.transcript.samples
        self.token_ids = list(plan.prompt)
        self.ended = generation.failure is not None
        self.jump = plan.jump
        self._start = self.sampler.start()
        # From so many tokens on, one that is no end token may be the last.
        self._first_look = 0 if ending.stops.strings else ending.max_new_tokens
        self._end_token_ids = ending.eos_token_ids
        # How many tokens there were when the grammar was asked, and what it forces after them.
        self._ahead: tuple[int, tuple[int, ...]] = (0, ())
        self.look_ahead()

    @property
    def has_feedback(self) -> bool:
        """Whether its pipeline has feedbacks, whose states each token updates."""
        return bool(self._start)

    @property
    def feedback(self) -> States:
        """The states of the pipeline's feedbacks: immutable values."""
        return self.samples[-1].states if self.samples else self._start

    @property
    def forced(self) -> tuple[int, ...]:
        """Forced tokens that come next; the model has not read them yet."""
        count, token_ids = self._ahead
        return token_ids[len(self.samples) - count :] if token_ids else ()

    def look_ahead(self) -> None:
        """Find the tokens that the grammar forces next, within the budget."""
        jump = self.jump
        if jump is not None and not self.ended:
            plan = self.generation.plan
            room = plan.ending.max_new_tokens - len(self.samples)
            forced = jump(self.token_ids[len(plan.prompt) :])[:room]
            self._ahead = (len(self.samples), tuple(forced))

    def take(self, sample: Sample) -> None:
        """Append one token."""
        samples, token_id = self.samples, sample.token_id
        # From here on the token counts; where what follows is interrupted, it is made again.
        samples.append(sample)
        if len(samples) >= self._first_look or token_id in self._end_token_ids:
            self._conclude()
        if len(samples) == 1:
            self.generation.timing.write_token()
        self.token_ids.append(token_id)

    def rebuild(self) -> None:
        """Make again what follows from the samples, of which there is one at least."""
        self._conclude()
        self.generation.timing.write_token()
        drawn = [sample.token_id for sample in self.samples]
        self.token_ids = [*self.generation.plan.prompt, *drawn]
        count, token_ids = self._ahead
        if len(drawn) > count + len(token_ids):
            self.look_ahead()

    def _conclude(self) -> None:
        """End the sequence if its last token ends it."""
        self.transcript.conclude()
        if self.transcript.finish_reason is not None:
            self.ended = True
            self.generation.finish()


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
    several sequences to choose from. Events and response are made when they are read.

    timing: when it was submitted, started, wrote its first token and finished.
    backend: that drew the last token; None before the first.
    finished: whether all tokens are written.
    failure: what has ended it early so far. To read `error`, the response is made.
    prefilled: what the model has seen of the prompt, before all of it; None for nothing.
    joins_calls: whether its prompt may go through the model in one call with running sequences: not
        after such a call has failed, so that no prompt fails it again and again.
    """

    __slots__ = (
        "_prompt_length",
        "_response",
        "_taken",
        "_transcripts",
        "backend",
        "failure",
        "finished",
        "joins_calls",
        "plan",
        "prefill",
        "prefilled",
        "request",
        "sequences",
        "timing",
    )

    def __init__(self, request: Request, plan: Plan) -> None:
        self.request = request
        self.plan = plan
        self.sequences: list[RunningSequence] = []
        self.failure: DecodingError | None = None
        self.finished = False
        self.prefill: tuple[PrefillToken, ...] = ()
        self.prefilled: Prefilled | None = None
        self.joins_calls = True
        self.backend: str | None = None
        self.timing = Timing.submit()
        self._prompt_length = len(plan.prompt)
        self._response: Response | None = None
        # Those of its sequences, once these are let go.
        self._transcripts: tuple[Transcript, ...] = ()
        self._taken = 0

    @property
    def done(self) -> bool:
        """Whether the generation has a response or an error."""
        return self.finished or self.failure is not None

    @property
    def response(self) -> Response | None:
        """The response; None before the generation is done, and where an error has ended it."""
        if self._response is None and self.finished and self.failure is None:
            try:
                self._response = self._respond()
            except Exception as error:  # a vocabulary may raise anything
                self.failure = writing_error(error, len(self._written()[0].samples))
        return self._response

    @property
    def error(self) -> DecodingError | None:
        """What has ended the generation early; None where nothing has."""
        return self.failure if self.response is None else None

    @property
    def event_count(self) -> int:
        """How many events there are so far."""
        if self.sequences:
            # The token ids come last: an interrupted token is no event before it is made again.
            length = len(self.sequences[0].token_ids) - self._prompt_length
            return length if len(self.sequences) == 1 else 0
        return len(self._transcripts[0].samples) if len(self._transcripts) == 1 else 0

    def take_events(self) -> list[StreamEvent]:
        """The stream events since the last call."""
        first, last = self._taken, self.event_count
        if first >= last:
            return []
        self._taken = last
        return self.events(first, last)

    def events(self, first: int, last: int) -> list[StreamEvent]:
        """The stream events after the first `first`, up to and with number `last`.

        Where the text of a token cannot be made, that ends the generation, and there are none.
        """
        sequences = self.sequences
        transcript = sequences[0].transcript if sequences else self._transcripts[0]
        response = self.response if self.finished else None
        shows = self.request.parameters.details
        try:
            return events_of(transcript, first, last, response, wire_details=shows)
        except Exception as error:  # a vocabulary may raise anything
            self.fail(writing_error(error, len(transcript.samples)))
            return []

    def result(self) -> Response:
        """The response of a generation that is done.

        Raises:
            DecodingError: what ended it, where something did.
            RuntimeError: it is not done.
        """
        response = self.response
        if response is not None:
            return response
        if self.failure is not None:
            raise self.failure
        raise RuntimeError("the generation is not done")

    def begin(self, states: Sequence[State], prefill: tuple[PrefillToken, ...]) -> None:
        """Start one sequence for each model state, each of which has read the prompt."""
        sequences = [RunningSequence(self, index, item) for index, item in enumerate(states)]
        self.prefill = prefill
        # Who has sequences has begun: this comes last.
        self.sequences = sequences

    def let_go(self) -> None:
        """Drop the sequences of a generation that has finished, and is in no batch any more.

        Sequences refer to their generation. Without this, only Python's collector of circular
        garbage would free them, and it stops all threads.
        """
        if self.finished and self.sequences:
            self._transcripts = tuple(self._written())
            self.sequences = []

    def fail(self, error: DecodingError) -> None:
        """End the generation with an error, unless it has ended."""
        if not self.done:
            self.timing.finish()
            self.failure = error
            for item in self.sequences:
                item.ended = True

    def finish(self) -> None:
        """End the generation if all its sequences have ended."""
        if not self.done and all(item.ended for item in self.sequences):
            self.timing.finish()
            self.finished = True

    def rebuild(self) -> None:
        """After an interrupt: make again what follows from the samples.

        Where a sequence has not drawn its first token, the generation has not begun.
        """
        if self.failure is not None:
            for sequence in self.sequences:
                sequence.ended = True
            return
        if not all(sequence.samples for sequence in self.sequences):
            self.sequences, self.prefill = [], ()
            return
        for sequence in self.sequences:
            sequence.rebuild()

    def _written(self) -> Sequence[Transcript]:
        """The transcripts of its sequences."""
        return self._transcripts or [item.transcript for item in self.sequences]

    def _respond(self) -> Response:
        from decoding.engine.provenance import provenance_of

        asked, plan = self.request.parameters, self.plan
        return response_of(
            self._written(),
            input_length=len(plan.prompt),
            seeds=[item.seed for item in plan.samplers],
            prompt_text=plan.prompt_text,
            prefill=self.prefill,
            wire_details=asked.details or asked.decoder_input_details,
            provenance=provenance_of(self.request, plan, self.backend),
        )


def writing_error(error: Exception, count: int) -> DecodingError:
    """The error of a request with a token that cannot be written.

    count: of the tokens before.
    """
    if isinstance(error, DecodingError):
        return error
    failure = RequestError(f"writing a token raised {shown_error(error)}", count)
    failure.__cause__ = error
    return failure
