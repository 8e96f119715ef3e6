"""Converts a JSON line of `decoding batch` to a request, and its result to a JSON line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from decoding._version import __version__
from decoding.cli.lengths import default_length
from decoding.engine.request import Request
from decoding.errors import DecodingError, ParameterError, require
from decoding.models import LanguageModel
from decoding.parameters import GenerationParameters, is_sampling
from decoding.sampling.rng import row_seed
from decoding.wire.details import Response

if TYPE_CHECKING:  # it needs jinja2, which comes with an extra
    from decoding.chat import ChatMessage, Prepared

_PROMPTS = ("inputs", "prompt", "messages")
_OF_CHATS = (
    "chat_template", "tools", "tool_choice", "tool_prompt", "parallel_tool_calls",
    "response_format", "documents", "continue_final_message", "add_generation_prompt",
    "thinking_budget",
)  # fmt: skip
_KNOWN = {"id", "parameters", "variables", *_PROMPTS, *_OF_CHATS}
MOST_BYTES = 1 << 24
"""Longest row of an input file, in bytes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that all rows of a batch share.

    parameters: of rows that do not say; its seed is what the seeds of rows are made of.
    batch_size: rows that run at once. adapters: as the command line names them.
    fingerprint: of the model.
    digest: of all these and of the version of this library.
    """

    parameters: GenerationParameters
    batch_size: int
    adapters: str | None
    fingerprint: str | None
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        facts = [__version__, self.parameters.to_dict(), self.batch_size, self.adapters]
        shared = json.dumps([*facts, self.fingerprint], sort_keys=True)
        object.__setattr__(self, "digest", hashlib.sha256(shared.encode()).digest())

    def key_of(self, line: bytes) -> str:
        """A digest of a row and of all that its result is made of."""
        return hashlib.sha256(self.digest + line).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the input. index: among the rows, from 0. key: see `Settings.key_of`.

    row_id: the row's own `id`; None where it has none. request: what is asked.
    chat: of a row with messages.
    """

    index: int
    key: str
    row_id: str | int | None
    request: Request
    chat: Prepared | None = None

    @property
    def shows_logprobs(self) -> bool:
        """Whether logprobs are in its line, or decide about it."""
        asked = self.request.parameters
        return asked.details or asked.decoder_input_details or (asked.best_of or 1) > 1

    def line(self, response: Response) -> bytes:
        """The line of a row that has been answered."""
        facts = {
            "finish_reason": str(response.finish_reason),
            "generated_tokens": response.generated_tokens,
            "input_length": response.input_length,
            "seed": response.seed,
        }
        if self.chat is None:
            said: dict[str, object] = {"generated_text": response.generated_text, **facts}
        else:
            message = self.chat.message(response)
            said = {
                "message": _message(message, self.key),
                **facts,
                "finish_reason": message.finish_reason,
            }
        if response.wire_details:
            said["details"] = json.loads(response.to_json())["details"]
            if response.provenance is not None:
                said["provenance"] = response.provenance.to_dict()
        return _line(self.index, self.key, self.row_id, said)


def read_row(index: int, line: bytes, model: LanguageModel, settings: Settings) -> Row:
    """Convert a line of the input file to a request for the engine.

    A row is an object with `inputs` or `prompt` (text or token ids) or `messages`, and optionally
    `id` (text or an integer), `parameters` (named as in the API), and with messages `tools`,
    `tool_choice`, `response_format`, `variables` and their like.

    A row that samples and has no seed draws with one that is made of the seed of all and its `id`,
    or its index where it has none: of no other row, and of no order. Where a seed of all is given,
    every row samples that does not ask for greedy decoding.

    Raises:
        DecodingError: the row is malformed, or the model cannot do what it asks.
    """
    row = _object(line)
    row_id = _id_of(row)
    unknown = sorted(set(row) - _KNOWN)
    require("row", unknown, not unknown, f"an object of {', '.join(sorted(_KNOWN))}")
    given = [name for name in _PROMPTS if name in row]
    require("row", given, len(given) == 1, f"with one of {', '.join(_PROMPTS)}")
    own = {} if row.get("parameters") is None else row["parameters"]
    require("parameters", own, isinstance(own, Mapping), "an object")
    defaults = replace(settings.parameters, seed=None).to_dict()
    parameters = GenerationParameters.from_dict({**defaults, **own})
    seed = settings.parameters.seed
    is_greedy = parameters.temperature == 0.0 or parameters.do_sample is False
    samples = not is_greedy if seed is not None else is_sampling(parameters)
    if parameters.seed is None and samples:
        parameters = replace(parameters, seed=row_seed(seed or 0, row_id, index))
    chat = None
    if given == ["messages"]:
        # Imported here because jinja2 comes with an extra.
        from decoding.chat import prepare

        asked = {name: row[name] for name in _OF_CHATS if row.get(name) is not None}
        chat = prepare(
            model, row["messages"], variables=row.get("variables"), parameters=parameters, **asked
        )
        request = chat.request
    else:
        for name in (*_OF_CHATS, "variables"):
            require(name, row.get(name), row.get(name) is None, "used with messages")
        request = Request(row[given[0]], parameters)
    if request.parameters.max_new_tokens is None:
        length = default_length(model, request.inputs, request.parameters)
        request = replace(request, parameters=replace(request.parameters, max_new_tokens=length))
    return Row(index, settings.key_of(line), row_id, request, chat)


def error_line(index: int, line: bytes, settings: Settings, error: DecodingError) -> bytes:
    """The line of a row that could not be answered."""
    try:
        row_id = _id_of(_object(line))
    except DecodingError:
        row_id = None
    said = {"error": str(error), "error_type": type(error).__name__}
    return _line(index, settings.key_of(line), row_id, said)


def is_result(written: bytes, index: int, line: bytes, settings: Settings) -> bool:
    """Whether a line of an output is, byte for byte, a result of this row with these settings."""
    try:
        said = json.loads(written)
        key, row_id = settings.key_of(line), said.pop("id", None)
        del said["index"], said["key"]
        return written == _line(index, key, row_id, said)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _object(line: bytes) -> dict[str, Any]:
    require("row", f"{len(line)} bytes", len(line) <= MOST_BYTES, f"at most {MOST_BYTES} bytes")
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ParameterError("row", line[:80], f"a JSON object ({error})") from error
    if not isinstance(row, dict):
        raise ParameterError("row", row, "a JSON object")
    return row


def _id_of(row: Mapping[str, Any]) -> str | int | None:
    row_id = row.get("id")
    legal = row_id is None or (isinstance(row_id, str | int) and not isinstance(row_id, bool))
    require("id", row_id, legal, "text or an integer")
    try:
        str(row_id).encode()  # of which the seed of the row is made
    except UnicodeEncodeError:
        raise ParameterError("id", row_id, "text that UTF-8 can encode") from None
    return row_id


def _message(message: ChatMessage, key: str) -> dict[str, object]:
    """A message in the OpenAI form; ids of calls are made of the row, to be the same again."""
    said: dict[str, object] = {"role": "assistant", "content": message.content}
    if message.reasoning_content is not None:
        said["reasoning_content"] = message.reasoning_content
    if message.tool_calls:
        said["tool_calls"] = [
            {
                "id": f"call_{key}_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(message.tool_calls)
        ]
    return said


def _line(index: int, key: str, row_id: object, said: Mapping[str, object]) -> bytes:
    """A line of the output, with a key that is a digest of the row, the settings and the result."""
    named = said if row_id is None else {"id": row_id, **said}
    digest = hashlib.sha256(key.encode() + _json({"index": index, **named})).hexdigest()[:16]
    return _json({"index": index, "key": digest, **named}) + b"\n"


def _json(value: object) -> bytes:
    # A lone surrogate can come in with a message of an error; no UTF-8 has one.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
