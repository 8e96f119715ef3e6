"""The preset `transformers` against the processor list that its `generate` builds."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from preset_oracle import GONE, WIDTH, assert_preset_equals, cut, maybe

from decoding import presets
from decoding.history import History

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.slow  # what builds their list imports every model

EOS = 3


def theirs(parameters: Any, row: Any, prompt: list[int], generated: list[int]) -> Any:
    config = transformers.GenerationConfig(**{"pad_token_id": 0, "top_k": 50, **parameters})
    config.max_length = len(prompt) + parameters.get("max_new_tokens", 1000)
    config._eos_token_tensor = torch.tensor([EOS])
    model = SimpleNamespace(
        config=SimpleNamespace(is_encoder_decoder=False),
        _merge_criteria_processor_list=lambda default, custom: default,
    )
    processors = transformers.GenerationMixin._get_logits_processor(
        model,
        config,
        input_ids_seq_length=len(prompt),
        encoder_input_ids=torch.tensor([prompt]),
    )
    return processors(torch.tensor([prompt + generated]), torch.from_numpy(row[None]))[0].numpy()


def sampling(generator: np.random.Generator) -> dict[str, Any]:
    return {
        "do_sample": True,
        **maybe(
            generator,
            temperature=float(generator.uniform(0.3, 2.5)),
            top_h=cut(generator),
            top_k=int(generator.integers(0, 45)),
            top_p=cut(generator),
            min_p=cut(generator) ** 3,
            typical_p=cut(generator),
            epsilon_cutoff=cut(generator) ** 3,
            eta_cutoff=cut(generator) ** 3,
            renormalize_logits=True,
        ),
    }


def editing(generator: np.random.Generator) -> dict[str, Any]:
    ids = generator.permutation(WIDTH).tolist()
    return maybe(
        generator,
        sequence_bias={(ids[0],): -3.0, (ids[1], ids[2]): 2.5, (0, 1): 1.0},
        encoder_repetition_penalty=float(generator.uniform(0.5, 2)),
        repetition_penalty=float(generator.uniform(0.5, 2)),
        no_repeat_ngram_size=int(generator.integers(2, 4)),
        encoder_no_repeat_ngram_size=int(generator.integers(2, 4)),
        bad_words_ids=[[ids[3]], [ids[4], ids[5]], [0, 1], [EOS]],
        min_length=int(generator.integers(0, 60)),
        min_new_tokens=int(generator.integers(0, 60)),
        exponential_decay_length_penalty=(
            int(generator.integers(0, 30)),
            float(generator.uniform(0.97, 1.03)),
        ),
        suppress_tokens=ids[6:8],
        begin_suppress_tokens=ids[8:10],
    )


@pytest.mark.slow
def test_sampling_parameters_are_equal() -> None:
    assert_preset_equals(presets.transformers, sampling, theirs)


def with_ends(**parameters: Any) -> Any:
    return presets.transformers(eos_token_id=EOS, **parameters)


def test_edits_are_equal() -> None:
    assert_preset_equals(with_ends, editing, theirs)


@pytest.mark.slow
def test_edits_and_sampling_parameters_together_are_equal() -> None:
    assert_preset_equals(with_ends, lambda rng: {**editing(rng), **sampling(rng)}, theirs)


def test_a_forced_last_token_is_equal() -> None:
    assert_preset_equals(
        presets.transformers,
        lambda rng: {"forced_eos_token_id": EOS, "max_new_tokens": int(rng.integers(1, 60))},
        theirs,
    )


def both(row: list[float], prompt: list[int], **parameters: Any) -> tuple[Any, Any]:
    logits = np.array(row, np.float32)
    ours = presets.transformers(**parameters)(logits[None], History.of([prompt]))[0]
    return ours, theirs(parameters, logits, prompt, [])


@pytest.mark.xfail(strict=True, reason="they keep the highest ids of a tie at top-p's cut")
def test_ties_at_the_cut_of_top_p() -> None:
    row = np.log([0.5, 0.25, 0.25]).tolist()
    got, want = both(row, [0], do_sample=True, top_p=0.75)
    assert np.array_equal(got > GONE, want > GONE)


@pytest.mark.xfail(strict=True, reason="they force a first token after prompts of one token only")
def test_the_forced_first_token_after_a_longer_prompt() -> None:
    got, want = both([0.0, 1.0, 2.0], [1, 2], forced_bos_token_id=0)
    assert np.array_equal(got > GONE, want > GONE)


@pytest.mark.xfail(strict=True, reason="forced tokens are equally likely there, and return to life")
def test_several_forced_last_tokens_keep_their_logits() -> None:
    got, want = both([0.0, 1.0, 2.0], [1], forced_eos_token_id=[0, 1], max_new_tokens=1)
    np.testing.assert_allclose(got[1] - got[0], want[1] - want[0])


@pytest.mark.xfail(strict=True, reason="removing invalid values brings impossible tokens back")
def test_impossible_tokens_stay_impossible_where_invalid_values_are_removed() -> None:
    got, want = both([GONE, 1.0, 2.0], [1], remove_invalid_values=True)
    assert np.array_equal(got > GONE, want > GONE)


@pytest.mark.xfail(
    strict=True, reason="they warn of a temperature that greedy decoding passes over"
)
def test_a_temperature_beside_greedy_decoding() -> None:
    both([0.0, 1.0], [0], temperature=0.5)
