"""`Claim`: the processor that a candidate claims to be, and a judge of its results."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from decoding.errors import ParameterError
from decoding.facts import Kind, facts_of
from decoding.history import History
from decoding.pipeline import Pipeline
from decoding.processors import (
    EpsilonCutoff,
    EtaCutoff,
    FrequencyPenalty,
    MinP,
    PLess,
    PresencePenalty,
    RepetitionPenalty,
    Temperature,
    TopA,
    TopK,
    TopNSigma,
    TopP,
    TypicalP,
)
from decoding.testing.cut_judges import CountJudge, MassJudge, ThresholdJudge
from decoding.testing.value_judges import DefinitionJudge, ValueJudge
from decoding.testing.verdicts import Judge, Mask, Row
from decoding.typing import Anything, Processor

_EMPTY = History.empty(1)
_MOST_BITS = 19
"""Of the widths that are tried on a claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The claim about a candidate's behaviour that a check tests: its definition and its judge.

    name: of the claim. judge: decides about a row. definition: what it makes of a row, or None.
    reads_history: whether it is known to need token ids. only_removes: whether it is a truncation
    or mask. at_least: the fewest tokens a row must have for the claim to be about something.
    narrowest: the fewest with which the definition does not raise.
    """

    name: str
    judge: Judge
    definition: Processor | None
    reads_history: bool = False
    only_removes: bool = False
    at_least: int = 1
    narrowest: int = 1

    def expected(self, row: Row, history: History) -> Row | None:
        """Apply the definition to a row; None without a definition."""
        if self.definition is None:
            return None
        return _run(self.definition, row, history)

    def kept(self, row: Row) -> Mask:
        """The tokens that the definition keeps of a row without a history."""
        if self.definition is None:
            return row > -np.inf
        return _run(self.definition, row, _EMPTY) > -np.inf


def claim_of(claim: Anything) -> Claim:
    """Make the claim that a candidate behaves as a processor does, or as a given judge says.

    claim: a processor of `decoding.processors`, a pipeline, any function `(logits, history) ->
    logits` that is right in float64, or an object with `rule` and `judge`.
    """
    if hasattr(claim, "judge") and hasattr(claim, "rule"):
        return Claim(str(claim.rule), claim, None)
    if not callable(claim) or isinstance(claim, type):
        raise ParameterError("claim", claim, "a processor such as TopP(0.9), or a judge")
    facts = facts_of(claim)
    members = claim.processors if isinstance(claim, Pipeline) else (claim,)
    known = [facts_of(item) for item in members]
    narrowest = _narrowest(claim)
    count = max((item.top_k for item in members if isinstance(item, TopK)), default=1)
    return Claim(
        name=_name(claim),
        judge=judge_of(claim),
        definition=claim,
        reads_history=any(item is not None and item.needs_history for item in known),
        only_removes=bool(facts and facts.only_removes),
        at_least=max(count, narrowest, 1),
        narrowest=narrowest,
    )


def _name(claim: Processor) -> str:
    """How a claim is shown: a function by its name, a processor with its parameters."""
    return str(getattr(claim, "__name__", repr(claim)))


def _narrowest(claim: Processor) -> int:
    """The smallest width of a row that a claim takes; one about token ids takes rows with them."""

    def takes(width: int) -> bool:
        try:
            _run(claim, np.zeros(width), _EMPTY)
        except Exception:  # of anyone's function
            return False
        return True

    power = next((power for power in range(_MOST_BITS) if takes(1 << power)), None)
    if not power:
        return 1
    widths = range((1 << power - 1) + 1, 1 << power)
    return widths.start + bisect_left(widths, 1, key=takes)


def judge_of(claim: Processor) -> Judge:
    """The float64 judge of a processor; one by its definition where none is written for it."""
    judge = _truncation(claim) or _edit(claim)
    if judge is not None:
        return judge
    facts = facts_of(claim)
    rule = (facts.formula if facts else "") or f"what {_name(claim)} makes of the row in float64"
    if facts is not None and facts.kind is Kind.EDIT:
        return ValueJudge(rule, lambda row, history: _run(claim, row, history))
    return DefinitionJudge(rule, lambda row, history: _run(claim, row, history))


def _run(claim: Processor, row: Row, history: History) -> Row:
    with np.errstate(all="ignore"):
        return np.asarray(claim(row[np.newaxis], history)[0], np.float64)


def _entropy(logprobs: Row) -> float:
    alive = logprobs[logprobs > -np.inf]
    return float(-np.dot(np.exp(alive), alive))


def _truncation(claim: Processor) -> Judge | None:  # noqa: PLR0911 -- one return a processor
    match claim:
        case TopP(p):
            rule = f"keep the smallest set of most likely tokens whose mass reaches {p:g}"
            return MassJudge(rule, p, np.negative)
        case TypicalP(p):
            rule = f"keep the tokens whose surprise is nearest the entropy, until their mass is {p}"
            return MassJudge(rule, p, lambda row: np.abs(-row - _entropy(row)))
        case TopK(count, keep_ties):
            exactly = "exactly " if count and not keep_ties else ""
            rule = f"keep {exactly}the {count} most likely tokens" if count else "keep all tokens"
            return CountJudge(rule, count, exactly=not keep_ties)
        case MinP(p):
            shift = math.log(p) if p else -math.inf
            rule = f"keep tokens with at least {p:g} times the probability of the likeliest"
            return ThresholdJudge(rule, lambda row: float(row.max()) + shift)
        case TopA(a):
            shift = math.log(a) if a else -math.inf
            rule = f"keep tokens of probability at least {a:g} max(p)²"
            return ThresholdJudge(rule, lambda row: 2.0 * float(row.max()) + shift)
        case EpsilonCutoff(epsilon):
            level = math.log(epsilon) if epsilon else -math.inf
            rule = f"keep tokens of probability at least {epsilon:g}, and the likeliest"
            return ThresholdJudge(rule, lambda _: level)
        case EtaCutoff(eta):
            level = math.log(eta) if eta else -math.inf
            rule = f"keep tokens with p >= min(ε, √ε exp(−H)), ε = {eta:g}, and the likeliest"
            return ThresholdJudge(rule, lambda row: min(level, level / 2.0 - _entropy(row)))
        case PLess():
            rule = "keep tokens with p >= Σ p²"
            return ThresholdJudge(rule, lambda row: math.log(float(np.exp(2.0 * row).sum())))
        case TopNSigma(n) if n > 0.0:
            rule = f"keep tokens within {n:g} standard deviations of the largest logit"
            return ThresholdJudge(rule, lambda row: float(row.max() - n * row[row > -np.inf].std()))
    return None


def _edit(claim: Processor) -> Judge | None:
    match claim:
        case Temperature(temperature):
            return ValueJudge(
                f"divide every logit by {temperature:g}",
                lambda row, _: _divided(row, temperature),
                shift=True,
            )
        case RepetitionPenalty(r):
            return ValueJudge(
                f"of every distinct token seen in prompt or text, multiply a negative logit by"
                f" {r:g} and divide another by it, once",
                lambda row, history: _repetition(row, history, r),
            )
        case FrequencyPenalty(a):
            return ValueJudge(
                f"subtract {a:g} times the number of its occurrences in the generated text",
                lambda row, history: row - a * _counts(row, history),
            )
        case PresencePenalty(a):
            return ValueJudge(
                f"subtract {a:g} from every token that occurs in the generated text, once",
                lambda row, history: row - a * (_counts(row, history) > 0),
            )
    return None


def _divided(row: Row, temperature: float) -> Row:
    with np.errstate(over="ignore"):
        return row / temperature


def _repetition(row: Row, history: History, penalty: float) -> Row:
    seen = sorted({token for token in history.row(0).tolist() if 0 <= token < len(row)})
    result = row.copy()
    for token in seen:
        result[token] = row[token] * penalty if row[token] < 0.0 else row[token] / penalty
    return result


def _counts(row: Row, history: History) -> Row:
    generated = history.generated(0)
    legal = generated[(generated >= 0) & (generated < len(row))]
    return np.bincount(legal, minlength=len(row)).astype(np.float64)
