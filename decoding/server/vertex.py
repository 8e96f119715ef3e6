"""`/vertex`, where Vertex AI sends instances: each a body of `/generate` or of a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from decoding.engine.request import Request
from decoding.errors import WireTypeError, WireValidationError
from decoding.server.answers import json_response, run_until_gone
from decoding.server.native import read_request
from decoding.server.problems import Problem, ProblemError
from decoding.server.service import Service
from decoding.server.v1.chat import prepare_chat
from decoding.wire.openai.requests import read_chat_body
from decoding.wire.types import check_body, mismatch


async def vertex(service: Service, http: HttpRequest) -> HttpResponse:
    """`POST /vertex`: the generated texts of all instances, `{"predictions": [...]}`.

    Instances run side by side. The first error is the answer, and ends the others. All parameters
    of an instance count, where TGI reads `max_new_tokens` and `seed` alone.
    """
    given = await service.body(http)
    account = service.open(http)
    with account.checking():
        for instance in _instances(given, service.settings.max_choices):
            await account.submit(await _request(service, instance), streams=False)
    handles = await run_until_gone(http, account)
    texts = [handle.generation.result().generated_text for handle in handles]
    account.succeed()
    return json_response({"predictions": texts})


def _instances(body: object, most: int) -> Sequence[Mapping[str, Any]]:
    """The instances of a body.

    most: how many there may be.
    """
    instances = check_body(body, "VertexRequest", ("instances",))["instances"]
    if not isinstance(instances, list):
        raise mismatch("instances", instances, "a sequence")
    if not instances:
        raise WireValidationError("`instances` cannot be empty")
    if len(instances) > most:
        text = f"Number of instances exceeds the maximum allowed batch size of {most}"
        raise ProblemError(Problem(422, "batch size exceeded", text, "instances"))
    for index, item in enumerate(instances):
        if not isinstance(item, Mapping) or not ("inputs" in item or "messages" in item):
            problem = "data did not match any variant of untagged enum VertexInstance"
            text = "Failed to deserialize the JSON body into the target type"
            raise WireTypeError(f"{text}: instances[{index}]: {problem}")
    return instances


async def _request(service: Service, instance: Mapping[str, Any]) -> Request:
    if "inputs" not in instance:
        body = read_chat_body({**instance, "stream": False}, most=1)
        return (await prepare_chat(service, body)).request
    if instance.get("parameters") is None:  # null is as good as none here alone
        instance = {"inputs": instance["inputs"]}
    return await read_request(service, instance, stream=False, full_text=False)
