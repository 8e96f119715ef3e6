"""`create_app`: makes the ASGI application: routes, bearer tokens and error responses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from decoding.engine.front import AsyncEngine
from decoding.engine.loop import Engine
from decoding.errors import DecodingError
from decoding.models.protocol import LanguageModel
from decoding.server import about, native
from decoding.server.answers import ClientGoneError, json_response
from decoding.server.auth import is_allowed
from decoding.server.logs import LOGGER, request_id
from decoding.server.problems import Problem, ProblemError, problem_of
from decoding.server.service import ACCOUNT, OPENAI, Service
from decoding.server.settings import ServerSettings
from decoding.server.v1 import chat, completions
from decoding.server.v1.invocations import invocations
from decoding.server.vertex import vertex

Handler: TypeAlias = Callable[[Service, HttpRequest], Awaitable[ASGIApp]]


def create_app(
    engine: AsyncEngine | Engine | LanguageModel, settings: ServerSettings | None = None
) -> Starlette:
    """An ASGI application that serves a model over TGI's routes and OpenAI's.

    Any ASGI server runs it, and any application mounts it. `app.state.service` is its `Service`.

    engine: an `AsyncEngine` stays its caller's to close. Of an `Engine` or a model one is made,
        which starts with the first request and closes with the application.
    settings: what is allowed; by default, what TGI's launcher allows.
    """
    chosen = ServerSettings() if settings is None else settings
    owned = not isinstance(engine, AsyncEngine)
    front = engine if isinstance(engine, AsyncEngine) else AsyncEngine(_engine(engine))
    service = Service(front, chosen)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        if owned:
            await front.aclose()

    app = Starlette(
        routes=_routes(service),
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=list(chosen.cors_allow_origin) or ["*"],
                allow_methods=["GET", "POST"],
                allow_headers=["*"],  # clients in browsers bring headers of their own
                expose_headers=["x-request-id"],
            )
        ],
        exception_handlers={HTTPException: _http_exception},
        lifespan=lifespan,
    )
    app.state.service = service
    return app


def _engine(engine: Engine | LanguageModel) -> Engine:
    return engine if isinstance(engine, Engine) else Engine(engine)


def _routes(service: Service) -> list[Route]:
    guarded: dict[str, Handler] = {
        "/": native.generate_root,
        "/generate": native.generate,
        "/generate_stream": native.generate_stream,
        "/tokenize": native.tokenize,
        "/invocations": invocations,
        "/vertex": vertex,
        "/v1/chat/completions": chat.chat_completions,
        "/v1/completions": completions.completions,
    }
    open_posts: dict[str, Handler] = {"/chat_tokenize": chat.chat_tokenize}
    gets: dict[str, Handler] = {
        "/info": about.info,
        "/health": about.health,
        "/ping": about.health,
        "/metrics": about.metrics,
        "/v1/models": about.models,
        "/v1/models/{name:path}": about.one_model,
        "/docs": about.docs,
        "/openapi.json": about.openapi,
        "/api-doc/openapi.json": about.openapi,
    }
    posts = {path: (handler, True) for path, handler in guarded.items()}
    posts |= {path: (handler, False) for path, handler in open_posts.items()}
    routes = [
        Route(path, _Endpoint(service, path, post=handler, guards_post=guards))
        for path, (handler, guards) in posts.items()
        if path != "/"
    ]
    root = _Endpoint(service, "/", get=about.health, post=native.generate_root, guards_post=True)
    routes.append(Route("/", root))
    routes += [Route(path, _Endpoint(service, path, get=handler)) for path, handler in gets.items()]
    return routes


class _Endpoint:
    """An ASGI application behind one path: it lets in, answers, and turns errors into answers."""

    def __init__(
        self,
        service: Service,
        path: str,
        *,
        get: Handler | None = None,
        post: Handler | None = None,
        guards_post: bool = False,
    ) -> None:
        self._service = service
        self._openai = path.startswith("/v1/")
        self._handlers = {"GET": get, "HEAD": get, "POST": post}
        self._guards_post = guards_post
        names = [name for name, item in self._handlers.items() if item]
        self._allowed = ", ".join([*names, "OPTIONS"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request: checks, routing and the response."""
        http = HttpRequest(scope, receive)
        name = request_id(http.headers.get("x-request-id"))
        scope["request_id"] = name
        scope[OPENAI] = self._openai
        header = (b"x-request-id", name.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        try:
            try:
                response = await self._answer(http)
            except (ClientGoneError, ClientDisconnect):
                return
            await response(scope, receive, send_with_id)
        finally:
            # A connection that stays open keeps the scope of its last request.
            scope.pop(ACCOUNT, None)

    def _other_method(self, http: HttpRequest) -> ASGIApp:
        if http.method == "OPTIONS":
            return HttpResponse(headers={"allow": self._allowed})
        return _error(http, Problem(405, "validation", "Method Not Allowed"), self._allowed)

    async def _answer(self, http: HttpRequest) -> ASGIApp:
        handler = self._handlers.get(http.method)
        if handler is None:
            return self._other_method(http)
        if http.method == "POST" and self._guards_post:
            key = self._service.settings.api_key
            if key is not None and not is_allowed(http.headers.get("authorization"), key):
                self._service.metrics.refusals.add(status="401", reason="unauthorized")
                return HttpResponse(status_code=401, headers={"www-authenticate": "Bearer"})
        try:
            return await handler(self._service, http)
        except (ClientGoneError, ClientDisconnect):
            raise
        except ProblemError as error:
            return _error(http, error.problem)
        except DecodingError as error:
            problem = problem_of(error, running=False)
            self._service.refused(problem)
            return _error(http, problem)
        except Exception as error:
            facts = {"request_id": http.scope["request_id"], "path": http.url.path}
            LOGGER.exception("a route failed", exc_info=error, extra={"facts": facts})
            if ACCOUNT in http.scope:
                http.scope[ACCOUNT].close()
            return _error(http, Problem(500, "internal", "the server has failed"))


def _error(http: HttpRequest, problem: Problem, allow: str | None = None) -> HttpResponse:
    headers = {} if allow is None else {"allow": allow}
    if problem.status == 429:
        headers["retry-after"] = "1"
    is_openai = http.scope.get(OPENAI, "/v1/" in http.url.path)
    body = problem.openai() if is_openai else problem.native()
    return json_response(body, problem.status, headers)


async def _http_exception(http: HttpRequest, error: Exception) -> HttpResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404 and "/v1/" not in http.url.path:
        response = HttpResponse(status_code=404)
    else:
        text = error.detail if isinstance(error, HTTPException) else "the server has failed"
        response = _error(http, Problem(status, "validation", text))
    response.headers["x-request-id"] = request_id(http.headers.get("x-request-id"))
    return response
