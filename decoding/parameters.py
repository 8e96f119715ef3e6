"""The request: every parameter of one generation, validated once, in one place."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np

from decoding.errors import ParameterError
from decoding.requested_grammar import Grammar


class TokenBias(Mapping[int, float]):
    """An immutable, hashable mapping of token ids to biases, in the order of the ids."""

    __slots__ = ("_biases",)

    def __init__(self, biases: Mapping[int, float] = MappingProxyType({})) -> None:
        self._biases = dict(sorted(biases.items()))

    def __getitem__(self, token_id: int) -> float:
        return self._biases[token_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._biases)

    def __len__(self) -> int:
        return len(self._biases)

    def __hash__(self) -> int:
        return hash(tuple(self._biases.items()))

    def __repr__(self) -> str:
        return repr(self._biases)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters:
    """Everything a caller may ask of one generation: TGI's request under TGI's names, and more.

    | field | range | neutral |
    |---|---|---|
    | `adapter_id` | a string | None |
    | `best_of` | >= 1; > 1 only where tokens are sampled | None, 1 |
    | `decoder_input_details` | bool | False |
    | `details` | bool | False |
    | `do_sample` | bool | False: greedy unless a sampling parameter says otherwise |
    | `frequency_penalty` | finite | None, 0 |
    | `grammar` | `Grammar` | None |
    | `max_new_tokens` | >= 1 | None: as many as the caller's budget allows |
    | `repetition_penalty` | > 0, finite | None, 1 |
    | `return_full_text` | bool | None, False |
    | `seed` | [0, 2**64) | None: drawn at random |
    | `stop` | sequence of non-empty strings, kept as a tuple | () |
    | `temperature` | >= 0, finite | None, 1; 0 means greedy |
    | `top_k` | >= 0 | None, 0 |
    | `top_n_tokens` | >= 0 | None, 0 |
    | `top_p` | (0, 1] | None, 1 |
    | `truncate` | >= 1; keeps the last tokens of the prompt | None |
    | `typical_p` | (0, 1] | None, 1 |
    | `watermark` | bool | False |
    | `presence_penalty` | finite | None, 0 |
    | `min_p` | [0, 1] | None, 0 |
    | `logit_bias` | token id >= 0 to a finite bias or −inf (ban); kept as `TokenBias` | {} |
    | `min_tokens` | >= 0, and no more than max_new_tokens: no end and no stop before | None, 0 |
    | `no_repeat_ngram_size` | >= 0 | None, 0 |
    | `bad_words_ids` | sequence of non-empty sequences of token ids | () |
    | `suppress_tokens` | sequence of token ids | () |
    | `allowed_token_ids` | at least one token id | None |
    | `dry_multiplier` | >= 0, finite | None, 0 |
    | `dry_base` | >= 1, finite | None: 1.75 |
    | `dry_allowed_length` | >= 1 | None: 2 |
    | `dynatemp_range` | >= 0, finite: around the temperature | None, 0 |
    | `dynatemp_exponent` | >= 0, finite | None: 1 |
    | `epsilon_cutoff` | [0, 1) | None, 0 |
    | `eta_cutoff` | [0, 1) | None, 0 |
    | `top_n_sigma` | >= 0, finite | None, 0 |
    | `top_h` | (0, 1] | None, 1 |
    | `xtc_probability` | [0, 1] | None, 0 |
    | `xtc_threshold` | [0, 1] | None: 0.1 |
    | `mirostat` | 0, 1 or 2: the version | None, 0 |
    | `mirostat_tau` | >= 0, finite | None: 5 |
    | `mirostat_eta` | >= 0, finite | None: 0.1 |
    | `jump_forward` | bool; a grammar's only, see `decoding.grammar.forced` | False |

    From `presence_penalty` on they are not TGI's, but have the names of vLLM, transformers and
    llama.cpp. A field that says how takes part where its neighbour says that. Types are strict: a
    bool is no number, an int may stand for a float, NumPy scalars become Python ones, NaN is
    refused. TGI's narrower ranges: `wire.validate`.
    Raises ParameterError for the first field, in this order, outside its range.
    Source: TGI 3.3.6, router/src/lib.rs, `GenerateParameters`.

    >>> GenerationParameters(temperature=0.7, seed=1).to_dict()
    {'seed': 1, 'temperature': 0.7}
    """

    adapter_id: str | None = None
    best_of: int | None = None
    decoder_input_details: bool = False
    details: bool = False
    do_sample: bool = False
    frequency_penalty: float | None = None
    grammar: Grammar | None = None
    max_new_tokens: int | None = None
    repetition_penalty: float | None = None
    return_full_text: bool | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    temperature: float | None = None
    top_k: int | None = None
    top_n_tokens: int | None = None
    top_p: float | None = None
    truncate: int | None = None
    typical_p: float | None = None
    watermark: bool = False
    presence_penalty: float | None = None
    min_p: float | None = None
    logit_bias: Mapping[int, float] = field(default_factory=TokenBias)
    min_tokens: int | None = None
    no_repeat_ngram_size: int | None = None
    bad_words_ids: Sequence[Sequence[int]] = ()
    suppress_tokens: Sequence[int] = ()
    allowed_token_ids: Sequence[int] | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None
    top_n_sigma: float | None = None
    top_h: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    jump_forward: bool = False

    def __post_init__(self) -> None:
        for name, convert, accepts, expected in _CHECKS:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            try:
                converted = convert(value)
            except (TypeError, OverflowError):
                converted = None
            if converted is None or not accepts(converted):
                suffix = ", or None" if name in _OPTIONAL else ""
                raise ParameterError(name, value, expected + suffix)
            object.__setattr__(self, name, converted)
        if self.best_of is not None and self.best_of > 1 and self.is_greedy:
            raise ParameterError("best_of", self.best_of, "1 where decoding is greedy")
        if self.max_new_tokens is not None and (self.min_tokens or 0) > self.max_new_tokens:
            expected = f"at most {self.max_new_tokens}, which max_new_tokens is"
            raise ParameterError("min_tokens", self.min_tokens, expected)

    @property
    def is_greedy(self) -> bool:
        """Whether every token is the likeliest one.

        TGI samples iff `do_sample`, or `temperature`, `top_k`, `top_p` or `typical_p` (here also
        any other truncation, `dynatemp_range` or `mirostat`) is not neutral; temperature 0 means
        greedy whatever else is asked.
        """
        if self.temperature == 0.0:
            return True
        return not self.do_sample and all(
            getattr(self, name) in (None, neutral) for name, neutral in SAMPLING.items()
        )

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> GenerationParameters:
        """The inverse of `to_dict`; a `grammar` may be a mapping of `type` and `value`.

        Raises ParameterError for a name that is none of the fields, and suggests the nearest.
        """
        names = [entry.name for entry in fields(cls)]
        for name in mapping:
            if name not in names:
                nearest = difflib.get_close_matches(str(name), names, n=1)
                hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
                raise ParameterError("parameter name", name, f"known{hint}")
        grammar = mapping.get("grammar")
        if isinstance(grammar, Mapping):
            return cls(**{**mapping, "grammar": Grammar.from_dict(grammar)})
        return cls(**mapping)

    def to_dict(self) -> dict[str, object]:
        """The fields that are not at their default, in builtin types.

        `from_dict(p.to_dict()) == p` for every p.
        """
        default = type(self)()
        names = (entry.name for entry in fields(self))
        return {
            name: _BUILTIN[name](value) if name in _BUILTIN else value
            for name in names
            if (value := getattr(self, name)) != getattr(default, name)
        }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str.__str__(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError
    return operator.index(value)


def _real(value: object) -> float:
    if isinstance(value, float | np.floating):
        return float(value)
    return float(_integer(value))


def _grammar(value: object) -> Grammar:
    if not isinstance(value, Grammar):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError
    return tuple(_text(item) for item in value)


def _bias(value: object) -> TokenBias:
    if not isinstance(value, Mapping):
        raise TypeError
    return TokenBias({_integer(key): _real(bias) for key, bias in value.items()})


def _integers(value: object) -> tuple[int, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    return tuple(_integer(item) for item in value)


def _sequences(value: object) -> tuple[tuple[int, ...], ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    return tuple(_integers(item) for item in value)


def _are_ids(values: Sequence[int]) -> bool:
    return all(0 <= value < 2**31 for value in values)


def _any(_: object) -> bool:
    return True


_CHECKS: tuple[tuple[str, Callable[[object], Any], Callable[[Any], bool], str], ...] = (
    ("adapter_id", _text, _any, "a string"),
    ("best_of", _integer, lambda n: n >= 1, "an integer >= 1"),
    ("decoder_input_details", _boolean, _any, "a bool"),
    ("details", _boolean, _any, "a bool"),
    ("do_sample", _boolean, _any, "a bool"),
    ("frequency_penalty", _real, math.isfinite, "a finite number"),
    ("grammar", _grammar, _any, "a Grammar"),
    ("max_new_tokens", _integer, lambda n: n >= 1, "an integer >= 1"),
    ("repetition_penalty", _real, lambda x: 0.0 < x < math.inf, "a finite number > 0"),
    ("return_full_text", _boolean, _any, "a bool"),
    ("seed", _integer, lambda n: 0 <= n < 2**64, "an integer in [0, 2**64)"),
    ("stop", _texts, all, "a sequence of non-empty strings (one string goes into a list)"),
    ("temperature", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("top_k", _integer, lambda n: n >= 0, "an integer >= 0"),
    ("top_n_tokens", _integer, lambda n: n >= 0, "an integer >= 0"),
    ("top_p", _real, lambda x: 0.0 < x <= 1.0, "a number in (0, 1]"),
    ("truncate", _integer, lambda n: n >= 1, "an integer >= 1"),
    ("typical_p", _real, lambda x: 0.0 < x <= 1.0, "a number in (0, 1]"),
    ("watermark", _boolean, _any, "a bool"),
    ("presence_penalty", _real, math.isfinite, "a finite number"),
    ("min_p", _real, lambda x: 0.0 <= x <= 1.0, "a number in [0, 1]"),
    (
        "logit_bias",
        _bias,
        lambda bias: all(key >= 0 and value < math.inf for key, value in bias.items()),
        "a mapping of token ids >= 0 to biases that are finite or -inf",
    ),
    ("min_tokens", _integer, lambda n: n >= 0, "an integer >= 0"),
    ("no_repeat_ngram_size", _integer, lambda n: n >= 0, "an integer >= 0"),
    (
        "bad_words_ids",
        _sequences,
        lambda words: all(word and _are_ids(word) for word in words),
        "a sequence of non-empty sequences of token ids",
    ),
    ("suppress_tokens", _integers, _are_ids, "a sequence of token ids"),
    (
        "allowed_token_ids",
        _integers,
        lambda ids: bool(ids) and _are_ids(ids),
        "a non-empty sequence of token ids",
    ),
    ("dry_multiplier", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("dry_base", _real, lambda x: 1.0 <= x < math.inf, "a finite number >= 1"),
    ("dry_allowed_length", _integer, lambda n: n >= 1, "an integer >= 1"),
    ("dynatemp_range", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("dynatemp_exponent", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("epsilon_cutoff", _real, lambda x: 0.0 <= x < 1.0, "a number in [0, 1)"),
    ("eta_cutoff", _real, lambda x: 0.0 <= x < 1.0, "a number in [0, 1)"),
    ("top_n_sigma", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("top_h", _real, lambda x: 0.0 < x <= 1.0, "a number in (0, 1]"),
    ("xtc_probability", _real, lambda x: 0.0 <= x <= 1.0, "a number in [0, 1]"),
    ("xtc_threshold", _real, lambda x: 0.0 <= x <= 1.0, "a number in [0, 1]"),
    ("mirostat", _integer, lambda n: 0 <= n <= 2, "0, 1 or 2"),
    ("mirostat_tau", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("mirostat_eta", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("jump_forward", _boolean, _any, "a bool"),
)
SAMPLING = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "typical_p": 1.0,
    "min_p": 0.0,
    "dynatemp_range": 0.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "top_n_sigma": 0.0,
    "top_h": 1.0,
    "xtc_probability": 0.0,
    "mirostat": 0,
}
"""What asks for sampling by not being neutral."""
_OPTIONAL = frozenset(entry.name for entry in fields(GenerationParameters) if entry.default is None)
_BUILTIN: dict[str, Callable[[Any], object]] = {
    "grammar": Grammar.to_dict,
    "allowed_token_ids": list,
    "bad_words_ids": lambda words: [list(word) for word in words],
    "logit_bias": dict,
    "stop": list,
    "suppress_tokens": list,
}
