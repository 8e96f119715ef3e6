"""Builds the server's OpenAPI document, and an HTML page that shows the document."""

from __future__ import annotations

import html
import json
from typing import Any, TypeAlias

from decoding._version import __version__
from decoding.server.schemas import answers, bodies
from decoding.server.settings import ServerSettings
from decoding.wire.rules import WireLimits

Node: TypeAlias = dict[str, Any]

_PROBLEMS = {
    "400": "The body is no JSON.",
    "413": "The body is too long.",
    "415": "The body is said to be something else than JSON.",
    "422": "The request breaks a rule.",
    "424": "The generation has failed.",
    "429": "As many requests are being served as may be.",
    "500": "The generation was not completed.",
    "503": "The server is shutting down.",
}
_UNAUTHORIZED: Node = {"description": "The bearer token is missing or wrong."}


def document(limits: WireLimits, settings: ServerSettings, width: int) -> Node:
    """The OpenAPI document of a server with these limits.

    width: how many token ids there are.
    """
    guarded = settings.api_key is not None
    found: Node = {
        "openapi": "3.1.0",
        "info": {
            "title": "decoding",
            "version": __version__,
            "description": "The Text Generation Inference API and OpenAI's, over one engine.",
        },
        "paths": _paths(guarded=guarded),
        "components": {"schemas": bodies(limits, settings, width) | answers()},
    }
    if guarded:
        scheme = {"type": "http", "scheme": "bearer"}
        found["components"]["securitySchemes"] = {"bearer": scheme}
    return found


def _paths(*, guarded: bool) -> Node:
    stream: Node = {"text/event-stream": {}}

    def native(summary: str, body: str, answer: Node) -> Node:
        return _post(summary, body, answer, "ErrorResponse", guarded=guarded)

    def openai(summary: str, body: str, answer: Node) -> Node:
        return _post(summary, body, answer, "OpenAIError", guarded=guarded)

    either = _json({"type": "array", "items": _ref("GenerateResponse")}) | stream
    spans = _json({"type": "array", "items": _ref("SimpleToken")})
    health = _get("Whether requests are taken.", {})
    health["responses"]["503"] = _answer("They are not.", _json(_ref("ErrorResponse")))
    text = {"text/plain": {"schema": {"type": "string"}}}
    page = {"text/html": {"schema": {"type": "string"}}}
    models = _json(_ref("ModelsList"))
    any_answer = _json({}) | stream
    chat_tokenize = _post(
        "The prompt that a chat makes, and its tokens.",
        "ChatTokenizeRequest",
        _json(_ref("ChatTokenizeResponse")),
        "ErrorResponse",
        guarded=False,
    )
    return {
        "/": {
            "get": health,
            "post": native("Generate, as one answer or a stream.", "CompatGenerateRequest", either),
        },
        "/generate": {
            "post": native("Generate.", "GenerateRequest", _json(_ref("GenerateResponse")))
        },
        "/generate_stream": {"post": native("Generate a stream.", "GenerateStreamRequest", stream)},
        "/tokenize": {"post": native("The tokens of a text.", "TokenizeRequest", spans)},
        "/chat_tokenize": {"post": chat_tokenize},
        "/v1/chat/completions": {
            "post": openai("A chat.", "ChatRequest", _json(_ref("ChatCompletion")) | stream)
        },
        "/v1/completions": {
            "post": openai(
                "Complete prompts.", "CompletionRequest", _json(_ref("TextCompletion")) | stream
            )
        },
        "/invocations": {
            "post": native("Any of these bodies, for SageMaker.", "Invocation", any_answer)
        },
        "/vertex": {
            "post": native(
                "Several bodies at once, for Vertex AI.",
                "VertexRequest",
                _json(_ref("VertexResponse")),
            )
        },
        "/v1/models": {"get": _get("The models.", models)},
        "/v1/models/{name}": {"get": _one_model()},
        "/info": {"get": _get("What the server allows.", _json(_ref("Info")))},
        "/health": {"get": health},
        "/ping": {"get": health},
        "/metrics": {"get": _get("Metrics for Prometheus.", text)},
        "/docs": {"get": _get("This document as a page.", page)},
        "/openapi.json": {"get": _get("This document.", _json({"type": "object"}))},
    }


def _post(summary: str, body: str, content: Node, error: str, *, guarded: bool) -> Node:
    # `/invocations` answers errors in the shape of the body's own route.
    shape = {"anyOf": [_ref("ErrorResponse"), _ref("OpenAIError")]}
    found: Node = {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(_ref(body))},
        "responses": {
            "200": _answer("The answer.", content),
            **{
                status: _answer(text, _json(shape if body == "Invocation" else _ref(error)))
                for status, text in _PROBLEMS.items()
            },
        },
    }
    if guarded:
        found["security"] = [{"bearer": []}]
        found["responses"]["401"] = _UNAUTHORIZED
    return found


def _get(summary: str, content: Node) -> Node:
    return {"summary": summary, "responses": {"200": _answer("The answer.", content)}}


def _one_model() -> Node:
    found = _get("The model, or an adapter, of this name.", _json(_ref("Model")))
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    missing = _answer("There is none of this name.", _json(_ref("OpenAIError")))
    return {**found, "parameters": [name], "responses": {**found["responses"], "404": missing}}


def _answer(text: str, content: Node) -> Node:
    return {"description": text, **({"content": content} if content else {})}


def _json(schema: Node) -> Node:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def page(description: Node) -> str:
    """A page that shows a document's routes and schemas; it loads nothing from elsewhere."""
    info = description["info"]
    routes = "".join(
        f"<details><summary><code>{method.upper()} {html.escape(path)}</code>"
        f" {html.escape(operation['summary'])}</summary><pre>{_pretty(operation)}</pre></details>"
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f"<details><summary><code>{html.escape(name)}</code></summary>"
        f"<pre>{_pretty(schema)}</pre></details>"
        for name, schema in description["components"]["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{info['title']} {info['version']}</title>"
        "<style>body{font-family:sans-serif;max-width:60em;margin:2em auto}"
        "details{margin:.5em 0}pre{background:#f4f4f4;padding:1em;overflow:auto}</style></head>"
        f"<body><h1>{info['title']} {info['version']}</h1><p>{info['description']}"
        ' The document itself: <a href="openapi.json">openapi.json</a>.</p>'
        f"<h2>Routes</h2>{routes}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _pretty(value: object) -> str:
    return html.escape(json.dumps(value, indent=2, ensure_ascii=False))
