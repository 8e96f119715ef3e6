"""The OpenAPI document is true: of bodies that it describes, no answer is one that it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Served, events

Node = Mapping[str, Any]
KINDS = ("null", "boolean", "integer", "number", "string", "array", "object")
SOME = st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3)
"""Where a schema leaves open what a value is."""


@pytest.fixture(scope="module")
def document(served: Served) -> Node:
    found: Node = served.get("/openapi.json").json()
    return found


def values(schema: Node, document: Node) -> st.SearchStrategy[Any]:
    """Values of a schema of the document: the keywords that the document uses, and no others."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return st.deferred(lambda: values(document["components"]["schemas"][name], document))
    if "anyOf" in schema:
        return st.one_of([values(item, document) for item in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", KINDS)
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return st.one_of([_of_kind(kind, schema, document) for kind in kinds])


def _of_kind(kind: str, schema: Node, document: Node) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum"), schema.get("maximum")
    simple: dict[str, st.SearchStrategy[Any]] = {
        "null": st.none(),
        "boolean": st.booleans(),
        "number": st.floats(low, high, allow_nan=False, allow_infinity=False),
    }
    match kind:
        case "integer":
            return st.integers(low, high)
        case "string":
            return _texts(schema)
        case "array":
            least = schema.get("minItems", 0)
            most = max(least, min(schema.get("maxItems", 3), 3))
            items = values(schema["items"], document) if "items" in schema else SOME
            return st.lists(items, min_size=least, max_size=most)
        case "object":
            return _objects(schema, document)
    return simple[kind]


def _texts(schema: Node) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].replace("$", r"\Z"), alphabet="aZ09_-")
    return st.text(st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=6)


def _objects(schema: Node, document: Node) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        held = (
            values(schema["additionalProperties"], document) if "propertyNames" in schema else SOME
        )
        return st.dictionaries(_texts(schema.get("propertyNames", {})), held, max_size=2)
    properties = {name: values(item, document) for name, item in schema["properties"].items()}
    required = schema.get("required", ())
    optional = sorted(set(properties) - set(required))
    chosen = st.sets(st.sampled_from(optional), max_size=4) if optional else st.just(set())
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(
            {name: properties[name] for name in [*required, *names]}
        )
    )


def check(answer: httpx.Response, operation: Node, document: Node) -> None:
    """An answer has a status, a type and a body that its operation names."""
    status = str(answer.status_code)
    assert answer.status_code < 500
    assert status in operation["responses"], answer.text
    content = operation["responses"][status].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert kind in content or not (content or answer.content)
    schema = content.get(kind, {}).get("schema", {})
    if kind == "application/json":
        whole = {**schema, "components": document["components"]}
        jsonschema.validate(answer.json(), whole, jsonschema.Draft202012Validator)
    elif kind == "text/event-stream":
        events(answer.text)


def posts(document: Node) -> list[str]:
    return [path for path, methods in document["paths"].items() if "post" in methods]


@settings(
    max_examples=max(20, settings().max_examples // 2), suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_answers_to_what_the_document_describes_are_described(
    served: Served, document: Node, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(posts(document)))
    operation = document["paths"][path]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    body = data.draw(values(schema, document))
    check(served.post(path, body), operation, document)


def test_answers_to_what_is_no_body_are_described(served: Served, document: Node) -> None:
    for path in posts(document):
        operation = document["paths"][path]["post"]
        for content, kind in ((b"{", "application/json"), (b"{}", "application/json"), (b"", "")):
            answer = httpx.post(served.url + path, content=content, headers={"content-type": kind})
            assert answer.status_code in (400, 415, 422)
            check(answer, operation, document)


def test_answers_to_gets_are_described(served: Served, document: Node) -> None:
    for path, methods in document["paths"].items():
        if "get" in methods:
            for name in ("hashed", "other") if "{name}" in path else ("",):
                answer = served.get(path.replace("{name}", name))
                check(answer, methods["get"], document)


@pytest.mark.nightly
def test_schemathesis_finds_nothing(served: Served) -> None:
    # In tests the first request that needs kernels compiles them, which takes minutes.
    grammar = {"type": "json", "value": {"type": "object"}}
    asked = {"inputs": "x", "parameters": {"max_new_tokens": 2, "grammar": grammar}}
    assert served.post("/generate", asked, timeout=600).status_code == 200
    command = [
        sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run",
        f"{served.url}/openapi.json", "--checks", "all", "--no-color", "--max-examples", "50",
        # A described body may still be too long for the model, and a wrong one may say nothing.
        "--exclude-checks", "positive_data_acceptance,negative_data_rejection",
        # By default 10 seconds. 128 prompts of 100 tokens may take as long beside other programs.
        "--request-timeout", "120", "--max-response-time", "120",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-5000:]
    assert "No issues found" in found.stdout
