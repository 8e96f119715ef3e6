"""SGLang's own interface: the class crosses to a server and back, as a request carries it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import sglang_interface
import torch
from test_sglang import VOCAB, expected, live, logits_after

from decoding import GenerationParameters
from decoding.adapters import sglang

CustomLogitProcessor = sglang_interface.load().CustomLogitProcessor


def test_the_class_is_one_of_its_own() -> None:
    assert issubclass(sglang.sampler(), CustomLogitProcessor)
    made = CustomLogitProcessor.from_str(sglang.sampler().to_str())
    assert type(made) is sglang.sampler()
    after = made(logits_after([5])[None], [live([5], 1)])
    assert after.shape == (1, VOCAB)
    assert [int(after.argmax())] == expected([5], 1, 1)
    assert torch.isfinite(after).sum() == 1


def test_another_process_makes_it_of_the_request_alone() -> None:
    made = sglang.request(GenerationParameters(dry_multiplier=0.8), temperature=0.9)
    program = (
        "import sys, json\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import sglang_interface\n"
        "loaded = sglang_interface.load().CustomLogitProcessor\n"
        "print(type(loaded.from_str(json.load(sys.stdin))).__name__)"
    )
    text = json.dumps(made["custom_logit_processor"])
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Processor"]
