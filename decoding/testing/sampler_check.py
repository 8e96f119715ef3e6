"""`check_sampler`: whether a sampler draws from the distribution that it claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError, require
from decoding.history import History
from decoding.testing.candidates import Arrays, CandidateError
from decoding.testing.cases import Case, Shapes, draw_case
from decoding.testing.claims import Claim, claim_of
from decoding.testing.draws import Draw, Tokens
from decoding.testing.fed_laws import law_of_inverse, law_of_race
from decoding.testing.reports import (
    CheckFailedError,
    Finding,
    Report,
    check_expected,
    checked_seed,
    described,
)
from decoding.testing.statistics import (
    cells_of,
    chi_square,
    chi_square_tail,
    log_e_value,
    sample_size,
)
from decoding.typing import Anything

SAMPLER_LAWS = {
    "answers": "it returns a token of the vocabulary for every row",
    "possible": "a token of probability 0 is never drawn",
    "deterministic": "the same logits and the same randomness give the same token",
    "alone": "a row draws the same token alone, in a batch and at another place in it",
    "exact": "the distribution, computed from the randomness that is fed, is the claimed one",
    "distribution": "tokens are drawn with the claimed probabilities",
    "seed": "over seeds, tokens are drawn with the claimed probabilities",
    "position": "over positions, tokens are drawn with the claimed probabilities",
    "independent rows": "two rows of a batch agree as often as independent draws as claimed do",
    "independent draws": "a draw agrees with the one before as often as independent ones do",
    "logprob": "the logprob that comes with a token is that of the claimed distribution",
    "all seeds": "seeds that differ only above 16 bits draw differently",
    "seeds and positions": "seed and position are not added: pairs of one sum draw differently",
    "wide seeds": "seeds that differ only above 32 bits draw differently",
}
"""The laws that `check_sampler` checks, by the names that `expected_failures` takes."""

Row = NDArray[np.float64]
_EMPTY = History.empty(1)
_CHUNK = 1024
_CLEAR = 1e-3
_KINDS = ((64, 2.0, False), (200, 3.0, True), (4, 1.0, False))
"""Of rows whose distribution is compared: the width, the scale, and whether tokens are masked."""
_NEARLY_SURE = ((8, 0.3, False),)
_AHEAD = 6.0
"""The first token of such a row has about this logit more than the others: it has 98 %."""


def check_sampler(
    draw: Callable[..., Anything],
    claim: Anything,
    *,
    tv: float = 0.03,
    alpha: float = 1e-9,
    miss: float = 1e-3,
    examples: int = 300,
    seed: int = 0,
    seed_bits: int = 32,
    arrays: Arrays = "auto",
    batched: bool = True,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Check that a function draws tokens from the softmax of what a claim makes of the logits.

    draw: a function of logits `(batch, vocab)` float32, and of the randomness that its parameters
        name: `u`, `uniforms`, `words`, `seed`, `seeds`, `position`, `positions` or `generator`
        (`draws.DRAW_ROLES`). It returns a token id for each row, or a pair of these and their
        logprobs, which are then compared with the claim's. Where `u`, `uniforms` or `words`
        can be fed, its distribution is computed and nothing is left to chance; else it draws.
    claim: a processor such as `TopP(0.9)`, a pipeline, or any function `(logits, history) ->
        logits` that is right in float64; `Temperature(1.0)` claims the softmax itself.
    tv: the total variation distance to be seen; it decides how many draws there are.
    alpha: the probability of an alarm without a fault, over all tests of this call together.
    miss: the probability that a fault of size `tv`, in one of the rows drawn from, is missed.
    examples: how many batches of all kinds of rows are tried for impossible tokens.
    seed: of the examples and of the seeds that are handed over. seed_bits: 64 if all bits count.
    arrays, batched: as for `check_processor`.
    expected_failures: from the name of a law (`SAMPLER_LAWS`) to the reason why it does not hold.

    Draws are judged by an e-process, which may be looked at after every chunk and so ends early
    where there is a fault, and by χ² at the end. Each takes half of alpha. Returns a `Report` whose
    notes state the error rates. Raises `CheckFailedError`, an `AssertionError`.
    """
    seed = checked_seed(seed)
    expected = check_expected(expected_failures, SAMPLER_LAWS)
    require("alpha", alpha, 0.0 < alpha < 1.0, "in (0, 1)")
    require("seed_bits", seed_bits, seed_bits in (32, 64), "32 or 64")
    claimed = claim_of(claim)
    if claimed.definition is None or claimed.reads_history:
        raise ParameterError("claim", claim, "a processor or pipeline that reads no history")
    made = Draw(draw, arrays=arrays, batched=batched, seed=seed)
    check = _SamplerCheck(made, claimed, alpha=alpha, tv=tv, miss=miss, seed=seed)
    found: dict[str, Finding] = {}
    laws = check.laws(examples, seed_bits)
    for law, why, case in laws:
        if law in found:
            continue
        finding = Finding(
            candidate=made.name,
            claim=f"a sampler of {claimed.name}",
            law=law,
            rule=SAMPLER_LAWS[law],
            why=why,
            case=() if case is None else described(case),
            found=f"seed {seed}",
        )
        if law not in expected:
            raise CheckFailedError(finding)
        found[law] = finding
    return Report(examples, tuple(found.values()), expected, tuple(check.notes))


class _SamplerCheck:
    """The laws of one sampler."""

    def __init__(
        self, draw: Draw, claim: Claim, *, alpha: float, tv: float, miss: float, seed: int
    ) -> None:
        self.draw, self.claim, self.seed = draw, claim, seed
        self.tv, self.miss = tv, miss
        self.notes: list[str] = []
        self.rows = list(_law_rows(claim))
        # At most two streams of draws; each is tested for probabilities and three independences.
        self.alpha = alpha / (8.0 * max(1, len(self.rows)))

    def laws(self, examples: int, seed_bits: int) -> Iterator[tuple[str, str, Case | None]]:
        """Every law that does not hold, why, and the case."""
        try:
            self.draw.settle(self.rows[0][np.newaxis].astype(np.float32))
            yield from self._examples(examples)
            yield from self._logprobs()
            if {"u", "uniforms", "words"} & set(self.draw.roles):
                yield from self._exact()
            else:
                yield from self._drawn()
                yield from self._addresses(seed_bits)
        except CandidateError as error:
            yield "answers", str(error), None

    def _examples(self, examples: int) -> Iterator[tuple[str, str, Case | None]]:
        generator = np.random.default_rng(self.seed)
        shapes = Shapes(
            widths=(self.claim.at_least, 2000), extreme=self.claim.only_removes, most_tokens=0
        )
        for _ in range(examples):
            case = draw_case(generator, shapes)
            logits = case.logits.astype(np.float32)
            given = self._randomness(len(case), logits.shape[1], int(generator.integers(2**31)))
            tokens = self.draw(logits, **given)
            for row, token in enumerate(tokens.tolist()):
                if not self._may_draw(logits[row].astype(np.float64), token):
                    yield "possible", f"row {row} drew token {token}", case.select([row])
            if self.draw.is_fed:
                yield from self._repeated(case, logits, given, tokens)

    def _repeated(
        self, case: Case, logits: NDArray[np.float32], given: dict[str, Anything], tokens: Tokens
    ) -> Iterator[tuple[str, str, Case | None]]:
        again = self.draw(logits, **given)
        if not np.array_equal(again, tokens):
            yield "deterministic", f"drew {tokens.tolist()}, then {again.tolist()}", case
        if not self.draw.rows_are_fed or len(case) == 1:
            return
        if {"seed", "position"} & set(self.draw.roles) and self.draw.batched:
            return  # one value a call cannot be that of each row
        order = np.arange(len(case))[::-1]
        turned = self.draw(logits[order], **{key: value[order] for key, value in given.items()})
        alone = [
            int(
                self.draw(
                    logits[row : row + 1],
                    **{key: value[row : row + 1] for key, value in given.items()},
                )[0]
            )
            for row in range(len(case))
        ]
        if alone != tokens.tolist():
            yield "alone", f"in the batch {tokens.tolist()}, alone {alone}", case
        if not np.array_equal(turned[order], tokens):
            yield "alone", f"{tokens.tolist()}, in reverse order {turned[order].tolist()}", case

    def _may_draw(self, row: Row, token: int) -> bool:
        """Whether some rounding of the row leaves the token possible."""
        if row[token] == -np.inf:
            return False
        band = 2e-4 + 1e-6 * abs(row[token])
        own = np.arange(len(row)) == token
        near = (np.abs(row - row[token]) <= band) & ~own
        apart = np.where(near, band * (-1.0) ** np.arange(len(row)), 0.0)
        # Four changes within rounding: none, the token's logit raised or lowered, and near logits
        # moved away from it, which typical-p may need to keep it.
        return any(
            bool(self.claim.kept(row * (1.0 + move) + change)[token])
            for change in (np.zeros(len(row)), own * band, own * -band, apart)
            for move in (0.0, 1e-4, -1e-4)
        )

    def _randomness(self, rows: int, vocab: int, first: int) -> dict[str, Anything]:
        generator = np.random.default_rng(first)
        return {
            "seeds": generator.integers(0, 2**31, rows),
            "positions": generator.integers(0, 1000, rows),
            "u": generator.random(rows),
            "uniforms": np.maximum(generator.random((rows, vocab)), 2.0**-53),
        }

    def _exact(self) -> Iterator[tuple[str, str, Case | None]]:
        inverse = "u" in self.draw.roles
        for row in (*self.rows, *_law_rows(self.claim, _NEARLY_SURE)):
            short = row if inverse else row[:5]
            probs = self._probs(short)
            law, error = (law_of_inverse if inverse else law_of_race)(self.draw, short)
            distance = float(np.abs(law - probs).sum() / 2.0)
            if distance > error:
                worst = int(np.abs(law - probs).argmax())
                why = (
                    f"the total variation distance is {distance:.4g}, more than {error:.2g}; token"
                    f" {worst} has probability {law[worst]:.6g}, claimed {probs[worst]:.6g}"
                )
                yield "exact", why, _case(short)
        self.notes.append("exact: nothing was left to chance; no false alarm is possible")

    def _probs(self, row: Row) -> Row:
        made = self.claim.expected(row, _EMPTY)
        assert made is not None
        weights = np.exp(made - made.max())
        return weights / weights.sum()

    def _streams(self) -> dict[str, Callable[[int, int], dict[str, Anything]]]:
        """Ways to number draws, by the law that each tests."""

        def numbers(start: int, rows: int) -> Anything:
            return self.seed + start + np.arange(rows)

        def fixed(_: int, rows: int) -> Anything:
            return np.full(rows, self.seed)

        roles = set(self.draw.roles)
        found: dict[str, Callable[[int, int], dict[str, Anything]]] = {}
        if roles & {"seed", "seeds"}:
            found["seed"] = lambda start, rows: {
                "seeds": numbers(start, rows),
                "positions": fixed(start, rows) * 0,
            }
        if roles & {"position", "positions"}:
            found["position"] = lambda start, rows: {
                "seeds": fixed(start, rows),
                "positions": numbers(start, rows) - self.seed,
            }
        return found or {"distribution": lambda _, rows: {"seeds": numbers(0, rows)}}

    def _drawn(self) -> Iterator[tuple[str, str, Case | None]]:
        for row in self.rows:
            probs = self._probs(row)
            cells = cells_of(probs)
            count = int(cells.max()) + 1
            size = sample_size(self.tv, cells=max(2, count), alpha=self.alpha / 2.0, miss=self.miss)
            self.notes.append(str(size))
            for law, number in self._streams().items():
                yield from self._stream(row, law, number, size.draws)

    def _stream(
        self,
        row: Row,
        law: str,
        number: Callable[[int, int], dict[str, Anything]],
        draws: int,
    ) -> Iterator[tuple[str, str, Case | None]]:
        case, probs = _case(row), self._probs(row)
        cells = cells_of(probs)
        rows = self._chunk(law)
        logits = np.tile(row.astype(np.float32), (rows, 1))
        masses: Row = np.bincount(cells[cells >= 0], probs[cells >= 0]).astype(np.float64)
        same = float(np.dot(probs, probs))
        totals = {law: np.zeros(len(masses), np.int64)}
        # Overlapping pairs depend on each other: even calls with the ones before, and odd ones.
        pairs = {
            (name, parity): np.zeros(2, np.int64)
            for name, parity in (
                ("independent rows", 0),
                *(("independent draws", i) for i in (0, 1)),
            )
        }
        agreeing = np.array([same, 1.0 - same])
        last: Tokens | None = None
        done = call = 0
        while done < draws:
            tokens = self.draw(
                logits, **number(call if rows == 1 or self._one_seed(law) else done, rows)
            )
            call += 1
            if (cells[tokens] < 0).any():
                token = int(tokens[cells[tokens] < 0][0])
                yield "possible", f"drew token {token}, of probability 0", case
                return
            done += rows
            totals[law] += np.bincount(cells[tokens], minlength=len(masses))
            if rows > 1:
                agree = int((tokens[0 : rows - 1 : 2] == tokens[1:rows:2]).sum())
                pairs["independent rows", 0] += (agree, len(tokens[1:rows:2]) - agree)
            if last is not None:
                agree = int((tokens == last).sum())
                pairs["independent draws", call % 2] += (agree, rows - agree)
            last = tokens
            if call & (call - 1) == 0 and done < draws:
                for name, counts, expected in self._tests(
                    law, totals[law], masses, pairs, agreeing
                ):
                    if log_e_value(counts, expected) > math.log(2.0 / self.alpha):
                        yield name, _unlikely(counts, expected, "e-value"), case
                        return
        for name, counts, expected in self._tests(law, totals[law], masses, pairs, agreeing):
            if counts.sum() * expected.min() < 5.0:
                chance = math.exp(-max(0.0, log_e_value(counts, expected)))
            else:
                chance = chi_square_tail(chi_square(counts, expected), len(expected) - 1)
            if chance < self.alpha / 2.0:
                yield name, _unlikely(counts, expected, f"probability {chance:.2g}"), case
                return

    def _one_seed(self, law: str) -> bool:
        """Whether all rows of a call share the number that this stream varies."""
        return law in self.draw.roles and f"{law}s" not in self.draw.roles

    def _chunk(self, law: str) -> int:
        if not self.draw.batched:
            return 1
        return 16 if self._one_seed(law) else _CHUNK

    @staticmethod
    def _tests(
        law: str,
        counts: NDArray[np.int64],
        masses: Row,
        pairs: dict[tuple[str, int], NDArray[np.int64]],
        agreeing: Row,
    ) -> Iterator[tuple[str, NDArray[np.int64], Row]]:
        if len(masses) > 1:
            yield law, counts, masses
        for (name, _), found in pairs.items():
            if found.sum() and agreeing.min() > 1e-9:
                yield name, found, agreeing

    def _logprobs(self) -> Iterator[tuple[str, str, Case | None]]:
        """The reported logprobs, on rows that are clear of the claim's cuts."""
        for row in self.rows:
            with np.errstate(divide="ignore"):
                wanted = np.log(self._probs(row))
            logits = np.tile(row.astype(np.float32), (8, 1))
            tokens, logprobs = self.draw.drawn(logits, **self._randomness(8, len(row), 1))
            if logprobs is None:
                return
            error = np.abs(logprobs - wanted[tokens])
            if not (error <= 1e-3 * np.maximum(1.0, np.abs(wanted[tokens]))).all():
                worst = int(np.nan_to_num(error, nan=np.inf).argmax())
                token = int(tokens[worst])
                yield (
                    "logprob",
                    f"token {token} came with {logprobs[worst]:.6g}, and has {wanted[token]:.6g}",
                    _case(row),
                )
                return

    def _addresses(self, seed_bits: int) -> Iterator[tuple[str, str, Case | None]]:
        """Seeds and positions that differ in a way that is often lost draw different tokens.

        32 tokens of a flat row of 64 are equal with probability 64⁻³¹ where none is lost.
        """
        steps = np.arange(32)
        roles = set(self.draw.roles)
        found: list[tuple[str, str, Anything, Anything]] = []
        if roles & {"seed", "seeds"}:
            found.append(("all seeds", "42 + k · 2¹⁶", 42 + (steps << 16), steps * 0))
            if seed_bits == 64:
                found.append(("wide seeds", "42 + k · 2³²", 42 + (steps << 32), steps * 0))
            if roles & {"position", "positions"}:
                law = "seeds and positions"
                found.append((law, "42 + k at positions 40 − k", 42 + steps, 40 - steps))
                found.append((law, "64 + k at positions k", 64 + steps, steps))
        logits = np.zeros((1, 64), np.float32)
        for law, shown, seeds, positions in found:
            tokens = {
                int(self.draw(logits, seeds=seeds[i : i + 1], positions=positions[i : i + 1])[0])
                for i in range(32)
            }
            if len(tokens) == 1:
                why = f"the seeds {shown}, k from 0 to 31, all drew token {tokens.pop()} of 64"
                yield law, why, _case(np.zeros(64))


def _law_rows(claim: Claim, kinds: tuple[tuple[int, float, bool], ...] = _KINDS) -> Iterator[Row]:
    """Rows whose distribution is compared: clear of the claim's cuts."""
    generator = np.random.default_rng(11)
    for width, scale, masked in kinds:
        for _ in range(50):
            row = np.round(generator.standard_normal(width) * scale, 2)
            if kinds is _NEARLY_SURE:
                row[0] += _AHEAD
            if width == 200:
                row[:20] = row[0]
            if masked:
                row[generator.random(width) < 0.3] = -np.inf
            row = row.astype(np.float32).astype(np.float64)
            kept = claim.kept(row)
            if all(
                np.array_equal(claim.kept(row * (1.0 + move)), kept) for move in (_CLEAR, -_CLEAR)
            ):
                yield row
                break


def _case(row: Row) -> Case:
    return Case(row[np.newaxis].astype(np.float32), ((),), ((),))


def _unlikely(counts: NDArray[np.int64], expected: Row, judged: str) -> str:
    total = int(counts.sum())
    shares = counts / total
    distance = float(np.abs(shares - expected).sum() / 2.0)
    worst = int(np.abs(shares - expected).argmax())
    return (
        f"after {total:,} draws the total variation distance is about {distance:.3g}; cell {worst}"
        f" has share {shares[worst]:.4g}, claimed {expected[worst]:.4g} ({judged} under the claim)"
    )
