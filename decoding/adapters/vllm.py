"""vLLM: a plug-in that draws the tokens of a request with the samplers of this library.

    SamplingParams(temperature=1.2, top_p=0.9, seed=7,
                   extra_args={"decoding": {"dry_multiplier": 0.8, "grammar": {...}}})

    extra_args(parameters)   the `extra_args` of a `GenerationParameters`
    sampler()                the class for `LLM(..., logits_processors=[...])`
    register()               what vLLM calls where this distribution is installed

Where this distribution is installed, vLLM's group `vllm.general_plugins` calls `register`. That
makes the entry point of the group `vllm.logits_processors` visible if the installed vLLM has
interfaces that are known here, and nothing otherwise: vLLM then starts as if there were no plug-in.

A request without the key `decoding` is not touched. A request with it is drawn here, by its own
`temperature`, `min_p`, `top_k`, `top_p` and penalties as vLLM means them (`decoding.presets.vllm`),
and by the fields under the key, which are those of `GenerationParameters` or of the preset. What
comes under the key replaces what `SamplingParams` says. The row of logits keeps the drawn token
alone, so that vLLM takes it whatever comes later; raw logprobs are not changed by that.

There is one class for both interfaces; the arguments of its constructor tell which runner made it:

    V1 model runner          LogitsProcessor(vllm_config, device, is_pin_memory)
    Model Runner V2          LogitsProcessor(vllm_config, req_states), draft rows included

Versions: 0.32.0; its CPU build runs V1.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import Distribution, DistributionFinder, SimplePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decoding import presets
from decoding._version import __version__
from decoding.engine.request_pipeline import pipeline_of
from decoding.errors import (
    DecodingError,
    MissingDependencyError,
    ParameterError,
    UnsupportedFeatureError,
    require,
)
from decoding.models.grammars import ModelGrammars
from decoding.parameters import GenerationParameters, ProcessorFields
from decoding.pipeline import Pipeline
from decoding.presets.joined import joined
from decoding.processors.grammar_mask import GrammarMask
from decoding.sampling.batch import Sample, Sampler
from decoding.sampling.rng import random_seed
from decoding.sampling.sequences import SequenceSampler, Turn, draw
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer, Vocabulary

KEY = "decoding"
"""The key of `SamplingParams.extra_args` under which a request says what it wants from here."""

GROUP = "vllm.logits_processors"
V1 = "vllm.v1.sample.logits_processor"
V2 = "vllm.v1.worker.gpu.sample.logits_processor"

_SHAPING = ("temperature", "min_p", "top_k", "top_p")
_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")
_OURS = frozenset(item.name for item in fields(ProcessorFields)) - {"jump_forward"} | {"seed"}

_log = logging.getLogger(__name__)


def extra_args(parameters: GenerationParameters) -> dict[str, Any]:
    """Make the `extra_args` of `SamplingParams` that ask for these parameters.

    Raises:
        ParameterError: a field is vLLM's own business, as `stop` and `max_new_tokens`.
    """
    legal = isinstance(parameters, GenerationParameters)
    require("parameters", parameters, legal, "GenerationParameters")
    given = json.loads(json.dumps(parameters.to_dict()))
    _check_names(given)
    return {KEY: given}


def sampler() -> type[Any]:
    """The class of logits processors for the installed vLLM, whichever of its runners runs.

    Raises:
        MissingDependencyError: vLLM is not installed.
        UnsupportedFeatureError: the installed vLLM has an interface that is not known here.
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingDependencyError("vllm", "vllm")
    interfaces = _interfaces()
    if not interfaces:
        raise UnsupportedFeatureError("vllm", "the interface of this version is not known")
    return _plugin_class(interfaces)


def register() -> None:
    """Let vLLM find the plug-in, if its version takes it; a plug-in of `vllm.general_plugins`.

    Never raises: an error here would stop the engine. A second call does nothing.
    """
    try:
        if any(isinstance(finder, _EntryPointFinder) for finder in sys.meta_path):
            return
        if _interfaces():
            sys.meta_path.append(_EntryPointFinder())
        else:
            _log.warning("decoding: this version of vLLM has an interface that is not known here")
    except Exception:
        _log.warning("decoding: the plug-in is left out", exc_info=True)


def __getattr__(name: str) -> Anything:
    """`LogitsProcessor`, the name that the entry point and pickles of the class have."""
    if name == "LogitsProcessor":
        return sampler()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


class _EntryPointFinder(DistributionFinder):
    """Shows `importlib.metadata` a distribution with the one entry point, and no module."""

    def find_spec(self, *_: object) -> None:
        """Find no module."""

    def find_distributions(
        self, context: DistributionFinder.Context | None = None
    ) -> Iterable[Distribution]:
        """The distribution, where all are asked for, or it by its name."""
        name = None if context is None else context.name
        return [_EntryPoint()] if name in {None, _EntryPoint.NAME} else []


class _EntryPoint(Distribution):
    NAME = "decoding-engine-vllm"

    def read_text(self, filename: str) -> str | None:
        """The two files that a distribution with entry points has."""
        return {
            "METADATA": f"Metadata-Version: 2.1\nName: {self.NAME}\nVersion: {__version__}\n",
            "entry_points.txt": f"[{GROUP}]\ndecoding = {__name__}:LogitsProcessor\n",
        }.get(filename)

    def locate_file(self, path: Anything) -> SimplePath:
        """Not on a disk."""
        raise FileNotFoundError(path)


def _interfaces() -> tuple[type[Any], ...]:
    """The interfaces of logits processors that vLLM has; none if one of them is not known here."""
    found = []
    for module, is_known in ((V1, _is_known_v1), (V2, _is_known_v2)):
        if not _exists(module):
            continue
        loaded = importlib.import_module(module)
        interface = getattr(loaded, "LogitsProcessor", None)
        if interface is None:
            continue
        if not is_known(loaded, interface):
            return ()
        found.append(interface)
    return tuple(found)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def _is_known_v1(_: Anything, interface: type[Any]) -> bool:
    return _abstract(interface) <= {
        "__init__",
        "apply",
        "is_argmax_invariant",
        "update_state",
    } and (
        _arguments(interface.__init__),
        _arguments(interface.apply),
        _arguments(interface.update_state),
    ) == (["vllm_config", "device", "is_pin_memory"], ["logits"], ["batch_update"])


def _is_known_v2(module: Anything, interface: type[Any]) -> bool:
    context = {item.name for item in fields(module.LogitsContext)}
    state = {item.name for item in fields(module.LogitsProcRequestState)}
    return (
        _abstract(interface) <= {"apply"}
        and (
            _arguments(interface.__init__),
            _arguments(interface.add_request),
            _arguments(interface.apply),
        )
        == (["vllm_config", "req_states"], ["req_idx", "sampling_params"], ["logits", "ctx"])
        and {"expanded_idx_mapping", "expanded_local_pos", "input_ids", "pos", "idx_mapping_np"}
        <= context
        and {"all_token_ids", "prompt_len"} <= state
    )


def _abstract(interface: type[Any]) -> frozenset[str]:
    return frozenset(getattr(interface, "__abstractmethods__", ()))


def _arguments(function: Anything) -> list[str]:
    return list(inspect.signature(function).parameters)[1:]


@cache
def _plugin_class(interfaces: tuple[type[Any], ...]) -> type[Any]:
    """A subclass of all interfaces whose constructor makes the processor of the runner."""

    def __new__(  # noqa: N807 -- it becomes the method
        _: type[Any], vllm_config: Anything, *arguments: Anything
    ) -> V1Processor | V2Processor:
        if len(arguments) == 1:
            return V2Processor(_Requests(vllm_config, applies_penalties=False), *arguments)
        return V1Processor(_Requests(vllm_config, applies_penalties=True))

    namespace = {
        "__doc__": "Draws the tokens of requests with the key `decoding`.",
        "__module__": __name__,
        "__new__": __new__,
        "validate_params": classmethod(lambda _, params: validate(params)),
    }
    return type("LogitsProcessor", interfaces, namespace)


def validate(sampling_params: Anything) -> None:
    """Check what a request asks for, before it is admitted; its grammar is compiled over bytes.

    Raises:
        DecodingError: it is outside the ranges, or the grammar cannot be compiled. Those of
            parameters are `ValueError`s, which vLLM answers to the request.
    """
    asked = _asked(sampling_params, applies_penalties=True)
    if asked is not None and asked.parameters.grammar is not None:
        try:
            _byte_grammars().mask_of(asked.parameters.grammar)
        except DecodingError as error:
            raise ParameterError(
                f"extra_args[{KEY!r}]['grammar']", asked.parameters.grammar, f"compiled: {error}"
            ) from error


@cache
def _byte_grammars() -> ModelGrammars:
    vocabulary = Vocabulary([*(bytes([byte]) for byte in range(256)), b""], frozenset({256}))
    return ModelGrammars(vocabulary, [256])


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks for: vLLM's own parameters, and those of this library."""

    preset: Mapping[str, Any]
    parameters: GenerationParameters


def _asked(sampling_params: Anything, *, applies_penalties: bool) -> _Asked | None:
    """Read `SamplingParams`; None where a request wants nothing from here.

    applies_penalties: whether the penalties of `SamplingParams` are still to be applied.
    """
    given = (sampling_params.extra_args or {}).get(KEY)
    if given is None:
        return None
    name = f"extra_args[{KEY!r}]"
    require(name, given, isinstance(given, Mapping), "a mapping of parameters")
    _check_names(given)
    taken = (*_SHAPING, *_PENALTIES) if applies_penalties else _SHAPING
    preset = {item: getattr(sampling_params, item) for item in taken}
    own = dict(given)
    preset |= {item: own.pop(item) for item in (*_SHAPING, *_PENALTIES) if item in own}
    presets.vllm(**preset)
    if preset["temperature"] == 0:
        own["temperature"] = 0.0  # leaves the truncations out
    elif own.get("dynatemp_range"):
        own["temperature"], preset["temperature"] = preset["temperature"], 1.0
    if own.get("seed") is None and sampling_params.seed is not None:
        own["seed"] = sampling_params.seed % 2**64
    if preset["temperature"] == 0:
        own.pop("seed", None)
    return _Asked(preset, GenerationParameters.from_dict(own))


def _check_names(given: Mapping[str, Any]) -> None:
    known = {item.name for item in fields(GenerationParameters)}
    for name in given:
        if name in known and name not in _OURS:
            expected = f"left to SamplingParams; {KEY!r} is for what is drawn from the logits"
            raise ParameterError(str(name), given[name], expected)


class _Requests:
    """Makes the samplers of requests, for the model of a vLLM engine.

    Its tokenizer is loaded with the first request that needs one.
    """

    def __init__(self, vllm_config: Anything, *, applies_penalties: bool) -> None:
        self._config = vllm_config.model_config
        self._applies_penalties = applies_penalties
        self.end_token_ids = _end_token_ids(self._config)
        self._tokenizer: Tokenizer | None = None
        self._grammars: ModelGrammars | None = None

    def sampler(self, sampling_params: Anything) -> Sampler | None:
        """The sampler of a request; None where it wants nothing from here.

        Never raises: an error here would stop the engine. A request that cannot be served is drawn
        by a pipeline that leaves its end alone, and the error is logged.
        """
        try:
            asked = _asked(sampling_params, applies_penalties=self._applies_penalties)
            return None if asked is None else self._sampler(asked)
        except Exception:
            _log.exception("decoding: a request is ended, since it cannot be served")
            return Sampler(_failing())

    def _sampler(self, asked: _Asked) -> Sampler:
        parameters = asked.parameters
        greedy = asked.preset["temperature"] == 0
        seed = random_seed() if parameters.seed is None else parameters.seed
        mask: GrammarMask | None = None
        if parameters.grammar is not None:
            mask = self.grammars.mask_of(parameters.grammar)
        further = pipeline_of(
            parameters,
            self._config.get_vocab_size(),
            eos_token_ids=self.end_token_ids,
            grammar_mask=mask,
            seed=seed,
            tokenizer=self.tokenizer if _needs_tokenizer(parameters) else None,
        )
        return Sampler(joined(presets.vllm(**asked.preset), further), None if greedy else seed)

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The engine's tokenizer; None where the engine runs without one."""
        if self._tokenizer is None and not self._config.skip_tokenizer_init:
            self._tokenizer = _tokenizer(self._config)
        return self._tokenizer

    @property
    def grammars(self) -> ModelGrammars:
        """The compiled grammars over the engine's vocabulary."""
        if self._grammars is None:
            tokenizer, width = self.tokenizer, self._config.get_vocab_size()
            if tokenizer is None:
                raise UnsupportedFeatureError("grammar", "the engine runs without a tokenizer")
            self._grammars = ModelGrammars(tokenizer.vocabulary, self.end_token_ids, width)
        return self._grammars


def _failing() -> Pipeline:
    from decoding.processors import AllowedTokens

    # No logits are so wide: the row is left empty, which ends the text.
    return Pipeline((AllowedTokens((2**31 - 1,)),))


def _needs_tokenizer(parameters: GenerationParameters) -> bool:
    return bool(parameters.bad_words or parameters.dry_multiplier)


def _end_token_ids(model_config: Anything) -> frozenset[int]:
    generation = model_config.try_get_generation_config()
    found: set[int] = set()
    for holder in (generation, vars(model_config.hf_config)):
        ids = holder.get("eos_token_id")
        found |= set() if ids is None else {ids} if isinstance(ids, int) else set(ids)
    return frozenset(found)


def _tokenizer(model_config: Anything) -> Tokenizer:
    import tokenizers

    from decoding.models.tokenizer import HuggingFaceTokenizer

    registry = importlib.import_module("vllm.tokenizers")
    loaded = registry.cached_tokenizer_from_config(model_config)
    for name in ("backend_tokenizer", "_tokenizer"):
        inner = getattr(loaded, name, None)
        if isinstance(inner, tokenizers.Tokenizer):
            return HuggingFaceTokenizer(inner).within(model_config.get_vocab_size())
    reason = f"{type(loaded).__name__} has no `tokenizers.Tokenizer`"
    raise UnsupportedFeatureError("vllm", reason)


@dataclass(slots=True)
class _Sequence:
    """A request that runs: its sampler, and its tokens as far as they are known here."""

    sampler: Sampler
    prompt_length: int
    token_ids: NDArray[np.int32] = field(default_factory=lambda: np.empty(256, np.int32))
    length: int = 0
    drawn: dict[int, int] = field(default_factory=dict)
    row: SequenceSampler = field(init=False)

    def __post_init__(self) -> None:
        self.row = SequenceSampler(self.sampler, self.prompt_length)

    def put(self, start: int, token_ids: Sequence[int]) -> None:
        """Write tokens at a place; the sequence ends behind them."""
        end = start + len(token_ids)
        if end > len(self.token_ids):
            larger = np.empty(max(end, 2 * len(self.token_ids)), np.int32)
            larger[:start] = self.token_ids[:start]
            self.token_ids = larger
        self.token_ids[start:end] = token_ids
        self.length = end

    def known(self) -> NDArray[np.int32]:
        """The token ids so far."""
        return self.token_ids[: self.length]


class V1Processor:
    """What the V1 model runner calls: `update_state` with the batch, then `apply`."""

    def __init__(self, requests: _Requests) -> None:
        self._requests = requests
        self._rows: dict[int, tuple[_Sequence, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """False: the drawn token need not be the likeliest."""
        return False

    def update_state(self, batch_update: Anything) -> None:
        """Follow the requests to their rows: removed, added, moved or swapped."""
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, sampling_params, prompt, output in batch_update.added:
            self._rows.pop(row, None)
            made = self._requests.sampler(sampling_params)
            if made is not None:
                sequence = _Sequence(made, len(prompt or ()))
                sequence.put(0, prompt or ())
                self._rows[row] = (sequence, output)
        for origin, target, direction in batch_update.moved:
            moved, replaced = self._rows.pop(origin, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._rows[origin] = replaced

    def apply(self, logits: Anything) -> Anything:
        """Draw the tokens of the rows that asked for it; `(requests, vocab)` in place."""
        rows = sorted(row for row in self._rows if row < len(logits))
        sequences = [self._rows[row][0] for row in rows]
        for row in rows:
            _follow(*self._rows[row])
        known = [sequence.known() for sequence in sequences]
        return _fill(logits, rows, sequences, known, self._requests.end_token_ids)


def _follow(sequence: _Sequence, output: list[int]) -> None:
    """Read what the engine has appended to a request's output.

    With asynchronous scheduling the last entries may be -1 until the engine has read its device;
    these are the tokens that were drawn here.
    """
    start = min(max(sequence.length, sequence.prompt_length), sequence.prompt_length + len(output))
    new = output[start - sequence.prompt_length :]
    filled = [
        token if token >= 0 else sequence.drawn.get(start + index, -1)
        for index, token in enumerate(new)
    ]
    sequence.put(start, filled)


class V2Processor:
    """What Model Runner V2 calls: `add_request` for a slot, then `apply` on rows of slots.

    A request has a row for each of its draft tokens. Each row is drawn after the drafts before it,
    so that the rejection sampler keeps what would be drawn without drafts.
    """

    def __init__(self, requests: _Requests, states: Anything) -> None:
        self._requests, self._states = requests, states
        self._waiting: dict[int, Sampler] = {}
        self._slots: dict[int, _Sequence] = {}

    def add_request(self, req_idx: int, sampling_params: Anything) -> bool:
        """Begin a request in a slot; whether it wants anything from here."""
        self._slots.pop(req_idx, None)
        self._waiting.pop(req_idx, None)
        made = self._requests.sampler(sampling_params)
        if made is None:
            return False
        self._waiting[req_idx] = made
        return True

    def apply_staged_writes(self) -> None:
        """Nothing is staged."""

    def apply(self, logits: Anything, ctx: Anything) -> Anything:
        """Draw the tokens of the rows that asked for it; `(rows, vocab)` in place."""
        if not {*self._slots, *self._waiting} & set(ctx.idx_mapping_np.tolist()):
            return logits
        slots = ctx.expanded_idx_mapping.tolist()
        offsets, inputs = ctx.expanded_local_pos.tolist(), ctx.input_ids.tolist()
        lengths = (ctx.pos + 1).tolist()
        rows, sequences, known, drafts = [], [], [], list[int]()
        for row, slot in enumerate(slots):
            sequence = self._sequence(slot)
            if sequence is None:
                continue
            # Row 0 of a request reads its last committed token, the others a draft each.
            drafts = [] if offsets[row] == 0 else [*drafts, inputs[row]]
            self._read(sequence, slot, lengths[row] - len(drafts))
            rows.append(row)
            sequences.append(sequence)
            known.append(np.concatenate([sequence.known(), np.array(drafts, np.int32)]))
        return _fill(logits, rows, sequences, known, self._requests.end_token_ids)

    def _sequence(self, slot: int) -> _Sequence | None:
        if slot in self._waiting:
            prompt_length = int(self._states.prompt_len.np[slot])
            self._slots[slot] = _Sequence(self._waiting.pop(slot), prompt_length)
        return self._slots.get(slot)

    def _read(self, sequence: _Sequence, slot: int, length: int) -> None:
        """Read the committed tokens of a slot up to a length."""
        start = min(sequence.length, length)
        new = self._states.all_token_ids.gpu[slot, start:length].tolist() if start < length else []
        sequence.put(start, new)


def _fill(
    logits: Anything,
    rows: list[int],
    sequences: list[_Sequence],
    known: list[NDArray[np.int32]],
    end_token_ids: frozenset[int],
) -> Anything:
    """Leave the drawn token alone in each of some rows of a tensor, in place.

    A row that fails ends its text, with an entry in the log; one behind the end of a text, which an
    engine that runs ahead computes, is left as it is.
    """
    if not rows:
        return logits
    import torch

    turns = [Turn(item.row, ids) for item, ids in zip(sequences, known, strict=True)]
    chosen = logits if len(rows) == len(logits) else logits[rows]
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
            sequence.drawn = {len(ids): token} | {
                at: kept for at, kept in sequence.drawn.items() if at > len(ids) - _RUN_AHEAD
            }
    index = torch.tensor(list(taken), dtype=torch.long, device=logits.device)
    tokens = torch.tensor(list(taken.values()), dtype=torch.long, device=logits.device)
    logits.index_fill_(0, index, -torch.inf)
    logits[index, tokens] = 0.0
    return logits


_RUN_AHEAD = 64
"""Tokens for which an engine that runs ahead may still have no ids."""


def _token(
    result: Sample | Exception, generated: NDArray[np.int32], end_token_ids: frozenset[int]
) -> int | None:
    """The token of a row; None where the row is left as it is."""
    if isinstance(result, Sample):
        return result.token_id
    if end_token_ids.intersection(generated.tolist()):
        return None
    _log.error("decoding: a text is ended after %d tokens: %s", len(generated), result)
    return min(end_token_ids, default=None)
