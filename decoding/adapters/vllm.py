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
import logging
import sys
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from importlib.metadata import Distribution, DistributionFinder
from typing import Any

import numpy as np

from decoding import presets
from decoding._version import __version__
from decoding.engine.hosted import (
    KEY,
    HostedRequest,
    HostedSequence,
    HostModel,
    draw_rows,
    free_parameters,
)
from decoding.errors import MissingDependencyError, UnsupportedFeatureError
from decoding.parameters import GenerationParameters
from decoding.sampling.batch import Sampler
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer

GROUP = "vllm.logits_processors"
V1 = "vllm.v1.sample.logits_processor"
V2 = "vllm.v1.worker.gpu.sample.logits_processor"

_SHAPING = ("temperature", "min_p", "top_k", "top_p")
_PENALTIES = ("repetition_penalty", "frequency_penalty", "presence_penalty")

_log = logging.getLogger(__name__)


def extra_args(parameters: GenerationParameters) -> dict[str, Any]:
    """Make the `extra_args` of `SamplingParams` that ask for these parameters.

    Raises:
        ParameterError: a field is vLLM's own business, as `stop` and `max_new_tokens`.
    """
    return free_parameters(parameters)


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
    """Let vLLM find the logits processor's entry point, if the installed vLLM is supported.

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

    def locate_file(self, path: Anything) -> Anything:
        """Raise: the distribution has no files on a disk."""
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
            return V2Processor(vllm_config, *arguments)
        return V1Processor(vllm_config, *arguments)

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
        ParameterError: it is outside the ranges, or the grammar cannot be compiled; a `ValueError`,
            which vLLM answers to the request.
    """
    asked = _asked(sampling_params, applies_penalties=True)
    if asked is not None:
        asked.check_grammar()


def _asked(sampling_params: Anything, *, applies_penalties: bool) -> HostedRequest | None:
    """Read `SamplingParams`; None where a request wants nothing from here.

    applies_penalties: whether the penalties of `SamplingParams` are still to be applied.
    """
    given = (sampling_params.extra_args or {}).get(KEY)
    if given is None:
        return None
    taken = (*_SHAPING, *_PENALTIES) if applies_penalties else _SHAPING
    own = {item: getattr(sampling_params, item) for item in taken}
    return HostedRequest.of(given, own, presets.vllm, _PENALTIES, seed=sampling_params.seed)


def _host_model(vllm_config: Anything) -> HostModel:
    config = vllm_config.model_config
    ends: set[int] = set()
    for holder in (config.try_get_generation_config(), vars(config.hf_config)):
        ids = holder.get("eos_token_id")
        ends |= set() if ids is None else {ids} if isinstance(ids, int) else set(ids)
    return HostModel(config.get_vocab_size(), ends, lambda: _tokenizer(config))


def _tokenizer(model_config: Anything) -> Tokenizer | None:
    if model_config.skip_tokenizer_init:
        return None
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


class V1Processor:
    """The logits processor of the V1 model runner: it calls `update_state`, then `apply`."""

    def __init__(self, vllm_config: Anything, _: Anything = None, __: bool = False) -> None:
        self._model = _host_model(vllm_config)
        self._rows: dict[int, tuple[HostedSequence, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """False: the drawn token need not be the likeliest."""
        return False

    def update_state(self, batch_update: Anything) -> None:
        """Follow the requests to their rows: removed, added, moved or swapped."""
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, params, prompt, output in batch_update.added:
            self._rows.pop(row, None)
            made = self._sampler(params)
            if made is not None:
                sequence = HostedSequence(made, len(prompt or ()))
                sequence.put(0, prompt or ())
                self._rows[row] = (sequence, output)
        for origin, target, direction in batch_update.moved:
            moved, replaced = self._rows.pop(origin, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction.name == "SWAP":
                self._rows[origin] = replaced

    def _sampler(self, params: Anything) -> Sampler | None:
        return self._model.sampler(lambda: _asked(params, applies_penalties=True))

    def apply(self, logits: Anything) -> Anything:
        """Draw the tokens of the rows that asked for it; `(requests, vocab)` in place."""
        rows = sorted(row for row in self._rows if row < len(logits))
        sequences = []
        for row in rows:
            sequence, output = self._rows[row]
            sequence.follow(output)
            sequences.append(sequence)
        known = [sequence.known() for sequence in sequences]
        return draw_rows(logits, rows, sequences, known, self._model.end_token_ids)


class V2Processor:
    """The logits processor of Model Runner V2: it calls `add_request` for a slot, then `apply`.

    A request has a row for each of its draft tokens. Each row is drawn after the drafts before it,
    so that the rejection sampler keeps what would be drawn without drafts.
    """

    def __init__(self, vllm_config: Anything, states: Anything) -> None:
        self._model, self._states = _host_model(vllm_config), states
        self._waiting: dict[int, Sampler] = {}
        self._slots: dict[int, HostedSequence] = {}

    def add_request(self, req_idx: int, sampling_params: Anything) -> bool:
        """Begin a request in a slot; return whether its tokens are drawn here."""
        self._slots.pop(req_idx, None)
        self._waiting.pop(req_idx, None)
        made = self._model.sampler(lambda: _asked(sampling_params, applies_penalties=False))
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
        return draw_rows(logits, rows, sequences, known, self._model.end_token_ids)

    def _sequence(self, slot: int) -> HostedSequence | None:
        if slot in self._waiting:
            prompt_length = int(self._states.prompt_len.np[slot])
            self._slots[slot] = HostedSequence(self._waiting.pop(slot), prompt_length)
        return self._slots.get(slot)

    def _read(self, sequence: HostedSequence, slot: int, length: int) -> None:
        """Read the committed tokens of a slot up to a length."""
        start = min(sequence.length, length)
        new = self._states.all_token_ids.gpu[slot, start:length].tolist() if start < length else []
        sequence.put(start, new)
