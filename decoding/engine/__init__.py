"""Requests that run together: checks at submission, the step loop, text, stop strings, events."""

from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.pipeline_of import pipeline_of
from decoding.engine.request import Request

__all__ = ["Engine", "Generation", "Request", "pipeline_of"]
