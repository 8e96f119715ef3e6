"""`check_processor`: tests a logits processor against the definition of what it claims to be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np

from decoding.checks import checked_integer
from decoding.errors import ParameterError
from decoding.history import History
from decoding.testing.candidates import (
    Answer,
    Arrays,
    Calling,
    Candidate,
    CandidateError,
    Function,
)
from decoding.testing.cases import WIDEST, Case, Shapes, draw_case
from decoding.testing.claims import Claim, claim_of
from decoding.testing.reports import (
    CheckFailedError,
    Finding,
    Report,
    check_expected,
    checked_seed,
    described,
)
from decoding.testing.shrinking import shrink
from decoding.testing.verdicts import UNITS, Outcome, below_the_format
from decoding.typing import Anything

LAWS = {
    "answers": "it returns logits of the same shape for every legal batch",
    "input": "it does not write to its input",
    "format": "the dtype of the logits is kept",
    "finite": "finite or −inf logits give finite or −inf logits",
    "resurrection": "a token of logit −inf stays impossible",
    "support": "at least one token stays possible",
    "deterministic": "the same input gives the same result, whatever was asked before",
    "claim": "what the claim says",
    "alone": "a row gives the same result alone as in a batch",
    "order": "the result of a row does not depend on its place in the batch",
    "kept": "a result stays as it is when the function is called again",
    "layout": "logits that are a part of a wider array give the same result",
    "padding": "what stands behind the token ids of a row is not read",
}
"""The laws that `check_processor` checks, by the names that `expected_failures` takes."""

MOST_ROWS = 4096
"""The largest batch that `check_processor` draws."""
_ALONE = 8
"""The most rows of a batch that are also asked for alone."""
_WIDE_EVERY = 125
_WIDE = (65_537, 4096, 32_768, 131_072, 8192, 131_071, 16_384, 65_536, WIDEST)
"""Widths that one example of `_WIDE_EVERY` has: of whole blocks, and of ids beyond 16 bits."""
_EMPTY = History.empty(1)


def check_processor(
    candidate: Function,
    claim: Anything = None,
    *,
    examples: int = 2000,
    rows: int | None = None,
    seed: int = 0,
    widths: tuple[int, int] | None = None,
    format: str = "float32",  # noqa: A002 -- the word for it
    extreme: bool = True,
    arrays: Arrays = "auto",
    in_place: bool = False,
    batched: bool = True,
    pad_id: int | None = -1,
    ragged: bool = False,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Check that a function edits logits as it claims, for any row.

    Every example is a batch of one to four rows, a few of up to 64, of kinds that break samplers;
    every eighth batch is scaled so that the claim's own cut falls next to a token. Texts have up to
    12 tokens, a few up to 2,000. A judge in float64 decides about each row: right, right but for
    ties and rounding, or wrong.

    candidate: a function of logits `(batch, vocab)`, and of token ids where it names a parameter
        `token_ids`, `lengths`, `prompt_ids`, `generated_ids` or `history` (`candidates.ROLES`).
        Where none of these says which tokens are the prompt's, no text has a prompt.
    claim: a processor such as `TopP(0.9)` or a pipeline; any function `(logits, history) -> logits`
        that is right in float64; an object with `rule` and `judge`; or None for the laws alone.
    examples: how many batches. rows: the largest batch, all sizes up to which are then drawn as
        often; wide rows come alone. Of batches with more than eight rows, a spread of eight is also
        asked for alone.
    seed: of the examples; the same seed gives the same examples.
    widths: the smallest and the largest vocabulary; as a rule from 1, or k for top-k, to 200,000.
    format: of the logits: float32, float16, bfloat16 (torch alone has it) or float64.
    extreme: whether logits up to ±3e38 occur; they do for truncations only, which add none.
    arrays: "numpy" or "torch"; "auto" finds out by a call.
    in_place: whether the candidate may write its result to its input, and return nothing.
    batched: whether it takes a batch; if not, it is called with rows `(vocab,)`.
    pad_id: fills token ids behind the end of a row, where the candidate is not told the lengths;
        None for batches of equal lengths. ragged: whether token ids are lists of lists.
    expected_failures: from the name of a law (`LAWS`) to the reason why it does not hold; it is
        an error if it does hold.

    Returns a `Report`. Raises `CheckFailedError`, an `AssertionError`, with a shrunk
    counterexample; `ParameterError` for arguments that make no sense.
    """
    if isinstance(examples, bool) or not isinstance(examples, int) or examples < 1:
        raise ParameterError("examples", examples, "an integer of at least 1")
    if rows is not None:
        rows = checked_integer("rows", rows, 1, MOST_ROWS, f"from 1 to {MOST_ROWS:,}")
    seed = checked_seed(seed)
    expected = check_expected(expected_failures, LAWS)
    calling = Calling(
        arrays=arrays, in_place=in_place, batched=batched, pad_id=pad_id, ragged=ragged
    )
    made = Candidate(candidate, calling)
    claimed = None if claim is None else claim_of(claim)
    if claimed is not None and claimed.reads_history and not made.reads_history:
        raise ParameterError(
            "candidate", candidate, f"a function of logits and token_ids, which {claim!r} reads"
        )
    generator = np.random.default_rng(seed)
    shapes = Shapes(
        widths=widths or (1 if claimed is None else claimed.at_least, WIDEST),
        format=format,
        extreme=extreme and (claimed is None or claimed.only_removes),
        equal_lengths=pad_id is None and not made.needs_lengths and not ragged,
    )
    if rows is not None:
        shapes = replace(shapes, most_rows=rows, large=rows)
    kept = None if claimed is None or claimed.reads_history else claimed.kept
    made = made.settled(replace(draw_case(generator, shapes), format=format))
    narrowest = shapes.widths[0] if widths else claimed.narrowest if claimed else 1
    check = _Check(made, claimed, in_place=in_place, narrowest=narrowest)
    found: dict[str, Finding] = {}
    drawn = 0
    for index in range(examples):
        case = draw_case(generator, _shapes_of(shapes, index), kept)
        if not made.splits_prompts:
            case = replace(case, prompts=tuple(() for _ in case.prompts))
        if not made.reads_history:
            case = replace(case, generated=tuple(() for _ in case.generated))
        check.example = index
        drawn += len(case)
        law, why = check.first(case, skipping=found.keys())
        if law:
            law, why, smallest = _smallest(check, case, law, why, found.keys())
            where = f"example {index + 1:,} of {examples:,}, seed {seed}"
            finding = _finding(check, smallest, law, why, where)
            if law not in expected:
                raise CheckFailedError(finding)
            found[law] = finding
    notes: tuple[str, ...] = ()
    if made.reads_history and not made.splits_prompts:
        notes = (f"no text had a prompt: {made.name} is not told where one ends",)
    return Report(examples, tuple(found.values()), expected, notes, rows=drawn)


def _shapes_of(shapes: Shapes, index: int) -> Shapes:
    """The shapes of one example."""
    turn, rest = divmod(index, _WIDE_EVERY)
    width = _WIDE[turn % len(_WIDE)]
    if rest < _WIDE_EVERY - 1 or not shapes.widths[0] <= width <= shapes.widths[1]:
        return shapes
    return replace(shapes, widths=(width, width))


class _Check:
    """The laws, checked on one case; remembers a case to see whether its answer changes."""

    def __init__(
        self, candidate: Candidate, claim: Claim | None, *, in_place: bool, narrowest: int
    ) -> None:
        self.candidate, self.claim, self._in_place = candidate, claim, in_place
        self.narrowest = narrowest
        self._earlier: tuple[Case, Answer] | None = None
        self.example = 0

    def first(self, case: Case, skipping: Collection[str] = ()) -> tuple[str, str]:
        """The first law that does not hold and why, or two empty strings."""
        try:
            broken = next(
                (found for found in self._broken(case) if found[0] not in skipping),
                ("", ""),
            )
        except CandidateError as error:
            return ("", "") if "answers" in skipping else ("answers", str(error))
        return broken

    def _broken(self, case: Case) -> Iterator[tuple[str, str]]:
        answer = self.candidate(case)
        again = self.candidate(case)
        if not _same(answer, again):
            yield "deterministic", "two calls with the same input differ" + _where(answer, again)
        yield from self._basic(case, answer)
        yield from self._claimed(case, answer)
        yield from self._batches(case, answer)
        yield from self._remembered(case, answer)

    def _basic(self, case: Case, answer: Answer) -> Iterator[tuple[str, str]]:
        if answer.written and not self._in_place:
            yield "input", "the logits that were handed over differ after the call"
        if answer.changed:
            yield "input", f"the {answer.changed} that were handed over differ after the call"
        if answer.format != case.format:
            yield "format", f"{case.format} logits gave {answer.format}"
        values, logits = answer.values, case.logits
        bad = np.isnan(values) | np.isposinf(values)
        if bad.any():
            row, token = (int(index[0]) for index in np.nonzero(bad))
            yield "finite", f"row {row}, token {token} became {values[row, token]}"
        alive = np.isneginf(logits) & ~np.isneginf(values)
        if alive.any():
            row, token = (int(index[0]) for index in np.nonzero(alive))
            yield "resurrection", f"row {row}, token {token}: −inf became {values[row, token]:.9g}"
        empty = ~(values > -np.inf).any(axis=1)
        if empty.any() and not (self.claim and self._may_empty(case, int(empty.argmax()))):
            yield "support", f"row {int(empty.argmax())}: no token is left"

    def _may_empty(self, case: Case, row: int) -> bool:
        assert self.claim is not None
        one = case.select([row])
        made = self.claim.expected(one.logits[0].astype(np.float64), one.history)
        if made is None:
            return False
        return bool((np.isneginf(made) | below_the_format(made, UNITS[case.format])).all())

    def _claimed(self, case: Case, answer: Answer) -> Iterator[tuple[str, str]]:
        if self.claim is None:
            return
        unit = UNITS[case.format]
        rows = case.logits.astype(np.float64)
        for row in range(len(case)):
            history = case.select([row]).history if self.candidate.reads_history else _EMPTY
            with np.errstate(all="ignore"):
                verdict = self.claim.judge.judge(rows[row], answer.values[row], history, unit)
            if verdict.outcome is Outcome.WRONG:
                yield from self._unsteady(case, answer)
                yield "claim", f"row {row}: {verdict.why}"

    def _unsteady(self, case: Case, answer: Answer) -> Iterator[tuple[str, str]]:
        """Many calls with one input, before a difference is put down to something else."""
        calls = min(200, max(20, 1_000_000 // case.logits.size))
        if any(not _same(answer, self.candidate(case)) for _ in range(calls)):
            yield "deterministic", "calls with the same input differ"

    def _batches(self, case: Case, answer: Answer) -> Iterator[tuple[str, str]]:
        """Other batches of the same rows."""
        if self.candidate.reads_history:
            for padding in (1, 4):
                other = self.candidate(case, padding)
                if self._differ(case, answer, other):
                    yield from self._unsteady(case, answer)
                    yield "padding", f"{padding} more columns change{_where(answer, other)}"
        if len(case) == 1 or self.example % 2:  # dear, and as likely in any example
            return
        chosen = _spread(len(case), self.example)
        rows = [self.candidate(case.select([row])).values for row in chosen]
        stacked = answer.values.copy()
        stacked[chosen] = np.concatenate(rows)
        if self._differ(case, answer, replace(answer, values=stacked)):
            where = _where(answer, replace(answer, values=stacked))
            yield from self._unsteady(case, answer)
            yield "alone", f"alone and in the batch differ{where}"
        turned = self.candidate(case.select(list(reversed(range(len(case))))))
        turned = replace(turned, values=turned.values[::-1])
        if self._differ(case, answer, turned):
            yield from self._unsteady(case, answer)
            yield "order", f"the reversed batch differs{_where(answer, turned)}"
        if not answer.is_as_it_was():
            yield "kept", "a result changed when the function was called with another batch"
        if self.example % 4 == 0 and self.candidate.batched:
            yield from self._part(case, answer)

    def _part(self, case: Case, answer: Answer) -> Iterator[tuple[str, str]]:
        """The same rows as `wide[:, :vocab]`, which is not contiguous, as of a padded head."""
        try:
            part = self.candidate(case, part=True)
        except CandidateError as error:
            yield "layout", f"with logits that are wide[:, :{case.logits.shape[1]}], {error}"
            return
        if self._differ(case, answer, part):
            yield from self._unsteady(case, answer)
            yield "layout", f"as a part of a wider array a row differs{_where(answer, part)}"
        if part.written and not answer.written:
            yield "layout", "what stands beside the logits in a wider array was written to"

    def _remembered(self, case: Case, answer: Answer) -> Iterator[tuple[str, str]]:
        """An earlier case gives what it gave before."""
        if self.example % 3:
            return
        if self._earlier is not None:
            earlier, before = self._earlier
            if not _same(before, self.candidate(earlier)):
                yield "deterministic", "an input gives another result after other calls"
        self._earlier = (case, answer) if case.logits.shape[1] <= 1000 else None

    def _differ(self, case: Case, first: Answer, second: Answer) -> bool:
        """Whether two answers differ by more than rounding."""
        a, b = first.values, second.values
        if np.array_equal(a, b, equal_nan=True):
            return False
        alive = a > -np.inf
        if not np.array_equal(alive, b > -np.inf):
            # Both are judged to be right elsewhere; without a judge this is a difference.
            return self.claim is None or any(True for _ in self._claimed(case, second))
        unit = max(UNITS["float32"], UNITS[case.format])
        size = np.abs(case.logits[alive]).max(initial=1.0)
        return bool((np.abs(a[alive] - b[alive]) > 16.0 * unit * max(1.0, float(size))).any())


def _same(first: Answer, second: Answer) -> bool:
    return np.array_equal(first.values, second.values, equal_nan=True)


def _spread(count: int, start: int) -> list[int]:
    """At most eight rows of a batch, evenly spread from one that changes with `start`."""
    step = -(-count // _ALONE)
    return list(range(start // 2 % step, count, step))


def _where(first: Answer, second: Answer) -> str:
    rows, tokens = np.nonzero(first.values != second.values)
    if not len(rows):
        return ""
    row, token = int(rows[0]), int(tokens[0])
    one, other = first.values[row, token], second.values[row, token]
    return f": row {row}, token {token} is {one:.9g} and {other:.9g}"


def _smallest(
    check: _Check, case: Case, law: str, why: str, skipping: Collection[str]
) -> tuple[str, str, Case]:
    """The smallest case in which a law is broken."""

    def fails(one: Case, times: int = 1) -> bool:
        wide_enough = one.logits.shape[1] >= check.narrowest
        return wide_enough and any(check.first(one, skipping)[0] == law for _ in range(times))

    smallest = shrink(case, fails)
    if not fails(smallest, 3):  # what happens now and then happens again
        smallest = shrink(case, lambda one: fails(one, 60), most_tries=15)
    for _ in range(300):
        again, reason = check.first(smallest, skipping)
        if again:
            return again, reason, smallest
    return law, f"{why} (once; it could not be repeated)", case


def _finding(check: _Check, case: Case, law: str, why: str, found: str) -> Finding:
    claim = check.claim
    rule = LAWS[law] if law != "claim" or claim is None else claim.judge.rule
    try:
        answer = check.candidate(case)
        kept = [np.flatnonzero(row > -np.inf).tolist() for row in answer.values]
    except CandidateError:
        kept = None
    expected = None
    if claim is not None:
        made = [
            claim.expected(one.logits[0].astype(np.float64), one.history)
            for one in (case.select([row]) for row in range(len(case)))
        ]
        expected = [np.flatnonzero(row > -np.inf).tolist() for row in made if row is not None]
    if kept == expected:  # the values are what is wrong
        kept = expected = None
    return Finding(
        candidate=check.candidate.name,
        claim="" if claim is None else claim.name,
        law=law,
        rule=rule,
        why=why,
        case=described(case),
        kept=kept,
        expected=expected or None,
        found=found,
    )
