"""JSON Schemas of the bodies that the server reads and writes, with its limits in them."""

from __future__ import annotations

from typing import Any, TypeAlias

from decoding.server.settings import ServerSettings
from decoding.wire.openai.fields import FURTHER, LARGEST_TOP_LOGPROBS
from decoding.wire.rules import WireLimits
from decoding.wire.schema import LARGEST, between, ids_below, optional, parameter_schemas

Node: TypeAlias = dict[str, Any]

_TEXT: Node = {"type": "string"}
_FLAG: Node = {"type": "boolean"}
_NUMBER: Node = {"type": "number"}
_COUNT: Node = {"type": "integer", "minimum": 0}
_U32 = 2**32 - 1
_SMALLEST = 1e-45
_BELOW_1 = 0.99999997
"""Numbers next to 0 and 1 that float32 does not round to these."""


def _object(properties: Node, required: tuple[str, ...] = ()) -> Node:
    return {
        "type": "object",
        "properties": properties,
        **({"required": list(required)} if required else {}),
    }


def _list(items: Node, **bounds: int) -> Node:
    return {"type": "array", "items": items, **bounds}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _native_parameters(limits: WireLimits, width: int) -> Node:
    """All fields of a request, with TGI's ranges where these are narrower."""
    fields = parameter_schemas(width)
    narrower: dict[str, tuple[float, float]] = {
        "best_of": (1, limits.max_best_of),
        "frequency_penalty": (-2.0, 2.0),
        "presence_penalty": (-2.0, 2.0),
        "temperature": (_SMALLEST, LARGEST),
        "top_k": (1, 2**31 - 1),
        "top_n_tokens": (0, limits.max_top_n_tokens),
        "top_p": (_SMALLEST, _BELOW_1),
        "truncate": (1, limits.max_input_tokens),
        "typical_p": (_SMALLEST, _BELOW_1),
    }
    for name, (low, high) in narrower.items():
        fields[name] |= {"minimum": low, "maximum": high}
    fields["stop"]["maxItems"] = limits.max_stop_sequences
    return _object({**fields, "grammar": _GRAMMAR})


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

_NAMED_TOOL = _object(
    {"type": {"const": "function"}, "function": _object({"name": _TEXT}, ("name",))},
    ("type", "function"),
)
_ALLOWED_TOOLS = _object(
    {"mode": {"enum": ["auto", "required"]}, "tools": _list(_NAMED_TOOL, minItems=1)},
    ("mode", "tools"),
)


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
    further = {name: item for name, item in parameters["properties"].items() if name in FURTHER}
    bias = further["logit_bias"]
    biases = _list(bias["additionalProperties"], maxItems=width)
    common = {
        **further,
        "logit_bias": {"anyOf": [bias, biases], "description": bias["description"]},
        "model": optional(_TEXT),
        "max_tokens": optional(between(1, _U32, "integer")),
        "temperature": optional(between(0.0, LARGEST)),
        "top_p": optional(between(_SMALLEST, 1.0)),
        "top_k": optional(between(-1, 2**31 - 1, "integer")),
        "typical_p": optional(between(_SMALLEST, 1.0)),
        "n": optional(between(1, most, "integer")),
        "best_of": optional(between(1, most, "integer")),
        "seed": optional(between(-(2**63), 2**64 - 1, "integer")),
        "stop": {
            "anyOf": [
                {"type": ["string", "null"]},
                _list({"type": "string", "minLength": 1}, maxItems=limits.max_stop_sequences),
            ]
        },
        "stream": optional(_FLAG),
        "stream_options": optional(_object({"include_usage": optional(_FLAG)})),
    }
    ids = _list(ids_below(width), minItems=1)
    text: Node = {"type": "string", "minLength": 1}
    prompts = _list({"anyOf": [text, ids]}, minItems=1, maxItems=settings.max_client_batch_size)
    parts = [_shape("text", "text", _TEXT), _shape("refusal", "refusal", _TEXT)]
    message = _object(
        {
            "role": _TEXT,
            "content": {"anyOf": [{"type": ["string", "null"]}, _list({"anyOf": parts})]},
            "tool_calls": optional(_list({"type": "object"})),
        },
        ("role",),
    )
    chat = {
        "messages": {"anyOf": [text, _list(message, minItems=1)]},
        "max_completion_tokens": optional(between(1, _U32, "integer")),
        "logprobs": optional(_FLAG),
        "top_logprobs": optional(between(0, LARGEST_TOP_LOGPROBS, "integer")),
        "tools": optional(_list(_TOOL)),
        "tool_choice": {
            "anyOf": [
                {"type": "null"},
                {"enum": ["none", "auto", "required"]},  # and a tool's name, as in TGI
                _NAMED_TOOL,
                _object(
                    {"type": {"const": "allowed_tools"}, "allowed_tools": _ALLOWED_TOOLS},
                    ("type", "allowed_tools"),
                ),
            ]
        },
        "tool_prompt": optional(_TEXT),
        "parallel_tool_calls": optional(_FLAG),
        "response_format": _RESPONSE_FORMAT,
        "chat_template": optional(_TEXT),
        "chat_template_kwargs": optional({"type": "object"}),
        "enable_thinking": optional(_FLAG),
        "thinking_budget": optional(between(0, _U32, "integer")),
        "add_generation_prompt": optional(_FLAG),
        "continue_final_message": optional(_FLAG),
    }
    completion = {
        "prompt": {"anyOf": [text, ids, prompts]},
        "max_tokens": optional(between(0, _U32, "integer")),  # 0 with `echo` alone
        "echo": optional(_FLAG),
        "logprobs": optional(between(0, LARGEST_TOP_LOGPROBS, "integer")),
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
