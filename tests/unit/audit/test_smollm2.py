"""The audit with a real model: honest texts stay, false claims are rejected and named."""

from __future__ import annotations

import numpy as np
import pytest
from served_texts import drawn

from decoding import GenerationParameters, LanguageModel, Temperature, TopP, generate
from decoding.audit import Claim, score, verify, verify_logits
from decoding.audit.forward import in_memory, reference_logits

pytestmark = pytest.mark.model
ASKED = GenerationParameters(max_new_tokens=24, temperature=0.9, top_p=0.95, seed=11)


def test_a_text_of_the_engine_is_not_rejected(smollm2: LanguageModel) -> None:
    response = generate(smollm2, "The history of the lighthouse begins", ASKED)
    assert response.provenance is not None
    assert response.provenance.fingerprint == smollm2.fingerprint
    assert smollm2.fingerprint is not None
    found = verify(smollm2, None, response)
    assert found.count("as claimed") == response.generated_tokens
    # Read in chunks, the logits are those of the generation but for float32's rounding.
    assert np.abs(score(smollm2, None, response).log_ratios).max() < 1e-3
    assert not verify(smollm2, None, response, seed=12).accepted


@pytest.mark.slow
def test_false_claims_over_its_logits_are_rejected(smollm2: LanguageModel) -> None:
    asked = GenerationParameters(max_new_tokens=400, temperature=1.0, seed=3)
    response = generate(smollm2, "Once upon a time", asked)
    assert response.provenance is not None
    prompt, ids = response.provenance.prompt, [token.id for token in response.tokens]
    rows = in_memory(reference_logits(smollm2, prompt, ids))
    short = list(prompt[:3])  # what `drawn` draws behind; pipelines here read no history
    claim = Claim(seed=7)
    assert verify_logits(rows, short, drawn(rows, claim, 0), claim).accepted
    for truth, name in (
        (Claim(pipeline=Temperature(1.1), seed=7), "temperature 1.1"),
        (Claim(pipeline=TopP(0.95), seed=7), "top-p 0.95"),
        (Claim(seed=99), "another seed, or none"),
    ):
        found = verify_logits(rows, short, drawn(rows, truth, 0), claim)
        assert found.alternative is not None, name
        assert found.alternative.name == name
