"""The audit: scores tokens that exist, replays their noise, and verifies how they were drawn."""

from decoding.audit.scores import (
    ScoreArrays,
    Scores,
    StageRemoval,
    TokenScore,
    score,
    score_batch,
    score_logits,
    stack,
)
from decoding.audit.transcript import Transcript, read_transcripts, transcript_of

__all__ = [
    "ScoreArrays",
    "Scores",
    "StageRemoval",
    "TokenScore",
    "Transcript",
    "read_transcripts",
    "score",
    "score_batch",
    "score_logits",
    "stack",
    "transcript_of",
]
