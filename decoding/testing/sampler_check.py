"""`check_sampler`: tests that a function draws tokens from the distribution it claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from decoding.errors import ParameterError, require
from decoding.history import History
from decoding.processors import TopK
from decoding.testing.address_laws import broken_addresses
from decoding.testing.candidates import Arrays, CandidateError
from decoding.testing.cases import Case, Shapes, draw_case
from decoding.testing.claims import Claim, claim_of
from decoding.testing.draw_counts import PAIR_TESTS, DrawCounts
from decoding.testing.draws import Draw, Tokens
from decoding.testing.exact import law_of_inverse, law_of_race
from decoding.testing.reports import (
    CheckFailedError,
    Finding,
    Report,
    check_expected,
    checked_seed,
    described,
)
from decoding.testing.statistics import cells_of, sample_size
from decoding.testing.wide_laws import broken_wide, wide_row
from decoding.typing import Anything

SAMPLER_LAWS = {
    "answers": "it returns a token of the vocabulary for every row",
    "possible": "a token of probability 0 is never drawn",
    "ties": "of equal logits the lowest id is taken, where TopK(1, keep_ties=False) is claimed",
    "deterministic": "the same logits and the same randomness give the same token",
    "alone": "a row draws the same token alone, in a batch and at another place in it",
    "exact": "the distribution, computed from the randomness that is fed, is the claimed one",
    "distribution": "tokens are drawn with the claimed probabilities",
    "seed": "over seeds, tokens are drawn with the claimed probabilities",
    "position": "over positions, tokens are drawn with the claimed probabilities",
    "independent rows": "the tokens of two rows of a batch are independent",
    "independent draws": "a token and the one drawn before are independent",
    "logprob": "the logprob that comes with a token is that of the claimed distribution",
    "wide": "tokens of a large vocabulary are drawn with the claimed probabilities",
    "all seeds": "seeds that differ in one of 32 bits draw differently",
    "wide seeds": "seeds that differ in a bit above these draw differently",
    "all positions": "positions that differ in one of 17 bits draw differently",
    "seeds and positions": "no other seed draws at the next position what this one draws now",
}
"""The laws that `check_sampler` checks, by the names that `expected_failures` takes."""

Row = NDArray[np.float64]
_EMPTY = History.empty(1)
_CHUNK = 1024
_CLEAR = 1e-3
_ENDS = 0.15
"""The share of examples that are fed the smallest and the largest numbers."""
_KINDS = ((64, 2.0, False), (200, 3.0, True), (4, 1.0, False), (64, 0.05, False))
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
        logits` that is right in float64. `Temperature(1.0)` claims the softmax itself, `TopK(1)`
        the likeliest token, `TopK(1, keep_ties=False)` of equal ones that of the lowest id.
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
        self._is_greedy = claim.definition == TopK(1, keep_ties=False)
        self.rows = list(_law_rows(claim))
        # At most two streams of draws from each row, and a wide row.
        self.alpha = alpha / (2.0 * (1 + PAIR_TESTS) * max(1, len(self.rows)) + 1.0)

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
            yield from self._wide()
        except CandidateError as error:
            yield "answers", str(error), None

    def _examples(self, examples: int) -> Iterator[tuple[str, str, Case | None]]:
        generator = np.random.default_rng(self.seed)
        yield from self._generators()
        shapes = Shapes(
            widths=(self.claim.at_least, 2000), extreme=self.claim.only_removes, most_tokens=0
        )
        for _ in range(examples):
            case = draw_case(generator, shapes)
            logits = case.logits.astype(np.float32)
            rows, vocab = logits.shape
            given = self._randomness(rows, vocab, int(generator.integers(2**31)))
            if generator.random() < _ENDS:
                given |= _ends(rows, vocab, generator)
            tokens = self.draw(logits, given)
            for row, token in enumerate(tokens.tolist()):
                if not self._may_draw(logits[row].astype(np.float64), token):
                    why = f"row {row} drew token {token}{_fed(self.draw, given, row)}"
                    yield "possible", why, case.select([row])
                first = int(logits[row].argmax())
                if self._is_greedy and token != first and logits[row, token] == logits[row, first]:
                    why = f"of the equal logits of tokens {first} and {token} it took the latter"
                    yield "ties", why, case.select([row])
            if self.draw.is_fed:
                yield from self._repeated(case, logits, given, tokens)

    def _generators(self) -> Iterator[tuple[str, str, Case | None]]:
        """Two generators of the same seed draw the same tokens."""
        logits = np.zeros((1, 64), np.float32)
        drawn = []
        for _ in range(2):
            self.draw.renew()
            drawn.append([int(self.draw(logits)[0]) for _ in range(32)])
        if "generator" in self.draw.roles and drawn[0] != drawn[1]:
            why = f"generators of one seed drew {drawn[0][:8]} ... and {drawn[1][:8]} ..."
            yield "deterministic", why, _case(logits[0].astype(np.float64))

    def _repeated(
        self, case: Case, logits: NDArray[np.float32], given: dict[str, Anything], tokens: Tokens
    ) -> Iterator[tuple[str, str, Case | None]]:
        again = self.draw(logits, given)
        if not np.array_equal(again, tokens):
            yield "deterministic", f"drew {tokens.tolist()}, then {again.tolist()}", case
        if not self.draw.rows_are_fed or len(case) == 1:
            return
        if {"seed", "position"} & set(self.draw.roles) and self.draw.batched:
            return  # one value a call cannot be that of each row
        order = np.arange(len(case))[::-1]
        turned = self.draw(logits[order], {key: value[order] for key, value in given.items()})
        alone = [
            int(
                self.draw(logits[row : row + 1], {key: given[key][row : row + 1] for key in given})[
                    0
                ]
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
        self.notes.append(
            "exact: narrow rows are computed, and tokens are drawn from a wide one; a false alarm"
            f" has probability {self.alpha:.2g} at most"
        )

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
        case = _case(row)
        counts = DrawCounts(law, self._probs(row))
        rows = self._chunk(law)
        logits = np.tile(row.astype(np.float32), (rows, 1))
        done = call = 0
        while done < draws:
            start = call if rows == 1 or self._one_seed(law) else done
            tokens = self.draw(logits, number(start, rows))
            call += 1
            impossible = counts.impossible(tokens)
            if impossible is not None:
                yield "possible", f"drew token {impossible}, of probability 0", case
                return
            counts.add(tokens)
            done += rows
            if call & (call - 1) == 0 and done < draws:
                for cells in counts.tests():
                    log_e = cells.log_e()
                    if log_e > math.log(2.0 / self.alpha):
                        yield cells.law, cells.report(math.exp(-log_e)), case
                        return
        for cells in counts.tests():
            chance = cells.chance()
            if chance < self.alpha / 2.0:
                yield cells.law, cells.report(chance), case
                return

    def _one_seed(self, law: str) -> bool:
        """Whether all rows of a call share the number that this stream varies."""
        return law in self.draw.roles and f"{law}s" not in self.draw.roles

    def _chunk(self, law: str) -> int:
        if not self.draw.batched:
            return 1
        return 16 if self._one_seed(law) else _CHUNK

    def _logprobs(self) -> Iterator[tuple[str, str, Case | None]]:
        """The reported logprobs, on rows that are clear of the claim's cuts."""
        for row in self.rows:
            with np.errstate(divide="ignore"):
                wanted = np.log(self._probs(row))
            logits = np.tile(row.astype(np.float32), (8, 1))
            tokens, logprobs = self.draw.drawn(logits, self._randomness(8, len(row), 1))
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
        flat = np.zeros(64)
        kept = int(self.claim.kept(flat).sum())
        for law, why in broken_addresses(self.draw, kept, seed_bits):
            yield law, why, _case(flat)

    def _wide(self) -> Iterator[tuple[str, str, Case | None]]:
        row = wide_row()
        probs = self._probs(row)
        for law, why in broken_wide(self.draw, row, probs, self.alpha, self._randomness):
            yield law, why, _case(row)


def _fed(draw: Draw, given: dict[str, Anything], row: int) -> str:
    """What a row was fed, for a message."""
    return f" for u = {float(given['u'][row])!r}" if "u" in draw.roles else ""


def _ends(rows: int, vocab: int, generator: np.random.Generator) -> dict[str, Anything]:
    """Make random numbers and words that are the smallest or the largest of their range."""
    high = generator.random((rows, vocab)) < generator.choice([0.05, 0.5, 0.95])
    uniforms = np.where(high, 1.0 - 2.0**-53, 2.0**-53)
    words = np.where(high, np.uint64(2**64 - 1), np.uint64(0))
    return {"u": uniforms[:, 0].copy(), "uniforms": uniforms, "words": words}


def _law_rows(claim: Claim, kinds: tuple[tuple[int, float, bool], ...] = _KINDS) -> Iterator[Row]:
    """Rows whose distribution is compared: clear of the claim's cuts."""
    generator = np.random.default_rng(11)
    for width, scale, masked in kinds:
        for _ in range(50):
            row = np.round(generator.standard_normal(width) * scale, 2 if scale >= 0.1 else 6)
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
