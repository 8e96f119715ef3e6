"""`VocabularyParallel`: a decoding step on logits whose vocabulary is spread over processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from decoding.checks import checked_integer
from decoding.distributed.agreement import View, agree, digest_of, shared_failures
from decoding.distributed.exact_sums import MOST_NUMBERS
from decoding.distributed.group import Exchange, GroupExchange
from decoding.distributed.row_part import Talk
from decoding.distributed.row_step import Described, Fault, RowInput, step_of_row
from decoding.errors import (
    DecodingError,
    ShapeError,
    UnsupportedFeatureError,
    require,
    shown,
)
from decoding.history import History, checked_row
from decoding.logits import as_logits, is_tensor
from decoding.processors.nan_policy import NaNPolicy
from decoding.sampling.dynamic_program import ProgramRow, RowPrograms, SharedRows
from decoding.sampling.rows import last_run, outcome_error, widest_bias
from decoding.sampling.samples import Alternative, Sample, Sampler, checked_samplers
from decoding.typing import Anything, Rows

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Traffic:
    """The number of messages and bytes that a step sent to the other processes.

    rounds: collectives, one after the other. bytes: what this process contributed to all of them;
        each other process receives so many.
    """

    rounds: int
    bytes: int


class VocabularyParallel:
    """Draws a token for every row of logits of which every process holds a slice.

        sampler = VocabularyParallel(group, [Sampler(chain(Temperature(0.8), TopP(0.9)), seed=1)])
        drawn = sampler(logits[:, own_slice], history)      # one Sample, or one error, a row

    `decoding.BatchSampler` for an output layer that is split over its vocabulary: rank r holds the
    token ids that follow those of rank r − 1. No process gathers the logits; the processes tell
    each other maxima, sums, and what is near a truncation's threshold, a few hundred bytes a row.
    Every process returns the same samples and errors.

    Equal to one process. Edits and noise have the bits that they have in one process. So greedy
    tokens, draws, ranks, and what top-k, min-p, penalties, masks and bans keep are the same, bit
    for bit. Sums over a row are exact to 2⁻⁷² of the largest weight and rounded once, so that they
    have the same bits however the vocabulary is split; those of `BatchSampler` are rounded in
    between. So logprobs and entropies agree with those of its NumPy backend to 10⁻⁹. A token at
    the very edge of a truncation by mass, entropy or deviation (top-p, typical-p, top-h, epsilon,
    eta, top-a, p-less, top-nσ, XTC) may be kept by one and removed by the other, where the number
    that decides is within 10⁻⁹ of the edge; and logits after a dynamic temperature agree to 10⁻⁹.

    Not supported, and refused by name: processors that are called with whole rows because no
    kernel knows them. These are mirostat, adaptive-p, `AtLeast`, guidance, `PrefixFunction`,
    `Renormalise`, tail-free, smooth sampling, the Gumbel and SynthID watermarks, a `Watermark`
    without `vocab_size` or with a scheme that tries candidates, and a user's own processors without
    `lower`. `NaNPolicy` may be the first of a pipeline.

    group: of torch.distributed; None is the default group. Messages are `all_gather`s of bytes, on
        the host or by NCCL.
    samplers: one a row, the same on every rank.
    logits_width: how many logits all slices have together, at most 2²²; None for what they have.

    Making one, `add`, `remove`, `swap`, a call and `draw` are collectives: every rank calls them,
    in the same order. Each begins with a message of a few bytes by which the ranks see whether they
    were given the same, and whether all of them can go on. Where not, all raise the same error, and
    the next call works. Where a rank ends or is interrupted in the middle of a call, the others
    wait as long as the group's timeout says.

    Logits are copied to the host, this rank's slice only.

    Raises:
        UnsupportedFeatureError: a pipeline has a processor that needs whole rows.
        RankMismatchError: the ranks were given different samplers.
        ParameterError: there is no such group, or something is no `Sampler`.
        MissingDependencyError: torch is not installed.
    """

    def __init__(
        self,
        group: Anything = None,  # a ProcessGroup, or None
        samplers: Sequence[Sampler] = (),
        *,
        logits_width: int | None = None,
    ) -> None:
        self._begin(GroupExchange(group), samplers, logits_width)

    def _begin(
        self, exchange: Exchange, samplers: Sequence[Sampler], logits_width: int | None
    ) -> None:
        self._exchange = exchange
        self._traffic = Traffic(0, 0)
        self._rows: tuple[Sampler, ...] = ()
        self._shared = SharedRows()
        self._programs = RowPrograms()
        self._digest = digest_of(())
        self._logits_width = logits_width
        self._widest: list[int] = []
        self._is_dynamic = False
        self._run(self._changed(lambda: _checked_samplers(samplers)))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def samplers(self) -> tuple[Sampler, ...]:
        """The sampler of every row."""
        return self._rows

    @property
    def traffic(self) -> Traffic:
        """The messages and bytes that the last collective call sent."""
        return self._traffic

    def add(self, sampler: Sampler) -> int:
        """Add a row behind the others, on every rank; returns its number.

        Raises:
            ParameterError: it is no `Sampler`.
            UnsupportedFeatureError: its pipeline needs whole rows.
            RankMismatchError: the ranks add different samplers.
        """
        self._run(self._changed(lambda: (*self._rows, *_checked_samplers([sampler]))))
        return len(self._rows) - 1

    def remove(self, row: int) -> None:
        """Take a row out, on every rank; the last row takes its place.

        Raises:
            ParameterError: there is no such row.
            RankMismatchError: the ranks remove different rows.
        """

        def fewer() -> tuple[Sampler, ...]:
            rows = list(self._rows)
            rows[checked_row(row, len(rows))] = rows[-1]
            return tuple(rows[:-1])

        self._run(self._changed(fewer))

    def swap(self, row: int, other: int) -> None:
        """Let two rows change places, on every rank.

        Raises:
            ParameterError: there is no such row.
            RankMismatchError: the ranks swap different rows.
        """

        def swapped() -> tuple[Sampler, ...]:
            rows = list(self._rows)
            one, two = checked_row(row, len(rows)), checked_row(other, len(rows))
            rows[one], rows[two] = rows[two], rows[one]
            return tuple(rows)

        self._run(self._changed(swapped))

    def __call__(self, logits: Rows, history: History) -> list[Sample | DecodingError]:
        """Draw and describe one token for each row; the result is the same on every rank.

        logits: this rank's slice `(len(samplers), slice)`, NumPy or torch, in any float format; a
            rank may hold none `(len(samplers), 0)`.
        history: of every row, the same on every rank. A row's position is its length.

        Raises:
            ShapeError: the logits of some rank are not `(len(samplers), slice)` floats, or the
                slices are not of `logits_width`.
            RankMismatchError: the ranks have different rows, or different histories.
        """
        return self._run(self._step(logits, history, describe=True))

    def draw(self, logits: Rows, history: History) -> list[int | DecodingError]:
        """Draw the token ids only, without logprobs, ranks and alternatives; else as a call."""
        drawn = self._run(self._step(logits, history, describe=False))
        return [item.token_id if isinstance(item, Sample) else item for item in drawn]

    def _run(self, talk: Talk[Result]) -> Result:
        """Run a computation with the other processes, and count what is told."""
        rounds = told = 0
        try:
            message = next(talk)
            while True:
                rounds, told = rounds + 1, told + len(message)
                message = talk.send(self._exchange(message))
        except StopIteration as stop:
            result: Result = stop.value
            return result
        finally:
            self._traffic = Traffic(rounds, told)

    def _changed(self, rows_of: Callable[[], tuple[Sampler, ...]]) -> Talk[None]:
        """Take other rows, if every process can and they are the same."""
        rows, programs, error = self._rows, self._programs, None
        digest, laid_out = self._digest, list[ProgramRow]()
        try:
            if self._logits_width is not None:
                checked_integer("logits_width", self._logits_width, 1, MOST_NUMBERS)
            rows = rows_of()
            laid_out = [self._shared.row_of(last_run(item.pipeline)) for item in rows]
            programs = RowPrograms(laid_out)
            digest = _digest_of_rows(rows, programs)
        except Exception as raised:  # every process hears of it
            error = raised
        views = (
            View("logits_width", lambda: self._logits_width, repr(self._logits_width).encode()),
            View("samplers", lambda: _row_shown(rows), digest),
        )
        yield from agree(views, 0, 0, error)
        if rows is self._rows:
            return
        self._rows, self._programs, self._digest = rows, programs, digest
        self._widest = [widest_bias(item.pipeline) for item in rows]
        self._is_dynamic = any(row.dynamic or row.masks for row in laid_out)

    def _step(
        self, logits: Rows, history: History, *, describe: bool
    ) -> Talk[list[Sample | DecodingError]]:
        rows, error = np.zeros((0, 0)), None
        views: tuple[View, ...] = ()
        try:
            rows = self._checked(logits, history)
            views = self._views(history, describe=describe)
        except Exception as raised:  # every process hears of it
            error = raised
        widths, _ = yield from agree(views, rows.shape[1], 0, error)
        width = sum(widths)
        self._check_width(widths)
        program, bitmasks, failed = yield from self._program(history, width)
        first = sum(widths[: self._exchange.rank])
        talks = {
            row: step_of_row(
                RowInput(
                    _repaired(rows[row], sampler),
                    first,
                    self._exchange.rank,
                    program,
                    row,
                    bitmasks,
                    history.row(row),
                    int(history.prompt_lengths[row]),
                    sampler.seed,
                    sampler.top_n,
                ),
                describe=describe,
            )
            for row, sampler in enumerate(self._rows)
            if row not in failed
        }
        outcomes = yield from side_by_side(talks)
        results: list[Sample | DecodingError] = []
        for row, sampler in enumerate(self._rows):
            if row in failed:
                results.append(failed[row])
                continue
            outcome = outcomes[row]
            results.append(
                outcome_error(row, outcome, sampler, history)
                if isinstance(outcome, Fault)
                else _sample(outcome)
            )
        return results

    def _checked(self, logits: Rows, history: History) -> NDArray[Any]:
        """The slice of this process as NumPy rows of float32 or float64."""
        require("history", history, isinstance(history, History), "a History")
        rows = _no_columns(logits)
        rows = as_logits(logits) if rows is None else rows
        if not len(rows) == len(history) == len(self._rows):
            expected = f"{len(self._rows)} rows, one a sampler"
            raise ShapeError("logits and history", f"{len(rows)} and {len(history)} rows", expected)
        return rows

    def _views(self, history: History, *, describe: bool) -> tuple[View, ...]:
        """The arguments of a step that every process must pass with the same values."""
        lengths = history.lengths
        texts = [history.row(row) for row in range(len(history))]
        return (
            View("samplers", lambda: _row_shown(self._rows), self._digest),
            View("lengths of the history", lengths.tolist, digest_of((lengths,))),
            View(
                "prompt_lengths of the history",
                history.prompt_lengths.tolist,
                digest_of((history.prompt_lengths,)),
            ),
            View("history", lambda: [row.tolist() for row in texts], digest_of(texts)),
            View("call", lambda: "a call" if describe else "draw", bytes((describe,))),
        )

    def _check_width(self, widths: list[int]) -> None:
        """Check the width of all slices together, which every process knows."""
        width, wanted = sum(widths), self._logits_width
        if wanted is not None and width != wanted:
            expected = f"slices of {wanted} logits together"
            raise ShapeError("logits", f"slices of {shown(widths)} by rank", expected)
        if not 1 <= width <= MOST_NUMBERS:
            expected = f"slices of 1 to {MOST_NUMBERS} logits together"
            raise ShapeError("logits", f"slices of {shown(widths)} by rank", expected)

    def _program(
        self, history: History, width: int
    ) -> Talk[tuple[Anything, NDArray[np.int32], dict[int, DecodingError]]]:
        """This step's program and bitmasks, and the rows that failed before any logit was read."""
        failed: dict[int, DecodingError] = {}
        for row, widest in enumerate(self._widest):
            if widest >= width:
                expected = f"at most {width - 1}, the last token of the row"
                failed[row] = ShapeError("logit_bias", f"token id {widest}", expected)
        program, error = self._programs.program, None
        bitmasks = np.zeros((0, 0), np.int32)
        own: dict[int, DecodingError] = {}
        try:
            program = self._programs.program_for(history, width)
            bitmasks, own = self._programs.bitmasks(history, width)
        except Exception as raised:  # every process hears of it
            error = raised
        if self._is_dynamic:
            view = View(
                "what the pipelines make of the history",
                lambda: "other instructions or masks",
                b"" if own else digest_of((*_arrays(program), bitmasks)),
            )
            # Where a row failed, its instruction is that of another step.
            _, failures = yield from agree((view,), 0, len(own), error)
            if failures:
                own = yield from shared_failures(own)
        elif error is not None:
            raise error
        return program, bitmasks, {**own, **failed}


def side_by_side(
    talks: dict[int, Talk[Result]],
) -> Generator[bytes, list[bytes], dict[int, Result]]:
    """Run the generators of several rows together; each round joins their messages to one."""
    results: dict[int, Result] = {}
    waiting: dict[int, bytes] = {}

    def go_on(row: int, advance: Callable[[], bytes]) -> None:
        try:
            waiting[row] = advance()
        except StopIteration as stop:
            waiting.pop(row, None)
            results[row] = stop.value

    for row, talk in talks.items():
        go_on(row, talk.__next__)
    while waiting:
        messages = dict(waiting)
        replies = yield b"".join(messages.values())
        place = 0
        for row, message in messages.items():
            own = [reply[place : place + len(message)] for reply in replies]
            place += len(message)
            go_on(row, partial(talks[row].send, own))
    return results


def _checked_samplers(samplers: object) -> tuple[Sampler, ...]:
    checked = checked_samplers(samplers)
    for item in checked:
        _check_pipeline(item)
    return checked


def _check_pipeline(sampler: Sampler) -> None:
    segments = sampler.pipeline.segments
    for index, processor in enumerate(segments[1::2]):
        if not isinstance(processor, NaNPolicy):
            reason = "it is called with whole rows of logits, of which every rank has a slice"
            raise UnsupportedFeatureError(shown(processor), reason)
        if index or sampler.pipeline.processors[0] is not processor:
            reason = "with slices of logits it can only be the first of a pipeline"
            raise UnsupportedFeatureError(shown(processor), reason)


def _digest_of_rows(rows: Iterable[Sampler], programs: RowPrograms) -> bytes:
    """A digest of all that the rows do to logits without a look at the history."""
    described = [
        (item.seed, item.top_n, [type(one).__qualname__ for one in item.pipeline.processors])
        for item in rows
    ]
    repairs = [
        repr(one) for item in rows for one in item.pipeline.processors if isinstance(one, NaNPolicy)
    ]
    text = np.frombuffer(repr((described, repairs)).encode(), np.uint8)
    return digest_of((text, *_arrays(programs.program)))


def _arrays(program: Anything) -> list[NDArray[Any]]:
    return [array for array in program if isinstance(array, np.ndarray)]


def _row_shown(rows: tuple[Sampler, ...]) -> object:
    return rows[0] if len(rows) == 1 else rows


def _no_columns(logits: Rows) -> NDArray[np.float32] | None:
    """The slice of a process that holds no token; None for others."""
    if not (isinstance(logits, np.ndarray) or is_tensor(logits)):
        return None
    shape = tuple(logits.shape)
    return np.zeros(shape, np.float32) if len(shape) == 2 and shape[1] == 0 else None


def _repaired(row: NDArray[Any], sampler: Sampler) -> NDArray[np.float64]:
    """A row in float64, after the policy for what is no logit that its pipeline begins with."""
    processors = sampler.pipeline.processors
    if processors and isinstance(processors[0], NaNPolicy) and len(row):
        row = processors[0](row[None, :], History.empty(1))[0]
    return row.astype(np.float64)


def _sample(drawn: Described) -> Sample:
    alternatives = tuple(Alternative(*entry) for entry in drawn.top)
    return Sample(*drawn[:6], alternatives)
