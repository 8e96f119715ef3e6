"""`GenerationParameters`: all parameters of one request, validated."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from decoding.errors import ParameterError, require, shown
from decoding.facts import implies_sampling, requested
from decoding.processors import PROCESSORS
from decoding.request_fields import (
    BOOLEAN,
    COUNT,
    TEXT,
    TEXTS,
    RequestField,
    TokenBias,
    TooManyError,
    integer,
)
from decoding.request_grammar import Grammar

__all__ = ["REQUEST_FIELDS", "GenerationParameters", "TokenBias", "is_sampling"]

LARGEST_BEST_OF = 2**14
"""Sequences of one request: vLLM's limit."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")

_OWN = (
    RequestField("max_new_tokens", integer(1), "most tokens", "N"),
    RequestField("stop", TEXTS, "end after this text; repeatable", "TEXT", initial=()),
    RequestField("do_sample", BOOLEAN, "draw tokens rather than take the likeliest"),
    RequestField(
        "seed",
        integer(0, 2**64 - 1, "u64"),
        "what tokens are drawn with; a random one by default",
        "N",
    ),
    RequestField(
        "best_of", integer(1, LARGEST_BEST_OF, "usize"), "draw N texts and keep the likeliest", "N"
    ),
    RequestField("truncate", integer(1, name="usize"), "keep the last N tokens of the prompt", "N"),
    RequestField("return_full_text", BOOLEAN, "put the prompt in front of the text"),
    RequestField(
        "details",
        BOOLEAN,
        "in the JSON: how the text came about (default with --json: yes)",
        initial=False,
    ),
    RequestField(
        "decoder_input_details",
        BOOLEAN,
        "in the JSON: the logprobs of the prompt",
        initial=False,
    ),
    RequestField("top_n_tokens", COUNT, "in the JSON: the N likeliest tokens of every step", "N"),
    RequestField("adapter_id", TEXT, "the adapter to use", "ID"),
)

REQUEST_FIELDS: Mapping[str, RequestField] = MappingProxyType(
    {
        asked.name: asked
        for asked in (
            *_OWN,
            *(item for made in requested(PROCESSORS) for item in made.facts.fields),
        )
    }
)
"""Every field of `GenerationParameters`: those of a generation, then those of its processors."""


if TYPE_CHECKING:  # what is made below, written out by `python -m benchmarks.tables`
    from decoding.processor_fields import ProcessorFields
else:
    ProcessorFields = make_dataclass(
        "ProcessorFields",
        [
            (asked.name, asked.annotation, field(default=asked.initial))
            for asked in REQUEST_FIELDS.values()
            if asked not in _OWN
        ],
        namespace={"__module__": __name__},
        frozen=True,
        slots=True,
        kw_only=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParameters(ProcessorFields):
    """The parameters of one request: TGI's, under TGI's names, and further ones.

    | field | range | neutral |
    |---|---|---|
    | `adapter_id` | a string | None |
    | `best_of` | [1, 2**14]; > 1 only where tokens are sampled | None, 1 |
    | `decoder_input_details` | bool | False |
    | `details` | bool | False |
    | `do_sample` | bool; not False beside what means sampling | None: see `is_sampling` |
    | `max_new_tokens` | >= 1 | None: as many as the caller's budget allows |
    | `return_full_text` | bool | None, False |
    | `seed` | [0, 2**64) | None: drawn at random |
    | `stop` | sequence of non-empty strings, kept as a tuple | () |
    | `top_n_tokens` | >= 0 | None, 0 |
    | `truncate` | >= 1; keeps the last tokens of the prompt | None |

    and the fields of processors, which `ProcessorFields` lists.

    Types are strict: a bool is no number, an int may stand for a float, NumPy scalars become Python
    ones, token ids may be arrays or tensors, NaN is refused. Counts are at most 2**53, token ids
    below 2**31, strings `MOST_STRINGS` of `MOST_CHARACTERS`, ids `MOST_TOKEN_IDS`. TGI's narrower
    ranges: `wire.validate`.
    Raises ParameterError for the first field outside its range.
    Source: TGI 3.3.6, router/src/lib.rs, `GenerateParameters`; other names are those of vLLM,
    transformers and llama.cpp.

    >>> GenerationParameters(temperature=0.7, seed=1).to_dict()
    {'seed': 1, 'temperature': 0.7}
    """

    adapter_id: str | None = None
    best_of: int | None = None
    decoder_input_details: bool = False
    details: bool = False
    do_sample: bool | None = None
    max_new_tokens: int | None = None
    return_full_text: bool | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    top_n_tokens: int | None = None
    truncate: int | None = None

    def __post_init__(self) -> None:
        for name, asked in REQUEST_FIELDS.items():
            value = getattr(self, name)
            if value is None and asked.initial is None:
                continue
            suffix = ", or None" if asked.initial is None else ""
            try:
                converted = asked.type.convert(value)
            except (TypeError, OverflowError):
                converted = None
            except TooManyError as error:
                raise ParameterError(name, value, f"{asked.type.expected}, {error}") from None
            if converted is None or not asked.type.accepts(converted):
                raise ParameterError(name, value, asked.type.expected + suffix)
            object.__setattr__(self, name, converted)
        if self.do_sample is False:
            for name in ("seed", *SAMPLING):
                value = getattr(self, name)
                if value != REQUEST_FIELDS[name].initial and not (
                    name == "temperature" and value == 0.0
                ):
                    expected = f"True or None beside {name}={shown(value)}"
                    raise ParameterError("do_sample", False, expected)
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
        """Make parameters from a mapping that `to_dict` returned, also after a trip through JSON.

        mapping: a `grammar` may be a mapping of `type` and `value`; the token ids of a `logit_bias`
            may be text, as the keys of JSON objects are, and a ban "-Infinity", which strict JSON
            has no number for.

        Raises ParameterError for a name that is none of the fields, and suggests the nearest.
        """
        require("parameters", mapping, isinstance(mapping, Mapping), "a mapping")
        names = [entry.name for entry in fields(cls)]
        for name in mapping:
            if name not in names:
                import difflib

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
        values = ((item, getattr(self, item.name)) for item in REQUEST_FIELDS.values())
        return {
            item.name: value if item.type.builtin is None else item.type.builtin(value)
            for item, value in values
            if value != item.initial
        }


SAMPLING = tuple(
    item.facts.fields[0].name for item in requested(PROCESSORS) if item.facts.implies_sampling
)
"""Fields besides `do_sample` and `seed` that mean sampling where they are given."""


def is_sampling(parameters: GenerationParameters, processors: Iterable[object] = ()) -> bool:
    """Whether tokens are drawn at random, and not the likeliest token taken at every step.

    Temperature 0 and `do_sample=False` mean greedy decoding. Otherwise tokens are sampled if any of
    this is given, whatever its value:

    - `do_sample=True` or a seed;
    - a field that asks for a temperature or a truncation (`SAMPLING`);
    - a pipeline with a processor whose `facts` say that it implies sampling.

    Penalties, biases, masks and a green-list watermark alone do not mean sampling. This is the rule
    of Python and of the command line; TGI's own is in `decoding.wire.rules`.

    processors: those of the pipeline that replaces the one of the parameters.

    >>> is_sampling(GenerationParameters(temperature=1.0)), is_sampling(GenerationParameters())
    (True, False)
    """
    if parameters.temperature == 0.0 or parameters.do_sample is False:
        return False
    given = any(
        getattr(parameters, name) != REQUEST_FIELDS[name].initial
        for name in ("do_sample", "seed", *SAMPLING)
    )
    return given or any(implies_sampling(item) for item in processors)


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
