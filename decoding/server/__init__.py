"""The HTTP server: TGI's routes and OpenAI's, as an ASGI application over an engine.

Owns routes, status codes, headers, streams, limits, metrics and logs. What a request may say, and
what JSON answers it, stands in `decoding.wire`; what it does, in `decoding.engine`.
"""

from decoding.server.app import create_app
from decoding.server.settings import ServerSettings
from decoding.server.traces import RequestTrace, TraceSink

__all__ = ["RequestTrace", "ServerSettings", "TraceSink", "create_app"]
