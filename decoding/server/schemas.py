"""JSON Schemas of the bodies that the server reads and writes, with its limits in them."""

from __future__ import annotations

from typing import Any, TypeAlias

from decoding.server.settings import ServerSettings
from decoding.wire.openai.fields import LARGEST_TOP_LOGPROBS
from decoding.wire.rules import WireLimits

Node: TypeAlias = dict[str, Any]

_TEXT: Node = {"type": "string"}
_FLAG: Node = {"type": "boolean"}
_NUMBER: Node = {"type": "number"}
_COUNT: Node = {"type": "integer", "minimum": 0}
_U32 = 2**32 - 1
_SMALLEST, _LARGEST = 1e-45, 3e38
_BELOW_1 = 0.99999997
"""The largest numbers that float32 rounds to none that is out of range."""


def _optional(schema: Node) -> Node:
    return {**schema, "type": [schema["type"], "null"]}


def _object(properties: Node, required: tuple[str, ...] = ()) -> Node:
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
    }


def _list(items: Node, **bounds: int) -> Node:
    return {"type": "array", "items": items, **bounds}


def _between(low: float, high: float, kind: str = "number") -> Node:
    return {"type": kind, "minimum": low, "maximum": high}


def _above_0(high: float = _LARGEST) -> Node:
    """Numbers above 0 that float32 holds, in which TGI reads them."""
    return {"type": "number", "minimum": _SMALLEST, "maximum": high}


def _ids_below(width: int) -> Node:
    return _between(0, width - 1, "integer")


def _decimals_below(width: int) -> str:
    """A regular expression of the integers below a number, as decimal text."""
    digits = str(width - 1)
    forms = ["[0-9]"] if len(digits) > 1 else [f"[0-{digits}]"]
    forms += [f"[1-9][0-9]{{{length - 1}}}" for length in range(2, len(digits))]
    if len(digits) > 1:
        for place, digit in enumerate(digits):
            low = 1 if place == 0 else 0
            rest = f"[0-9]{{{len(digits) - place - 1}}}" if place + 1 < len(digits) else ""
            if int(digit) > low:
                forms.append(f"{digits[:place]}[{low}-{int(digit) - 1}]{rest}")
        forms.append(digits)
    return f"^({'|'.join(forms)})$"


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _samplers(width: int) -> Node:
    """JSON Schemas of the sampling fields that both APIs name alike.

    width: how many token ids there are.
    """
    ids = _list(_ids_below(width))
    fraction = _between(0.0, 1.0)
    positive: Node = {"type": "number", "minimum": 0.0, "maximum": _LARGEST}
    whole = _between(0, 2**31 - 1, "integer")
    named = {
        "frequency_penalty": _between(-2.0, 2.0),
        "presence_penalty": _between(-2.0, 2.0),
        "min_p": fraction,
        "logit_bias": {
            "type": "object",
            "propertyNames": {"pattern": _decimals_below(width)},
            "additionalProperties": _between(-_LARGEST, _LARGEST),
        },
        "repeat_last_n": _between(-1, 2**31 - 1, "integer"),
        "min_tokens": whole,
        "no_repeat_ngram_size": whole,
        "bad_words_ids": _list(_list(ids["items"], minItems=1)),
        "bad_words": _list({"type": "string", "minLength": 1}),
        "suppress_tokens": ids,
        "allowed_token_ids": {**ids, "minItems": 1},
        "dry_multiplier": positive,
        "dry_base": {"type": "number", "minimum": 1.0, "maximum": _LARGEST},
        "dry_allowed_length": _between(1, 2**31 - 1, "integer"),
        "dry_penalty_last_n": _between(-1, 2**31 - 1, "integer"),
        "dry_sequence_breakers": _list({"type": "string", "minLength": 1}),
        "dynatemp_range": positive,
        "dynatemp_exponent": positive,
        "epsilon_cutoff": _between(0.0, _BELOW_1),
        "eta_cutoff": _between(0.0, _BELOW_1),
        "top_n_sigma": positive,
        "top_h": _above_0(1.0),
        "xtc_probability": fraction,
        "xtc_threshold": fraction,
        "mirostat": _between(0, 2, "integer"),
        "mirostat_tau": positive,
        "mirostat_eta": positive,
        "repetition_penalty": _above_0(),
    }
    return {name: _optional(schema) for name, schema in named.items()}


def _native_parameters(limits: WireLimits, width: int) -> Node:
    options = {
        "best_of": _between(1, limits.max_best_of, "integer"),
        "grammar": _GRAMMAR,
        "max_new_tokens": _between(1, _U32, "integer"),
        "return_full_text": _FLAG,
        "seed": _between(0, 2**64 - 1, "integer"),
        "temperature": _above_0(),
        "top_k": _between(1, 2**31 - 1, "integer"),
        "top_n_tokens": _between(0, limits.max_top_n_tokens, "integer"),
        "top_p": _above_0(_BELOW_1),
        "truncate": _between(1, limits.max_input_tokens, "integer"),
        "typical_p": _above_0(_BELOW_1),
    }
    flags = dict.fromkeys(("decoder_input_details", "details", "do_sample", "watermark"), _FLAG)
    stop = _list({"type": "string", "minLength": 1}, maxItems=limits.max_stop_sequences)
    properties = {
        name: schema if "anyOf" in schema else _optional(schema) for name, schema in options.items()
    }
    return _object({**properties, **flags, "stop": stop, **_samplers(width)})


def _shape(kind: str, name: str, content: Node) -> Node:
    return _object({"type": {"const": kind}, name: content}, ("type", name))


_SCHEMA: Node = {"type": "object", "description": "A JSON Schema; its text may stand for it."}
_NAMED_SCHEMA = _object({"name": {"type": ["string", "null"]}, "schema": _SCHEMA}, ("schema",))
_GRAMMAR: Node = {
    "anyOf": [
        {"type": "null"},
        _shape("json", "value", _SCHEMA),
        _shape("json_object", "value", _SCHEMA),
        _shape("json_schema", "value", _NAMED_SCHEMA),
        _shape("regex", "value", _TEXT),
    ]
}
_RESPONSE_FORMAT: Node = {
    "anyOf": [
        *_GRAMMAR["anyOf"],
        _object({"type": {"enum": ["text", "json_object"]}}, ("type",)),
        _shape("json_schema", "json_schema", _NAMED_SCHEMA),
    ]
}
_FUNCTION = _object(
    {"name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}, "description": _TEXT},
    ("name",),
)
_TOOL = _object({"type": {"const": "function"}, "function": _FUNCTION}, ("type", "function"))


def bodies(limits: WireLimits, settings: ServerSettings, width: int) -> Node:
    """JSON Schemas of request bodies, by the names of TGI's types.

    width: how many token ids there are.
    """
    parameters = _native_parameters(limits, width)
    streamed = {"inputs": _TEXT, "parameters": _ref("StreamParameters")}
    generate = {
        "inputs": {"type": "string", "minLength": 1},
        "parameters": _ref("GenerateParameters"),
    }
    most = settings.max_choices
    common = {
        "model": _optional(_TEXT),
        "max_tokens": _optional(_between(1, _U32, "integer")),
        "temperature": _optional(_between(0.0, _LARGEST)),
        "top_p": _optional(_above_0(1.0)),
        "top_k": _optional(_between(-1, 2**31 - 1, "integer")),
        "typical_p": _optional(_above_0(1.0)),
        "n": _optional(_between(1, most, "integer")),
        "best_of": _optional(_between(1, most, "integer")),
        "seed": _optional(_between(-(2**63), 2**64 - 1, "integer")),
        "stop": {
            "anyOf": [
                {"type": ["string", "null"]},
                _list({"type": "string", "minLength": 1}, maxItems=limits.max_stop_sequences),
            ]
        },
        "stream": _optional(_FLAG),
        "stream_options": _optional(_object({"include_usage": _optional(_FLAG)})),
        **_samplers(width),
    }
    ids = _list(_ids_below(width), minItems=1)
    text: Node = {"type": "string", "minLength": 1}
    prompts = _list({"anyOf": [text, ids]}, minItems=1, maxItems=settings.max_client_batch_size)
    part = _object({"type": {"const": "text"}, "text": _TEXT}, ("type", "text"))
    message = _object(
        {
            "role": _TEXT,
            "content": {"anyOf": [{"type": ["string", "null"]}, _list(part)]},
            "tool_calls": _optional(_list({"type": "object"})),
        },
        ("role",),
    )
    chat = {
        "messages": {"anyOf": [text, _list(message, minItems=1)]},
        "max_completion_tokens": _optional(_between(1, _U32, "integer")),
        "logprobs": _optional(_FLAG),
        "top_logprobs": _optional(_between(0, LARGEST_TOP_LOGPROBS, "integer")),
        "tools": _optional(_list(_TOOL)),
        "tool_choice": {
            "anyOf": [
                {"type": "null"},
                {"enum": ["none", "auto", "required"]},  # and a tool's name, as in TGI
                _object(
                    {
                        "type": {"const": "function"},
                        "function": _object({"name": _TEXT}, ("name",)),
                    },
                    ("type", "function"),
                ),
            ]
        },
        "parallel_tool_calls": _optional(_FLAG),
        "response_format": _RESPONSE_FORMAT,
        "chat_template": _optional(_TEXT),
        "chat_template_kwargs": _optional({"type": "object"}),
        "enable_thinking": _optional(_FLAG),
        "thinking_budget": _optional(_between(0, _U32, "integer")),
        "add_generation_prompt": _optional(_FLAG),
        "continue_final_message": _optional(_FLAG),
    }
    completion = {
        "prompt": {"anyOf": [text, ids, prompts]},
        "echo": _optional(_FLAG),
        "logprobs": _optional(_between(0, LARGEST_TOP_LOGPROBS, "integer")),
        "suffix": {"type": "null"},
    }
    instance = {**generate, "parameters": {"anyOf": [{"type": "null"}, generate["parameters"]]}}
    chat_instance = {**common, **chat, "n": {"const": 1}, "best_of": {"const": 1}}
    instances = [_object(instance, ("inputs",)), _object(chat_instance, ("messages",))]
    several = _list({"anyOf": instances}, minItems=1, maxItems=most)
    kinds = ("CompatGenerateRequest", "ChatRequest", "CompletionRequest")
    return {
        "GenerateParameters": parameters,
        "StreamParameters": _types(parameters),
        "GenerateRequest": _object(generate, ("inputs",)),
        "GenerateStreamRequest": _object(streamed, ("inputs",)),
        "CompatGenerateRequest": {
            "anyOf": [
                _object({**generate, "stream": {"const": False}}, ("inputs",)),
                _object({**streamed, "stream": {"const": True}}, ("inputs", "stream")),
            ]
        },
        "TokenizeRequest": _object({"inputs": _TEXT}, ("inputs",)),
        "ChatTokenizeRequest": _object({"messages": chat["messages"]}, ("messages",)),
        "ChatRequest": _object({**common, **chat}, ("messages",)),
        "CompletionRequest": _object({**common, **completion}, ("prompt",)),
        "VertexRequest": _object({"instances": several}, ("instances",)),
        "Invocation": {"anyOf": [_ref(name) for name in kinds]},
    }


def _types(schema: Node) -> Node:
    """An object's schema without ranges: a stream of TGI's routes tells of them in an event."""
    plain: Node = {
        name: {"type": item["type"]}
        for name, item in schema["properties"].items()
        if isinstance(item.get("type"), str) or "boolean" in item.get("type", ())
    }
    return _object({**plain, "stop": _list(_TEXT)})


def answers() -> Node:
    """JSON Schemas of response bodies, by name."""
    token = {"id": _COUNT, "text": _TEXT, "logprob": _NUMBER, "special": _FLAG}
    token["logprob"] = {"type": ["number", "null"]}
    prefill = {"id": _COUNT, "text": _TEXT, "logprob": {"type": ["number", "null"]}}
    reason: Node = {"enum": ["length", "eos_token", "stop_sequence"]}
    seed: Node = {"type": ["integer", "null"], "minimum": 0}
    sequence = {
        "finish_reason": reason,
        "generated_tokens": _COUNT,
        "seed": seed,
        "prefill": _list(_object(prefill, tuple(prefill))),
        "tokens": _list(_ref("Token")),
    }
    required = tuple(sequence)
    sequence["top_tokens"] = _list(_list(_ref("Token")))
    loser = {"generated_text": _TEXT, **sequence}
    details = {**sequence, "best_of_sequences": _list(_object(loser, required))}
    problem = {"error": _TEXT, "error_type": _TEXT}
    inner = {
        "message": _TEXT,
        "type": _TEXT,
        "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "null"]},
    }
    openai = {"error": _object(inner, tuple(inner)), "error_type": _TEXT, "message": _TEXT}
    span = {"id": _COUNT, "text": _TEXT, "start": _COUNT, "stop": _COUNT}
    spans = _list(_ref("SimpleToken"))
    head = {
        "id": _TEXT,
        "created": _COUNT,
        "model": _TEXT,
        "system_fingerprint": _TEXT,
        "choices": _list({"type": "object"}),
        "usage": {"type": "object"},
    }
    model = {"id": _TEXT, "object": {"const": "model"}, "created": _COUNT, "owned_by": _TEXT}
    models = {"object": {"const": "list"}, "data": _list(_ref("Model"))}
    info = {"model_id": _TEXT, "version": _TEXT, "router": _TEXT} | dict.fromkeys(
        (
            "max_concurrent_requests",
            "max_best_of",
            "max_stop_sequences",
            "max_input_tokens",
            "max_total_tokens",
            "validation_workers",
            "max_client_batch_size",
        ),
        _COUNT,
    )
    tokenized = {"tokenize_response": spans, "templated_text": _TEXT}
    return {
        "Token": _object(token, tuple(token)),
        "Details": _object(details, required),
        "GenerateResponse": _object(
            {"generated_text": _TEXT, "details": _ref("Details")}, ("generated_text",)
        ),
        "ErrorResponse": _object(problem, tuple(problem)),
        "OpenAIError": _object(openai, tuple(openai)),
        "SimpleToken": _object(span, tuple(span)),
        "ChatTokenizeResponse": _object(tokenized, tuple(tokenized)),
        "ChatCompletion": _object({"object": {"const": "chat.completion"}, **head}, tuple(head)),
        "TextCompletion": _object({"object": {"const": "text_completion"}, **head}, tuple(head)),
        "VertexResponse": _object({"predictions": _list(_TEXT)}, ("predictions",)),
        "Model": _object(model, tuple(model)),
        "ModelsList": _object(models, tuple(models)),
        "Info": _object(info, tuple(info)),
    }
