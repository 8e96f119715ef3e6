"""`custom_generate`: makes transformers' `model.generate` run this library's loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from decoding import presets
from decoding.adapters.transformers.language_model import end_tokens, language_model
from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.request import Request
from decoding.errors import (
    BatchError,
    CancelledError,
    UnsupportedFeatureError,
    require,
)
from decoding.models.protocol import LanguageModel
from decoding.parameters import GenerationParameters, is_sampling
from decoding.pipeline import Pipeline, as_pipeline
from decoding.sampling.rng import sequence_seed
from decoding.typing import Anything, Processor

if TYPE_CHECKING:
    from torch import Tensor

Parameters: TypeAlias = GenerationParameters | Sequence[GenerationParameters] | None
"""One for every row, one each, or what the generation configuration asks for."""

_TAKEN = {
    "attention_mask", "position_ids", "cache", "past_key_values", "use_cache", "logits_to_keep",
    "cache_position", "token_type_ids", "synced_gpus",
}  # fmt: skip
"""The inputs of a model that its prompts' token ids say as well, or that `generate` adds."""
_OWN_ARGUMENTS = (
    "PrefixConstrainedLogitsProcessor",
    "UnbatchedClassifierFreeGuidanceLogitsProcessor",
    "WatermarkLogitsProcessor",
    "SynthIDTextWatermarkLogitsProcessor",
)
"""Classes of transformers that stand for what no field of the parameters or the preset takes."""
_EDITS = (
    "sequence_bias", "encoder_repetition_penalty", "repetition_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "min_length", "min_new_tokens", "eos_token_id",
    "forced_bos_token_id", "forced_eos_token_id", "max_length", "max_new_tokens",
    "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
    "begin_suppress_tokens", "renormalize_logits",
)  # fmt: skip
_WARPERS = (
    "temperature", "top_h", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff",
)  # fmt: skip
_OUTPUTS = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")


def custom_generate(
    parameters: Parameters = None,
    *,
    pipeline: Pipeline | Processor | None = None,
    tokenizer: Anything = None,
    streamer: Anything = None,
) -> CustomGenerate:
    """Return a decoding loop for `model.generate(custom_generate=...)` of transformers."""
    return CustomGenerate(parameters, pipeline, tokenizer, streamer)


@dataclass(frozen=True, slots=True, eq=False)
class CustomGenerate:
    """The loop of this library as the argument `custom_generate` of `model.generate`.

    Returns what `model.generate` returns: `(batch, prompt + new)` token ids, padded on the right;
    with `return_dict_in_generate` an output with `sequences`, and under `responses` each row's
    `Response` with its logprobs and details (None for one that a stopping criterion ended).

    parameters: all fields of a request, for every row or a list with one each. They and the
        pipeline alone say how tokens are drawn: what the generation configuration says of that
        (`temperature`, `top_p` ...) is left out. Without both, that is what counts, by
        `decoding.presets.transformers`, and tokens are drawn with seeds from torch's generator.
    pipeline: replaces the pipeline that the parameters ask for.
    tokenizer: of transformers or ours; needed for stop strings, grammars and words in parameters.
    streamer: gets the prompt, then each step's tokens `(batch,)`, then `end()`. It is given here,
        as `generate` of transformers does not hand its own `streamer` to a callable.

    `max_length` or `max_new_tokens`, `eos_token_id` and `pad_token_id` are those of the generation
    configuration, unless `parameters.max_new_tokens` is given; `stopping_criteria` are asked after
    every step. Of `num_return_sequences` rows of one prompt, each has a seed of its own. The model
    runs with its own cache where that can be; see `forward`.

    Raises, when called:
        UnsupportedFeatureError: beams, an encoder, inputs beside token ids, a cache that is not
            empty, scores or hidden states as outputs, logits processors of one's own.
        ParameterError: a parameter or a prompt is outside what the model can do.
        BatchError: some rows of several failed. DecodingError: the only row failed.
    """

    parameters: Parameters = None
    pipeline: Pipeline | Processor | None = None
    tokenizer: Any = field(default=None, repr=False)
    streamer: Any = field(default=None, repr=False)
    _models: WeakKeyDictionary[Any, LanguageModel] = field(
        init=False, repr=False, default_factory=WeakKeyDictionary
    )

    def __post_init__(self) -> None:
        if self.pipeline is not None:
            object.__setattr__(self, "pipeline", as_pipeline(self.pipeline))
        given = self.parameters
        several = isinstance(given, Sequence) and not isinstance(given, str)
        each = list(given) if isinstance(given, Sequence) and several else [given]
        legal = all(item is None or isinstance(item, GenerationParameters) for item in each)
        require("parameters", given, legal, "GenerationParameters, one or one a row")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments alone, without what was made of a model."""
        return CustomGenerate, (self.parameters, self.pipeline, self.tokenizer, self.streamer)

    def __call__(
        self,
        model: Anything,
        input_ids: Tensor,
        logits_processor: Anything = None,
        stopping_criteria: Anything = None,
        generation_config: Anything = None,
        *,
        streamer: Anything = None,
        **inputs: Anything,
    ) -> Anything:
        """Run the loop; `model.generate` calls this with what it has prepared."""
        config = model.generation_config if generation_config is None else generation_config
        _refuse(config, inputs)
        language = self._language(model, config)
        prompts = _prompts(input_ids, inputs.get("attention_mask"))
        pipeline = self._pipeline(logits_processor, config)
        requests = [
            Request(prompt, asked, pipeline)
            for prompt, asked in zip(
                prompts, self._each(len(prompts), input_ids.shape[1], config), strict=True
            )
        ]
        pads = end_tokens(_special(config, "pad")) or language.eos_token_ids
        run = _Run(input_ids, min(pads, default=0), streamer or self.streamer)
        if streamer is None and self.streamer is not None:
            self.streamer.put(input_ids.cpu())
        try:
            run.generate(Engine(language), requests, _others(stopping_criteria))
        finally:
            run.end()
        return run.output(bool(getattr(config, "return_dict_in_generate", False)))

    def _language(self, model: Anything, config: Anything) -> LanguageModel:
        language = self._models.get(model)
        ends = end_tokens(_special(config, "eos"))
        if language is None or language.eos_token_ids != ends:
            language = self._models[model] = _with_ends(model, self.tokenizer, ends)
        return language

    def _each(self, rows: int, width: int, config: Anything) -> Iterator[GenerationParameters]:
        """The parameters of every row, with lengths and seeds."""
        processors = () if self.pipeline is None else as_pipeline(self.pipeline).processors
        given = self.parameters
        if given is None:
            given = self._configured(rows, config, processors)
        if isinstance(given, GenerationParameters):
            given = [given] * rows
        several = getattr(config, "num_return_sequences", 1) or 1
        if len(given) * several == rows and len(given) != rows:
            given = [item for item in given for _ in range(several)]
        legal = len(given) == rows
        require("parameters", f"{len(given)} for {rows} rows", legal, "one, or one a row")
        for index, item in enumerate(given):
            asked = item
            if asked.max_new_tokens is None:
                asked = replace(asked, max_new_tokens=int(config.max_length) - width)
            if several > 1 and asked.seed is not None and is_sampling(asked, processors):
                asked = replace(asked, seed=sequence_seed(asked.seed, index % several))
            yield asked

    def _configured(
        self, rows: int, config: Anything, processors: Sequence[Processor]
    ) -> list[GenerationParameters]:
        """What the generation configuration asks for, but for its processors."""
        greedy = GenerationParameters()
        asked = self.pipeline is None and getattr(config, "do_sample", False)
        if not asked and not is_sampling(greedy, processors):
            return [greedy] * rows
        import torch

        seeds = torch.randint(0, 2**63 - 1, (rows,)).tolist()
        return [GenerationParameters(seed=seed) for seed in seeds]

    def _pipeline(self, processors: Anything, config: Anything) -> Pipeline | None:
        """The pipeline of every row; None where the parameters ask for it."""
        for item in processors or ():
            name = type(item).__name__
            own = not type(item).__module__.startswith("transformers.")
            if own or name in _OWN_ARGUMENTS:
                problem = f"{name} is not run by this loop; make it part of the pipeline"
                raise UnsupportedFeatureError("logits_processor", problem)
        if self.pipeline is not None:
            return as_pipeline(self.pipeline)
        return configured_pipeline(config) if self.parameters is None else None


def configured_pipeline(config: Anything) -> Pipeline:
    """The pipeline of a generation configuration, made by `presets.transformers` from its fields.

    Raises:
        ParameterError: a field is outside its range.
        UnsupportedFeatureError: it has a watermark or guidance.
    """
    for name in ("watermarking_config", "guidance_scale"):
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise UnsupportedFeatureError(name, "give its processor in `pipeline`")
    sampling = bool(getattr(config, "do_sample", False))
    given: dict[str, Any] = {"do_sample": sampling}
    for name in _EDITS + (_WARPERS if sampling else ()):
        value = getattr(config, name, None)
        if value is not None:
            given[name] = value.tolist() if hasattr(value, "tolist") else value
    # Unset, none of these is asked for: only then does the preset's default differ.
    if sampling:
        given.setdefault("top_k", None)
    return presets.transformers(**given)


class _Run:
    """The rows of one call: their generations, and what a streamer has been given."""

    def __init__(self, input_ids: Tensor, pad: int, streamer: Anything) -> None:
        self._input_ids, self._pad, self._streamer = input_ids, pad, streamer
        self._generations: list[Generation] = []
        self._stopped: dict[int, list[int]] = {}
        self._put = 0

    def generate(
        self, engine: Engine, requests: Sequence[Request], criteria: Sequence[Anything]
    ) -> None:
        """Run all requests to their end."""
        if self._streamer is not None:
            for item in requests:
                best = item.parameters.best_of
                require("best_of", best, best in (None, 1), "1 when streaming")
        self._generations = [engine.submit(request) for request in requests]
        try:
            while engine.busy:
                engine.step()
                self._stream()
                if criteria:
                    self._ask(engine, criteria)
        finally:
            for generation in self._generations:
                engine.cancel(generation)
        self._stream()
        self._raise()

    def _rows(self) -> list[list[int]]:
        """The generated tokens of every row so far."""
        return [
            self._stopped[row] if row in self._stopped else _token_ids(generation)
            for row, generation in enumerate(self._generations)
        ]

    def _stream(self) -> None:
        """Give the streamer the steps that all rows have taken."""
        if self._streamer is None:
            return
        import torch

        rows = self._rows()
        pairs = zip(rows, self._generations, strict=True)
        running = [len(ids) for ids, item in pairs if not item.done]
        ready = min(running) if running else max(map(len, rows), default=0)
        for step in range(self._put, ready):
            column = [ids[step] if step < len(ids) else self._pad for ids in rows]
            self._streamer.put(torch.tensor(column))
        self._put = max(self._put, ready)

    def _ask(self, engine: Engine, criteria: Sequence[Anything]) -> None:
        """Stop the rows that a criterion says are done."""
        rows = self._rows()
        sequences = self._sequences(rows)
        for criterion in criteria:
            for row, stop in enumerate(criterion(sequences, None).tolist()):
                generation = self._generations[row]
                if stop and not generation.done:
                    self._stopped[row] = rows[row]
                    engine.cancel(generation)

    def _raise(self) -> None:
        """Raise what ended rows, other than a stopping criterion."""
        errors = [
            None if row in self._stopped and isinstance(item.error, CancelledError) else item.error
            for row, item in enumerate(self._generations)
        ]
        failed = [error for error in errors if error is not None]
        if failed and len(errors) == 1:
            raise failed[0]
        if failed:
            raise BatchError([item.error or item.response for item in self._generations])

    def end(self) -> None:
        """Tell the streamer that no more comes."""
        if self._streamer is not None:
            self._streamer.end()

    def output(self, as_dict: bool) -> Anything:
        """What `generate` returns."""
        sequences = self._sequences(self._rows())
        if not as_dict:
            return sequences
        from transformers.generation.utils import GenerateDecoderOnlyOutput

        made = GenerateDecoderOnlyOutput(sequences=sequences)
        made["responses"] = tuple(item.response for item in self._generations)
        return made

    def _sequences(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Prompts and generated tokens, padded on the right."""
        import torch

        width = max(map(len, rows), default=0)
        padded = [[*ids, *[self._pad] * (width - len(ids))] for ids in rows]
        new = torch.tensor(padded, dtype=self._input_ids.dtype, device=self._input_ids.device)
        return torch.cat([self._input_ids, new.reshape(len(rows), width)], dim=1)


def _token_ids(generation: Generation) -> list[int]:
    if generation.response is not None:
        return [token.id for token in generation.response.tokens]
    if not generation.sequences:
        return []
    return generation.sequences[0].token_ids[len(generation.plan.prompt) :]


def _with_ends(model: Anything, tokenizer: Anything, ends: frozenset[int]) -> LanguageModel:
    ours = tokenizer is not None and hasattr(tokenizer, "vocabulary")
    made = language_model(model, None if ours else tokenizer)
    return replace(made, eos_token_ids=ends, tokenizer=tokenizer if ours else made.tokenizer)


def _prompts(input_ids: Tensor, mask: Tensor | None) -> list[list[int]]:
    """The token ids of every row without its padding."""
    rows = input_ids.tolist()
    if mask is None:
        return rows
    kept = mask.bool().tolist()
    prompts = [
        [token for token, used in zip(ids, keep, strict=True) if used]
        for ids, keep in zip(rows, kept, strict=True)
    ]
    for row, prompt in enumerate(prompts):
        require(f"attention_mask[{row}]", "all zeros", bool(prompt), "at least one token of text")
    return prompts


def _refuse(config: Anything, inputs: Mapping[str, Any]) -> None:
    if (getattr(config, "num_beams", 1) or 1) > 1:
        raise UnsupportedFeatureError("num_beams", "this loop samples; use `processor` for beams")
    for name in _OUTPUTS:
        if getattr(config, name, None):
            raise UnsupportedFeatureError(name, "the loop returns tokens, logprobs and details")
    for name, value in inputs.items():
        if name not in _TAKEN and value is not None:
            raise UnsupportedFeatureError(name, "the loop takes token ids alone")
    for name in ("cache", "past_key_values"):
        cache = inputs.get(name)
        if cache is not None and cache.get_seq_length() > 0:
            raise UnsupportedFeatureError(name, "the loop begins with an empty cache")


def _others(criteria: Anything) -> list[Any]:
    """The stopping criteria beside length and end tokens, which the engine knows itself."""
    known = ("MaxLengthCriteria", "EosTokenCriteria")
    return [item for item in criteria or () if type(item).__name__ not in known]


def _special(config: Anything, name: str) -> Anything:
    """The ids of a special token, as `generate` has prepared them or the configuration says."""
    prepared = getattr(config, f"_{name}_token_tensor", None)
    return getattr(config, f"{name}_token_id", None) if prepared is None else prepared
