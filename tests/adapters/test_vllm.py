"""The vLLM plug-in without vLLM: what the two runners call, with stand-ins for what they hand over."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from profiles import spread
from vllm_stand_ins import BatchUpdate, SamplingParams, States, config, context

from decoding import (
    BatchSampler,
    GenerationParameters,
    Grammar,
    History,
    Sampler,
    chain,
    pipeline_of,
    presets,
)
from decoding.adapters.vllm import (
    V1Processor,
    V2Processor,
    extra_args,
    register,
    sampler,
    validate,
)
from decoding.engine.joined import joined
from decoding.errors import MissingDependencyError, ParameterError

VOCAB, EOS = 40, 0
SWAP, ONE_WAY = (type("Direction", (), {"name": name})() for name in ("SWAP", "UNIDIRECTIONAL"))


def v1() -> V1Processor:
    return V1Processor(config(VOCAB, [EOS]))


def v2(states: States) -> V2Processor:
    return V2Processor(config(VOCAB, [EOS]), states)


def logits_after(token_ids: Any) -> torch.Tensor:
    """The logits of a model that looks at the last three tokens."""
    generator = np.random.default_rng([abs(int(item)) for item in token_ids[-3:]])
    return torch.from_numpy(3 * generator.standard_normal(VOCAB)).to(torch.float32)


def asking(seed: int, **fields: Any) -> SamplingParams:
    return SamplingParams(temperature=0.9, top_p=0.95, seed=seed, extra_args={"decoding": fields})


def expected(params: SamplingParams, prompt: list[int], count: int) -> list[int]:
    """What `BatchSampler` draws with the same pipeline, step by step."""
    fields = dict(params.extra_args["decoding"])
    own = GenerationParameters.from_dict(fields | {"seed": params.seed})
    preset = presets.vllm(
        temperature=params.temperature,
        top_p=params.top_p,
        repetition_penalty=params.repetition_penalty,
        frequency_penalty=params.frequency_penalty,
    )
    further = pipeline_of(own, VOCAB, eos_token_ids=[EOS], seed=params.seed or 0)
    chosen = Sampler(joined(preset, further), params.seed)
    batch, states, found = BatchSampler([chosen]), [chosen.start()], list[int]()
    for _ in range(count):
        row = logits_after([*prompt, *found])[None]
        [drawn] = batch(row, History.of([prompt], [found]), states)
        found.append(drawn.token_id)
        states = [drawn.states]
    return found


def only_token(row: torch.Tensor) -> int:
    assert torch.isfinite(row).sum() == 1
    return int(row.argmax())


FIELDS: list[dict[str, Any]] = [
    {},
    {"dry_multiplier": 0.8, "xtc_probability": 0.5, "xtc_threshold": 0.05},
    {"watermark": True, "top_n_sigma": 2.0, "no_repeat_ngram_size": 3},
    {"mirostat": 2, "mirostat_tau": 2.0, "mirostat_eta": 1.0},
]


@pytest.mark.parametrize("fields", FIELDS)
def test_v1_rows_are_drawn_as_here_while_the_batch_changes(fields: dict[str, Any]) -> None:
    plugin = v1()
    prompts = {"a": [5, 6, 7], "b": [8], "c": [9, 10]}
    params = {name: asking(11 + index, **fields) for index, name in enumerate(prompts)}
    outputs: dict[str, list[int]] = {name: [] for name in prompts}
    params["a"].repetition_penalty = 1.3
    params["a"].frequency_penalty = 0.5

    def added(row: int, name: str) -> Any:
        return (row, params[name], prompts[name], outputs[name])

    def step(rows: list[str | None]) -> None:
        contexts = [[1] if name is None else [*prompts[name], *outputs[name]] for name in rows]
        before = torch.stack([logits_after(item) for item in contexts])
        after = plugin.apply(before.clone())
        for row, name in enumerate(rows):
            if name is None:
                assert torch.equal(after[row], before[row])
            else:
                outputs[name].append(only_token(after[row]))

    # Row 1 is of a request that wants nothing from here.
    plain = (1, SamplingParams(), [1], [])
    plugin.update_state(BatchUpdate(added=[added(0, "a"), plain, added(2, "b")]))
    for _ in range(4):
        step(["a", None, "b"])
        plugin.update_state(None)
    plugin.update_state(BatchUpdate(added=[added(3, "c")], moved=[(0, 2, SWAP)]))
    for _ in range(4):
        step(["b", None, "a", "c"])
    plugin.update_state(BatchUpdate(removed=[1], moved=[(3, 1, ONE_WAY)]))
    for _ in range(4):
        step(["b", "c", "a"])
    for name, prompt in prompts.items():
        assert outputs[name] == expected(params[name], prompt, len(outputs[name]))


def test_v1_knows_the_tokens_that_the_engine_has_not_read_yet() -> None:
    # With asynchronous scheduling the engine appends -1 for a token that is still on its device.
    plugin, params, prompt, output = v1(), asking(3, no_repeat_ngram_size=1), [5, 6], list[int]()
    plugin.update_state(BatchUpdate(added=[(0, params, prompt, output)]))
    drawn: list[int] = []
    for step in range(12):
        row = logits_after([*prompt, *drawn])[None]
        drawn.append(only_token(plugin.apply(row.clone())[0]))
        output.append(-1)
        if step % 3 == 2:
            output[:] = drawn
    assert drawn == expected(params, prompt, 12)


@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("right", spread([0.0, 0.5, 1.0], 1))
def test_v2_draft_rows_leave_what_is_drawn_without_drafts(
    fields: dict[str, Any], right: float
) -> None:
    states, prompts = States(), {2: [5, 6, 7], 0: [8, 9]}
    plugin, generator = v2(states), np.random.default_rng(5)
    params = {slot: asking(20 + slot, **fields) for slot in prompts}
    want = {slot: expected(params[slot], prompts[slot], 30) for slot in prompts}
    known = {slot: list(prompt) for slot, prompt in prompts.items()}
    for slot, prompt in prompts.items():
        states.begin(slot, prompt)
        assert plugin.add_request(slot, params[slot])
    assert not plugin.add_request(1, SamplingParams())
    states.begin(1, [4])
    while min(len(known[slot]) - len(prompts[slot]) for slot in prompts) < 20:
        drafts = {}
        for slot, prompt in prompts.items():
            at = len(known[slot]) - len(prompt)
            count = int(generator.integers(0, 4))
            drafts[slot] = [
                token if generator.random() < right else int(generator.integers(1, VOCAB))
                for token in want[slot][at : at + count]
            ]
        drafts[1] = [7]
        rows, fed = [], []
        for slot in (1, *prompts):
            ids = [4] if slot == 1 else known[slot]
            for offset in range(len(drafts[slot]) + 1):
                seen = [*ids, *drafts[slot][:offset]]
                rows.append((slot, offset, seen[-1], len(seen) - 1))
                fed.append(logits_after(seen))
        before = torch.stack(fed)
        after = plugin.apply(before.clone(), context(rows))
        for slot in prompts:
            # The rejection sampler of a row with one token: the draft is right, or that token is.
            own = [index for index, row in enumerate(rows) if row[0] == slot]
            accepted = []
            for index, draft in zip(own, [*drafts[slot], None], strict=True):
                accepted.append(only_token(after[index]))
                if draft != accepted[-1]:
                    break
            states.commit(slot, len(known[slot]), accepted)
            known[slot] += accepted
        others = [index for index, row in enumerate(rows) if row[0] == 1]
        assert torch.equal(after[others], before[others])
    for slot, prompt in prompts.items():
        got = known[slot][len(prompt) :][:20]
        assert got == want[slot][: len(got)]


def test_v2_begins_anew_in_a_slot_that_another_request_had() -> None:
    states, params = States(), asking(7)
    plugin = v2(states)
    for prompt in ([5, 6, 7], [8]):
        states.begin(3, prompt)
        plugin.add_request(3, params)
        seen = list(prompt)
        for _ in range(5):
            rows = [(3, 0, seen[-1], len(seen) - 1)]
            token = only_token(plugin.apply(logits_after(seen)[None], context(rows))[0])
            states.commit(3, len(seen), [token])
            seen.append(token)
        assert seen[len(prompt) :] == expected(params, prompt, 5)
    plugin.add_request(3, SamplingParams())
    row = logits_after([1])[None]
    assert torch.equal(plugin.apply(row.clone(), context([(3, 0, 1, 0)])), row)


def test_temperature_0_is_greedy_and_the_key_replaces_the_request() -> None:
    plugin = v1()
    greedy = SamplingParams(temperature=0.0, seed=1, extra_args={"decoding": {"dry_multiplier": 1}})
    replaced = asking(1, temperature=0.0, top_k=-1, min_p=0.0)
    biased = asking(1, temperature=0.0, logit_bias={"17": 100.0})
    plugin.update_state(
        BatchUpdate(added=[(i, p, [5], []) for i, p in enumerate((greedy, replaced, biased))])
    )
    row = logits_after([5])
    after = plugin.apply(row.repeat(3, 1))
    assert [only_token(item) for item in after] == [int(row.argmax()), int(row.argmax()), 17]


def test_a_text_that_fails_is_ended_and_its_neighbours_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = v1()
    failing = asking(1, allowed_token_ids=[39])
    broken = SamplingParams(extra_args={"decoding": {"grammar": {"type": "regex", "value": "a"}}})
    outputs: list[list[int]] = [[], [], []]
    plugin.update_state(
        BatchUpdate(
            added=[
                (0, failing, [5], outputs[0]),
                (1, asking(4), [5], outputs[1]),
                (2, broken, [5], outputs[2]),  # the model has no tokenizer to compile it for
            ]
        )
    )
    logits = logits_after([5]).repeat(3, 1)
    logits[0, 39] = -torch.inf
    with caplog.at_level(logging.ERROR):
        tokens = [only_token(row) for row in plugin.apply(logits.clone())]
    assert tokens[0] == tokens[2] == EOS
    assert [tokens[1]] == expected(asking(4), [5], 1)
    assert "removed the last" in caplog.text
    # A row behind the end, which an engine that runs ahead computes, stays as it is.
    outputs[0].append(EOS)
    caplog.clear()
    assert torch.equal(plugin.apply(logits.clone())[0], logits[0])
    assert "removed the last (row 0" not in caplog.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_p": 1.5}, "top_p must be"),
        ({"dry_multiplier": -1}, "dry_multiplier must be"),
        ({"dry_multiplyer": 1}, "did you mean 'dry_multiplier'"),
        ({"max_new_tokens": 5}, "left to the engine"),
        ({"grammar": {"type": "regex", "value": "("}}, "decoding: grammar"),
        ({"grammar": {"type": "json", "value": {"type": "nothing"}}}, "grammar"),
        ("dry", "a mapping of parameters"),
    ],
)
def test_requests_are_checked_before_they_are_admitted(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(SamplingParams(extra_args={"decoding": fields}))


def test_what_is_fine_is_admitted_and_other_plug_ins_are_left_alone() -> None:
    validate(SamplingParams(extra_args={"another": {"top_p": 7}}))
    validate(SamplingParams())
    validate(asking(1, grammar={"type": "regex", "value": "[0-9]{4}"}, top_k=-1))


def test_extra_args_are_json_of_what_is_asked() -> None:
    asked = GenerationParameters(
        dry_multiplier=0.8, seed=2**63, logit_bias={3: -np.inf}, grammar=Grammar("regex", "a+")
    )
    made = json.loads(json.dumps(extra_args(asked)))
    assert GenerationParameters.from_dict(made["decoding"]) == asked
    with pytest.raises(ParameterError, match="left to the engine"):
        extra_args(GenerationParameters(stop=["x"]))


def test_without_vllm_nothing_is_registered() -> None:
    program = (
        "import sys; before = list(sys.meta_path)\n"
        "sys.modules['vllm'] = None\n"
        "from decoding.adapters.vllm import register; register()\n"
        "from importlib.metadata import entry_points\n"
        "print(len(sys.meta_path) - len(before), len(entry_points(group='vllm.logits_processors')))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "0"]


def test_without_vllm_the_class_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match="vllm"):
        sampler()
    assert register() is None


def test_further_processors_come_next_to_their_kind() -> None:
    from decoding.processors import Dry, TopH, TopK, Watermark
    from decoding.watermark.presets import tgi

    further = chain(TopH(0.4), Dry(0.8), Watermark(tgi(), VOCAB))
    found = joined(presets.vllm(top_k=5), further).processors
    names = [type(item).__name__ for item in found]
    assert names == ["Dry", "Watermark", "Temperature", "TopK", "TopH"]
    assert joined(chain(TopK(5)), chain()) == chain(TopK(5))
