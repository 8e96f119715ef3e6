"""Reads the fields of an OpenAI request body one by one; null counts as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from decoding.parameters import REQUEST_FIELDS, SAMPLING
from decoding.typing import Anything
from decoding.wire.types import mismatch, parse_parameters, read_flag, read_text, read_whole

LARGEST_TOP_LOGPROBS = 20
"""Largest `top_logprobs` of OpenAI's API."""

_OWN_NAMES = ("max_tokens", "max_completion_tokens", "stop", "seed", "temperature", "best_of")
"""What OpenAI's API reads in another way than TGI's, and is read here."""

_NOT_ASKED = ("details", "decoder_input_details", "return_full_text", "top_n_tokens", "grammar")
"""Parameters of TGI's that have another name, or none, in OpenAI's API."""

FURTHER = tuple(name for name in REQUEST_FIELDS if name not in (*_OWN_NAMES, *_NOT_ASKED))
"""Parameters of TGI's and of this library that stand beside those of OpenAI's API."""


class Fields:
    """A body whose fields are asked for by name and type.

    Raises WireTypeError, which names the field, where a value has another type.
    """

    def __init__(self, body: Mapping[str, Any], path: str = "") -> None:
        self._body, self._path = body, path

    def any(self, name: str) -> Anything:  # JSON
        """A value of any type; None where there is none."""
        return self._body.get(name)

    def text(self, name: str) -> str | None:
        """The string in a field; None where there is none."""
        value = self._body.get(name)
        return None if value is None else read_text(f"{self._path}{name}", value)

    def flag(self, name: str) -> bool:
        """The boolean in a field; False where there is none."""
        return self.optional_flag(name) or False

    def optional_flag(self, name: str) -> bool | None:
        """The boolean in a field; None where there is none."""
        value = self._body.get(name)
        return None if value is None else read_flag(f"{self._path}{name}", value)

    def whole(self, name: str, low: int, high: int, kind: str = "u32") -> int | None:
        """An integer within a range; `kind` names it in the error, as Rust does."""
        value = self._body.get(name)
        return None if value is None else read_whole(f"{self._path}{name}", value, kind, low, high)

    def mapping(self, name: str) -> Mapping[str, Any] | None:
        """The JSON object in a field; None where there is none."""
        value = self._body.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise mismatch(f"{self._path}{name}", value, "a map")
        return value

    def objects(self, name: str) -> list[Mapping[str, Any]] | None:
        """The list of JSON objects in a field; None where there is none."""
        value = self._body.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise mismatch(f"{self._path}{name}", value, "a sequence")
        for index, item in enumerate(value):
            if not isinstance(item, Mapping):
                raise mismatch(f"{self._path}{name}[{index}]", item, "a map")
        return value

    def texts(self, name: str) -> Sequence[str]:
        """The strings in a field, one or a list; none for an empty string or no field."""
        value = self._body.get(name)
        if value is None or value == "":
            return ()
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise mismatch(f"{self._path}{name}", value, "a string or a sequence of strings")
        return [read_text(f"{self._path}{name}[{index}]", item) for index, item in enumerate(value)]


def read_sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read a body's fields of sampling and length; returns them in TGI's names and types.

    Every field of `GenerationParameters` may stand beside OpenAI's. Temperature 0 is greedy, and
    nothing else that bears on sampling then counts; no temperature means that tokens are sampled.
    A truncation at its neutral value (`top_p` 1, `top_k` 0 or -1) is left out, which TGI refuses.
    `logit_bias` maps token ids to biases, or lists the bias of each, as TGI's clients have it.

    Raises WireTypeError for a value of the wrong type; ranges are checked by TGI's rules later.
    """
    fields = Fields(body)
    given = {
        name: value
        for name, value in body.items()
        if value is not None and name not in _OWN_NAMES and name not in _NOT_ASKED
    }
    if isinstance(given.get("logit_bias"), list):
        given["logit_bias"] = dict(zip(map(str, count()), given["logit_bias"], strict=False))
    read = parse_parameters(given, prefix="")
    temperature = parse_parameters({"temperature": body.get("temperature")}, prefix="")
    limit = fields.whole("max_completion_tokens", 0, 2**32 - 1)
    if limit is None:
        limit = fields.whole("max_tokens", 0, 2**32 - 1)
    if limit is not None:
        read["max_new_tokens"] = limit
    seed = fields.whole("seed", -(2**63), 2**64 - 1, "i64")
    if seed is not None:
        read["seed"] = seed % 2**64
    stop = tuple(fields.texts("stop"))
    if stop:
        read["stop"] = stop
    for name, neutral in _NEUTRAL.items():
        if read.get(name) in neutral:
            del read[name]
    if temperature.get("temperature") == 0.0:
        read = {name: value for name, value in read.items() if name not in (*SAMPLING, "seed")}
        read["do_sample"] = False
    else:
        read = {"do_sample": True, **read, **temperature}
    return read


_NEUTRAL = {"top_p": (1.0,), "typical_p": (1.0,), "top_k": (0, -1)}
