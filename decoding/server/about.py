"""The routes `/health`, `/info`, `/v1/models`, `/metrics` and the OpenAPI document."""

from __future__ import annotations

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse

from decoding._version import __version__
from decoding.bounded_repr import bounded
from decoding.server.answers import json_response
from decoding.server.metrics import CONTENT_TYPE
from decoding.server.openapi import document, page
from decoding.server.problems import UNHEALTHY, Problem, ProblemError
from decoding.server.service import Service

ROUTER = "decoding-engine"


async def health(service: Service, _http: HttpRequest) -> HttpResponse:
    """`GET /health`: 200 and nothing, or 503."""
    if service.healthy:
        return HttpResponse()
    return json_response(UNHEALTHY.native(), UNHEALTHY.status)


async def info(service: Service, _http: HttpRequest) -> HttpResponse:
    """`GET /info`: the model, the limits and the version of the server."""
    limits, settings = service.limits, service.settings
    return json_response(
        {
            "model_id": service.model_id,
            "model_sha": None,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": settings.max_concurrent_requests,
            "max_best_of": limits.max_best_of,
            "max_stop_sequences": limits.max_stop_sequences,
            "max_input_tokens": limits.max_input_tokens,
            "max_total_tokens": limits.max_total_tokens,
            "validation_workers": 2,
            "max_client_batch_size": settings.max_client_batch_size,
            "router": ROUTER,
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }
    )


async def models(service: Service, _http: HttpRequest) -> HttpResponse:
    """`GET /v1/models`: the model, then its adapters."""
    names = (service.model_id, *service.adapters)
    return json_response({"object": "list", "data": [_model(service, name) for name in names]})


async def one_model(service: Service, http: HttpRequest) -> HttpResponse:
    """`GET /v1/models/NAME`: the model, or an adapter, of this name; all of them without one."""
    name = str(http.path_params["name"])
    if not name:
        return await models(service, http)
    if name != service.model_id and name not in service.adapters:
        text = f"The model `{bounded(name)}` does not exist"
        raise ProblemError(Problem(404, "not_found", text, "model"))
    return json_response(_model(service, name))


def _model(service: Service, name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": service.model_id}


async def metrics(service: Service, _http: HttpRequest) -> HttpResponse:
    """`GET /metrics`: the metrics in the text format of Prometheus."""
    # The last step has noted what ran then; requests also end between steps.
    service.metrics.batch_size.value = float(service.front.engine.running)
    service.metrics.queue_size.value = float(service.front.engine.waiting)
    return HttpResponse(service.metrics.text(), headers={"content-type": CONTENT_TYPE})


async def openapi(service: Service, _http: HttpRequest) -> HttpResponse:
    """`GET /openapi.json`: the OpenAPI document."""
    return json_response(_document(service))


async def docs(service: Service, _http: HttpRequest) -> HttpResponse:
    """`GET /docs`: the OpenAPI document as an HTML page."""
    text = page(_document(service))
    return HttpResponse(text, media_type="text/html")


def _document(service: Service) -> dict[str, object]:
    return document(service.limits, service.settings, service.width or 1)
