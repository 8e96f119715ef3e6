"""`Provenance`: what made a response, so that the response can be made again and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from decoding.checks import checked_token_ids, text
from decoding.parameters import GenerationParameters
from decoding.wire.details_json import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The inputs that made a response: versions, model, prompt, parameters and noise law.

    Of the library alone: TGI's and OpenAI's JSON do not have it. The seeds stand in `Details`.

    version, numpy: of this library and of NumPy.
    backend: that drew the last token: "numba", "numpy", "torch" or "triton"; logprobs differ in
        their last digits between backends, tokens do not.
    noise_law: name and version of the law that seeds draw by.
    model: its name. fingerprint: a digest of its files and its dtype (see
        `decoding.models.fingerprint`); None where the model is not read from files.
    prompt: token ids that the model read, after truncation.
    parameters: of the request.
    pipeline: `repr` of the pipeline that replaced that of the parameters; None for none.
    """

    version: str
    numpy: str
    backend: str
    noise_law: str
    model: str
    fingerprint: str | None
    prompt: tuple[int, ...]
    parameters: GenerationParameters
    pipeline: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields in builtin types; `from_dict` reads them, also after JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"prompt": list(self.prompt), "parameters": self.parameters.to_dict()}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], place: str = "provenance") -> Provenance:
        """The inverse of `to_dict`, also after JSON.

        place: what errors call the mapping.

        Raises:
            ParameterError: a field is missing or has another type; says which.
        """
        wire = JsonObject(place, mapping)
        names = ("version", "numpy", "backend", "noise_law", "model")
        return cls(
            **{name: wire.value(name, text, "a string") for name in names},
            fingerprint=wire.optional("fingerprint", text, "a string"),
            prompt=tuple(checked_token_ids(f"{place}.prompt", mapping.get("prompt"))),
            parameters=GenerationParameters.from_dict(mapping.get("parameters") or {}),
            pipeline=wire.optional("pipeline", text, "a string"),
        )
