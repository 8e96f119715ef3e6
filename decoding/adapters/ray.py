"""Generates for batches of Ray Data and, without Ray, Dask or Spark; serves in Ray Serve.

    Generator(model, parameters)          a callable for `map_batches` and its like
    deployment(model, **options)          the server of this library as an application of Ray Serve

    rows = ray.data.read_parquet(...).map_batches(
        Generator, fn_constructor_args=("smollm2", parameters),
        fn_constructor_kwargs={"key_column": "id"}, concurrency=2)
    serve.run(deployment("smollm2", num_replicas=2))

`Generator` needs no Ray: Dask's `map_partitions` and pandas take it as it is, Spark's `mapInPandas`
takes its method `each`. Written for Ray 2.60.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from decoding.checks import check_integer
from decoding.errors import (
    BatchError,
    DecodingError,
    MissingDependencyError,
    ParameterError,
    ShapeError,
    require,
)
from decoding.generate import generate
from decoding.models import LanguageModel, load
from decoding.parameters import GenerationParameters, is_sampling
from decoding.sampling.rng import SEED_RANGE, row_seed
from decoding.typing import Anything
from decoding.wire.details import Response

Model: TypeAlias = str | Callable[[], LanguageModel]
"""What `decoding.load` takes, or a function that makes the model and can be pickled."""

COLUMNS = (
    "generated_text",
    "finish_reason",
    "generated_tokens",
    "token_ids",
    "logprobs",
    "raw_logprobs",
    "error",
)
"""What `Generator` adds to a batch."""


@dataclass(slots=True, eq=False)
class Generator:
    """Generates text from the prompt in each row of a batch; adds the results as columns.

    A row's result depends on the row, the model, the parameters and `seed`, and on nothing else:
    not on how rows are spread over batches, partitions and workers, nor on whether a worker ran
    before. For that, a model's logits must not depend on the batch either: their last bits may,
    where linear algebra sums in an order that the batch decides. Batches of one row are exact then.

    model: `decoding.load` is called with a name or a path, anything else without arguments, in the
        process that generates, with its first batch. Making, copying and pickling a `Generator`
        load nothing.
    parameters: of all rows. Where they sample and have no seed, each row gets one by `seed_of`,
        from `seed` and its key. Without a key column it is made of the prompt: then rows with the
        same prompt have the same result.
    seed: of all rows; in [0, 2⁶⁴).
    prompt_column: text, or token ids.
    key_column: text or integers that tell rows apart; None for none.

    The columns that are added: `generated_text`, `finish_reason`, `generated_tokens`, and for each
    generated token `token_ids`, `logprobs` (processed: after the pipeline) and `raw_logprobs`;
    `error` is "", or the text of a row's error, whose other columns are then empty. The error of a
    row does not stop the others.

    batch: `{column: array}`, a pandas DataFrame or a pyarrow Table; what is returned has the same
        type. Nothing is written to it.
    Raises `ParameterError` for parameters at construction, and `ShapeError` for a batch of another
    type, without such columns, or that has a column that would be added.
    """

    model: Model
    parameters: GenerationParameters = GenerationParameters()
    seed: int = 0
    prompt_column: str = "prompt"
    key_column: str | None = None
    _loaded: LanguageModel | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        _check_model(self.model)
        require(
            "parameters",
            self.parameters,
            isinstance(self.parameters, GenerationParameters),
            "GenerationParameters",
        )
        check_integer(self, "seed", 0, SEED_RANGE - 1, "in [0, 2**64)")

    def __reduce__(self) -> tuple[object, ...]:
        """A copy has loaded nothing."""
        made = (self.model, self.parameters, self.seed, self.prompt_column, self.key_column)
        return Generator, made

    def __call__(self, batch: Anything) -> Anything:
        """The batch with the columns that are added."""
        columns = _columns_of(batch)
        prompts = [_prompt(value) for value in self._column(columns, self.prompt_column)]
        keys: list[str | int | None] = [None] * len(prompts)
        if self.key_column is not None:
            keys = [_key(value) for value in self._column(columns, self.key_column)]
        taken = sorted(set(COLUMNS) & set(columns))
        if taken:
            raise ShapeError("batch", f"columns {taken}", "without columns that the generator adds")
        asked = [self._parameters_of(*row) for row in zip(prompts, keys, strict=True)]
        results = self._results(prompts, asked)
        added = [_added(result) for result in results]
        return _extended(batch, {name: [row[name] for row in added] for name in COLUMNS})

    def each(self, batches: Iterable[Any]) -> Iterator[Any]:
        """The result of each batch in turn, as Spark's `mapInPandas` wants it."""
        return map(self, batches)

    def _column(self, columns: Mapping[str, Iterable[Any]], name: str) -> list[Any]:
        if name not in columns:
            raise ShapeError("batch", f"columns {sorted(columns)}", f"with a column {name!r}")
        return list(columns[name])

    def _parameters_of(
        self, prompt: str | list[int], key: str | int | None
    ) -> GenerationParameters:
        if self.parameters.seed is not None or not is_sampling(self.parameters):
            return self.parameters
        return replace(self.parameters, seed=seed_of(self.seed, prompt, key))

    def _results(
        self, prompts: list[str | list[int]], asked: list[GenerationParameters]
    ) -> Sequence[object]:
        if not prompts:
            return []
        if self._loaded is None:
            self._loaded = _made(self.model)
        try:
            return generate(self._loaded, prompts, asked)  # type: ignore[arg-type]
        except BatchError as error:
            return error.results
        except ParameterError:  # of some row: nothing has run
            return [self._result(*row) for row in zip(prompts, asked, strict=True)]

    def _result(self, prompt: str | list[int], asked: GenerationParameters) -> object:
        assert self._loaded is not None  # ours
        try:
            return generate(self._loaded, prompt, asked)
        except DecodingError as error:
            return error


def seed_of(seed: int, prompt: str | Sequence[int], key: str | int | None = None) -> int:
    """Derive a row's seed from `seed` and the row's key or, without a key, its prompt.

    The first 8 bytes, the most significant first, of SHA-256 of the text `seed NUL kind NUL name`:
    for a key as `docs/noise.md` (section 7) has it for `decoding batch`; without one the kind is
    `content`, and the name is the hexadecimal SHA-256 of `text NUL` and the prompt in UTF-8, or of
    `ids` and each token id in decimal, with NULs between.

    >>> seed_of(7, "any", "a")
    1449365861077569033
    """
    if key is not None:
        return row_seed(seed, key, 0)
    parts = ["text", prompt] if isinstance(prompt, str) else ["ids", *map(str, prompt)]
    name = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    digest = hashlib.sha256(f"{seed}\0content\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def deployment(
    model: Model | Callable[[], Any], settings: Anything = None, **options: Anything
) -> Anything:
    """Wrap the HTTP server (`decoding.server`) as an application for `ray.serve.run`.

    model: of each replica: a name or a path for `decoding.load`, or a function without arguments
        that returns what `decoding.server.create_app` takes. It is called in the replica.
    settings: a `decoding.server.ServerSettings`, or None.
    options: of `ray.serve.deployment`, as `num_replicas` and `ray_actor_options`.

    Raises:
        MissingDependencyError: Ray Serve is not installed.
        ParameterError: `model` is none of these.
    """
    try:
        from ray import serve
    except ImportError as error:
        raise MissingDependencyError("ray[serve]", "ray") from error
    _check_model(model)

    def app() -> Anything:
        from decoding.server import create_app

        return create_app(_made(model), settings)

    return serve.deployment(serve.ingress(app)(), **options).bind()


def _check_model(model: object) -> None:
    legal = isinstance(model, str) or callable(model)
    require("model", model, legal, "a name, a path, or a function that makes the model")


def _made(model: Model | Callable[[], Any]) -> Anything:
    return load(model) if isinstance(model, str) else model()


def _columns_of(batch: Anything) -> Mapping[str, Any]:
    """The columns of a batch, each iterable, by name."""
    if isinstance(batch, Mapping):
        return batch
    for module, kind in (("pandas", "DataFrame"), ("pyarrow", "Table")):
        known = getattr(sys.modules.get(module), kind, None)
        if known is not None and isinstance(batch, known):
            names = batch.columns if kind == "DataFrame" else batch.column_names
            return {str(name): batch[name] for name in names}
    expected = "{column: array}, a pandas DataFrame or a pyarrow Table"
    raise ShapeError("batch", f"a {type(batch).__name__}", expected)


def _extended(batch: Anything, columns: Mapping[str, list[Any]]) -> Anything:
    """A batch of the same type with more columns."""
    if isinstance(batch, Mapping):
        return {**batch, **{name: _array(values) for name, values in columns.items()}}
    if hasattr(batch, "append_column"):
        for name, values in columns.items():
            batch = batch.append_column(name, [_typed(name, values)])
        return batch
    return batch.assign(**columns)


def _array(values: list[Any]) -> NDArray[Any]:
    """A one-dimensional array, also of lists."""
    if values and isinstance(values[0], int):
        return np.array(values, np.int64)
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _typed(name: str, values: list[Any]) -> Anything:
    """A pyarrow array, whose type does not depend on the values."""
    import pyarrow as pa

    types = {
        "generated_tokens": pa.int64(),
        "token_ids": pa.list_(pa.int64()),
        "logprobs": pa.list_(pa.float64()),
        "raw_logprobs": pa.list_(pa.float64()),
    }
    return pa.array(values, types.get(name, pa.string()))


def _plain(value: Anything) -> Anything:
    """A value of NumPy, pandas or pyarrow as one of Python."""
    for name in ("as_py", "tolist"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value


def _prompt(value: object) -> str | list[int]:
    prompt = _plain(value)
    if isinstance(prompt, list | tuple):
        return [_plain(item) for item in prompt]
    require("prompt", prompt, isinstance(prompt, str), "text or token ids")
    return str(prompt)


def _key(value: object) -> str | int:
    key = _plain(value)
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise ParameterError("key", key, "text or an integer, of every row")
    return key


def _added(result: object) -> dict[str, Any]:
    """The output columns of one row: of its response, or of its error."""
    if not isinstance(result, Response):
        empty: dict[str, Any] = {"generated_text": "", "finish_reason": "", "generated_tokens": 0}
        return {**empty, "token_ids": [], "logprobs": [], "raw_logprobs": [], "error": str(result)}
    return {
        "generated_text": result.generated_text,
        "finish_reason": str(result.finish_reason),
        "generated_tokens": result.generated_tokens,
        "token_ids": [token.id for token in result.tokens],
        "logprobs": [token.logprob for token in result.tokens],
        "raw_logprobs": [token.raw_logprob for token in result.tokens],
        "error": "",
    }
