"""The engine: requests that run as one batch, with stop strings, streamed text and events."""

from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.request import Request
from decoding.engine.request_pipeline import pipeline_of

__all__ = ["Engine", "Generation", "Request", "pipeline_of"]
