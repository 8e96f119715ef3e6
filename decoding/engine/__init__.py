"""The engine: requests that run as one batch, with stop strings, streamed text and events."""

from decoding.engine.detokenizer import TokenText
from decoding.engine.generation import Generation
from decoding.engine.loop import Engine
from decoding.engine.request import Request
from decoding.engine.request_pipeline import pipeline_of
from decoding.engine.stopping import StopMatcher, StopStrings
from decoding.engine.transcript import Ending, Transcript, event_of, response_of

__all__ = [
    "Ending",
    "Engine",
    "Generation",
    "Request",
    "StopMatcher",
    "StopStrings",
    "TokenText",
    "Transcript",
    "event_of",
    "pipeline_of",
    "response_of",
]
