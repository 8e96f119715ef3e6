"""`GenerationParameters`: all parameters of one request, validated."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np

from decoding.checks import LARGEST_COUNT
from decoding.checks import integer as _integer
from decoding.checks import real as _real
from decoding.checks import text as _text
from decoding.errors import ParameterError, require, shown
from decoding.logits import is_tensor
from decoding.request_grammar import Grammar
from decoding.typing import implies_sampling

LARGEST_BEST_OF = 2**14
"""Sequences of one request: vLLM's limit."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")

MOST_STRINGS, MOST_CHARACTERS = 2**14, 2**18
"""What a sequence of strings may hold in all: a matcher of stops takes some 300 bytes of memory a
character."""

MOST_TOKEN_IDS = 2**20
"""Token ids that a sequence may hold in all: four times the largest vocabularies."""
_MOST_TOKEN_IDS = f"at most {MOST_TOKEN_IDS} token ids in all"


class _TooManyError(Exception):
    """A sequence is longer than a request may have; the message is the limit."""


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

    def __reduce__(self) -> tuple[type[TokenBias], tuple[dict[int, float]]]:
        return TokenBias, (self._biases,)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters:
    """The parameters of one request: TGI's, under TGI's names, and further ones.

    | field | range | neutral |
    |---|---|---|
    | `adapter_id` | a string | None |
    | `best_of` | [1, 2**14]; > 1 only where tokens are sampled | None, 1 |
    | `decoder_input_details` | bool | False |
    | `details` | bool | False |
    | `do_sample` | bool; not False beside what means sampling | None: see `is_sampling` |
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
    | `repeat_last_n` | >= −1: how many tokens the three penalties look at; −1 for all | None, −1 |
    | `min_tokens` | >= 0, and no more than max_new_tokens: no end and no stop before | None, 0 |
    | `no_repeat_ngram_size` | >= 0 | None, 0 |
    | `bad_words_ids` | sequence of non-empty sequences of token ids | () |
    | `bad_words` | sequence of non-empty strings, banned at the beginning and after a space | () |
    | `suppress_tokens` | sequence of token ids | () |
    | `allowed_token_ids` | at least one token id | None |
    | `dry_multiplier` | >= 0, finite | None, 0 |
    | `dry_base` | >= 1, finite | None: 1.75 |
    | `dry_allowed_length` | >= 1 | None: 2 |
    | `dry_penalty_last_n` | >= −1: how many tokens DRY looks at; −1 for all | None: −1 |
    | `dry_sequence_breakers` | sequence of non-empty strings | None: line end, `:`, `"` and `*` |
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
    | `jump_forward` | bool; a grammar's only, see `decoding.grammar.masking.forced` | False |

    From `presence_penalty` on they are not TGI's, but have the names of vLLM, transformers and
    llama.cpp. A field that says how takes part where its neighbour says that. `repeat_last_n` is
    for the repetition, frequency and presence penalties; 0 turns them off, as `dry_penalty_last_n`
    does DRY. `bad_words` and `dry_sequence_breakers` need a tokenizer;
    `decoding.engine.request_words` says which tokens they stand for. Types are strict: a bool is
    no number, an int may stand for a float, NumPy scalars become Python ones, token ids may be
    arrays or tensors, NaN is refused.
    Counts are at most 2**53, token ids below 2**31, strings `MOST_STRINGS` of `MOST_CHARACTERS`,
    ids `MOST_TOKEN_IDS`.
    TGI's narrower ranges: `wire.validate`.
    Raises ParameterError for the first field, in this order, outside its range.
    Source: TGI 3.3.6, router/src/lib.rs, `GenerateParameters`.

    >>> GenerationParameters(temperature=0.7, seed=1).to_dict()
    {'seed': 1, 'temperature': 0.7}
    """

    adapter_id: str | None = None
    best_of: int | None = None
    decoder_input_details: bool = False
    details: bool = False
    do_sample: bool | None = None
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
    repeat_last_n: int | None = None
    min_tokens: int | None = None
    no_repeat_ngram_size: int | None = None
    bad_words_ids: Sequence[Sequence[int]] = ()
    bad_words: Sequence[str] = ()
    suppress_tokens: Sequence[int] = ()
    allowed_token_ids: Sequence[int] | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: Sequence[str] | None = None
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
            except _TooManyError as error:
                raise ParameterError(name, value, f"{expected}, {error}") from None
            if converted is None or not accepts(converted):
                suffix = ", or None" if name in _OPTIONAL else ""
                raise ParameterError(name, value, expected + suffix)
            object.__setattr__(self, name, converted)
        if self.do_sample is False:
            for name in ("seed", *SAMPLING):
                value = getattr(self, name)
                if value is not None and not (name == "temperature" and value == 0.0):
                    expected = f"True or None beside {name}={shown(value)}"
                    raise ParameterError("do_sample", False, expected)  # noqa: FBT003 -- the value
        # Where nothing is said, a pipeline beside the parameters may still mean sampling.
        said_greedy = self.temperature == 0.0 or self.do_sample is False
        if self.best_of is not None and self.best_of > 1 and said_greedy:
            raise ParameterError("best_of", self.best_of, "1 where decoding is greedy")
        if self.max_new_tokens is not None and (self.min_tokens or 0) > self.max_new_tokens:
            expected = f"at most {shown(self.max_new_tokens)}, which max_new_tokens is"
            raise ParameterError("min_tokens", self.min_tokens, expected)

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken at every step; see `is_sampling`.

        A pipeline of the caller's beside these parameters may still mean sampling.
        """
        return not is_sampling(self)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> GenerationParameters:
        """The inverse of `to_dict`, also after JSON.

        mapping: a `grammar` may be a mapping of `type` and `value`; the token ids of a `logit_bias`
            may be text, as the keys of JSON objects are, and a ban "-Infinity", which strict JSON
            has no number for.

        Raises ParameterError for a name that is none of the fields, and suggests the nearest.
        """
        require("parameters", mapping, isinstance(mapping, Mapping), "a mapping")
        names = [entry.name for entry in fields(cls)]
        for name in mapping:
            if name not in names:
                nearest = difflib.get_close_matches(str(name), names, n=1)
                hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
                raise ParameterError("parameter name", name, f"known{hint}")
        given = dict(mapping)
        if isinstance(given.get("grammar"), Mapping):
            given["grammar"] = Grammar.from_dict(given["grammar"])
        if isinstance(given.get("logit_bias"), Mapping):
            given["logit_bias"] = _bias_of_json(given["logit_bias"])
        return cls(**given)

    def to_dict(self) -> dict[str, object]:
        """The fields that are not at their default, in builtin types.

        `from_dict(p.to_dict()) == p` and `from_dict(json.loads(json.dumps(p.to_dict()))) == p` for
        every p.
        """
        default = type(self)()
        names = (entry.name for entry in fields(self))
        return {
            name: _BUILTIN[name](value) if name in _BUILTIN else value
            for name in names
            if (value := getattr(self, name)) != getattr(default, name)
        }


def is_sampling(parameters: GenerationParameters, processors: Iterable[object] = ()) -> bool:
    """Whether tokens are drawn at random, and not the likeliest token taken at every step.

    Temperature 0 and `do_sample=False` mean greedy decoding. Otherwise tokens are sampled if any of
    this is given, whatever its value:

    - `do_sample=True`, a temperature or a seed;
    - a truncation: `top_k`, `top_p`, `typical_p`, `min_p`, `epsilon_cutoff`, `eta_cutoff`,
      `top_n_sigma`, `top_h`, `xtc_probability`, `mirostat`; or `dynatemp_range`;
    - a pipeline with a processor that implies sampling (`implies_sampling`).

    Penalties, biases, masks and a green-list watermark alone do not mean sampling. This is the rule
    of Python and of the command line; TGI's own is in `decoding.wire.rules`.

    processors: those of the pipeline that replaces the one of the parameters.

    >>> is_sampling(GenerationParameters(temperature=1.0)), is_sampling(GenerationParameters())
    (True, False)
    """
    if parameters.temperature == 0.0 or parameters.do_sample is False:
        return False
    given = any(getattr(parameters, name) is not None for name in ("do_sample", "seed", *SAMPLING))
    return given or any(implies_sampling(item) for item in processors)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError
    return bool(value)


def _grammar(value: object) -> Grammar:
    if not isinstance(value, Grammar):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError
    strings = tuple(_text(item) for item in islice(value, MOST_STRINGS + 1))
    if len(strings) > MOST_STRINGS or sum(map(len, strings)) > MOST_CHARACTERS:
        raise _TooManyError(f"at most {MOST_STRINGS} of {MOST_CHARACTERS} characters in all")
    return strings


def _bias_of_json(biases: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A mapping of ids to biases from one of JSON, whose keys are text.

    Raises ParameterError for a key that is given as text and as a number.
    """
    decoded = {
        int(key) if isinstance(key, str) and _DECIMAL.fullmatch(key) else key: -math.inf
        if bias == "-Infinity"
        else bias
        for key, bias in biases.items()
    }
    if len(decoded) < len(biases):
        raise ParameterError("logit_bias", biases, "a mapping in which each token id occurs once")
    return decoded


def _bias(value: object) -> TokenBias:
    if not isinstance(value, Mapping):
        raise TypeError
    if len(value) > MOST_TOKEN_IDS:
        raise _TooManyError(_MOST_TOKEN_IDS)
    return TokenBias({_integer(key): _real(bias) for key, bias in value.items()})


def _integers(value: object) -> tuple[int, ...]:
    return tuple(_integer(item) for item in _items(value, MOST_TOKEN_IDS))


def _sequences(value: object) -> tuple[tuple[int, ...], ...]:
    sequences: list[tuple[int, ...]] = []
    room = MOST_TOKEN_IDS
    for item in _items(value, MOST_TOKEN_IDS):
        sequences.append(tuple(_integer(entry) for entry in _items(item, room)))
        room -= len(sequences[-1])
    return tuple(sequences)


def _items(value: Any, most: int) -> list[Any]:  # noqa: ANN401 -- what a caller gave
    """The items of a sequence, an array or a tensor."""
    if isinstance(value, np.ndarray) or is_tensor(value):
        if value.ndim == 0:
            raise TypeError
        listed: list[Any] = value[: most + 1].tolist()
    elif isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise TypeError
    else:
        listed = list(islice(value, most + 1))
    if len(listed) > most:
        raise _TooManyError(_MOST_TOKEN_IDS)
    return listed


def _are_ids(values: Iterable[int]) -> bool:
    return all(0 <= value < 2**31 for value in values)


def _any(_: object) -> bool:
    return True


_CHECKS: tuple[tuple[str, Callable[[object], Any], Callable[[Any], bool], str], ...] = (
    ("adapter_id", _text, _any, "a string"),
    ("best_of", _integer, lambda n: 1 <= n <= LARGEST_BEST_OF, "an integer >= 1 (at most 2**14)"),
    ("decoder_input_details", _boolean, _any, "a bool"),
    ("details", _boolean, _any, "a bool"),
    ("do_sample", _boolean, _any, "a bool"),
    ("frequency_penalty", _real, math.isfinite, "a finite number"),
    ("grammar", _grammar, _any, "a Grammar"),
    (
        "max_new_tokens",
        _integer,
        lambda n: 1 <= n <= LARGEST_COUNT,
        "an integer >= 1 (at most 2**53)",
    ),
    ("repetition_penalty", _real, lambda x: 0.0 < x < math.inf, "a finite number > 0"),
    ("return_full_text", _boolean, _any, "a bool"),
    ("seed", _integer, lambda n: 0 <= n < 2**64, "an integer in [0, 2**64)"),
    ("stop", _texts, all, "a sequence of non-empty strings (one string goes into a list)"),
    ("temperature", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("top_k", _integer, lambda n: 0 <= n <= LARGEST_COUNT, "an integer >= 0 (at most 2**53)"),
    (
        "top_n_tokens",
        _integer,
        lambda n: 0 <= n <= LARGEST_COUNT,
        "an integer >= 0 (at most 2**53)",
    ),
    ("top_p", _real, lambda x: 0.0 < x <= 1.0, "a number in (0, 1]"),
    ("truncate", _integer, lambda n: 1 <= n <= LARGEST_COUNT, "an integer >= 1 (at most 2**53)"),
    ("typical_p", _real, lambda x: 0.0 < x <= 1.0, "a number in (0, 1]"),
    ("watermark", _boolean, _any, "a bool"),
    ("presence_penalty", _real, math.isfinite, "a finite number"),
    ("min_p", _real, lambda x: 0.0 <= x <= 1.0, "a number in [0, 1]"),
    (
        "logit_bias",
        _bias,
        lambda bias: _are_ids(bias) and all(value < math.inf for value in bias.values()),
        "a mapping of token ids >= 0 to biases that are finite or -inf",
    ),
    (
        "repeat_last_n",
        _integer,
        lambda n: -1 <= n <= LARGEST_COUNT,
        "an integer >= -1 (at most 2**53)",
    ),
    ("min_tokens", _integer, lambda n: 0 <= n <= LARGEST_COUNT, "an integer >= 0 (at most 2**53)"),
    (
        "no_repeat_ngram_size",
        _integer,
        lambda n: 0 <= n <= LARGEST_COUNT,
        "an integer >= 0 (at most 2**53)",
    ),
    (
        "bad_words_ids",
        _sequences,
        lambda words: all(word and _are_ids(word) for word in words),
        "a sequence of non-empty sequences of token ids",
    ),
    ("bad_words", _texts, all, "a sequence of non-empty strings (one string goes into a list)"),
    ("suppress_tokens", _integers, _are_ids, "a sequence of token ids"),
    (
        "allowed_token_ids",
        _integers,
        lambda ids: bool(ids) and _are_ids(ids),
        "a non-empty sequence of token ids",
    ),
    ("dry_multiplier", _real, lambda x: 0.0 <= x < math.inf, "a finite number >= 0"),
    ("dry_base", _real, lambda x: 1.0 <= x < math.inf, "a finite number >= 1"),
    (
        "dry_allowed_length",
        _integer,
        lambda n: 1 <= n <= LARGEST_COUNT,
        "an integer >= 1 (at most 2**53)",
    ),
    (
        "dry_penalty_last_n",
        _integer,
        lambda n: -1 <= n <= LARGEST_COUNT,
        "an integer >= -1 (at most 2**53)",
    ),
    (
        "dry_sequence_breakers",
        _texts,
        all,
        "a sequence of non-empty strings (one string goes into a list)",
    ),
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
SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "min_p",
    "dynatemp_range",
    "epsilon_cutoff",
    "eta_cutoff",
    "top_n_sigma",
    "top_h",
    "xtc_probability",
    "mirostat",
)
"""Fields besides `do_sample` and `seed` that mean sampling where they are given."""
_OPTIONAL = frozenset(entry.name for entry in fields(GenerationParameters) if entry.default is None)
_BUILTIN: dict[str, Callable[[Any], object]] = {
    "grammar": Grammar.to_dict,
    "allowed_token_ids": list,
    "bad_words_ids": lambda words: [list(word) for word in words],
    "logit_bias": dict,
    "bad_words": list,
    "dry_sequence_breakers": list,
    "stop": list,
    "suppress_tokens": list,
}
