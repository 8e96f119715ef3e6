"""SGLang: a `CustomLogitProcessor` that draws the tokens of a request with this library's samplers.

    sampler()                  the class; `sampler().to_str()` is what a request carries
    request(parameters)        the fields of a request to `/generate`
    check_server(server_args)  refuses a server that would bypass the class

    llm.generate(prompt, **sglang.request(GenerationParameters(dry_multiplier=1), temperature=0.9))

The server needs `--enable-custom-logit-processor` and this library. A request's `temperature`,
`top_k`, `top_p` and `min_p` are applied here as SGLang means them (`decoding.presets.sglang`); what
the parameters say replaces them. The row of logits keeps the drawn token alone.

With speculative decoding SGLang draws from rows that no processor has seen, and says nothing. So a
server with it is refused: `check_server` raises, and so does making the class's objects there.

Version 0.5.23; its interface, as there is no build for CPUs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from decoding import presets
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
from decoding.typing import Anything
from decoding.vocabulary import Tokenizer

_INTERFACE = "sglang.srt.sampling.custom_logit_processor"
_SHAPING = ("temperature", "min_p", "top_k", "top_p")
_NO_TOP_K = 1 << 30
_STATE = "__decoding__"
_BYPASSED = "SGLang draws drafted tokens from logits that no custom processor has seen"


def sampler() -> type[Any]:
    """Return the `CustomLogitProcessor` class that draws; a server imports it by its name.

    Raises:
        MissingDependencyError: SGLang is not installed.
    """
    try:
        interface = importlib.import_module(_INTERFACE).CustomLogitProcessor
    except ImportError as error:
        raise MissingDependencyError("sglang", "sglang") from error
    return _class(interface)


def request(parameters: GenerationParameters, **sampling_params: Anything) -> dict[str, Any]:
    """Make `custom_logit_processor` and `sampling_params` of a request with `parameters`.

    sampling_params: SGLang's own, by its names.

    Raises:
        ParameterError: a parameter is outside its range, or a field is SGLang's own business.
    """
    params = dict(sampling_params)
    free = free_parameters(parameters)
    own = {"temperature": 1.0} | {name: params[name] for name in _SHAPING if name in params}
    HostedRequest.of(free[KEY], own, presets.sglang).check_grammar()
    params["custom_params"] = {**(params.get("custom_params") or {}), **free}
    return {"custom_logit_processor": sampler().to_str(), "sampling_params": params}


def check_server(server_args: Anything) -> None:
    """Refuse a server with speculative decoding.

    Raises:
        UnsupportedFeatureError: its `speculative_algorithm` is set.
    """
    algorithm = getattr(server_args, "speculative_algorithm", None)
    if algorithm is not None:
        raise UnsupportedFeatureError(f"speculative_algorithm {algorithm}", _BYPASSED)


def __getattr__(name: str) -> Anything:
    """`Processor`, the name by which a server unpickles the class."""
    if name == "Processor":
        return sampler()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)


class _Draws:
    """The methods of the class that SGLang calls; all state is in the requests."""

    def __init__(self) -> None:
        for module, name in (
            ("sglang.srt.server_args", "get_global_server_args"),
            ("sglang.srt.runtime_context", "get_server_args"),
        ):
            found = _server_args(module, name)
            if found is not None:
                check_server(found)

    def __call__(
        self, logits: Anything, custom_param_list: Sequence[dict[str, Any]] | None = None
    ) -> Anything:
        return draw(logits, custom_param_list)


@cache
def _class(interface: type[Any]) -> type[Any]:
    doc = "Draws the tokens of requests with the key `decoding`."
    return type("Processor", (_Draws, interface), {"__doc__": doc, "__module__": __name__})


def _server_args(module: str, name: str) -> Anything:
    """The arguments of the server of this process; None outside of a server."""
    try:
        return getattr(importlib.import_module(module), name)()
    except Exception:
        return None


def draw(logits: Anything, custom_param_list: Sequence[dict[str, Any]] | None) -> Anything:
    """Draw a token for each row `(requests, vocab)` that asks for it, in place.

    custom_param_list: one a row; SGLang puts the request into each as `__req__`. A request's
    sequence is kept there too, so that it lives and dies with the request.

    Raises:
        UnsupportedFeatureError: a request has several rows, as under speculative decoding.
    """
    params = list(custom_param_list or ())
    if len({id(item) for item in params}) < len(params):
        raise UnsupportedFeatureError("speculative decoding", _BYPASSED)
    rows, sequences, ends = [], [], frozenset[int]()
    for row, item in enumerate(params):
        if not isinstance(item, Mapping) or KEY not in item:
            continue
        if _STATE not in item:
            item[_STATE] = _sequence(item, logits.shape[-1])
        sequence, ends = item[_STATE]
        sequence.follow(list(item["__req__"].output_ids))
        rows.append(row)
        sequences.append((sequence, ends))
    for row, (sequence, ends) in zip(rows, sequences, strict=True):
        draw_rows(logits, [row], [sequence], [sequence.known()], ends)
    return logits


def _sequence(params: Mapping[str, Any], width: int) -> tuple[HostedSequence, frozenset[int]]:
    """Begin the sequence of a request."""
    live = params["__req__"]
    tokenizer = getattr(live, "tokenizer", None)
    ends = set(getattr(live, "eos_token_ids", None) or ())
    end = getattr(tokenizer, "eos_token_id", None)
    if end is not None:
        ends.add(end)
    model = _model(width, frozenset(ends), _Held(tokenizer))
    made = model.sampler(lambda: _asked(params[KEY], live.sampling_params))
    assert made is not None  # ours: `_asked` returns a request
    prompt = list(live.origin_input_ids)
    sequence = HostedSequence(made, len(prompt))
    sequence.put(0, prompt)
    return sequence, model.end_token_ids


def _asked(given: Anything, own: Anything) -> HostedRequest:
    engine = {name: getattr(own, name) for name in _SHAPING}
    if engine["top_k"] >= _NO_TOP_K:
        engine["top_k"] = -1
    return HostedRequest.of(given, engine, presets.sglang, seed=getattr(own, "sampling_seed", None))


class _Held:
    """A tokenizer that is compared by identity, so that what is made for it can be cached."""

    def __init__(self, tokenizer: Anything) -> None:
        self.tokenizer = tokenizer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.tokenizer is self.tokenizer

    def __hash__(self) -> int:
        return id(self.tokenizer)


@cache
def _model(width: int, end_token_ids: frozenset[int], held: _Held) -> HostModel:
    return HostModel(width, end_token_ids, lambda: _tokenizer(held.tokenizer, width))


def _tokenizer(loaded: Anything, width: int) -> Tokenizer | None:
    if loaded is None:
        return None
    import tokenizers

    from decoding.models.tokenizer import HuggingFaceTokenizer

    inner = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(inner, tokenizers.Tokenizer):
        reason = f"{type(loaded).__name__} has no `tokenizers.Tokenizer`"
        raise UnsupportedFeatureError("sglang", reason)
    return HuggingFaceTokenizer(inner).within(width)
