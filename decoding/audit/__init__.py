"""The audit: scores tokens that exist, replays their noise, and verifies how they were drawn."""

from decoding.audit.claims import Claim
from decoding.audit.evidence import Assumptions, tokens_needed
from decoding.audit.murmur3 import (
    SGLANG,
    SGLANG_BY_RANK,
    VLLM,
    VLLM_FLOAT64,
    Murmur3,
    Murmur3Kind,
)
from decoding.audit.noise import PHILOX, NoiseLaw, Philox
from decoding.audit.power import Power, power_of
from decoding.audit.profiles import Profile, nearby
from decoding.audit.replay import Change, Replay, replay, replay_logits
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
from decoding.audit.transcript import (
    Transcript,
    read_transcripts,
    sequences_of,
    transcript_of,
)
from decoding.audit.verify import (
    Alternative,
    TokenCheck,
    Verification,
    check_claim,
    verify,
    verify_logits,
)

__all__ = [
    "PHILOX",
    "SGLANG",
    "SGLANG_BY_RANK",
    "VLLM",
    "VLLM_FLOAT64",
    "Alternative",
    "Assumptions",
    "Change",
    "Claim",
    "Murmur3",
    "Murmur3Kind",
    "NoiseLaw",
    "Philox",
    "Power",
    "Profile",
    "Replay",
    "ScoreArrays",
    "Scores",
    "StageRemoval",
    "TokenCheck",
    "TokenScore",
    "Transcript",
    "Verification",
    "check_claim",
    "nearby",
    "power_of",
    "read_transcripts",
    "replay",
    "replay_logits",
    "score",
    "score_batch",
    "score_logits",
    "sequences_of",
    "stack",
    "tokens_needed",
    "transcript_of",
    "verify",
    "verify_logits",
]
