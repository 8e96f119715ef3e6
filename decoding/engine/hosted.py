"""Draws tokens for another engine's requests, by its parameters and a key `decoding`.

The engine hands over rows of logits; each row that asks for it is drawn here and keeps the drawn
token alone, so that the engine takes that token whatever it does to the row later.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding.engine.joined import joined
from decoding.engine.request_pipeline import pipeline_of
from decoding.errors import DecodingError, ParameterError, UnsupportedFeatureError, require
from decoding.facts import requested
from decoding.models.grammars import ModelGrammars
from decoding.parameters import GenerationParameters
from decoding.pipeline import Pipeline
from decoding.processors import PROCESSORS, Bitmask
from decoding.processors.grammar_mask import GrammarMask
from decoding.sampling.batch import Sample, Sampler
from decoding.sampling.rng import random_seed
from decoding.sampling.sequences import SequenceSampler, Turn, draw
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer, Vocabulary

KEY = "decoding"
"""The key of an engine's free parameters under which a request says what it wants from here."""

_OURS = frozenset(asked.name for item in requested(PROCESSORS) for asked in item.facts.fields) - {
    "jump_forward"
} | {"seed"}
_ALL = frozenset(item.name for item in fields(GenerationParameters))
_RUN_AHEAD = 64
"""Tokens for which an engine that runs ahead may still have no ids."""

_log = logging.getLogger("decoding.adapters")


def free_parameters(parameters: GenerationParameters) -> dict[str, Any]:
    """Make the free parameters (JSON) that ask another engine for these `GenerationParameters`.

    Raises:
        ParameterError: a field is the engine's own business, as `stop` and `max_new_tokens`.
    """
    legal = isinstance(parameters, GenerationParameters)
    require("parameters", parameters, legal, "GenerationParameters")
    given = json.loads(json.dumps(parameters.to_dict()))
    _check_names(given)
    return {KEY: given}


@dataclass(frozen=True, slots=True)
class HostedRequest:
    """A request of another engine: the engine's own parameters, and this library's."""

    preset: Pipeline
    parameters: GenerationParameters
    is_greedy: bool

    @classmethod
    def of(
        cls,
        given: Anything,
        engine: Mapping[str, Any],
        preset: Callable[..., Pipeline],
        further: Collection[str] = (),
        *,
        seed: int | None = None,
    ) -> HostedRequest:
        """Read the free parameters of a request.

        given: what is under the key: fields of `GenerationParameters`, and parameters of the
            preset, which replace the engine's.
        engine: the request's own parameters that the engine would apply to the row later,
            `temperature` among them; temperature 0 is greedy.
        preset: makes the pipeline of the engine's parameters.
        further: names of other parameters of the preset.
        seed: the engine's, where `given` has none.

        Raises:
            ParameterError: a parameter is not known, outside its range, or the engine's business.
        """
        require(
            f"the parameter {KEY!r}", given, isinstance(given, Mapping), "a mapping of parameters"
        )
        _check_names(given)
        own, chosen = dict(given), dict(engine)
        chosen |= {name: own.pop(name) for name in (*engine, *further) if name in own}
        preset(**chosen)  # checks them
        is_greedy = chosen["temperature"] == 0
        if is_greedy:
            own["temperature"] = 0.0  # leaves the truncations out
            own.pop("seed", None)
        elif own.get("dynatemp_range"):
            own["temperature"], chosen["temperature"] = chosen["temperature"], 1.0
        if own.get("seed") is None and seed is not None and not is_greedy:
            own["seed"] = seed % 2**64
        return cls(preset(**chosen), GenerationParameters.from_dict(own), is_greedy)

    def check_grammar(self) -> None:
        """Compile the grammar over bytes, which needs no model.

        Raises:
            ParameterError: it cannot be compiled.
        """
        grammar = self.parameters.grammar
        if grammar is not None:
            try:
                _byte_grammars().mask_of(grammar)
            except DecodingError as error:
                name = f"{KEY}: grammar"
                raise ParameterError(name, grammar, f"one that compiles ({error})") from error


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name in _ALL - _OURS:
            expected = f"left to the engine; {KEY!r} is for what is drawn from the logits"
            raise ParameterError(str(name), given[name], expected)


@cache
def _byte_grammars() -> ModelGrammars:
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), b""], frozenset({256}))
    return ModelGrammars(vocabulary, [256])


class HostModel:
    """The model of another engine: makes the samplers of its requests.

    width: of its logits. end_token_ids: what ends a text. tokenizer: returns the engine's, or None
    where it runs without one; it is called once, by the first request that needs it.
    """

    def __init__(
        self,
        width: int,
        end_token_ids: Collection[int],
        tokenizer: Callable[[], Tokenizer | None],
    ) -> None:
        self.end_token_ids = frozenset(end_token_ids)
        self._width, self._load = width, tokenizer
        self._loaded: list[Tokenizer | None] = []
        self._grammars: ModelGrammars | None = None

    def sampler(self, request: Callable[[], HostedRequest | None]) -> Sampler | None:
        """The sampler of a request; None where it wants nothing from here.

        Never raises, since an error would stop the engine: a request that cannot be served gets a
        sampler that ends its text, and the error is logged.
        """
        try:
            asked = request()
            return None if asked is None else self._sampler(asked)
        except Exception:
            _log.exception("a request is ended, since it cannot be served")
            # No bit is set: the row is left empty, which ends the text.
            return Sampler(Pipeline((Bitmask(b""),)))

    def _sampler(self, request: HostedRequest) -> Sampler:
        parameters = request.parameters
        seed = random_seed() if parameters.seed is None else parameters.seed
        mask: GrammarMask | None = None
        if parameters.grammar is not None:
            mask = self._masks().mask_of(parameters.grammar)
        needs_tokenizer = parameters.bad_words or parameters.dry_multiplier
        further = pipeline_of(
            parameters,
            self._width,
            eos_token_ids=self.end_token_ids,
            grammar_mask=mask,
            seed=seed,
            tokenizer=self._tokenizer() if needs_tokenizer else None,
        )
        return Sampler(joined(request.preset, further), None if request.is_greedy else seed)

    def _tokenizer(self) -> Tokenizer | None:
        if not self._loaded:
            self._loaded.append(self._load())
        return self._loaded[0]

    def _masks(self) -> ModelGrammars:
        if self._grammars is None:
            tokenizer = self._tokenizer()
            if tokenizer is None:
                raise UnsupportedFeatureError("grammar", "the engine runs without a tokenizer")
            self._grammars = ModelGrammars(tokenizer.vocabulary, self.end_token_ids, self._width)
        return self._grammars


@dataclass(slots=True, eq=False)
class HostedSequence:
    """A request that runs: its sampler, and its tokens as far as they are known here.

    drawn: the token of each length of the sequence, for the last of them.
    """

    sampler: Sampler
    prompt_length: int
    length: int = 0
    drawn: dict[int, int] = field(default_factory=dict)
    row: SequenceSampler = field(init=False)
    _token_ids: NDArray[np.int32] = field(default_factory=lambda: np.empty(256, np.int32))

    def __post_init__(self) -> None:
        self.row = SequenceSampler(self.sampler, self.prompt_length)

    def put(self, start: int, token_ids: Sequence[int]) -> None:
        """Write tokens at a place; the sequence ends behind them."""
        end = start + len(token_ids)
        if end > len(self._token_ids):
            larger = np.empty(max(end, 2 * len(self._token_ids)), np.int32)
            larger[:start] = self._token_ids[:start]
            self._token_ids = larger
        self._token_ids[start:end] = token_ids
        self.length = end

    def follow(self, output: Sequence[int]) -> None:
        """Read what the engine has appended to a request's output.

        With asynchronous scheduling the last entries may be -1 until the engine has read its
        device; these are the tokens that were drawn here.
        """
        prompt = self.prompt_length
        start = min(max(self.length, prompt), prompt + len(output))
        new = output[start - prompt :]
        self.put(
            start,
            [
                token if token >= 0 else self.drawn.get(start + index, -1)
                for index, token in enumerate(new)
            ],
        )

    def known(self) -> NDArray[np.int32]:
        """The token ids so far."""
        return self._token_ids[: self.length]


def draw_rows(
    logits: Anything,
    rows: Sequence[int],
    sequences: Sequence[HostedSequence],
    known: Sequence[NDArray[np.int32]],
    end_token_ids: frozenset[int],
) -> Anything:
    """Draw a token in some rows of a torch tensor and set their other logits to −inf, in place.

    known: the token ids before each row. A row that fails ends its text, with an entry in the log;
    one behind the end of a text, which an engine that runs ahead computes, is left as it is.
    """
    if not rows:
        return logits
    import torch

    turns = [Turn(item.row, ids) for item, ids in zip(sequences, known, strict=True)]
    chosen = logits if len(rows) == len(logits) else logits[list(rows)]
    drawn: Sequence[Sample | Exception]
    try:
        drawn = draw(turns, chosen)
    except Exception as error:
        drawn = [error] * len(rows)
    taken: dict[int, int] = {}
    for row, sequence, ids, result in zip(rows, sequences, known, drawn, strict=True):
        token = _token(result, ids[sequence.prompt_length :], end_token_ids)
        if token is not None:
            taken[row] = token
            oldest = len(ids) - _RUN_AHEAD
            sequence.drawn = {at: kept for at, kept in sequence.drawn.items() if at > oldest}
            sequence.drawn[len(ids)] = token
    index = torch.tensor(list(taken), dtype=torch.long, device=logits.device)
    tokens = torch.tensor(list(taken.values()), dtype=torch.long, device=logits.device)
    logits.index_fill_(0, index, -torch.inf)
    logits[index, tokens] = 0.0
    return logits


def _token(
    result: Sample | Exception, generated: NDArray[np.int32], end_token_ids: frozenset[int]
) -> int | None:
    """The token of a row; None where the row is left as it is."""
    if isinstance(result, Sample):
        return result.token_id
    if end_token_ids.intersection(generated.tolist()):
        return None
    _log.error("a text is ended after %d tokens: %s", len(generated), result)
    return min(end_token_ids, default=None)
