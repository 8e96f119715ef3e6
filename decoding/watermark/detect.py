"""Detection of green-list watermarks: counts of green tokens, z-scores and exact p-values.

The question a p-value answers: in how many texts that know nothing of the key would as many tokens
be green? A token's colour is a coin tossed by its seed, itself and the key. Where each coin counts
once, the colours under a random key are independent but for the lists' fixed length, so the count
is binomial, and

    flagging a text where p_value <= α flags at most a share α of unmarked texts.

The normal score z says the same less exactly: of 200 tokens, z > 4 promises 3 · 10⁻⁵ and flags
6 · 10⁻⁵ at γ = ¼; `false_positive_rate` gives the true one. A repeated n-gram is the same coin
again, not another toss: counted each time, repetitive text is flagged far more often than stated.
So are two n-grams whose windows have one seed, as those of `MinHash` often do: others that count
each n-gram once count them twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from decoding.checks import checked_integer, checked_token_ids
from decoding.errors import require
from decoding.watermark.ngrams import contexts, first_time
from decoding.watermark.scheme import Scheme
from decoding.watermark.tails import binomial_tail

_COLOURS_KEPT = 2**16


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a text in which green tokens are most significant.

    start, stop: its tokens, `token_ids[start:stop]`.
    scored, green: counted tokens in it, and the green ones among them.
    z: their score.
    tried: how many stretches were looked at, of all sizes.
    p_value: the chance that an unmarked text has any stretch as green as this: `tried` times that
        of this one (Bonferroni), at most 1. It may be used with a threshold as the whole text's;
        whoever looks at both divides the threshold by two.
    """

    start: int
    stop: int
    scored: int
    green: int
    z: float
    tried: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Detection:
    """The result of `detect`: counts, z-score and p-value of a text.

    scored: how many tokens were counted. green: how many of these are green.
    z: (green − γ · scored) / √(scored · γ · (1 − γ)); 0 where none was counted.
    p_value: the chance of so many green tokens, or more, in unmarked text: the exact binomial tail
        for the share of the vocabulary that is green. 1 where none was counted.
    colours: for each token of the text whether it is green; None where it was not counted.
    window: the greenest stretch, where sizes were given and one fits.
    """

    scored: int
    green: int
    z: float
    p_value: float
    colours: tuple[bool | None, ...]
    window: Window | None = None

    @property
    def fraction(self) -> float:
        """The share of green tokens among the scored ones; 0 if none was scored."""
        return self.green / self.scored if self.scored else 0.0


@dataclass(frozen=True, slots=True)
class Detector:
    """Detects one watermark scheme in many texts; `detect` is for one text.

    scheme: that of the embedding; δ does not matter.
    vocab_size: the one of the embedding: `Watermark.vocab_size`, or the width of the logits.
    counts_repeats: whether a token whose seed and id occurred before counts again, as in
        transformers by default. The p-value then holds only for texts that repeat nothing.
    """

    scheme: Scheme
    vocab_size: int
    counts_repeats: bool = False
    _colours: Colours = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require("scheme", self.scheme, isinstance(self.scheme, Scheme), "a Scheme")
        self.scheme.share(self.vocab_size)  # refuses a size that has no lists
        object.__setattr__(self, "_colours", Colours(self.scheme, self.vocab_size))

    def __call__(
        self,
        token_ids: Sequence[int],
        *,
        prompt: Sequence[int] = (),
        window_sizes: Sequence[int] = (),
    ) -> Detection:
        """See `detect`."""
        token_ids = checked_token_ids("token_ids", token_ids)
        prompt = checked_token_ids("prompt", prompt)
        window_sizes = [checked_integer("window_sizes", size, 1) for size in window_sizes]
        known = list(contexts(token_ids, self.scheme.context_width, prompt))
        coins = [
            None if context is None else (self.scheme.seed(context, int(token)), int(token))
            for context, token in zip(known, token_ids, strict=True)
        ]
        colours = tuple(
            self._colours(*coin) if coin and (self.counts_repeats or is_new) else None
            for coin, is_new in zip(coins, first_time(coins), strict=True)
        )
        scored = len(colours) - colours.count(None)
        green = colours.count(True)
        return Detection(
            scored,
            green,
            z_score(green, scored, self.scheme.gamma),
            self._p_value(green, scored),
            colours,
            self._greenest(colours, window_sizes),
        )

    def _p_value(self, green: int, scored: int) -> float:
        share = self.scheme.share(self.vocab_size)
        # A vocabulary too small for a green token has nothing to tell.
        return binomial_tail(green, scored, share) if 0.0 < share < 1.0 else 1.0

    def _greenest(
        self, colours: tuple[bool | None, ...], window_sizes: Sequence[int]
    ) -> Window | None:
        scored_before, green_before = [0], [0]
        for colour in colours:
            scored_before.append(scored_before[-1] + (colour is not None))
            green_before.append(green_before[-1] + (colour is True))
        stretches = [
            (
                green_before[start + size] - green_before[start],
                scored_before[start + size] - scored_before[start],
                start,
                start + size,
            )
            for size in sorted(set(window_sizes))
            for start in range(len(colours) - size + 1)
        ]
        if not stretches:
            return None
        chances = {counts: self._p_value(*counts) for counts in {item[:2] for item in stretches}}
        green, scored, start, stop = min(stretches, key=lambda item: chances[item[:2]])
        z = z_score(green, scored, self.scheme.gamma)
        p_value = min(1.0, len(stretches) * chances[green, scored])
        return Window(start, stop, scored, green, z, len(stretches), p_value)


class Colours:
    """Looks up whether tokens are green under a seed; caches the latest answers."""

    __slots__ = ("_cached", "scheme", "vocab_size")

    def __init__(self, scheme: Scheme, vocab_size: int) -> None:
        self.scheme, self.vocab_size = scheme, vocab_size
        self._cached = lru_cache(maxsize=_COLOURS_KEPT)(self._colour)

    def __call__(self, seed: int, token_id: int) -> bool:
        """Whether a token is green under a seed."""
        return self._cached(seed, token_id)

    def _colour(self, seed: int, token_id: int) -> bool:
        scheme = self.scheme
        return scheme.colouring.is_green(seed, scheme.gamma, self.vocab_size, token_id)

    def __reduce__(self) -> tuple[type[Colours], tuple[Scheme, int]]:
        return Colours, (self.scheme, self.vocab_size)  # a copy starts empty


def detect(
    token_ids: Sequence[int],
    scheme: Scheme,
    vocab_size: int,
    *,
    prompt: Sequence[int] = (),
    counts_repeats: bool = False,
    window_sizes: Sequence[int] = (),
) -> Detection:
    """Count the green tokens of a text and test whether they are too many for chance.

    token_ids: the generated text. With no prompt its first `scheme.context_width` tokens are not
        counted, as their contexts are unknown; a leading BOS token is for the caller to drop.
    prompt: what came before it; gives the contexts of the first tokens, is not counted itself.
    window_sizes: look for the greenest stretch of these sizes too: a marked passage in a longer
        text.

    Other arguments as for `Detector`; `z` equals that of transformers' detector where repeats
    count. Raises `ParameterError` for a size outside its range.
    Source: arXiv:2301.10226, section 3; arXiv:2306.04634 for repeats and windows.

    >>> from decoding.watermark.presets import lefthash
    >>> found = detect([3, 5, 1, 3, 5], lefthash(), 100)
    >>> found.scored, found.colours[0]
    (3, None)
    """
    detector = Detector(scheme, vocab_size, counts_repeats)
    return detector(token_ids, prompt=prompt, window_sizes=window_sizes)


def z_score(green: int, scored: int, gamma: float) -> float:
    """The z-score of a count of green tokens."""
    if scored == 0:
        return 0.0
    return (green - gamma * scored) / math.sqrt(scored * gamma * (1.0 - gamma))


def false_positive_rate(threshold: float, scored: int, gamma: float) -> float:
    """The exact chance that unmarked text of `scored` distinct n-grams has z > threshold.

    >>> f"{false_positive_rate(4.0, 200, 0.25):.1e}"
    '6.2e-05'
    """
    require("scored", scored, scored >= 1, ">= 1")
    require("gamma", gamma, 0.0 < gamma < 1.0, "in (0, 1)")
    least = gamma * scored + threshold * math.sqrt(scored * gamma * (1.0 - gamma))
    green = max(0, math.floor(least))
    while z_score(green, scored, gamma) <= threshold:
        green += 1
    return binomial_tail(green, scored, gamma)
